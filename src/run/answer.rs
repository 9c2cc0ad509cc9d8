//! Answers: the way back to whoever waits for it.

use super::event::Kind;
use super::meter::Counter;
use super::task::{DIALLER, NONE, OK, RECONNECTS, Role, State, flag};
use super::world::World;
use crate::component::tcp::Packet;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::UnitKind;
use crate::model::tape::{Op, Pc};
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// The answer leaves. Says whether the flow goes on in this task.
    pub(super) fn reply(
        &mut self,
        task: u32,
        bytes: crate::model::tape::Draw,
        status: u16,
    ) -> bool {
        let record = self.tasks[task];
        let bytes = self.model.draw_bytes(bytes, record.stream);
        if status >= 400 {
            let record = &mut self.tasks[task];
            (record.status, record.answered) = (Failure::Answered as u8, status);
        }
        let next = Pc(record.pc.0 + 1);
        let more = !matches!(self.model.tape[next.0 as usize], Op::End);
        if more {
            // The answer travels as a task of its own; this one works on, for nobody.
            let mut answer = self.tasks[task];
            answer.leases = Default::default();
            // What it leads, it goes on to load.
            answer.flags &= !flag::LEADS;
            let answer = self.new_task(answer);
            self.answers_for(answer, task);
            if record.role == Role::Attempt && record.owner != NONE {
                self.journeys[record.owner].task = answer;
            }
            let worker = &mut self.tasks[task];
            (worker.role, worker.owner, worker.row) = (Role::Tail, NONE, NONE);
            worker.flags &= !(flag::ADMITTED | flag::OUTSTANDING);
            worker.permit = 0; // what it held goes back as the answer leaves
            (worker.pc, worker.status, worker.answered) = (next, OK, 0);
            if Q::TELLS {
                self.tell_split(task, answer);
            }
            self.answer(answer, bytes);
            return true;
        }
        self.answer(task, bytes);
        false
    }

    /// Sends a task's answer to whoever waits for it: the flow is over for this task.
    pub fn answer(&mut self, task: u32, bytes: f64) {
        if self.tasks[task].permit != 0 {
            self.leave_bulkheads(task);
        }
        let record = self.tasks[task];
        match record.role {
            Role::Attempt => self.answer_user(task, bytes),
            Role::Call => {
                let caller_waits = self.awaits(record.owner, record.owner_epoch);
                let unopened =
                    record.status == Failure::Unreachable as u8 && !record.has(flag::ADMITTED);
                if !caller_waits || record.worker == NONE || unopened {
                    self.depart_instance(task);
                    return self.child_over(task);
                }
                let service = self.service_of_worker(record.worker);
                if self.faults.is_some() && self.hold_answer(task, Duration::ZERO) {
                    return;
                }
                let hop = self.model.services[service].hop;
                let hop = self.model.draw_law(hop, record.stream, 0x0b0c);
                let hop = hop + self.hop_back(task, service);
                let passage = self.passage_of_call(record.owner, service, Packet::Data);
                let way = self.way_between(record.owner, task) + hop + passage.late;
                self.travel(task, way);
                self.depart_instance(task);
                if passage.lost {
                    self.tasks[task].status = Failure::Unreachable as u8;
                }
                self.at_task(self.now + way, Kind::Returned, task);
            }
            Role::Branch | Role::Protected => self.child_over(task),
            Role::Tail => {
                if record.branch == DIALLER {
                    self.name_is_known(task);
                } else if record.branch == RECONNECTS {
                    self.client_has_address(task);
                }
                if record.status != OK {
                    self.lose_write(&record);
                }
                self.end_task(task);
            }
            Role::Probe => self.probe_over(task),
            Role::Batch => self.batch_answered(task),
            Role::Job => self.flow_over(task),
            Role::Socket => self.socket_done(task),
        }
    }

    /// Sends the answer to the user: through the service's link, then the network.
    fn answer_user(&mut self, task: u32, bytes: f64) {
        let record = self.tasks[task];
        let mut carried = bytes;
        if let Some(cdn) = self.cdn_of_operation(&record) {
            if self.model.cdns[cdn].not_modified > 0.0
                && record.worker != NONE
                && self.is_unchanged(task, cdn)
            {
                carried = 0.0; // 304
            }
            let meter = &mut self.meters[self.model.cdns[cdn].station];
            meter.add(Counter::Bytes, bytes as u64);
            if record.worker == NONE && record.status == OK {
                meter.add(Counter::HitBytes, bytes as u64);
            }
        }
        if record.worker == NONE {
            return self.answer_from_edge(task, bytes);
        }
        let service = self.service_of_worker(record.worker);
        self.meters[self.model.services[service].station].add(Counter::Bytes, carried as u64);
        let link = self.model.services[service].link;
        match link.filter(|_| carried > 0.0) {
            Some(link) => self.enter_link(task, link, bytes),
            None => {
                let late = self.body_takes(task, bytes, self.model.services[service].region);
                self.travel(task, late);
                self.answer_travels(task, late);
            }
        }
    }

    /// The answer has left the service's link: the instance is rid of it, the user gets it next.
    pub fn answer_travels(&mut self, task: u32, late: Duration) {
        if self.faults.is_some() && self.hold_answer(task, late) {
            return;
        }
        let service = self.service_of_worker(self.tasks[task].worker);
        let spec = &self.model.services[service];
        let stream = self.tasks[task].stream;
        let balancer = self.condition(UnitKind::Balancer, service.0);
        let hop = balancer.stretch(self.model.draw_law(spec.hop, stream, 0x0b0c));
        let hop = hop + self.hop_back(task, service);
        let passage = self.passage_of_user(task, service);
        self.depart_instance(task);
        self.travel(task, hop);
        if passage.lost {
            self.tasks[task].status = Failure::Unreachable as u8;
        }
        self.travel(task, passage.late);
        self.send_home(task, spec.region, self.now + hop + late + passage.late);
    }

    /// An answer sets out from a region at that time, by way of the edge that waits for it.
    pub fn send_home(&mut self, task: u32, region: crate::model::ids::RegionId, at: Time) {
        let mut way = self.way_to_user(task, region);
        let mut kind = Kind::Respond;
        let record = self.tasks[task];
        if let Some(cdn) = self.cdn_of_operation(&record).filter(|_| record.has(flag::EDGE_MISS)) {
            way = Duration(way.0.saturating_sub(self.way_to_edge(task, cdn).0));
            kind = Kind::Edge;
        } else if at + way == self.now {
            return self.respond(task);
        }
        self.travel(task, way);
        self.tasks[task].state = State::Away;
        self.at_task(at + way, kind, task);
    }

    /// A flow fails by itself, and does not go on.
    pub(super) fn raise(&mut self, task: u32, why: Failure) -> bool {
        self.fail(task, why);
        false
    }

    /// The flow of a task is over.
    pub(super) fn end_of_flow(&mut self, task: u32) {
        self.answer(task, 0.0);
    }
}
