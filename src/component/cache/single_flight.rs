//! Request collapsing: one load for all who miss the same key at the same time.

use std::collections::BTreeMap;

use super::Key;

/// No waiter.
const NONE: u32 = u32::MAX;

/// Whether a miss has to load the value itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flight {
    /// Nobody is loading it: load it, and say so with [`SingleFlight::finish`].
    Lead,
    /// It is being loaded: wait to be woken.
    Join,
}

struct Waiter<Task> {
    task: Task,
    next: u32,
}

#[derive(Clone, Copy)]
struct Waiters {
    first: u32,
    last: u32,
}

/// The loads in flight and who waits for each.
///
/// # Model
/// A scope is what shares loads: a process (lru-cache `fetchMethod`, a promise cache) or a point of
/// presence (CloudFront developer guide, "Simultaneous requests for the same object"). Scopes do
/// not see each other: with k processes, k loads of one key may be in flight.
///
/// O(log loads in flight); waiters live in one reused vector.
pub struct SingleFlight<Task> {
    flights: BTreeMap<(u32, Key), Waiters>,
    waiters: Vec<Waiter<Task>>,
    free: u32,
}

impl<Task: Copy> SingleFlight<Task> {
    /// Nothing in flight.
    pub fn new() -> SingleFlight<Task> {
        SingleFlight { flights: BTreeMap::new(), waiters: Vec::new(), free: NONE }
    }

    /// A miss of `key` in `scope` by `task`: it leads, or joins the load that is under way.
    pub fn begin(&mut self, scope: u32, key: Key, task: Task) -> Flight {
        let Some(flight) = self.flights.get_mut(&(scope, key)) else {
            self.flights.insert((scope, key), Waiters { first: NONE, last: NONE });
            return Flight::Lead;
        };
        let waiter = Waiter { task, next: NONE };
        let place = self.free;
        let place = if place == NONE {
            self.waiters.push(waiter);
            self.waiters.len() as u32 - 1
        } else {
            self.free = self.waiters[place as usize].next;
            self.waiters[place as usize] = waiter;
            place
        };
        match flight.last {
            NONE => flight.first = place,
            last => self.waiters[last as usize].next = place,
        }
        flight.last = place;
        Flight::Join
    }

    /// The load has ended, well or not: hands each task that joined to `wake`, in the order of
    /// joining.
    ///
    /// What they do next is the caller's: read the value, fail too, or, when the response may not
    /// be cached, go to the origin one after another.
    ///
    /// # Panics
    /// If no such load is in flight.
    pub fn finish(&mut self, scope: u32, key: Key, mut wake: impl FnMut(Task)) {
        let flight = self.flights.remove(&(scope, key)).expect("only a load in flight can end");
        let mut place = flight.first;
        while place != NONE {
            let waiter = &mut self.waiters[place as usize];
            wake(waiter.task);
            let next = waiter.next;
            waiter.next = self.free;
            self.free = place;
            place = next;
        }
    }

    /// Those who wait for a load, in the order of joining.
    pub fn waiters(&self, scope: u32, key: Key) -> impl Iterator<Item = Task> + '_ {
        let flight = self.flights.get(&(scope, key));
        let mut place = flight.map_or(NONE, |flight| flight.first);
        std::iter::from_fn(move || {
            let waiter = self.waiters.get(place as usize)?;
            place = waiter.next;
            Some(waiter.task)
        })
    }

    /// Whether a key is being loaded in a scope.
    pub fn is_in_flight(&self, scope: u32, key: Key) -> bool {
        self.flights.contains_key(&(scope, key))
    }

    /// Loads in flight.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }
}

impl<Task: Copy> Default for SingleFlight<Task> {
    fn default() -> SingleFlight<Task> {
        SingleFlight::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOT: Key = Key { keyset: 0, rank: 1 };
    const COLD: Key = Key { keyset: 0, rank: 2 };

    fn woken(flights: &mut SingleFlight<u32>, scope: u32, key: Key) -> Vec<u32> {
        let mut tasks = Vec::new();
        flights.finish(scope, key, |task| tasks.push(task));
        tasks
    }

    #[test]
    fn one_leads_and_the_rest_wake_in_order() {
        let mut flights = SingleFlight::new();
        assert_eq!(flights.begin(0, HOT, 10), Flight::Lead);
        assert_eq!(flights.begin(0, HOT, 11), Flight::Join);
        assert_eq!(flights.begin(0, COLD, 12), Flight::Lead);
        assert_eq!(flights.begin(0, COLD, 13), Flight::Join);
        assert_eq!(flights.begin(0, HOT, 14), Flight::Join);
        assert_eq!(flights.in_flight(), 2);
        assert_eq!(flights.waiters(0, HOT).collect::<Vec<_>>(), [11, 14]);
        assert_eq!(flights.waiters(1, HOT).count(), 0);
        assert_eq!(woken(&mut flights, 0, HOT), [11, 14]);
        assert_eq!(woken(&mut flights, 0, COLD), [13]);
        assert_eq!(flights.begin(0, HOT, 15), Flight::Lead);
    }

    #[test]
    fn every_process_loads_for_itself() {
        let mut flights = SingleFlight::new();
        let leads = (0..8).filter(|&scope| flights.begin(scope, HOT, scope) == Flight::Lead);
        assert_eq!(leads.count(), 8);
    }

    #[test]
    fn a_stampede_becomes_one_load_and_the_places_are_reused() {
        let mut flights = SingleFlight::new();
        for _ in 0..5 {
            let leads = (0..1_000).filter(|&task| flights.begin(0, HOT, task) == Flight::Lead);
            assert_eq!(leads.count(), 1);
            assert_eq!(woken(&mut flights, 0, HOT), (1..1_000).collect::<Vec<_>>());
        }
        assert_eq!(flights.waiters.len(), 999);
    }

    #[test]
    #[should_panic(expected = "only a load in flight")]
    fn a_load_ends_once() {
        SingleFlight::<u32>::new().finish(0, HOT, |_| ());
    }
}
