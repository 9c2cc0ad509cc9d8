//! Which target takes the next request.
//!
//! | policy | follows |
//! |---|---|
//! | round robin | ALB's default; the rotation of one balancer node |
//! | weighted round robin | nginx, "smooth" (`ngx_http_upstream_get_peer`) |
//! | random | Envoy `RANDOM` |
//! | least outstanding | ALB least outstanding requests; ties in rotation |
//! | power of two choices | Envoy `LEAST_REQUEST` with equal weights and two choices |
//! | consistent hash | nginx `hash ... consistent` (ketama): 160 points a unit of weight |
//! | sticky | ALB's cookie: pinned after a first choice by any of the above |
//!
//! Targets that are not available take no part: the others share their turns evenly. Where none is,
//! there is no choice; a balancer that then sends to all of them (ALB does) asks again with all
//! marked available.

/// What a balancer knows of one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Requests that were sent to it and not answered.
    pub outstanding: u32,
    /// Whether it may be chosen: it is registered, healthy and not draining.
    pub available: bool,
    /// Its share relative to others, for the weighted policies.
    pub weight: u32,
}

/// The targets of one service, as one balancer node sees them. A target keeps its number for good.
#[derive(Clone, Default, Debug)]
pub struct Targets {
    all: Vec<Target>,
    /// Numbers of the available ones, ascending.
    available: Vec<u32>,
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
        self.all.push(Target { outstanding: 0, available: true, weight });
        self.available.push(number);
        number
    }

    /// A target comes (back) into or goes out of the choice. Requests that it has stay with it.
    pub fn set_available(&mut self, target: u32, available: bool) {
        self.all[target as usize].available = available;
        match (self.available.binary_search(&target), available) {
            (Err(place), true) => self.available.insert(place, target),
            (Ok(place), false) => drop(self.available.remove(place)),
            _ => {}
        }
    }

    /// A request is sent to a target.
    #[inline]
    pub fn sent(&mut self, target: u32) {
        self.all[target as usize].outstanding += 1;
    }

    /// A request of a target is answered, or given up.
    #[inline]
    pub fn answered(&mut self, target: u32) {
        let outstanding = &mut self.all[target as usize].outstanding;
        assert!(*outstanding > 0, "the target had a request");
        *outstanding -= 1;
    }

    /// One target.
    pub fn get(&self, target: u32) -> &Target {
        &self.all[target as usize]
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// The next one in rotation.
    RoundRobin,
    /// In rotation by weight, interleaved as evenly as possible.
    WeightedRoundRobin,
    /// Any, with equal chances.
    Random,
    /// The one with the fewest requests; of several such, the next in rotation.
    LeastOutstanding,
    /// Of two drawn at random (perhaps the same one twice), the one with fewer requests.
    PowerOfTwoChoices,
    /// The one that a hash of the key falls to. A target that comes or goes moves only the keys
    /// that it gets or had.
    ConsistentHash,
}

/// Points on the ring for each unit of weight.
const POINTS_PER_WEIGHT: u32 = 160;
/// In the table of pinned targets: none yet.
const UNPINNED: u32 = u32::MAX;

enum Chooser {
    /// `next`: the number of the target whose turn it is, or the first available one after it.
    RoundRobin {
        next: u32,
    },
    WeightedRoundRobin {
        current: Vec<i64>,
    },
    Random,
    LeastOutstanding {
        next: u32,
    },
    PowerOfTwoChoices,
    ConsistentHash {
        ring: Vec<(u64, u32)>,
        placed: u32,
    },
}

/// One balancer node at work.
pub struct Balancer {
    chooser: Chooser,
    pinned: Option<Vec<u32>>,
}

impl Balancer {
    /// A balancer that chooses anew for every request.
    pub fn new(policy: Policy) -> Balancer {
        let chooser = match policy {
            Policy::RoundRobin => Chooser::RoundRobin { next: 0 },
            Policy::WeightedRoundRobin => Chooser::WeightedRoundRobin { current: Vec::new() },
            Policy::Random => Chooser::Random,
            Policy::LeastOutstanding => Chooser::LeastOutstanding { next: 0 },
            Policy::PowerOfTwoChoices => Chooser::PowerOfTwoChoices,
            Policy::ConsistentHash => Chooser::ConsistentHash { ring: Vec::new(), placed: 0 },
        };
        Balancer { chooser, pinned: None }
    }

    /// A balancer that chooses so for the first request of a user, and keeps to it while that
    /// target is available. Users must be small numbers: memory grows to the largest.
    pub fn sticky(policy: Policy) -> Balancer {
        Balancer { pinned: Some(Vec::new()), ..Balancer::new(policy) }
    }

    /// The target for a request, or `None` if none is available. `key` is the user of a sticky
    /// balancer or what a consistent hash hashes; `draw` gives uniform 64-bit numbers, of which a
    /// policy takes none, one or two.
    pub fn pick(&mut self, targets: &Targets, key: u64, draw: impl FnMut() -> u64) -> Option<u32> {
        if targets.available.is_empty() {
            return None;
        }
        let Some(pinned) = &mut self.pinned else {
            return Some(self.chooser.choose(targets, key, draw));
        };
        let user = usize::try_from(key).expect("users are small numbers");
        if user >= pinned.len() {
            pinned.resize(user + 1, UNPINNED);
        }
        let kept = pinned[user];
        if kept == UNPINNED || !targets.get(kept).available {
            pinned[user] = self.chooser.choose(targets, key, draw);
        }
        Some(pinned[user])
    }
}

impl Chooser {
    /// Chooses where at least one target is available.
    fn choose(&mut self, targets: &Targets, key: u64, mut draw: impl FnMut() -> u64) -> u32 {
        let available = &targets.available;
        match self {
            Chooser::RoundRobin { next } => {
                let target = available[targets.turn(*next)];
                *next = target + 1;
                target
            }
            Chooser::WeightedRoundRobin { current } => smooth(targets, current),
            Chooser::Random => available[below(draw(), available.len())],
            Chooser::LeastOutstanding { next } => least(targets, next),
            Chooser::PowerOfTwoChoices => {
                let first = available[below(draw(), available.len())];
                let second = available[below(draw(), available.len())];
                let fewer = targets.outstanding(second) < targets.outstanding(first);
                if fewer { second } else { first }
            }
            Chooser::ConsistentHash { ring, placed } => {
                place_on_ring(targets, ring, placed);
                clockwise(targets, ring, key)
            }
        }
    }
}

/// Everyone earns its weight each turn; the richest takes the turn and pays for it the sum of all.
fn smooth(targets: &Targets, current: &mut Vec<i64>) -> u32 {
    current.resize(targets.all.len(), 0);
    let mut total = 0;
    let mut best = targets.available[0];
    for &target in &targets.available {
        let weight = i64::from(targets.all[target as usize].weight);
        current[target as usize] += weight;
        total += weight;
        if current[target as usize] > current[best as usize] {
            best = target;
        }
    }
    current[best as usize] -= total;
    best
}

fn least(targets: &Targets, next: &mut u32) -> u32 {
    let (before, after) = targets.available.split_at(targets.turn(*next));
    let mut best = after[0];
    for &target in after.iter().chain(before) {
        if targets.outstanding(target) < targets.outstanding(best) {
            best = target;
        }
        if targets.outstanding(best) == 0 {
            break;
        }
    }
    *next = best + 1;
    best
}

/// Adds the points of targets that came since. Those that went stay on the ring and are passed
/// over, which gives each key to the same target as a ring without them.
fn place_on_ring(targets: &Targets, ring: &mut Vec<(u64, u32)>, placed: &mut u32) {
    if *placed == targets.len() {
        return;
    }
    for target in *placed..targets.len() {
        for point in 0..POINTS_PER_WEIGHT * targets.get(target).weight {
            ring.push((mix(u64::from(target) << 32 | u64::from(point)), target));
        }
    }
    ring.sort_unstable();
    *placed = targets.len();
}

fn clockwise(targets: &Targets, ring: &[(u64, u32)], key: u64) -> u32 {
    // Keys and points are small numbers both; hashed alike, they would coincide.
    let hash = mix(!key);
    let start = ring.partition_point(|&(point, _)| point < hash);
    let (before, after) = ring.split_at(start);
    let mut targets_on = after.iter().chain(before).map(|&(_, target)| target);
    targets_on.find(|&target| targets.get(target).available).expect("one is available")
}

/// A number below `count`, from a uniform 64-bit one (its bias is below `count / 2^64`).
fn below(draw: u64, count: usize) -> usize {
    ((u128::from(draw) * count as u128) >> 64) as usize
}

/// The finaliser of SplitMix64: a bijection that spreads small numbers over all 64 bits.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    const POLICIES: [Policy; 6] = [
        Policy::RoundRobin,
        Policy::WeightedRoundRobin,
        Policy::Random,
        Policy::LeastOutstanding,
        Policy::PowerOfTwoChoices,
        Policy::ConsistentHash,
    ];

    struct Draws(u64);
    impl Draws {
        fn bits(&mut self) -> u64 {
            self.0 += 1;
            mix(self.0.wrapping_mul(0xd134_2543_de82_ef95))
        }
        fn exponential(&mut self) -> f64 {
            let unit = ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            -libm::log(unit)
        }
    }

    fn everyone() -> impl Iterator<Item = (String, Balancer)> {
        POLICIES.into_iter().flat_map(|policy| {
            [
                (format!("{policy:?}"), Balancer::new(policy)),
                (format!("sticky {policy:?}"), Balancer::sticky(policy)),
            ]
        })
    }

    /// A long history of requests, failures and growth; what was picked.
    fn history(balancer: &mut Balancer, seed: u64) -> Vec<Option<u32>> {
        let mut draws = Draws(seed);
        let mut targets = Targets::new(&[1, 2, 1]);
        let mut open = Vec::new();
        let mut picks = Vec::new();
        for step in 0..5_000 {
            match draws.bits() % 16 {
                0 => {
                    let target = draws.bits() % u64::from(targets.len());
                    targets.set_available(target as u32, draws.bits().is_multiple_of(2));
                }
                1 if step % 100 == 0 => drop(targets.add(1)),
                2..=7 if !open.is_empty() => {
                    let place = below(draws.bits(), open.len());
                    targets.answered(open.swap_remove(place));
                }
                _ => {}
            }
            let key = draws.bits() % 50;
            let pick = balancer.pick(&targets, key, || draws.bits());
            assert_eq!(pick.is_none(), targets.available() == 0);
            if let Some(target) = pick {
                assert!(targets.get(target).available);
                targets.sent(target);
                open.push(target);
            }
            picks.push(pick);
        }
        picks
    }

    #[test]
    fn every_policy_picks_an_available_target_or_none() {
        for (name, mut balancer) in everyone() {
            let picks = history(&mut balancer, 1);
            let none = picks.iter().filter(|pick| pick.is_none()).count();
            assert!(none > 50 && none < 2_500, "{name}: {none} times nobody was available");
        }
        let mut balancer = Balancer::new(Policy::Random);
        assert_eq!(balancer.pick(&Targets::default(), 0, || 0), None);
    }

    #[test]
    fn same_draws_same_picks() {
        for ((name, mut one), (_, mut other)) in everyone().zip(everyone()) {
            assert_eq!(history(&mut one, 7), history(&mut other, 7), "{name}");
        }
    }

    /// Shares of `count` picks with ten requests open at any time, relative to a fair one.
    fn shares(balancer: &mut Balancer, targets: &mut Targets, count: u32) -> Vec<f64> {
        let mut draws = Draws(3);
        let mut picked = vec![0u32; targets.len() as usize];
        let mut open = std::collections::VecDeque::new();
        for key in 0..count {
            let target = balancer.pick(targets, u64::from(key), || draws.bits()).unwrap();
            targets.sent(target);
            open.push_back(target);
            if open.len() > 10 {
                targets.answered(open.pop_front().unwrap());
            }
            picked[target as usize] += 1;
        }
        open.into_iter().for_each(|target| targets.answered(target));
        let fair = f64::from(count) / f64::from(targets.available());
        picked.iter().map(|&n| f64::from(n) / fair).collect()
    }

    #[test]
    fn equal_targets_get_equal_shares() {
        // 80,000 picks of 8: a fair random share has a deviation of 0.94 %; 160 points on a ring
        // have one of 7.9 %. The bounds are four times that.
        for (name, mut balancer) in everyone() {
            let bound = if name.ends_with("ConsistentHash") { 0.32 } else { 0.038 };
            let mut targets = Targets::new(&[1; 9]);
            targets.set_available(4, false);
            let shares = shares(&mut balancer, &mut targets, 80_000);
            for (target, share) in shares.iter().enumerate() {
                let expected = if target == 4 { 0.0 } else { 1.0 };
                assert!((share - expected).abs() <= bound, "{name}: target {target} has {share}");
            }
        }
        // Teeth: a weight of 5 % more is seen.
        let mut weighted = Balancer::new(Policy::WeightedRoundRobin);
        let mut targets = Targets::new(&[20, 20, 20, 21]);
        assert!(shares(&mut weighted, &mut targets, 80_000)[3] > 1.03);
    }

    #[test]
    fn rotations_are_exact() {
        let sequence = |policy, targets: &Targets, count| {
            let mut balancer = Balancer::new(policy);
            let pick = |_| balancer.pick(targets, 0, || unreachable!("needs no draw")).unwrap();
            (0..count).map(pick).collect::<Vec<u32>>()
        };
        let mut targets = Targets::new(&[1, 1, 1, 1]);
        assert_eq!(sequence(Policy::RoundRobin, &targets, 6), [0, 1, 2, 3, 0, 1]);
        assert_eq!(sequence(Policy::LeastOutstanding, &targets, 6), [0, 1, 2, 3, 0, 1]);
        targets.set_available(1, false);
        assert_eq!(sequence(Policy::RoundRobin, &targets, 6), [0, 2, 3, 0, 2, 3]);
        targets.sent(0);
        assert_eq!(sequence(Policy::LeastOutstanding, &targets, 4), [2, 3, 2, 3]);
        // The sequence that nginx documents for weights 5, 1, 1.
        let weighted = Targets::new(&[5, 1, 1]);
        let expected = [0, 0, 1, 0, 2, 0, 0];
        assert_eq!(sequence(Policy::WeightedRoundRobin, &weighted, 7), expected);
    }

    #[test]
    fn a_consistent_hash_moves_only_what_it_must() {
        let mut targets = Targets::new(&[1; 10]);
        let mut balancer = Balancer::new(Policy::ConsistentHash);
        let mut owners = |targets: &Targets| -> Vec<u32> {
            (0..20_000).map(|key| balancer.pick(targets, key, || 0).unwrap()).collect()
        };
        let before = owners(&targets);
        targets.set_available(3, false);
        for (&old, new) in before.iter().zip(owners(&targets)) {
            assert!(if old == 3 { new != 3 } else { new == old });
        }
        targets.set_available(3, true);
        assert_eq!(owners(&targets), before);
        let added = targets.add(1);
        let moved = before.iter().zip(owners(&targets)).filter(|&(&old, new)| old != new);
        let moved: Vec<u32> = moved.map(|(_, new)| new).collect();
        assert!(moved.iter().all(|&new| new == added));
        let share = moved.len() as f64 / 20_000.0;
        assert!((share - 1.0 / 11.0).abs() < 0.03, "one of eleven gets {share}");
    }

    #[test]
    fn a_user_stays_until_its_target_goes() {
        let mut targets = Targets::new(&[1; 3]);
        let mut balancer = Balancer::sticky(Policy::RoundRobin);
        let mut pick = |targets: &Targets, user| balancer.pick(targets, user, || 0);
        assert_eq!((pick(&targets, 7), pick(&targets, 2)), (Some(0), Some(1)));
        assert_eq!((pick(&targets, 7), pick(&targets, 2)), (Some(0), Some(1)));
        targets.set_available(0, false);
        assert_eq!((pick(&targets, 7), pick(&targets, 2)), (Some(2), Some(1)));
        targets.set_available(0, true);
        assert_eq!(pick(&targets, 7), Some(2), "it is pinned anew");
    }

    #[test]
    fn t05_least_outstanding_favours_the_target_that_fails_fast() {
        let mut targets = Targets::new(&[1; 4]);
        let mut balancer = Balancer::new(Policy::LeastOutstanding);
        let mut failed = 0;
        let mut open = std::collections::VecDeque::new();
        for _ in 0..1_000 {
            let target = balancer.pick(&targets, 0, || 0).unwrap();
            if target == 0 {
                failed += 1; // it answers 500 at once
            } else {
                targets.sent(target);
                open.push_back(target);
            }
            if open.len() > 30 {
                targets.answered(open.pop_front().unwrap());
            }
        }
        assert!(failed > 900, "a quarter of the targets got {failed} of 1,000 requests");
    }

    /// The mean response time, in service times, of 100 single servers at `load`, Poisson arrivals.
    fn response(policy: Policy, load: f64, herd: f64) -> f64 {
        const SERVERS: usize = 100;
        let (mut draws, mut coin) = (Draws(11), Draws(1 << 40));
        let mut targets = Targets::new(&[1; SERVERS]);
        let mut balancer = Balancer::new(policy);
        let mut free_at = [0.0f64; SERVERS];
        let mut leaving = BinaryHeap::new();
        let (mut now, mut sum, mut counted) = (0.0, 0.0, 0u32);
        for arrival in 0..600_000 {
            now += draws.exponential() / (load * SERVERS as f64);
            while let Some(&Reverse((at, target))) = leaving.peek()
                && f64::from_bits(at) <= now
            {
                leaving.pop();
                targets.answered(target);
            }
            let mut target = balancer.pick(&targets, 0, || draws.bits()).unwrap();
            if (coin.bits() as f64) < herd * u64::MAX as f64 {
                target = below(coin.bits(), SERVERS) as u32;
            }
            targets.sent(target);
            let server = &mut free_at[target as usize];
            *server = server.max(now) + draws.exponential();
            leaving.push(Reverse((server.to_bits(), target)));
            if arrival >= 100_000 {
                sum += *server - now;
                counted += 1;
            }
        }
        sum / f64::from(counted)
    }

    #[test]
    fn two_choices_follow_the_supermarket_model() {
        // E[T] = sum over i >= 1 of load^(2^i - 2) (Mitzenmacher 2001): 2.614 at 0.9, for very many
        // servers. The bound covers 100 of them and the noise.
        let near = |seen: f64| (seen / 2.614 - 1.0).abs() < 0.03;
        let two = response(Policy::PowerOfTwoChoices, 0.9, 0.0);
        assert!(near(two), "{two}");
        // Teeth: one request in twenty-five that goes anywhere shows.
        let herd = response(Policy::PowerOfTwoChoices, 0.9, 0.04);
        assert!(!near(herd), "{herd}");

        let shortest = response(Policy::LeastOutstanding, 0.9, 0.0);
        let random = response(Policy::Random, 0.9, 0.0);
        assert!(shortest < 0.7 * two, "{shortest} {two}");
        assert!((random / 10.0 - 1.0).abs() < 0.1, "M/M/1 has 10, seen {random}");
    }
}
