//! Whose turn it is: rotations, and those with the fewest.

use super::Targets;

/// The next one in rotation.
pub(super) fn in_turn(targets: &Targets, next: &mut u32) -> u32 {
    let target = targets.available[targets.turn(*next)];
    *next = target + 1;
    target
}

/// Everyone earns its weight each turn; the richest takes the turn and pays for it the sum of all.
pub(super) fn smooth(targets: &Targets, current: &mut Vec<i64>) -> u32 {
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

/// Envoy's `EdfLoadBalancerBase`: whose deadline is the earliest takes the turn, and the next one comes
/// after a time that is the shorter the greater its weight and the fewer its requests.
pub(super) fn earliest(
    targets: &Targets,
    bias: f64,
    deadlines: &mut Vec<f64>,
    present: &mut f64,
) -> u32 {
    let step = |target: u32| {
        let busy = f64::from(targets.outstanding(target) + 1);
        let busy = if bias == 1.0 { busy } else { libm::pow(busy, bias) };
        busy / f64::from(targets.all[target as usize].weight)
    };
    for target in deadlines.len() as u32..targets.len() {
        deadlines.push(*present + step(target));
    }
    let mut best = targets.available[0];
    for &target in &targets.available {
        // Whoever was away comes back without the turns that it has missed.
        deadlines[target as usize] = deadlines[target as usize].max(*present);
        if deadlines[target as usize] < deadlines[best as usize] {
            best = target;
        }
    }
    *present = deadlines[best as usize];
    deadlines[best as usize] = *present + step(best);
    best
}

pub(super) fn least(targets: &Targets, next: &mut u32, connections: bool) -> u32 {
    let load = |target: u32| {
        let known = &targets.all[target as usize];
        u64::from(if connections { known.connections } else { known.outstanding })
    };
    let weight = |target: u32| u64::from(targets.all[target as usize].weight);
    let (before, after) = targets.available.split_at(targets.turn(*next));
    let mut best = after[0];
    for &target in after.iter().chain(before) {
        if load(target) * weight(best) < load(best) * weight(target) {
            best = target;
        }
        if load(best) == 0 {
            break;
        }
    }
    *next = best + 1;
    best
}
