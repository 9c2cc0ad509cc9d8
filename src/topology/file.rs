//! The whole file.

use super::balancer::{Balancer, BalancerKind};
use super::breaker::Breaker;
use super::bulkhead::Bulkhead;
use super::cache::{Cache, Keys};
use super::cdn::Cdn;
use super::database::Database;
use super::deploy::Deploy;
use super::fault::Fault;
use super::flow::{Operation, Step, steps};
use super::guard::Guard;
use super::host::Host;
use super::kind::Kind;
use super::limit::Limit;
use super::monitor::Monitor;
use super::names::{Named, Placed, Ref, Section};
use super::objective::Objective;
use super::pool::Pool;
use super::pooler::Pooler;
use super::price::Expense;
use super::process::Liveness;
use super::queue::{EventSourceMapping, Job, Queue};
use super::region::{Link, Region, Routes};
use super::relation::{Maintenance, Relation};
use super::service::{HandOut, Service};
use super::session::Session;
use super::socket::Socket;
use super::spec::{Reader, Shape, spec};
use super::store::Store;
use super::stream::{Consumer, Stream};
use super::tree::{Node, Value};
use super::workload::{Arrivals, Assumption, Client, Run, Users};
use crate::diagnostic::Diagnostic;

/// The files that a file builds on: one, or several in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Extends(pub Vec<String>);

impl Shape for Extends {
    fn kind() -> Kind {
        Kind::Either(Box::new(Kind::Text), Box::new(Vec::<String>::kind()))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Array(_) => Vec::<String>::read(node, reader).map(Extends),
            _ => String::read(node, reader).map(|one| Extends(vec![one])),
        }
    }
}

/// The version of the language that a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u32);

impl Shape for Version {
    fn kind() -> Kind {
        Kind::Form { what: "the version of the language", example: "1" }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Integer(1) => Some(Version(1)),
            Value::Integer(other) => {
                let message = format!("version {other} of the language is not known");
                reader.wrong(
                    Diagnostic::error("unknown-version", node.place.clone(), message)
                        .help("this program reads `version = 1`"),
                )
            }
            _ => reader.wrong_type(node, &Self::kind()),
        }
    }
}

spec! {
    /// A deployment, what its users do, and how many they are.
    table Topology {
        /// The version of the language that the file is written in.
        version: Version;
        /// What the file describes, in a few words.
        title: Option<String>;
        /// The document that the numbers come from.
        source: Option<String>;
        /// The file that this one builds on: its tables are merged key by key with the ones here;
        /// lists and values here replace its own, except that `[[assume]]` adds to its own.
        extends: Option<Extends>;
        /// Paths of what is left out of the files that this one builds on: `["cache.redis"]`.
        remove: Vec<String> = "[]" from "nothing is left out";
        /// Free remarks.
        notes: Vec<String> = "[]" from "no remarks";
        /// What the document behind the topology does not say.
        assume: Vec<Assumption> = "[]" from "nothing is assumed in words";
        /// What must hold: `["latency_p95 < 500ms", "errors < 1%"]`, of all requests or of one operation's
        /// (`latency_p95(operation.NAME)`, `errors`, `throughput`), and of components: `utilisation(pool.NAME)`,
        /// `wait_p95(queue.NAME)`, `lag(consumer.NAME)`.
        objectives: Vec<Objective> = "[]" from "nothing is demanded";
        /// How a run is measured and when it stops.
        run: Run = "{}" from "assumed";
        /// A closed population of users; or say `[arrivals]`.
        users: Option<Users>;
        /// An open stream of operations; or say `[users]`.
        arrivals: Option<Arrivals>;
        /// What a user's device does.
        client: Client = "{}" from "assumed";
        /// Places on earth.
        regions "region": Vec<Named<Region>> = "{}" from "one place";
        /// Round trips between regions: `[route.us-east.eu-west]`.
        routes "route": Routes = "{}" from "no routes";
        /// Network paths of limited bandwidth.
        links "link": Vec<Named<Link>> = "{}" from "bandwidth without limit";
        /// Load balancers.
        balancers "balancer": Vec<Named<Balancer>> = "{}" from "no balancer";
        /// Content delivery networks.
        cdns "cdn": Vec<Named<Cdn>> = "{}" from "no content delivery network";
        /// Machines that several components share.
        hosts "host": Vec<Named<Host>> = "{}" from "each component has machines of its own";
        /// Groups of instances that run an application.
        services "service": Vec<Named<Service>> = "{}" from "no service";
        /// Pools of database connections.
        pools "pool": Vec<Named<Pool>> = "{}" from "no pool";
        /// Poolers between applications and databases.
        poolers "pooler": Vec<Named<Pooler>> = "{}" from "no pooler";
        /// Database servers.
        databases "database": Vec<Named<Database>> = "{}" from "no database";
        /// Tables and views whose locks matter.
        relations "relation": Vec<Named<Relation>> = "{}" from "no locks";
        /// What databases do by themselves.
        maintenance: Vec<Named<Maintenance>> = "{}" from "nothing";
        /// Caches.
        caches "cache": Vec<Named<Cache>> = "{}" from "no cache";
        /// Sets of things that operations read and caches hold.
        keys: Vec<Named<Keys>> = "{}" from "no keys";
        /// Session middleware with its store.
        sessions "session": Vec<Named<Session>> = "{}" from "no sessions";
        /// Object storage.
        stores "store": Vec<Named<Store>> = "{}" from "no object storage";
        /// WebSockets.
        sockets "socket": Vec<Named<Socket>> = "{}" from "no WebSockets";
        /// Guards, which turn requests away while something is nearly exhausted.
        guards "guard": Vec<Named<Guard>> = "{}" from "no guard";
        /// Rate limiters.
        limits "limit": Vec<Named<Limit>> = "{}" from "no limit";
        /// Bulkheads: so many requests at once.
        bulkheads "bulkhead": Vec<Named<Bulkhead>> = "{}" from "no bulkhead";
        /// Circuit breakers.
        breakers "breaker": Vec<Named<Breaker>> = "{}" from "no breaker";
        /// Queues of jobs.
        queues "queue": Vec<Named<Queue>> = "{}" from "no queue";
        /// Kinds of jobs.
        jobs "job": Vec<Named<Job>> = "{}" from "no job";
        /// Streams and channels of messages.
        streams "stream": Vec<Named<Stream>> = "{}" from "no stream";
        /// Groups that consume them.
        consumers "consumer": Vec<Named<Consumer>> = "{}" from "nobody consumes";
        /// Costs of what is not simulated.
        prices "price": Vec<Named<Expense>> = "{}" from "no further costs";
        /// What users do.
        operations "operation": Vec<Named<Operation>> = "{}" from "no operation";
        /// What goes wrong.
        faults "fault": Vec<Named<Fault>> = "{}" from "nothing fails";
        /// What products' own metrics would show.
        monitors "monitor": Vec<Named<Monitor>> = "{}" from "nobody looks";
        /// New versions of services.
        deploys "deploy": Vec<Named<Deploy>> = "{}" from "nothing is deployed";
    }
}

impl Topology {
    /// The service that an operation asks: the one it names, or the only one.
    pub fn service_of(&self, operation: &Operation) -> Option<&Named<Service>> {
        match &operation.service {
            Some(named) => self.services.iter().find(|service| service.name == named.name),
            None => match self.services.as_slice() {
                [only] => Some(only),
                _ => None,
            },
        }
    }
    /// Whether users live in a region: those that say so, and the first if none does.
    pub fn is_home(&self, region: &Named<Region>) -> bool {
        let lives = |it: &Named<Region>| it.spec.users.is_some_and(|share| share.0 > 0.0);
        let first = self.regions.first().is_some_and(|first| first.name == region.name);
        lives(region) || first && !self.regions.iter().any(lives)
    }
    /// Whether requests to a service may come on connections that are new.
    pub fn has_new_connections(&self, service: &Named<Service>) -> bool {
        if service.spec.hand_out.is_kernels() {
            return true;
        }
        let mut balancers = self.balancers.iter();
        match balancers.find(|balancer| balancer.spec.service.name == service.name) {
            Some(it) if !it.spec.passes() => {
                it.spec.kind != BalancerKind::Plain || it.spec.keep_alive.is_some()
            }
            _ => {
                let connects = self.client.connection.is_some();
                connects || service.spec.hand_out == HandOut::FreeWorker
            }
        }
    }
    /// Rows of a table at the start.
    pub fn rows_of(&self, table: &Relation) -> u64 {
        let keys = |wanted: &Ref<Keys>| {
            let found = self.keys.iter().find(|keys| keys.name == wanted.name);
            found.map_or(0, |keys| keys.spec.count)
        };
        table.count.unwrap_or_else(|| table.rows.as_ref().map_or(0, keys))
    }
    /// Whether connections to a service are opened, and kept for the next request.
    pub fn keeps_connections(&self, service: &Named<Service>) -> bool {
        let mut balancers = self.balancers.iter();
        match balancers.find(|balancer| balancer.spec.service.name == service.name) {
            Some(it) if !it.spec.passes() => match it.spec.keep_alive {
                Some(said) => !said.is_zero(),
                None => it.spec.kind != BalancerKind::Plain,
            },
            _ => self.client.connection.is_some(),
        }
    }
    /// Whether a service may wait for the bodies of requests: they come up a link or the lines of users.
    /// nginx reads them before it asks its server (`proxy_request_buffering on`).
    pub fn waits_for_bodies(&self, service: &Named<Service>) -> bool {
        let mut balancers = self.balancers.iter();
        let behind_nginx = balancers.any(|balancer| {
            balancer.spec.service.name == service.name && balancer.spec.kind == BalancerKind::Nginx
        });
        let region = self.region_of(&service.spec);
        let has_link = self.links.iter().any(|link| match link.spec.carries.section {
            Section::Service => link.spec.carries.name == service.name,
            _ => region.is_none_or(|region| link.spec.carries.name == region.name),
        });
        !behind_nginx
            && (has_link || self.client.connection.is_some())
            && self.steps().iter().any(|(at, step)| {
                *at == Some(service.name.as_str()) && matches!(step.value, Step::Transfer(_))
            })
    }
    /// The function that gets the messages of a queue.
    pub fn mapped(&self, queue: &Ref<Queue>) -> Option<&EventSourceMapping> {
        let found = self.queues.iter().find(|it| it.name == queue.name)?;
        found.spec.mapping.as_ref()
    }
    /// The service that does the jobs of a queue: a function, or one whose loops work at them.
    pub fn worked_by(&self, queue: &Ref<Queue>) -> Option<&str> {
        let found = &self.queues.iter().find(|it| it.name == queue.name)?.spec;
        let function = found.mapping.as_ref().map(|it| it.function.name.as_str());
        function.or(found.service.as_ref().map(|it| it.name.as_str()))
    }
    /// The steps of all operations, health checks, timers, jobs and messages of sockets, each with
    /// the service it runs on.
    pub fn steps(&self) -> Vec<(Option<&str>, &Placed<Step>)> {
        let of_operations = self.operations.iter().flat_map(|operation| {
            let service = self.service_of(&operation.spec);
            steps(&operation.spec.flow, service.map(|service| service.name.as_str()))
        });
        let of_checks = self.balancers.iter().flat_map(|balancer| {
            let flow = balancer.spec.checks.as_ref().map(|checks| &checks.flow);
            flow.map_or(Vec::new(), |flow| steps(flow, Some(&balancer.spec.service.name)))
        });
        let of_probes = self.services.iter().flat_map(|service| {
            let live = match &service.spec.liveness {
                Some(Liveness::Kubelet(probe)) => Some(probe),
                _ => None,
            };
            let all = live.into_iter().chain(&service.spec.readiness);
            all.flat_map(|probe| steps(&probe.flow, Some(&service.name)))
        });
        let of_timers = self.services.iter().flat_map(|service| {
            let all = service.spec.timers.iter();
            all.flat_map(|timer| steps(&timer.flow, Some(&service.name)))
        });
        let of_messages =
            self.jobs.iter().flat_map(|job| steps(&job.spec.flow, self.worked_by(&job.spec.queue)));
        let of_records = self.consumers.iter().flat_map(|consumer| {
            let function = consumer.spec.mapping.as_ref().map(|it| it.function.name.as_str());
            steps(&consumer.spec.flow, function)
        });
        let of_sockets = self
            .sockets
            .iter()
            .flat_map(|socket| steps(&socket.spec.flow, Some(&socket.spec.service.name)));
        let all = of_operations.chain(of_checks).chain(of_probes).chain(of_timers);
        all.chain(of_messages).chain(of_records).chain(of_sockets).collect()
    }
}
