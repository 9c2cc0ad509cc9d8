//! Jobs that the loops of a service work at: Bull's or BullMQ's worker in a process that has other things
//! to do as well, or in one that has nothing else.
//!
//! A job's handler is a flow: its computing keeps the loop from requests, and theirs from it; its queries
//! wait for connections of the same pools. What ends the process ends the handler, and the job is found as
//! stalled. An instance that is to end takes no more jobs, and goes when it has none and no request.

use super::job::JobState;
use super::service::Phase;
use super::task::{NONE, OK, Role, State, Task};
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::ids::{QueueId, ServiceId};
use crate::model::tape::Pc;
use crate::units::Time;

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether a process of a queue begins jobs.
    pub(super) fn takes_jobs(&self, queue: QueueId, place: usize) -> bool {
        match self.model.queues[queue].service {
            None => self.queues[queue].processes[place].takes_jobs(),
            Some(service) => {
                let worker = self.loop_of_place(service, place);
                let index = self.workers[worker as usize].instance;
                self.instances[index as usize].phase == Phase::Up && self.takes_requests(worker)
            }
        }
    }

    /// The worker of a service that is so many of a queue's processes.
    fn loop_of_place(&self, service: ServiceId, place: usize) -> u32 {
        let first = self.services[service].first_instance;
        self.instances[first as usize].first_worker + place as u32
    }

    /// A handler begins on its loop.
    pub(super) fn start_flow(&mut self, job: u32, service: ServiceId, place: usize) {
        let worker = self.loop_of_place(service, place);
        let record = self.jobs[job];
        let entry = self.model.jobs[record.kind].entry;
        let task = self.new_task(Task {
            owner: job,
            ordinal: record.number,
            user: record.user,
            role: Role::Job,
            ..Task::aside(record.attempt_stream(), Pc(entry.0 + 1), worker, self.now)
        });
        self.workers[worker as usize].jobs += 1;
        if let Some(process) = &self.model.services[service].process {
            self.take_memory(worker, process);
        }
        self.resume(task);
    }

    /// The flow of a handler has ended, well or badly.
    pub(super) fn flow_over(&mut self, task: u32) {
        let Task { owner: job, ordinal: number, worker, status, .. } = self.tasks[task];
        self.end_task(task);
        let index = self.workers[worker as usize].instance;
        self.workers[worker as usize].jobs -= 1;
        let record = self.jobs.peek(job);
        if record.number == number && record.state != JobState::Free {
            let record = &mut self.jobs[job];
            (record.due, record.broke) = (self.now, status != OK);
            self.job_done(job, number);
        }
        self.stop_if_drained(index); // a handler that nobody waited for has no place
    }

    /// Since when the loop of a queue's process is kept; [`Time::NEVER`] if it is not.
    pub(super) fn kept_since(&self, queue: QueueId, place: usize) -> Time {
        let Some(service) = self.model.queues[queue].service else {
            return self.queues[queue].processes[place].blocked_since;
        };
        let running = self.workers[self.loop_of_place(service, place) as usize].running;
        let computes = running != NONE && self.tasks[running].state == State::Computing;
        if computes { self.tasks[running].since } else { Time::NEVER }
    }

    /// A callback has kept its loop since then: timers fire that should have fired before.
    #[cold]
    pub(super) fn loop_was_kept(&mut self, worker: u32, since: Time) {
        let model = self.model;
        let service = self.workers[worker as usize].service;
        for queue in &model.services[service].queues {
            let place = (worker - self.loop_of_place(service, 0)) as usize;
            for job in self.jobs_of(self.queues[*queue].first + place as u32) {
                self.renew_late(job, *queue, since);
                self.renew_after_block(job, *queue);
            }
        }
    }

    /// Whether an instance has handlers at work, of messages or of jobs, or jobs that it has claimed or not yet ended.
    pub(super) fn has_jobs(&self, index: u32) -> bool {
        let service = self.instances[index as usize].service;
        let queues = &self.model.services[service].queues;
        if queues.is_empty() && self.sockets.is_empty() {
            return false;
        }
        let first = self.loop_of_place(service, 0);
        self.workers_of(index).any(|worker| {
            let place = (worker - first) as usize;
            let has = |queue: &QueueId| self.queues[*queue].processes[place].slots > 0;
            self.workers[worker as usize].jobs > 0 || queues.iter().any(has)
        })
    }

    /// A place of a service's process is free.
    pub(super) fn place_is_free(&mut self, service: ServiceId, place: usize) {
        let worker = self.loop_of_place(service, place);
        self.stop_if_drained(self.workers[worker as usize].instance);
    }

    /// A process of a service has died, with the handlers that it had at work.
    pub(super) fn lose_handlers(&mut self, worker: u32) {
        let model = self.model;
        let service = self.workers[worker as usize].service;
        self.workers[worker as usize].jobs = 0;
        for queue in &model.services[service].queues {
            let first = self.loop_of_place(service, 0);
            self.kill_process(self.queues[*queue].first + worker - first);
        }
    }

    /// A process of a service is there: it looks for jobs.
    pub(super) fn look_for_jobs(&mut self, service: ServiceId) {
        let model = self.model;
        for queue in &model.services[service].queues {
            self.start_jobs(*queue);
            if self.queues[*queue].check_is_due {
                self.check_stalled(*queue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, run_for};
    use super::super::world::World;
    use crate::kernel::EventList;
    use crate::model::ids::QueueId;
    use crate::units::Duration;

    const TEXT: &str = r#"
        version = 1
        [arrivals]
        rate = "40/s"
        [service.web]
        instances = 2
        workers = 2
        cores = 2
        replace = "500ms"
        [database.db]
        [pool.pg]
        service = "web"
        database = "db"
        size = 2
        [cache.redis]
        [queue.q]
        service = "web"
        cache = "redis"
        concurrency = 3
        lock = "400ms"
        stalled_interval = "300ms"
        [queue.own]
        cache = "redis"
        processes = 2
        on_sigterm = "finish"
        grace = "300ms"
        autoscale = { min = 1, max = 4, period = "1s", start = "200ms", metric.backlog = { queue = "own", jobs = 2 }, policy.steps = { points = 1, out = [{ at = "100%", by = 2 }], back = [{ at = "50%", by = 1 }] }, cooldown_out = "1s" }
        [job.letter]
        queue = "q"
        attempts = 3
        timeout = "900ms"
        backoff = { fixed = "200ms" }
        flow = [{ cpu = "2ms" }, { query = { pool = "pg", read = "8ms" } }, { wait.exponential = "100ms" }, { cpu.exponential = "5ms" }]
        [job.picture]
        queue = "own"
        work.exponential = "60ms"
        cpu_share = "50%"
        [operation.page]
        share = 1
        flow = [{ enqueue = { job = "letter", delay = "50ms" } }, { enqueue = "picture" }, { cpu = "5ms" }]
        [deploy.a]
        service = "web"
        at = "1s"
        start = "1s"
        on_sigterm = "finish"
        grace = "300ms"
        [deploy.b]
        service = "web"
        at = "4s"
        start = "500ms"
        how.kubernetes = { pre_stop = "200ms", heard_after = "300ms" }
    "#;

    /// Processes of both kinds die and come back in the middle of everything: the books hold, and what
    /// is at work at the end is what the queue says.
    #[test]
    fn everything_adds_up_however_processes_go() {
        let model = model(TEXT);
        let mut world = World::<EventList>::new(&model, 0);
        let mut draws = world.key.named("torment").draw(0);
        for _ in 0..400 {
            run_for(&mut world, Duration::micros(u64::from(draws.below(40_000))));
            let worker = draws.below(world.workers.len() as u32);
            let process = draws.below(4); // "own" comes first
            match draws.below(9) {
                0 => world.kill_worker(worker),
                1 => world.kill_instance(world.workers[worker as usize].instance),
                2 | 3 => world.restart_instance(world.workers[worker as usize].instance),
                4 => world.restart_worker(worker),
                5 => world.kill_process(process),
                6 => world.restart_process(process),
                _ => {}
            }
            run_for(&mut world, Duration::ZERO);
            for (queue, state) in world.queues.enumerate() {
                let slots: u32 = state.processes.iter().map(|process| process.slots).sum();
                assert_eq!(slots, state.queue.running(), "at {:?}, {}", world.now, queue.0);
            }
            let state = &world.queues[QueueId(1)];
            for (worker, process) in world.workers.iter().zip(&state.processes) {
                // The others wait for their Redis.
                assert!(worker.jobs <= process.handlers, "at {:?}", world.now);
            }
        }
        for _ in 0..100 {
            run_for(&mut world, Duration::secs(1));
            for index in 0..world.instances.len() as u32 {
                world.restart_instance(index);
            }
        }
        assert!(world.deploys.iter().all(|deploy| deploy.until.is_some()), "all come to an end");
    }
}
