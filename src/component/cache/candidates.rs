//! The candidates for eviction that Redis keeps from one eviction to the next.

use super::Key;

/// How many are kept (evict.c, EVPOOL_SIZE).
const CANDIDATES_MAX: usize = 16;

/// The best entries to evict seen so far, by a score that was taken when they were sampled.
///
/// # Invariants
/// `kept[..len]` rises in score. A candidate may have left the store since.
pub(super) struct Candidates {
    kept: [(u64, Key); CANDIDATES_MAX],
    len: usize,
}

impl Candidates {
    pub(super) fn new() -> Candidates {
        Candidates { kept: [(0, Key { keyset: 0, rank: 0 }); CANDIDATES_MAX], len: 0 }
    }

    /// Keeps `key` if there is room or a worse candidate to drop; equal scores stay behind those
    /// already kept.
    pub(super) fn offer(&mut self, score: u64, key: Key) {
        let at = self.kept[..self.len].partition_point(|kept| kept.0 < score);
        if self.len < CANDIDATES_MAX {
            self.kept.copy_within(at..self.len, at + 1);
            self.kept[at] = (score, key);
            self.len += 1;
        } else if at > 0 {
            self.kept.copy_within(1..at, 0);
            self.kept[at - 1] = (score, key);
        }
    }

    /// Takes the one with the highest score.
    pub(super) fn take_best(&mut self) -> Option<Key> {
        self.len = self.len.checked_sub(1)?;
        Some(self.kept[self.len].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(mut candidates: Candidates) -> Vec<u32> {
        std::iter::from_fn(|| candidates.take_best()).map(|key| key.rank).collect()
    }

    #[test]
    fn the_sixteen_best_are_kept_in_order() {
        let mut candidates = Candidates::new();
        for rank in 0..40 {
            let score = (rank * 7) % 40;
            candidates.offer(u64::from(score), Key { keyset: 0, rank: score });
        }
        assert_eq!(ranks(candidates), (24..40).rev().collect::<Vec<_>>());
    }

    #[test]
    fn of_equal_scores_the_first_seen_goes_first() {
        let mut candidates = Candidates::new();
        for rank in 0..3 {
            candidates.offer(5, Key { keyset: 0, rank });
        }
        assert_eq!(ranks(candidates), [0, 1, 2]);
    }
}
