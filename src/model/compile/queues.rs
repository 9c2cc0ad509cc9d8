//! Queues and jobs.

use super::{Compiler, find, named, optional};
use crate::component::job_queue::{Driver, JobBackoff, RetryRule};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Job, Queue};
use crate::topology;

impl Compiler<'_> {
    pub(super) fn queues(&self) -> Dense<QueueId, Queue> {
        let mut all = Dense::default();
        let mut first_process = 0;
        for queue in &self.topology.queues {
            all.push(Queue {
                name: queue.name.clone(),
                station: self.station(&format!("queue.{}", queue.name)),
                processes: queue.spec.processes,
                concurrency: queue.spec.concurrency,
                cores: queue.spec.cores,
                first_process,
            });
            first_process += queue.spec.processes;
        }
        all
    }

    pub(super) fn jobs(&mut self) -> Dense<JobId, Job> {
        let topology = self.topology;
        let mut all = Dense::default();
        for job in &topology.jobs {
            let spec = &job.spec;
            let queue = &named(&topology.queues, &spec.queue.name).spec;
            let fifo = queue.discipline == topology::Discipline::Fifo;
            all.push(Job {
                name: job.name.clone(),
                queue: find(&topology.queues, &spec.queue.name),
                work: self.law(&spec.work),
                cpu_share: spec.cpu_share.0,
                timeout: optional(spec.timeout),
                retry: RetryRule {
                    attempts: spec.attempts,
                    backoff: match spec.backoff {
                        topology::Backoff::None => JobBackoff::None,
                        topology::Backoff::Fixed(delay) => JobBackoff::Fixed(delay),
                        topology::Backoff::Exponential(delay) => JobBackoff::Exponential(delay),
                    },
                    ..RetryRule::once(Driver::Bull)
                },
                priority: if fifo { 0 } else { spec.priority },
                fail: spec.fail.0,
            });
        }
        all
    }
}
