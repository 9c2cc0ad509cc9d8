//! What PostgreSQL's autovacuum does to a table, by its size and its dead row versions.
//!
//! A table is due when more than `threshold` + `scale_factor` x rows of its row versions are dead
//! (autovacuum.c, `relation_needs_vacanalyze`). Its heap is read, but for stretches of 32 pages and more
//! in which nothing is dead (vacuumlazy.c, SKIP_PAGES_THRESHOLD); each page with dead versions is changed.
//! Unless those are less than 2 % of its pages (BYPASS_THRESHOLD_PAGES) every index is read from end to
//! end, and the heap's pages are visited once more. Each page costs points, by whether it was in memory
//! and by whether it is changed; after `limit` of them it naps (`vacuum_delay_point`).

use crate::units::Duration;

/// A page (bytes).
pub const PAGE: f64 = 8192.0;
/// An entry of an index of numbers with its line pointer (bytes), and how full pages are that it is in.
const ENTRY: f64 = 20.0;
const FILLED: f64 = 0.9;
/// A row's header and line pointer (bytes).
const HEADER: f64 = 28.0;
/// So many pages in a row must be free of dead versions for them to be passed over.
const SKIPPED: i32 = 32;
/// With dead versions on fewer of its pages the indexes are left alone.
const BYPASS: f64 = 0.02;

/// A table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Table {
    /// Live rows.
    pub rows: f64,
    /// Bytes of one, without its header.
    pub row_bytes: f64,
    /// Its indexes.
    pub indexes: f64,
}

impl Table {
    /// Pages of its heap, with so many dead versions in it.
    pub fn pages(&self, dead: f64) -> f64 {
        ((self.rows + dead) * (self.row_bytes + HEADER) / PAGE).ceil().max(1.0)
    }
    /// Its pages with those of its indexes.
    pub fn all_pages(&self, dead: f64) -> f64 {
        self.pages(dead) + self.index_pages(dead)
    }
    /// Pages of all its indexes.
    pub fn index_pages(&self, dead: f64) -> f64 {
        self.indexes * ((self.rows + dead) * ENTRY / FILLED / PAGE).ceil().max(1.0)
    }
}

/// Of so many pages, those that something falls on when so many things fall on any of them.
pub fn hit(pages: f64, things: f64) -> f64 {
    if pages <= 1.0 {
        pages.min(things)
    } else {
        pages * -libm::expm1(things * libm::log1p(-1.0 / pages))
    }
}

/// How autovacuum decides, and how fast it may be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct VacuumRules {
    /// Dead versions that are too few for any table.
    pub threshold: f64,
    /// And as a share of its rows.
    pub scale_factor: f64,
    /// Points of a page in memory, of one that is read, of one that is changed.
    pub costs: [f64; 3],
    /// Points between two naps.
    pub limit: f64,
    /// A nap.
    pub delay: Duration,
    /// Share of pages that are in memory.
    pub cached: f64,
    /// CPU time for each page.
    pub page_cpu: Duration,
}

/// What one vacuum takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Vacuum {
    /// CPU time.
    pub cpu: Duration,
    /// Pages read from storage, one after another.
    pub reads: f64,
    /// Pages that it writes back.
    pub writes: f64,
    /// Time that it naps.
    pub naps: Duration,
}

impl VacuumRules {
    /// Whether a table is due.
    pub fn is_due(&self, rows: f64, dead: f64) -> bool {
        dead > self.threshold + self.scale_factor * rows
    }

    /// What vacuuming a table takes that has so many dead versions.
    pub fn work(&self, table: Table, dead: f64) -> Vacuum {
        let pages = table.pages(dead);
        let changed = hit(pages, dead);
        let clean = 1.0 - changed / pages;
        let passed = pages
            * libm::pow(clean, SKIPPED.into())
            * (1.0 + f64::from(SKIPPED - 1) * (1.0 - clean));
        let scanned = (pages - passed).max(changed);
        let (mut looked, mut dirtied, mut again) = (scanned, changed, 0.0);
        if changed >= BYPASS * pages {
            let index = table.index_pages(dead);
            looked += index;
            dirtied += hit(index, dead * table.indexes);
            again = changed;
        }
        let [in_memory, read, changing] = self.costs;
        let reads = looked * (1.0 - self.cached);
        let points = (looked * self.cached + again) * in_memory + reads * read + dirtied * changing;
        let naps = if self.limit > 0.0 { (points / self.limit).floor() } else { 0.0 };
        Vacuum {
            cpu: self.page_cpu.scale(looked + again),
            reads,
            writes: dirtied,
            naps: self.delay.scale(naps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: VacuumRules = VacuumRules {
        threshold: 50.0,
        scale_factor: 0.2,
        costs: [1.0, 2.0, 20.0],
        limit: 200.0,
        delay: Duration::millis(2),
        cached: 1.0,
        page_cpu: Duration::micros(10),
    };

    #[test]
    fn a_table_is_due_beyond_a_fifth_of_its_rows() {
        assert!(!RULES.is_due(1_000.0, 250.0));
        assert!(RULES.is_due(1_000.0, 251.0));
    }

    /// A million rows of 100 bytes without an index, a fifth of them dead.
    #[test]
    fn points_are_spent_at_the_pace_of_the_naps() {
        let table = Table { rows: 1e6, row_bytes: 100.0, indexes: 0.0 };
        let pages = table.pages(2e5);
        assert_eq!(pages, 18_750.0);
        // Ten dead versions a page: none is without.
        let vacuum = RULES.work(table, 2e5);
        assert!((vacuum.writes - pages).abs() < 2.0, "{vacuum:?}");
        // Each page costs 1 + 20 at first and 1 the second time: 22 points, 9 pages a nap of 2 ms.
        let naps = (pages * 22.0 / 200.0).floor();
        assert!((vacuum.naps.seconds() - naps * 2e-3).abs() < 0.01, "{vacuum:?}");
        let cold = VacuumRules { cached: 0.0, ..RULES }.work(table, 2e5);
        assert!((cold.reads - pages).abs() < 1.0);
        assert!((cold.naps.seconds() - (pages * 23.0 / 200.0).floor() * 2e-3).abs() < 0.01);
        let eager = VacuumRules { limit: 0.0, ..RULES }.work(table, 2e5);
        assert_eq!(eager.naps, Duration::ZERO, "a limit of 0 is none");
    }

    #[test]
    fn few_dead_versions_leave_the_indexes_alone() {
        let table = Table { rows: 1e6, row_bytes: 100.0, indexes: 2.0 };
        // On 200 of 15,628 pages, 1.3 %: pages between them are passed over where 32 in a row are clean.
        let few = RULES.work(table, 200.0);
        assert!(few.writes < 200.0 && few.cpu < Duration::millis(80), "{few:?}");
        let many = RULES.work(table, 2e5);
        let index = table.index_pages(2e5);
        assert!(many.writes > 18_000.0 + index, "{many:?}");
    }
}
