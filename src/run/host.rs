//! Machines whose cores several things share: the loops and threads of a crowded instance, or all that
//! stands on a `[host]`.
//!
//! Whatever computes is a job of one processor-sharing station: a loop, a thread or a cache's command by
//! the number of its task, a statement or what a database does by itself by a place in a list.

use super::event::Kind;
use super::event_loop::FOREVER;
use super::meter::{MILLI, Part};
use super::task::{NONE, State};
use super::world::World;
use crate::kernel::{Event, PendingEvents, ProcessorSharing};
use crate::model::ids::{HostId, ServiceId, StationId};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};
use crate::variate::exponential;

/// The job number of what others compute.
const OTHERS: u32 = NONE;

/// Jobs of databases have numbers from here on: places in a list.
const DATABASE: u32 = 0xc000_0000;

/// A machine while it runs.
pub struct HostState {
    /// Its cores, and who is on them.
    pub cores: ProcessorSharing,
    /// When its next departure is scheduled.
    armed: Time,
    /// Where its busy cores are measured.
    station: StationId,
    /// Whether several components share it, each with a measure of its own.
    shared: bool,
    /// Jobs of databases: their nodes and their numbers there; [`NONE`] for a free place.
    databases: Vec<(u32, u32)>,
    /// What comes from others.
    others: Option<Others>,
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
}

struct Others {
    stream: StreamKey,
    /// How many have come.
    count: u64,
}

impl HostState {
    /// Cores that only one instance has.
    pub fn own(cores: f64, station: StationId) -> HostState {
        HostState {
            cores: ProcessorSharing::new(cores, 0.0, 0.0),
            armed: Time::NEVER,
            station,
            shared: false,
            databases: Vec::new(),
            others: None,
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
            host.others = spec
                .others
                .map(|_| Others { stream: self.key.named("host").named(&spec.name), count: 0 });
            self.hosts.push(host);
            self.next_of_others(id);
            self.next_theft(id);
        }
    }

    /// Something happens beside requests.
    pub fn others(&mut self, slot: u32, what: u32) {
        match what {
            beside::COMPUTES => self.others_compute(HostId(slot)),
            beside::STOLEN => self.lose_cores(HostId(slot)),
            _ => self.regain_cores(HostId(slot)),
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
    fn next_of_others(&mut self, id: HostId) {
        let Some((per_s, _)) = self.model.hosts[id].others else { return };
        let others = self.hosts[id.0 as usize].others.as_mut().expect("the model has them");
        let gap_s = exponential(&mut others.stream.numbered(others.count).draw(0)) / per_s;
        others.count += 1;
        let at = self.now + Duration::from_secs_f64(gap_s);
        self.at(at, Kind::Others, id.0);
    }

    /// Others compute something.
    fn others_compute(&mut self, id: HostId) {
        let (_, cpu) = self.model.hosts[id].others.expect("it was scheduled");
        let others = self.hosts[id.0 as usize].others.as_ref().expect("the model has them");
        let work = self.model.draw_law(cpu, others.stream.numbered(others.count), 1);
        self.next_of_others(id);
        if !work.is_zero() {
            self.join_host(id.0, work, OTHERS);
        }
    }

    /// Whether an instance's computations are measured apart from the cores that it shares.
    #[inline]
    pub(super) fn on_shared_host(&self, index: u32) -> bool {
        let host = self.instances[index as usize].host;
        host != NONE && self.hosts[host as usize].shared
    }

    /// A job joins those that share a machine's cores.
    pub(super) fn join_host(&mut self, host: u32, work: Duration, job: u32) {
        let now = self.now;
        self.with_host(host, |cores| cores.add(now, work, job));
        self.arm_host(host);
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
    fn with_host<R>(&mut self, host: u32, change: impl FnOnce(&mut ProcessorSharing) -> R) -> R {
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
            if job == OTHERS {
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
        let in_thread = record.state == State::InThread;
        let station = match in_thread {
            true => self.model.services[service].threads_station,
            false => self.model.services[service].station,
        };
        let alone = record.deadline.since(record.since);
        self.spend(task, station, Part::Service, alone);
        self.spend(task, station, Part::Wait, self.now.since(record.since) - alone);
        if in_thread {
            return self.thread_freed(task);
        }
        if self.on_shared_host(index) {
            self.meters[station].busy.add(self.now, -MILLI);
        }
        self.offer_lock(task, record.worker);
        self.run_loop(record.worker);
    }
}
