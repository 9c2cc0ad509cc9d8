//! Queues and jobs.

use crate::component::job_limiter::LimiterConfig;
use crate::component::job_queue;
use crate::model::ids::*;
use crate::model::tape::Pc;
use crate::model::{OnSigterm, Scaling};
use crate::units::Duration;

/// Where on the tape the scripts stand by which workers have their jobs.
#[derive(Clone, Copy, Debug)]
pub struct Scripts {
    /// How long the server's thread needs to add a job.
    pub add: LawId,
    /// A worker without a job takes one.
    pub claim: Pc,
    /// A job has ended; the next one is brought along.
    pub finish: Pc,
    /// A lock is renewed.
    pub renew: Pc,
    /// How long the server's thread needs to claim one.
    pub claims: LawId,
    /// How long the server's thread needs to end one.
    pub takes: LawId,
}

/// A job queue and its worker processes.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// How long its Redis looks at each job that one with a priority is put before.
    pub insert: Duration,
    /// Where its processes stand, and itself without a cache. [`None`] where nothing says so.
    pub region: Option<RegionId>,
    /// As measured.
    pub station: StationId,
    /// Worker processes.
    pub processes: u32,
    /// The most of them that there can be.
    pub slots: u32,
    /// How their number follows a metric.
    pub autoscale: Option<Scaling>,
    /// The service whose loops are the processes, where it has none of its own.
    pub service: Option<ServiceId>,
    /// What one does that is told to end.
    pub on_sigterm: OnSigterm,
    /// How long it has before it is killed.
    pub grace: Duration,
    /// Jobs at once per process.
    pub concurrency: u32,
    /// Cores per process.
    pub cores: f64,
    /// Whose rules it follows.
    pub driver: job_queue::Driver,
    /// How long a job at work is locked, or a message invisible.
    pub lock: Duration,
    /// How often stalled jobs are looked for.
    pub stalled_interval: Duration,
    /// How often a job may stall.
    pub max_stalled: u32,
    /// How often a message is received at most; [`None`]: again and again.
    pub max_receives: Option<u32>,
    /// The Redis that keeps it.
    pub cache: Option<CacheId>,
    /// What its workers ask of that.
    pub scripts: Option<Scripts>,
    /// Round trip of a request to SQS.
    pub rtt: Option<LawId>,
    /// How many jobs it starts in a time, if that is bounded.
    pub limiter: Option<LimiterConfig>,
    /// The function that gets its messages, in place of worker processes.
    pub mapping: Option<Mapping>,
    /// Whether anything in the model can make its jobs lose their locks.
    pub can_stall: bool,
    /// Number of its first process among all processes of all queues.
    pub first_process: u32,
}

/// An event source mapping: which function gets a queue's messages, and how.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The function.
    pub function: ServiceId,
    /// Messages in a call at most.
    pub batch_size: u32,
    /// How long they are gathered.
    pub window: Duration,
    /// Calls at once at most.
    pub most: u32,
    /// It hears which messages have failed.
    pub reports: bool,
    /// The first pause before a throttled call is made again.
    pub pause: Duration,
}

/// How users learn of the end of a job: they ask.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// What they ask.
    pub operation: OperationId,
    /// Time before each question.
    pub every: Duration,
    /// Questions at most.
    pub most: u32,
}

impl Queue {
    /// How long a job takes a place at least, on average (s): where a limiter lets only so many start,
    /// all places are as good as taken meanwhile.
    pub fn pace(&self) -> f64 {
        let slots = f64::from(self.processes * self.concurrency);
        let limiter = self.limiter;
        limiter.map_or(0.0, |it| it.duration.seconds() / f64::from(it.max) * slots)
    }
    /// Whether a message that has failed so often is received once more.
    pub fn receives_left(&self, failed: u32) -> bool {
        self.max_receives.is_none_or(|most| failed < most)
    }
}

/// A kind of job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Where it waits.
    pub queue: QueueId,
    /// How long it takes a worker process, with a core to itself.
    pub work: LawId,
    /// Where a function begins with it.
    pub entry: Pc,
    /// Share of that which is CPU in its process.
    pub cpu_share: f64,
    /// It computes in one piece and keeps its process's loop meanwhile.
    pub blocking: bool,
    /// The promise rejects after this; the handler goes on.
    pub timeout: Option<Duration>,
    /// Attempts in all, and the delays between them.
    pub retry: job_queue::RetryRule,
    /// It goes before all that wait.
    pub lifo: bool,
    /// 1 is served first; 0 has none.
    pub priority: u32,
    /// What one takes in Redis (bytes).
    pub size_bytes: u32,
    /// How many that have completed are kept there; [`None`]: all.
    pub keep_completed: Option<u32>,
    /// The same of those that have failed for good.
    pub keep_failed: Option<u32>,
    /// Chance that an attempt fails.
    pub fail: f64,
}
