//! What large values and many subscribers cost a cache server: its thread, and its wire.
//!
//! PUBLISH is O(N + M): the message is written into the reply of each subscriber, and each reply is a system
//! call of its own before the next commands are run (Redis 7 pubsub.c, networking.c). A value is copied
//! from and to its socket. The wire of a node carries one answer after another, each way for itself.

use crate::kernel::PendingEvents;
use crate::model::Cache;
use crate::model::ids::{CacheId, StreamId};
use crate::model::tape::{Command, Op};
use crate::units::{Duration, Time};

use super::meter::Counter;
use super::world::World;

/// Until when the wire of a node is busy, each way.
#[derive(Default)]
pub(super) struct Wire {
    comes: Time,
    goes: Time,
}

/// Bytes that a command brings, and that each of its receivers is sent.
#[derive(Clone, Copy, Default)]
struct Moved {
    comes: u64,
    goes: u64,
    receivers: u32,
}

impl<Q: PendingEvents> World<'_, Q> {
    /// What the command of a task takes of the main thread, large values, subscribers and threads that read
    /// and write counted.
    pub(super) fn weighed_work(
        &self,
        task: u32,
        cache: CacheId,
        node: u32,
        own: Duration,
    ) -> Duration {
        let spec = &self.model.caches[cache];
        let extra = self.extra_work(task, cache, node);
        let threads = spec.io_threads;
        // networking.c (stopThreadedIOIfNeeded): below two clients for each thread the main one is alone.
        let at = self.tasks[task].work.0 as u32 as usize;
        let pending = self.caches[cache].loops[at].queue.len() + 1;
        if threads == 1 || pending < 2 * threads as usize {
            return own + extra;
        }
        let each = 1.0 / f64::from(threads);
        own.scale(1.0 - spec.io_share * (1.0 - each)) + extra.scale(each)
    }

    /// What the command of a task takes beside the time that all take.
    fn extra_work(&self, task: u32, cache: CacheId, node: u32) -> Duration {
        let spec = &self.model.caches[cache];
        let moved = self.moved(task, cache, node);
        let published = match self.op_at(task) {
            Op::Command { command: Command::Publish(_) | Command::Broadcast(_), .. } => {
                spec.per_subscriber.scale(f64::from(moved.receivers))
            }
            _ => Duration::ZERO,
        };
        let copied =
            Cache::large_kb(moved.comes) + Cache::large_kb(moved.goes) * f64::from(moved.receivers);
        published + spec.per_kb.scale(copied)
    }

    /// How much later a command arrives for all that is on the wire to its node.
    pub(super) fn bring(&mut self, task: u32, cache: CacheId) -> Duration {
        if self.model.caches[cache].bytes_per_s.is_none() {
            return Duration::ZERO;
        }
        let (_, node) = self.node_of_command(task);
        let bytes = self.moved(task, cache, node).comes;
        self.occupy_wire(cache, node, bytes, |wire| &mut wire.comes)
    }

    /// How much later its answer arrives for all that is on the wire from its node.
    pub(super) fn take_back(&mut self, task: u32, cache: CacheId, node: u32) -> Duration {
        if self.model.caches[cache].bytes_per_s.is_none() {
            return Duration::ZERO;
        }
        let Moved { goes, receivers, .. } = self.moved(task, cache, node);
        let at = self.tasks[task].work.0 as u32;
        self.occupy_wire(cache, at, goes * u64::from(receivers), |wire| &mut wire.goes)
    }

    fn occupy_wire(
        &mut self,
        cache: CacheId,
        at: u32,
        bytes: u64,
        way: fn(&mut Wire) -> &mut Time,
    ) -> Duration {
        let spec = &self.model.caches[cache];
        let Some(bytes_per_s) = spec.bytes_per_s.filter(|_| bytes > 0) else {
            return Duration::ZERO;
        };
        self.meters[spec.station].add(Counter::Bytes, bytes);
        let free = way(&mut self.caches[cache].loops[at as usize].wire);
        *free = (*free).max(self.now) + Duration::from_secs_f64(bytes as f64 / bytes_per_s);
        free.since(self.now)
    }

    fn moved(&self, task: u32, cache: CacheId, node: u32) -> Moved {
        match self.op_at(task) {
            Op::CacheGet { keys, key, .. } => {
                let found = self.key_of(task, cache, keys, key);
                let found = self.caches[cache].stores[node as usize].holds(self.now, found);
                let goes = if found { u64::from(self.model.keys[keys].size_bytes) } else { 0 };
                Moved { goes, receivers: 1, ..Moved::default() }
            }
            Op::CacheSet { keys, key, .. } => {
                let set = &self.model.keys[keys];
                let nothing = set.absent > 0.0 && set.is_absent(self.rank_of(task, keys, key));
                let comes = if nothing { 0 } else { u64::from(set.size_bytes) };
                Moved { comes, ..Moved::default() }
            }
            Op::Command { command, bytes, .. } => {
                let bytes = u64::from(bytes);
                let receivers = match command {
                    Command::SessionRead => return Moved { goes: bytes, receivers: 1, comes: 0 },
                    Command::Publish(stream) => self.subscribers(stream),
                    Command::Broadcast(socket) => self.processes_of_adapter(socket),
                    _ => 0,
                };
                Moved { comes: bytes, goes: bytes, receivers }
            }
            _ => Moved::default(),
        }
    }

    /// Subscribers of a channel that are connected.
    fn subscribers(&self, stream: StreamId) -> u32 {
        let all = &self.model.streams[stream].consumers;
        all.iter().map(|consumer| self.streams.groups[*consumer].connected()).sum()
    }
}
