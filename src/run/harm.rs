//! What happens when something is struck, and when it is there again.
//!
//! Processes die as `lifecycle.rs` says. A database or cache server that stops resets its clients'
//! connections: they learn of it one way later, and what they had sent is lost. Connecting to it is
//! refused, as by a machine without a listener; a machine that vanishes altogether is a network cut.

use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::{CacheId, CdnId, LinkId, PoolId, PoolerId, SocketId, StreamId};
use crate::model::tape::{Command, Op};
use crate::model::{Harm, Unit, UnitKind};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::Counter;
use super::task::{NONE, State, flag};
use super::world::World;

impl<Q: PendingEvents> World<'_, Q> {
    /// A unit is struck, until then; its condition is known already.
    pub(super) fn strike(&mut self, unit: Unit, harm: &Harm, until: Time) {
        let number = unit.number;
        let falls = harm.falls();
        match unit.kind {
            UnitKind::Instance if falls => {
                self.kill_instance(number);
                if let Harm::NodeLoss(loss) = harm {
                    self.node_lost(number, *loss);
                }
            }
            UnitKind::Node if falls => {
                let takes =
                    if until == Time::NEVER { Duration::FOREVER } else { until.since(self.now) };
                let silent = match harm {
                    Harm::Failover(silent) => *silent,
                    _ => Duration::ZERO,
                };
                self.node_down(number, takes, silent);
                if matches!(harm, Harm::Failover(_)) {
                    self.change_zone(number);
                }
                if *harm == Harm::Promote {
                    self.lose_primary(number);
                }
            }
            UnitKind::CacheNode if falls => {
                self.stop_cache_node(number);
                if *harm == Harm::Restart && !self.survives_restart(number) {
                    self.empty_cache_node(number);
                }
                self.primary_lost(number);
                let state = self.faults.as_ref().expect("only faults stop a cache");
                let (cache, node) = state.place_of_cache_node(number);
                self.queues_lose_store(cache, node);
            }
            UnitKind::Process if falls => self.kill_process(number),
            UnitKind::Member if falls => self.kill_member(number),
            UnitKind::Pool if falls => self.sever_pool(PoolId(number)),
            UnitKind::Pooler if falls => self.pooler_dies(PoolerId(number)),
            UnitKind::Stream if !falls => {
                if let Harm::BrokerLoss(loss) = harm {
                    self.broker_dies(StreamId(number), *loss);
                }
            }
            UnitKind::Stream => self.brokers_die(StreamId(number)),
            UnitKind::Socket if falls => self.drop_connections(SocketId(number)),
            UnitKind::Cdn if *harm == Harm::Restart => self.purge_cdn(CdnId(number)),
            UnitKind::Link => self.retune_link(LinkId(number)),
            _ => {}
        }
    }

    /// A blow is over; whether the unit is well again, its condition says.
    pub(super) fn heal(&mut self, unit: Unit, harm: &Harm) {
        let rises = harm.falls() && !self.condition(unit.kind, unit.number).down;
        match unit.kind {
            UnitKind::Instance if rises => self.restart_instance(unit.number),
            UnitKind::Process if rises => self.restart_process(unit.number),
            UnitKind::Member if rises => self.restart_member(unit.number),
            UnitKind::CacheNode if rises => {
                self.primary_back(unit.number, harm);
                let state = self.faults.as_ref().expect("only faults stop a cache");
                let (cache, node) = state.place_of_cache_node(unit.number);
                self.queues_have_store(cache, node);
            }
            UnitKind::Stream if rises => self.brokers_are_back(StreamId(unit.number)),
            UnitKind::Stream => {
                if let Harm::BrokerLoss(loss) = harm {
                    self.broker_is_back(StreamId(unit.number), *loss);
                }
            }
            UnitKind::Link => self.retune_link(LinkId(unit.number)),
            _ => {}
        }
    }

    /// An instance that was to start is kept from it by a fault.
    pub(super) fn is_kept_down(&self, index: u32) -> bool {
        let unit = Unit { kind: UnitKind::Instance, number: index };
        self.faults.as_ref().is_some_and(|state| {
            let service = &self.model.services[self.instances[index as usize].service];
            state.keeps_down(unit, self.model, service.function.is_some())
        })
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

    /// A cache server stops: the commands that wait there are lost.
    fn stop_cache_node(&mut self, number: u32) {
        let state = self.faults.as_ref().expect("only faults stop a cache");
        let (cache, node) = state.place_of_cache_node(number);
        for task in self.waiting_commands(cache, node) {
            self.leave(task, self.model.caches[cache].station);
            self.unanswered(task, cache, node);
        }
        self.reset_clients(cache, node);
    }

    /// The commands that wait for a node that is gone: they wait no longer.
    fn waiting_commands(&mut self, cache: CacheId, node: u32) -> Vec<u32> {
        self.caches[cache].loops[node as usize].queue.drain(..).collect()
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
        if self.tasks[task].worker == NONE {
            self.count(self.model.caches[cache].station, Counter::Errors);
            if let Op::Command { command: Command::Script(_), .. } = self.op_at(task) {
                self.script_over(task, cache, false);
            }
            return self.bury(task);
        }
        let back = self.cache_rtt(task, cache).half();
        self.tasks[task].state = State::Away;
        self.command_failed(task, cache);
        self.travel(task, back);
        self.at_task(self.now + back, Kind::Resume, task);
    }

    /// What the failure of a command makes of its task: where it goes on, or how it will fail.
    pub(super) fn command_failed(&mut self, task: u32, cache: CacheId) {
        self.count(self.model.caches[cache].station, Counter::Errors);
        let op = self.op_at(task);
        let record = &mut self.tasks[task];
        match op {
            Op::CacheGet { .. } => {
                record.flags |= flag::MISSED;
                record.pc.0 += 1;
            }
            // Those who have joined the load have its value all the same.
            Op::CacheSet { keys, key, single_flight: true, .. } => {
                self.load_over(task, cache, keys, key);
            }
            // Without its lock a load is made all the same.
            Op::CacheSet { .. }
            | Op::CacheDelete { .. }
            | Op::CacheLock { .. }
            | Op::CacheUnlock { .. } => record.pc.0 += 1,
            // The limiter behind it is passed by, or refuses.
            Op::Command { command: Command::Count(limit), .. } => {
                match self.model.limits[limit].fail_open {
                    true => record.pc.0 += 2,
                    false => record.status = Failure::GuardError as u8,
                }
            }
            Op::Command {
                command:
                    Command::Push
                    | Command::Add(_)
                    | Command::Insert { .. }
                    | Command::Script(_)
                    | Command::Publish(_)
                    | Command::Broadcast(_)
                    | Command::Own { .. },
                ..
            } => record.status = Failure::CacheError as u8,
            Op::Command { .. } => record.status = Failure::SessionError as u8,
            other => unreachable!("{other:?} is no command"),
        }
    }

    /// A link is as fast as its condition lets it be.
    fn retune_link(&mut self, link: LinkId) {
        let condition = self.condition(UnitKind::Link, link.0);
        let speed = if condition.down { 0.0 } else { 1.0 / condition.slow };
        self.set_link_speed(link, speed);
    }
}
