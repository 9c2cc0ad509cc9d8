//! What keeps loads of a cache few: early and background refreshes, stale values, locks, and values that
//! say that there is nothing.
//!
//! A look-up with a [`Policy`] keeps its values beyond their time to live, for as long as a stale one may
//! be served. Early refreshes are those of Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic
//! Cache Stampede Prevention" (VLDB 2015): who reads at t loads anew if
//! t - delta beta ln(u) >= expiry, where delta is how long the last load took and u is uniform.

use crate::component::cache::cluster::{Placement, node_of, slot_of};
use crate::component::cache::{Key, Lookup};
use crate::kernel::PendingEvents;
use crate::model::Policy;
use crate::model::ids::{CacheId, KeysId};
use crate::model::tape::{Catch, DrawId, Op, Pc, PolicyId};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{Counter, Part};
use super::task::{NONE, REFRESHER, Role, State, Task, flag};
use super::world::World;

/// A load whose time is taken.
#[derive(Clone, Copy)]
pub struct Load {
    task: u32,
    key: Key,
    since: Time,
}

/// A lock in a cache.
#[derive(Clone, Copy)]
pub struct KeyLock {
    since: Time,
    until: Time,
    task: u32,
    epoch: u16,
}

impl KeyLock {
    /// Whoever is now another task has it still.
    pub(super) fn pass_on(&mut self, from: (u32, u16), to: (u32, u16)) {
        if (self.task, self.epoch) == from {
            (self.task, self.epoch) = to;
        }
    }
}

/// What a look-up comes to.
enum Found {
    Fresh,
    Stale,
    Nothing,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A look-up with a policy. As [`Lookup`]: whether the task goes on with a value.
    pub(super) fn look_by_policy(
        &mut self,
        task: u32,
        cache: CacheId,
        place: (u32, u32),
        key: Key,
        found: Lookup,
    ) -> Lookup {
        let (store, scope) = place;
        let Op::CacheGet { policy, key: draw, single_flight, .. } = self.op_at(task) else {
            unreachable!("keys are looked up where the tape says so")
        };
        let rules = self.model.policies[usize::from(policy.0)];
        let station = self.model.caches[cache].station;
        let looked = match found {
            Lookup::Miss => Found::Nothing,
            Lookup::Hit => self.judge(task, cache, store, key, (draw, &rules)),
        };
        let loading = self.caches[cache].flights.is_in_flight(scope, key);
        match looked {
            Found::Fresh => return Lookup::Hit,
            Found::Stale if !rules.revalidate.is_zero() => {
                self.count(station, Counter::Stale);
                if !loading {
                    self.refresh(task, cache, scope, key);
                }
                return Lookup::Hit;
            }
            // Somebody loads it already, and what is here is still good.
            Found::Stale if single_flight && loading => return Lookup::Hit,
            Found::Stale => self.count(station, Counter::Early),
            Found::Nothing => {}
        }
        if rules.early > 0.0 {
            let since = self.now;
            let loads = &mut self.caches[cache].loads;
            loads.retain(|load| load.task != task);
            loads.push(Load { task, key, since });
        }
        Lookup::Miss
    }

    /// Whether a value that is there is good, may be served stale, or is to be loaded early.
    fn judge(
        &mut self,
        task: u32,
        cache: CacheId,
        store: u32,
        key: Key,
        by: (DrawId, &Policy),
    ) -> Found {
        let (draw, rules) = by;
        let Some((expires, took)) = self.caches[cache].stores[store as usize].life(key) else {
            return Found::Nothing;
        };
        let grace = rules.grace();
        let good_for = expires.since(self.now); // it has not expired: it was a hit
        if good_for <= grace {
            let stale_for = grace.0 - good_for.0;
            let serves = stale_for < rules.revalidate.0;
            return if serves { Found::Stale } else { Found::Nothing };
        }
        if rules.early > 0.0 {
            let unit = self.tasks[task].stream.draw(u64::from(draw.0) ^ 0xfe7c_0000).unit_open();
            let ahead = took.scale(-libm::log(unit) * rules.early);
            if ahead.0 >= good_for.0 - grace.0 {
                // With `revalidate` the load goes on in the background, else this request makes it.
                return Found::Stale;
            }
        }
        Found::Fresh
    }

    /// A task of its own loads a key anew; nobody waits for it.
    fn refresh(&mut self, task: u32, cache: CacheId, scope: u32, key: Key) {
        let record = self.tasks[task];
        if record.worker == NONE {
            return;
        }
        let next = Pc(record.pc.0 + 1);
        let refresher = self.new_task(Task {
            ordinal: record.ordinal,
            user: record.user,
            branch: REFRESHER,
            flags: flag::MISSED,
            ..Task::aside(record.stream, next, record.worker, self.now)
        });
        self.lead(refresher, cache, scope, key, record.pc);
        let since = self.now;
        self.caches[cache].loads.retain(|load| load.task != refresher);
        self.caches[cache].loads.push(Load { task: refresher, key, since });
        self.at_task(self.now, Kind::Resume, refresher);
    }

    /// How long the value that a task has loaded is kept; [`None`]: it is not kept at all.
    pub(super) fn kept_for(
        &mut self,
        task: u32,
        keys: KeysId,
        rank: u32,
        by: (PolicyId, DrawId),
        ttl: Option<Duration>,
    ) -> Option<Option<Duration>> {
        let rules = &self.model.policies[usize::from(by.0.0)];
        if self.model.keys[keys].is_absent(rank) {
            return rules.negative.map(Some);
        }
        let Some(ttl) = ttl else { return Some(None) };
        let spread = match rules.spread {
            0.0 => ttl,
            share => {
                let draw = u64::from(by.1.0) ^ 0x5b4e_ad00;
                let unit = self.tasks[task].stream.draw(draw).unit();
                ttl.scale(1.0 + share * (2.0 * unit - 1.0))
            }
        };
        Some(Some(spread + rules.grace()))
    }

    /// A value has been stored: what loading it took is noted beside it.
    pub(super) fn note_load(&mut self, task: u32, cache: CacheId, store: u32, key: Key) {
        let now = self.now;
        let state = &mut self.caches[cache];
        let mine = |load: &Load| load.task == task && load.key == key;
        if let Some(place) = state.loads.iter().position(mine) {
            let load = state.loads.swap_remove(place);
            state.stores[store as usize].note_load(key, now.since(load.since));
        }
    }

    /// In which store a task finds a key.
    pub(super) fn store_of(&self, task: u32, cache: CacheId, key: Key) -> u32 {
        let spec = &self.model.caches[cache];
        match spec.service {
            None if spec.nodes == 1 => 0,
            None => node_of(slot_of(key, Placement::Spread), spec.nodes),
            Some(service) => {
                let first = self.services[service].first_instance as usize;
                self.tasks[task].worker - self.instances[first].first_worker
            }
        }
    }

    /// A load within a stretch has failed: whether a value that is not too stale takes its place.
    pub(super) fn has_stale(&self, task: u32, catch: &Catch) -> bool {
        let Some(get) = catch.stale else { return true };
        let Op::CacheGet { cache, keys, key, policy, .. } = self.model.tape[get.0 as usize] else {
            unreachable!("stale values are those of a look-up")
        };
        let record = &self.tasks[task];
        if record.role == Role::Tail && record.branch == REFRESHER || record.worker == NONE {
            return false;
        }
        let rules = &self.model.policies[usize::from(policy.0)];
        let key = self.key_of(task, cache, keys, key);
        let store = self.store_of(task, cache, key);
        let Some((expires, _)) = self.caches[cache].stores[store as usize].life(key) else {
            return false;
        };
        // One that others have loaded meanwhile is not over at all.
        let over = Duration((self.now + rules.grace()).0.saturating_sub(expires.0));
        expires > self.now && over <= rules.if_error
    }

    /// A server runs SET NX PX for a task that would load a key, or the DEL that ends its lock.
    pub(super) fn lock_key(&mut self, task: u32, cache: CacheId, back: Duration) {
        let (now, record) = (self.now, self.tasks[task]);
        let mut pause = Duration::ZERO;
        match self.op_at(task) {
            Op::CacheLock { keys, key, policy, get, .. } => {
                let rules = self.model.policies[usize::from(policy.0)];
                let lock = rules.lock.expect("the compiler locks where a policy says so");
                let key = self.key_of(task, cache, keys, key);
                let tries = record.pending >> 8;
                let held = self.caches[cache].locks.get(&key).is_some_and(|it| it.until > now);
                let record = &mut self.tasks[task];
                record.pending &= 0xff;
                if held && tries < lock.tries {
                    record.pending |= (tries + 1) << 8;
                    record.pc = get;
                    let draw = u64::from(self.op_at(task).numbers()) << 16 | u64::from(tries);
                    let unit = 2.0 * self.tasks[task].stream.draw(draw).unit() - 1.0;
                    let more = lock.jitter.scale(unit.abs());
                    pause = match unit < 0.0 {
                        true => Duration(lock.retry.0.saturating_sub(more.0)),
                        false => lock.retry + more,
                    };
                } else {
                    if !held {
                        let epoch = record.epoch;
                        let mine = KeyLock { since: now, until: now + lock.ttl, task, epoch };
                        self.caches[cache].locks.insert(key, mine);
                    }
                    self.tasks[task].pc.0 += 1;
                }
            }
            Op::CacheUnlock { keys, key, .. } => {
                let key = self.key_of(task, cache, keys, key);
                let locks = &mut self.caches[cache].locks;
                if locks.get(&key).is_some_and(|it| (it.task, it.epoch) == (task, record.epoch)) {
                    locks.remove(&key);
                }
                self.tasks[task].pc.0 += 1;
            }
            other => unreachable!("{other:?} locks no key"),
        }
        if pause.is_zero() {
            return self.command_returns(task, back);
        }
        let station = self.model.caches[cache].station;
        self.spend(task, station, Part::Wait, pause);
        self.count(station, Counter::Joined);
        self.travel(task, back);
        self.tasks[task].state = State::Away;
        self.at_task(now + back + pause, Kind::Resume, task);
    }

    /// Whether a task may store what it has loaded: it needs no lock, or has it for certain.
    pub(super) fn may_store(&self, task: u32, cache: CacheId, key: Key, rules: &Policy) -> bool {
        let Some(valid) = rules.lock.and_then(|lock| lock.valid) else { return true };
        let epoch = self.tasks[task].epoch;
        self.caches[cache]
            .locks
            .get(&key)
            .is_some_and(|it| (it.task, it.epoch) == (task, epoch) && self.now <= it.since + valid)
    }

    /// A load is over. True: the task goes on; false: it was only made for the cache.
    pub(super) fn load_is_over(&mut self, task: u32) -> bool {
        let record = &mut self.tasks[task];
        let is_refresher = record.role == Role::Tail && record.branch == REFRESHER;
        record.pc.0 += 1;
        if is_refresher {
            self.end_of_flow(task);
        }
        !is_refresher
    }
}
