//! The rules of stores: eviction, expiry, memory.

use super::testing::splitmix;
use super::*;

const SECOND: Duration = Duration::secs(1);

fn key(rank: u32) -> Key {
    Key { keyset: 0, rank }
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::secs(seconds)
}

/// Values of 910 bytes, 1,000 with overhead; memory for ten of them.
fn store(eviction: Eviction) -> CacheStore {
    let config = CacheConfig {
        memory: Some(10_000),
        overhead_bytes: 90,
        eviction,
        samples: 5,
        max_entries: None,
    };
    CacheStore::new(config, &[KeysetConfig { count: 1_000, size_bytes: 910 }])
}

fn held(store: &CacheStore) -> Vec<u32> {
    (0..1_000).filter(|&rank| store.residents.find(key(rank)).is_some()).collect()
}

/// Sets key 0 at second 0, key 1 at second 1 and so on.
fn fill(store: &mut CacheStore, ranks: std::ops::Range<u32>, ttl: impl Fn(u32) -> Ttl) {
    let mut draws = splitmix(1);
    for rank in ranks {
        store.set(at(u64::from(rank)), key(rank), ttl(rank), &mut draws);
    }
}

#[test]
fn a_fixed_ttl_ends_whatever_is_read_and_a_sliding_one_is_renewed() {
    let mut store = store(Eviction::NoEviction);
    let mut draws = splitmix(1);
    store.set(at(0), key(1), Ttl::Fixed(Duration::secs(10)), &mut draws);
    store.set(at(0), key(2), Ttl::Sliding(Duration::secs(10)), &mut draws);
    for second in [6, 9] {
        assert_eq!(store.get(at(second), key(1)), Lookup::Hit);
        assert_eq!(store.get(at(second), key(2)), Lookup::Hit);
    }
    assert_eq!(store.get(at(10), key(1)), Lookup::Miss);
    assert_eq!(store.get(at(18), key(2)), Lookup::Hit);
    assert_eq!(store.get(at(28), key(2)), Lookup::Miss);
    let counters = Counters { hits: 5, misses: 2, expired: 2, ..Counters::default() };
    assert_eq!((store.counters(), store.entries()), (counters, 0));
}

#[test]
fn a_set_replaces_the_value_and_its_ttl() {
    let mut store = store(Eviction::NoEviction);
    let mut draws = splitmix(1);
    store.set(at(0), key(1), Ttl::Fixed(SECOND), &mut draws);
    store.set(at(0), key(1), Ttl::None, &mut draws);
    assert_eq!(store.used_bytes(), 1_000);
    assert_eq!(store.get(at(1_000), key(1)), Lookup::Hit);
}

#[test]
fn without_eviction_writes_fail_while_reads_and_deletes_work() {
    let mut store = store(Eviction::NoEviction);
    let mut draws = splitmix(1);
    // The check comes before the write: the eleventh value overshoots, the twelfth is refused.
    fill(&mut store, 0..12, |_| Ttl::None);
    assert_eq!((store.entries(), store.used_bytes()), (11, 11_000));
    assert_eq!(store.counters().oom_errors, 1);
    assert_eq!(store.set(at(20), key(0), Ttl::None, &mut draws), Stored::OutOfMemory);
    assert_eq!(store.get(at(20), key(0)), Lookup::Hit);
    assert!(store.remove(key(0)) && !store.remove(key(0)));
    assert_eq!(store.set(at(20), key(0), Ttl::None, &mut draws), Stored::Ok { evicted: 0 });
}

#[test]
fn redis_overshoots_by_one_value_and_a_process_does_not() {
    for (eviction, most) in [
        (Eviction::AllKeysLru, 11),
        (Eviction::AllKeysRandom, 11),
        (Eviction::Lru, 10),
        (Eviction::Fifo, 10),
    ] {
        let mut store = store(eviction);
        fill(&mut store, 0..100, |_| Ttl::None);
        assert_eq!(store.entries(), most, "{eviction:?}");
        assert_eq!(store.counters().evicted, u64::from(100 - most));
        assert_eq!(store.used_bytes(), u64::from(most) * 1_000);
    }
}

#[test]
fn strict_lru_keeps_the_latest_read_and_fifo_the_latest_set() {
    for (eviction, expected) in [(Eviction::Lru, 0), (Eviction::Fifo, 1)] {
        let mut store = store(eviction);
        fill(&mut store, 0..10, |_| Ttl::None);
        assert_eq!(store.get(at(10), key(0)), Lookup::Hit);
        store.set(at(10), key(0), Ttl::None, &mut splitmix(1));
        fill(&mut store, 10..11, |_| Ttl::None);
        let evicted = 1 - expected;
        let left: Vec<u32> = (0..11).filter(|&rank| rank != evicted).collect();
        assert_eq!(held(&store), left, "{eviction:?}");
    }
}

#[test]
fn a_value_larger_than_the_store_evicts_nobody() {
    let config = store(Eviction::Lru).config;
    let (small, large) = (910, 10_000);
    let keysets = [small, large].map(|size_bytes| KeysetConfig { count: 10, size_bytes });
    let mut store = CacheStore::new(config, &keysets);
    fill(&mut store, 0..10, |_| Ttl::None);
    let large = Key { keyset: 1, rank: 0 };
    assert_eq!(store.set(at(20), large, Ttl::None, &mut splitmix(1)), Stored::OutOfMemory);
    assert_eq!(store.entries(), 10);
}

#[test]
fn in_process_expired_entries_count_until_touched() {
    let mut store = store(Eviction::Lru);
    let mut draws = splitmix(1);
    fill(&mut store, 0..10, |_| Ttl::Fixed(SECOND));
    assert_eq!(store.entries(), 10);
    assert_eq!(store.set(at(99), key(10), Ttl::None, &mut draws), Stored::Ok { evicted: 1 });
    assert_eq!(store.get(at(99), key(1)), Lookup::Miss);
    assert_eq!(store.entries(), 9);
}

#[test]
fn volatile_policies_let_only_entries_with_a_ttl_go() {
    let long = Ttl::Fixed(Duration::secs(10_000));
    let even_ttl = |rank: u32| if rank.is_multiple_of(2) { long } else { Ttl::None };
    for eviction in [Eviction::VolatileLru, Eviction::VolatileRandom, Eviction::VolatileTtl] {
        let mut store = store(eviction);
        fill(&mut store, 0..11, even_ttl);
        fill(&mut store, 11..17, |_| Ttl::None);
        let odd_and_new = [1, 3, 5, 7, 9, 11, 12, 13, 14, 15, 16];
        assert_eq!(held(&store), odd_and_new, "{eviction:?}");
        // Nothing expirable is left: as noeviction.
        let refused = store.set(at(20), key(20), Ttl::None, &mut splitmix(1));
        assert_eq!(refused, Stored::OutOfMemory);
    }
}

#[test]
fn few_enough_entries_are_all_looked_at() {
    let mut config = store(Eviction::VolatileTtl).config;
    config.samples = 64;
    for eviction in [Eviction::VolatileTtl, Eviction::AllKeysLru] {
        config.eviction = eviction;
        let mut store = CacheStore::new(config, &[KeysetConfig { count: 1_000, size_bytes: 910 }]);
        // Key 10 expires first and key 0 is idlest.
        fill(&mut store, 0..11, |rank| Ttl::Fixed(Duration::secs(10_000 - 100 * u64::from(rank))));
        fill(&mut store, 11..12, |_| Ttl::None);
        let gone = if eviction == Eviction::VolatileTtl { 10 } else { 0 };
        assert!(!held(&store).contains(&gone), "{eviction:?}");
    }
}

#[test]
fn the_clock_of_recency_has_whole_seconds() {
    let mut store = store(Eviction::AllKeysLru);
    store.set(Time::ZERO, key(1), Ttl::None, &mut splitmix(1));
    let touched = |store: &CacheStore| store.residents.at(0).touched_s;
    let before = touched(&store);
    store.get(Time::ZERO + Duration::millis(999), key(1));
    assert_eq!(touched(&store), before);
    store.get(at(1), key(1));
    assert_eq!(touched(&store), before + 1);
}

#[test]
fn a_cold_restart_forgets_all_but_the_counters() {
    let mut store = store(Eviction::AllKeysLru);
    fill(&mut store, 0..100, |_| Ttl::None);
    store.clear();
    assert_eq!((store.entries(), store.used_bytes(), held(&store).len()), (0, 0, 0));
    assert_eq!(store.counters().evicted, 89);
    assert_eq!(store.get(at(100), key(99)), Lookup::Miss);
}

/// Redis' counter of uses: it rises ever more slowly, and falls by one a minute.
#[test]
fn frequency_is_counted_in_logarithms_and_decays() {
    let mut store = store(Eviction::AllKeysLfu);
    let mut draws = splitmix(3);
    fill(&mut store, 0..1, |_| Ttl::None);
    let count = |store: &CacheStore, now| frequency::decayed(store.residents.at(0).touched_s, now);
    assert_eq!(count(&store, at(0)), 5, "LFU_INIT_VAL");
    let reads = |store: &mut CacheStore, times: u32, draws: &mut dyn FnMut() -> u64| {
        (0..times).for_each(|_| {
            store.get_drawn(at(0), key(0), &mut || draws());
        });
    };
    // redis.conf: with factor 10 about 10 after 100 hits, 18 after 1,000, 142 after 100,000; it is chance, and
    // the last has a standard deviation of 7.
    reads(&mut store, 100, &mut draws);
    assert!((8..=13).contains(&count(&store, at(0))), "{}", count(&store, at(0)));
    reads(&mut store, 900, &mut draws);
    assert!((15..=22).contains(&count(&store, at(0))), "{}", count(&store, at(0)));
    reads(&mut store, 99_000, &mut draws);
    let found = count(&store, at(0));
    assert!((125..=168).contains(&found), "{found}");
    assert_eq!(count(&store, at(600)), found - 10);
    assert_eq!(count(&store, at(60 * 1_000)), 0);
}

#[test]
fn the_least_frequently_used_goes() {
    for eviction in [Eviction::AllKeysLfu, Eviction::VolatileLfu] {
        let mut store = store(eviction);
        let mut draws = splitmix(9);
        fill(&mut store, 0..11, |_| Ttl::Fixed(SECOND.scale(1e6)));
        for _ in 0..200 {
            (1..11).for_each(|rank| {
                store.get_drawn(at(20), key(rank), &mut draws);
            });
        }
        // Key 0, never read, is the oldest too; read last, it would live under LRU.
        store.get_drawn(at(30), key(0), &mut draws);
        store.set(at(30), key(500), Ttl::Fixed(SECOND.scale(1e6)), &mut draws);
        assert_eq!(store.residents.find(key(0)), None, "{eviction:?}");
    }
}

#[test]
fn who_shares_the_memory_is_compared_by_the_policy() {
    let mut draws = splitmix(1);
    let mut full = store(Eviction::NoEviction);
    fill(&mut full, 0..11, |_| Ttl::None);
    assert_eq!(full.next_victim(at(20), &mut draws), None);
    assert_eq!((full.score_of_lodger(9, Some(at(40))), full.evictable()), (None, 0));
    let mut evicting = store(Eviction::AllKeysLru);
    fill(&mut evicting, 0..11, |_| Ttl::None);
    let (victim, score) = evicting.next_victim(at(50), &mut draws).expect("any may go");
    assert_eq!(evicting.entries(), 11, "it was only looked at");
    // Entries are as idle as they are old; whoever shares the memory is judged alike.
    assert!((39..=50).contains(&score), "{score}");
    assert_eq!(evicting.score_of_lodger(45, None), Some(45));
    evicting.evict(victim);
    assert_eq!((evicting.entries(), evicting.counters().evicted), (10, 1));
    let volatile = store(Eviction::VolatileTtl);
    assert_eq!(volatile.score_of_lodger(45, None), None);
    assert!(volatile.score_of_lodger(0, Some(at(60))) > volatile.score_of_lodger(0, Some(at(61))));
}
