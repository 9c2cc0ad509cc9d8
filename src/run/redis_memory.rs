//! The memory of a cache server: what cached values, sessions, counters and jobs take of it together, and what
//! gives way when it is full.
//!
//! Redis looks at its memory before each command that may need more (`processCommand`), evicts until it
//! is within `maxmemory` and answers OOM where nothing may go. Sessions are known by the second of their
//! expiry only, so those idle for longest go first, exactly; which of those alike were meant shows when
//! their users come back. Of jobs only those that are over are let go.

use crate::component::cache::cluster::{Placement, node_of, slot_of};
use crate::component::cache::{CacheStore, Eviction, Key};
use crate::kernel::PendingEvents;
use crate::model::ids::{CacheId, LimitId, QueueId, SessionId};
use crate::model::tape::{Command, Op};
use crate::units::{Duration, TICKS_PER_SECOND, Time};

use super::meter::Counter;
use super::task::NONE;
use super::world::World;

/// For so long one command evicts at most (evict.c, `maxmemory-eviction-tenacity` 10).
const EVICTING_MOST: Duration = Duration::micros(500);

/// In the number of a command's loop: the room for it has been made.
pub(super) const MADE_ROOM: u64 = 1 << 32;
/// In the number of a command's loop: there is no room for it.
pub(super) const NO_ROOM: u64 = 1 << 33;

/// Who goes next.
enum Victim {
    Value(Key),
    Session(SessionId),
    Job(QueueId),
    Counter(LimitId, u32),
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The node that holds a queue: its keys have one hash tag.
    pub(super) fn node_of_queues(&self, cache: CacheId) -> u32 {
        let key = Key { keyset: NONE, rank: NONE };
        node_of(slot_of(key, Placement::Spread), self.model.caches[cache].nodes)
    }

    /// Bytes in the memory of a node.
    pub(super) fn node_bytes(&mut self, cache: CacheId, node: u32) -> u64 {
        let spec = &self.model.caches[cache];
        let overhead = u64::from(spec.store.overhead_bytes);
        let mut bytes = self.caches[cache].stores[node as usize].used_bytes();
        for session in &spec.sessions {
            let size = u64::from(self.model.sessions[*session].size_bytes) + overhead;
            bytes += self.sessions[*session].live(self.now) * size / u64::from(spec.nodes);
        }
        for limit in &spec.limits {
            let (_, size) = self.model.limits[*limit].kept.expect("it is counted");
            let now = self.now;
            let keys = self.limits[*limit].in_redis().map_or(0, |windows| windows.in_redis(now));
            bytes += keys * size / u64::from(spec.nodes);
        }
        if !spec.queues.is_empty() && node == self.node_of_queues(cache) {
            bytes += spec.queues.iter().map(|queue| self.queues[*queue].bytes).sum::<u64>();
        }
        bytes
    }

    /// The node has come to a command that may need memory: room is made for it. What that takes beside
    /// the command; [`None`] if nothing is to be done any more.
    pub(super) fn make_room(&mut self, task: u32, cache: CacheId, node: u32) -> Option<Duration> {
        let spec = &self.model.caches[cache];
        spec.store.memory?;
        let alone = spec.sessions.is_empty() && spec.queues.is_empty() && spec.limits.is_empty();
        let op = self.op_at(task);
        let needs = match op {
            // The store makes room by itself where it has the memory alone.
            Op::CacheSet { .. } => !alone || !spec.evicting.is_zero(),
            Op::Command { command, .. } => {
                matches!(
                    command,
                    Command::SessionSave
                        | Command::Push
                        | Command::Add(_)
                        | Command::Insert { .. }
                        | Command::Count(_)
                        | Command::Own { write: true, .. }
                )
            }
            _ => false,
        };
        if !needs || self.tasks[task].work.0 & MADE_ROOM != 0 {
            return None;
        }
        self.tasks[task].work.0 |= MADE_ROOM;
        let most = EVICTING_MOST.0.checked_div(spec.evicting.0).unwrap_or(u64::MAX);
        let mut evicted = 0;
        while evicted < most && self.is_over(cache, node) {
            if !self.evict_one(cache, node) {
                self.tasks[task].work.0 |= NO_ROOM;
                break;
            }
            evicted += 1;
        }
        (evicted > 0 && !spec.evicting.is_zero()).then(|| Duration(spec.evicting.0 * evicted))
    }

    fn is_over(&mut self, cache: CacheId, node: u32) -> bool {
        let memory = self.model.caches[cache].store.memory.unwrap_or(u64::MAX);
        self.node_bytes(cache, node) > memory
    }

    /// Lets something go. False: the policy lets nothing go.
    fn evict_one(&mut self, cache: CacheId, node: u32) -> bool {
        let spec = &self.model.caches[cache];
        let Some(victim) = self.next_victim(cache, node) else { return false };
        self.count(spec.station, Counter::Evicted);
        match victim {
            Victim::Value(key) => {
                let store = &mut self.caches[cache].stores[node as usize];
                let used = store.used_bytes();
                store.evict(key);
                let freed = store.used_bytes() as i64 - used as i64;
                self.meters[spec.station].held.add(self.now, freed);
            }
            Victim::Session(session) => {
                let station = self.model.sessions[session].station;
                self.sessions[session].evict_idlest(self.now);
                let live = self.sessions[session].live(self.now);
                self.meters[station].held.set(self.now, live);
                self.meters[station].count(Counter::Evicted);
            }
            Victim::Job(queue) => self.queues[queue].forget_oldest(),
            Victim::Counter(limit, key) => {
                self.limits[limit].in_redis().expect("it was there").evict(key);
                self.count(self.model.limits[limit].station, Counter::Evicted);
            }
        }
        true
    }

    /// Who goes next: of each kind the one that the policy would choose, and of those the first by the
    /// same policy.
    fn next_victim(&mut self, cache: CacheId, node: u32) -> Option<Victim> {
        let now = self.now;
        let spec = &self.model.caches[cache];
        let state = &mut self.caches[cache];
        state.draws += 1;
        let mut draws = state.stream.draw(state.draws);
        let store = &mut state.stores[node as usize];
        let policy = spec.store.eviction;
        let by_chance = matches!(policy, Eviction::AllKeysRandom | Eviction::VolatileRandom);
        let mut best: Option<((u64, f64), Victim)> = None;
        let mut offer = |score: u64, many: u64, luck: f64, victim: Victim| {
            // Of equals each goes as likely as there are many of its kind: the largest of
            // log(u) / many is in proportion to how many there are.
            let rank = (if by_chance { 0 } else { score }, libm::log(luck) / many.max(1) as f64);
            if best.as_ref().is_none_or(|best| rank > best.0) {
                best = Some((rank, victim));
            }
        };
        for session in &spec.sessions {
            let Some(expires_s) = self.sessions[*session].idlest(now) else { continue };
            let ttl_s = self.model.sessions[*session].ttl.0.div_ceil(TICKS_PER_SECOND);
            let now_s = now.0 / TICKS_PER_SECOND;
            let idle_s = (now_s + ttl_s).saturating_sub(u64::from(expires_s));
            let expires = Time(u64::from(expires_s) * TICKS_PER_SECOND);
            if let Some(score) = store.score_of_lodger(idle_s, Some(expires)) {
                let many = self.sessions[*session].live(now) / u64::from(spec.nodes);
                offer(score, many, draws.unit_open(), Victim::Session(*session));
            }
        }
        for limit in &spec.limits {
            let Some(windows) = self.limits[*limit].in_redis() else { continue };
            let many = windows.in_redis(now) / u64::from(spec.nodes);
            let oldest = windows.oldest(now, &mut || draws.next_u64());
            let Some((key, idle_s, expires)) = oldest else { continue };
            if let Some(score) = store.score_of_lodger(idle_s, Some(expires)) {
                offer(score, many, draws.unit_open(), Victim::Counter(*limit, key));
            }
        }
        for queue in &spec.queues {
            let Some((since, many)) = self.queues[*queue].finished_first() else { continue };
            let idle_s = (now.0 / TICKS_PER_SECOND).saturating_sub(u64::from(since));
            if let Some(score) = store.score_of_lodger(idle_s, None) {
                offer(score, many, draws.unit_open(), Victim::Job(*queue));
            }
        }
        let (many, luck) = (u64::from(store.evictable()), draws.unit_open());
        if let Some((key, score)) = store.next_victim(now, &mut || draws.next_u64()) {
            offer(score, many, luck, Victim::Value(key));
        }
        best.map(|best| best.1)
    }

    /// A cache node runs its expiry cycle, which keeps it from its commands.
    pub(super) fn expire_node(&mut self, cache: CacheId, node: usize) {
        let now = self.now;
        let spec = &self.model.caches[cache];
        let state = &mut self.caches[cache];
        state.draws += 1;
        let mut draws = state.stream.draw(state.draws);
        let store = &mut state.stores[node];
        let used = store.used_bytes();
        let loops = CacheStore::cycle_loops(spec.expiring);
        let work = store.expire_cycle(now, loops, &mut || draws.next_u64());
        let freed = store.used_bytes() as i64 - used as i64;
        if !spec.expiring.is_zero() {
            let took = Duration(spec.expiring.0 * u64::from(work.removed));
            state.loops[node].keep(now, took);
        }
        self.meters[spec.station].add(Counter::Expired, u64::from(work.removed));
        self.meters[spec.station].held.add(now, freed);
    }

    /// A node of a cache has lost its memory: the sessions, counters and jobs there too.
    pub(super) fn empty_lodgings(&mut self, cache: CacheId, node: u32) {
        let (now, model) = (self.now, self.model);
        let nodes = model.caches[cache].nodes;
        for session in &model.caches[cache].sessions {
            let here = |user: u32| {
                let key = Key { keyset: NONE, rank: user };
                nodes == 1 || node_of(slot_of(key, Placement::Spread), nodes) == node
            };
            self.sessions[*session].lose(now, nodes, here);
            let live = self.sessions[*session].live(now);
            self.meters[model.sessions[*session].station].held.set(now, live);
        }
        for (id, limit) in model.limits.enumerate() {
            if limit.cache == Some(cache) && nodes == 1 {
                self.limits[id].forget_all();
            }
        }
        if node == self.node_of_queues(cache) {
            for queue in &model.caches[cache].queues {
                self.lose_jobs(*queue);
            }
        }
    }
}
