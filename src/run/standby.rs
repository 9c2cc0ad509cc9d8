//! Cache servers with replicas: who takes over, when, and what is lost.
//!
//! A node is a place in the cluster rather than a machine: its primary, and the replicas that can take
//! its place. Replication is asynchronous: what was written within the last `lag` before a primary was
//! lost is on no replica (redis.io, "Redis replication").

use std::collections::VecDeque;

use crate::component::cache::{Key, Lookup};
use crate::component::redis_failover;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::CacheId;
use crate::model::tape::Op;
use crate::model::{self, Failover, Harm, Reads};
use crate::units::Time;

use super::event::Kind;
use super::meter::Counter;
use super::task::State;
use super::world::World;

/// What a cache with replicas knows of its nodes.
pub struct Standby {
    nodes: Vec<Standing>,
    /// The cluster answers nobody: a range of slots is not covered, or too few masters are left.
    pub(super) closed: bool,
}

/// One node with its replicas.
struct Standing {
    /// Replicas that could take over.
    replicas: u32,
    /// One of them has taken over from the primary that is down.
    promoted: bool,
    /// The cluster has marked the primary as failed.
    failed: bool,
    /// When the primary was lost.
    lost_at: Time,
    /// Tells events of this loss from those of earlier ones.
    generation: u32,
    /// What was written lately, and may be on no replica.
    recent: VecDeque<(Time, Key)>,
}

/// A node is marked as failed; a replica takes over.
const FAILS: u32 = 0;
const PROMOTED: u32 = 1;

/// A command that a Redis Cluster turns away is sent again so many times (ioredis, `maxRedirections`).
const REDIRECTIONS: u16 = 16;

impl Standby {
    /// All primaries well.
    pub fn new(spec: &model::Cache) -> Standby {
        let well = |_| Standing {
            replicas: spec.replicas,
            promoted: false,
            failed: false,
            lost_at: Time::ZERO,
            generation: 0,
            recent: VecDeque::new(),
        };
        Standby { nodes: (0..spec.nodes).map(well).collect(), closed: false }
    }
    /// Whether a replica stands in for a primary that is down.
    pub(super) fn stands_in(&self, node: u32) -> bool {
        self.nodes[node as usize].promoted
    }
    /// A value has been written.
    pub(super) fn wrote(&mut self, node: u32, key: Key, now: Time, spec: &model::Cache) {
        let recent = &mut self.nodes[node as usize].recent;
        while recent.front().is_some_and(|(at, _)| now.since(*at) > spec.lag) {
            recent.pop_front();
        }
        recent.push_back((now, key));
    }
    /// Whether a replica has not yet heard of the last write of a key.
    pub(super) fn lags(&self, node: u32, key: Key, now: Time, spec: &model::Cache) -> bool {
        let recent = self.nodes[node as usize].recent.iter().rev();
        recent.take_while(|(at, _)| now.since(*at) < spec.lag).any(|(_, written)| *written == key)
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A value that a replica has not heard of is none to its readers.
    pub(super) fn seen_by_copy(
        &mut self,
        task: u32,
        cache: CacheId,
        node: u32,
        key: Key,
    ) -> Lookup {
        let spec = &self.model.caches[cache];
        let standby = self.caches[cache].standby.as_ref().expect("asked before");
        let from_replica = self.tasks[task].work.0 as u32 >= spec.nodes;
        if from_replica && standby.lags(node, key, self.now, spec) {
            self.count(spec.station, Counter::StaleReads);
            return Lookup::Miss;
        }
        Lookup::Hit
    }

    /// Which loop of a cache runs a command: that of the node, or of one of its replicas.
    pub(super) fn loop_of(&self, task: u32, cache: CacheId, node: u32) -> u32 {
        let spec = &self.model.caches[cache];
        let op = self.op_at(task);
        if spec.reads == Reads::Primary || !matches!(op, Op::CacheGet { .. }) {
            return node;
        }
        let choices = spec.replicas + u32::from(spec.reads == Reads::All);
        let mut draws = self.tasks[task].stream.draw(u64::from(op.numbers()) ^ 0x5e1e_c700);
        let replica = draws.below(choices);
        let there =
            self.caches[cache].standby.as_ref().map_or(0, |it| it.nodes[node as usize].replicas);
        if replica < there { spec.nodes + node * spec.replicas + replica } else { node }
    }

    fn node_at(&mut self, at: Time, number: u32, what: u32, generation: u32) {
        let ordinal = (what << 24) | (generation % (1 << 24));
        self.events.push(Event::new(at, Kind::CacheNode as u8, ordinal, number));
    }

    fn standing(&mut self, number: u32) -> Option<(CacheId, u32, &mut Standing)> {
        let state = self.faults.as_ref().expect("only faults stop a cache");
        let (cache, node) = state.place_of_cache_node(number);
        let standby = self.caches[cache].standby.as_mut()?;
        Some((cache, node, &mut standby.nodes[node as usize]))
    }

    /// A primary is lost, or whoever has taken over from it.
    pub(super) fn primary_lost(&mut self, number: u32) {
        let now = self.now;
        let Some((cache, _, standing)) = self.standing(number) else { return };
        standing.generation += 1;
        (standing.promoted, standing.failed, standing.lost_at) = (false, false, now);
        let (generation, replicas) = (standing.generation, standing.replicas);
        let spec = &self.model.caches[cache];
        let stream = self.caches[cache].stream.named("failover").numbered(u64::from(number));
        let mut draws = stream.draw(u64::from(generation));
        let mut unit = || draws.unit();
        match spec.failover {
            Some(Failover::Sentinel { down_after, sentinels, quorum }) if replicas > 0 => {
                let takes = redis_failover::sentinel(down_after, sentinels, quorum, &mut unit);
                self.node_at(now + takes, number, PROMOTED, generation);
            }
            Some(Failover::Cluster { node_timeout, .. }) => {
                let all = spec.nodes * (1 + spec.replicas);
                let takes = redis_failover::cluster_fails(node_timeout, spec.nodes, all, &mut unit);
                self.node_at(now + takes, number, FAILS, generation);
            }
            _ => {}
        }
    }

    /// Something about a cache node without its primary is due.
    pub(super) fn cache_node_event(&mut self, number: u32, ordinal: u32) {
        let (what, generation) = (ordinal >> 24, ordinal % (1 << 24));
        let Some((cache, node, standing)) = self.standing(number) else { return };
        if standing.generation % (1 << 24) != generation {
            return;
        }
        match what {
            FAILS => self.node_fails(cache, node, number),
            _ => self.replica_takes_over(cache, node),
        }
    }

    /// Most masters of a cluster hold one for failed: its replicas ask for their votes.
    fn node_fails(&mut self, cache: CacheId, node: u32, number: u32) {
        let standby = self.caches[cache].standby.as_mut().expect("it has nodes to fail");
        let standing = &mut standby.nodes[node as usize];
        standing.failed = true;
        let (generation, replicas) = (standing.generation, standing.replicas);
        let stream = self.caches[cache].stream.named("election").numbered(u64::from(number));
        let takes =
            redis_failover::cluster_elects(&mut || stream.draw(u64::from(generation)).unit());
        if replicas > 0 && self.masters_left(cache) > self.model.caches[cache].nodes / 2 {
            self.node_at(self.now + takes, number, PROMOTED, generation);
        }
        self.look_at_cover(cache);
    }

    /// Masters that can vote.
    fn masters_left(&self, cache: CacheId) -> u32 {
        let up = |node: &u32| !self.condition_of_cache(cache, *node).down;
        (0..self.model.caches[cache].nodes).filter(up).count() as u32
    }

    /// Whether a cluster answers at all.
    fn look_at_cover(&mut self, cache: CacheId) {
        let spec = &self.model.caches[cache];
        let Some(Failover::Cluster { full_coverage, .. }) = spec.failover else { return };
        let left = self.masters_left(cache);
        let standby = self.caches[cache].standby.as_mut().expect("a cluster knows its nodes");
        let failed = standby.nodes.iter().filter(|it| it.failed && !it.promoted).count();
        standby.closed = failed > 0 && (full_coverage || left <= spec.nodes / 2);
    }

    /// A replica is the primary now. What it had not heard of is lost.
    fn replica_takes_over(&mut self, cache: CacheId, node: u32) {
        let spec = &self.model.caches[cache];
        let standby = self.caches[cache].standby.as_mut().expect("it has replicas");
        let standing = &mut standby.nodes[node as usize];
        standing.promoted = true;
        standing.replicas -= 1;
        let lost_at = standing.lost_at;
        let recent = std::mem::take(&mut standing.recent);
        for (_, key) in recent.into_iter().filter(|(at, _)| lost_at.since(*at) < spec.lag) {
            if self.remove_value(cache, node, key) {
                self.count(spec.station, Counter::Lost);
            }
        }
        self.look_at_cover(cache);
        self.queues_have_store(cache, node);
    }

    /// A machine is there again: as a replica, if one has taken over; else as what it was. One that has
    /// lost its memory and is still the primary takes its emptiness to its replicas.
    pub(super) fn primary_back(&mut self, number: u32, harm: &Harm) {
        let Some((cache, node, standing)) = self.standing(number) else { return };
        standing.generation += 1;
        let was_replaced = standing.promoted;
        standing.replicas += u32::from(was_replaced);
        (standing.promoted, standing.failed) = (false, false);
        if *harm == Harm::Restart && !was_replaced {
            self.empty_store(cache, node);
        }
        self.look_at_cover(cache);
    }

    /// Whether a cache keeps what a primary held when that restarts empty: its replicas have it.
    pub(super) fn survives_restart(&self, number: u32) -> bool {
        let state = self.faults.as_ref().expect("only faults stop a cache");
        let (cache, node) = state.place_of_cache_node(number);
        let standby = self.caches[cache].standby.as_ref();
        let there = standby.is_some_and(|it| it.nodes[node as usize].replicas > 0);
        there && self.model.caches[cache].failover.is_some()
    }

    /// ioredis' cluster client asks again, elsewhere, 100 ms later (`retryDelayOnFailover`,
    /// `retryDelayOnClusterDown`); each error counts. False: that was too often.
    pub(super) fn redirect(&mut self, task: u32, cache: CacheId, errors: u16) -> bool {
        let rules = self.model.caches[cache].client;
        let record = &mut self.tasks[task];
        if record.worker == super::task::NONE || !rules.is_some_and(|rules| rules.redirects) {
            return false;
        }
        if (record.pending & 0xff) + errors > REDIRECTIONS {
            record.pending &= 0xff00;
            return false;
        }
        record.pending += errors;
        record.state = State::Away;
        let pause = crate::units::Duration::millis(100);
        let back = self.cache_rtt(task, cache).half();
        self.travel(task, back);
        let station = self.model.caches[cache].station;
        self.spend(task, station, super::meter::Part::Wait, pause);
        self.count(station, Counter::Retried);
        self.tasks[task].since = self.now;
        self.at_task(self.now + back + pause, Kind::Resume, task);
        true
    }

    /// Whether a node's server is gone, for those who read from `at`: a loop of its own or of a replica.
    pub(super) fn is_out(&self, cache: CacheId, node: u32, at: u32) -> bool {
        at < self.model.caches[cache].nodes && self.condition_of_cache(cache, node).down
    }
}
