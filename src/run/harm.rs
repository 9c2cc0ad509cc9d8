//! What happens when something is struck, and when it is there again.
//!
//! Processes die as `lifecycle.rs` says. A database or cache server that stops resets its clients'
//! connections: they learn of it one way later, and what they had sent is lost. Connecting to it is
//! refused, as by a machine without a listener; a machine that vanishes altogether is a network cut.

use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::{CacheId, CdnId, LinkId, PoolId};
use crate::model::tape::{Command, Op};
use crate::model::{Harm, Unit, UnitKind};

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::task::{Lease, NONE, State, flag};
use super::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// A unit is struck; its condition is known already.
    pub(super) fn strike(&mut self, unit: Unit, harm: &Harm) {
        let number = unit.number;
        let falls = matches!(harm, Harm::Stop | Harm::Restart | Harm::Failover);
        match unit.kind {
            UnitKind::Instance if falls => self.kill_instance(number),
            UnitKind::Node if falls => self.stop_node(number),
            UnitKind::CacheNode if falls => {
                self.stop_cache_node(number);
                if *harm == Harm::Restart {
                    self.empty_cache_node(number);
                }
            }
            UnitKind::Pool if falls => self.sever_pool(PoolId(number)),
            UnitKind::Cdn if *harm == Harm::Restart => self.purge_cdn(CdnId(number)),
            UnitKind::Link => self.retune_link(LinkId(number)),
            _ => {}
        }
    }

    /// A blow is over; whether the unit is well again, its condition says.
    pub(super) fn heal(&mut self, unit: Unit, harm: &Harm) {
        let rises = matches!(harm, Harm::Stop | Harm::Restart | Harm::Failover)
            && !self.condition(unit.kind, unit.number).down;
        match unit.kind {
            UnitKind::Instance if rises => self.restart_instance(unit.number),
            UnitKind::Node if rises => self.start_node(unit.number),
            UnitKind::Link => self.retune_link(LinkId(unit.number)),
            _ => {}
        }
    }

    /// An instance that was to start is kept from it by a fault.
    pub(super) fn is_kept_down(&self, index: u32) -> bool {
        self.condition(UnitKind::Instance, index).down
    }

    /// Whether a flaky unit fails what it is asked now.
    pub(super) fn stumbles(&mut self, errors: f64) -> bool {
        if errors == 0.0 {
            return false;
        }
        let state = self.faults.as_mut().expect("only faults make something flaky");
        state.trials += 1;
        let trial = state.trials;
        self.key.named("flaky").draw(trial).chance(errors)
    }

    /// A database server stops: whatever it runs is lost, and so are all connections to it.
    fn stop_node(&mut self, node: u32) {
        let subs: Vec<bool> = self.pools.iter().map(|sub| sub.node == node).collect();
        self.stop_background(node);
        self.sever_all(&subs);
    }

    /// A database server is there again; a replica goes on replaying.
    fn start_node(&mut self, node: u32) {
        let now = self.now;
        if self.node_mut(node).replay.front().is_some_and(|write| write.arrives <= now) {
            self.at(now, Kind::Replay, node);
        }
    }

    /// All connections of a kind of pool are lost.
    fn sever_pool(&mut self, kind: PoolId) {
        let subs: Vec<bool> = self.pools.iter().map(|sub| sub.kind == kind).collect();
        self.sever_all(&subs);
    }

    /// The connections of these sub-pools are lost: those that are idle leave at once, as pg-pool's
    /// idle listener sees to; those that are held fail the next statement, and are not kept when
    /// they come back.
    fn sever_all(&mut self, subs: &[bool]) {
        let concerned = |lease: &Lease| lease.pool != NONE && subs[lease.pool as usize];
        let mut in_database = Vec::new();
        for task in 0..self.tasks.capacity() as u32 {
            let record = *self.tasks.peek(task);
            if record.state == State::Free {
                continue;
            }
            for lease in record.leases.iter().filter(|lease| concerned(lease)) {
                if self.pools[lease.pool as usize].lose(lease.connection) {
                    let node = self.pools[lease.pool as usize].node;
                    self.node_mut(node).free_slot();
                }
            }
            if record.state == State::InDatabase && concerned(&record.lease()) {
                in_database.push(task);
            }
        }
        for task in in_database {
            self.lose_statement(task);
        }
        for sub in (0..subs.len() as u32).filter(|sub| subs[*sub as usize]) {
            let kind = self.pools[sub as usize].kind;
            let station = self.model.pools[kind].station;
            while self.pools[sub as usize].pool.sever_idle().is_some() {
                let node = self.pools[sub as usize].node;
                self.node_mut(node).free_slot();
                self.meters[station].count(Counter::Closed);
                self.meters[station].held.add(self.now, -1);
            }
        }
    }

    /// A statement ends with its server; its client hears of it.
    fn lose_statement(&mut self, task: u32) {
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        self.take_off_cores(task, node);
        if self.tasks[task].has(flag::GHOST) {
            return self.bury(task);
        }
        let station = self.station_of_node(node);
        self.count(station, Counter::Errors);
        let spent = self.now.since(self.tasks[task].since);
        self.spend(task, station, Part::Service, spent);
        self.fail_statement(task);
    }

    /// A statement reaches a server that knows its connection no more. Says whether that is so.
    pub(super) fn finds_no_server(&mut self, task: u32) -> bool {
        let record = &self.tasks[task];
        // A ghost whose connection was lost before its process has none left.
        let lost = record.leases[0].pool == NONE || {
            let lease = record.lease();
            self.pools[lease.pool as usize].is_lost(lease.connection)
        };
        if lost {
            if self.tasks[task].has(flag::GHOST) {
                self.bury(task);
            } else {
                self.fail_statement(task);
            }
        }
        lost
    }

    /// The client of a statement hears that its connection was reset.
    fn fail_statement(&mut self, task: u32) {
        let back = self.statement_rtt(task).half();
        self.travel(task, back);
        let record = &mut self.tasks[task];
        (record.state, record.deadline) = (State::Away, crate::units::Time::NEVER);
        record.status = Failure::DatabaseDown as u8;
        self.at_task(self.now + back, Kind::Resume, task);
    }

    /// A connection that has been lost comes back from its holder: it is thrown away.
    pub(super) fn drop_lost(&mut self, lease: Lease) {
        let sub = lease.pool;
        let station = self.model.pools[self.pools[sub as usize].kind].station;
        let meter = &mut self.meters[station];
        meter.busy.add(self.now, -MILLI);
        meter.count(Counter::Closed);
        meter.held.add(self.now, -1);
        self.pools[sub as usize].pool.discard(lease.connection);
        self.serve_after_close(sub);
    }

    /// A cache server stops: the commands that wait there are lost.
    fn stop_cache_node(&mut self, number: u32) {
        let state = self.faults.as_ref().expect("only faults stop a cache");
        let (cache, node) = state.place_of_cache_node(number);
        for task in self.waiting_commands(cache, node) {
            self.leave(task, self.model.caches[cache].station);
            self.fail_command(task, cache);
        }
    }

    /// A cache server has lost what it held.
    fn empty_cache_node(&mut self, number: u32) {
        let state = self.faults.as_ref().expect("only faults empty a cache");
        let (cache, node) = state.place_of_cache_node(number);
        self.empty_store(cache, node);
    }

    /// A command was not run. Cache-aside code takes that for a miss or goes on; what needs the
    /// answer fails.
    pub(super) fn fail_command(&mut self, task: u32, cache: CacheId) {
        let station = self.model.caches[cache].station;
        self.count(station, Counter::Errors);
        if self.tasks[task].worker == NONE {
            return self.bury(task);
        }
        let back = self.cache_rtt(task, cache).half();
        let op = self.op_at(task);
        let record = &mut self.tasks[task];
        record.state = State::Away;
        match op {
            Op::CacheGet { .. } => {
                record.flags |= flag::MISSED;
                record.pc.0 += 1;
            }
            Op::CacheSet { keys, key, single_flight: true, .. } => {
                return self.value_not_kept(task, cache, keys, key);
            }
            Op::CacheSet { .. } | Op::CacheDelete { .. } => record.pc.0 += 1,
            // The limiter behind it is passed by, or refuses.
            Op::Command { command: Command::Count(limit), .. } => {
                match self.model.limits[limit].fail_open {
                    true => record.pc.0 += 2,
                    false => record.status = Failure::GuardError as u8,
                }
            }
            Op::Command { command: Command::Push, .. } => {
                record.status = Failure::CacheError as u8;
            }
            Op::Command { .. } => record.status = Failure::SessionError as u8,
            other => unreachable!("{other:?} is no command"),
        }
        self.travel(task, back);
        self.at_task(self.now + back, Kind::Resume, task);
    }

    /// A link is as fast as its condition lets it be.
    fn retune_link(&mut self, link: LinkId) {
        let condition = self.condition(UnitKind::Link, link.0);
        let speed = if condition.down { 0.0 } else { 1.0 / condition.slow };
        self.set_link_speed(link, speed);
    }
}
