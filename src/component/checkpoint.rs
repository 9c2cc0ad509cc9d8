//! What a checkpoint of PostgreSQL writes, and what the first change of a page after it costs.
//!
//! A checkpoint writes all pages that have changed since the one before, spread over
//! `checkpoint_completion_target` of the time to the next (checkpointer.c, `IsCheckpointOnSchedule`). The
//! first change of each page after its beginning puts the whole page into the write-ahead log
//! (`full_page_writes`; xloginsert.c, `XLogRecordAssemble`), so commits write more just after it.

use super::vacuum::hit;

/// What changes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CheckpointRules {
    /// Pages that writes fall on, evenly.
    pub pages: f64,
    /// Pages that each write changes.
    pub changes: f64,
    /// The first change of a page after a checkpoint's beginning logs all of it.
    pub full_pages: bool,
}

impl CheckpointRules {
    /// Pages that so many writes have changed.
    pub fn changed(&self, writes: u64) -> f64 {
        hit(self.pages, writes as f64 * self.changes)
    }
    /// Whole pages that the next write logs, on average, with so many since the last checkpoint began.
    pub fn logged(&self, writes: u64) -> f64 {
        if !self.full_pages {
            return 0.0;
        }
        self.changed(writes + 1) - self.changed(writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_changed_once_and_logged_once() {
        let rules = CheckpointRules { pages: 100.0, changes: 2.0, full_pages: true };
        assert!((rules.changed(1) - 1.99).abs() < 1e-9, "now and then both fall on one page");
        assert!((rules.changed(10_000) - 100.0).abs() < 1e-9);
        assert!((rules.logged(0) - 1.99).abs() < 1e-9);
        let all: f64 = (0..10_000).map(|writes| rules.logged(writes)).sum();
        assert!((all - 100.0).abs() < 1e-6, "each page once: {all}");
        assert_eq!(CheckpointRules { full_pages: false, ..rules }.logged(0), 0.0);
    }
}
