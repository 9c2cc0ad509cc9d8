//! Caches: servers with one command loop each, stores within processes, and CDN edges.

use super::event::Kind;
use super::flights::Leader;
use super::meter::{Counter, MILLI, Part};
use super::policy::{KeyLock, Load};
use super::redis_memory::NO_ROOM;
use super::redis_persistence::Disk;
use super::redis_seats::Seats;
use super::redis_size::Wire;
use super::standby::Standby;
use super::task::{NONE, OK, State};
use super::world::World;
use crate::component::cache::cluster::{Placement, node_of, slot_of};
use crate::component::cache::{CacheStore, Key, KeysetConfig, KeysetTraffic, SingleFlight};
use crate::failure::Failure;
use crate::kernel::{PendingEvents, Start};
use crate::model;
use crate::model::ids::{CacheId, KeysId};
use crate::model::tape::{Command, DrawId, Op};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};
use std::collections::{BTreeMap, VecDeque};

/// A cache while it runs.
pub struct CacheState {
    /// One entry store per node, or per worker process.
    pub(super) stores: Vec<CacheStore>,
    /// The command loop of each node.
    pub(super) loops: Vec<CommandLoop>,
    /// Loads that others may join.
    pub(super) flights: SingleFlight<u32>,
    /// Who leads which load, for the leaders that fail.
    pub(super) leaders: Vec<Leader>,
    /// Random numbers of sampled eviction and expiry.
    pub(super) stream: StreamKey,
    /// Numbers those draws.
    pub(super) draws: u64,
    /// Random numbers of counters of uses.
    pub(super) reads: StreamKey,
    /// Numbers those draws.
    pub(super) looks: u64,
    /// What it knows of its replicas.
    pub(super) standby: Option<Box<Standby>>,
    /// Loads whose time is taken.
    pub(super) loads: Vec<Load>,
    /// Keys that are locked while they are loaded.
    pub(super) locks: BTreeMap<Key, KeyLock>,
    /// What each node has of its disk, where it is written to one.
    pub(super) disks: Vec<Disk>,
    /// The first of its clients among all.
    pub(super) first_client: u32,
    /// Numbers the draws of clients.
    pub(super) dials: u64,
    /// Who is connected, where more may want to be than it accepts.
    pub(super) seats: Option<Box<Seats>>,
}

/// The single thread of a cache server, which runs commands one after another.
#[derive(Default)]
pub(super) struct CommandLoop {
    running: bool,
    pub(super) queue: VecDeque<u32>,
    /// What is done before its next command.
    owed: Duration,
    /// Until when it does what is no command.
    kept_until: Time,
    pub(super) wire: Wire,
}

impl CommandLoop {
    /// It does something else for so long, as soon as it is done with its present command.
    pub(super) fn keep(&mut self, now: Time, length: Duration) {
        if self.running {
            self.owed += length;
        } else {
            self.kept_until = self.kept_until.max(now) + length;
        }
    }
    /// How long its next command has to wait for that.
    fn delay(&mut self, now: Time) -> Duration {
        let kept = Duration(self.kept_until.0.saturating_sub(now.0));
        kept + std::mem::take(&mut self.owed)
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Stores in the state that the run starts from.
    pub fn build_caches(&mut self) {
        for (id, spec) in self.model.caches.enumerate() {
            let copies = match spec.service {
                Some(service) => {
                    let service = &self.model.services[service];
                    service.slots * service.workers
                }
                None => spec.nodes,
            };
            let stream = self.key.named("cache").named(&spec.name);
            let mut state = CacheState {
                stores: Vec::new(),
                loops: (0..copies).map(|_| CommandLoop::default()).collect(),
                flights: SingleFlight::new(),
                leaders: Vec::new(),
                stream,
                draws: 0,
                reads: stream.named("reads"),
                looks: 0,
                standby: None,
                loads: Vec::new(),
                locks: BTreeMap::new(),
                disks: match spec.persistence {
                    Some(_) => vec![Disk::default(); copies as usize],
                    None => Vec::new(),
                },
                first_client: 0,
                dials: 0,
                seats: spec.most_clients.map(|_| Box::new(Seats::of(spec, self.workers.len()))),
            };
            for copy in 0..copies {
                let store = self.new_store(spec, copy, copies, stream);
                state.stores.push(store);
            }
            if spec.expire_cycle || spec.persistence.is_some() {
                self.at(Time::ZERO + CacheStore::EXPIRE_CYCLE_INTERVAL, Kind::Expire, id.0);
            }
            let standing = spec.failover.is_some() || spec.reads != model::Reads::Primary;
            if standing {
                state.standby = Some(Box::new(Standby::new(spec)));
                let further = spec.nodes * spec.replicas;
                state.loops.extend((0..further).map(|_| CommandLoop::default()));
            }
            let used: u64 = state.stores.iter().map(CacheStore::used_bytes).sum();
            self.meters[spec.station].held.set(Time::ZERO, used);
            self.caches.push(state);
        }
    }

    /// One store, warm or cold. A node of several sees its own keys, a process its share of reads.
    fn new_store(
        &self,
        spec: &model::Cache,
        copy: u32,
        copies: u32,
        stream: StreamKey,
    ) -> CacheStore {
        let mut store = self.cold_store(spec);
        if !self.model.plan.warm_caches {
            return store;
        }
        let processes = spec.service.map(|service| {
            let service = &self.model.services[service];
            service.instances * service.workers
        });
        if processes.is_some_and(|count| copy >= count) {
            return store; // of an instance that is not there yet
        }
        let share = processes.map_or(1.0, |count| 1.0 / f64::from(count));
        let traffic: Vec<KeysetTraffic> = spec
            .traffic
            .iter()
            .map(|(rate, ttl)| KeysetTraffic { rate_per_s: rate * share, ttl: *ttl })
            .collect();
        let mut draws = stream.named("warm").draw(u64::from(copy));
        let probability = |key: Key| {
            if spec.service.is_none() && node_of(slot_of(key, Placement::Spread), copies) != copy {
                return 0.0;
            }
            let keys = &self.model.keys[spec.keysets[key.keyset as usize]];
            match &keys.sampler {
                Some(sampler) => sampler.probability(key.rank),
                None => 1.0 / f64::from(keys.count),
            }
        };
        store.warm(Time::ZERO, &traffic, probability, &mut || draws.next_u64());
        store
    }

    /// A store without entries.
    pub(super) fn cold_store(&self, spec: &model::Cache) -> CacheStore {
        let keysets: Vec<KeysetConfig> = spec
            .keysets
            .iter()
            .map(|keys| KeysetConfig {
                count: self.model.keys[*keys].count,
                size_bytes: u64::from(self.model.keys[*keys].size_bytes),
            })
            .collect();
        CacheStore::new(spec.store, &keysets)
    }

    /// Which key of a set this request is about: always the same one for the same draw.
    pub(super) fn key_of(&self, task: u32, cache: CacheId, keys: KeysId, draw: DrawId) -> Key {
        let spec = &self.model.caches[cache];
        let keyset = spec.keysets.iter().position(|known| *known == keys);
        let keyset = keyset.expect("the compiler lists the key sets of a cache") as u32;
        Key { keyset, rank: self.rank_of(task, keys, draw) }
    }

    pub(super) fn rank_of(&self, task: u32, keys: KeysId, draw: DrawId) -> u32 {
        let record = &self.tasks[task];
        let keys = &self.model.keys[keys];
        if let Some(given) = &keys.given {
            return given[record.ordinal as usize];
        }
        match &keys.sampler {
            Some(sampler) => sampler.draw(&mut record.stream.draw(u64::from(draw.0))),
            None => record.user % keys.count,
        }
    }

    /// A running callback uses a store of its process, or sends the command that its tape stands at.
    /// True: the callback goes on at once, also where a command has failed at once.
    pub fn send_command(&mut self, task: u32, cache: CacheId) -> bool {
        if self.model.caches[cache].service.is_some() {
            return self.use_local_cache(task, cache);
        }
        if self.stores_nothing(task, cache) {
            return true;
        }
        if self.model.caches[cache].client.is_some() {
            return self.send_through_client(task, cache);
        }
        self.transmit(task, cache);
        false
    }

    /// A load has found nothing, and that is not kept: there is no command to be sent.
    fn stores_nothing(&mut self, task: u32, cache: CacheId) -> bool {
        let Op::CacheSet { keys, key, policy, .. } = self.op_at(task) else { return false };
        let set = &self.model.keys[keys];
        let rules = &self.model.policies[usize::from(policy.0)];
        if rules.lock.is_some() {
            let locked = self.key_of(task, cache, keys, key);
            if !self.may_store(task, cache, locked, rules) {
                self.count(self.model.caches[cache].station, Counter::Wasted);
                self.load_over(task, cache, keys, key);
                return true;
            }
        }
        let kept = rules.negative.is_some();
        if set.absent == 0.0 || kept || !set.is_absent(self.rank_of(task, keys, key)) {
            return false;
        }
        self.load_over(task, cache, keys, key);
        true
    }

    /// A command sets out for its node.
    pub(super) fn transmit(&mut self, task: u32, cache: CacheId) {
        let passage = self.passage_of_command(task, cache);
        let half = self.cache_rtt(task, cache).half() + passage.late + self.bring(task, cache);
        self.travel(task, half);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Away, self.now);
        record.work = half;
        if passage.lost {
            record.status = Failure::CacheError as u8;
        }
        self.at_task(self.now + half, Kind::Command, task);
    }

    pub(super) fn cache_rtt(&self, task: u32, cache: CacheId) -> Duration {
        let record = &self.tasks[task];
        let spec = &self.model.caches[cache];
        let zone = |world: &Self| world.node_of_command(task).1;
        let route = self.route_from(record.worker, spec.region, zone);
        let far = self.model.draw_law(route, record.stream, 0xcafe);
        self.model.draw_law(spec.rtt, record.stream, self.op_at(task).numbers() ^ 0xca_0000) + far
    }

    /// A command reaches its node, or has been run by it.
    pub fn command(&mut self, task: u32) {
        let (cache, node) = self.node_of_command(task);
        let station = self.model.caches[cache].station;
        let condition = self.condition_of_cache(cache, node);
        if self.tasks[task].state == State::InCache {
            let (since, at) = (self.tasks[task].since, self.tasks[task].work.0 as u32);
            if !self.is_out(cache, node, at)
                && let Some(takes) = self.make_room(task, cache, node)
            {
                return self.occupy_node(task, cache, takes, true);
            }
            self.meters[station].add_busy(self.now, node, -MILLI);
            self.meters[station].count(Counter::Served);
            self.spend(task, station, Part::Service, self.now.since(since));
            if self.is_out(cache, node, at) {
                self.unanswered(task, cache, node);
            } else {
                self.run_command(task, cache, node);
            }
            return self.next_command(cache, at);
        }
        self.meters[station].count(Counter::Arrivals);
        let given_up = std::mem::replace(&mut self.tasks[task].status, OK) != OK;
        let at = self.loop_of(task, cache, node);
        let away = self.caches[cache].seats.is_some() && self.finds_no_seat(task, cache, node);
        if given_up || away || self.is_out(cache, node, at) {
            return self.unanswered(task, cache, node);
        }
        if self.caches[cache].standby.as_ref().is_some_and(|it| it.closed) {
            if !self.redirect(task, cache, 1) {
                self.fail_command(task, cache);
            }
            return;
        }
        if self.stumbles(condition.errors) {
            return self.fail_command(task, cache);
        }
        self.tasks[task].work = Duration(u64::from(at));
        let queue = &mut self.caches[cache].loops[at as usize];
        if queue.running {
            queue.queue.push_back(task);
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::CacheQueue, self.now);
            self.meters[station].enter(self.now);
            return;
        }
        queue.running = true;
        self.meters[station].pass();
        self.start_command(task, cache, false);
    }

    /// A node begins a command; what it finds when it is done with one it does while it has its core.
    fn start_command(&mut self, task: u32, cache: CacheId, goes_on: bool) {
        let spec = &self.model.caches[cache];
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::InCache, self.now);
        let stream = record.stream;
        let numbers = self.op_at(task).numbers() ^ 0xc0_0000;
        let (_, node) = self.node_of_command(task);
        let condition = self.condition_of_cache(cache, node);
        let own = match self.op_at(task) {
            Op::Command { command, .. } => command.takes(),
            _ => None,
        };
        let law = own.unwrap_or(spec.command);
        let mut work = self.model.draw_law(law, stream, numbers);
        if let Op::Command { command: Command::Insert { job, .. }, .. } = self.op_at(task) {
            work += self.looks_through(job);
        }
        if spec.weighs {
            work = self.weighed_work(task, cache, node, work);
        }
        let work = condition.stretch(work);
        self.meters[spec.station].add_busy(self.now, node, MILLI);
        if work >= spec.slowlog {
            self.meters[spec.station].count(Counter::Slow);
        }
        let at = self.tasks[task].work.0 as usize;
        let delay = self.caches[cache].loops[at].delay(self.now);
        self.occupy_node(task, cache, work + delay, goes_on);
    }

    /// A node computes for a command.
    fn occupy_node(&mut self, task: u32, cache: CacheId, work: Duration, goes_on: bool) {
        let spec = &self.model.caches[cache];
        match spec.host {
            Some(host) => {
                let from = Start { rank: spec.rank, goes_on };
                self.join_host(host.0, work, task, from);
            }
            None => self.at_task(self.now + work, Kind::Command, task),
        }
    }

    fn next_command(&mut self, cache: CacheId, node: u32) {
        let queue = &mut self.caches[cache].loops[node as usize];
        match queue.queue.pop_front() {
            Some(next) => {
                self.leave(next, self.model.caches[cache].station);
                self.start_command(next, cache, true);
            }
            None => queue.running = false,
        }
    }

    /// The cache and the node that the command at which the task stands is for.
    pub(super) fn node_of_command(&self, task: u32) -> (CacheId, u32) {
        let (cache, key) = match self.op_at(task) {
            Op::CacheGet { cache, keys, key, .. }
            | Op::CacheSet { cache, keys, key, .. }
            | Op::CacheLock { cache, keys, key, .. }
            | Op::CacheUnlock { cache, keys, key }
            | Op::CacheDelete { cache, keys, key } => (cache, self.key_of(task, cache, keys, key)),
            // Sessions spread by user, counters by what they count; a queue's keys have one hash tag.
            Op::Command { cache, command, .. } => {
                let user = self.tasks[task].user;
                let rank = match command {
                    Command::Push
                    | Command::Add(_)
                    | Command::Insert { .. }
                    | Command::Script(_)
                    | Command::Publish(_)
                    | Command::Broadcast(_) => NONE,
                    Command::Count(limit) => self.counted(task, limit),
                    Command::Own { .. } => self.op_at(task).numbers(),
                    _ => user,
                };
                (cache, Key { keyset: NONE, rank })
            }
            other => unreachable!("{other:?} is no command"),
        };
        let nodes = self.model.caches[cache].nodes;
        let node = if nodes == 1 { 0 } else { node_of(slot_of(key, Placement::Spread), nodes) };
        (cache, node)
    }

    /// The node has run the command: its answer travels back, unless the task joins a load.
    fn run_command(&mut self, task: u32, cache: CacheId, node: u32) {
        let scope = self.tasks[task].worker;
        if scope == NONE {
            return self.run_command_of_ghost(task, cache, node);
        }
        // The way back is half of the round trip that the command began; then the tape goes on.
        let passage = self.passage_of_command(task, cache);
        let back = self.cache_rtt(task, cache).half() + passage.late;
        let back = back + self.take_back(task, cache, node);
        if self.caches[cache].standby.is_some() {
            self.tasks[task].pending &= 0xff00; // its redirections are over
        }
        let op = self.op_at(task);
        let no_room = self.tasks[task].work.0 & NO_ROOM != 0;
        if no_room && matches!(op, Op::Command { .. }) {
            self.count(self.model.caches[cache].station, Counter::OutOfMemory);
            return self.fail_command(task, cache);
        }
        if !no_room && self.model.caches[cache].persistence.is_some() {
            self.note_change(task, cache, node);
        }
        if matches!(op, Op::CacheLock { .. } | Op::CacheUnlock { .. }) {
            return self.lock_key(task, cache, back);
        }
        if matches!(op, Op::Command { .. }) {
            self.tasks[task].pc.0 += 1;
        } else if !self.use_store(task, cache, node, scope) {
            return;
        }
        self.command_returns(task, back);
        if passage.lost {
            self.tasks[task].status = Failure::CacheError as u8;
        }
    }

    /// The answer to a command sets out.
    pub(super) fn command_returns(&mut self, task: u32, back: Duration) {
        self.travel(task, back);
        let record = &mut self.tasks[task];
        (record.state, record.since, record.work) = (State::Returning, self.now, back);
        self.at_task(self.now + back, Kind::Resume, task);
    }

    /// How many commands stand before that of a task in its node's line.
    pub(super) fn commands_before(&self, task: u32) -> u32 {
        let (cache, _) = self.node_of_command(task);
        // Whoever waits there has noted whose loop it is: the node's, or that of one of its replicas.
        let line = self.caches[cache].loops.get(self.tasks[task].work.0 as u32 as usize);
        let place = line.and_then(|it| it.queue.iter().position(|other| *other == task));
        place.unwrap_or(0) as u32 + 1
    }

    /// The server runs what it has received, though nobody waits for it any more.
    fn run_command_of_ghost(&mut self, task: u32, cache: CacheId, node: u32) {
        if matches!(self.op_at(task), Op::CacheSet { .. } | Op::CacheDelete { .. }) {
            self.use_store(task, cache, node, NONE);
        } else if let Op::Command { command: Command::Script(_), .. } = self.op_at(task) {
            self.note_change(task, cache, node);
            self.script_over(task, cache, true);
        }
        self.bury(task);
    }
}
