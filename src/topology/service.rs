//! What computes: services, their runtime, their scaling.

use super::deploy::OnSigterm;
use super::dist::Dist;
use super::function::Function;
use super::host::{Host, Priority};
use super::names::{Address, Ref, Scope, Section};
use super::price::Price;
use super::process::{Liveness, Memory, Node, Probe, Timer};
use super::queue::Queue;
use super::region::Region;
use super::spec::spec;
use crate::units::{Duration, Rate, Ratio};

/// What may stand before a service: limits, session stores, guards, bulkheads.
#[derive(Clone, Debug, PartialEq)]
pub struct Middleware;
impl Scope for Middleware {
    const SECTIONS: &'static [Section] =
        &[Section::Limit, Section::Session, Section::Guard, Section::Bulkhead];
}
spec! {
    /// A group of equal instances that run an application.
    component Service {
        /// What the application runs on.
        runtime: Runtime = "\"node\"" from "assumed: an event loop";
        /// Where it stands.
        region: Option<Ref<Region>> = "the only region" from "assumed: there is no choice";
        /// The machine that all its instances are processes of, with whose other work they share its
        /// cores; `cores` are then the machine's.
        host: Option<Ref<Host>> = "instances have machines of their own"
            from "assumed: one machine, task or pod each";
        /// Who goes first on that machine.
        priority: Priority = "\"normal\"" from "Linux (SCHED_OTHER: all are equal)";
        /// How many machines, tasks or pods.
        instances: u32 = "1" from "assumed: a single machine", positive;
        /// Event loops per instance (cluster mode); they share its cores.
        workers: u32 = "1"
            from "Node.js 20 (cluster mode is off unless the application turns it on)", positive;
        /// How new connections come to the workers of an instance. One that is kept open, by a balancer's
        /// `keep_alive` or `client.connection`, stays with its worker; where connections cost nothing, each
        /// request is handed out like a new one.
        hand_out: HandOut = "\"each-in-turn\""
            from "assumed: many connections, spread evenly as they are made";
        /// Cores of each instance.
        cores: f64 = "1" from "assumed: one core", positive;
        /// Threads of each worker's pool for blocking work.
        threads: Option<u32> = "4; uvicorn 40"
            from "libuv (UV_THREADPOOL_SIZE), anyio 4.16.0 (default thread limiter)", positive;
        /// Child processes that each worker lets run at once; further ones wait in line.
        children: Option<u32> = "no limit" from "Node.js 20 child_process (it counts none)", positive;
        /// The limits, session stores, guards and bulkheads that every request passes, in order:
        /// `["limit.global", "session.table"]`.
        before: Vec<Address<Middleware>> = "[]" from "assumed: nothing stands before it";
        /// CPU time to read and route each request.
        accept_cpu: Dist = "\"0ms\"" from "assumed: contained in the operations' own CPU time";
        /// CPU time that a loop which has been polling takes to wake.
        wake: Option<Wake> = "nothing" from "assumed: contained in the operations' own CPU time";
        /// What each worker does by itself every so often: `[{ every = "10s", flow = [{ cpu = "5ms" }] }]`.
        timers: Vec<Timer> = "[]" from "assumed: a process only answers requests";
        /// One-way delay from the caller to it, where no balancer stands between.
        hop: Dist = "\"0ms\"" from "assumed: contained in the access round trip";
        /// Connections that each instance has at most, all its workers together; what becomes of further ones
        /// says `on_max`. Those count that users (`client.connection`), balancers (`keep_alive`) and callers
        /// (`client` of a `call`) keep open, idle or not, and sockets; of who keeps none each request is one.
        max_connections: Option<u32> = "no limit"
            from "Node.js 20 net (maxConnections undefined; it is of each process, and the primary of a cluster \
            tries the next one: cluster child.js, onconnection)", positive;
        /// What becomes of connections beyond `max_connections`.
        on_max: OnMax = "\"wait\"" from "assumed: the limit of a server that accepts no more; Node.js 20 \
            net.js (onconnection) closes what is beyond its own `maxConnections`";
        /// Connections of each instance that wait to be accepted: once it has `max_connections`, and new
        /// ones while all its loops are busy; further ones meet `on_overflow`. The primary of Node's cluster
        /// (`workers` > 1) always accepts.
        backlog: Option<u32> = "511; uvicorn 2048"
            from "Node.js 20 net (listen backlog), uvicorn 0.54.0 Config (backlog)", positive;
        /// How long an idle connection to it stays open on its side.
        keep_alive: Duration = "\"5s\""
            from "Node.js 20 http (keepAliveTimeout 5 s); uvicorn 0.54.0 (timeout_keep_alive 5 s)", positive;
        /// What becomes of a connection when the backlog is full.
        on_overflow: Overflow = "\"drop\"" from "Linux ip-sysctl (tcp_abort_on_overflow 0)";
        /// Whether a request whose user has given up leaves the queue for a connection; what it has
        /// begun goes on all the same.
        cancel_waiting: bool = "false" from "pg-pool 3.14.0 (connect takes no signal)";
        /// Whether it looks before each step if anybody still waits for it, and stops if not: callers
        /// send along how long they wait, and so on down to here. Calls and `wait`s that are under way end then too.
        deadlines: bool = "false"
            from "axios 1, Express 5 (no header says how long a caller waits; grpc.io: deadlines are passed on)";
        /// How much slower an instance is just after its start.
        warm_up: Option<WarmUp> = "no slower" from "assumed: instances run for long";
        /// Time from the death of an instance to the first request of the one that is started in its
        /// place.
        replace: Option<Duration> = "nobody starts another"
            from "assumed: the document names no orchestrator", positive;
        /// The memory of each instance.
        memory: Option<Memory> = "there is always enough" from "assumed: memory does not run out";
        /// Who kills an instance that does not answer.
        liveness: Option<Liveness> = "nobody" from "Kubernetes core/v1 (livenessProbe unset)";
        /// Probes of the kubelet that an instance must pass to be sent requests.
        readiness: Option<Probe> = "an instance that has started is sent requests"
            from "Kubernetes core/v1 (readinessProbe unset)";
        /// Whether starting again waits longer each time: not at all, then 10 s, 20 s, ... 300 s.
        crash_back_off: Option<bool> = "false; with `liveness` of the kubelet true"
            from "kubelet apis/config/v1beta1/defaults.go (MaxContainerBackOff 300 s)";
        /// What a process does when a deploy or an autoscaler tells it to end.
        on_sigterm: Option<OnSigterm> = "`exit`; uvicorn `finish`"
            from "Node.js 20 process (SIGTERM without a handler ends the process); uvicorn 0.54.0 (Server.shutdown)";
        /// Time that a process has to end by itself before it is killed.
        grace: Duration = "\"30s\""
            from "Amazon ECS (stopTimeout 30 s); Kubernetes (terminationGracePeriodSeconds 30)", positive;
        /// How the number of instances follows the load. Who is removed ends as `on_sigterm` says: by the
        /// Horizontal Pod Autoscaler while balancers are still being told, by Amazon ECS once its balancer's
        /// `deregistration_delay` is over, or nothing is under way any more.
        autoscale: Option<Autoscale> = "instances are fixed"
            from "assumed: the document names no autoscaling";
        /// It is a function of AWS Lambda: instances are execution environments, which are started for
        /// requests and take one at a time.
        function: Option<Function> = "instances stay, and take many requests at once"
            from "assumed: machines, tasks or pods";
        /// Price of one instance.
        price: Option<Price>;
    }
}
spec! {
    /// What becomes of a connection when the backlog is full.
    choice Overflow {
        /// It is refused at once (Linux with tcp_abort_on_overflow 1).
        Refuse = "refuse";
        /// Its SYN is dropped and sent again after 1 s, 3 s, 7 s, ..., until whoever connects gives up or
        /// 127 s are over.
        Drop = "drop";
    }
}
spec! {
    /// What becomes of connections beyond the most that an instance has.
    choice OnMax {
        /// They wait in the backlog.
        Wait = "wait";
        /// They are accepted and closed at once (Node.js, `server.maxConnections`).
        Close = "close";
    }
}
spec! {
    /// What a service runs on.
    choice Runtime {
        /// Node.js: each worker is one event loop that runs callbacks to completion.
        Node(Node) = "node";
        /// uvicorn: each worker is one asyncio loop that runs callbacks to completion, for `async def`
        /// endpoints; `def` endpoints are `blocking` steps on the threads of anyio, under the worker's
        /// one interpreter lock.
        Uvicorn(Uvicorn) = "uvicorn";
    }
}
spec! {
    /// What is particular to uvicorn.
    table Uvicorn {
        /// A request that finds so many connections at its worker, its own counted and idle ones, is answered 503.
        limit_concurrency: Option<u32> = "no limit"
            from "uvicorn 0.54.0 Config (limit_concurrency)", positive;
        /// A worker that has answered so many requests ends, once what it has is answered, and its parent
        /// starts another; of one worker nobody does, but `service.replace`.
        limit_max_requests: Option<u32> = "no limit"
            from "uvicorn 0.54.0 Config (limit_max_requests), gunicorn (max_requests 0)", positive;
        /// Each worker adds up to so many by chance, so that not all end together.
        limit_max_requests_jitter: u32 = "0"
            from "uvicorn 0.54.0 Config (limit_max_requests_jitter), gunicorn (max_requests_jitter)";
        /// Time that a new worker takes to start.
        worker_start: Duration = "\"1s\"" from "assumed: importing an application";
    }
}

impl Service {
    /// Threads of each worker's pool, as said or as the runtime has them.
    pub fn thread_count(&self) -> u32 {
        self.threads.unwrap_or(match self.runtime {
            Runtime::Node(_) => 4,
            Runtime::Uvicorn(_) => 40,
        })
    }
    /// Places of the accept backlog, as said or as the runtime has them.
    pub fn backlog_places(&self) -> u32 {
        self.backlog.unwrap_or(match self.runtime {
            Runtime::Node(_) => 511,
            Runtime::Uvicorn(_) => 2048,
        })
    }
    /// Whether new connections stand in the kernel's queue while all loops are busy: not where the
    /// primary of Node's cluster accepts them.
    pub fn kernel_queues(&self) -> bool {
        self.workers == 1
            || matches!(self.runtime, Runtime::Uvicorn(_))
            || self.hand_out.is_kernels()
    }
    /// Cores of an instance; of a function, as its memory gives them.
    pub fn core_count(&self) -> f64 {
        self.function.as_ref().map_or(self.cores, Function::cores)
    }
    /// What a process does when it is told to end, as said or as the runtime does it.
    pub fn sigterm(&self) -> OnSigterm {
        self.on_sigterm.clone().unwrap_or(match self.runtime {
            Runtime::Node(_) => OnSigterm::Exit,
            Runtime::Uvicorn(_) => OnSigterm::Finish,
        })
    }
    /// Requests that it answers over one connection at most.
    pub fn requests_per_connection(&self) -> Option<u32> {
        match &self.runtime {
            Runtime::Node(node) => node.max_requests_per_socket,
            Runtime::Uvicorn(_) => None,
        }
    }
    /// Whether only one thread of a worker computes at a time.
    pub fn has_one_lock(&self) -> bool {
        matches!(self.runtime, Runtime::Uvicorn(_))
    }
}

spec! {
    /// What it costs a loop to wake: a switch of contexts, and caches that have gone cold, the more so
    /// the longer it has polled: `cpu` x (time polled / `idle`) ^ `growth`. A busy loop never wakes,
    /// so a request costs less the more there are.
    table Wake {
        /// CPU time to wake after it has polled for `idle`.
        cpu: Duration;
        /// Time polled.
        idle: Duration = "\"1ms\"" from "assumed: between the requests of a busy service", positive;
        /// How the cost grows with the time polled: 0 is not at all, 1 in proportion.
        growth: f64 = "0.24"
            from "reality/isolation.csv: Node.js 20, CPU of a request at 100/s, 200/s and saturated";
    }
}
spec! {
    /// How new connections come to the workers of an instance.
    choice HandOut {
        /// To each in turn, blocked or not.
        EachInTurn = "each-in-turn";
        /// Node's cluster hands each to a worker that has taken the one before: a blocked worker keeps one
        /// waiting and gets no more (Node.js 20, lib/internal/cluster/round_robin_handle.js).
        FreeWorker = "free-worker";
        /// They come to a listening socket that all workers share: one that
        /// polls takes it, some sooner than others; while none does they wait, and the first that is done with its
        /// callback takes them all (uvicorn 0.54.0 supervisors/multiprocess.py, one socket for all;
        /// CPython selector_events.py, `_accept_connection`, libuv `uv__server_io`; Node.js with
        /// `cluster.SCHED_NONE`).
        Shared(SharedSocket) = "shared";
        /// The kernel gives each to a worker by a hash of its addresses, whatever that worker is at: each
        /// has a listening socket and a `backlog` of its own (Linux socket(7), SO_REUSEPORT; gunicorn `reuse_port`, nginx `reuseport`).
        ReusePort = "reuse-port";
    }
}
spec! {
    /// A listening socket that all workers of an instance wait at.
    table SharedSocket (short "first") {
        /// The chance that of those that poll the one takes a connection that has the smallest number; if not
        /// the next has the same chance, and so on. `"0%"` is any of them: the kernel wakes all, in an order
        /// that stays, and then it is a race.
        first: Ratio = "\"40%\""
            from "measured: Node.js 20.20.2, SCHED_NONE, eight workers on two cores of Linux 6, 1,500 connections by fours: 39, 26, 16, 9, 6, 2, 1 and 0 % (Node.js docs, cluster: over 70 % in two of eight)";
    }
}
impl HandOut {
    /// Whether the kernel chooses the worker, and no process.
    pub fn is_kernels(&self) -> bool {
        matches!(self, HandOut::Shared(_) | HandOut::ReusePort)
    }
}
spec! {
    /// How much slower an instance is just after its start.
    table WarmUp {
        /// How many times as long computing takes at first; it falls evenly to 1.
        times: f64 = "3.0" from "assumed: compiling just in time, filling caches", positive;
        /// How long that takes.
        over: Duration = "\"30s\"" from "assumed: half a minute of requests", positive;
    }
}
spec! {
    /// How the number of instances follows a metric.
    table Autoscale {
        /// The fewest instances; with KEDA there may be none.
        min: u32;
        /// The most instances.
        max: u32, positive;
        /// How it decides.
        policy: ScalePolicy = "\"target-tracking\"" from "Amazon ECS service auto scaling";
        /// The value to keep the metric at, of CPU.
        target: Ratio = "\"70%\"" from "assumed: the value most documents name", positive;
        /// The metric that is kept.
        metric: ScaleMetric = "\"cpu\""
            from "AWS Application Auto Scaling (ECSServiceAverageCPUUtilization)";
        /// Further metrics, each with its own target: the one that wants the most instances decides.
        also: Vec<ScaleMetric> = "[]" from "AWS Application Auto Scaling; Kubernetes (several metrics: the largest)";
        /// How often the metric is looked at.
        period: Option<Duration> = "60s, or 15s for hpa and keda"
            from "Amazon ECS (metrics of one minute); kube-controller-manager (sync period 15 s)",
            positive;
        /// How long after its end a period is known to the autoscaler: CloudWatch has metrics one to three minutes
        /// late; metrics-server looks at pods every 15 s, and the kubelet at their containers every 10 to 15 s.
        delay: Duration = "\"0s\"" from "assumed: a period is known when it is over; AWS and Kubernetes promise no time";
        /// Time after adding instances during which no smaller addition is made.
        cooldown_out: Duration = "\"300s\"" from "AWS Application Auto Scaling";
        /// Time after removing instances during which no more are removed.
        cooldown_in: Duration = "\"300s\"" from "AWS Application Auto Scaling";
        /// Time from the decision to a new instance's first request.
        start: Duration = "\"60s\""
            from "assumed: image pull, start and health check of a Fargate task take 30 to 120 s";
        /// Cores of an instance that its use of CPU is a share of: in Kubernetes what its pods
        /// request, however much more they may take.
        cpu_request: Option<f64> = "as `cores`" from "Amazon ECS (all CPU units of the task)", positive;
        /// When the bounds change, whatever the metric says.
        schedule: Vec<ScheduledScaling> = "[]" from "AWS Application Auto Scaling";
    }
}
spec! {
    /// How an autoscaler decides.
    choice ScalePolicy {
        /// Target tracking of Amazon ECS: 3 minutes above the target add, 15 below 90 % of it remove.
        TargetTracking(Tracking) = "target-tracking";
        /// The Horizontal Pod Autoscaler of Kubernetes.
        Hpa(Box<Hpa>) = "hpa";
        /// KEDA: the Horizontal Pod Autoscaler from one worker on, and beside it an operator that starts the
        /// first and stops the last. For workers of a queue and for consumers.
        Keda(Box<Keda>) = "keda";
        /// Steps: beyond a bound for some data points, so many instances more or fewer.
        Steps(Steps) = "steps";
    }
}
spec! {
    /// Target tracking.
    table Tracking {
        /// Below so much of the target for 15 minutes instances are removed.
        low: Ratio = "\"90%\"" from "alarms that target tracking makes: 90 % of the target for ECS services, \
            70 % for EC2 groups", positive;
        /// Whether instances are removed at all.
        scale_in: bool = "true" from "AWS Application Auto Scaling (DisableScaleIn false)";
    }
}
spec! {
    /// The Horizontal Pod Autoscaler.
    table Hpa {
        /// How pods are added.
        up: HpaUp = "{}" from "Kubernetes autoscaling/v2 (behavior.scaleUp)";
        /// How pods are removed.
        down: HpaDown = "{}" from "Kubernetes autoscaling/v2 (behavior.scaleDown)";
        /// A pod that has started within this time counts as not ready, with a usage of nothing when
        /// pods are added, until its readiness is a `sample` old; one that fails its readiness probe
        /// does all this time.
        initialisation: Duration = "\"5min\""
            from "kube-controller-manager (--horizontal-pod-autoscaler-cpu-initialization-period)";
        /// Over how long the usage of a pod is measured.
        sample: Duration = "\"15s\"" from "metrics-server 0.7 (--metric-resolution)";
        /// How long the hook that runs before SIGTERM sleeps when a pod is removed, of the time of `grace`.
        pre_stop: Duration = "\"0s\"" from "Kubernetes core/v1 (lifecycle.preStop unset)";
        /// Time until balancers have heard that a pod is removed.
        heard_after: Duration = "\"1s\""
            from "assumed: endpoint slices reach every kube-proxy or ingress within seconds";
    }
}
spec! {
    /// KEDA.
    table Keda {
        /// How often its operator looks whether there is anything to do.
        polling: Duration = "\"30s\"" from "KEDA 2 (ScaledObject pollingInterval)", positive;
        /// How long after it last found something to do the last worker is stopped, where `min` is 0.
        cooldown: Duration = "\"300s\"" from "KEDA 2 (ScaledObject cooldownPeriod)";
        /// There is something to do while more than so many wait.
        activation: u32 = "0" from "KEDA 2 (activationLagThreshold, activationListLength)";
        /// The Horizontal Pod Autoscaler that it makes, of an external metric's average.
        hpa: Hpa = "{}" from "KEDA 2 (advanced.horizontalPodAutoscalerConfig: as Kubernetes has it)";
    }
}
spec! {
    /// How the Horizontal Pod Autoscaler adds pods.
    table HpaUp {
        /// Pods are added only up to the least that was wanted within this time.
        stabilisation: Duration = "\"0s\""
            from "Kubernetes autoscaling/v2 (scaleUp.stabilizationWindowSeconds)";
        /// By how many at most.
        policies: Vec<HpaPace> = "[{ percent = \"100%\", period = \"15s\" }, { pods = 4, period = \"15s\" }]"
            from "Kubernetes autoscaling/v2 (scaleUp.policies)", positive;
        /// Which of them counts.
        select: HpaSelect = "\"max\"" from "Kubernetes autoscaling/v2 (selectPolicy Max)";
        /// So little above the target nothing is added.
        tolerance: Ratio = "\"10%\"" from "kube-controller-manager \
            (--horizontal-pod-autoscaler-tolerance 0.1; from 1.33 on scaleUp.tolerance)";
    }
}
spec! {
    /// How the Horizontal Pod Autoscaler removes pods.
    table HpaDown {
        /// Pods are removed only down to the most that was wanted within this time.
        stabilisation: Duration = "\"300s\""
            from "Kubernetes autoscaling/v2 (scaleDown.stabilizationWindowSeconds)";
        /// By how many at most.
        policies: Vec<HpaPace> = "[{ percent = \"100%\", period = \"15s\" }]"
            from "Kubernetes autoscaling/v2 (scaleDown.policies)", positive;
        /// Which of them counts.
        select: HpaSelect = "\"max\"" from "Kubernetes autoscaling/v2 (selectPolicy Max)";
        /// So little below the target nothing is removed.
        tolerance: Ratio = "\"10%\"" from "kube-controller-manager \
            (--horizontal-pod-autoscaler-tolerance 0.1; from 1.33 on scaleDown.tolerance)";
    }
}
spec! {
    /// How many pods may come or go within a time: a share of those at its beginning, or a number.
    table HpaPace {
        /// A share of the pods there were.
        percent: Option<Ratio> = "see `pods`" from "Kubernetes autoscaling/v2 (type Percent)", positive;
        /// So many pods.
        pods: Option<u32> = "see `percent`" from "Kubernetes autoscaling/v2 (type Pods)", positive;
        /// The time.
        period: Duration, positive;
    }
}
spec! {
    /// Which of several policies counts.
    choice HpaSelect {
        /// The one that changes most.
        Max = "max";
        /// The one that changes least.
        Min = "min";
        /// None: nothing changes in this direction.
        Disabled = "disabled";
    }
}
spec! {
    /// Steps of one's own; their cooldown is `cooldown_out`.
    table Steps {
        /// Data points in a row that must lie beyond a bound.
        points: u32 = "3" from "assumed: three minutes, as target tracking", positive;
        /// Steps that add, the lowest bound first.
        out: Vec<ScaleStep>, positive;
        /// Steps that remove, the highest bound first.
        back: Vec<ScaleStep> = "[]" from "assumed: nothing is removed";
    }
}
spec! {
    /// One step.
    table ScaleStep {
        /// The bound of the metric.
        at: Ratio;
        /// How many instances are added above it, or removed below it.
        by: u32, positive;
    }
}
spec! {
    /// A change of an autoscaler's bounds at a time.
    table ScheduledScaling {
        /// When, from the start of the measured time.
        at: Duration;
        /// The fewest instances from then on.
        min: u32, positive;
        /// The most instances from then on.
        max: Option<u32> = "as before" from "AWS Application Auto Scaling", positive;
    }
}
spec! {
    /// What an autoscaler watches.
    choice ScaleMetric {
        /// CPU time used, as a share of all cores of the running instances.
        Cpu = "cpu";
        /// Memory that is taken, as a share of what instances have: `metric.memory = "80%"` keeps it at
        /// that.
        Memory(Ratio) = "memory";
        /// Requests of each instance, as `metric.requests = "1_000/min"`.
        Requests(Rate) = "requests";
        /// Jobs that wait in a queue for each instance.
        Backlog(Backlog) = "backlog";
        /// How long the job of a queue has waited that waits for longest.
        Oldest(OldestJob) = "oldest";
        /// Messages of its stream that a group of consumers has not committed or acknowledged, for each
        /// member. KEDA counts of Kafka no more than would ask for a member for each partition.
        Lag(Lag) = "lag";
    }
}
spec! {
    /// Messages for each member of a group.
    table Lag (short "messages") {
        /// How many there may be.
        messages: u32 = "10" from "KEDA 2 (kafka lagThreshold)", positive;
    }
}
spec! {
    /// The age of the oldest job that waits in a queue.
    table OldestJob {
        /// The queue.
        queue: Ref<Queue>;
        /// How old it may be.
        age: Duration, positive;
    }
}
spec! {
    /// Jobs that wait in a queue for each instance.
    table Backlog {
        /// The queue.
        queue: Ref<Queue>;
        /// How many may wait for each instance.
        jobs: u32, positive;
    }
}
