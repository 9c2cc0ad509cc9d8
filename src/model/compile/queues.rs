//! Queues and jobs.

use super::{Compiler, deploys, draw_id, find, instance_slots, named, optional};
use crate::component::job_limiter::LimiterConfig;
use crate::component::job_queue::{Driver, JobBackoff, RetryRule};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::tape::{Command, Op, Pc};
use crate::model::{Job, Mapping, Queue, Scripts};
use crate::topology;
use crate::topology::Named;
use crate::units::Duration;
use crate::variate::Law;

impl Compiler<'_> {
    pub(super) fn queues(&mut self) -> Dense<QueueId, Queue> {
        let mut all = Dense::default();
        let mut first_process = 0;
        let topology = self.topology;
        for queue in &topology.queues {
            let scripts = self.scripts(queue);
            let is_sqs = driver_of(&queue.spec.driver) == Driver::Sqs;
            let rtt = queue.spec.rtt.as_ref().filter(|_| is_sqs).map(|rtt| self.law(rtt));
            all.push(Queue {
                name: queue.name.clone(),
                insert: match queue.spec.driver {
                    topology::QueueDriver::Bull => queue.spec.insert,
                    _ => Duration::ZERO,
                },
                region: self.place_of(topology::Section::Queue, &queue.name),
                station: self.station(&format!("queue.{}", queue.name)),
                processes: self.workers_at_start(queue),
                slots: self.most_workers(queue),
                autoscale: queue
                    .spec
                    .autoscale
                    .as_ref()
                    .map(|scaling| self.scaling(queue.spec.cores, scaling)),
                service: queue
                    .spec
                    .service
                    .as_ref()
                    .map(|service| find(&self.topology.services, &service.name)),
                on_sigterm: deploys::sigterm(&queue.spec.on_sigterm),
                grace: queue.spec.grace,
                concurrency: queue.spec.concurrency,
                cores: queue.spec.cores,
                driver: driver_of(&queue.spec.driver),
                lock: queue.spec.lock,
                stalled_interval: queue.spec.stalled_interval,
                max_stalled: queue.spec.max_stalled,
                max_receives: queue.spec.max_receives,
                cache: queue
                    .spec
                    .cache
                    .as_ref()
                    .map(|cache| find(&self.topology.caches, &cache.name)),
                limiter: queue
                    .spec
                    .limiter
                    .as_ref()
                    .map(|limiter| LimiterConfig { max: limiter.max, duration: limiter.duration })
                    .filter(|_| driver_of(&queue.spec.driver) != Driver::Sqs),
                mapping: queue.spec.mapping.as_ref().map(|mapping| self.mapping(mapping)),
                scripts,
                rtt,
                can_stall: self.can_stall(queue),
                first_process,
            });
            first_process += self.most_workers(queue);
        }
        all
    }

    /// Worker processes of a queue at the start: its own, or loops of a service.
    fn workers_at_start(&self, queue: &Named<topology::Queue>) -> u32 {
        let Some(service) = &queue.spec.service else { return queue.spec.workers() };
        let spec = &named(&self.topology.services, &service.name).spec;
        spec.instances * spec.workers
    }

    /// The most that there can be.
    pub(super) fn most_workers(&self, queue: &Named<topology::Queue>) -> u32 {
        let Some(service) = &queue.spec.service else { return queue.spec.most_workers() };
        let all = &self.topology.services;
        let service = all.iter().find(|it| it.name == service.name).expect("a checked name");
        instance_slots(self.topology, service) * service.spec.workers
    }

    /// The queues at whose jobs the loops of a service work.
    pub(super) fn queues_of(&self, service: &str) -> Vec<QueueId> {
        let its = |it: &Named<topology::Queue>| {
            it.spec.service.as_ref().is_some_and(|it| it.name == service)
        };
        let all = self.topology.queues.iter().enumerate();
        all.filter(|(_, it)| its(it)).map(|(index, _)| QueueId(index as u32)).collect()
    }

    /// The scripts of a queue that Redis keeps.
    fn scripts(&mut self, queue: &Named<topology::Queue>) -> Option<Scripts> {
        let spec = &queue.spec;
        let cache: CacheId = find(&self.topology.caches, &spec.cache.as_ref()?.name);
        let (add_s, claim_s, finish_s) = match driver_of(&spec.driver) {
            Driver::Bull => (60e-6, 300e-6, 110e-6),
            Driver::BullMq => (67e-6, 500e-6, 158e-6),
            Driver::Sqs => return None,
        };
        let mut law = |said: &Option<topology::Dist>, usual_s| match said {
            Some(said) => self.law(said),
            None => self.add_law(Law::Constant(usual_s)),
        };
        let add = law(&spec.add, add_s);
        let (claim, finish) = (law(&spec.claim, claim_s), law(&spec.finish, finish_s));
        let renew = self.cache_command(&self.topology.caches[cache.0 as usize].spec);
        let mut script = |takes: LawId, name: &str| {
            let entry = Pc(self.tape.len() as u32);
            let draw = draw_id(&format!("queue.{}.{name}", queue.name));
            self.tape.push(Op::Command { cache, command: Command::Script(takes), draw, bytes: 0 });
            self.tape.push(Op::End);
            entry
        };
        Some(Scripts {
            add,
            claim: script(claim, "claim"),
            finish: script(finish, "finish"),
            renew: script(renew, "renew"),
            claims: claim,
            takes: finish,
        })
    }

    pub(super) fn jobs(&mut self) -> Dense<JobId, Job> {
        let topology = self.topology;
        let mut all = Dense::default();
        for job in &topology.jobs {
            let spec = &job.spec;
            let queue = &named(&topology.queues, &spec.queue.name).spec;
            let fifo = queue.discipline == topology::Discipline::Fifo;
            let driver = driver_of(&queue.driver);
            let fifo = fifo || driver == Driver::Sqs;
            all.push(Job {
                name: job.name.clone(),
                queue: find(&topology.queues, &spec.queue.name),
                work: spec.work.as_ref().map_or(LawId(0), |work| self.law(work)),
                entry: Pc(0),
                cpu_share: spec.cpu_share.0,
                blocking: spec.blocking,
                timeout: optional(spec.timeout).filter(|_| driver == Driver::Bull),
                retry: RetryRule {
                    attempts: spec.attempts,
                    backoff: match spec.backoff {
                        topology::Backoff::None => JobBackoff::None,
                        topology::Backoff::Fixed(delay) => JobBackoff::Fixed(delay),
                        topology::Backoff::Exponential(delay) => JobBackoff::Exponential(delay),
                    },
                    jitter: if driver == Driver::BullMq { spec.jitter.0 } else { 0.0 },
                    ..RetryRule::once(driver)
                },
                lifo: spec.lifo && driver != Driver::Sqs && (fifo || spec.priority == 0),
                priority: if fifo { 0 } else { spec.priority },
                size_bytes: spec.size.0 as u32,
                keep_completed: spec.keep_completed,
                keep_failed: spec.keep_failed,
                fail: spec.fail.0,
            });
        }
        all
    }
    fn mapping(&self, spec: &topology::EventSourceMapping) -> Mapping {
        Mapping {
            function: find(&self.topology.services, &spec.function.name),
            batch_size: spec.batch_size,
            window: spec.batching_window,
            most: spec.most(),
            reports: spec.report_batch_item_failures,
            pause: spec.throttle_pause,
        }
    }

    /// Whether jobs of a queue can lose their locks: their loops are kept, or their processes die.
    fn can_stall(&self, queue: &Named<topology::Queue>) -> bool {
        let topology = self.topology;
        let blocks =
            topology.jobs.iter().any(|job| job.spec.queue.name == queue.name && job.spec.blocking);
        let dies = topology.faults.iter().any(|fault| {
            let here = |target: &topology::Target| match target.section {
                topology::Section::Queue => target.name == queue.name,
                topology::Section::Region => topology
                    .place_of(topology::Section::Queue, &queue.name)
                    .is_some_and(|region| region.name == target.name),
                _ => false,
            };
            let stops = matches!(fault.spec.what, topology::Harm::Stop | topology::Harm::Restart);
            stops && fault.spec.target.0.iter().any(here)
        });
        let store = queue.spec.cache.as_ref();
        let loses_store = store.is_some_and(|cache| {
            let region = &named(&topology.caches, &cache.name).spec.region;
            topology.faults.iter().any(|fault| {
                let stops =
                    matches!(fault.spec.what, topology::Harm::Stop | topology::Harm::Restart);
                let hits = |target: &topology::Target| match target.section {
                    topology::Section::Cache => target.name == cache.name,
                    topology::Section::Region => {
                        region.as_ref().is_none_or(|region| region.name == target.name)
                    }
                    topology::Section::Host => true,
                    _ => false,
                };
                stops && fault.spec.target.0.iter().any(hits)
            })
        });
        let ends = queue.spec.autoscale.is_some() || queue.spec.service.is_some();
        (blocks || dies || loses_store || ends) && driver_of(&queue.spec.driver) != Driver::Sqs
    }
}

fn driver_of(driver: &topology::QueueDriver) -> Driver {
    match driver {
        topology::QueueDriver::Bull => Driver::Bull,
        topology::QueueDriver::BullMq => Driver::BullMq,
        topology::QueueDriver::Sqs => Driver::Sqs,
    }
}
