//! Which target takes the next request.
//!
//! | policy | follows |
//! |---|---|
//! | round robin | ALB's default; the rotation of one balancer node |
//! | weighted round robin | nginx, "smooth" (`ngx_http_upstream_get_peer`) |
//! | random | Envoy `RANDOM` |
//! | least outstanding | ALB least outstanding requests; ties in rotation |
//! | least connections | the fewest open connections, idle ones included |
//! | random two | nginx `random two least_conn`: of two drawn by weight, never the same, the one with fewer requests for its weight (`ngx_http_upstream_get_random2_peer`) |
//! | choices | Envoy `LEAST_REQUEST`: the best of two at random; with unequal weights, earliest deadlines of weight / (active + 1)^bias |
//! | hash | HAProxy `balance source` and `uri`, hash-type map-based: the hash modulo the weights (`map_get_server_hash`) |
//! | rehash | nginx `hash`: the hash modulo the weights of all that are registered, and another hash where that one is out, up to 20 times (`ngx_http_upstream_get_hash_peer`) |
//! | ring hash | nginx `hash ... consistent` (ketama): 160 points a unit of weight; Envoy and HAProxy bound its loads |
//! | Maglev | Envoy `MAGLEV`: a table of 65,537 places |
//! | peak EWMA | linkerd2-proxy: the cheaper of two at random, by latency x (outstanding + 1) |
//! | sticky | a cookie: pinned after a first choice by any of the above, until it expires |
//!
//! Targets that are not available take no part: the others share their turns evenly. Where none is,
//! there is no choice; a balancer that then sends to all of them (ALB does) marks all available.

mod drawn;
mod hashing;
pub mod health;
mod pins;
#[cfg(test)]
mod tests;
mod turns;

use crate::units::{Duration, Time};
pub use hashing::Points;
use hashing::{Ring, Table};
pub use pins::Stay;
use pins::{Pin, Pins, UNPINNED};
use turns::{earliest, in_turn, least, smooth};

/// What a balancer knows of one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Requests that were sent to it and not answered.
    pub outstanding: u32,
    /// Whether it may be chosen: it is registered, healthy and not draining.
    pub available: bool,
    /// Whether it is registered, healthy or not.
    pub member: bool,
    /// Its share relative to others, for the weighted policies.
    pub weight: u32,
    /// Connections to it that are open, idle ones included.
    pub connections: u32,
    /// Since when its share grows, where it starts slowly.
    since: Option<Time>,
}

/// How a new target comes to its share.
#[derive(Clone, Copy, Debug)]
pub struct SlowStart {
    /// Over which time it grows.
    pub over: Duration,
    /// Also where no target has its whole share: HAProxy (3.0, src/server.c, `server_recalc_eweight`) and Envoy
    /// know no exception; at an ALB a target starts slowly only beside one that does not (User Guide, "Slow
    /// start mode").
    pub alone: bool,
}

/// The targets of one service, as one balancer node sees them. A target keeps its number for good.
#[derive(Clone, Default, Debug)]
pub struct Targets {
    all: Vec<Target>,
    /// Numbers of the available ones, ascending.
    available: Vec<u32>,
    /// How the share of a new target grows to its whole.
    slow_start: Option<SlowStart>,
    /// Tells one set of available targets from the next.
    version: u32,
    /// Requests that were sent and not answered.
    outstanding: u32,
}

impl Targets {
    /// Targets with these weights, all available.
    pub fn new(weights: &[u32]) -> Targets {
        let mut targets = Targets::default();
        for &weight in weights {
            targets.add(weight);
        }
        targets
    }

    /// A new target, available at once; returns its number.
    ///
    /// # Panics
    /// If the weight is zero: a target without a share is one that is not available.
    pub fn add(&mut self, weight: u32) -> u32 {
        assert!(weight > 0, "a target has a share");
        let number = self.all.len() as u32;
        self.all.push(Target {
            outstanding: 0,
            available: true,
            member: true,
            weight,
            connections: 0,
            since: None,
        });
        self.available.push(number);
        self.version += 1;
        number
    }

    /// A target comes (back) into or goes out of the choice. Requests that it has stay with it.
    pub fn set_available(&mut self, target: u32, available: bool) {
        self.all[target as usize].available = available;
        self.set_open(target, available);
    }

    /// A target is registered, or taken out.
    pub fn set_member(&mut self, target: u32, member: bool) {
        self.all[target as usize].member = member;
    }

    /// A target may be chosen anew or not. Whoever has been pinned to it keeps to it as long as it is
    /// available.
    pub fn set_open(&mut self, target: u32, open: bool) {
        match (self.available.binary_search(&target), open) {
            (Err(place), true) => self.available.insert(place, target),
            (Ok(place), false) => drop(self.available.remove(place)),
            _ => return,
        }
        self.version += 1;
    }

    /// Whether a target may be chosen anew.
    pub fn is_open(&self, target: u32) -> bool {
        self.available.binary_search(&target).is_ok()
    }

    /// Takes a target out of the choice, if that leaves one; says so, for [`readmit`](Self::readmit).
    pub fn avoid(&mut self, target: u32) -> Option<(u32, bool)> {
        let open = self.is_open(target);
        let others = self.available.len() - usize::from(open);
        let avoids = others > 0 && self.all[target as usize].available;
        avoids.then(|| {
            self.set_available(target, false);
            (target, open)
        })
    }
    /// A target that was avoided takes part again.
    pub fn readmit(&mut self, (target, open): (u32, bool)) {
        self.all[target as usize].available = true;
        self.set_open(target, open);
    }

    /// From now on the share of a target that becomes available grows.
    pub fn start_slowly(&mut self, how: Option<SlowStart>) {
        self.slow_start = how;
    }
    /// A target has become available that takes its share slowly, or at once where nobody else has a whole one.
    pub fn begins(&mut self, target: u32, now: Time) {
        let Some(SlowStart { alone, .. }) = self.slow_start else { return };
        let mut others = self.available.iter().filter(|other| **other != target);
        let slowly = alone || others.any(|other| self.grown(*other, now) >= 1.0);
        self.all[target as usize].since = slowly.then_some(now);
    }
    /// The part of its share that a target takes now: it grows evenly from nothing to all of it.
    pub fn grown(&self, target: u32, now: Time) -> f64 {
        let begun = self.slow_start.zip(self.all[target as usize].since);
        let grown =
            |(how, since): (SlowStart, Time)| now.since(since).seconds() / how.over.seconds();
        begun.map_or(1.0, |begun| grown(begun).min(1.0))
    }
    /// Connections to a target open (1) or close (-1).
    #[inline]
    pub fn connect(&mut self, target: u32, change: i32) {
        let open = &mut self.all[target as usize].connections;
        *open = open.checked_add_signed(change).expect("what closes was open");
    }

    /// A request is sent to a target.
    #[inline]
    pub fn sent(&mut self, target: u32) {
        self.all[target as usize].outstanding += 1;
        self.outstanding += 1;
    }

    /// A request of a target is answered, or given up.
    #[inline]
    pub fn answered(&mut self, target: u32) {
        let outstanding = &mut self.all[target as usize].outstanding;
        assert!(*outstanding > 0, "the target had a request");
        *outstanding -= 1;
        self.outstanding -= 1;
    }

    /// One target.
    pub fn get(&self, target: u32) -> &Target {
        &self.all[target as usize]
    }
    /// Requests at all of them.
    pub fn all_outstanding(&self) -> u32 {
        self.outstanding
    }
    /// How many there are, available or not.
    pub fn len(&self) -> u32 {
        self.all.len() as u32
    }
    /// True if there never was one.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
    /// How many may be chosen.
    pub fn available(&self) -> u32 {
        self.available.len() as u32
    }

    /// All have the same weight.
    fn is_even(&self) -> bool {
        self.all.iter().all(|target| target.weight == self.all[0].weight)
    }
    /// Whether a target may get another request: it has not yet `bound` times the mean, rounded up.
    fn has_room(&self, target: u32, bound: Option<f64>) -> bool {
        let Some(bound) = bound else { return true };
        let sum: u32 = self.available.iter().map(|target| self.outstanding(*target)).sum();
        let mean = (f64::from(sum) + 1.0) / self.available.len() as f64;
        f64::from(self.outstanding(target)) < (bound * mean).ceil()
    }

    fn outstanding(&self, target: u32) -> u32 {
        self.all[target as usize].outstanding
    }

    /// The place among the available targets of number `next`, or of the first one after it.
    fn turn(&self, next: u32) -> usize {
        let place = if self.available.len() == self.all.len() {
            next as usize
        } else {
            self.available.partition_point(|&target| target < next)
        };
        if place < self.available.len() { place } else { 0 }
    }
}

/// How a balancer chooses.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Policy {
    /// The next one in rotation.
    RoundRobin,
    /// In rotation by weight, interleaved as evenly as possible.
    WeightedRoundRobin,
    /// Any, with equal chances.
    Random,
    /// The one with the fewest requests for its weight; of several such, the next in rotation.
    LeastOutstanding,
    /// The one with the fewest connections for its weight; of several such, the next in rotation.
    LeastConnections,
    /// Of so many drawn at random (perhaps the same one twice), the one with the fewest requests. Of
    /// unequal weights, the one whose turn comes first by weight / (requests + 1)^bias.
    Choices {
        /// How many are drawn.
        count: u32,
        /// How much requests weigh against weights.
        bias: f64,
    },
    /// Of two different ones drawn by weight, the one with fewer requests for its weight.
    RandomTwo,
    /// The one at the place in a list of all registered, as often as their weights, that a hash of the key
    /// names; where that one is out, another hash. One that is out moves only its own keys, one that is
    /// taken out nearly all.
    Rehash,
    /// The one at the place in a list of all available, as often as their weights, that a hash of the key
    /// names. A target that comes or goes moves nearly all keys.
    Hash,
    /// The one that a hash of the key falls to. A target that comes or goes moves only the keys
    /// that it gets or had. With a bound, one with more than so many times the mean of requests is
    /// passed over.
    RingHash {
        /// The bound, as a multiple of the mean.
        bound: Option<f64>,
        /// What stands for targets on the ring.
        points: Points,
    },
    /// The one that a table of hashes names; a target that comes or goes moves about twice the keys of
    /// a ring.
    Maglev {
        /// The bound, as a multiple of the mean.
        bound: Option<f64>,
    },
    /// Of two drawn at random, the one with the smaller product of latency and requests.
    PeakEwma {
        /// How fast a peak is forgotten.
        decay: Duration,
        /// The latency of a target that has not answered yet.
        first: Duration,
    },
}

impl Policy {
    /// The better of two at random: Envoy's default for `LEAST_REQUEST`.
    pub const TWO_CHOICES: Policy = Policy::Choices { count: 2, bias: 1.0 };
}

enum Chooser {
    /// `next`: the number of the target whose turn it is, or the first available one after it.
    RoundRobin {
        next: u32,
    },
    WeightedRoundRobin {
        current: Vec<i64>,
    },
    Random,
    Least {
        next: u32,
        connections: bool,
    },
    Choices {
        count: u32,
        bias: f64,
        /// Of unequal weights: when the turn of each comes.
        deadlines: Vec<f64>,
        present: f64,
    },
    /// `next`: whose turn it is where nobody is found otherwise.
    RandomTwo {
        next: u32,
    },
    /// See `RandomTwo`.
    Rehash {
        next: u32,
    },
    Hash,
    Ring(Ring),
    Table(Table),
    PeakEwma {
        decay: Duration,
        first: Duration,
        seen: Vec<Ewma>,
    },
}

/// The latency of one target: a peak is adopted at once, and decays.
#[derive(Clone, Copy)]
struct Ewma {
    latency_s: f64,
    at: Time,
}

impl Ewma {
    /// What is left of it, moved towards `sample` (tower `peak_ewma.rs`, as linkerd2-proxy uses it).
    fn moved(self, sample_s: f64, now: Time, decay: Duration) -> f64 {
        let kept = libm::exp(-(now.since(self.at).seconds() / decay.seconds()));
        self.latency_s * kept + sample_s * (1.0 - kept)
    }
}

/// One balancer node at work.
pub struct Balancer {
    chooser: Chooser,
    pins: Option<Pins>,
}

impl Balancer {
    /// A balancer that chooses anew for every request.
    pub fn new(policy: Policy) -> Balancer {
        let chooser = match policy {
            Policy::RoundRobin => Chooser::RoundRobin { next: 0 },
            Policy::WeightedRoundRobin => Chooser::WeightedRoundRobin { current: Vec::new() },
            Policy::Random => Chooser::Random,
            Policy::LeastOutstanding => Chooser::Least { next: 0, connections: false },
            Policy::LeastConnections => Chooser::Least { next: 0, connections: true },
            Policy::Choices { count, bias } => {
                Chooser::Choices { count, bias, deadlines: Vec::new(), present: 0.0 }
            }
            Policy::RandomTwo => Chooser::RandomTwo { next: 0 },
            Policy::Rehash => Chooser::Rehash { next: 0 },
            Policy::Hash => Chooser::Hash,
            Policy::RingHash { bound, points } => Chooser::Ring(Ring::new(bound, points)),
            Policy::Maglev { bound } => Chooser::Table(Table::new(bound)),
            Policy::PeakEwma { decay, first } => {
                Chooser::PeakEwma { decay, first, seen: Vec::new() }
            }
        };
        Balancer { chooser, pins: None }
    }

    /// A balancer that chooses so for the first request of a user, and keeps to it while that
    /// target is available and the rule says so. Users must be small numbers: memory grows to the
    /// largest.
    pub fn staying(policy: Policy, rule: Stay) -> Balancer {
        Balancer { pins: Some(Pins { all: Vec::new(), rule }), ..Balancer::new(policy) }
    }

    /// The target for a request, or `None` if none is available. `key` is the user of a balancer that
    /// pins or what a consistent hash hashes; `draw` gives uniform 64-bit numbers, of which a
    /// policy takes as many as it needs.
    #[inline(always)]
    pub fn pick(
        &mut self,
        targets: &mut Targets,
        key: u64,
        now: Time,
        mut draw: impl FnMut() -> u64,
    ) -> Option<u32> {
        let none_open = targets.available.is_empty();
        let Some(pins) = &mut self.pins else {
            if none_open {
                return None;
            }
            if targets.all.len() == 1 {
                return Some(0);
            }
            return Some(self.chooser.choose_slowly(targets, key, now, &mut draw));
        };
        let user = usize::try_from(key).expect("users are small numbers");
        if user >= pins.all.len() {
            pins.all.resize(user + 1, Pin::NONE);
        }
        let pin = &mut pins.all[user];
        let kept = pin.target;
        let counts = matches!(pins.rule, Stay::Connection { .. });
        if kept == UNPINNED || pins.rule.is_over(*pin, now) || !targets.get(kept).available {
            if none_open {
                return None;
            }
            let chosen = self.chooser.choose_slowly(targets, key, now, &mut draw);
            if counts && kept != UNPINNED {
                targets.connect(kept, -1);
            }
            if counts {
                targets.connect(chosen, 1);
            }
            (pin.target, pin.made) = (chosen, now);
            pin.closes = pins.rule.closes_at(now, &mut draw);
        }
        pin.used = now;
        Some(pin.target)
    }

    /// A user has come to a target without a choice, and stays there.
    pub fn pin(&mut self, key: u64, target: u32, targets: &mut Targets, now: Time) {
        let Some(pins) = &mut self.pins else { return };
        let user = usize::try_from(key).expect("users are small numbers");
        let pin = &mut pins.all[user];
        if matches!(pins.rule, Stay::Connection { .. }) {
            if pin.target != UNPINNED {
                targets.connect(pin.target, -1);
            }
            targets.connect(target, 1);
        }
        *pin = Pin { target, made: now, used: now, closes: pin.closes };
    }

    /// Whether latencies are to be told.
    pub fn listens(&self) -> bool {
        matches!(self.chooser, Chooser::PeakEwma { .. })
    }

    /// A target has answered after so long.
    pub fn heard(&mut self, target: u32, latency: Duration, now: Time) {
        if let Chooser::PeakEwma { decay, first, seen } = &mut self.chooser {
            let place = target as usize;
            if seen.len() <= place {
                seen.resize(place + 1, Ewma { latency_s: first.seconds(), at: now });
            }
            let (old, sample) = (seen[place], latency.seconds());
            let latency_s =
                if sample > old.latency_s { sample } else { old.moved(sample, now, *decay) };
            seen[place] = Ewma { latency_s, at: now };
        }
    }
}

impl Chooser {
    /// Chooses, passing over targets that take only a part of their share as yet.
    fn choose_slowly(
        &mut self,
        targets: &Targets,
        key: u64,
        now: Time,
        draw: &mut impl FnMut() -> u64,
    ) -> u32 {
        let mut chosen = self.choose(targets, key, now, draw);
        if targets.slow_start.is_some() {
            // A rotation comes to one that takes its whole share in a round; who draws may take longer.
            let draws = matches!(
                self,
                Chooser::Random | Chooser::RandomTwo { .. } | Chooser::Choices { .. }
            );
            let rounds = if draws { 64 } else { 1 };
            for _ in 0..rounds * targets.available.len() {
                let part = targets.grown(chosen, now);
                if part >= 1.0 || (draw() as f64) < part * u64::MAX as f64 {
                    break;
                }
                chosen = self.choose(targets, key, now, draw);
            }
        }
        chosen
    }

    /// Chooses where at least one target is available.
    fn choose(
        &mut self,
        targets: &Targets,
        key: u64,
        now: Time,
        draw: &mut impl FnMut() -> u64,
    ) -> u32 {
        let available = &targets.available;
        let mut any = || available[below(draw(), available.len())];
        match self {
            Chooser::RoundRobin { next } => in_turn(targets, next),
            Chooser::RandomTwo { next } => {
                drawn::two(targets, draw).unwrap_or_else(|| in_turn(targets, next))
            }
            Chooser::Rehash { next } => {
                hashing::rehash(targets, key).unwrap_or_else(|| in_turn(targets, next))
            }
            Chooser::WeightedRoundRobin { current } => smooth(targets, current),
            Chooser::Random => any(),
            Chooser::Least { next, connections } => least(targets, next, *connections),
            Chooser::Choices { bias, deadlines, present, .. } if !targets.is_even() => {
                earliest(targets, *bias, deadlines, present)
            }
            Chooser::Choices { count, .. } => {
                let first = any();
                (1..*count).fold(first, |best, _| {
                    let other = any();
                    let fewer = targets.outstanding(other) < targets.outstanding(best);
                    if fewer { other } else { best }
                })
            }
            Chooser::Hash => hashing::modulo(targets, key),
            Chooser::Ring(ring) => ring.choose(targets, key),
            Chooser::Table(table) => table.choose(targets, key),
            Chooser::PeakEwma { decay, first, seen } => {
                let cost = |target: u32| {
                    let known = seen.get(target as usize);
                    let latency =
                        known.map_or(first.seconds(), |known| known.moved(0.0, now, *decay));
                    latency * f64::from(targets.outstanding(target) + 1)
                };
                let (one, other) = (any(), any());
                if cost(other) < cost(one) { other } else { one }
            }
        }
    }
}

/// A number below `count`, from a uniform 64-bit one (its bias is below `count / 2^64`).
fn below(draw: u64, count: usize) -> usize {
    ((u128::from(draw) * count as u128) >> 64) as usize
}
