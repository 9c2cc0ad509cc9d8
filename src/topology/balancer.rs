//! Load balancers: how they choose, and whom they take for healthy.

use super::cache::Keys;
use super::dist::Dist;
use super::flow::Flow;
use super::names::Ref;
use super::price::BalancerPrice;
use super::service::Service;
use super::spec::spec;
use crate::units::{Duration, Ratio};

spec! {
    /// A load balancer in front of a service: it chooses the instance that serves each request.
    component Balancer {
        /// The service it stands in front of.
        service: Ref<Service>;
        /// Which product it is: what it does about targets that are dead, slow or fail.
        kind: BalancerKind = "\"plain\"" from "assumed: the document names no product";
        /// How it chooses.
        policy: Option<Policy> = "`round-robin`; nlb a hash of each connection"
            from "AWS Application Load Balancer; AWS Network Load Balancers (a flow hash of addresses, ports and \
            the sequence number)";
        /// The share of each instance relative to others: the first instance has the first weight, and
        /// after the last they begin anew.
        weights: Vec<u32> = "[]" from "assumed: equal instances";
        /// What it chooses for: each request, or each connection of a client.
        per: Option<BalancePer> = "`request`; nlb `connection`"
            from "AWS Application Load Balancer; AWS Network Load Balancer (layer 4)";
        /// Balancer nodes. Each has a rotation, counts and health checks of its own, and a user stays
        /// with one of them.
        nodes: Option<u32> = "1; alb one for each zone of its region, and at least 2; nlb one for each zone"
            from "assumed: a single node; ALB (a node in each zone that is enabled, at least two), NLB (the same)",
            positive;
        /// Whether each node sends to all targets; otherwise only to those of its own zone. Its name then
        /// leaves out a zone in which nobody is healthy; users ask for it again once a minute.
        cross_zone: Option<bool> = "true; nlb false"
            from "ALB (load_balancing.cross_zone.enabled, always on); NLB (off); NLB DNS name (TTL 60 s)";
        /// Delay of passing through it, one way.
        hop: Dist = "\"0.25ms\"" from "assumed: one hop within a zone";
        /// What is hashed or stuck to, for the policies that do.
        by: BalanceBy = "\"user\"" from "assumed: a cookie";
        /// The health checks.
        checks: Option<Checks> = "as its kind checks"
            from "ALB target groups; nginx, Envoy and HAProxy check nothing unless told to";
        /// Setting targets aside for what they answer.
        ejection: Option<Ejection> = "as its kind does"
            from "nginx upstream module (max_fails); ALB ejects nothing, Envoy only if told to";
        /// When less than this share of the targets is healthy, requests go to all of them.
        fail_open: Option<Ratio> = "as its kind does"
            from "ALB, NLB (when none is healthy); Envoy (healthy_panic_threshold 50 %); nginx, HAProxy (never)";
        /// Over which time the share of a new target grows to its whole; with a `queue` its `max_conns`
        /// grows, too, from 1.
        slow_start: Option<Duration> = "a new target has its whole share at once"
            from "ALB target groups (slow_start.duration_seconds 0); HAProxy (server without slowstart)", positive;
        /// How long connecting to a target may take before the balancer answers 504 (Envoy, HAProxy 503).
        connect_timeout: Option<Duration> = "as its kind does"
            from "ALB (10 s); nginx proxy_connect_timeout (60 s); Envoy connect_timeout (5 s); HAProxy has none \
            and warns, its package's haproxy.cfg says 5 s (Debian, timeout connect)", positive;
        /// How long a target may take to answer before the balancer answers 504.
        idle_timeout: Option<Duration> = "as its kind does"
            from "ALB (60 s); nginx proxy_read_timeout (60 s); Envoy route timeout (15 s); HAProxy as \
            connect_timeout (Debian, timeout server 50 s)", positive;
        /// How long a connection to a target that nobody uses stays open.
        keep_alive: Option<Duration> = "as its kind does"
            from "ALB (idle timeout 60 s); Envoy (1 h); nginx since 1.29.7 (keepalive_timeout 60 s), before it closes \
            it at once; HAProxy keeps it until it is `purge`d";
        /// Idle connections to all targets that each node keeps; of more, the one that was not used for longest
        /// is closed.
        most_idle: Option<u32> = "no limit; nginx 32"
            from "nginx 1.29.7 ngx_http_upstream_keepalive_module.c (max_cached 32; before, `keepalive` says it)",
            positive;
        /// Connections that each worker (node) of nginx has, those of users and those to targets. A request has
        /// one of both; where there is no second it is answered 500.
        worker_connections: Option<u32> = "no limit"
            from "assumed: there are enough workers; nginx core module (worker_connections 512 each)", positive;
        /// Requests over one connection, of users to it and of its own to targets; then it is closed.
        keepalive_requests: Option<u32> = "no limit; nginx 1_000"
            from "nginx core and upstream modules (keepalive_requests 1000 since 1.19.10)", positive;
        /// How long an instance that is being taken out may finish what it has.
        deregistration_delay: Option<Duration> = "as its kind does"
            from "ALB and NLB target groups (300 s); others wait for ever";
        /// Requests that each target has at most, by each node; with all of them full it answers as with
        /// nobody there, or lets requests wait in its `queue`.
        max_conns: Option<u32> = "no limit"
            from "nginx upstream module (max_conns 0); HAProxy (server maxconn 0)", positive;
        /// A queue for requests that find their targets full.
        queue: Option<BalancerQueue> = "there is none; haproxy {}"
            from "nginx upstream module (`queue` is of its subscription); HAProxy (always)";
        /// With few requests at all, a target gets fewer than `max_conns` at a time.
        ramp: Option<Ramp> = "each target gets `max_conns`" from "HAProxy (server without minconn)";
        /// How often HAProxy repeats an attempt to connect that was refused or took too long.
        retries: Option<u32> = "haproxy 3" from "HAProxy (retries; defaults.h CONN_RETRIES 3)";
        /// Whether such a repetition goes to another target, where the policy does not hash and the user
        /// is not stuck to one (then the last of them only). Otherwise it goes to the same one, after a
        /// second, or `connect_timeout` if that is less.
        redispatch: bool = "false" from "HAProxy (no option redispatch)";
        /// Which requests may go over a connection to a target that is idle.
        reuse: Reuse = "\"safe\"" from "HAProxy (http-reuse safe)";
        /// How often HAProxy closes half of the idle connections to a target that it has not needed lately.
        purge: Option<Duration> = "haproxy 5s" from "HAProxy (pool-purge-delay 5 s)", positive;
        /// Requests that all targets together have at most, by each node; it answers 503 to others.
        max_requests: Option<u32> = "no limit; envoy 1_024"
            from "Envoy circuit_breaker.proto (Thresholds.max_requests)", positive;
        /// Connections that Envoy has to all targets together, by each node; one more is opened only to a
        /// target that has none. Whoever finds none free waits for one of the target chosen.
        max_connections: Option<u32> = "envoy 1_024"
            from "Envoy circuit_breaker.proto (Thresholds.max_connections)", positive;
        /// Requests that may wait so in Envoy, by each node; it answers 503 to others.
        max_pending: Option<u32> = "envoy 1_024"
            from "Envoy circuit_breaker.proto (Thresholds.max_pending_requests)";
        /// Whether a request that gets no answer from its target goes to the next one: where the target
        /// cannot be reached any request, where it is silent or has closed only what is `idempotent`.
        next_upstream: Option<bool> = "as its kind does"
            from "nginx proxy_next_upstream (error timeout); ALB and Envoy answer";
        /// What it costs.
        price: Option<BalancerPrice>;
    }
}
spec! {
    /// What kind of balancer it is. Whatever is said beside it takes the place of what the kind does.
    choice BalancerKind {
        /// Passes requests on and knows nothing of its targets.
        Plain = "plain";
        /// AWS Application Load Balancer: checks every 30 s, sends to all when none is healthy, answers
        /// 504 after 60 s.
        Alb = "alb";
        /// AWS Network Load Balancer: spreads connections and looks into none. Clients are connected to their
        /// targets: there are no answers of its own, nothing is tried again, and whoever has gone resets.
        Nlb = "nlb";
        /// nginx: a server that cannot be reached is left out for 10 s, and the next one is tried.
        Nginx = "nginx";
        /// Envoy: with less than half of the targets healthy it sends to all.
        Envoy = "envoy";
        /// HAProxy: who finds all targets full waits in its queue; connecting is tried four times; it
        /// answers 503 when nobody was reached, and 504 after 50 s without an answer.
        HaProxy = "haproxy";
    }
}
spec! {
    /// How a balancer chooses among instances; an instance hands to its workers in turn.
    choice Policy {
        /// Each in turn.
        RoundRobin = "round-robin";
        /// Each in turn by weight, interleaved as evenly as can be (nginx).
        WeightedRoundRobin = "weighted-round-robin";
        /// Any, at random.
        Random = "random";
        /// The one with the fewest requests in flight.
        LeastOutstanding = "least-outstanding";
        /// The one with the fewest open connections, idle ones included.
        LeastConnections = "least-connections";
        /// The better of a few chosen at random. nginx (`random two least_conn`) draws two different ones by
        /// their weights.
        TwoChoices(TwoChoices) = "two-choices";
        /// The one that a hash names, divided by the weights of all that are there: with one more or one
        /// less nearly everybody goes elsewhere (HAProxy's `balance source`, `balance uri`). nginx (`hash`,
        /// `ip_hash` with `by = "network"`) hashes once more for those whose server is out, and moves the
        /// others only when one is added or removed.
        Hash = "hash";
        /// The one that a ring of hashes assigns: of HAProxy (`hash-type consistent`) 16 points for each unit of
        /// weight, of which the nearest counts, of nginx (`hash ... consistent`) and others 160, of which the
        /// next does. Envoy divides a ring among those that are there.
        ConsistentHash(HashRing) = "consistent-hash";
        /// The one that a Maglev table of hashes assigns.
        Maglev(HashBound) = "maglev";
        /// The cheaper of two chosen at random, by latency x (requests in flight + 1) (linkerd).
        PeakEwma(PeakEwma) = "peak-ewma";
        /// The one that served the same user before; for a new user, as `then` says.
        Sticky(Sticky) = "sticky";
    }
}
spec! {
    /// A queue in a balancer, for requests that find their targets full. One that a target is chosen for by
    /// a hash or a cookie waits for that one, all others for any; whoever has waited longest goes first.
    table BalancerQueue {
        /// How long a request may wait before the answer is 503 (nginx 502).
        timeout: Option<Duration> = "as long as connecting may take; nginx 60s"
            from "HAProxy (timeout queue: by default timeout connect); nginx upstream module (queue timeout)",
            positive;
        /// Requests that may wait for the same target (HAProxy), or at all (nginx); others are turned away.
        most: Option<u32> = "no limit"
            from "HAProxy (server maxqueue 0); nginx upstream module says it with `queue`", positive;
        /// Whether a request leaves it when its user has gone.
        leaves: bool = "true"
            from "HAProxy (option abortonclose: in HTTP mode on since 3.3, off before); nginx \
            (proxy_ignore_client_abort off)";
    }
}
spec! {
    /// How the limit of a target grows with the requests that the balancer has.
    table Ramp {
        /// The limit with few of them (HAProxy's minconn).
        least: u32, positive;
        /// So many requests, those that wait included, at which it is `max_conns` (HAProxy's fullconn).
        full: u32, positive;
    }
}
spec! {
    /// Which requests may go over a connection to a target that is idle (HAProxy's http-reuse).
    choice Reuse {
        /// None but those of the user whose connection it is.
        Never = "never";
        /// All but the first over a user's connection: that gets one of its own.
        Safe = "safe";
        /// The first over a user's connection, too, where it has been used again before.
        Aggressive = "aggressive";
        /// All.
        Always = "always";
    }
}
spec! {
    /// The better of a few chosen at random, by requests in flight. With unequal weights each has its
    /// turn by weight / (requests + 1)^bias.
    table TwoChoices {
        /// How many are looked at.
        choices: u32 = "2" from "Envoy least_request.proto (choice_count)", positive;
        /// How much requests in flight weigh against weights.
        bias: f64 = "1" from "Envoy least_request.proto (active_request_bias)";
    }
}
spec! {
    /// Consistent hashing with a ring.
    table HashRing {
        /// A target with more than so many times the mean of requests in flight is passed over.
        bound: Option<f64> = "loads are not bounded"
            from "HAProxy hash-balance-factor (0); Envoy hash_balance_factor (0)", positive;
        /// The fewest points of Envoy's ring: the lightest target has its share of them, rounded up, and the
        /// others as many more as they are heavier.
        min_ring_size: u32 = "1_024" from "Envoy ring_hash_lb_config (minimum_ring_size 1,024)", positive;
        /// The most points of Envoy's ring.
        max_ring_size: u32 = "8_388_608" from "Envoy ring_hash_lb_config (maximum_ring_size 8M)", positive;
    }
}
spec! {
    /// Consistent hashing with a table.
    table HashBound {
        /// A target with more than so many times the mean of requests in flight is passed over.
        bound: Option<f64> = "loads are not bounded"
            from "HAProxy hash-balance-factor (0); Envoy hash_balance_factor (0)", positive;
    }
}
spec! {
    /// Latency, of which a peak is adopted at once and slowly forgotten.
    table PeakEwma {
        /// How fast it is forgotten.
        decay: Duration = "\"10s\"" from "linkerd2-proxy app/outbound (DEFAULT_EWMA: decay 10 s)", positive;
        /// The latency of a target that has not answered yet.
        first: Duration = "\"30ms\"" from "linkerd2-proxy app/outbound (DEFAULT_EWMA: default_rtt 30 ms)", positive;
    }
}
spec! {
    /// The instance that served the same user before, by a cookie of the balancer's. A user whose cookie
    /// has expired is placed as a new one.
    table Sticky {
        /// How a new user is placed.
        then: FirstChoice = "\"round-robin\"" from "AWS Application Load Balancer";
        /// How long after a user's last request the cookie is valid: every answer renews it.
        max_idle: Option<Duration> = "as its kind does: alb 1day, others for ever"
            from "ALB target groups (stickiness.lb_cookie.duration_seconds 86,400, as app_cookie's); nginx \
                (sticky cookie without `expires`, HAProxy cookie without maxidle: until the browser closes)",
            positive;
        /// How long it is valid after the request that it was made for, whatever follows.
        max_life: Option<Duration> = "for ever" from "HAProxy (cookie without maxlife)", positive;
    }
}
spec! {
    /// How a sticky balancer places a new user.
    choice FirstChoice {
        /// Each instance in turn.
        RoundRobin = "round-robin";
        /// Any, at random.
        Random = "random";
        /// The one with the fewest requests in flight.
        LeastOutstanding = "least-outstanding";
    }
}
spec! {
    /// What a balancer chooses an instance for.
    choice BalancePer {
        /// Each request.
        Request = "request";
        /// Each connection of a client: a balancer that does not look into it (NLB, a Kubernetes
        /// service).
        Connection(PerConnection) = "connection";
    }
}
spec! {
    /// Connections of clients.
    table PerConnection {
        /// How long an idle one stays open; the next request then makes another, and a new choice.
        idle: Duration = "\"350s\"" from "AWS Network Load Balancer (tcp.idle_timeout)", positive;
        /// Whose they are.
        of: ConnectionOf = "\"users\"" from "assumed: browsers behind it, or callers with a connection for each call";
        /// After how long the server closes one, give or take a tenth; the next request makes another.
        max_age: Option<Duration> = "for ever"
            from "grpc-go keepalive.go (MaxConnectionAge infinity, jitter of 10 %)", positive;
    }
}
spec! {
    /// Whose connections a balancer chooses for.
    choice ConnectionOf {
        /// Each user has one.
        Users = "users";
        /// Each calling process has one, over which all its calls go (HTTP/2, as gRPC has it).
        Processes = "processes";
    }
}
spec! {
    /// What a balancer hashes or sticks to.
    choice BalanceBy {
        /// The user (a cookie).
        User = "user";
        /// The client's address.
        Address = "address";
        /// The first three octets of the client's address, which 256 addresses share (nginx, `ip_hash`).
        Network = "network";
        /// The key that the request is for, of this set (`hash $uri` of nginx): all look-ups of its flow in
        /// the set are then for that key, but for those in branches of their own. Only for hashing.
        Keys(Ref<Keys>) = "keys";
    }
}
spec! {
    /// Health checks: requests of the balancer's own, which wait for the event loop as all others do.
    table Checks {
        /// From one check of a target to the next.
        interval: Option<Duration> = "30s; haproxy 2s"
            from "ALB and NLB target groups (HealthCheckIntervalSeconds); HAProxy (inter 2,000)", positive;
        /// How long the answer may take.
        timeout: Option<Duration> = "5s; nlb 10s, with `http` 6s; haproxy its interval"
            from "ALB and NLB target groups (HealthCheckTimeoutSeconds); HAProxy (no timeout check: inter)",
            positive;
        /// Successes in a row that make a target healthy again; a new one needs one.
        healthy: Option<u32> = "5; haproxy 2"
            from "ALB and NLB target groups (HealthyThresholdCount); HAProxy (rise 2)", positive;
        /// Failures in a row that make it unhealthy.
        unhealthy: Option<u32> = "2; haproxy 3"
            from "ALB and NLB target groups (UnhealthyThresholdCount); HAProxy (fall 3)", positive;
        /// What it asks for: an answer, or no more than a connection, which the kernel of a target accepts
        /// whatever its event loop does.
        protocol: Option<CheckProtocol> = "`http`; nlb `tcp`; haproxy `tcp`, unless there is a `flow`"
            from "ALB, NLB target groups (HealthCheckProtocol); HAProxy configuration manual (check: a TCP connection, \
            without option httpchk)";
        /// What the service does to answer: a check that queries the database shares its fate.
        flow: Flow = "[]" from "assumed: an endpoint that answers at once";
        /// Whether it passes what stands before the service: limits and guards may refuse it, and
        /// each makes a session where `save_uninitialized` says so.
        middleware: bool = "false" from "assumed: its route is mounted before all middleware";
    }
}
spec! {
    /// What a health check asks for.
    choice CheckProtocol {
        /// An answer.
        Http = "http";
        /// A connection.
        Tcp = "tcp";
    }
}
/// Connections that a balancer chooses for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EachConnection {
    /// How long an idle one stays open.
    pub idle: Duration,
    /// They are of calling processes, not of users.
    pub of_processes: bool,
    /// After how long the server closes one.
    pub max_age: Option<Duration>,
}
impl Balancer {
    /// How it chooses, as said or as its kind does.
    pub fn chooses(&self) -> &Policy {
        match (&self.policy, &self.kind) {
            (Some(said), _) => said,
            // The sequence number of a connection makes its hash as good as a throw of dice.
            (None, BalancerKind::Nlb) => &Policy::Random,
            (None, _) => &Policy::RoundRobin,
        }
    }
    /// The connections that it chooses for, if it does not choose for each request.
    pub fn connections(&self) -> Option<EachConnection> {
        match (&self.per, &self.kind) {
            (Some(BalancePer::Connection(said)), _) => Some(EachConnection {
                idle: said.idle,
                of_processes: said.of == ConnectionOf::Processes,
                max_age: said.max_age,
            }),
            (None, BalancerKind::Nlb) => Some(EachConnection {
                idle: Duration::secs(350),
                of_processes: false,
                max_age: None,
            }),
            _ => None,
        }
    }
    /// Whether it passes connections through: clients are connected to targets.
    pub fn passes(&self) -> bool {
        self.kind == BalancerKind::Nlb
    }
    /// Whether each of its nodes sends to all targets.
    pub fn crosses_zones(&self) -> bool {
        self.cross_zone.unwrap_or(self.kind != BalancerKind::Nlb)
    }
    /// Whether its checks ask for a connection only.
    pub fn checks_connections(&self) -> bool {
        let said = self.checks.as_ref().and_then(|checks| checks.protocol.as_ref());
        let asks = self.checks.as_ref().is_some_and(|it| !it.flow.is_empty() || it.middleware);
        let usual = self.passes() || self.kind == BalancerKind::HaProxy && !asks;
        said.map_or(usual, |said| *said == CheckProtocol::Tcp)
    }
    /// Whether it lets requests wait that find their targets full.
    pub fn queues(&self) -> bool {
        self.queue.is_some() || self.kind == BalancerKind::HaProxy && self.max_conns.is_some()
    }
    /// Whether it chooses once for each process that calls.
    pub fn is_of_processes(&self) -> bool {
        self.connections().is_some_and(|it| it.of_processes)
    }
    /// Its checks, if it makes any: their interval, how long an answer may take, and how many in a row
    /// make a target healthy and unhealthy.
    pub fn check_times(&self) -> Option<(Duration, Duration, u32, u32)> {
        let said = self.checks.as_ref();
        if said.is_none() && !matches!(self.kind, BalancerKind::Alb | BalancerKind::Nlb) {
            return None;
        }
        let (interval, timeout, healthy, unhealthy) = match self.kind {
            BalancerKind::HaProxy => (Duration::secs(2), None, 2, 3),
            BalancerKind::Nlb => {
                let timeout = if self.checks_connections() { 10 } else { 6 };
                (Duration::secs(30), Some(Duration::secs(timeout)), 5, 2)
            }
            _ => (Duration::secs(30), Some(Duration::secs(5)), 5, 2),
        };
        let interval = said.and_then(|it| it.interval).unwrap_or(interval);
        Some((
            interval,
            said.and_then(|it| it.timeout).or(timeout).unwrap_or(interval),
            said.and_then(|it| it.healthy).unwrap_or(healthy),
            said.and_then(|it| it.unhealthy).unwrap_or(unhealthy),
        ))
    }
}

spec! {
    /// When a target is set aside for what it answers.
    choice Ejection {
        /// Never.
        Never = "never";
        /// After failures to reach it, for a while.
        MaxFails(MaxFails) = "max-fails";
        /// When it answers 5xx again and again, or much more often than others.
        Outliers(Outliers) = "outliers";
    }
}
spec! {
    /// nginx: failures to get an answer set a server aside, unless it is the only one. It is then tried
    /// out with one request, and is back when that is answered.
    table MaxFails {
        /// So many; 0 turns it off.
        fails: u32 = "1" from "nginx upstream module (max_fails)";
        /// For so long; and a failure is forgotten by an answer to a request that was sent so long after it.
        timeout: Duration = "\"10s\"" from "nginx upstream module (fail_timeout)", positive;
    }
}
spec! {
    /// Envoy's outlier detection.
    table Outliers {
        /// Answers 5xx in a row that eject a target.
        consecutive: u32 = "5" from "Envoy outlier_detection.proto (consecutive_5xx)", positive;
        /// How often success rates are compared and ejected targets let back.
        interval: Duration = "\"10s\"" from "Envoy outlier_detection.proto", positive;
        /// How long the first ejection lasts; the n-th lasts n times as long.
        base: Duration = "\"30s\"" from "Envoy outlier_detection.proto (base_ejection_time)", positive;
        /// How long an ejection lasts at most.
        longest: Duration = "\"300s\"" from "Envoy outlier_detection.proto (max_ejection_time)", positive;
        /// The share of all targets that may be ejected: of fewer than ten, none.
        most: Ratio = "\"10%\"" from "Envoy outlier_detection.proto (max_ejection_percent)";
        /// Whether one may be ejected however few there are.
        always_one: bool = "false" from "Envoy 1.31 outlier_detection.proto (always_eject_one_host)";
        /// Targets with enough requests that comparing success rates takes.
        hosts: u32 = "5" from "Envoy outlier_detection.proto (success_rate_minimum_hosts)", positive;
        /// Requests in an interval that are enough.
        requests: u32 = "100" from "Envoy outlier_detection.proto (success_rate_request_volume)", positive;
        /// So many standard deviations below the mean is an outlier.
        deviations: f64 = "1.9" from "Envoy outlier_detection.proto (success_rate_stdev_factor 1900)",
            positive;
    }
}
