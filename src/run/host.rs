//! Machines whose cores several things share: the loops and threads of a crowded instance, or all that
//! stands on a `[host]`.
//!
//! Whatever computes is a job of one set of cores: a loop, a thread or a cache's command by
//! the number of its task, a statement or what a database does by itself by a place in a list.

use super::event::Kind;
use super::event_loop::FOREVER;
use super::meter::{MILLI, Part};
use super::task::{NONE, State};
use super::world::World;
use crate::kernel::{
    Event, MachineCores, PendingEvents, ProcessorSharing, RankedCores, Start, Turn,
};
use crate::model::UnitKind;
use crate::model::ids::{HostId, ServiceId, StationId};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};
use crate::variate::exponential;
use std::collections::VecDeque;

/// Jobs of others have numbers from here on: which source they are of.
const OTHERS: u32 = 0xf000_0000;

/// Jobs of databases have numbers from here on: places in a list.
const DATABASE: u32 = 0xc000_0000;

/// A machine while it runs.
pub struct HostState {
    /// Its cores, and who is on them.
    pub cores: MachineCores,
    /// When its next departure is scheduled.
    armed: Time,
    /// Where its busy cores are measured.
    station: StationId,
    /// Whether several components share it, each with a measure of its own.
    shared: bool,
    /// Jobs of databases: their nodes and their numbers there; [`NONE`] for a free place.
    databases: Vec<(u32, u32)>,
    /// What comes from others.
    others: Vec<Others>,
    /// How often its cores have been taken away.
    thefts: u64,
}

/// What events beside requests mean, by their ordinals.
mod beside {
    /// Others compute something.
    pub const COMPUTES: u32 = 0;
    /// A machine's cores are taken away.
    pub const STOLEN: u32 = 1;
    /// They are given back.
    pub const RETURNED: u32 = 2;
    /// Others of a further source compute something; its number is added.
    pub const ALSO: u32 = 3;
    /// It is a job's turn; its ticket is added.
    pub const TURN: u32 = 1 << 16;
}

struct Others {
    stream: StreamKey,
    /// How many have come.
    count: u64,
    /// How many compute.
    busy: u32,
    /// What waits until one of them is done, first come first.
    held: VecDeque<Duration>,
}

impl HostState {
    /// Cores that only one instance has.
    pub fn own(cores: f64, station: StationId) -> HostState {
        HostState {
            cores: MachineCores::Equal(ProcessorSharing::new(cores, 0.0, 0.0)),
            armed: Time::NEVER,
            station,
            shared: false,
            databases: Vec::new(),
            others: Vec::new(),
            thefts: 0,
        }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// The machines that are named; they have the first numbers.
    pub fn build_hosts(&mut self) {
        for (id, spec) in self.model.hosts.enumerate() {
            let mut host = HostState::own(spec.cores, spec.station);
            host.shared = true;
            if spec.ranked {
                let cores = RankedCores::new(spec.cores, spec.turn.is_some());
                host.cores = MachineCores::Ranked(Box::new(cores));
            }
            let streams = (0..spec.others.len()).map(|source| match source {
                0 => self.key.named("host").named(&spec.name),
                more => self.key.named("also").named(&spec.name).numbered(more as u64),
            });
            host.others = streams
                .map(|stream| Others { stream, count: 0, busy: 0, held: VecDeque::new() })
                .collect();
            self.hosts.push(host);
            for source in 0..spec.others.len() {
                self.next_of_others(id, source);
            }
            self.next_theft(id);
        }
    }

    /// Something happens beside requests.
    pub fn others(&mut self, slot: u32, what: u32) {
        match what {
            beside::COMPUTES => self.others_compute(HostId(slot), 0),
            beside::STOLEN => self.lose_cores(HostId(slot)),
            beside::RETURNED => self.regain_cores(HostId(slot)),
            also if also < beside::TURN => {
                self.others_compute(HostId(slot), (also - beside::ALSO) as usize + 1);
            }
            turn => {
                let now = self.now;
                self.with_host(slot, |cores| cores.call(now, turn - beside::TURN));
                self.arm_host(slot);
            }
        }
    }

    /// The machine's cores will be taken away: the time between thefts is memoryless, so that they are
    /// away for the share that is said.
    fn next_theft(&mut self, id: HostId) {
        let Some((share, slice)) = self.model.hosts[id].stolen else { return };
        let there_s = self.model.laws[slice].mean * (1.0 - share) / share;
        let host = &mut self.hosts[id.0 as usize];
        let stream = self.key.named("stolen").named(&self.model.hosts[id].name);
        let gap_s = exponential(&mut stream.numbered(host.thefts).draw(0)) * there_s;
        let at = self.now + Duration::from_secs_f64(gap_s);
        self.events.push(Event::new(at, Kind::Others as u8, beside::STOLEN, id.0));
    }

    /// The cores are gone for a slice: whoever computes stands still, as far as it got.
    fn lose_cores(&mut self, id: HostId) {
        let (_, slice) = self.model.hosts[id].stolen.expect("it was scheduled");
        let stream = self.key.named("stolen").named(&self.model.hosts[id].name);
        let theft = self.hosts[id.0 as usize].thefts;
        let length = self.model.draw_law(slice, stream.numbered(theft), 1);
        let now = self.now;
        self.hosts[id.0 as usize].thefts += 1;
        self.with_host(id.0, |cores| cores.set_cores(now, 0.0));
        self.events.push(Event::new(now + length, Kind::Others as u8, beside::RETURNED, id.0));
    }

    fn regain_cores(&mut self, id: HostId) {
        let (now, all) = (self.now, self.model.hosts[id].cores);
        self.with_host(id.0, |cores| cores.set_cores(now, all));
        self.arm_host(id.0);
        self.next_theft(id);
    }

    /// Others will compute something.
    fn next_of_others(&mut self, id: HostId, source: usize) {
        let per_s = self.model.hosts[id].others[source].per_s;
        if per_s <= 0.0 {
            return;
        }
        let others = &mut self.hosts[id.0 as usize].others[source];
        let gap_s = exponential(&mut others.stream.numbered(others.count).draw(0)) / per_s;
        others.count += 1;
        let at = self.now + Duration::from_secs_f64(gap_s);
        let what = match source {
            0 => beside::COMPUTES,
            more => beside::ALSO + more as u32 - 1,
        };
        self.events.push(Event::new(at, Kind::Others as u8, what, id.0));
    }

    /// Others compute something.
    fn others_compute(&mut self, id: HostId, source: usize) {
        let spec = self.model.hosts[id].others[source];
        let others = &self.hosts[id.0 as usize].others[source];
        let work = self.model.draw_law(spec.cpu, others.stream.numbered(others.count), 1);
        self.next_of_others(id, source);
        let condition = self.condition(UnitKind::Host, id.0);
        let work = condition.stretch(work);
        let others = &mut self.hosts[id.0 as usize].others[source];
        if work.is_zero() || condition.down {
            return;
        }
        if others.busy >= spec.at_most {
            return others.held.push_back(work);
        }
        others.busy += 1;
        self.join_host(id.0, work, OTHERS + source as u32, Start::anew(spec.rank));
    }

    /// Others are done with a piece: the next that was held back begins.
    fn others_computed(&mut self, id: HostId, source: usize) {
        let others = &mut self.hosts[id.0 as usize].others[source];
        match others.held.pop_front() {
            Some(work) => {
                let from = Start { rank: self.model.hosts[id].others[source].rank, goes_on: true };
                self.join_host(id.0, work, OTHERS + source as u32, from);
            }
            None => others.busy -= 1,
        }
    }

    /// Whether an instance's computations are measured apart from the cores that it shares.
    #[inline]
    pub(super) fn on_shared_host(&self, index: u32) -> bool {
        let host = self.instances[index as usize].host;
        host != NONE && self.hosts[host as usize].shared
    }

    /// A job joins those that share a machine's cores.
    pub(super) fn join_host(&mut self, host: u32, work: Duration, job: u32, from: Start) {
        let now = self.now;
        match self.with_host(host, |cores| cores.add(now, work, job, from)) {
            Some(turn) => self.await_turn(HostId(host), turn),
            None => self.arm_host(host),
        }
    }

    /// A job waits for its turn: as long as each of those who compute on its core keeps it.
    fn await_turn(&mut self, id: HostId, turn: Turn) {
        let Turn { ticket, crowd } = turn;
        let law = self.model.hosts[id].turn.expect("who waits for turns has them");
        let stream = self.key.named("turn").named(&self.model.hosts[id].name);
        let length = self.model.draw_law(law, stream.numbered(u64::from(ticket)), 1).scale(crowd);
        let what = beside::TURN + ticket;
        self.events.push(Event::new(self.now + length, Kind::Others as u8, what, id.0));
    }

    /// A job leaves before its end: what was left of it.
    pub(super) fn leave_host(&mut self, host: u32, job: u32) -> Option<Duration> {
        let now = self.now;
        let left = self.with_host(host, |cores| cores.remove(now, job));
        self.arm_host(host);
        left
    }

    /// A job of a database's node gets a number on the machine that the node shares.
    pub(super) fn job_of_node(&mut self, host: u32, node: u32, job: u32) -> u32 {
        let jobs = &mut self.hosts[host as usize].databases;
        let free = jobs.iter().position(|(node, _)| *node == NONE);
        let place = free.unwrap_or_else(|| {
            jobs.push((NONE, NONE));
            jobs.len() - 1
        });
        jobs[place] = (node, job);
        DATABASE + place as u32
    }

    /// The number of such a job, if it is there; it is no longer.
    pub(super) fn forget_job(&mut self, host: u32, node: u32, job: u32) -> Option<u32> {
        let jobs = &mut self.hosts[host as usize].databases;
        let place = jobs.iter().position(|it| *it == (node, job))?;
        jobs[place] = (NONE, NONE);
        Some(DATABASE + place as u32)
    }

    /// Changes who shares a machine's cores, and keeps the meter of busy cores right.
    fn with_host<R>(&mut self, host: u32, change: impl FnOnce(&mut MachineCores) -> R) -> R {
        let host = &mut self.hosts[host as usize];
        let before = host.cores.busy_milli();
        let result = change(&mut host.cores);
        let after = host.cores.busy_milli();
        if after != before {
            self.meters[host.station].busy.add(self.now, after as i64 - before as i64);
        }
        result
    }

    fn arm_host(&mut self, number: u32) {
        let host = &mut self.hosts[number as usize];
        if let Some(at) = host.cores.next_departure().filter(|at| *at != host.armed) {
            if at.since(self.now) > FOREVER.half() {
                return; // only who spins is there
            }
            host.armed = at;
            self.at(at, Kind::HostDepart, number);
        }
    }

    /// Computations on a machine may be over.
    pub fn host_depart(&mut self, number: u32) {
        if self.hosts[number as usize].armed != self.now {
            return; // a later arrival or departure has changed who is due when
        }
        self.hosts[number as usize].armed = Time::NEVER;
        let now = self.now;
        while self.hosts[number as usize].cores.next_departure().is_some_and(|at| at <= now) {
            let job = self.with_host(number, |cores| cores.depart(now));
            let job = job.expect("whose departure is due is there");
            if job >= OTHERS {
                self.others_computed(HostId(number), (job - OTHERS) as usize);
                continue;
            }
            if job >= DATABASE {
                let place = (job - DATABASE) as usize;
                let (node, job) = std::mem::replace(
                    &mut self.hosts[number as usize].databases[place],
                    (NONE, NONE),
                );
                self.node_computed(node, job);
                continue;
            }
            match self.tasks[job].state {
                State::InCache => self.command(job),
                _ => self.computed(job),
            }
        }
        self.arm_host(number);
    }

    /// A loop or a thread is done with the cores that it shared.
    fn computed(&mut self, task: u32) {
        let record = self.tasks[task];
        let index = self.workers[record.worker as usize].instance;
        let service: ServiceId = self.instances[index as usize].service;
        let station = match record.state {
            State::InThread => self.model.services[service].threads_station,
            State::InChild => self.model.services[service].children_station,
            _ => self.model.services[service].station,
        };
        let alone = record.deadline.since(record.since);
        self.spend(task, station, Part::Service, alone);
        self.spend(task, station, Part::Wait, self.now.since(record.since) - alone);
        match record.state {
            State::InThread => return self.thread_freed(task),
            State::InChild => return self.child_done(task),
            _ => {}
        }
        self.workers[record.worker as usize].left = self.now;
        if self.on_shared_host(index) {
            self.meters[station].busy.add(self.now, -MILLI);
        }
        self.offer_lock(task, record.worker);
        self.run_loop(record.worker);
    }
}
