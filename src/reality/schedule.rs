//! Schedules of a load generator, made anew from their seeds.
//!
//! The generator that made the measurements (`reality/README.md`) draws all it sends from splitmix64
//! streams (Steele, Lea and Flood 2014), so a seed is enough to know when each request came, what it
//! was and how long its work was meant to take, to the bit of the generator's integers.

use super::cell::{Cell, Law, Mode};
use crate::units::{Duration, Time};

/// The step of splitmix64: 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// What tells the streams of a run apart.
const APART: u64 = 0xD1B5_4A32_D192_ED03;

/// The stream of the gaps between arrivals of an open loop.
const ARRIVALS: u64 = 1;
/// Its stream of service times.
const SERVICES: u64 = 2;
/// Its stream of classes.
const CLASSES: u64 = 3;
/// Its stream of keys.
const KEYS: u64 = 4;
/// The first stream of the first user of a closed loop; each user has eight.
const USERS: u64 = 100;
/// The stream of the first request's pauses between attempts.
const RETRIES: u64 = 1_000;

/// One stream of a run's random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// Stream number `stream` of the run with that seed.
    pub fn new(seed: u64, stream: u64) -> Stream {
        let state = seed.wrapping_mul(GOLDEN) ^ stream.wrapping_mul(APART);
        let mut fresh = Stream { state };
        fresh.bits();
        fresh
    }
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        let z = self.state;
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// Uniform between 0 and 1, neither included.
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
    fn exponential(&mut self) -> f64 {
        -libm::log(self.uniform())
    }
    /// A length of time (ms) of a law; a constant takes a number too.
    fn length_ms(&mut self, law: &Law) -> f64 {
        match law {
            Law::Exponential { mean } => self.exponential() * mean,
            Law::Fixed { mean } => {
                self.uniform();
                *mean
            }
            Law::Lognormal { mean, cv } => {
                let variance = libm::log1p(cv * cv);
                let radius = libm::sqrt(-2.0 * libm::log(self.uniform()));
                let normal = radius * libm::cos(2.0 * std::f64::consts::PI * self.uniform());
                let sigma = libm::sqrt(variance);
                libm::exp(libm::log(*mean) - variance / 2.0 + sigma * normal)
            }
        }
    }
    /// Which of the alternatives with those cumulative weights.
    fn choose(&mut self, cumulative: &[f64]) -> usize {
        let all = cumulative.last().copied().unwrap_or(0.0);
        let at = self.uniform() * all;
        cumulative.partition_point(|sum| *sum <= at).min(cumulative.len().saturating_sub(1))
    }
}

/// A request as it was meant to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// When it comes; in a closed loop, how long its user thinks before it.
    pub after: Duration,
    /// The number of its class.
    pub class: usize,
    /// How long its work takes (nominal).
    pub work: Duration,
    /// The key that it asks for, by rank from 0.
    pub key: u32,
}

/// All requests of one run.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// In the order of their arrivals.
    Open(Vec<Planned>),
    /// User by user.
    Closed(Vec<Vec<Planned>>),
}

impl Schedule {
    /// The schedule of the run of a cell with that seed, up to the cell's end.
    pub fn new(cell: &Cell, seed: u64) -> Schedule {
        match &cell.load.mode {
            Mode::Open { segments } => Schedule::Open(open(cell, segments, seed)),
            Mode::Closed { users, think_ms } => {
                let user = |user| turns(cell, seed, u64::from(user), *think_ms);
                Schedule::Closed((0..*users).map(user).collect())
            }
        }
    }
    /// All requests by their numbers.
    pub fn requests(&self) -> impl Iterator<Item = &Planned> {
        let (open, closed) = match self {
            Schedule::Open(requests) => (Some(requests), None),
            Schedule::Closed(users) => (None, Some(users)),
        };
        open.into_iter().flatten().chain(closed.into_iter().flatten().flatten())
    }
    /// The uniform numbers that the pauses of each request are made of: `each` for each.
    pub fn pauses(&self, seed: u64, each: u32) -> Vec<f64> {
        let of = |request: u64| {
            let mut stream = Stream::new(seed, RETRIES + request);
            (0..each).map(move |_| stream.uniform())
        };
        (0..self.requests().count() as u64).flat_map(of).collect()
    }
}

fn open(cell: &Cell, segments: &[(f64, f64)], seed: u64) -> Vec<Planned> {
    let stream = |number| Stream::new(seed, number);
    let (mut services, mut classes, mut keys) = (stream(SERVICES), stream(CLASSES), stream(KEYS));
    let weights = cell.load.cumulative_weights();
    let popularity = cell.load.cumulative_popularity();
    instants(segments, cell.end_s, &mut stream(ARRIVALS))
        .into_iter()
        .map(|at_s| {
            let class = classes.choose(&weights);
            Planned {
                after: Duration::from_secs_f64(at_s),
                class,
                work: milliseconds(services.length_ms(&cell.load.classes[class].law)),
                key: keys.choose(&popularity) as u32,
            }
        })
        .collect()
}

/// Instants (s) of a Poisson stream whose rate (1/s) changes at the start of each segment: what is
/// left of a unit exponential carries over.
fn instants(segments: &[(f64, f64)], end_s: f64, gaps: &mut Stream) -> Vec<f64> {
    let mut instants = Vec::new();
    let mut now = 0.0;
    let mut left = gaps.exponential();
    for (place, (_, rate)) in segments.iter().enumerate() {
        let until = segments.get(place + 1).map_or(end_s, |next| next.0.min(end_s));
        while now + left / rate < until {
            now += left / rate;
            instants.push(now);
            left = gaps.exponential();
        }
        left -= (until - now) * rate;
        now = until;
    }
    instants
}

/// The turns of one user, more of them than time allows.
fn turns(cell: &Cell, seed: u64, user: u64, think_ms: f64) -> Vec<Planned> {
    let stream = |number| Stream::new(seed, USERS + 8 * user + number);
    let (mut thoughts, mut services) = (stream(0), stream(1));
    let (mut classes, mut keys) = (stream(2), stream(3));
    let weights = cell.load.cumulative_weights();
    let popularity = cell.load.cumulative_popularity();
    let mut turns = Vec::new();
    let mut thought_ms = 0.0;
    while thought_ms < 1e3 * cell.end_s {
        let think = thoughts.exponential() * think_ms;
        thought_ms += think;
        let class = classes.choose(&weights);
        turns.push(Planned {
            after: milliseconds(think),
            class,
            work: milliseconds(services.length_ms(&cell.load.classes[class].law)),
            key: keys.choose(&popularity) as u32,
        });
    }
    turns
}

fn milliseconds(length: f64) -> Duration {
    Duration::from_secs_f64(length / 1e3)
}

/// An instant of a run (s from its start).
pub fn instant(at_s: f64) -> Time {
    Time::ZERO + Duration::from_secs_f64(at_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The reference implementation's first numbers from the state 1234567 (Vigna, splitmix64.c).
        let mut stream = Stream { state: 1_234_567 };
        let first: Vec<u64> = (0..3).map(|_| stream.bits()).collect();
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn streams_differ_and_drop_their_first_number() {
        let mut whole = Stream { state: 5_u64.wrapping_mul(GOLDEN) ^ 3_u64.wrapping_mul(APART) };
        whole.bits();
        let mut dropped = Stream::new(5, 3);
        assert_eq!(dropped.bits(), whole.bits());
        assert_ne!(Stream::new(5, 4).bits(), Stream::new(5, 3).bits());
        let uniform = Stream::new(5, 3).uniform();
        assert!(uniform > 0.0 && uniform < 1.0);
    }

    #[test]
    fn what_is_left_of_a_gap_carries_over() {
        // One unit exponential after another, whatever the rates are: the area under the rate.
        let (mut gaps, mut same) = (Stream::new(9, ARRIVALS), Stream::new(9, ARRIVALS));
        let segments = [(0.0, 10.0), (1.0, 100.0), (2.0, 5.0)];
        let area = |at: f64| match at {
            _ if at < 1.0 => 10.0 * at,
            _ if at < 2.0 => 10.0 + 100.0 * (at - 1.0),
            _ => 110.0 + 5.0 * (at - 2.0),
        };
        let mut sum = 0.0;
        for at in instants(&segments, 10.0, &mut gaps) {
            sum += same.exponential();
            assert!((area(at) - sum).abs() < 1e-9, "{at}");
        }
        assert!((sum - 150.0).abs() < 50.0);
    }

    #[test]
    fn laws_have_their_moments() {
        let law = Law::Lognormal { mean: 40.0, cv: 2.0 };
        let mut stream = Stream::new(1, SERVICES);
        let drawn: Vec<f64> = (0..200_000).map(|_| stream.length_ms(&law)).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        assert!((mean / 40.0 - 1.0).abs() < 0.02, "{mean}");
        assert_eq!(Stream::new(1, 2).length_ms(&Law::Fixed { mean: 5.0 }), 5.0);
    }
}
