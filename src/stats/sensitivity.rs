//! Which inputs decide on an output: Morris's screening and Sobol's indices.

use super::design::{Points, sobol_points};
use super::{mean, squared_deviations};
use crate::stream::StreamKey;

/// What moving one input does to the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The mean effect, in output units over the whole range of the input.
    pub mean: f64,
    /// The mean of its size, sign apart: how much the input matters.
    pub size: f64,
    /// Its standard deviation: not a straight line, or other inputs decide with it.
    pub deviation: f64,
}

/// The points of `trajectories` walks through a grid of `levels` (even) levels, each of which moves
/// one input at a time: (inputs + 1) points a walk.
///
/// # Model
/// Morris (1991): steps of levels / (2 (levels - 1)), which reach all levels alike often.
///
/// # Panics
/// If the number of levels is odd or zero.
pub fn morris_points(trajectories: usize, levels: u32, inputs: usize, stream: StreamKey) -> Points {
    assert!(levels >= 2 && levels.is_multiple_of(2), "an even number of levels, not {levels}");
    let half = levels / 2;
    let unit = |level: u32| f64::from(level) / f64::from(levels - 1);
    let mut points = Vec::with_capacity(trajectories * (inputs + 1));
    for walk in 0..trajectories {
        let mut draws = stream.draw(walk as u64);
        let mut place: Vec<u32> = (0..inputs).map(|_| draws.below(levels)).collect();
        let mut order: Vec<usize> = (0..inputs).collect();
        for last in (1..inputs).rev() {
            order.swap(last, draws.below(last as u32 + 1) as usize);
        }
        points.push(place.iter().copied().map(unit).collect());
        for input in order {
            place[input] = (place[input] + half) % levels;
            points.push(place.iter().copied().map(unit).collect());
        }
    }
    points
}

/// The elementary effects of each input, of the outputs at [`morris_points`].
///
/// # Model
/// Morris (1991), with the mean of sizes of Campolongo, Cariboni and Saltelli (2007).
///
/// # Panics
/// If there is not one output for each point.
pub fn morris(points: &Points, outputs: &[f64]) -> Vec<Effect> {
    assert_eq!(points.len(), outputs.len(), "an output for each point");
    let inputs = points.first().map_or(0, Vec::len);
    let mut effects = vec![Vec::new(); inputs];
    for (walk, values) in points.chunks(inputs + 1).zip(outputs.chunks(inputs + 1)) {
        for (pair, value) in walk.windows(2).zip(values.windows(2)) {
            let moved = (0..inputs).find(|input| pair[0][*input] != pair[1][*input]);
            let input = moved.expect("each step moves an input");
            let step = pair[1][input] - pair[0][input];
            effects[input].push((value[1] - value[0]) / step);
        }
    }
    let fold = |found: &Vec<f64>| {
        let sizes: Vec<f64> = found.iter().map(|effect| effect.abs()).collect();
        let degrees = (found.len() as f64 - 1.0).max(1.0);
        let deviation = (squared_deviations(found) / degrees).sqrt();
        Effect { mean: mean(found), size: mean(&sizes), deviation }
    };
    effects.iter().map(fold).collect()
}

/// How much of an output's variance an input explains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Index {
    /// Alone: by how much the variance would fall if it were known.
    pub first: f64,
    /// With all its interactions: what would remain if only it were unknown.
    pub total: f64,
}

/// The points at which [`sobol_indices`] wants outputs: `base` points A, `base` points B, and for
/// each input A with that input taken from B: base (inputs + 2) in all.
///
/// # Panics
/// If there are more than half as many inputs as Sobol's sequence has dimensions.
pub fn sobol_design(base: usize, inputs: usize, shift: Option<StreamKey>) -> Points {
    let both = sobol_points(base, 2 * inputs, shift);
    let half = |from: usize| both.iter().map(move |point| point[from..from + inputs].to_vec());
    let (a, b): (Points, Points) = (half(0).collect(), half(inputs).collect());
    let mut points = a.clone();
    points.extend(b.iter().cloned());
    for input in 0..inputs {
        points.extend(a.iter().zip(&b).map(|(a, b)| {
            let mut mixed = a.clone();
            mixed[input] = b[input];
            mixed
        }));
    }
    points
}

/// Sobol's indices of each input, of the outputs at [`sobol_design`]; `rows` chooses, and may repeat,
/// the rows of the design, so that intervals can be found by resampling them.
///
/// # Model
/// First order by Saltelli et al. (2010), table 2 (b), of outputs from which their mean is taken: the
/// product of f(B) and a difference is otherwise as uncertain as the mean is large. Total by Jansen
/// (1999), table 2 (f).
///
/// # Panics
/// If the outputs do not belong to such a design of `base` rows.
pub fn sobol_indices(outputs: &[f64], base: usize, inputs: usize, rows: &[usize]) -> Vec<Index> {
    assert_eq!(outputs.len(), base * (inputs + 2), "an output for each point");
    let (a, rest) = outputs.split_at(base);
    let (b, mixed) = rest.split_at(base);
    let both: Vec<f64> = rows.iter().flat_map(|row| [a[*row], b[*row]]).collect();
    let variance = squared_deviations(&both) / both.len() as f64;
    let (centre, count) = (mean(&both), rows.len() as f64);
    (0..inputs)
        .map(|input| {
            let ab = &mixed[input * base..(input + 1) * base];
            let sum = |of: &dyn Fn(usize) -> f64| rows.iter().map(|row| of(*row)).sum::<f64>();
            let first = sum(&|row| (b[row] - centre) * (ab[row] - a[row])) / count;
            let total = sum(&|row| (a[row] - ab[row]) * (a[row] - ab[row])) / (2.0 * count);
            match variance > 0.0 {
                true => Index { first: first / variance, total: total / variance },
                false => Index { first: 0.0, total: 0.0 },
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Seed;

    fn stream() -> StreamKey {
        Seed(3).replication(0).named("sensitivity")
    }

    /// Sobol's g-function: product of (|4 x - 2| + a) / (1 + a); the smaller a, the more x matters.
    const G: [f64; 4] = [0.0, 1.0, 4.5, 9.0];
    fn g(point: &[f64]) -> f64 {
        point.iter().zip(G).map(|(x, a)| ((4.0 * x - 2.0).abs() + a) / (1.0 + a)).product()
    }

    #[test]
    fn indices_are_those_of_a_function_with_known_ones() {
        let base = 4_096;
        let design = sobol_design(base, 4, None);
        let outputs: Vec<f64> = design.iter().map(|point| g(point)).collect();
        let rows: Vec<usize> = (0..base).collect();
        let found = sobol_indices(&outputs, base, 4, &rows);
        // V_i = 1 / (3 (1 + a)^2); V = prod(1 + V_i) - 1; S_i = V_i / V, and the total has the rest.
        let parts = G.map(|a| 1.0 / (3.0 * (1.0 + a) * (1.0 + a)));
        let whole: f64 = parts.iter().map(|v| 1.0 + v).product::<f64>() - 1.0;
        for (input, index) in found.iter().enumerate() {
            let first = parts[input] / whole;
            let others: f64 =
                (0..4).filter(|other| *other != input).map(|other| 1.0 + parts[other]).product();
            let total = parts[input] * others / whole;
            assert!((index.first - first).abs() < 0.01, "{input}: {} for {first}", index.first);
            assert!((index.total - total).abs() < 0.01, "{input}: {} for {total}", index.total);
        }
        // Far from zero, as latencies are that hardly vary: nothing changes.
        let raised: Vec<f64> = outputs.iter().map(|output| output + 1_000.0).collect();
        for (here, there) in found.iter().zip(sobol_indices(&raised, base, 4, &rows)) {
            assert!((here.first - there.first).abs() < 1e-8, "{here:?} {there:?}");
        }
        let constant = vec![1.0; base * 6];
        assert_eq!(sobol_indices(&constant, base, 4, &rows)[0], Index { first: 0.0, total: 0.0 });
    }

    #[test]
    fn effects_are_those_of_a_line_and_of_a_product() {
        let points = morris_points(20, 4, 4, stream());
        assert_eq!(points.len(), 20 * 5);
        assert!(points.iter().flatten().all(|x| (0.0..=1.0).contains(x)));
        let line: Vec<f64> = points.iter().map(|x| 3.0 * x[0] - 2.0 * x[1] + x[2] * x[3]).collect();
        let found = morris(&points, &line);
        for (effect, slope) in found.iter().zip([3.0, -2.0f64]) {
            assert!((effect.mean - slope).abs() < 1e-9 && effect.deviation < 1e-9);
            assert!((effect.size - slope.abs()).abs() < 1e-9);
        }
        assert!(found[2].deviation > 0.2, "what interacts does not act evenly");
    }
}
