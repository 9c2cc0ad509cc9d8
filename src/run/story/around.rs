//! What a task that is followed meets: who stands before it, who has what it waits for.

use super::{Behind, Live, Moment, Other, Recorder, Teller, What};
use crate::kernel::PendingEvents;
use crate::model::ids::OperationId;
use crate::model::tape::Op;
use crate::run::meter::MILLI;
use crate::run::task::{Lease, NONE, Role, State, flag};
use crate::run::world::World;
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    /// After an event: whatever the tasks that are followed have begun to wait for, and which
    /// connections they have or have no longer.
    pub(super) fn look_around(&mut self) {
        let slots: Vec<u32> = match self.recorder.as_deref() {
            Some(Recorder::Tells(teller)) => teller.live.iter().map(|live| live.slot).collect(),
            _ => return,
        };
        for slot in slots {
            self.look_at(slot);
        }
    }

    /// Looks at one task that is followed.
    pub(super) fn look_at(&mut self, slot: u32) {
        let Some(mut recorder) = self.recorder.take() else { return };
        if let Recorder::Tells(teller) = &mut *recorder
            && let Some(place) = teller.live.iter().position(|live| live.slot == slot)
        {
            self.note_leases(teller, place);
            self.note_wait(teller, place);
        }
        self.recorder = Some(recorder);
    }

    fn note_leases(&self, teller: &mut Teller, place: usize) {
        let now = self.now;
        let live = &mut teller.live[place];
        let record = self.tasks.peek(live.slot);
        let leases = if record.state == State::Free { Default::default() } else { record.leases };
        let (story, thread) = (live.story, Some(live.thread));
        let has = |lease: &Lease| leases.contains(lease);
        let gone: Vec<_> = live.held.iter().filter(|(lease, ..)| !has(lease)).copied().collect();
        live.held.retain(|(lease, ..)| has(lease));
        for lease in leases.iter().filter(|lease| lease.pool != NONE) {
            if !live.held.iter().any(|(known, ..)| known == lease) {
                let kind = self.pools[lease.pool as usize].kind;
                live.held.push((*lease, now, self.model.pools[kind].station));
            }
        }
        for (_, since, pool) in gone {
            let what = What::Held { pool };
            let moment = Moment { at: since, took: now.since(since), thread, what };
            teller.stories[story].moments.push(moment);
        }
    }

    fn note_wait(&self, teller: &mut Teller, place: usize) {
        let live = &mut teller.live[place];
        let record = self.tasks.peek(live.slot);
        let now = (record.state, record.since);
        if std::mem::replace(&mut live.seen, now) == now || record.since != self.now {
            return;
        }
        let Some(behind) = self.behind(live) else { return };
        let (story, thread, what) = (live.story, Some(live.thread), What::Waits(behind));
        let moment = Moment { at: self.now, took: Duration::ZERO, thread, what };
        teller.stories[story].moments.push(moment);
    }

    /// Behind whom a task waits, or with whom it shares.
    fn behind(&self, live: &Live) -> Option<Behind> {
        let task = live.slot;
        let record = self.tasks.peek(task);
        let none = Behind { state: record.state, ahead: 0, busy: 0, servers: 0.0, whom: None };
        let place = |found: Option<usize>| found.unwrap_or(0) as u32;
        let worker = self.workers.get(record.worker as usize);
        Some(match record.state {
            State::Backlog => {
                let instance = &self.instances[worker?.instance as usize];
                let most = self.model.services[instance.service].max_connections.unwrap_or(0);
                let ahead = place(instance.backlog.iter().position(|other| *other == task));
                Behind { ahead, busy: instance.open, servers: f64::from(most), ..none }
            }
            State::Ready => {
                let ready = &worker?.ready;
                let ahead = place(ready.iter().position(|other| *other == task));
                Behind { ahead, busy: 1, servers: 1.0, whom: self.other(worker?.running), ..none }
            }
            State::ThreadQueue => {
                let instance = &self.instances[worker?.instance as usize];
                let threads = self.model.services[instance.service].threads;
                let queue = &worker?.thread_queue;
                let ahead = place(queue.iter().position(|other| *other == task));
                Behind { ahead, busy: worker?.threads_busy, servers: f64::from(threads), ..none }
            }
            State::ChildQueue => {
                let (busy, queue) = (worker?.children, &worker?.child_queue);
                let ahead = place(queue.iter().position(|other| *other == task));
                Behind { ahead, busy, servers: f64::from(busy), ..none }
            }
            State::Computing | State::InThread | State::InChild => {
                let instance = &self.instances[worker?.instance as usize];
                let host = &self.hosts.get(instance.host as usize)?.cores;
                Behind { busy: host.len() as u32 - 1, servers: host.cores(), ..none }
            }
            State::PoolQueue | State::Connecting => self.behind_at_pool(live.asked?, none),
            State::InDatabase => {
                let node = self.pools[record.lease().pool as usize].node;
                let database = self.database_of(node);
                let state = &self.databases[database];
                let cores = &state.nodes[(node - state.first_node()) as usize];
                let own = (cores.cores.len(), cores.cores.cores());
                let shared = self.hosts.get(cores.host as usize).map(|host| &host.cores);
                let (busy, servers) = shared.map_or(own, |it| (it.len(), it.cores()));
                Behind { busy: busy as u32 - 1, servers, ..none }
            }
            State::LockQueue => {
                let before = self.locks.before(task);
                let whom = before.first().and_then(|first| self.other(*first));
                Behind { ahead: before.len() as u32, whom, ..none }
            }
            State::CacheQueue => Behind { ahead: self.commands_before(task), ..none },
            State::Joined => {
                let whom = self.leader_before(task).and_then(|leader| self.other(leader));
                Behind { whom, ..none }
            }
            State::PlaceQueue => {
                let Op::Permit { bulkhead, .. } = live.op? else { return None };
                let meter = &self.meters[self.model.bulkheads[bulkhead].station];
                let ahead = (meter.waiting.value() as u32).saturating_sub(1);
                let busy = (meter.busy.value() as i64 / MILLI) as u32;
                Behind { ahead, busy, servers: f64::from(busy), ..none }
            }
            State::ClientQueue => {
                let Op::Call { agent, .. } = self.model.tape[record.pc.0 as usize - 1] else {
                    return None;
                };
                let (busy, waiting) = self.connections_at(record.worker, agent).crowd();
                Behind { ahead: waiting.saturating_sub(1), busy, servers: f64::from(busy), ..none }
            }
            State::JobQueue => {
                let Op::Enqueue { job, .. } = live.op? else { return None };
                let queue = self.model.jobs[job].queue;
                let meter = &self.meters[self.model.queues[queue].station];
                let ahead = (meter.waiting.value() as u32).saturating_sub(1);
                let busy = (meter.busy.value() as i64 / MILLI) as u32;
                Behind { ahead, busy, servers: self.queue_slots(queue), ..none }
            }
            State::OnLink => {
                let service = self.service_of_worker(record.worker);
                let link = self.model.services[service].link?;
                let link = &self.model.links[link];
                let way = link.way(record.has(flag::UPLOAD));
                let held = self.meters[link.station_of(way)].held.value();
                Behind { busy: (held as u32).saturating_sub(1), ..none }
            }
            _ => return None,
        })
    }

    fn queue_slots(&self, queue: crate::model::ids::QueueId) -> f64 {
        let spec = &self.model.queues[queue];
        f64::from(spec.processes * spec.concurrency)
    }

    fn behind_at_pool(&self, sub: u32, none: Behind) -> Behind {
        let pool = &self.pools[sub as usize].pool;
        let holds = |task: &u32| {
            let record = self.tasks.peek(*task);
            record.state != State::Free && record.leases.iter().any(|lease| lease.pool == sub)
        };
        let slots = 0..self.tasks.capacity() as u32;
        let whom = slots.filter(holds).min_by_key(|task| self.tasks.peek(*task).since);
        Behind {
            ahead: pool.waiting().saturating_sub(1),
            busy: pool.busy(),
            servers: f64::from(pool.config().size + pool.config().overflow),
            whom: whom.and_then(|task| self.other(task)),
            ..none
        }
    }

    /// Another request, as seen from outside.
    fn other(&self, task: u32) -> Option<Other> {
        if task == NONE || task >= self.tasks.capacity() as u32 {
            return None; // what a database does by itself is nobody's request
        }
        let record = self.tasks.peek(task);
        let (operation, role) = self.asker_of(task);
        (record.state != State::Free).then_some(Other {
            number: record.ordinal,
            operation,
            role,
            state: record.state,
            since: record.since,
        })
    }

    /// What the user wants whose task it is, if somebody waits for it; and what began it.
    fn asker_of(&self, task: u32) -> (Option<OperationId>, Role) {
        let mut at = task;
        // Branches within calls within branches: few generations.
        for _ in 0..32 {
            let record = self.tasks.peek(at);
            match record.role {
                Role::Attempt => return (Some(record.operation()), Role::Attempt),
                role @ (Role::Tail | Role::Probe | Role::Socket | Role::Batch | Role::Job) => {
                    return (None, role);
                }
                _ if self.awaits(record.owner, record.owner_epoch) => at = record.owner,
                role => return (None, role),
            }
        }
        (None, Role::Tail)
    }
}
