//! Caches that are written to disk: what that keeps their nodes from.

use crate::component::persistence::{AppendOnly, Snapshots};
use crate::kernel::PendingEvents;
use crate::model;
use crate::model::ids::CacheId;
use crate::model::tape::{Command, Op};
use crate::units::Duration;

use super::meter::Counter;
use super::world::World;

/// What a node has of its disk.
#[derive(Clone, Default)]
pub struct Disk {
    snapshots: Snapshots,
    file: AppendOnly,
    /// Numbers the draws of its fsyncs.
    fsyncs: u32,
}

/// Whether a command changes data.
fn changes(op: &Op) -> bool {
    match op {
        Op::CacheSet { .. } | Op::CacheDelete { .. } => true,
        Op::CacheLock { .. } | Op::CacheUnlock { .. } => true,
        Op::Command { command: Command::SessionRead, .. } => false,
        Op::Command { command: Command::Publish(_) | Command::Broadcast(_), .. } => false,
        Op::Command { command: Command::Own { write, .. }, .. } => *write,
        Op::Command { .. } => true,
        _ => false,
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A node has run the command at which a task stands.
    pub(super) fn note_change(&mut self, task: u32, cache: CacheId, node: u32) {
        let Some(spec) = &self.model.caches[cache].persistence else { return };
        if !changes(&self.op_at(task)) {
            return;
        }
        let disk = &mut self.caches[cache].disks[node as usize];
        disk.snapshots.changed();
        if spec.fsync.is_some() {
            disk.file.changed();
            self.write_file(cache, node, spec);
        }
    }

    /// Each tenth of a second a node looks whether it is time for a snapshot, and writes what it has put
    /// off.
    pub(super) fn persist(&mut self, cache: CacheId) {
        let model = self.model;
        let Some(spec) = &model.caches[cache].persistence else { return };
        for node in 0..model.caches[cache].nodes {
            if self.condition_of_cache(cache, node).down {
                continue;
            }
            let now = self.now;
            if self.caches[cache].disks[node as usize].snapshots.look(now, &spec.save) {
                let bytes = self.node_bytes(cache, node) as f64;
                let fork = spec.fork.scale(bytes / 1e9);
                let writing = Duration::from_secs_f64(bytes / spec.disk_bytes_per_s);
                self.caches[cache].disks[node as usize].snapshots.forked(now + fork + writing);
                self.stand_still(cache, node, fork);
            }
            if spec.fsync.is_some() {
                self.write_file(cache, node, spec);
            }
        }
    }

    fn write_file(&mut self, cache: CacheId, node: u32, spec: &model::Persistence) {
        let fsync = spec.fsync.expect("asked before");
        let (now, model, stream) = (self.now, self.model, self.caches[cache].stream);
        let disk = &mut self.caches[cache].disks[node as usize];
        let number = &mut disk.fsyncs;
        let blocked = disk.file.flush(now, || {
            *number += 1;
            model.draw_law(fsync, stream.named("fsync").numbered(u64::from(node)), *number)
        });
        if !blocked.is_zero() {
            self.stand_still(cache, node, blocked);
        }
    }

    /// A node does nothing else for so long.
    fn stand_still(&mut self, cache: CacheId, node: u32, length: Duration) {
        let micros = length.0 / Duration::micros(1).0;
        self.meters[self.model.caches[cache].station].add(Counter::PausedMicros, micros);
        let now = self.now;
        self.caches[cache].loops[node as usize].keep(now, length);
    }
}
