//! The pending-event set: what is going to happen, in the one order in which it happens.

use crate::kernel::event::{Event, PendingEvents};

/// Bits of one digit: a crowded bucket splits into 2^6 narrower ones, one bit each of a word.
const DIGIT_BITS: u32 = 6;
const DIGITS: usize = 1 << DIGIT_BITS;
/// Digits of a 64-bit half. Levels count from the least significant digit of the key upwards.
const HALF_LEVELS: usize = 64usize.div_ceil(DIGIT_BITS as usize);
const LEVELS: usize = 2 * HALF_LEVELS;
/// Events in one chunk of a bucket's memory.
const CHUNK: usize = 32;
/// No chunk.
const NONE: u32 = u32::MAX;
/// A bucket of up to so many events is sorted as it is; a fuller one is split first.
const SPLIT_ABOVE: usize = 24;
/// Small neighbouring buckets are sorted together until there are at least so many events.
const BATCH: usize = 10;
/// The sorted part may grow to so many events; then its later half goes back into buckets.
const CROWDED: usize = 48;

/// One bucket: its newest chunk (older ones are full and follow it) and how many events it holds.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    chunk: u32,
    len: u32,
}
const EMPTY: Bucket = Bucket { chunk: NONE, len: 0 };

/// The pending-event set of the simulator: a few next events sorted, all later ones in buckets that
/// grow narrower towards the present.
///
/// A multi-level bucket list (the idea of the radix heap of Ahuja, Mehlhorn, Orlin and Tarjan, J.
/// ACM 37(2), 1990, and of the ladder queue of Tang, Goh and Thng, ACM TOMACS 15(3), 2005) over the
/// 22 digits of 6 bits of an event's integer:
/// - `near` holds, sorted, every event up to and including `boundary`. With few events that is all
///   of them, and the whole structure is one sorted array.
/// - A later event lies at the *level* of the highest digit in which it differs from `boundary`, in
///   the bucket of its own digit there, unsorted. Lower levels come before higher ones, and smaller
///   digits before larger ones, so the next bucket is two counts of trailing zeros away.
/// - When `near` has run out, the next bucket is opened: up to 24 events are sorted; more are first
///   split by the highest digit in which they differ. So bucket widths follow the events wherever
///   these are: there is no width to tune, no horizon, and no rebuilding, whatever the
///   spread of times. Ties in time are split by the digits of their keys like anything else.
/// - When `near` grows beyond 48 (an opened bucket was wide and much is scheduled within it), its
///   later half goes back into buckets.
///
/// An event is moved once for every level it crosses on its way down, 0 to 3 times in practice, and
/// then takes part in the sorting of about 16. Memory is one arena of chunks of 32 events: nothing
/// is allocated once the set has had its largest size.
#[derive(Clone, Debug)]
pub struct EventList {
    /// All events up to `boundary`, the latest first.
    near: Vec<Event>,
    boundary: Event,
    /// `LEVELS` rows of `DIGITS` buckets: all events after `boundary`.
    buckets: Vec<Bucket>,
    /// For every level, which of its buckets hold events.
    occupied: [u64; LEVELS],
    /// Which levels hold events.
    levels: u32,
    /// How many events all buckets hold.
    far: usize,
    /// The memory of the buckets: chunk `c` is `arena[c * CHUNK..][..CHUNK]`.
    arena: Vec<Event>,
    /// For every chunk the next one of its bucket, or of the free ones.
    next: Vec<u32>,
    free: u32,
    /// How many places events were moved, but for sorting: what the tests hold a bound to.
    #[cfg(test)]
    moves: u64,
}

impl Default for EventList {
    fn default() -> EventList {
        EventList::new()
    }
}

/// The highest level at which two different integers differ, and its digit in `event`.
#[inline(always)]
fn level_and_digit(difference: u128, event: Event) -> (usize, usize) {
    let (half, differing, base) = match (difference >> 64) as u64 {
        0 => (event.key(), difference as u64, 0),
        ticks => (event.ticks(), ticks, HALF_LEVELS),
    };
    let digit_index = (63 - (differing | 1).leading_zeros()) / DIGIT_BITS;
    (base + digit_index as usize, (half >> (digit_index * DIGIT_BITS)) as usize % DIGITS)
}

/// The digit of an event at a level.
#[inline(always)]
fn digit(event: Event, level: usize) -> usize {
    let (half, index) = match level.checked_sub(HALF_LEVELS) {
        None => (event.key(), level),
        Some(index) => (event.ticks(), index),
    };
    (half >> (index as u32 * DIGIT_BITS)) as usize % DIGITS
}

/// The last integer that shares all digits from `level` upwards with an event.
fn end_of_bucket(event: Event, level: usize) -> Event {
    let below =
        |index: usize| 1u64.checked_shl(index as u32 * DIGIT_BITS).map_or(!0, |bit| bit - 1);
    match level.checked_sub(HALF_LEVELS) {
        None => Event::from_parts(event.ticks(), event.key() | below(level)),
        Some(index) => Event::from_parts(event.ticks() | below(index), !0),
    }
}

impl EventList {
    /// An empty set.
    pub fn new() -> EventList {
        EventList {
            near: Vec::with_capacity(2 * CROWDED),
            boundary: Event::LAST,
            buckets: vec![EMPTY; LEVELS * DIGITS],
            occupied: [0; LEVELS],
            levels: 0,
            far: 0,
            arena: Vec::new(),
            next: Vec::new(),
            free: NONE,
            #[cfg(test)]
            moves: 0,
        }
    }

    /// Inserts into the sorted part: from the back, because what is scheduled now is often next.
    #[inline(always)]
    fn insert_near(&mut self, event: Event) {
        let mut index = self.near.len();
        self.near.push(event);
        let near = &mut self.near[..];
        while index > 0 && near[index - 1] < event {
            near[index] = near[index - 1];
            index -= 1;
        }
        near[index] = event;
        #[cfg(test)]
        {
            self.moves += (self.near.len() - index) as u64;
        }
    }

    /// Puts an event that comes after `boundary` into its bucket.
    #[inline(always)]
    fn place(&mut self, event: Event) {
        let (level, digit) = level_and_digit(event.0 ^ self.boundary.0, event);
        self.append(level, digit, event);
    }

    #[inline(always)]
    fn append(&mut self, level: usize, digit: usize, event: Event) {
        let index = level * DIGITS + digit;
        let Bucket { mut chunk, len } = self.buckets[index];
        let offset = len as usize % CHUNK;
        if offset == 0 {
            chunk = self.new_chunk(chunk);
            self.occupied[level] |= 1 << digit;
            self.levels |= 1 << level;
        }
        self.arena[chunk as usize * CHUNK + offset] = event;
        self.buckets[index] = Bucket { chunk, len: len + 1 };
        self.far += 1;
        #[cfg(test)]
        {
            self.moves += 1;
        }
    }

    /// A chunk without events that `older` follows.
    #[inline]
    fn new_chunk(&mut self, older: u32) -> u32 {
        if self.free == NONE {
            self.free = u32::try_from(self.next.len()).expect("fewer than 2^32 chunks");
            self.next.push(NONE);
            self.arena.resize(self.arena.len() + CHUNK, Event::LAST);
        }
        let chunk = self.free;
        self.free = self.next[chunk as usize];
        self.next[chunk as usize] = older;
        chunk
    }

    /// Unhooks a bucket, whose chunks the caller then empties.
    #[inline]
    fn take_bucket(&mut self, level: usize, digit: usize) -> Bucket {
        self.occupied[level] &= !(1 << digit);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
        let bucket = std::mem::replace(&mut self.buckets[level * DIGITS + digit], EMPTY);
        self.far -= bucket.len as usize;
        bucket
    }

    /// Takes the newest chunk off an unhooked bucket and frees it: its place in the arena and how
    /// many events it holds. They stay readable until the next chunk is asked for.
    #[inline]
    fn take_chunk(&mut self, bucket: &mut Bucket) -> Option<(usize, usize)> {
        let last = bucket.len.checked_sub(1)?;
        let chunk = bucket.chunk;
        let count = last as usize % CHUNK + 1;
        bucket.chunk = std::mem::replace(&mut self.next[chunk as usize], self.free);
        bucket.len -= count as u32;
        self.free = chunk;
        Some((chunk as usize * CHUNK, count))
    }

    /// Moves all events of an unhooked bucket to the buckets of another level, each to its digit
    /// there.
    fn spread(&mut self, mut bucket: Bucket, level: usize) {
        let mut copy = [Event::LAST; CHUNK];
        while let Some((start, count)) = self.take_chunk(&mut bucket) {
            copy[..count].copy_from_slice(&self.arena[start..start + count]);
            for &event in &copy[..count] {
                self.append(level, digit(event, level), event);
            }
        }
    }

    /// Opens the next buckets until the sorted part has a batch of events.
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        while self.levels != 0 && self.near.len() < BATCH {
            let level = self.levels.trailing_zeros() as usize;
            let digit = self.occupied[level].trailing_zeros() as usize;
            let len = self.buckets[level * DIGITS + digit].len as usize;
            if len + self.near.len() > SPLIT_ABOVE {
                if !self.near.is_empty() {
                    break;
                }
                if self.split(level, digit) {
                    continue;
                }
            }
            let mut bucket = self.take_bucket(level, digit);
            while let Some((start, count)) = self.take_chunk(&mut bucket) {
                self.near.extend_from_slice(&self.arena[start..start + count]);
            }
            self.boundary = end_of_bucket(self.near[self.near.len() - 1], level);
        }
        // Ascending first: the buckets came in ascending order, so this is nearly sorted.
        self.near.sort_unstable();
        self.near.reverse();
        if self.far == 0 {
            self.boundary = Event::LAST;
        }
    }

    /// Splits a bucket, the first of all, by the highest digit in which its events differ; false
    /// when they are all equal. All levels below are empty, and `boundary` moves when one of the
    /// parts is opened.
    fn split(&mut self, level: usize, digit: usize) -> bool {
        let Bucket { mut chunk, len } = self.buckets[level * DIGITS + digit];
        let mut count = (len as usize - 1) % CHUNK + 1;
        let sample = self.arena[chunk as usize * CHUNK];
        let mut difference = 0;
        while chunk != NONE {
            let start = chunk as usize * CHUNK;
            for event in &self.arena[start..start + count] {
                difference |= event.0 ^ sample.0;
            }
            chunk = self.next[chunk as usize];
            count = CHUNK;
        }
        if difference == 0 {
            return false;
        }
        let (lower, _) = level_and_digit(difference, sample);
        let bucket = self.take_bucket(level, digit);
        self.spread(bucket, lower);
        true
    }

    /// The sorted part is crowded: its later half goes back into buckets.
    #[cold]
    #[inline(never)]
    fn spill(&mut self) {
        let kept = self.near[self.near.len() / 2];
        let later = self.near.partition_point(|&event| event > kept);
        if later == 0 {
            return;
        }
        // Buckets below the level at which the new boundary differs from the old one were laid out
        // for the old one's digits: seen from the new one they are all one bucket. There are such
        // when events come before the bucket opened last, or spill follows spill.
        let (level, _) = level_and_digit(kept.0 ^ self.boundary.0, kept);
        loop {
            let lowest = self.levels.trailing_zeros() as usize;
            if lowest >= level {
                break;
            }
            let first = self.occupied[lowest].trailing_zeros() as usize;
            let bucket = self.take_bucket(lowest, first);
            self.spread(bucket, level);
        }
        self.boundary = kept;
        for index in 0..later {
            self.place(self.near[index]);
        }
        self.near.drain(..later);
    }
}

impl PendingEvents for EventList {
    #[inline]
    fn push(&mut self, event: Event) {
        if event <= self.boundary {
            self.insert_near(event);
            if self.near.len() > CROWDED {
                self.spill();
            }
        } else {
            self.place(event);
        }
    }
    #[inline]
    fn pop(&mut self) -> Option<Event> {
        if self.near.is_empty() && self.far > 0 {
            self.refill();
        }
        self.near.pop()
    }
    #[inline]
    fn peek(&mut self) -> Option<Event> {
        if self.near.is_empty() && self.far > 0 {
            self.refill();
        }
        self.near.last().copied()
    }
    fn len(&self) -> usize {
        self.near.len() + self.far
    }
    fn clear(&mut self) {
        self.near.clear();
        self.boundary = Event::LAST;
        self.buckets.fill(EMPTY);
        self.occupied = [0; LEVELS];
        self.levels = 0;
        self.far = 0;
        // Every chunk is free, the first one first.
        let chunks = self.next.len() as u32;
        for (chunk, next) in (0..).zip(&mut self.next) {
            *next = if chunk + 1 < chunks { chunk + 1 } else { NONE };
        }
        self.free = if chunks == 0 { NONE } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ReferenceEventList;
    use crate::units::{Duration, Time};

    const SECOND: u64 = Duration::secs(1).0;
    const DAY: u64 = 86_400 * SECOND;

    struct Draws(u64);

    impl Draws {
        fn bits(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
        fn below(&mut self, bound: u64) -> u64 {
            ((self.bits() as u128 * bound as u128) >> 64) as u64
        }
        fn exponential(&mut self, mean: u64) -> u64 {
            let uniform = (self.bits() >> 11) as f64 + 0.5;
            (mean as f64 * -libm::log(uniform / (1u64 << 53) as f64)) as u64
        }
    }

    /// A list and its oracle, held equal after every operation.
    struct Twins {
        list: EventList,
        oracle: ReferenceEventList,
        draws: Draws,
        operations: u64,
    }

    impl Twins {
        fn new(seed: u64) -> Twins {
            let (list, oracle) = (EventList::new(), ReferenceEventList::new());
            Twins { list, oracle, draws: Draws(seed), operations: 0 }
        }
        fn push(&mut self, ticks: u64) {
            let bits = self.draws.bits();
            let kind = (bits >> 58) as u8;
            let event = Event::new(Time(ticks), kind, bits as u32 >> 1, (bits >> 30) as u32 >> 5);
            self.push_event(event);
        }
        fn push_event(&mut self, event: Event) {
            self.operations += 1;
            self.list.push(event);
            self.oracle.push(event);
        }
        /// Pops from both; the time, or `None` at the end.
        fn pop(&mut self) -> Option<u64> {
            self.operations += 1;
            let event = self.list.pop();
            assert_eq!(event, self.oracle.pop());
            assert_eq!(self.list.len(), self.oracle.len());
            event.map(|event| event.at().0)
        }
        fn peek(&mut self) -> Option<u64> {
            let event = self.list.peek();
            assert_eq!(event, self.oracle.peek());
            event.map(|event| event.at().0)
        }
        fn hold(&mut self, count: u64, mut increment: impl FnMut(&mut Draws) -> u64) {
            for _ in 0..count {
                let now = self.pop().unwrap();
                let later = now + increment(&mut self.draws);
                self.push(later);
            }
        }
        /// Pops everything, and holds the work to a bound (moves an operation).
        fn finish(mut self, bound: f64) {
            while self.pop().is_some() {}
            assert!(self.list.is_empty() && self.list.boundary == Event::LAST);
            let moves = self.list.moves as f64 / self.operations as f64;
            assert!(moves < bound, "{moves:.1} moves an operation");
        }
    }

    #[test]
    fn any_operations_agree_with_the_oracle() {
        for seed in 0..60 {
            let mut twins = Twins::new(seed);
            let mut now = DAY;
            let scale = 1 << twins.draws.below(45);
            for _ in 0..8_000 {
                // Growing and shrinking in turns, through both regimes.
                let growing = (twins.operations >> (4 + seed % 8)) & 1;
                match twins.draws.below(16) {
                    0 => now = twins.peek().unwrap_or(now).clamp(DAY, u64::MAX / 4),
                    1 => twins.push(now),
                    2 => twins.push(now - now.min(twins.draws.0 % scale)),
                    3 => twins.push(now + DAY),
                    4 => twins.push_event(Event(0)),
                    5 => twins.push_event(Event::LAST),
                    choice if choice < 7 + 5 * growing => {
                        let increment = twins.draws.exponential(scale);
                        twins.push(now + increment);
                    }
                    _ => now = twins.pop().unwrap_or(now).clamp(DAY, u64::MAX / 4),
                }
            }
            twins.finish(8.0);
        }
    }

    #[test]
    fn hold_is_steady_at_every_size_and_spacing() {
        for pending in [1, 10, 24, 50, 100, 1_000, 30_000] {
            for spacing in [1, 37, 1_000, 1 << 22] {
                let mut twins = Twins::new(pending ^ spacing);
                let mean = pending * spacing;
                (0..pending).for_each(|_| twins.push(spacing));
                twins.hold(3 * pending + 1_000, |draws| draws.exponential(mean));
                twins.finish(8.0);
            }
        }
    }

    #[test]
    fn a_wide_open_bucket_fills_with_close_events() {
        let mut twins = Twins::new(1);
        (0..20_000).for_each(|second| twins.push(second * 30 * SECOND));
        // All within what was opened as one bucket of 30 s spacing.
        twins.pop();
        (0..800).for_each(|_| twins.push(SECOND));
        twins.hold(100_000, |draws| draws.exponential(800 * 200_000));
        twins.finish(3.0);
    }

    #[test]
    fn spacing_may_change_a_million_times_over() {
        let mut twins = Twins::new(2);
        (0..500).for_each(|_| twins.push(0));
        for round in 0..6 {
            let mean = if round % 2 == 0 { 500_000 } else { 500 * SECOND };
            twins.hold(5_000, |draws| draws.exponential(mean));
        }
        twins.finish(3.0);
    }

    #[test]
    fn constant_timeouts_wait_beyond_a_dense_present() {
        let mut twins = Twins::new(3);
        (0..100_000).for_each(|started| twins.push(started * 100_000));
        // Each timer starts again: all lie 30 s ahead, within 10 ms.
        twins.hold(300_000, |_| 30 * SECOND);
        (0..1_000).for_each(|_| twins.push(90 * SECOND));
        twins.hold(100_000, |draws| draws.exponential(100_000_000));
        twins.finish(3.0);
    }

    #[test]
    fn a_few_events_lie_far_away() {
        let mut twins = Twins::new(4);
        for far in 0..10 {
            twins.push(30 * SECOND + far);
            twins.push(7 * DAY + far * DAY);
        }
        (0..2_000).for_each(|_| twins.push(0));
        twins.hold(200_000, |draws| draws.exponential(2_000 * 100_000));
        twins.finish(3.0);
    }

    #[test]
    fn a_hundred_thousand_events_share_one_instant() {
        let mut twins = Twins::new(5);
        (0..100_000).for_each(|_| twins.push(SECOND));
        twins.hold(100_000, |_| 0);
        // Ties scheduled in ascending order while the first of them are already popped.
        for ordinal in 0..50_000 {
            twins.push_event(Event::new(Time(SECOND), 31, ordinal, 0));
            twins.pop();
        }
        twins.finish(3.0);
    }

    #[test]
    fn equal_events_are_all_kept() {
        let mut twins = Twins::new(6);
        let event = Event::new(Time(SECOND), 1, 2, 3);
        (0..10_000).for_each(|_| twins.push_event(event));
        twins.pop();
        for after in 0..1_000 {
            twins.push(SECOND + after);
            twins.push_event(event);
        }
        twins.finish(3.0);
    }

    #[test]
    fn events_may_be_pushed_before_what_was_looked_at() {
        let mut twins = Twins::new(7);
        (0..5_000).for_each(|far| twins.push(30 * SECOND + far * 1_000));
        for burst in 0..20 {
            // Looking opens a bucket 30 s ahead; then a burst comes before it, the latest first.
            assert_eq!(twins.peek(), Some(30 * SECOND));
            (0..500).rev().for_each(|step| twins.push(burst * SECOND + step * 1_000));
            (0..500).for_each(|_| assert!(twins.pop() < Some(30 * SECOND)));
        }
        // The far events are spread again after each burst: bounded, though not free.
        twins.finish(12.0);
    }

    #[test]
    fn bursts_come_and_drain() {
        let mut twins = Twins::new(8);
        for burst in 0..30 {
            let start = burst * SECOND;
            for _ in 0..3_000 {
                let within = twins.draws.below(1_000_000);
                twins.push(start + within);
            }
            while twins.list.len() > (burst as usize % 3) * 1_000 {
                twins.pop();
            }
        }
        twins.finish(3.0);
    }

    #[test]
    fn clearing_forgets_events_and_keeps_memory() {
        let mut twins = Twins::new(9);
        (0..5_000).for_each(|ticks| twins.push(ticks * 1_000));
        let chunks = twins.list.next.len();
        twins.list.clear();
        twins.oracle.clear();
        assert_eq!((twins.pop(), twins.list.len()), (None, 0));
        (0..5_000).for_each(|ticks| twins.push(ticks * 1_000));
        twins.hold(20_000, |draws| draws.exponential(5_000_000));
        assert!(twins.list.next.len() < chunks + 200, "{} chunks", twins.list.next.len());
        twins.finish(3.0);
    }
}
