//! What statements wait for at storage: their own share, whole pages that are logged, pages that are read.
//!
//! Which pages are in memory is not kept; only how many are. A page that is looked at is there with the hit
//! ratio of so many ([`component::buffer`](crate::component::buffer)), and one that is not is read and stays,
//! in the place of another once memory is full. As tables grow, the same memory holds less of them.

use crate::component::vacuum::Table;
use crate::kernel::PendingEvents;
use crate::model::Buffer;
use crate::model::tape::Op;
use crate::run::meter::Counter;
use crate::run::world::World;
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    /// How long a statement waits for storage on an idle volume.
    pub(super) fn storage_time(&mut self, task: u32, node: u32, cpu: Duration) -> Duration {
        let storage = Duration(self.tasks[task].work.0.saturating_sub(cpu.0));
        let database = self.database_of(node);
        let spec = &self.model.databases[database];
        let logged = match &spec.full_pages {
            Some(rules) => self.full_pages(task, database, rules),
            None => Duration::ZERO,
        };
        let reads = spec.buffer.is_some();
        let bloated = if storage.is_zero() || !spec.locks { 1.0 } else { self.bloat_at(task) };
        let alone = (if bloated == 1.0 { storage } else { storage.scale(bloated) }) + logged;
        if reads { alone + self.read_pages(task, node) } else { alone }
    }

    /// The pages that a statement looks at, of which some have to be read: how long that takes.
    fn read_pages(&mut self, task: u32, node: u32) -> Duration {
        let Op::Query { work, pages, .. } = self.op_at(task) else { return Duration::ZERO };
        if pages == 0 {
            return Duration::ZERO;
        }
        let model = self.model;
        let Some(buffer) = &model.databases[self.database_of(node)].buffer else {
            return Duration::ZERO;
        };
        let data = self.data_pages(buffer, node);
        let kept = if buffer.squeezed { self.pages_left(node) } else { buffer.pages };
        let room = kept.min(data);
        let mut resident = self.node_mut(node).resident.min(room);
        let mut draws = self.tasks[task].stream.named("pages").draw(u64::from(work.id.0));
        let mut misses = 0;
        for _ in 0..pages {
            if !draws.chance(buffer.hits.at(resident / data)) {
                misses += 1;
                resident = (resident + 1.0).min(room);
            }
        }
        self.node_mut(node).resident = resident;
        let station = self.station_of_node(node);
        self.meters[station].add(Counter::Hits, u64::from(pages) - misses);
        self.meters[station].add(Counter::Misses, misses);
        Duration(buffer.operation.0 * misses)
    }

    /// Pages of a node's data at present.
    fn data_pages(&self, buffer: &Buffer, node: u32) -> f64 {
        buffer.data.unwrap_or_else(|| {
            let shards = f64::from(self.model.databases[self.database_of(node)].shards);
            let of_table = |(table, row_bytes, indexes): &(_, f64, f64)| {
                let versions = self.locks.versions(*table);
                let (rows, dead) = (versions.rows as f64 / shards, versions.dead() as f64 / shards);
                Table { rows, row_bytes: *row_bytes, indexes: *indexes }.all_pages(dead)
            };
            buffer.tables.iter().map(of_table).sum()
        })
    }
}
