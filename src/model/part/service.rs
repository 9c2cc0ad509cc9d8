//! Services and their scaling.

use crate::component::{autoscaler, balancer};
use crate::model::ids::*;
use crate::units::Duration;

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
    /// Where it runs.
    pub region: RegionId,
    /// Instances at the start.
    pub instances: u32,
    /// Instances at most (the autoscaler's limit).
    pub max_instances: u32,
    /// Event loops per instance.
    pub workers: u32,
    /// A request is a new connection, handed to a worker that has taken the one before.
    pub to_free_workers: bool,
    /// What it costs a loop to wake.
    pub wake: Option<Wake>,
    /// Cores per instance.
    pub cores: f64,
    /// True when the loops of an instance can want more than its cores, or threads share them.
    pub contended: bool,
    /// Threads of a worker compute under one lock with its loop.
    pub one_lock: bool,
    /// Threads in each worker's pool.
    pub threads: u32,
    /// Open requests per instance at most; more wait in the backlog.
    pub max_connections: Option<u32>,
    /// Places in the accept backlog; more are refused.
    pub backlog: u32,
    /// Requests whose user has gone leave the queues for connections.
    pub cancel_waiting: bool,
    /// How instances are chosen.
    pub policy: balancer::Policy,
    /// A user stays with the instance chosen first.
    pub sticky: bool,
    /// What hashing and stickiness go by.
    pub affinity: Affinity,
    /// One way from the balancer to an instance.
    pub hop: LawId,
    /// The link that its answers go out through.
    pub link: Option<LinkId>,
    /// The autoscaler.
    pub autoscale: Option<Scaling>,
    /// Pools that each worker has.
    pub pools: Vec<PoolId>,
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
    /// The rule.
    pub policy: autoscaler::TargetTracking,
    /// How often it looks.
    pub period: Duration,
    /// From the decision to a new instance's first request.
    pub start: Duration,
}

/// What consistent hashing and sticky balancing go by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Affinity {
    /// The user.
    User,
    /// The client's address.
    Address,
}
