//! What is said but has no effect where it is said.

use super::balancer::BalancerKind;
use super::cache::{CacheKind, Eviction};
use super::check::{Cx, Diagnostics, find};
use super::check_scaling;
use super::check_stream;
use super::flow::Step;
use super::pooler::PoolerKind;
use super::queue::{Backoff, Discipline, QueueDriver};
use super::session::SessionStore;
use super::stream::StreamKind;
use super::workload::Process;
use crate::diagnostic::Diagnostic;

/// Keys of caches and sessions that this kind of cache or store does not look at.
pub(crate) fn no_effect(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let mut idle = |owner: String, key: &str, why: &str| {
        found.extend(cx.no_effect(&format!("{owner}.{key}"), why, "leave it out"));
    };
    if let Some(arrivals) = &cx.topology.arrivals {
        if arrivals.process == Process::Even {
            idle("arrivals".into(), "phases", "evenly spaced arrivals have no phases");
        }
        if arrivals.trace.is_some() {
            for key in ["rate", "process", "stages", "spike", "sinusoid", "phases"] {
                idle("arrivals".into(), key, "arrivals are read from a file");
            }
        }
    }
    let_go(cx, &mut idle);
    chains(cx, &mut idle);
    if cx.topology.operations.iter().all(|operation| operation.spec.failover.is_none()) {
        idle("client".into(), "dns", "no operation has a `failover`");
    }
    for region in cx.topology.regions.iter().filter(|it| it.spec.zones == 1) {
        idle(format!("region.{}", region.name), "zone_rtt", "the region has one zone (`zones`)");
    }
    for cache in &cx.topology.caches {
        let owner = || format!("cache.{}", cache.name);
        if cache.spec.kind == CacheKind::Memory {
            idle(owner(), "rtt", "memory of a worker has no round trip");
            idle(owner(), "nodes", "each worker has its own memory, and no other");
            idle(owner(), "replicas", "memory of a worker has no copies");
            idle(owner(), "client", "memory of a worker is used without a client");
            idle(owner(), "bandwidth", "memory of a worker has no wire");
            idle(owner(), "per_kb", "memory of a worker hands out references");
            idle(owner(), "per_subscriber", "memory of a worker has no subscribers");
            idle(owner(), "persistence", "memory of a worker is written to no disk");
            idle(owner(), "slowlog", "memory of a worker has no slow log");
            let why = "in memory what has expired goes when it is asked for (lru-cache: `ttlAutopurge` false)";
            idle(owner(), "expire_cycle", why);
        }
        let compares = matches!(
            cache.spec.eviction,
            Some(
                Eviction::AllkeysLru
                    | Eviction::VolatileLru
                    | Eviction::AllkeysLfu
                    | Eviction::VolatileLfu
                    | Eviction::VolatileTtl
            )
        );
        if !compares {
            idle(owner(), "samples", "this `eviction` compares no entries chosen at random");
        }
    }
    servers(cx, &mut idle);
    for session in &cx.topology.sessions {
        if matches!(session.spec.store, SessionStore::Jwt(_)) {
            for key in ["resave", "touch", "cookie", "rolling", "save_uninitialized"] {
                let why = "a signed token is stored nowhere";
                idle(format!("session.{}", session.name), key, why);
            }
            let owner = || format!("session.{}", session.name);
            let why = "what a token adds to a request is `store.jwt.bytes`";
            idle(owner(), "size", why);
            let why = "a token that has expired is a login, an operation of its own";
            idle(owner(), "ttl", why);
        } else if session.spec.resave {
            let why = "with `resave` every session is saved, and none touched";
            idle(format!("session.{}", session.name), "touch", why);
        }
        if session.spec.cookie.is_none() {
            let why = "a browser keeps a cookie without an age until it closes";
            idle(format!("session.{}", session.name), "rolling", why);
        } else {
            let why = "`cookie` takes its place";
            idle(format!("session.{}", session.name), "ttl", why);
        }
    }
    found.extend(check_scaling::no_effect(cx));
    found.extend(check_stream::streams(cx));
    found.extend(queues(cx));
    found.extend(clients(cx));
    found.extend(limits(cx));
    found.extend(unpaid(cx));
    found
}

/// Keys that only a price looks at.
fn unpaid(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for store in &cx.topology.stores {
        if store.spec.price.as_ref().is_none_or(|it| it.per_gb_month.is_none()) {
            for key in ["stored", "expires_after"] {
                let path = format!("store.{}.{key}", store.name);
                let help = "leave it out, or say its `price.per_gb_month`";
                found.extend(cx.no_effect(&path, "only its price asks for it", help));
            }
        }
    }
    for stream in &cx.topology.streams {
        let StreamKind::Kafka(its) = &stream.spec.kind else { continue };
        if its.per_gb_month.is_none() {
            let path = format!("stream.{}.kind.kafka.retention", stream.name);
            let help = "leave it out, or say `per_gb_month`";
            found.extend(cx.no_effect(&path, "only its price asks for it", help));
        }
    }
    found
}

/// Limits of connections that a client has no setting for.
fn clients(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (_, step) in cx.topology.steps() {
        let Step::Call(call) = &step.value else { continue };
        for (kind, key) in call.client.ignored() {
            let message = format!("`{key}` has no effect: {kind} has no such limit");
            let has = call.client.limits();
            let help = match has.is_empty() {
                true => "leave it out, or say another `client`".to_string(),
                false => format!("leave it out; {kind} has {}", has.join(", ")),
            };
            found.push(Diagnostic::warning("no-effect", step.place.clone(), message).help(help));
        }
    }
    found
}

/// Keys of balancers and services about connections that they have not.
fn servers(cx: &Cx<'_>, idle: &mut impl FnMut(String, &str, &str)) {
    for store in cx.topology.stores.iter().filter(|it| it.spec.lookup.is_none()) {
        let why = "its connections are counted with `lookup` only";
        idle(format!("store.{}", store.name), "keep_alive", why);
    }
    for pooler in cx.topology.poolers.iter().filter(|it| it.spec.kind != PoolerKind::RdsProxy) {
        let why = "only RDS Proxy (`kind = \"rds-proxy\"`) has a share of idle connections";
        idle(format!("pooler.{}", pooler.name), "idle_share", why);
    }
    for cache in cx.topology.caches.iter().filter(|it| !it.spec.reconnects()) {
        idle(format!("cache.{}", cache.name), "lookup", "it has no `client` that connects again");
    }
    for balancer in &cx.topology.balancers {
        let target = find(&cx.topology.services, &balancer.spec.service.name);
        if cx.topology.client.connection.is_none() && !cx.topology.keeps_connections(target) {
            let why = "connections cost nothing, or are new for each request";
            idle(format!("balancer.{}", balancer.name), "keepalive_requests", why);
        }
        if balancer.spec.kind != BalancerKind::Nginx {
            let why = "only nginx (`kind = \"nginx\"`) counts its connections so";
            idle(format!("balancer.{}", balancer.name), "worker_connections", why);
        } else {
            for key in ["choices", "bias"] {
                let why = "nginx draws two, and takes the one with fewer requests for its weight";
                idle(format!("balancer.{}.policy.two-choices", balancer.name), key, why);
            }
        }
        if balancer.spec.kind != BalancerKind::Envoy {
            for key in ["min_ring_size", "max_ring_size"] {
                let why =
                    "only Envoy (`kind = \"envoy\"`) divides a ring of points among its targets";
                idle(format!("balancer.{}.policy.consistent-hash", balancer.name), key, why);
            }
            for key in ["max_connections", "max_pending"] {
                let why = "only Envoy (`kind = \"envoy\"`) limits its connections so";
                idle(format!("balancer.{}", balancer.name), key, why);
            }
        }
    }
    for operation in &cx.topology.operations {
        let service = cx.topology.service_of(&operation.spec);
        if service.is_some_and(|service| service.spec.memory.is_none()) {
            let why = "its service has no `memory` that could run out";
            idle(format!("operation.{}", operation.name), "memory", why);
        }
    }
    for service in &cx.topology.services {
        let (spec, owner) = (&service.spec, format!("service.{}", service.name));
        if !cx.topology.waits_for_bodies(service) {
            let why = "no request to it has a body that takes time: a `transfer` over a `link` or a \
                       `client.connection`, not behind nginx, which reads it first";
            idle(owner.clone(), "runtime.node.request_timeout", why);
            idle(owner.clone(), "runtime.node.connections_check", why);
        }
        let here = |at: &Option<&str>| *at == Some(service.name.as_str());
        let steps = cx.topology.steps();
        if !steps.iter().any(|(at, step)| here(at) && matches!(step.value, Step::Child(_))) {
            idle(owner.clone(), "children", "no flow of it has a `child`");
        }
        if !cx.topology.keeps_connections(service) {
            let why = "connections to it cost nothing, or are new for each request; they are kept with \
                       `client.connection` or a balancer's `keep_alive`";
            idle(owner.clone(), "runtime.node.max_requests_per_socket", why);
        }
        if spec.max_connections.is_some() {
            continue;
        }
        idle(owner.clone(), "on_max", "there is no `max_connections`");
        if !spec.kernel_queues() {
            let why = "the primary of a cluster always accepts, and there is no `max_connections`";
            idle(owner.clone(), "backlog", why);
            idle(owner, "on_overflow", why);
        } else if !cx.topology.has_new_connections(service) {
            let why = "connections stay open, and there is no `max_connections`; new ones come with \
                       `client.connection`, a balancer's `kind` or another `hand_out`";
            idle(owner.clone(), "backlog", why);
            idle(owner, "on_overflow", why);
        }
    }
}

/// Keys about virtual users who are let go, where none are.
fn let_go(cx: &Cx<'_>, idle: &mut impl FnMut(String, &str, &str)) {
    const GOES_ON: &str =
        "the plan does not end: its last stage would have to leave nobody (`to = 0`)";
    if let Some(users) = &cx.topology.users {
        let falls = !users.stages.is_empty() || users.spike.is_some();
        if !falls {
            let why = "the population never falls: there are no `stages`";
            idle("users".into(), "graceful_ramp_down", why);
        }
        if users.stages.last().is_none_or(|stage| stage.to > 0) {
            idle("users".into(), "graceful_stop", GOES_ON);
        }
    }
    if let Some(arrivals) = &cx.topology.arrivals
        && arrivals.stages.last().is_none_or(|stage| stage.to.0 > 0.0)
    {
        idle("arrivals.vus".into(), "graceful_stop", GOES_ON);
    }
}

/// What users do one thing after another, where each comes for one thing.
fn chains(cx: &Cx<'_>, idle: &mut impl FnMut(String, &str, &str)) {
    let topology = cx.topology;
    if topology.arrivals.as_ref().is_some_and(|arrivals| arrivals.session.is_none()) {
        for operation in topology.operations.iter().filter(|it| !it.spec.next.is_empty()) {
            let why =
                "each arrival is a single operation; with `arrivals.session` users stay for more";
            idle(format!("operation.{}", operation.name), "next", why);
        }
    }
    let chained = topology.operations.iter().any(|operation| !operation.spec.next.is_empty());
    if !chained && topology.sessions.is_empty() {
        let why = "who comes in the place of a user does the same: no operation says `next`, and there is \
                   no `session`";
        idle("users".into(), "abandons_after", why);
    }
}

/// Keys of limits that their way of counting has not.
fn limits(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for limit in cx.topology.limits.iter().filter(|limit| !limit.spec.uncounts()) {
        for key in ["skip_failed", "skip_successful"] {
            let path = format!("limit.{}.{key}", limit.name);
            let why = "only a fixed window takes requests out of its count again";
            found.extend(cx.no_effect(&path, why, "leave it out, or count in fixed windows"));
        }
    }
    found
}

/// Keys of queues and jobs that their product has not.
fn queues(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let mut idle =
        |path: String, why: &str, help: &str| found.extend(cx.no_effect(&path, why, help));
    const OUT: &str = "leave it out";
    for queue in &cx.topology.queues {
        let key = |key: &str| format!("queue.{}.{key}", queue.name);
        if queue.spec.service.is_some() {
            let help = "leave it out: those are the service's";
            for name in ["processes", "cores", "price", "autoscale", "region"] {
                idle(key(name), "processes of a service work at its jobs", help);
            }
        }
        if queue.spec.autoscale.is_none() {
            let help = "leave it out, or say `autoscale`";
            for name in ["on_sigterm", "grace"] {
                idle(key(name), "its workers are never told to end", help);
            }
        }
        if queue.spec.driver != QueueDriver::Sqs {
            let why = "Bull and BullMQ ask Redis: see `cache`";
            ["rtt", "request_price"].iter().for_each(|name| idle(key(name), why, OUT));
            let help = "leave it out, or say `attempts` and `max_stalled`";
            idle(key("max_receives"), "Bull and BullMQ have no dead-letter queue", help);
            if queue.spec.cache.is_none() {
                let (why, help) =
                    ("no `cache` holds the queue", "leave it out, or say which `cache`");
                ["add", "insert", "claim", "finish"]
                    .iter()
                    .for_each(|name| idle(key(name), why, help));
            } else if queue.spec.driver == QueueDriver::BullMq {
                idle(key("insert"), "BullMQ keeps jobs with a priority in a sorted set", OUT);
            }
            continue;
        }
        for (name, why) in [
            ("stalled_interval", "SQS does not look for stalled jobs"),
            ("max_stalled", "SQS does not look for stalled jobs"),
            ("discipline", "a standard queue of SQS has no priorities"),
            ("limiter", "SQS hands out whatever is asked for"),
            ("cache", "SQS keeps its messages itself"),
            ("add", "SQS is no Redis"),
            ("insert", "SQS is no Redis"),
            ("claim", "SQS is no Redis"),
            ("finish", "SQS is no Redis"),
        ] {
            idle(key(name), why, OUT);
        }
        if queue.spec.mapping.is_some() {
            let help = "leave it out; `mapping.maximum_concurrency` bounds calls at once";
            for name in ["processes", "concurrency", "cores", "price", "autoscale"] {
                idle(key(name), "a function gets the messages, in place of processes", help);
            }
        }
    }
    for job in &cx.topology.jobs {
        let key = |key: &str| format!("job.{}.{key}", job.name);
        let queue = find(&cx.topology.queues, &job.spec.queue.name);
        match queue.spec.workers() == 0 {
            true => ["work", "cpu_share", "blocking"].iter().for_each(|name| {
                idle(key(name), "a function or a service does it", "say what it does with `flow`");
            }),
            false => idle(key("flow"), "worker processes do the `work`", OUT),
        }
        if queue.spec.driver != QueueDriver::BullMq {
            idle(key("jitter"), "only BullMQ leaves a share of the backoff to chance", OUT);
        } else if job.spec.backoff == Backoff::None {
            idle(key("jitter"), "there is no `backoff`", OUT);
        }
        if queue.spec.driver == QueueDriver::Sqs {
            idle(key("lifo"), "a standard queue of SQS has no order", OUT);
        } else if job.spec.priority > 0 && queue.spec.discipline == Discipline::Priority {
            idle(key("lifo"), "a job with a `priority` goes among those of its priority", OUT);
        }
        match queue.spec.driver {
            QueueDriver::Bull => {}
            QueueDriver::BullMq => {
                let why = "BullMQ has no timeout for jobs";
                let help = "leave it out; a handler must end by itself, so cut `work` with `max`, or use Bull";
                idle(key("timeout"), why, help);
            }
            QueueDriver::Sqs => {
                let help = "leave it out, or say `lock`: how long a message that was received is invisible";
                idle(key("timeout"), "SQS knows no handlers", help);
                let why = "what fails is received again when its `lock` is over";
                idle(key("attempts"), why, "leave it out, or say `max_receives` of the queue");
                idle(key("backoff"), why, "leave it out, or say `lock` of the queue");
                idle(key("priority"), "a standard queue of SQS has no priorities", OUT);
            }
        }
    }
    found
}
