//! Choosing one of many outcomes by weight, in constant time.

use crate::stream::Draws;

/// Draws an outcome with probability proportional to its weight: one random word, one cache line.
///
/// Walker's alias method (Electronics Letters 10(8), 1974), built as Vose describes (IEEE
/// Transactions on Software Engineering 17(9), 1991). Probabilities are exact to 2^-32 of a cell.
#[derive(Clone, Debug)]
pub struct AliasTable {
    cells: Box<[Cell]>,
}

/// A cell has the area of one mean weight, and at most two owners.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// The share of the cell, in units of 2^-32, that belongs to its own outcome.
    threshold: u32,
    /// The outcome that owns the rest.
    alias: u32,
}

impl AliasTable {
    /// A table over the outcomes 0, 1, ..., `weights.len() - 1`.
    ///
    /// # Panics
    /// If there are more than 2^32 - 1 weights, if one is negative or not a number, or if their sum
    /// is not positive and finite.
    pub fn new(weights: &[f64]) -> AliasTable {
        let count = u32::try_from(weights.len()).expect("outcomes are numbered by u32");
        let total: f64 = weights.iter().sum();
        assert!(weights.iter().all(|weight| *weight >= 0.0), "weights are not negative");
        assert!(total > 0.0 && total.is_finite(), "the sum of weights is positive and finite");
        // Each weight in units of a cell. What others have taken from a cell is subtracted from it.
        let mut left: Vec<f64> =
            weights.iter().map(|weight| weight / total * f64::from(count)).collect();
        // A full cell is its own alias, so its threshold does not matter.
        let mut cells: Vec<Cell> = (0..count).map(|alias| Cell { threshold: 0, alias }).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..count).partition(|outcome| left[*outcome as usize] < 1.0);
        while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
            small.pop();
            let share = left[poor as usize];
            let threshold = (share * (1_u64 << 32) as f64) as u32;
            cells[poor as usize] = Cell { threshold, alias: rich };
            left[rich as usize] -= 1.0 - share;
            if left[rich as usize] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        // What remains on either stack differs from a full cell only by rounding: the remaining
        // weights sum to the number of remaining cells, and none of them could exceed 1 otherwise.
        AliasTable { cells: cells.into_boxed_slice() }
    }
    /// An outcome.
    #[inline]
    pub fn draw(&self, draws: &mut Draws) -> u32 {
        // The integer part chooses the cell, the fraction the place within it.
        let place = u128::from(draws.next_u64()) * self.cells.len() as u128;
        let index = (place >> 64) as usize;
        let cell = self.cells[index];
        if ((place >> 32) as u32) < cell.threshold { index as u32 } else { cell.alias }
    }
    /// How many outcomes there are.
    pub fn count(&self) -> u32 {
        self.cells.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::super::goodness::ALARM;
    use super::*;
    use crate::stream::{Seed, tests::chi_squared_z};

    /// The probability of each outcome, read off the table.
    fn probabilities(table: &AliasTable) -> Vec<f64> {
        let mut sums = vec![0.0; table.cells.len()];
        for (outcome, cell) in table.cells.iter().enumerate() {
            let own = f64::from(cell.threshold) / (1_u64 << 32) as f64;
            sums[outcome] += own;
            sums[cell.alias as usize] += 1.0 - own;
        }
        sums.iter().map(|sum| sum / table.cells.len() as f64).collect()
    }

    #[test]
    fn the_table_holds_the_weights() {
        let mut draws = Seed(3).replication(0).draw(0);
        for count in [1, 2, 3, 10, 1000, 30_000] {
            let weights: Vec<f64> = (0..count)
                .map(|i| if i % 7 == 5 { 0.0 } else { draws.unit() / draws.unit_open() })
                .collect();
            let total: f64 = weights.iter().sum();
            let table = AliasTable::new(&weights);
            for (outcome, (p, weight)) in probabilities(&table).iter().zip(&weights).enumerate() {
                let exact = weight / total;
                assert!((p - exact).abs() < 1e-9, "{outcome} of {count}: {p} against {exact}");
                assert!(*weight > 0.0 || *p == 0.0, "{outcome} has no weight");
            }
        }
    }

    #[test]
    fn outcomes_come_as_often_as_they_weigh() {
        let weights = [5.0, 0.5, 1.0, 0.0, 3.5, 2.0];
        let table = AliasTable::new(&weights);
        let mut draws = Seed(4).replication(0).draw(0);
        let mut counts = [0_u64; 6];
        (0..1_200_000).for_each(|_| counts[table.draw(&mut draws) as usize] += 1);
        assert_eq!(counts[3], 0);
        let observed = [0, 1, 2, 4, 5].map(|i| counts[i]);
        let expected = [0, 1, 2, 4, 5].map(|i| weights[i] * 100_000.0);
        let z = chi_squared_z(&observed, &expected);
        assert!(z.abs() < ALARM, "z = {z}: {counts:?}");
        let mut wrong = expected;
        wrong[1] *= 1.03;
        wrong[3] -= 0.03 * expected[1];
        assert!(chi_squared_z(&observed, &wrong) > ALARM, "teeth");
    }

    #[test]
    fn values_are_stable() {
        let table = AliasTable::new(&[1.0, 2.0, 3.0, 4.0]);
        let mut draws = Seed(42).replication(0).named("alias").draw(0);
        assert_eq!([(); 12].map(|()| table.draw(&mut draws)), [0, 2, 3, 1, 1, 1, 0, 3, 3, 1, 3, 2]);
    }

    #[test]
    #[should_panic(expected = "sum of weights")]
    fn no_weight_at_all_is_refused() {
        AliasTable::new(&[0.0, 0.0]);
    }
}
