//! Services and their scaling.

use super::deploy::Exit;
use super::process::Process;
use crate::component::autoscaler::TargetTracking;
use crate::component::balancer::{self, health};
use crate::component::{autoscaler, hpa, step_scaling};
use crate::kernel::Rank;
use crate::model::ids::*;
use crate::model::tape::Pc;
use crate::units::{Duration, Time};

/// A machine that several components share.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Its cores.
    pub cores: f64,
    /// Some on it go before others, or keep a core for a turn.
    pub ranked: bool,
    /// For how long who computes keeps a core that others want.
    pub turn: Option<LawId>,
    /// What else computes on it.
    pub others: Vec<Others>,
    /// For which share of the time its cores are taken away, and for how long at a time.
    pub stolen: Option<(f64, LawId)>,
}

/// Pieces of work that come to a machine beside a deployment's own.
#[derive(Clone, Copy, Debug)]
pub struct Others {
    /// How many a second.
    pub per_s: f64,
    /// CPU time of each.
    pub cpu: LawId,
    /// How many of them compute at a time.
    pub at_most: u32,
    /// Who goes first.
    pub rank: Rank,
}

/// A service: a group of instances, each with workers that are event loops sharing its cores.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The random numbers of its balancer.
    pub numbers: u32,
    /// As measured: its event loops.
    pub station: StationId,
    /// As measured: the thread pools of its workers, where a flow uses them.
    pub threads_station: StationId,
    /// As measured: the child processes of its workers, where a flow starts any.
    pub children_station: StationId,
    /// Child processes of a worker at once.
    pub children: Option<u32>,
    /// Where it runs.
    pub region: RegionId,
    /// The machine that its instances share, with others.
    pub host: Option<HostId>,
    /// Who goes first on it.
    pub rank: Rank,
    /// Instances at the start.
    pub instances: u32,
    /// Instances at most (the autoscaler's limit).
    pub max_instances: u32,
    /// Instances that there can be at once, those of two versions included.
    pub slots: u32,
    /// Event loops per instance.
    pub workers: u32,
    /// How requests come to its workers.
    pub hand_out: HandOut,
    /// Of the workers that poll at a shared socket, how likely the first takes a connection; 0: any does.
    pub first_polls: f64,
    /// Connections to it stay open, and each belongs to one of several workers.
    pub sticky: bool,
    /// Callers keep connections to its processes, of which there are several: a call goes where its own ends.
    pub follows_calls: bool,
    /// What it costs a loop to wake.
    pub wake: Option<Wake>,
    /// Cores per instance.
    pub cores: f64,
    /// True when the loops of an instance can want more than its cores, or threads share them.
    pub contended: bool,
    /// Its loops run timers that are due before they look what has come (libuv).
    pub polls_after_timers: bool,
    /// Threads of a worker compute under one lock with its loop.
    pub one_lock: bool,
    /// Threads in each worker's pool.
    pub threads: u32,
    /// Connections per instance at most; more wait in the backlog.
    pub max_connections: Option<u32>,
    /// It has a limit of connections, or memory for each, and whoever asks it keeps theirs: idle ones count.
    pub counts_connections: bool,
    /// Places in the accept backlog; more are refused.
    pub backlog: u32,
    /// New connections stand in it while no loop looks.
    pub kernel_queues: bool,
    /// Connections beyond `max_connections` are closed instead of made to wait.
    pub closes: bool,
    /// Requests whose user has gone leave the queues for connections.
    pub cancel_waiting: bool,
    /// How instances are chosen.
    pub policy: balancer::Policy,
    /// For how long a user stays with an instance that was chosen for them.
    pub stays: Option<balancer::Stay>,
    /// The shares of its instances, in turn; empty for equal ones.
    pub weights: Vec<u32>,
    /// Balancer nodes.
    pub nodes: u32,
    /// What its balancer knows of the health of its instances.
    pub health: Health,
    /// Of a request its balancer remembers only which instance has it.
    pub plain: bool,
    /// A full backlog drops connections, which are tried again, instead of refusing them.
    pub drops: bool,
    /// Its balancer, as measured.
    pub balancer_station: Option<StationId>,
    /// How long an idle connection stays open on its own side.
    pub keep_alive: Duration,
    /// Requests over one connection to it.
    pub requests_per_connection: Option<u32>,
    /// How long bodies may take to come up to it, where one could take too long.
    pub bodies: Option<Bodies>,
    /// What hashing and stickiness go by.
    pub affinity: Affinity,
    /// One way from the balancer to an instance.
    pub hop: LawId,
    /// Its instances stand in several zones, and it takes time from one to the other.
    pub zoned: bool,
    /// The link that its answers go out through.
    pub link: Option<LinkId>,
    /// How many times as long computing takes just after a start, and for how long it wears off.
    pub warm_up: Option<(f64, Duration)>,
    /// From the death of an instance to the first request of the one in its place.
    pub replace: Option<Duration>,
    /// What may end or hold up its processes; nothing where nothing does.
    pub process: Option<Box<Process>>,
    /// The queues at whose jobs its loops work.
    pub queues: Vec<QueueId>,
    /// The autoscaler.
    pub autoscale: Option<Scaling>,
    /// How an instance ends that it removes.
    pub removal: Exit,
    /// It is a function: its instances are started for requests.
    pub function: Option<Box<Function>>,
    /// Pools that each worker has.
    pub pools: Vec<PoolId>,
}

impl Service {
    /// Whether clients are connected to a balancer, which has connections of its own to instances.
    pub fn is_fronted(&self) -> bool {
        self.balancer_station.is_some() && self.health.passes.is_none()
    }
    /// How many requests its balancer lets through to its targets at a time; 0 where it lets through whatever comes.
    pub fn let_through(&self) -> f64 {
        let Health { max_conns, max_requests, max_connections, .. } = self.health;
        let of_targets = max_conns.map(|most| most.saturating_mul(self.instances));
        let fewest = [of_targets, max_requests, max_connections].into_iter().flatten().min();
        fewest.map_or(0.0, |most| f64::from(most) * f64::from(self.nodes))
    }
    /// Whether its balancer, if it has one, remembers of a request only which instance has it.
    pub fn is_plain(&self) -> bool {
        let health = &self.health;
        let conns = health.max_conns.is_some() || health.max_connections.is_some();
        let waits = health.lines || health.slots.is_some() || health.max_requests.is_some();
        let kept = health.keep_alive.is_some() || health.passes.is_some();
        let judged = health.ejection.is_some() || health.charged.is_some();
        let listens = matches!(self.policy, balancer::Policy::PeakEwma { .. });
        let one = self.nodes == 1 && self.function.is_none() && self.affinity == Affinity::User;
        one && !(conns || waits || kept || judged || listens || self.follows_calls)
    }
    /// Whether its balancer keeps to an instance that it has chosen for somebody, over all their connections.
    pub fn sticks(&self) -> bool {
        matches!(self.stays, Some(balancer::Stay::Cookie { .. }))
    }
    /// Whether a node of its balancer sends to a target: all do, or the one in the target's zone.
    pub fn is_seen_by(&self, node: u32, target: u32) -> bool {
        !self.health.zonal || target % self.nodes == node
    }
}

/// A function: environments are started for requests, and take one at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct Function {
    /// As measured: executions at once.
    pub executions: StationId,
    /// Executions at once that it has for itself.
    pub reserved: Option<u32>,
    /// Environments that are kept ready, at first.
    pub provisioned: u32,
    /// How their number follows their use.
    pub autoscale: Option<ProvisionedScaling>,
    /// How long an environment takes to start.
    pub init: LawId,
    /// How long an execution may last.
    pub timeout: Duration,
    /// How long an environment stays idle before it is gone.
    pub idle: Duration,
    /// Environments that may be started within 10 s.
    pub scaling: u32,
    /// Executions at once that functions of its region may take which have reserved none, and that all
    /// may take together.
    pub account: (u32, u32),
}

/// How the number of environments that are kept ready follows their use.
#[derive(Clone, PartialEq, Debug)]
pub struct ProvisionedScaling {
    /// The policy, whose bounds are the first.
    pub policy: TargetTracking,
    /// The greatest value of a minute is compared, not the mean.
    pub maximum: bool,
    /// Time from the decision to the start of the first.
    pub start: Duration,
    /// Time between two that are started.
    pub pace: Duration,
    /// When the bounds change.
    pub schedule: Vec<Appointment>,
}

/// How long the body of a request may take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bodies {
    /// So long.
    pub timeout: Duration,
    /// How often the server looks.
    pub check: Duration,
}

impl Bodies {
    /// When a body that begins to arrive `at` is given up: at the first look by which it has taken
    /// longer than it may.
    pub fn given_up(&self, at: Time) -> Time {
        let due = (at + self.timeout).0;
        Time((due / self.check.0 + 1) * self.check.0)
    }
}

/// What it costs a loop that has been polling to wake.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Wake {
    /// CPU time after it has polled for `idle`.
    pub cpu: Duration,
    /// Time polled.
    pub idle: Duration,
    /// The exponent with which the cost grows with the time polled.
    pub growth: f64,
}

impl Wake {
    /// CPU time to wake after so much polling.
    pub fn cost(&self, polled: Duration) -> Duration {
        let times = polled.seconds() / self.idle.seconds();
        self.cpu.scale(libm::pow(times, self.growth))
    }
}

/// How the number of a service's instances follows its load.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// What it looks at, each with the rule for it.
    pub rules: Vec<(Metric, Rule)>,
    /// How often it looks.
    pub period: Duration,
    /// How long after its end a period is known.
    pub delay: Duration,
    /// From the decision to a new instance's first request.
    pub start: Duration,
    /// Cores of an instance that its use is a share of.
    pub requested: f64,
    /// When the fewest and the most instances change, from the start of the run.
    pub schedule: Vec<Appointment>,
    /// Who starts the first and stops the last.
    pub keda: Option<Keda>,
}

/// Who starts the first worker and stops the last.
#[derive(Clone, Copy, Debug)]
pub struct Keda {
    /// How often it looks.
    pub polling: Duration,
    /// How long after there was something to do the last is stopped.
    pub cooldown: Duration,
    /// There is something to do while more than so many wait.
    pub activation: f64,
    /// The fewest workers.
    pub min: u32,
}

/// How an autoscaler decides.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Target tracking of ECS.
    Tracking(autoscaler::TargetTracking),
    /// The Horizontal Pod Autoscaler, and the target of its metric.
    Hpa(hpa::HpaPolicy, f64),
    /// Steps.
    Steps(step_scaling::StepPolicy),
}

/// What an autoscaler looks at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Metric {
    /// CPU time as a share of what instances request.
    Cpu,
    /// Memory that is taken as a share of what instances have.
    Memory,
    /// Requests per second and instance, as a share of so many (1/s).
    Requests(f64),
    /// Jobs that wait in a queue per instance, as a share of so many.
    Backlog(QueueId, f64),
    /// The age of the oldest job that waits in a queue, as a share of so much (s).
    Oldest(QueueId, f64),
    /// Messages per member that its group has not committed, as a share of so many.
    Lag(f64),
}

/// A scheduled action.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Appointment {
    /// When, from the start of the run.
    pub at: Duration,
    /// The fewest instances from then on.
    pub min: u32,
    /// The most instances from then on.
    pub max: u32,
}

/// What a balancer knows of the health of its targets, and does about it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Checks of its own, and where on the tape they begin.
    pub checks: Option<(health::Checks, Pc)>,
    /// They ask for a connection, and for no answer.
    pub connects_only: bool,
    /// It passes connections through, so that clients are connected to targets, and forgets those that have
    /// been idle for so long.
    pub passes: Option<Duration>,
    /// Each of its nodes sends to the targets of its own zone only.
    pub zonal: bool,
    /// Setting targets aside for what they answer.
    pub ejection: Option<health::Ejection>,
    /// With a smaller share of healthy targets, or none, it sends to all of them; [`None`] never does.
    pub fail_open: Option<f64>,
    /// How the share of a new target grows.
    pub slow_start: Option<balancer::SlowStart>,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
    /// How long an answer may take.
    pub idle_timeout: Option<Duration>,
    /// How long an idle connection to a target stays open; [`None`] where connections cost nothing.
    pub keep_alive: Option<Duration>,
    /// How long an instance that is taken out may finish what it has.
    pub deregistration_delay: Option<Duration>,
    /// Requests at each target at most.
    pub max_conns: Option<u32>,
    /// Requests at all targets at most.
    pub max_requests: Option<u32>,
    /// Connections to all targets at most, but for a first one to each.
    pub max_connections: Option<u32>,
    /// Requests that may wait for one of those.
    pub max_pending: u32,
    /// Where who finds a target full may wait.
    pub slots: Option<Slots>,
    /// Requests may wait in it, for connections or for full targets.
    pub lines: bool,
    /// It is charged by capacity units.
    pub charged: Option<Charged>,
    /// Attempts to connect are repeated so (HAProxy).
    pub retries: Option<Retries>,
    /// Which requests may go over an idle connection.
    pub reuse: Reuse,
    /// Idle connections that each node keeps.
    pub most_idle: Option<u32>,
    /// How often half of the idle connections are closed that were not needed lately.
    pub purge: Option<Duration>,
    /// How long an idle connection of a client to it stays open.
    pub client_keep_alive: Duration,
    /// Requests over one connection, of a client or to a target.
    pub keepalive_requests: Option<u32>,
    /// A request that gets no answer from its target goes to the next one.
    pub next_upstream: bool,
    /// What it answers when it could not connect in time.
    pub unreached_status: u16,
    /// What it answers when a target refuses the connection; 0 where there is no balancer.
    pub refused_status: u16,
    /// What it answers when a target closes the connection; 0 where there is no balancer.
    pub broken_status: u16,
    /// What it answers when there is nobody to send to.
    pub nobody_status: u16,
    /// What it answers when it has too many requests; 0 is what it is by itself.
    pub overflow_status: u16,
}

/// Which requests may go over a connection of a balancer that is idle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reuse {
    /// Those of the same user.
    Never,
    /// All but the first of a user's connection.
    Safe,
    /// That one, too, if the connection has been used again before.
    Aggressive,
    /// All.
    #[default]
    Always,
}

/// What a capacity unit of a balancer is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Charged {
    /// New connections a second.
    pub new: f64,
    /// Open connections.
    pub open: f64,
    /// Bytes an hour.
    pub bytes: f64,
    /// Rules that a request is compared with, beyond those that are free.
    pub rules: u32,
}

/// A queue of a balancer for requests that find their targets full (HAProxy, queue.c).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Slots {
    /// How long one may wait.
    pub timeout: Option<Duration>,
    /// Requests that may wait for each target, or for all of them.
    pub most: Option<u32>,
    /// That is the number of those for all of them.
    pub of_all: bool,
    /// A request leaves when its user has gone.
    pub leaves: bool,
    /// What becomes of full targets in the choice.
    pub full: Full,
    /// With few requests the limit is lower: the least one, and how many requests make it the whole.
    pub ramp: Option<(u32, u32)>,
    /// The answer to who has waited too long, or finds it full.
    pub status: u16,
}

/// What a policy does about targets that are full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// It passes over them.
    Skipped,
    /// It passes over those that have so many waiting, too, as it may let some wait for each.
    SkippedWithQueue,
    /// It may draw one: then the request waits for any.
    Drawn,
    /// It keeps to the one that it has named: the request waits for that.
    Kept,
}

/// How a balancer repeats an attempt to connect.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Retries {
    /// So often.
    pub count: u32,
    /// To another target, if that is allowed.
    pub redispatch: bool,
    /// Each may go to another one: the policy keeps nobody to a target.
    pub any: bool,
    /// How long it pauses before it asks the same one again.
    pub pause: Duration,
}

/// What consistent hashing and sticky balancing go by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Affinity {
    /// The user.
    User,
    /// The client's address.
    Address,
    /// The 256 addresses around it.
    Network,
    /// The key of this set that the request is for.
    Keys(KeysId),
    /// The process that calls.
    Process,
}

/// How new connections come to the workers of an instance, and requests where connections cost nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandOut {
    /// To each in turn.
    EachInTurn,
    /// Handed to a worker that has taken the one before.
    FreeWorker,
    /// A worker takes it that polls.
    Shared,
    /// For the worker that a hash of its addresses names.
    ReusePort,
}
