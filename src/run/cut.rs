//! Networks that are cut: packets wait for their repetitions, or are given up.
//!
//! Nobody is told that a network is cut. Who has sent something waits, while TCP repeats it at
//! doubling pauses ([`component::tcp`](crate::component::tcp)); when the network heals, the next
//! repetition gets through. What is already past the cut arrives.

use crate::component::tcp::{Delivery, Packet};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::ids::{
    CacheId, ConsumerId, DatabaseId, PoolerId, QueueId, RegionId, ServiceId, StreamId,
};
use crate::model::{Model, Side, UnitKind};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::task::{Role, State};
use super::world::World;

/// A network that is cut.
#[derive(Clone, Debug)]
pub struct ActiveCut {
    /// Which fault's.
    pub process: u32,
    /// One side of it.
    pub near: Vec<Side>,
    /// The other; [`None`] is all that is not on the near side.
    pub far: Option<Side>,
    /// When it heals.
    pub until: Time,
}

/// Who sends or receives.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Party {
    /// Users at home in a region.
    Users(RegionId),
    /// A service.
    Service(ServiceId),
    /// The balancer before a service: beside it in its region, and not cut off with it.
    Balancer(ServiceId),
    /// A database, and where its server stands.
    Database(DatabaseId, RegionId),
    /// A cache server.
    Cache(CacheId),
    /// A pooler.
    Pooler(PoolerId),
    /// A queue with its workers.
    Queue(QueueId),
    /// The members of a group of consumers.
    Consumer(ConsumerId),
    /// What keeps a stream.
    Stream(StreamId),
}

/// How a packet gets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Passage {
    /// How much later than it would.
    pub late: Duration,
    /// Not at all: its sender has given up by then.
    pub lost: bool,
}

impl Passage {
    /// As nearly always.
    pub const FREE: Passage = Passage { late: Duration::ZERO, lost: false };
}

impl Party {
    fn behind_balancer(self) -> Party {
        match self {
            Party::Balancer(service) => Party::Service(service),
            other => other,
        }
    }
}

impl Passage {
    /// Two stretches of one way.
    fn and(self, other: Passage) -> Passage {
        Passage { late: self.late.max(other.late), lost: self.lost || other.lost }
    }
}

impl ActiveCut {
    fn keeps_from_brokers(&self, group: ConsumerId, model: &Model) -> bool {
        let stream = Party::Stream(model.consumers[group].stream);
        self.lies_between(Party::Consumer(group), stream, model)
    }

    fn lies_between(&self, a: Party, b: Party, model: &Model) -> bool {
        let near = |party| {
            // A region that is cut off from everything is cut off from its users too.
            let counts = self.far.is_some() || !matches!(party, Party::Users(_));
            counts && self.near.iter().any(|side| contains(*side, party, model))
        };
        match self.far {
            None => near(a) != near(b),
            // Who is cut off from a service is cut off from what stands before it, too.
            Some(far) => {
                let (a, b) = (a.behind_balancer(), b.behind_balancer());
                near(a) && contains(far, b, model) || near(b) && contains(far, a, model)
            }
        }
    }
}

fn contains(side: Side, party: Party, model: &Model) -> bool {
    match (side, party) {
        (Side::Region(region), Party::Users(home)) => region == home,
        (Side::Region(region), Party::Service(service) | Party::Balancer(service)) => {
            model.services[service].region == region
        }
        (Side::Region(region), Party::Database(_, there)) => there == region,
        (Side::Region(region), Party::Cache(cache)) => model.caches[cache].region == region,
        (Side::Region(region), Party::Pooler(it)) => {
            model.databases[model.poolers[it].database].region == region
        }
        (Side::Region(region), Party::Queue(it)) => model.queues[it].region == Some(region),
        (Side::Region(region), Party::Consumer(it)) => model.consumers[it].region == Some(region),
        (Side::Region(region), Party::Stream(it)) => model.streams[it].region == Some(region),
        (Side::Service(one), Party::Service(other)) => one == other,
        (Side::Database(one), Party::Database(other, _)) => one == other,
        (Side::Cache(one), Party::Cache(other)) => one == other,
        (Side::Pooler(one), Party::Pooler(other)) => {
            model.poolers[one].process == model.poolers[other].process
        }
        (Side::Queue(one), Party::Queue(other)) => one == other,
        (Side::Consumer(one), Party::Consumer(other)) => one == other,
        _ => false,
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A way that is looked up only while a network is cut.
    #[inline(always)]
    fn amid_cuts(&self, way: impl FnOnce() -> Passage) -> Passage {
        #[cold]
        #[inline(never)]
        fn rarely(way: impl FnOnce() -> Passage) -> Passage {
            way()
        }
        match &self.faults {
            Some(state) if !state.cuts.is_empty() => rarely(way),
            _ => Passage::FREE,
        }
    }

    /// How something gets to a machine that is gone: not at all, until TCP gives up.
    pub(super) fn passage_to_nowhere(&self, packet: Packet) -> Passage {
        let (Delivery::After(late) | Delivery::Never(late)) =
            packet.sent_into_cut(self.now, Time::NEVER);
        Passage { late, lost: true }
    }

    /// How something that is sent now gets from one to the other.
    #[inline(always)]
    pub fn passage(&self, from: Party, to: Party, packet: Packet) -> Passage {
        self.amid_cuts(|| self.through_cuts(from, to, packet))
    }

    fn through_cuts(&self, from: Party, to: Party, packet: Packet) -> Passage {
        let state = self.faults.as_ref().expect("only faults cut networks");
        let between = state.cuts.iter().filter(|cut| cut.lies_between(from, to, self.model));
        let Some(healed) = between.map(|cut| cut.until).max() else { return Passage::FREE };
        match packet.sent_into_cut(self.now, healed) {
            Delivery::After(late) => Passage { late, lost: false },
            Delivery::Never(late) => Passage { late, lost: true },
        }
    }

    /// Until when nothing gets from one to the other; the beginning of time if it does.
    pub(super) fn cut_until(&self, from: Party, to: Party) -> Time {
        let Some(state) = &self.faults else { return Time::ZERO };
        let between = state.cuts.iter().filter(|cut| cut.lies_between(from, to, self.model));
        between.map(|cut| cut.until).max().unwrap_or(Time::ZERO)
    }

    /// What of a service others talk to: the balancer before it, or itself.
    fn front(&self, service: ServiceId) -> Party {
        let spec = &self.model.services[service];
        match spec.is_fronted() && spec.function.is_none() {
            true => Party::Balancer(service),
            false => Party::Service(service),
        }
    }

    /// Whether nothing gets from somewhere to a service at present.
    pub(super) fn is_unreachable(&self, from: Party, service: ServiceId) -> bool {
        let Some(state) = &self.faults else { return false };
        let front = self.front(service);
        state.cuts.iter().any(|cut| cut.lies_between(from, front, self.model))
    }

    /// How a request or an answer gets between a task's user and a service.
    #[inline(always)]
    pub(super) fn passage_of_user(&self, task: u32, service: ServiceId) -> Passage {
        self.amid_cuts(|| {
            let home = self.home(self.tasks[task].user);
            self.passage(Party::Users(home), self.front(service), Packet::Data)
        })
    }

    /// How a call or its answer gets between a caller and the service that it calls.
    #[inline(always)]
    pub(super) fn passage_of_call(&self, caller: u32, to: ServiceId, packet: Packet) -> Passage {
        self.amid_cuts(|| {
            let from = self.service_of_worker(self.tasks[caller].worker);
            self.passage(Party::Service(from), self.front(to), packet)
        })
    }

    /// A request never gets to its service: whoever sent it gives up after this time.
    pub(super) fn lose_on_way(&mut self, task: u32, after: Duration) {
        self.give_up_on_way(task, after, Failure::Unreachable);
    }

    /// The same, for a reason of its own.
    pub(super) fn give_up_on_way(&mut self, task: u32, after: Duration, why: Failure) {
        self.travel(task, after);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Away, self.now);
        record.status = why as u8;
        self.at_task(self.now + after, Kind::Resume, task);
    }

    /// The sender of a request that never arrived has given up.
    pub(super) fn never_arrived(&mut self, task: u32) {
        match self.tasks[task].role {
            Role::Attempt => self.respond(task),
            _ => self.child_over(task),
        }
    }

    /// How the first packet of a connection gets to its database, or to the pooler before it.
    #[inline(always)]
    pub(super) fn passage_of_connect(&self, sub: u32) -> Passage {
        self.amid_cuts(|| {
            let state = &self.pools[sub as usize];
            let pool = &self.model.pools[state.kind];
            let there = Party::Database(pool.database, self.region_of_node(state.node));
            let end = pool.pooler.map_or(there, Party::Pooler);
            self.passage(Party::Service(pool.service), end, Packet::Syn)
        })
    }

    /// The same of a pooler's own connection.
    #[inline(always)]
    pub(super) fn passage_of_pooler(&self, number: u32) -> Passage {
        self.amid_cuts(|| {
            let state = &self.poolers[number as usize];
            let database = self.model.poolers[state.kind].database;
            let there = Party::Database(database, self.region_of_node(state.node));
            self.passage(Party::Pooler(state.kind), there, Packet::Syn)
        })
    }

    /// How a statement or its answer gets between a task and its database, or the pooler before it.
    #[inline(always)]
    pub(super) fn passage_of_statement(&self, task: u32) -> Passage {
        self.amid_cuts(|| {
            let sub = &self.pools[self.tasks[task].lease().pool as usize];
            let pool = &self.model.pools[sub.kind];
            let there = Party::Database(pool.database, self.region_of_node(sub.node));
            let here = Party::Service(pool.service);
            let straight = self.passage(here, there, Packet::Data);
            let Some(pooler) = pool.pooler.map(Party::Pooler) else { return straight };
            straight.and(self.passage(here, pooler, Packet::Data))
        })
    }

    /// The same at the database, or between it and the pooler.
    #[inline(always)]
    pub(super) fn passage_at_server(&self, task: u32) -> Passage {
        self.amid_cuts(|| {
            let sub = &self.pools[self.tasks[task].lease().pool as usize];
            let pool = &self.model.pools[sub.kind];
            let here = pool.pooler.map_or(Party::Service(pool.service), Party::Pooler);
            let there = Party::Database(pool.database, self.region_of_node(sub.node));
            self.passage(here, there, Packet::Data)
        })
    }

    /// How a job gets onto its queue, or its end to who waits for it.
    #[inline(always)]
    pub(super) fn passage_of_job(&self, task: u32, queue: QueueId) -> Passage {
        self.amid_cuts(|| {
            let service = self.service_of_worker(self.tasks[task].worker);
            self.passage(Party::Service(service), Party::Queue(queue), Packet::Data)
        })
    }

    /// A cut begins: consumers that it keeps from their brokers hear nothing from them.
    pub(super) fn cut_consumers(&mut self, cut: &ActiveCut) {
        for group in self.kept_from_brokers(cut) {
            self.out_of_reach(group, true);
        }
    }

    /// A cut is over: consumers may reach their brokers again.
    pub(super) fn heal_consumers(&mut self, cut: &ActiveCut) {
        for group in self.kept_from_brokers(cut) {
            if !self.is_out_of_reach(group) {
                self.within_reach(group);
            }
        }
    }

    fn kept_from_brokers(&self, cut: &ActiveCut) -> Vec<ConsumerId> {
        let groups = self.model.consumers.ids();
        groups.filter(|group| cut.keeps_from_brokers(*group, self.model)).collect()
    }

    /// Whether a group of consumers is cut off from its brokers, or these are down.
    pub(super) fn is_out_of_reach(&self, group: ConsumerId) -> bool {
        let Some(state) = &self.faults else { return false };
        let stream = self.model.consumers[group].stream;
        state.cuts.iter().any(|cut| cut.keeps_from_brokers(group, self.model))
            || self.condition(UnitKind::Stream, stream.0).down
    }

    /// How a command or its answer gets between a task and a cache server.
    #[inline(always)]
    pub(super) fn passage_of_command(&self, task: u32, cache: CacheId) -> Passage {
        self.amid_cuts(|| {
            let service = self.service_of_worker(self.tasks[task].worker);
            self.passage(Party::Service(service), Party::Cache(cache), Packet::Data)
        })
    }
}
