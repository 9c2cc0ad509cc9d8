//! Tables and views, as far as their locks matter, and what a database does by itself.

use super::cache::Keys;
use super::database::Database;
use super::dist::Dist;
use super::names::Ref;
use super::spec::spec;
use crate::units::{Bytes, Duration, Ratio};

spec! {
    /// A table or a materialised view whose locks matter: statements that name it in `on` take them.
    component Relation {
        /// The database that it is in.
        database: Ref<Database>;
        /// Its rows: a write, or a read `for_update`, locks one of them until its transaction ends.
        rows: Option<Ref<Keys>> = "rows are not locked" from "assumed: writes do not meet";
        /// How many rows it has at the start; `inserts` and `deletes` of statements change that.
        count: Option<u64> = "as many as `rows` has keys" from "assumed: any row may be locked", positive;
        /// A row without its header of 28 bytes.
        row_size: Bytes = "\"100B\"" from "assumed: some numbers and a short text", positive;
        /// Its indexes.
        indexes: u32 = "1" from "assumed: a primary key";
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
        /// What it is.
        kind: MaintenanceKind = "\"job\"" from "assumed: the file says what it takes";
        /// From the start of one to the start of the next; the first comes after this time. One that
        /// takes longer delays the next.
        every: Option<Duration> = "autovacuum 60s, checkpoint 300s; a job must say it"
            from "PostgreSQL 15 postgresql.conf.sample (autovacuum_naptime, checkpoint_timeout)", positive;
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
    /// What a database does by itself.
    choice MaintenanceKind {
        /// Takes what `work` and `per_write` say.
        Job = "job";
        /// Autovacuum of a table; what it takes follows from the table's size and its dead row versions.
        Autovacuum(Autovacuum) = "autovacuum";
        /// A checkpoint; what it takes follows from the pages that have changed since the last.
        Checkpoint(Checkpoint) = "checkpoint";
    }
}
spec! {
    /// Autovacuum of a table, by PostgreSQL's settings. It is left out unless more than `threshold` +
    /// `scale_factor` x rows of its row versions are dead. Then it reads the table, but for stretches of 32
    /// pages without any, and its indexes, if 2 % of the table's pages have some, and naps after each
    /// `cost_limit` points.
    table Autovacuum {
        /// The table.
        on: Ref<Relation>;
        /// Dead row versions that are too few for any table.
        threshold: u64 = "50" from "PostgreSQL 15 postgresql.conf.sample (autovacuum_vacuum_threshold)";
        /// And as a share of its rows.
        scale_factor: f64 = "0.2"
            from "PostgreSQL 15 postgresql.conf.sample (autovacuum_vacuum_scale_factor)";
        /// Points after which it naps; 0 for no naps.
        cost_limit: u32 = "200"
            from "PostgreSQL 15 postgresql.conf.sample (autovacuum_vacuum_cost_limit -1: vacuum_cost_limit)";
        /// How long it naps.
        cost_delay: Duration = "\"2ms\""
            from "PostgreSQL 15 postgresql.conf.sample (autovacuum_vacuum_cost_delay)";
        /// Points of a page that is in memory.
        page_hit: u32 = "1" from "PostgreSQL 15 postgresql.conf.sample (vacuum_cost_page_hit)";
        /// Points of a page that is read from storage.
        page_miss: u32 = "2" from "PostgreSQL 15 postgresql.conf.sample (vacuum_cost_page_miss)";
        /// Further points of a page that it changes.
        page_dirty: u32 = "20" from "PostgreSQL 15 postgresql.conf.sample (vacuum_cost_page_dirty)";
        /// Share of pages that are in memory.
        cached: Ratio = "\"100%\"" from "assumed: data in memory";
        /// CPU time for each page.
        page_cpu: Duration = "\"10us\"" from "assumed: pruning a page and looking at its rows";
    }
}
spec! {
    /// A checkpoint, by PostgreSQL's settings. It writes each page that has changed since the last one, at an
    /// even pace; and after its beginning the first change of each page is logged as a whole page, for
    /// which the statement waits.
    table Checkpoint {
        /// Over which share of the time to the next it is spread.
        completion_target: Ratio = "\"90%\""
            from "PostgreSQL 15 postgresql.conf.sample (checkpoint_completion_target)";
        /// Pages that writes fall on, evenly.
        pages: Option<u64> = "those of all its tables with a `count` or `rows`" from "assumed: writes fall anywhere", positive;
        /// Pages that each write changes.
        changes: u32 = "2" from "assumed: a page of the table and one of an index", positive;
        /// Whether the first change of a page after its beginning logs all of it.
        full_page_writes: bool = "true" from "PostgreSQL 15 postgresql.conf.sample (full_page_writes on)";
        /// CPU time for each page.
        page_cpu: Duration = "\"10us\"" from "assumed: a write to the operating system";
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
