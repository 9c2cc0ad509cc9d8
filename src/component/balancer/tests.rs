//! The rules of the products, and the laws of all policies.

use super::hashing::mix;
use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const RING: Policy = Policy::RingHash { bound: None, points: Points::Next { per_weight: 160 } };
const MAGLEV: Policy = Policy::Maglev { bound: None };
const EWMA: Policy = Policy::PeakEwma { decay: Duration::secs(10), first: Duration::millis(30) };

const FOR_EVER: Stay = Stay::Cookie { idle: None, life: None };

const POLICIES: [Policy; 13] = [
    Policy::RoundRobin,
    Policy::WeightedRoundRobin,
    Policy::Random,
    Policy::LeastOutstanding,
    Policy::TWO_CHOICES,
    RING,
    Policy::LeastConnections,
    Policy::Hash,
    Policy::Rehash,
    Policy::RandomTwo,
    MAGLEV,
    Policy::RingHash { bound: Some(1.5), points: Points::Next { per_weight: 160 } },
    EWMA,
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
            (format!("sticky {policy:?}"), Balancer::staying(policy, FOR_EVER)),
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
        let pick = balancer.pick(&mut targets, key, Time::ZERO, || draws.bits());
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
    assert_eq!(balancer.pick(&mut Targets::default(), 0, Time::ZERO, || 0), None);
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
        let target = balancer.pick(targets, u64::from(key), Time::ZERO, || draws.bits()).unwrap();
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
        let bound = if name.contains("Hash") { 0.32 } else { 0.038 };
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
    let sequence = |policy, targets: &mut Targets, count| {
        let mut balancer = Balancer::new(policy);
        let pick =
            |_| balancer.pick(targets, 0, Time::ZERO, || unreachable!("needs no draw")).unwrap();
        (0..count).map(pick).collect::<Vec<u32>>()
    };
    let mut targets = Targets::new(&[1, 1, 1, 1]);
    assert_eq!(sequence(Policy::RoundRobin, &mut targets, 6), [0, 1, 2, 3, 0, 1]);
    assert_eq!(sequence(Policy::LeastOutstanding, &mut targets, 6), [0, 1, 2, 3, 0, 1]);
    targets.set_available(1, false);
    assert_eq!(sequence(Policy::RoundRobin, &mut targets, 6), [0, 2, 3, 0, 2, 3]);
    targets.sent(0);
    assert_eq!(sequence(Policy::LeastOutstanding, &mut targets, 4), [2, 3, 2, 3]);
    // The sequence that nginx documents for weights 5, 1, 1.
    let mut weighted = Targets::new(&[5, 1, 1]);
    let expected = [0, 0, 1, 0, 2, 0, 0];
    assert_eq!(sequence(Policy::WeightedRoundRobin, &mut weighted, 7), expected);
}

#[test]
fn a_consistent_hash_moves_only_what_it_must() {
    let mut targets = Targets::new(&[1; 10]);
    let mut balancer = Balancer::new(RING);
    let mut owners = |targets: &mut Targets| -> Vec<u32> {
        (0..20_000).map(|key| balancer.pick(targets, key, Time::ZERO, || 0).unwrap()).collect()
    };
    let before = owners(&mut targets);
    targets.set_available(3, false);
    for (&old, new) in before.iter().zip(owners(&mut targets)) {
        assert!(if old == 3 { new != 3 } else { new == old });
    }
    targets.set_available(3, true);
    assert_eq!(owners(&mut targets), before);
    let added = targets.add(1);
    let moved = before.iter().zip(owners(&mut targets)).filter(|&(&old, new)| old != new);
    let moved: Vec<u32> = moved.map(|(_, new)| new).collect();
    assert!(moved.iter().all(|&new| new == added));
    let share = moved.len() as f64 / 20_000.0;
    assert!((share - 1.0 / 11.0).abs() < 0.03, "one of eleven gets {share}");
}

/// The share of 100,000 keys that go elsewhere when one of ten targets goes.
fn moved(policy: Policy, goes: impl Fn(&mut Targets)) -> f64 {
    let mut targets = Targets::new(&[1; 10]);
    let mut balancer = Balancer::new(policy);
    let mut owners = |targets: &mut Targets| -> Vec<u32> {
        let owner = |key| balancer.pick(targets, key, Time::ZERO, || 0).unwrap();
        (0..100_000).map(owner).collect()
    };
    let before = owners(&mut targets);
    goes(&mut targets);
    let after = owners(&mut targets);
    before.iter().zip(after).filter(|&(&old, new)| old != new).count() as f64 / 100_000.0
}

#[test]
fn a_hash_modulo_moves_nine_of_ten_and_a_ring_moves_one() {
    let out = |targets: &mut Targets| targets.set_available(9, false);
    let removed = |targets: &mut Targets| {
        targets.set_available(9, false);
        targets.set_member(9, false);
    };
    // A key stays if its hash has the same remainder by 10 and by 9: one in ten does. A deviation is 0.1 %.
    let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.005, "{found}");
    near(moved(Policy::Hash, out), 0.9);
    near(moved(Policy::Rehash, removed), 0.9);
    // Of a server that is out nginx hashes the keys anew, and only those.
    near(moved(Policy::Rehash, out), 0.1);
    // On a ring each of ten has a tenth, give or take 7.9 % of it; a table moves about as many once more.
    let ring = moved(RING, out);
    assert!((ring - 0.1).abs() < 0.032, "{ring}");
    let table = moved(MAGLEV, out);
    assert!((0.1..0.2).contains(&table), "{table}");
}

#[test]
fn nginx_draws_two_different_ones_by_weight() {
    let mut draws = Draws(5);
    let mut targets = Targets::new(&[2, 1, 1]);
    let mut balancer = Balancer::new(Policy::RandomTwo);
    let mut picks = [0u32; 3];
    for _ in 0..80_000 {
        let target = balancer.pick(&mut targets, 0, Time::ZERO, || draws.bits()).unwrap();
        picks[target as usize] += 1;
    }
    // With nothing in flight the second is taken: 1/2 x (1/2 of the rest) twice, and so 1/3 for the first.
    for picked in picks {
        assert!((f64::from(picked) / 80_000.0 - 1.0 / 3.0).abs() < 0.01, "{picks:?}");
    }
    // Who has a request for each of its weight is not taken before others, and with one left it is that.
    targets.sent(1);
    targets.sent(2);
    let pick = |_| balancer.pick(&mut targets, 0, Time::ZERO, || draws.bits()).unwrap();
    let first = (0..1_000).map(pick).filter(|target| *target == 0).count();
    assert!((f64::from(first as u32) / 1_000.0 - 5.0 / 6.0).abs() < 0.06, "{first}");
    targets.set_available(0, false);
    targets.set_available(1, false);
    assert_eq!(balancer.pick(&mut targets, 0, Time::ZERO, || draws.bits()), Some(2));
}

#[test]
fn a_cookie_is_renewed_by_use_up_to_its_longest_life() {
    let at = |seconds| Time::ZERO + Duration::secs(seconds);
    let picks = |idle: Option<u64>, life: Option<u64>| -> Vec<u32> {
        let mut targets = Targets::new(&[1; 9]);
        let limit = |seconds: Option<u64>| seconds.map(Duration::secs);
        let rule = Stay::Cookie { idle: limit(idle), life: limit(life) };
        let mut balancer = Balancer::staying(Policy::RoundRobin, rule);
        let times = [0, 10, 20, 30, 41, 52].map(at);
        times.iter().map(|now| balancer.pick(&mut targets, 3, *now, || 0).unwrap()).collect()
    };
    assert_eq!(picks(None, None), [0, 0, 0, 0, 0, 0]);
    assert_eq!(picks(Some(10), None), [0, 0, 0, 0, 1, 2]);
    assert_eq!(picks(Some(11), None), [0, 0, 0, 0, 0, 0]);
    assert_eq!(picks(None, Some(20)), [0, 0, 0, 1, 1, 2]);
    assert_eq!(picks(Some(10), Some(20)), [0, 0, 0, 1, 2, 3]);
}

#[test]
fn a_user_stays_until_its_target_goes() {
    let mut targets = Targets::new(&[1; 3]);
    let mut balancer = Balancer::staying(Policy::RoundRobin, FOR_EVER);
    let mut pick = |targets: &mut Targets, user| balancer.pick(targets, user, Time::ZERO, || 0);
    assert_eq!((pick(&mut targets, 7), pick(&mut targets, 2)), (Some(0), Some(1)));
    assert_eq!((pick(&mut targets, 7), pick(&mut targets, 2)), (Some(0), Some(1)));
    targets.set_available(0, false);
    assert_eq!((pick(&mut targets, 7), pick(&mut targets, 2)), (Some(2), Some(1)));
    targets.set_available(0, true);
    assert_eq!(pick(&mut targets, 7), Some(2), "it is pinned anew");
}

#[test]
fn t05_least_outstanding_favours_the_target_that_fails_fast() {
    let mut targets = Targets::new(&[1; 4]);
    let mut balancer = Balancer::new(Policy::LeastOutstanding);
    let mut failed = 0;
    let mut open = std::collections::VecDeque::new();
    for _ in 0..1_000 {
        let target = balancer.pick(&mut targets, 0, Time::ZERO, || 0).unwrap();
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
        let mut target = balancer.pick(&mut targets, 0, Time::ZERO, || draws.bits()).unwrap();
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
    let two = response(Policy::TWO_CHOICES, 0.9, 0.0);
    assert!(near(two), "{two}");
    // Teeth: one request in twenty-five that goes anywhere shows.
    let herd = response(Policy::TWO_CHOICES, 0.9, 0.04);
    assert!(!near(herd), "{herd}");

    let shortest = response(Policy::LeastOutstanding, 0.9, 0.0);
    let random = response(Policy::Random, 0.9, 0.0);
    assert!(shortest < 0.7 * two, "{shortest} {two}");
    assert!((random / 10.0 - 1.0).abs() < 0.1, "M/M/1 has 10, seen {random}");
}
