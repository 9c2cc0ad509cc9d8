//! Which worker of a group has which shard: the leases of the Kinesis Client Library 2 (`DynamoDBLeaseTaker`,
//! `computeLeasesToTake`, `chooseLeasesToSteal`).
//!
//! Every worker looks at all leases each `2 x (failoverTimeMillis + 25 ms)`. One that nobody has renewed since
//! its last look is free. A worker that has less than its share, the shards over the workers that have any and
//! itself, rounded up, takes free ones up to it; if there are none it takes one at a time from the worker that
//! has most.

/// A lease as a worker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lease {
    /// Nobody renews it.
    Free,
    /// A worker does.
    Of(u32),
}

/// The leases that worker `me` of so many takes, the lowest first.
pub fn to_take(leases: &[Lease], me: u32, workers: u32) -> Vec<u32> {
    let mut counts = vec![0_u32; workers as usize];
    for lease in leases {
        if let Lease::Of(worker) = lease {
            counts[*worker as usize] += 1;
        }
    }
    let mine = counts[me as usize];
    let there = counts.iter().filter(|count| **count > 0).count() as u32 + u32::from(mine == 0);
    let target = (leases.len() as u32).div_ceil(there);
    let wants = target.saturating_sub(mine);
    let free = (0..leases.len() as u32).filter(|it| leases[*it as usize] == Lease::Free);
    let free: Vec<u32> = free.take(wants as usize).collect();
    if !free.is_empty() || wants == 0 || leases.contains(&Lease::Free) {
        return free;
    }
    // The first of those that have most.
    let most = (0..workers).rev().max_by_key(|worker| counts[*worker as usize]).unwrap_or(me);
    let over = counts[most as usize].saturating_sub(target).min(wants);
    let steals = if over == 0 && wants > 1 && counts[most as usize] >= target { 1 } else { over };
    if steals == 0 || most == me {
        return Vec::new();
    }
    let last = (0..leases.len() as u32).rev().find(|it| leases[*it as usize] == Lease::Of(most));
    last.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(owners: &[i32]) -> Vec<Lease> {
        let lease = |it: &i32| if *it < 0 { Lease::Free } else { Lease::Of(*it as u32) };
        owners.iter().map(lease).collect()
    }

    #[test]
    fn free_leases_are_taken_up_to_a_fair_share() {
        assert_eq!(to_take(&of(&[-1, -1, -1, -1]), 0, 2), [0, 1, 2, 3], "nobody else has any");
        assert_eq!(to_take(&of(&[1, 1, -1, -1]), 0, 2), [2, 3]);
        assert_eq!(to_take(&of(&[0, 1, -1, -1]), 0, 2), [2]);
        assert_eq!(to_take(&of(&[0, 0, 1, -1]), 1, 2), [3]);
        assert_eq!(to_take(&of(&[0, 0, 1, -1]), 0, 2), [] as [u32; 0], "it has its share");
    }

    #[test]
    fn one_at_a_time_is_taken_from_who_has_most() {
        assert_eq!(to_take(&of(&[0, 0, 0, 0]), 1, 2), [3]);
        assert_eq!(to_take(&of(&[0, 0, 0, 1]), 1, 2), [2]);
        assert_eq!(to_take(&of(&[0, 0, 1, 1]), 1, 2), [] as [u32; 0]);
        // Five over three workers are two each: who has none takes one of who has no more than two.
        assert_eq!(to_take(&of(&[0, 0, 1, 1, 0]), 2, 3), [4]);
        assert_eq!(to_take(&of(&[0, 0, 1, 1]), 2, 3), [1]);
        assert_eq!(to_take(&of(&[0, 1]), 2, 3), [] as [u32; 0], "one each");
    }
}
