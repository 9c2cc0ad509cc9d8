//! Child processes: FFmpeg, ImageMagick, a script. They compute on the cores of their instance, beside its
//! loops and threads, and take none of either.
//!
//! To spawn one takes the loop some time (Node.js 20, libuv `uv_spawn`: fork and exec on the loop's thread); then
//! the request waits for its end. How many may run at once is the application's affair (p-limit, a queue of
//! its own): further ones wait in line.

use super::meter::{Counter, MILLI};
use super::task::{State, flag};
use super::world::World;
use crate::kernel::{PendingEvents, Start};
use crate::model::ids::StationId;
use crate::model::tape::{Op, Pc};

impl<Q: PendingEvents> World<'_, Q> {
    /// A callback goes on beside its loop, or comes back from there.
    pub(super) fn go_beside(&mut self, task: u32) {
        match self.op_at(task) {
            Op::Threads { .. } => self.enter_threads(task),
            Op::ThreadEnter => self.enter_thread(task),
            Op::ThreadLeave => self.leave_thread(task),
            Op::ThreadBeside => {
                let record = &mut self.tasks[task];
                record.flags |= flag::IN_THREAD;
                record.pc = Pc(record.pc.0 + 1);
                self.resume(task);
            }
            _ => self.enter_child(task),
        }
    }

    fn children_of(&self, worker: u32) -> StationId {
        let service = self.service_of_worker(worker);
        self.model.services[service].children_station
    }

    /// A callback has spawned a child process, or waits until one more may run.
    pub(super) fn enter_child(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        let station = self.children_of(worker);
        let most = self.model.services[self.service_of_worker(worker)].children;
        self.meters[station].count(Counter::Arrivals);
        let state = &mut self.workers[worker as usize];
        if most.is_none_or(|most| state.children < most) {
            state.children += 1;
            self.meters[station].pass();
            return self.start_child(task);
        }
        state.child_queue.push_back(task);
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::ChildQueue, self.now);
        self.meters[station].enter(self.now);
    }

    fn start_child(&mut self, task: u32) {
        let Op::Child { work } = self.model.tape[self.tasks[task].pc.0 as usize] else {
            unreachable!("a task has a child process where its tape says so")
        };
        let worker = self.tasks[task].worker;
        let index = self.workers[worker as usize].instance;
        let work = self.pace(worker, index, self.draw(work, task));
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::InChild, self.now);
        record.deadline = self.now + work;
        let station = self.children_of(worker);
        self.meters[station].busy.add(self.now, MILLI);
        let rank = self.model.services[self.service_of_worker(worker)].rank;
        self.join_host(self.instances[index as usize].host, work, task, Start::anew(rank));
    }

    /// A child process has ended: the next one may run, and the callback that waits for it is ready.
    pub(super) fn child_done(&mut self, task: u32) {
        let worker = self.tasks[task].worker;
        let station = self.children_of(worker);
        self.meters[station].busy.add(self.now, -MILLI);
        self.meters[station].count(Counter::Served);
        match self.workers[worker as usize].child_queue.pop_front() {
            Some(next) => {
                self.leave(next, station);
                self.start_child(next);
            }
            None => self.workers[worker as usize].children -= 1,
        }
        let record = &mut self.tasks[task];
        record.pc = Pc(record.pc.0 + 1);
        self.resume(task);
    }
}
