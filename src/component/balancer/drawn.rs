//! Targets that are drawn by their weights.

use super::Targets;

/// How often nginx draws before it takes the one whose turn it is.
const TRIES: u32 = 20;

/// Of two different targets drawn by weight the one with fewer requests for its weight, of equals the
/// second; [`None`] if no two are found.
pub(super) fn two(targets: &Targets, draw: &mut impl FnMut() -> u64) -> Option<u32> {
    let mut first = None;
    for _ in 0..=TRIES {
        let drawn = by_weight(targets, draw());
        match first {
            None => first = Some(drawn),
            Some(first) if first == drawn => {}
            Some(first) => {
                let load = |target: u32, of: u32| {
                    let weight = u64::from(targets.get(of).weight);
                    u64::from(targets.get(target).outstanding) * weight
                };
                return Some(if load(drawn, first) > load(first, drawn) { first } else { drawn });
            }
        }
    }
    None
}

/// An available target, as likely as its weight.
fn by_weight(targets: &Targets, draw: u64) -> u32 {
    let weight = |target: &u32| u64::from(targets.get(*target).weight);
    let all: u64 = targets.available.iter().map(weight).sum();
    let mut place = ((u128::from(draw) * u128::from(all)) >> 64) as u64;
    for target in &targets.available {
        match place.checked_sub(weight(target)) {
            None => return *target,
            Some(rest) => place = rest,
        }
    }
    unreachable!("the place is below the sum of the weights")
}
