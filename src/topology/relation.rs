//! Tables and views, as far as their locks matter, and what a database does by itself.

use super::cache::Keys;
use super::database::Database;
use super::dist::Dist;
use super::names::Ref;
use super::spec::spec;
use crate::units::Duration;

spec! {
    /// A table or a materialised view whose locks matter: statements that name it in `on` take them.
    component Relation {
        /// The database that it is in.
        database: Ref<Database>;
        /// Its rows: a write, or a read `for_update`, locks one of them until its transaction ends.
        rows: Option<Ref<Keys>> = "rows are not locked" from "assumed: writes do not meet";
        /// How much longer a statement on it waits for storage when as many of its row versions are
        /// dead as it has rows.
        bloat: f64 = "0.0" from "assumed: dead versions are cleaned up in time";
    }
}
spec! {
    /// Something that a database does by itself now and then, on each primary: refreshing a view,
    /// vacuuming, altering a table, a checkpoint.
    component Maintenance {
        /// The database that does it.
        database: Ref<Database>;
        /// From the start of one to the start of the next; the first comes after this time. One that
        /// takes longer delays the next.
        every: Duration, positive;
        /// Time that it takes on an idle server.
        work: Dist = "\"0s\"" from "assumed: `per_write` says it all";
        /// Time that it takes for each write since the last one: to its `lock`'s table, or to all.
        per_write: Duration = "\"0s\"" from "assumed: it does not depend on writes";
        /// It is left out when there were fewer writes since the last one.
        threshold: u64 = "0" from "assumed: it is never left out";
        /// It takes at least so long, at an even pace: a checkpoint, a vacuum with its cost delay.
        spread: Duration = "\"0s\"" from "assumed: as fast as it can";
        /// The table that it locks meanwhile.
        lock: Option<TableLock> = "none" from "assumed: it locks nothing";
        /// It gives up, until the next time, when it has waited so long for its lock.
        lock_timeout: Option<Duration> = "none"
            from "PostgreSQL 15 postgresql.conf.sample (lock_timeout 0)", positive;
        /// Whether it cleans up dead row versions (VACUUM).
        cleans: bool = "false" from "assumed: no vacuum";
        /// Whether replaying it conflicts with queries on replicas that have begun before: it
        /// removes what they may still see.
        conflicts: bool = "false" from "assumed: replicas notice nothing";
    }
}
spec! {
    /// A lock on a table or view.
    table TableLock {
        /// The table or view.
        on: Ref<Relation>;
        /// In which mode.
        mode: LockMode;
    }
}
spec! {
    /// The modes of a table's lock (PostgreSQL 15, "Explicit Locking"), with what takes them.
    choice LockMode {
        /// SELECT.
        AccessShare = "access-share";
        /// SELECT FOR UPDATE.
        RowShare = "row-share";
        /// INSERT, UPDATE, DELETE.
        RowExclusive = "row-exclusive";
        /// VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY.
        ShareUpdateExclusive = "share-update-exclusive";
        /// CREATE INDEX: writers wait.
        Share = "share";
        /// CREATE TRIGGER.
        ShareRowExclusive = "share-row-exclusive";
        /// REFRESH MATERIALIZED VIEW CONCURRENTLY: readers pass.
        Exclusive = "exclusive";
        /// ALTER TABLE, TRUNCATE, REFRESH MATERIALIZED VIEW: everybody waits.
        AccessExclusive = "access-exclusive";
    }
}
