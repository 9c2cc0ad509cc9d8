//! Requests per CPU-second of the full engine, on topologies read from files and with everything
//! that a run measures, beside loops written by hand for one model each.
//!
//! The hand-written loops know their topology at compile time, keep only a latency histogram, and
//! are checked to agree with the engine's mean. Rounds alternate, so that a noisy machine slows
//! both; the ratio of a round is the figure to trust.

use std::collections::VecDeque;
use std::fs;

use loadbearing::kernel::{Event, EventList, PendingEvents};
use loadbearing::model::{Model, compile};
use loadbearing::run::{Unwatched, replicate};
use loadbearing::stats::Histogram;
use loadbearing::stream::{Draws, Seed};
use loadbearing::topology;
use loadbearing::units::{Duration, TICKS_PER_SECOND, Time};
use loadbearing::variate::exponential;

const ROUNDS: usize = 7;

fn main() {
    println!("requests per CPU-second; medians of {ROUNDS} alternating rounds\n");
    println!("{:46} {:>10} {:>10} {:>7} {:>8}", "model", "by hand", "engine", "ratio", "ns/event");
    compare("mm1", by_hand::mm1);
    compare("mm20", by_hand::mm20);
    compare("web", by_hand::web);
}

/// Time on a processor of this thread [s].
fn cpu_s() -> f64 {
    let text =
        fs::read_to_string("/proc/thread-self/schedstat").expect("Linux accounts for threads");
    let nanos = text.split_whitespace().next().expect("three numbers");
    nanos.parse::<f64>().expect("a number") * 1e-9
}

fn load(name: &str) -> Model {
    let path = format!("{}/benches/topologies/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut read = |path: &str| fs::read_to_string(path).map_err(|error| error.to_string());
    let loaded = topology::load(&path, &[], &mut read);
    compile(&loaded.topology.expect("the bench's own topologies are sound"))
}

fn compare(name: &str, by_hand: fn(u64, u64) -> Histogram) {
    let model = load(name);
    let (mut hand, mut engine, mut ratio, mut event) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let start = cpu_s();
        let outcome = replicate(&model, round as u32, &mut Unwatched);
        let middle = cpu_s();
        let all = outcome.latency.count() as f64 * 1.005; // the warm-up is half a per cent or less
        let reference = by_hand(round as u64, all as u64);
        let end = cpu_s();
        agree(name, &outcome.latency, &reference);
        engine.push(all / (middle - start));
        hand.push(reference.count() as f64 / (end - middle));
        ratio.push(engine[round] / hand[round]);
        event.push((middle - start) * 1e9 / outcome.events as f64);
    }
    println!(
        "{:46} {:>9.2}M {:>9.2}M {:>7.2} {:>8.0}",
        model.title,
        median(&mut hand) / 1e6,
        median(&mut engine) / 1e6,
        median(&mut ratio),
        median(&mut event),
    );
}

/// Both must be the same model: means within 5 %, which is several standard errors here.
fn agree(name: &str, engine: &Histogram, hand: &Histogram) {
    let means = (engine.mean_s().unwrap_or(0.0), hand.mean_s().unwrap_or(0.0));
    let apart = (means.0 / means.1 - 1.0).abs();
    assert!(apart < 0.05, "{name}: the engine says {} s, the loop by hand {} s", means.0, means.1);
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The models, each written out as one loop.
mod by_hand {
    use super::*;

    const SECOND: f64 = TICKS_PER_SECOND as f64;

    fn draws(seed: u64) -> Draws {
        Seed(seed).replication(0).named("by hand").draw(0)
    }
    fn exp(draws: &mut Draws, mean_s: f64) -> u64 {
        (exponential(draws) * mean_s * SECOND) as u64
    }

    /// Two events at a time, the next arrival and the next departure, each in a variable.
    pub fn mm1(seed: u64, requests: u64) -> Histogram {
        let mut random = draws(seed);
        let mut latency = Histogram::new();
        let mut queue: VecDeque<u64> = VecDeque::new();
        let mut arrival = exp(&mut random, 1.0 / 800.0);
        let mut departure = u64::MAX;
        while latency.count() < requests {
            if arrival < departure {
                if queue.is_empty() {
                    departure = arrival + exp(&mut random, 0.001);
                }
                queue.push_back(arrival);
                arrival += exp(&mut random, 1.0 / 800.0);
            } else {
                let begun = queue.pop_front().expect("somebody departs");
                latency.record(Duration(departure - begun));
                departure = match queue.front() {
                    Some(_) => departure + exp(&mut random, 0.001),
                    None => u64::MAX,
                };
            }
        }
        latency
    }

    /// Departures in one small sorted list, the next arrival in a variable.
    pub fn mm20(seed: u64, requests: u64) -> Histogram {
        let mut random = draws(seed);
        let mut latency = Histogram::new();
        let mut queue: VecDeque<u64> = VecDeque::new();
        let mut busy: Vec<(u64, u64)> = Vec::new(); // (departure, arrival), latest first
        let mut arrival = exp(&mut random, 1.0 / 1800.0);
        let start = |busy: &mut Vec<(u64, u64)>, job: (u64, u64)| {
            let place = busy.iter().rposition(|other| other.0 > job.0).map_or(0, |place| place + 1);
            busy.insert(place, job);
        };
        while latency.count() < requests {
            let departs = busy.last().map_or(u64::MAX, |job| job.0);
            if arrival < departs {
                if busy.len() < 20 {
                    let job = (arrival + exp(&mut random, 0.01), arrival);
                    start(&mut busy, job);
                } else {
                    queue.push_back(arrival);
                }
                arrival += exp(&mut random, 1.0 / 1800.0);
            } else {
                let (now, begun) = busy.pop().expect("somebody departs");
                latency.record(Duration(now - begun));
                if let Some(next) = queue.pop_front() {
                    let job = (now + exp(&mut random, 0.01), next);
                    start(&mut busy, job);
                }
            }
        }
        latency
    }

    #[derive(Clone, Copy, Default)]
    struct Request {
        arrival: u64,
        on: usize,
        second: bool,
    }
    #[derive(Default)]
    struct Loop {
        busy: bool,
        queue: VecDeque<u32>,
        connections: u32,
        waiters: VecDeque<u32>,
    }
    const ARRIVE: u8 = 0;
    const LAND: u8 = 1;
    const CPU: u8 = 2;
    const IN: u8 = 3;
    const OUT: u8 = 4;
    const BACK: u8 = 5;
    const REPLY: u8 = 6;

    struct Web {
        events: EventList,
        random: Draws,
        requests: Vec<Request>,
        free: Vec<u32>,
        loops: [Loop; 4],
        shared: loadbearing::kernel::ProcessorSharing,
        armed: Time,
    }

    impl Web {
        fn push(&mut self, at: u64, kind: u8, slot: u32) {
            self.events.push(Event::new(Time(at), kind, 0, slot));
        }
        fn ready(&mut self, now: u64, slot: u32) {
            let on = self.requests[slot as usize].on;
            if self.loops[on].busy {
                self.loops[on].queue.push_back(slot);
            } else {
                self.loops[on].busy = true;
                self.compute(now, slot);
            }
        }
        fn compute(&mut self, now: u64, slot: u32) {
            let mean = if self.requests[slot as usize].second { 0.0004 } else { 0.0008 };
            let at = now + exp(&mut self.random, mean);
            self.push(at, CPU, slot);
        }
        fn arm(&mut self) {
            if let Some(at) = self.shared.next_departure().filter(|at| *at != self.armed) {
                self.armed = at;
                self.push(at.0, OUT, 0);
            }
        }
    }

    /// The reference model: one enum of events, one match, arrays.
    pub fn web(seed: u64, requests: u64) -> Histogram {
        let us = |count: u64| Duration::micros(count).0;
        let mut latency = Histogram::new();
        let mut web = Web {
            events: EventList::new(),
            random: draws(seed),
            requests: Vec::new(),
            free: Vec::new(),
            loops: Default::default(),
            shared: loadbearing::kernel::ProcessorSharing::new(8.0, 0.0, 0.0),
            armed: Time::NEVER,
        };
        let mut rotation = 0;
        web.push(0, ARRIVE, 0);
        while latency.count() < requests {
            let event = web.events.pop().expect("arrivals never end");
            let (now, slot) = (event.at().0, event.slot());
            match event.kind() {
                ARRIVE => {
                    let slot = web.free.pop().unwrap_or_else(|| {
                        web.requests.push(Request::default());
                        web.requests.len() as u32 - 1
                    });
                    web.requests[slot as usize] =
                        Request { arrival: now, on: rotation, second: false };
                    rotation = (rotation + 1) % 4;
                    web.push(now + us(250), LAND, slot);
                    let next = now + exp(&mut web.random, 1.0 / 2400.0);
                    web.push(next, ARRIVE, 0);
                }
                LAND => web.ready(now, slot),
                CPU => {
                    let on = web.requests[slot as usize].on;
                    if web.requests[slot as usize].second {
                        web.push(now + us(250), REPLY, slot);
                    } else if web.loops[on].connections < 5 {
                        web.loops[on].connections += 1;
                        web.push(now + us(100), IN, slot);
                    } else {
                        web.loops[on].waiters.push_back(slot);
                    }
                    match web.loops[on].queue.pop_front() {
                        Some(next) => web.callback(now, next),
                        None => web.loops[on].busy = false,
                    }
                }
                IN => {
                    let work = Duration(exp(&mut web.random, 0.003));
                    web.shared.add(Time(now), work, slot);
                    web.arm();
                }
                OUT => {
                    if web.armed == Time(now) {
                        web.armed = Time::NEVER;
                        while let Some(slot) = web.shared.depart(Time(now)) {
                            web.push(now + us(100), BACK, slot);
                        }
                        web.arm();
                    }
                }
                BACK => {
                    web.requests[slot as usize].second = true;
                    let on = web.requests[slot as usize].on;
                    if web.loops[on].busy {
                        web.loops[on].queue.push_back(slot);
                    } else {
                        web.loops[on].busy = true;
                        web.callback(now, slot);
                    }
                }
                _ => {
                    let begun = web.requests[slot as usize].arrival;
                    latency.record(Duration(now - begun));
                    web.free.push(slot);
                }
            }
        }
        latency
    }

    impl Web {
        /// A callback that has the loop: one that comes back from the database first releases its
        /// connection, to the oldest waiter if there is one.
        fn callback(&mut self, now: u64, slot: u32) {
            let request = self.requests[slot as usize];
            if request.second {
                match self.loops[request.on].waiters.pop_front() {
                    Some(next) => self.push(now + Duration::micros(100).0, IN, next),
                    None => self.loops[request.on].connections -= 1,
                }
            }
            self.compute(now, slot);
        }
    }
}
