//! Designs of experiments: which points of the unit cube to look at.

use crate::stream::StreamKey;

/// Points in the unit cube, one row each.
pub type Points = Vec<Vec<f64>>;

/// A Latin hypercube: in every dimension each of `count` equal slices holds exactly one point, at a
/// random place within it (McKay, Beckman and Conover 1979).
pub fn latin_hypercube(count: usize, dimensions: usize, stream: StreamKey) -> Points {
    let mut points = vec![vec![0.0; dimensions]; count];
    for dimension in 0..dimensions {
        let mut draws = stream.draw(dimension as u64);
        let mut slices: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            slices.swap(last, draws.below(last as u32 + 1) as usize);
        }
        for (point, slice) in points.iter_mut().zip(slices) {
            point[dimension] = (slice as f64 + draws.unit()) / count as f64;
        }
    }
    points
}

/// The most dimensions that [`sobol_points`] has numbers for.
pub const SOBOL_DIMENSIONS: usize = 21;

/// Degree, coefficients and initial direction numbers of dimensions 2 and on: the first of
/// new-joe-kuo-6 (Joe and Kuo, SIAM J. Sci. Comput. 30, 2008).
const DIRECTIONS: [(u32, u32, [u32; 7]); SOBOL_DIMENSIONS - 1] = [
    (1, 0, [1, 0, 0, 0, 0, 0, 0]),
    (2, 1, [1, 3, 0, 0, 0, 0, 0]),
    (3, 1, [1, 3, 1, 0, 0, 0, 0]),
    (3, 2, [1, 1, 1, 0, 0, 0, 0]),
    (4, 1, [1, 1, 3, 3, 0, 0, 0]),
    (4, 4, [1, 3, 5, 13, 0, 0, 0]),
    (5, 2, [1, 1, 5, 5, 17, 0, 0]),
    (5, 4, [1, 1, 5, 5, 5, 0, 0]),
    (5, 7, [1, 1, 7, 11, 19, 0, 0]),
    (5, 11, [1, 1, 5, 1, 1, 0, 0]),
    (5, 13, [1, 1, 1, 3, 11, 0, 0]),
    (5, 14, [1, 3, 5, 5, 31, 0, 0]),
    (6, 1, [1, 3, 3, 9, 7, 49, 0]),
    (6, 13, [1, 1, 1, 15, 21, 21, 0]),
    (6, 16, [1, 3, 1, 13, 27, 49, 0]),
    (6, 19, [1, 1, 1, 15, 7, 5, 0]),
    (6, 22, [1, 3, 1, 15, 13, 25, 0]),
    (6, 25, [1, 1, 5, 5, 19, 61, 0]),
    (7, 1, [1, 3, 7, 11, 23, 15, 103]),
    (7, 4, [1, 3, 7, 13, 13, 15, 69]),
];

/// The first `count` points of Sobol's sequence: the more there are, the more evenly they fill the
/// cube, and those of a shorter design are kept by a longer one.
///
/// # Model
/// In the order of Antonov and Saleev (1979): each point differs from the one before in one
/// direction number a dimension. With a `shift` the points are moved by one random point, modulo the
/// cube (Cranley and Patterson 1976), which makes means over them unbiased.
///
/// # Panics
/// If there are more than [`SOBOL_DIMENSIONS`] dimensions.
pub fn sobol_points(count: usize, dimensions: usize, shift: Option<StreamKey>) -> Points {
    assert!(dimensions <= SOBOL_DIMENSIONS, "{dimensions} dimensions of {SOBOL_DIMENSIONS}");
    let directions: Vec<[u32; 32]> = (0..dimensions).map(directions).collect();
    let offsets: Vec<f64> = (0..dimensions)
        .map(|dimension| shift.map_or(0.0, |stream| stream.draw(dimension as u64).unit()))
        .collect();
    let mut state = vec![0u32; dimensions];
    let mut points = Vec::with_capacity(count);
    for number in 0..count as u32 {
        if number > 0 {
            let changed = (number - 1).trailing_ones() as usize;
            for (bits, direction) in state.iter_mut().zip(&directions) {
                *bits ^= direction[changed];
            }
        }
        let place = |(bits, offset): (&u32, &f64)| {
            let at = f64::from(*bits) / (1u64 << 32) as f64 + offset;
            if at < 1.0 { at } else { at - 1.0 }
        };
        points.push(state.iter().zip(&offsets).map(place).collect());
    }
    points
}

/// The direction numbers of a dimension, as fractions of 2^32.
fn directions(dimension: usize) -> [u32; 32] {
    let mut numbers = [0u32; 32];
    if dimension == 0 {
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = 1 << (31 - index);
        }
        return numbers;
    }
    let (degree, coefficients, initial) = DIRECTIONS[dimension - 1];
    let degree = degree as usize;
    for index in 0..32 {
        numbers[index] = if index < degree {
            initial[index] << (31 - index)
        } else {
            let mut number = numbers[index - degree] ^ (numbers[index - degree] >> degree);
            for back in 1..degree {
                if coefficients >> (degree - 1 - back) & 1 == 1 {
                    number ^= numbers[index - back];
                }
            }
            number
        };
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Seed;

    fn stream() -> StreamKey {
        Seed(9).replication(0).named("design")
    }

    #[test]
    fn every_slice_of_a_hypercube_holds_one_point() {
        let points = latin_hypercube(40, 5, stream());
        for dimension in 0..5 {
            let mut slices: Vec<usize> =
                points.iter().map(|point| (point[dimension] * 40.0) as usize).collect();
            slices.sort_unstable();
            assert_eq!(slices, (0..40).collect::<Vec<_>>());
        }
        assert_ne!(points, latin_hypercube(40, 5, stream().numbered(1)));
    }

    #[test]
    fn the_sequence_begins_as_published() {
        // scipy.stats.qmc.Sobol(21, scramble=False), which uses the same numbers.
        let points = sobol_points(8, 21, None);
        assert_eq!(points[0], [0.0; 21]);
        assert_eq!(points[1], [0.5; 21]);
        let of_1024 = [
            709, 959, 167, 281, 651, 365, 195, 781, 357, 331, 763, 713, 393, 485, 583, 527, 413,
            885, 379, 771, 243,
        ]
        .map(|part| f64::from(part) / 1_024.0);
        assert_eq!(sobol_points(778, 21, None)[777], of_1024);
    }

    #[test]
    fn each_dimension_of_a_power_of_two_is_evenly_filled_and_integrates_well() {
        let points = sobol_points(1_024, SOBOL_DIMENSIONS, None);
        for dimension in 0..SOBOL_DIMENSIONS {
            let mut places: Vec<u32> =
                points.iter().map(|point| (point[dimension] * 1_024.0) as u32).collect();
            places.sort_unstable();
            assert_eq!(places, (0..1_024).collect::<Vec<_>>(), "dimension {dimension}");
        }
        let shifted = sobol_points(1_024, 6, Some(stream()));
        let mean = shifted.iter().map(|point| point.iter().map(|x| 2.0 * x).product::<f64>());
        let mean = mean.sum::<f64>() / 1_024.0;
        // A product of six uniforms has a standard deviation of 2.1: 0.067 for independent points.
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }
}
