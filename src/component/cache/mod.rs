//! Caches: entries of several keysets in one memory budget, with expiry and eviction.
//!
//! One [`CacheStore`] serves four kinds of product, which differ in who calls what:
//!
//! - **Redis**: one of the sampled policies or [`Eviction::NoEviction`], `overhead_bytes` 90, and
//!   [`CacheStore::expire_cycle`] ten times a second. In a Redis Cluster, one store a master, found
//!   through [`cluster`].
//! - **An in-process cache** (lru-cache 11): [`Eviction::Lru`] with `max_entries`, never an expiry
//!   cycle, one store a process. Private caches do not add up: each one sees its share of the
//!   traffic and keeps its own copy of the popular keys.
//! - **A CDN**: one store for each point of presence, [`Ttl::Fixed`], usually no memory limit. The
//!   rate a key has at one edge is what decides: over m edges its hit ratio falls from
//!   λT/(1 + λT) to (λ/m)T/(1 + (λ/m)T), so spreading the same traffic wider costs hits.
//! - **Request collapsing** in front of any of them: [`SingleFlight`], with the process or the
//!   point of presence as its scope.

mod candidates;
pub mod cluster;
mod expiry;
mod frequency;
mod residents;
mod single_flight;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod warm;

pub use expiry::CycleWork;
pub use single_flight::{Flight, SingleFlight};
pub use warm::KeysetTraffic;

use candidates::Candidates;
use residents::{Resident, Residents};

use crate::units::{Duration, TICKS_PER_SECOND, Time};

/// One key: a rank within a keyset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// Which keyset, in the order given to [`CacheStore::new`].
    pub keyset: u32,
    /// Which key of it, from 0 up to the keyset's count.
    pub rank: u32,
}

/// A population of keys whose values have one size.
#[derive(Clone, Copy, Debug)]
pub struct KeysetConfig {
    /// How many keys there are.
    pub count: u32,
    /// Bytes of one value, without the store's overhead.
    pub size_bytes: u64,
}

/// Which entry goes when there is no room.
///
/// All but the last two are Redis `maxmemory-policy` values (evict.c): the store frees until it is within
/// its memory *before* a write and then writes, so it overshoots by up to one value. The last two
/// are in-process caches, which make room for the value first and never overshoot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eviction {
    /// `noeviction`: none; writes fail while memory is over the limit, reads go on.
    NoEviction,
    /// `allkeys-lru`: the idlest of a sample, with the best candidates kept between evictions.
    AllKeysLru,
    /// `volatile-lru`: the same among the entries that have a TTL.
    VolatileLru,
    /// `allkeys-random`: any entry.
    AllKeysRandom,
    /// `volatile-random`: any entry that has a TTL.
    VolatileRandom,
    /// `volatile-ttl`: the nearest to expiry of a sample.
    VolatileTtl,
    /// `allkeys-lfu`: the least frequently used of a sample, by a counter that decays.
    AllKeysLfu,
    /// `volatile-lfu`: the same among the entries that have a TTL.
    VolatileLfu,
    /// Strict least recently used, an exact list (lru-cache 11).
    Lru,
    /// First in, first out: overwriting an entry leaves its place in the line.
    Fifo,
}

impl Eviction {
    fn is_in_process(self) -> bool {
        matches!(self, Eviction::Lru | Eviction::Fifo)
    }
    fn is_volatile(self) -> bool {
        matches!(
            self,
            Eviction::VolatileLru
                | Eviction::VolatileLfu
                | Eviction::VolatileRandom
                | Eviction::VolatileTtl
        )
    }
    fn is_frequency(self) -> bool {
        matches!(self, Eviction::AllKeysLfu | Eviction::VolatileLfu)
    }
}

/// How a store is set up.
#[derive(Clone, Copy, Debug)]
pub struct CacheConfig {
    /// Bytes for values and overhead together; `None` for no limit (Redis `maxmemory 0`).
    pub memory: Option<u64>,
    /// Bytes that a key costs beside its value (Redis: 50 to 100, 90 is a fair assumption).
    pub overhead_bytes: u32,
    /// Which entry goes when there is no room.
    pub eviction: Eviction,
    /// Entries looked at for one eviction by the sampled policies (Redis `maxmemory-samples`, 5).
    pub samples: u32,
    /// The most entries, expired ones included (lru-cache `max`).
    pub max_entries: Option<u32>,
}

/// How long an entry is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// Until it is removed or evicted.
    None,
    /// This long after it was set.
    Fixed(Duration),
    /// This long after it was last set or hit.
    Sliding(Duration),
}

impl Ttl {
    /// So long, if there is an end; from the last hit on, if hits renew it.
    pub fn of(length: Option<Duration>, sliding: bool) -> Ttl {
        match (length, sliding) {
            (None, _) => Ttl::None,
            (Some(length), false) => Ttl::Fixed(length),
            (Some(length), true) => Ttl::Sliding(length),
        }
    }
}

/// What a read found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// A value that has not expired.
    Hit,
    /// Nothing, or a value that had expired and is gone now.
    Miss,
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// Written, after this many evictions in the command's own time.
    Ok {
        /// Entries evicted to make room.
        evicted: u32,
    },
    /// Refused: over the memory limit with nothing that the policy lets go
    /// (Redis: "OOM command not allowed when used memory > 'maxmemory'").
    OutOfMemory,
}

/// What has happened since the store was built.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Entries evicted for room.
    pub evicted: u64,
    /// Entries deleted because they had expired, on access or by the cycle.
    pub expired: u64,
    /// Writes refused.
    pub oom_errors: u64,
}

/// An entry store: which keys are resident, until when, and which of them goes next.
///
/// # Model
/// Values are not kept, only their sizes. An expired entry is deleted when it is next accessed or
/// when the expiry cycle samples it; until then it occupies memory (Redis expire.c, lru-cache 11).
///
/// Memory: 4 bytes for every key of a keyset, as zero pages that cost nothing until a key near them
/// is written (100 million keys: at most 400 MB, in practice what is touched), and 40 bytes for
/// every entry. Every operation is O(1); nothing is allocated once the number of entries has
/// peaked.
///
/// # Invariants
/// `used_bytes` is the sum over the entries of value and overhead.
pub struct CacheStore {
    config: CacheConfig,
    keysets: Vec<KeysetConfig>,
    residents: Residents,
    candidates: Candidates,
    used_bytes: u64,
    counters: Counters,
}

impl CacheStore {
    /// An empty store.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(config: CacheConfig, keysets: &[KeysetConfig]) -> CacheStore {
        assert!(config.samples > 0, "an eviction looks at one entry at least");
        let ordered = config.eviction.is_in_process();
        CacheStore {
            config,
            keysets: keysets.to_vec(),
            residents: Residents::new(keysets.iter().map(|keyset| keyset.count), ordered),
            candidates: Candidates::new(),
            used_bytes: 0,
            counters: Counters::default(),
        }
    }

    /// Reads `key` in a store that counts no frequency: see [`CacheStore::get_drawn`].
    pub fn get(&mut self, now: Time, key: Key) -> Lookup {
        self.get_drawn(now, key, &mut || u64::MAX)
    }

    /// Reads `key`: a hit renews recency or frequency and a sliding TTL, an expired entry is deleted.
    pub fn get_drawn(&mut self, now: Time, key: Key, draws: &mut impl FnMut() -> u64) -> Lookup {
        let Some(place) = self.residents.find(key) else {
            self.counters.misses += 1;
            return Lookup::Miss;
        };
        if self.residents.at(place).expires <= now {
            self.delete_expired(place);
            self.counters.misses += 1;
            return Lookup::Miss;
        }
        let counts = self.config.eviction.is_frequency();
        let resident = self.residents.at_mut(place);
        resident.touched_s =
            if counts { frequency::used(resident.touched_s, now, draws) } else { clock_s(now) };
        if !resident.renews.is_zero() {
            resident.expires = deadline(now, resident.renews);
        }
        if self.config.eviction == Eviction::Lru {
            self.residents.make_newest(place);
        }
        self.counters.hits += 1;
        Lookup::Hit
    }

    /// Writes `key`, making room for it as the policy does; a new value brings its own TTL.
    pub fn set(
        &mut self,
        now: Time,
        key: Key,
        ttl: Ttl,
        draws: &mut impl FnMut() -> u64,
    ) -> Stored {
        let Some(evicted) = self.make_room(now, key, draws) else {
            self.counters.oom_errors += 1;
            return Stored::OutOfMemory;
        };
        if let Some(place) = self.residents.find(key)
            && self.residents.at(place).expires <= now
        {
            self.delete_expired(place);
        }
        let (expires, renews) = match ttl {
            Ttl::None => (Time::NEVER, Duration::ZERO),
            Ttl::Fixed(length) => (deadline(now, length), Duration::ZERO),
            Ttl::Sliding(length) => (deadline(now, length), length),
        };
        let counts = self.config.eviction.is_frequency();
        let touched_s = if counts { frequency::fresh(now) } else { clock_s(now) };
        let mut resident = Resident::new(key, expires, renews, touched_s);
        match self.residents.find(key) {
            Some(place) => {
                if counts {
                    resident.touched_s = self.residents.at(place).touched_s;
                }
                let place = self.residents.overwrite(place, resident);
                if self.config.eviction == Eviction::Lru {
                    self.residents.make_newest(place);
                }
            }
            None => self.insert(resident),
        }
        Stored::Ok { evicted }
    }

    /// Whether there is a good value for `key`, without reading it.
    pub fn holds(&self, now: Time, key: Key) -> bool {
        self.residents.find(key).is_some_and(|place| self.residents.at(place).expires > now)
    }

    /// Until when the value of `key` is good, and what loading it took; `None` if it is not resident.
    pub fn life(&self, key: Key) -> Option<(Time, Duration)> {
        let resident = self.residents.at(self.residents.find(key)?);
        Some((resident.expires, Duration::micros(u64::from(resident.took_us))))
    }

    /// Notes what loading the value of `key` took, if it is resident.
    pub fn note_load(&mut self, key: Key, took: Duration) {
        if let Some(place) = self.residents.find(key) {
            let micros = took.0 / Duration::micros(1).0;
            self.residents.at_mut(place).took_us = u32::try_from(micros).unwrap_or(u32::MAX);
        }
    }

    /// The entry that would go next, and by what score: the highest goes first. It stays, and is a
    /// candidate again the next time.
    pub fn next_victim(
        &mut self,
        now: Time,
        draws: &mut impl FnMut() -> u64,
    ) -> Option<(Key, u64)> {
        let place = self.victim(now, draws)?;
        let score = self.score(now, place);
        let key = self.residents.at(place).key;
        self.candidates.offer(score, key);
        Some((key, score))
    }

    /// The score of an entry that is kept elsewhere in the same memory, last used so long ago and
    /// expiring then; `None` if the policy does not let it go. Its uses are not counted: for LFU it is
    /// as if there had been none since.
    pub fn score_of_lodger(&self, idle_s: u64, expires: Option<Time>) -> Option<u64> {
        if self.config.eviction.is_volatile() && expires.is_none() {
            return None;
        }
        match self.config.eviction {
            Eviction::NoEviction | Eviction::Lru | Eviction::Fifo => None,
            Eviction::VolatileTtl => expires.map(|expires| u64::MAX - expires.0),
            policy if policy.is_frequency() => Some(frequency::score_unused(idle_s)),
            _ => Some(idle_s),
        }
    }

    /// Evicts an entry, if it is there.
    pub fn evict(&mut self, key: Key) {
        if let Some(place) = self.residents.find(key) {
            self.delete(place);
            self.counters.evicted += 1;
        }
    }

    /// How many entries the policy may evict.
    pub fn evictable(&self) -> u32 {
        if self.config.eviction == Eviction::NoEviction { 0 } else { self.eligible() }
    }

    /// Deletes `key` (an invalidation, Redis `DEL`); true if it was there.
    pub fn remove(&mut self, key: Key) -> bool {
        let Some(place) = self.residents.find(key) else { return false };
        self.delete(place);
        true
    }

    /// Forgets every entry: a cold restart. The counters go on.
    pub fn clear(&mut self) {
        self.residents.clear();
        self.candidates = Candidates::new();
        self.used_bytes = 0;
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
    /// Bytes occupied by values and overhead, expired ones not yet deleted included.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }
    /// Entries, expired ones not yet deleted included.
    pub fn entries(&self) -> u32 {
        self.residents.len()
    }

    /// Evicts until `key` may be written and says how many went; `None` if that cannot be.
    fn make_room(&mut self, now: Time, key: Key, draws: &mut impl FnMut() -> u64) -> Option<u32> {
        let in_process = self.config.eviction.is_in_process();
        let is_new = self.residents.find(key).is_none();
        let bytes = if in_process && is_new { self.entry_bytes(key.keyset) } else { 0 };
        let memory = self.config.memory.unwrap_or(u64::MAX);
        if bytes > memory {
            return None;
        }
        let entries_max = match self.config.max_entries {
            Some(most) if is_new => most,
            _ => u32::MAX,
        };
        let mut evicted = 0;
        while self.used_bytes > memory - bytes || self.entries() >= entries_max {
            let victim = self.victim(now, draws)?;
            self.delete(victim);
            self.counters.evicted += 1;
            evicted += 1;
        }
        Some(evicted)
    }

    /// The entry that goes next, if the policy lets any go.
    fn victim(&mut self, now: Time, draws: &mut impl FnMut() -> u64) -> Option<u32> {
        match self.config.eviction {
            Eviction::NoEviction => None,
            Eviction::Lru | Eviction::Fifo => self.residents.oldest(),
            Eviction::AllKeysRandom | Eviction::VolatileRandom => {
                let eligible = self.eligible();
                (eligible > 0).then(|| below(eligible, draws))
            }
            Eviction::AllKeysLru
            | Eviction::VolatileLru
            | Eviction::AllKeysLfu
            | Eviction::VolatileLfu
            | Eviction::VolatileTtl => self.sampled_victim(now, draws),
        }
    }

    /// How many entries the policy may evict: they are the first so many places.
    fn eligible(&self) -> u32 {
        if self.config.eviction.is_volatile() {
            self.residents.mortal()
        } else {
            self.residents.len()
        }
    }

    /// The best candidate after one more sample (evict.c, performEvictions): a candidate that is no
    /// longer resident is passed over, and one that has come back is taken all the same.
    ///
    /// Redis walks neighbouring buckets of its hash table for a sample; these draws are
    /// independent.
    fn sampled_victim(&mut self, now: Time, draws: &mut impl FnMut() -> u64) -> Option<u32> {
        let eligible = self.eligible();
        if eligible == 0 {
            return None;
        }
        loop {
            if eligible <= self.config.samples {
                (0..eligible).for_each(|place| self.offer(now, place));
            } else {
                for _ in 0..self.config.samples {
                    self.offer(now, below(eligible, draws));
                }
            }
            while let Some(key) = self.candidates.take_best() {
                if let Some(place) = self.residents.find(key)
                    && place < eligible
                {
                    return Some(place);
                }
            }
        }
    }

    fn offer(&mut self, now: Time, place: u32) {
        let score = self.score(now, place);
        self.candidates.offer(score, self.residents.at(place).key);
    }

    fn score(&self, now: Time, place: u32) -> u64 {
        let resident = self.residents.at(place);
        match self.config.eviction {
            Eviction::VolatileTtl => u64::MAX - resident.expires.0,
            policy if policy.is_frequency() => {
                255 - u64::from(frequency::decayed(resident.touched_s, now))
            }
            _ => u64::from(clock_s(now) - resident.touched_s),
        }
    }

    fn insert(&mut self, resident: Resident) {
        self.used_bytes += self.entry_bytes(resident.key.keyset);
        self.residents.insert(resident);
    }

    fn delete(&mut self, place: u32) {
        self.used_bytes -= self.entry_bytes(self.residents.at(place).key.keyset);
        self.residents.remove(place);
    }

    fn delete_expired(&mut self, place: u32) {
        self.delete(place);
        self.counters.expired += 1;
    }

    fn entry_bytes(&self, keyset: u32) -> u64 {
        self.keysets[keyset as usize].size_bytes + u64::from(self.config.overhead_bytes)
    }
}

/// Where the clock of recency stands at the start of a run, so that a warm store can hold entries
/// that were last used 68 years before it.
const CLOCK_START_S: u32 = 1 << 31;

/// The clock of recency (s): Redis keeps whole seconds (server.h, LRU_CLOCK_RESOLUTION), so entries
/// used within one second are equally idle to it.
fn clock_s(now: Time) -> u32 {
    CLOCK_START_S + (now.0 / TICKS_PER_SECOND) as u32
}

/// The end of a TTL; one that outlasts any run is no TTL.
fn deadline(now: Time, length: Duration) -> Time {
    Time(now.0.saturating_add(length.0))
}

/// A uniform integer in `0..bound`.
fn below(bound: u32, draws: &mut impl FnMut() -> u64) -> u32 {
    ((u128::from(draws()) * u128::from(bound)) >> 64) as u32
}

/// A uniform number strictly between 0 and 1.
fn unit(draws: &mut impl FnMut() -> u64) -> f64 {
    ((draws() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}
