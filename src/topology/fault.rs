//! Faults: what goes wrong in a scenario, where, when, for how long.

use super::dist::Dist;
use super::kind::Kind;
use super::names::{Address, Reference, Scope, Section};
use super::spec::{Reader, Shape, spec};
use super::tree::{Node, Value};
use crate::diagnostic::{Diagnostic, Place};
use crate::units::{Duration, Ratio};

/// The sections whose components can fail.
pub(crate) const FALLIBLE: &[Section] = &[
    Section::Service,
    Section::Pool,
    Section::Pooler,
    Section::Database,
    Section::Cache,
    Section::Store,
    Section::Queue,
    Section::Stream,
    Section::Consumer,
    Section::Socket,
    Section::Host,
    Section::Region,
    Section::Link,
    Section::Cdn,
    Section::Balancer,
];

/// What a fault strikes: `service.web`, or `database.main.replicas` for the replicas alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its section.
    pub section: Section,
    /// Its name.
    pub name: String,
    /// The replicas of a database rather than its primaries.
    pub replicas: bool,
    /// Where it stands.
    pub place: Place,
}

/// One target, or several that a fault strikes together.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets(pub Vec<Target>);

impl Shape for Targets {
    fn kind() -> Kind {
        let one = || Box::new(Kind::Address(FALLIBLE));
        Kind::Either(one(), Box::new(Kind::List(one())))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Array(items) = &node.value else {
            return Some(Targets(vec![read_target(node, reader)?]));
        };
        let all: Vec<Target> = items.iter().filter_map(|item| read_target(item, reader)).collect();
        (all.len() == items.len()).then_some(Targets(all))
    }
    fn is_positive(&self) -> bool {
        !self.0.is_empty()
    }
}

fn read_target(node: &Node, reader: &mut Reader) -> Option<Target> {
    let Some(text) = node.text() else {
        return reader.wrong_type(node, &Targets::kind());
    };
    let (text, replicas) = match text.strip_suffix(".replicas") {
        Some(whole) if whole.starts_with("database.") => (whole, true),
        _ => (text, false),
    };
    let place = node.place.clone();
    let found = text.split_once('.').and_then(|(key, name)| {
        let section = FALLIBLE.iter().find(|section| section.key() == key)?;
        Some((*section, name.to_string()))
    });
    let Some((section, name)) = found else {
        let what = Kind::Address(FALLIBLE).what();
        let message = format!("`{}` cannot be `{text}`: it must be {what}", reader.path());
        return reader.wrong(
            Diagnostic::error("bad-address", place, message)
                .help("write the section and the name, such as `\"cache.redis\"`"),
        );
    };
    reader.references.push(Reference { section, name: name.clone(), place: place.clone() });
    Some(Target { section, name, replicas, place })
}

spec! {
    /// Something that goes wrong: a part of the scenario.
    component Fault {
        /// What it strikes: `"cache.redis"`, `"database.main.replicas"` or several,
        /// `["service.web", "service.api"]`. A region is everything that stands in it, a host everything
        /// that runs on it: when it stops, that comes back cold.
        target: Targets, positive;
        /// What goes wrong.
        what: Harm;
        /// When it begins for the first time, from the start of the measured time.
        at: Option<Duration> = "after a first `every`, or at the start of the measured time"
            from "assumed: a fault that says no time is there from the start";
        /// How long it lasts.
        length "for": Option<Dist> = "until the end of the run; a failover, as long as its product takes, of a database 90s, \
            with two standbys or more 35s; promote 30s"
            from "assumed: nobody mends it; Amazon RDS user guide (Multi-AZ: 60 to 120 s, Multi-AZ DB cluster: under 35 s); \
            Patroni docs (ttl 30: a leader's key expires)", positive;
        /// Time from its end to the next one: mean time to failure, as
        /// `every.exponential = "30day"`.
        every: Option<Dist> = "it comes once" from "assumed: a single fault is looked at", positive;
        /// Which of its region's zones it strikes, counted from 1. What has a standby or a replica in
        /// another zone fails over; instances are replaced in other zones after `service.replace`.
        zone: Option<u32> = "all zones" from "assumed: the whole component fails", positive;
        /// How many instances, nodes or processes of each target it strikes: the first that run.
        count: Option<u32> = "all of them" from "assumed: the whole component fails", positive;
        /// What share of them it strikes, to the nearest whole: `"33%"` for the loss of one zone of
        /// three.
        share: Option<Ratio> = "all of them" from "assumed: the whole component fails", positive;
        /// Whether each of them fails at times of its own, instead of all together.
        apart: bool = "false" from "assumed: what is named together fails together";
    }
}
spec! {
    /// What goes wrong.
    choice Harm {
        /// It is down: processes die with what they hold, connections are cut, new ones refused.
        /// What it has stored is there when it comes back.
        Stop = "stop";
        /// It is down, and comes back cold: with nothing stored in caches or at edges. The environments of a function
        /// are gone, and the next requests start others.
        Restart = "restart";
        /// Its present primary is lost, and another takes over. Connections are reset and new ones refused,
        /// unless a database's machine is gone without a word (`silent`).
        Failover(Takeover) = "failover";
        /// The primary of a database is lost for good, and the replica of its shard that is ahead takes
        /// over: what it has not received by then is lost, and what it has received it replays first. The
        /// shard has a replica less from then on.
        Promote = "promote";
        /// The machines that run them are gone without a word, and Kubernetes finds out: nobody answers or
        /// refuses, until the node is marked as not ready and its pods leave the endpoints; others are started
        /// in their place when their toleration is over.
        NodeLoss(NodeLoss) = "node-loss";
        /// One broker of a topic of Kafka is gone: nobody leads its partitions until the controller has missed
        /// it and another in-sync copy leads, and what waits for all copies waits for those on it until then.
        /// When it is back it follows.
        BrokerLoss(BrokerLoss) = "broker-loss";
        /// Everything that it does takes this many times as long.
        Slow(Slowness) = "slow";
        /// It answers this share of what it is asked with an error, at once.
        Flaky(Ratio) = "flaky";
        /// Packets to and from it are lost; TCP sends them again and again, and gives up in the end.
        Cut(Cut) = "cut";
    }
}
spec! {
    /// How a primary is lost.
    table Takeover {
        /// For so long nobody answers at the address of a database's primary: what is sent is repeated, by
        /// TCP's pauses, until somebody does, and idle connections seem sound. Statements that have reached
        /// the server are never answered: their drivers wait until they give up. After that the address
        /// answers again, refusing connections until the failover is over.
        silent: Duration = "\"0s\"" from "assumed: a server that is shut down or has crashed, as in RDS' \
            reboot with failover; its kernel closes the connections";
    }
}
spec! {
    /// How Kubernetes finds out that a machine is gone.
    table NodeLoss {
        /// How old the node's lease is, as far as the controller has seen it, when it marks the node as
        /// not ready. Its pods are then sent nothing more.
        grace: Duration = "\"50s\""
            from "kube-controller-manager 1.32 (--node-monitor-grace-period 50 s; before that 40 s)";
        /// How often the kubelet renews the lease; the loss falls anywhere between two renewals.
        lease: Duration = "\"10s\""
            from "kubelet apis/config/v1beta1/defaults.go (NodeLeaseDurationSeconds 40), kubelet.go \
            (nodeLeaseRenewIntervalFraction 0.25)";
        /// How often the controller looks at leases: it sees a renewal that much later at most.
        monitor: Duration = "\"5s\"" from "kube-controller-manager (--node-monitor-period 5 s)";
        /// How long pods tolerate a node that does not answer; then they are replaced.
        toleration: Duration = "\"300s\""
            from "Kubernetes plugin/pkg/admission/defaulttolerationseconds (unreachable, 300 s)";
        /// Time from there to the first request of the pod that is started in the place of each.
        start: Duration = "\"20s\"" from "assumed: scheduling, image pull and start take 10 to 60 s";
    }
}
spec! {
    /// How a broker of Kafka is missed.
    table BrokerLoss {
        /// Whether it is stopped as planned: others lead its partitions, and its copies are out of sync, before it is
        /// gone.
        planned: bool = "false" from "assumed: it is lost; Apache Kafka 3.9 (controlled.shutdown.enable true) when it is told to stop";
        /// Which of the brokers it is, counted from 1: the first leads the first partition.
        broker: u32 = "1" from "assumed: brokers are alike", positive;
        /// For how long the controller waits for its heartbeats; then it is fenced, and out of sync.
        session: Duration = "\"9s\"" from "Apache Kafka 3.9 (broker.session.timeout.ms 9000, KRaft)";
        /// Time from there until other brokers lead its partitions, and clients have heard of it.
        election: Duration = "\"100ms\"" from "assumed: a record in the controller's log; clients that fail ask again by themselves";
    }
}
spec! {
    /// By how much something is slowed down.
    table Slowness (short "times") {
        /// How many times as long everything takes.
        times: f64, positive;
    }
}

/// What something can be cut off from.
#[derive(Clone, Debug, PartialEq)]
pub struct FarEnd;
impl Scope for FarEnd {
    const SECTIONS: &'static [Section] =
        &[Section::Service, Section::Pooler, Section::Database, Section::Cache, Section::Region];
}
spec! {
    /// What is cut off from what.
    table Cut {
        /// The other end: `"service.web"`, or a region with its users.
        from: Option<Address<FarEnd>> = "everything outside of it, users included"
            from "assumed: the whole is isolated";
    }
}
