//! Event lists under the HOLD model: pop the earliest event, push it back an exponential time
//! later.
//!
//! `cargo bench --bench event_list` prints nanoseconds a hold, the median of a few rounds.
//! Increments are drawn in the loop: a table of them walked in a cycle would be learnt by the
//! branch predictor.

use loadbearing::kernel::{Event, EventList, PendingEvents, ReferenceEventList};
use loadbearing::units::{Duration, Time};
use priority_queue::PriorityQueue;
use std::cmp::Reverse;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 7;

struct Draws(u64);

impl Draws {
    #[inline(always)]
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Exponential increments of a given mean, by a table of quantiles read at random.
struct Increments {
    draws: Draws,
    quantiles: Vec<Duration>,
}

impl Increments {
    fn new(mean: Duration) -> Increments {
        let quantile = |i: usize| mean.scale(-libm::log((i as f64 + 0.5) / 4096.0));
        Increments { draws: Draws(1), quantiles: (0..4096).map(quantile).collect() }
    }
    #[inline(always)]
    fn next(&mut self) -> Duration {
        let bits = self.draws.bits();
        self.quantiles[bits as usize % 4096] + Duration(bits >> 44)
    }
}

/// The crate that can change priorities in place, and hashes every item for it.
#[derive(Default)]
struct Hashed(PriorityQueue<u32, Reverse<Event>>);

impl PendingEvents for Hashed {
    fn push(&mut self, event: Event) {
        self.0.push(event.slot(), Reverse(event));
    }
    fn pop(&mut self) -> Option<Event> {
        self.0.pop().map(|(_, Reverse(event))| event)
    }
    fn peek(&mut self) -> Option<Event> {
        self.0.peek().map(|(_, &Reverse(event))| event)
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Nanoseconds a hold, and a checksum over what was popped.
fn hold<L: PendingEvents>(pending: u32, mean: Duration, holds: u64) -> (f64, u64) {
    let mut list = L::default();
    let mut increments = Increments::new(mean);
    for slot in 0..pending {
        list.push(Event::new(Time::ZERO + increments.next(), 0, slot, slot));
    }
    let mut checksum = 0u64;
    let mut step = |list: &mut L| {
        if let Some(event) = list.pop() {
            checksum = checksum.wrapping_mul(31).wrapping_add(event.0 as u64);
            let at = event.at() + increments.next();
            list.push(Event::new(at, 0, event.ordinal(), event.slot()));
        }
    };
    for _ in 0..(3 * pending as u64).max(10_000) {
        step(&mut list);
    }
    let start = Instant::now();
    for _ in 0..holds {
        step(&mut list);
    }
    let nanos = start.elapsed().as_nanos() as f64 / holds as f64;
    (nanos, black_box(checksum))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    println!("HOLD model, ns a hold (median of {ROUNDS} rounds)");
    println!("{:>9} {:>12} {:>12} {:>14}", "pending", "EventList", "BinaryHeap", "priority-queue");
    for pending in [10u32, 100, 1_000, 10_000, 100_000, 1_000_000] {
        // About one event a microsecond in all.
        let mean = Duration::micros(pending as u64);
        let holds = if pending < 1_000_000 { 1_000_000 } else { 2_000_000 };
        let mut nanos = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            let list = hold::<EventList>(pending, mean, holds);
            let heap = hold::<ReferenceEventList>(pending, mean, holds);
            assert_eq!(list.1, heap.1, "both lists pop the same events");
            nanos[0].push(list.0);
            nanos[1].push(heap.0);
            if nanos[2].len() < 3 {
                nanos[2].push(hold::<Hashed>(pending, mean, holds.min(300_000)).0);
            }
        }
        let [list, heap, hashed] = nanos.map(median);
        println!("{pending:>9} {list:>12.1} {heap:>12.1} {hashed:>14.1}");
    }
}
