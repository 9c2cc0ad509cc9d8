//! The active expiry cycle of Redis: a few expired entries at a time.

use super::{CacheStore, below};
use crate::units::{Duration, Time};

/// Entries looked at in one loop (expire.c, ACTIVE_EXPIRE_CYCLE_KEYS_PER_LOOP).
const LOOP_ENTRIES: u32 = 20;
/// The share of expired entries in a loop's sample up to which the cycle stops [%]
/// (expire.c, ACTIVE_EXPIRE_CYCLE_ACCEPTABLE_STALE).
const STALE_ACCEPTED_PERCENT: u32 = 10;
/// The most loops in one cycle. Redis stops after 25 % of the period, 25 ms at `hz` 10, and looks
/// at its clock after every sixteenth loop: at about 1 us an entry, that is this many.
const LOOPS_MAX: u32 = 1_264;

/// What one expiry cycle did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CycleWork {
    /// Entries whose expiry was looked at.
    pub examined: u32,
    /// Expired entries deleted.
    pub removed: u32,
}

impl CacheStore {
    /// How long from one expiry cycle to the next (redis.conf, `hz 10`).
    pub const EXPIRE_CYCLE_INTERVAL: Duration = Duration::millis(100);

    /// How many loops fit into a cycle, by what removing an entry takes.
    pub fn cycle_loops(removal: Duration) -> u32 {
        let most = Self::EXPIRE_CYCLE_INTERVAL.0 / 4;
        let one = removal.0 * u64::from(LOOP_ENTRIES);
        let fit = most.checked_div(one).map_or(LOOPS_MAX, |loops| loops.min(1 << 20) as u32);
        // The clock is looked at after every sixteenth loop.
        fit.next_multiple_of(16)
    }

    /// One active expiry cycle of at most so many loops: samples 20 entries with a TTL, deletes the
    /// expired, and repeats while more than 10 % of the sample had expired (Redis expire.c).
    ///
    /// # Model
    /// The sample is drawn at random; Redis 6 and later walk their hash table with a cursor, which
    /// is the same sample without repeats within one pass. The extra short cycles that Redis runs
    /// before it sleeps, while its estimate of stale entries exceeds 10 %, are left out: after a
    /// mass expiry the stale share falls to 10 % more slowly here.
    ///
    /// Nothing in the store changes between two accesses, so an engine need not schedule the
    /// cycles: running the ones that fell due just before the next access, each with its own time,
    /// gives the same store. A cycle with no expired entry costs 20 draws. In that form, used
    /// memory and entries are right at accesses, not between them.
    pub fn expire_cycle(
        &mut self,
        now: Time,
        loops: u32,
        draws: &mut impl FnMut() -> u64,
    ) -> CycleWork {
        let mut work = CycleWork::default();
        for _ in 0..loops {
            let mortal = self.residents.mortal();
            let examined = mortal.min(LOOP_ENTRIES);
            let mut removed = 0;
            if mortal <= LOOP_ENTRIES {
                // From the last: a removal fills the gap with an entry already looked at.
                for place in (0..mortal).rev() {
                    removed += u32::from(self.delete_if_expired(now, place));
                }
            } else {
                for _ in 0..LOOP_ENTRIES {
                    let place = below(self.residents.mortal(), draws);
                    removed += u32::from(self.delete_if_expired(now, place));
                }
            }
            work.examined += examined;
            work.removed += removed;
            if mortal <= LOOP_ENTRIES || removed * 100 <= STALE_ACCEPTED_PERCENT * examined {
                break;
            }
        }
        work
    }

    fn delete_if_expired(&mut self, now: Time, place: u32) -> bool {
        let has_expired = self.residents.at(place).expires <= now;
        if has_expired {
            self.delete_expired(place);
        }
        has_expired
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::splitmix;
    use super::super::{CacheConfig, Eviction, Key, KeysetConfig, Lookup, Ttl};
    use super::*;

    fn store_of(count: u32, ttl: Ttl) -> CacheStore {
        let config = CacheConfig {
            memory: None,
            overhead_bytes: 90,
            eviction: Eviction::NoEviction,
            samples: 5,
            max_entries: None,
        };
        let mut store = CacheStore::new(config, &[KeysetConfig { count, size_bytes: 910 }]);
        let mut draws = splitmix(1);
        for rank in 0..count {
            store.set(Time::ZERO, Key { keyset: 0, rank }, ttl, &mut draws);
        }
        store
    }

    #[test]
    fn expired_entries_occupy_memory_until_sampled_or_accessed() {
        let mut store = store_of(10_000, Ttl::Fixed(Duration::secs(1)));
        let later = Time::ZERO + Duration::secs(60);
        assert_eq!(store.used_bytes(), 10_000 * 1_000);
        assert_eq!(store.get(later, Key { keyset: 0, rank: 7 }), Lookup::Miss);
        assert_eq!((store.entries(), store.counters().expired), (9_999, 1));
        let work = store.expire_cycle(later, LOOPS_MAX, &mut splitmix(2));
        assert_eq!(work, CycleWork { examined: 9_999, removed: 9_999 });
        assert_eq!((store.entries(), store.used_bytes()), (0, 0));
        assert_eq!(store.counters().expired, 10_000);
    }

    #[test]
    fn a_cycle_leaves_up_to_a_tenth_stale_and_never_touches_the_living() {
        let mut store = store_of(100_000, Ttl::Fixed(Duration::secs(10)));
        let mut draws = splitmix(5);
        for rank in 0..50_000 {
            let key = Key { keyset: 0, rank };
            store.set(Time::ZERO, key, Ttl::Fixed(Duration::secs(100)), &mut draws);
        }
        let now = Time::ZERO + Duration::secs(20);
        // At 10 % stale a cycle ends with its first loop two times in three, so 100 s of cycles
        // leave about that much and no cycle hurries to clear the rest.
        for _ in 0..1_000 {
            store.expire_cycle(now, LOOPS_MAX, &mut draws);
        }
        let stale = f64::from(store.entries() - 50_000) / f64::from(store.entries());
        assert!((0.05..0.15).contains(&stale), "{stale}");
        assert!((0..50_000).all(|rank| store.get(now, Key { keyset: 0, rank }) == Lookup::Hit));
    }

    #[test]
    fn a_cycle_is_bounded() {
        let mut store = store_of(100_000, Ttl::Fixed(Duration::secs(1)));
        let work = store.expire_cycle(Time::ZERO + Duration::secs(2), LOOPS_MAX, &mut splitmix(9));
        assert_eq!(work.examined, LOOPS_MAX * LOOP_ENTRIES);
        assert_eq!(work.removed, work.examined);
    }

    #[test]
    fn entries_without_a_ttl_are_not_looked_at() {
        let mut store = store_of(1_000, Ttl::None);
        let work = store.expire_cycle(Time::ZERO + Duration::secs(2), LOOPS_MAX, &mut splitmix(9));
        assert_eq!(work, CycleWork::default());
    }
}
