//! Laws that hold for any deployment: books balance, order and unused parts mean nothing, and the
//! same seed is the same run.

use loadbearing::diagnostic::{Severity, render_plain};
use loadbearing::model::compile;
use loadbearing::run::{Ended, Outcome, Unwatched, replicate, replicate_on_reference};
use loadbearing::topology::load;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Numbers that decide what a deployment looks like.
struct Genes<'a>(std::slice::Iter<'a, u8>);

impl Genes<'_> {
    fn below(&mut self, most: u8) -> u8 {
        self.0.next().copied().unwrap_or(0) % most
    }
    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len() as u8) as usize]
    }
}

const TIMES: &[&str] = &[
    "'2ms'",
    "{ exponential = '8ms' }",
    "'0ms'",
    "{ uniform = ['0ms', '30ms'] }",
    "{ lognormal = { mean = '10ms', cv = 1.5 } }",
    "{ hyperexponential = { mean = '5ms', cv = 3 } }",
];

/// The tables of a small deployment, in an order that means nothing.
fn deployment(genes: &[u8]) -> Vec<String> {
    let mut genes = Genes(genes.iter());
    let mut tables = Vec::new();
    for part in [workload, places, services, stores, gates, messages, operations, changes] {
        part(&mut genes, &mut tables);
    }
    tables
}

/// How long, who comes, how they behave.
fn workload(genes: &mut Genes<'_>, tables: &mut Vec<String>) {
    tables.push("[run]\nwarmup = '1s'\nduration = '4s'\nwindow = '500ms'\n".to_string());
    tables.push(format!(
        "[run.start]\ncaches = '{}'\npools = '{}'\nsessions = '{}'\n",
        genes.pick(&["warm", "cold"]),
        genes.pick(&["empty", "full", "warm"]),
        genes.pick(&["warm", "cold"]),
    ));
    tables.push(match genes.below(3) {
        0 => format!("[users]\npopulation = {}\nthink = {}\nvisit = '2s'\n", 1 + genes.below(40), genes.pick(&["{ exponential = '400ms' }", "'300ms'", "{ exponential = '50ms' }"])),
        1 => format!("[arrivals]\nrate = '{}/s'\nusers = 50\nvisit = '3s'\nspike = {{ at = '1s', for = '1s', times = 3 }}\n", 1 + genes.below(90)),
        _ => format!("[arrivals]\nrate = '{}/s'\nprocess = 'even'\nusers = {}\n", 1 + genes.below(90), 1 + genes.below(9)),
    });
    tables.push(format!(
        "[client]\n{}{}",
        genes.pick(&["", "patience = '60ms'\n", "patience = { exponential = '80ms' }\n"]),
        genes.pick(&[
            "",
            "retry.fixed = { on = [429, 500, 503, 'timeout', 'refused'], delay = '20ms' }\n",
            "retry.exponential = { on = [502, 503, 504, 'timeout'], attempts = 4, jitter = 'decorrelated' }\n",
        ]),
    ));
}

/// Regions and routes.
fn places(genes: &mut Genes<'_>, tables: &mut Vec<String>) {
    tables.push(format!("[region.near]\nusers = '70%'\nrtt = {}\n", genes.pick(TIMES)));
    tables.push("[region.off]\nusers = '30%'\nrtt = '15ms'\n".into());
    tables.push(format!("[route.near.off]\nrtt = {}\n", genes.pick(TIMES)));
}

/// Services and what stands around them.
fn services(genes: &mut Genes<'_>, tables: &mut Vec<String>) {
    let all = ["limit.l", "guard.g", "session.s", "guard.lag", "bulkhead.h"];
    let before: Vec<String> =
        all.iter().filter(|_| genes.below(2) == 1).map(|name| format!("'{name}'")).collect();
    tables.push(format!(
        "[service.web]\nregion = 'near'\ninstances = {}\nworkers = {}\ncores = {}\nthreads = {}\nbefore = [{}]\n{}{}{}{}{}",
        1 + genes.below(3),
        1 + genes.below(3),
        genes.pick(&["1", "2", "0.5", "4"]),
        1 + genes.below(3),
        before.join(", "),
        genes.pick(&["", "max_connections = 2\nbacklog = 3\n"]),
        genes.pick(&["", "accept_cpu = '1ms'\n"]),
        genes.pick(&["", "hand_out = 'free-worker'\n", "hand_out = 'shared'\n", "hand_out = 'reuse-port'\n"]),
        genes.pick(&["", "timers = [{ every = '40ms', flow = [{ cpu = '2ms' }] }]\n"]),
        genes.pick(&["", "", "autoscale = { min = 1, max = 4, start = '200ms', period = '500ms', policy = 'hpa' }\n"]),
    ));
    tables.push(format!(
        "[service.api]\nregion = '{}'\ncores = 2\nworkers = 2\n",
        genes.pick(&["near", "off"])
    ));
    let kind = genes.pick(&["", "", "", "plain", "nginx", "haproxy", "envoy", "nlb"]);
    if kind == "nlb" {
        tables.push(format!(
            "[balancer.b]\nservice = 'web'\nkind = 'nlb'\ncross_zone = {}\n",
            genes.pick(&["true", "false"])
        ));
    } else if !kind.is_empty() {
        let own = match kind {
            "haproxy" => genes.pick(&[
                "",
                "max_conns = 2\n",
                "reuse = 'aggressive'\n",
                "reuse = 'never'\npurge = '300ms'\n",
            ]),
            "envoy" => genes.pick(&["", "max_connections = 2\nmax_pending = 1\n"]),
            "nginx" => genes.pick(&["", "most_idle = 1\nkeepalive_requests = 3\n"]),
            _ => "",
        };
        tables.push(format!(
            "[balancer.b]\nservice = 'web'\nkind = '{kind}'\n{own}policy = '{}'\nby = '{}'\n",
            genes.pick(&[
                "round-robin",
                "random",
                "least-outstanding",
                "two-choices",
                "consistent-hash",
                "sticky"
            ]),
            genes.pick(&["user", "address"]),
        ));
    }
    if genes.below(2) == 1 {
        tables.push("[link.up]\nbandwidth = '2Mbit/s'\ncarries = 'service.web'\nloss = { above = '20%', share = '30%' }\n".into());
    }
}

/// Pools, databases, caches, sessions.
fn stores(genes: &mut Genes<'_>, tables: &mut Vec<String>) {
    let replicas = genes.below(3);
    tables.push(format!(
        "[pool.pg]\nservice = 'web'\ndatabase = 'db'\nsize = {}\nidle_timeout = '{}'\non_error = '{}'\n{}{}",
        1 + genes.below(4),
        genes.pick(&["10s", "40ms", "0s"]),
        genes.pick(&["destroy", "keep"]),
        genes.pick(&["", "acquire_timeout = '30ms'\n", "min = 1\n"]),
        if replicas > 0 { genes.pick(&["", "reads = 'replicas'\n", "reads = 'nearest'\n"]) } else { "" },
    ));
    let memory = genes.pick(&["", "", "kill", "fail"]);
    let memory = match memory {
        "" => String::new(),
        full => format!(
            "memory = {{ machine = '80MB', shared_buffers = '40MB', system = '20MB', work_mem = '4MB', full = '{full}', recovery = '400ms' }}\n"
        ),
    };
    let abroad = genes.pick(&["", "", "abroad = [{ region = 'off', lag = '30ms' }]\n"]);
    let region = if abroad.is_empty() { genes.pick(&["near", "off"]) } else { "near" };
    tables.push(format!(
        "[database.db]\nregion = '{region}'\n{memory}{abroad}cores = {}\nreplicas = {replicas}\nshards = {}\nshard_by = '{}'\nmax_connections = {}\nconnect = {}\nrtt = {}\ncpu_share = '{}'\n{}{}",
        genes.pick(&["1", "2", "1.5"]),
        1 + genes.below(3),
        genes.pick(&["user", "key"]),
        genes.pick(&["100", "6"]),
        genes.pick(TIMES),
        genes.pick(TIMES),
        genes.pick(&["100%", "40%", "0%"]),
        genes.pick(&["", "contention = { sigma = 0.1, kappa = 0.01 }\n", "contention = { caches = { most = '50%', half = 4 } }\n"]),
        genes.pick(&["", "statement_timeout = '12ms'\n"]),
    ));
    tables.push(match genes.below(3) {
        0 => "[cache.c]\nkind = 'memory'\nservice = 'web'\nmax_entries = 5\n".into(),
        _ => format!("[cache.c]\nregion = 'near'\nnodes = {}\nmemory = '{}'\neviction = '{}'\ncommand = '1ms'\n", 1 + genes.below(3), genes.pick(&["1GB", "40KB"]), genes.pick(&["noeviction", "allkeys-lru", "volatile-ttl", "allkeys-random"])),
    });
    tables.push("[cache.shared]\nregion = 'near'\nmemory = '60KB'\n".into());
    tables.push(format!(
        "[keys.k]\ncount = {}\npopularity = '{}'\nsize = '1KB'\n",
        1 + genes.below(60),
        genes.pick(&["uniform", "zipf"])
    ));
    tables.push(format!(
        "[cdn.edge]\nkeys = 'k'\nttl = '300ms'\npops = {}\ncollapse = {}\n",
        1 + genes.below(3),
        genes.pick(&["true", "false"])
    ));
    tables.push(format!(
        "[session.s]\nttl = '2s'\nguests = '20%'\nstore = {}\n",
        genes.pick(&[
            "{ postgres = { pool = 'pg', prune = '1s', growth = { rows = 20, times = 3 } } }",
            "{ postgres = { own = { database = 'db', size = 2, acquire_timeout = '50ms' } } }",
            "{ redis = { cache = 'shared' } }",
            "'jwt'",
        ]),
    ));
}

/// Guards, limits, queues.
fn gates(genes: &mut Genes<'_>, tables: &mut Vec<String>) {
    tables.push(
        format!(
            "[guard.g]\nwatch = '{}'\nerrors = '5%'\nfail = '{}'\n",
            genes.pick(&[
                "pool.pg.total'\nreject_at = '85%",
                "pool.pg.busy'\nreject_at = '60%",
                "pool.pg.waiting'\nlimit = 3 #",
                "session.s.live'\nlimit = 20\napplies = 'new-sessions"
            ]),
            genes.pick(&["open", "closed"]),
        )
        .replace("3 #'", "3"),
    );
    tables.push("[guard.lag]\nwatch = 'service.web.lag'\nlimit = '40ms'\nsampled = '100ms'\nrespond = { status = 503, retry_after = '1s' }\n".into());
    tables.push(format!(
        "[limit.l]\nmax = 3\nwindow = '1s'\nper = '{}'\nstore = {}\n",
        genes.pick(&["address", "user", "all"]),
        genes.pick(&["'memory'", "'shared'", "{ shared = { cache = 'shared' } }"])
    ));
    tables.push(format!(
        "[queue.q]\nprocesses = {}\nconcurrency = {}\ncores = 1\ncache = 'shared'\n",
        1 + genes.below(2),
        1 + genes.below(3)
    ));
    tables.push(format!(
        "[job.j]\nqueue = 'q'\nwork = {}\ncpu_share = '60%'\nattempts = {}\nfail = '20%'\n{}{}",
        genes.pick(TIMES),
        1 + genes.below(3),
        genes.pick(&["", "timeout = '6ms'\n"]),
        genes.pick(&["", "backoff.exponential = '10ms'\n"])
    ));
}

/// Streams and who consumes them; a function.
fn messages(genes: &mut Genes<'_>, tables: &mut Vec<String>) {
    tables.push(format!(
        "[stream.kin]\nregion = 'near'\nkind.kinesis = {{ shards = {}, records = '{}/s', attempts = 2 }}\n",
        1 + genes.below(3),
        genes.pick(&["3", "1000"]),
    ));
    tables.push(format!(
        "[consumer.kin]\nstream = 'kin'\nmembers = {}\nwork = {}\nfail = '5%'\nkinesis = {{ poll = '100ms', records = 4, fan_out = {}, failover = '300ms' }}\n",
        1 + genes.below(3),
        genes.pick(TIMES),
        genes.pick(&["true", "false"]),
    ));
    tables.push(format!(
        "[stream.kaf]\nregion = '{}'\nkind.kafka = {{ partitions = {}, acks = '{}', linger = '{}', min_insync = 2 }}\n",
        genes.pick(&["near", "off"]),
        1 + genes.below(4),
        genes.pick(&["none", "leader", "all"]),
        genes.pick(&["0s", "10ms"]),
    ));
    tables.push(format!(
        "[consumer.kaf]\nstream = 'kaf'\nmembers = {}\nwork = {}\nfail = '5%'\nkafka = {{ client = 'java', assignor = '{}', instance_id = {}, fetch = {}, heartbeat = '100ms', session = '400ms', poll = '900ms' }}\n",
        1 + genes.below(3),
        genes.pick(TIMES),
        genes.pick(&["eager", "cooperative-sticky"]),
        genes.pick(&["true", "false"]),
        genes.pick(&["1", "20"]),
    ));
    tables.push(format!(
        "[service.fn]\nregion = 'near'\n[service.fn.function]\nmemory = '512MiB'\ninit = '40ms'\ntimeout = '{}'\nidle = '{}'\n{}",
        genes.pick(&["3s", "60ms"]),
        genes.pick(&["300ms", "1min"]),
        genes.pick(&["", "reserved = 2\n", "provisioned = 1\n"]),
    ));
}

/// What users do.
fn operations(genes: &mut Genes<'_>, tables: &mut Vec<String>) {
    for (name, cdn) in [("one", ""), ("two", "cdn = 'edge'\n"), ("three", "login = true\n")] {
        let steps: Vec<String> = (0..1 + genes.below(4)).map(|_| step(genes, 2)).collect();
        let after = if genes.below(3) == 0 { ", { cpu = '1ms' }" } else { "" };
        let status = genes.pick(&["200", "200", "503"]);
        tables.push(format!(
            "[operation.{name}]\nshare = {}\nservice = 'web'\n{cdn}flow = [{}, {{ reply = {{ bytes = '2KB', status = {status} }} }}{after}]\n",
            1 + genes.below(5),
            steps.join(", "),
        ));
    }
    // A dependency that lives as long as its request, and gives its connection back after the answer.
    tables.push(format!(
        "[operation.four]\nshare = {}\nservice = 'web'\nflow = [{{ transaction = {{ pool = 'pg', flow = [{}, {{ reply = '5KB' }}] }} }}]\n",
        genes.below(3),
        leaf(genes),
    ));
}

/// What a service calls another with.
const CLIENTS: &[&str] = &[
    "'open'",
    "'fetch'",
    "'requests'",
    "{ axios = { per_host = 1, keep_alive = '20ms' } }",
    "{ httpx = { max_connections = 1, pool_timeout = '30ms' } }",
    "{ okhttp = { max_connections = 2, per_host = 1 } }",
    "{ go = { per_host = 2, idle_per_host = 1 } }",
];

/// A step, with steps within it down to so many levels.
fn step(genes: &mut Genes<'_>, depth: u8) -> String {
    let time = genes.pick(TIMES);
    match genes.below(if depth > 0 { 18 } else { 12 }) {
        0 => format!("{{ cpu = {time} }}"),
        1 => format!("{{ wait = {time} }}"),
        2 => format!("{{ threads = {time} }}"),
        3 => format!("{{ query = {{ pool = 'pg', read = {time}, fail = '3%' }} }}"),
        4 => format!(
            "{{ query = {{ pool = 'pg', write = {time}, shard = '{}' }} }}",
            genes.pick(&["user", "all"])
        ),
        5 => format!("{{ scatter = {{ pool = 'pg', read = {time} }} }}"),
        6 => format!("{{ enqueue = {{ job = 'j', wait = {} }} }}", genes.pick(&["true", "false"])),
        7 => genes
            .pick(&["{ transfer = '3KB' }", "{ invalidate = { in = 'c', keys = 'k' } }"])
            .into(),
        8 => format!(
            "{{ session = {{ {} = {{ of = 's' }} }} }}",
            genes.pick(&["read", "save", "destroy"])
        ),
        9 => format!("{{ publish = '{}' }}", genes.pick(&["kin", "kaf"])),
        10 => format!("{{ query = {{ pool = 'pg', read = {time}, sorts = 2 }} }}"),
        11 => format!("{{ call = {{ service = 'fn', flow = [{{ cpu = {time} }}] }} }}"),
        12 => format!("{{ transaction = {{ pool = 'pg', flow = [{}] }} }}", leaf(genes)),
        13 => {
            let (flight, write) = (genes.pick(&["true", "false"]), genes.pick(&["true", "false"]));
            let ttl = genes.pick(&["", "ttl = '200ms', "]);
            format!(
                "{{ cache = {{ in = 'c', keys = 'k', {ttl}single_flight = {flight}, write = {write}, miss = [{}] }} }}",
                step(genes, depth - 1)
            )
        }
        14 => {
            format!("{{ parallel = [[{}], [{}]] }}", step(genes, depth - 1), step(genes, depth - 1))
        }
        15 => format!(
            "{{ choose = [{{ share = '30%', flow = [{}] }}, {{ share = '70%', flow = [] }}] }}",
            step(genes, depth - 1)
        ),
        16 => format!("{{ repeat = {{ times = 2, flow = [{}] }} }}", step(genes, depth - 1)),
        _ => format!(
            "{{ call = {{ service = 'api', client = {}, {}flow = [{{ cpu = {time} }}, {{ wait = '5ms' }}] }} }}",
            genes.pick(CLIENTS),
            genes.pick(&["", "timeout = '10ms', "])
        ),
    }
}

/// What changes while it runs: deploys, faults; and sockets, which are there for longer than a request.
fn changes(genes: &mut Genes<'_>, tables: &mut Vec<String>) {
    tables.push(format!(
        "[bulkhead.h]\nlimit.fixed = 3\nqueue = {{ size = 5, timeout = '{}' }}\n",
        genes.pick(&["50ms", "1s"])
    ));
    if genes.below(2) == 1 {
        tables.push(format!(
            "[deploy.v2]\nservice = 'web'\nat = '1500ms'\nstart = '300ms'\nhow = '{}'\non_sigterm = '{}'\n",
            genes.pick(&["ecs", "kubernetes", "blue-green"]),
            genes.pick(&["exit", "finish", "ignore"]),
        ));
    }
    if genes.below(2) == 1 {
        tables.push(format!(
            "[fault.f]\ntarget = '{}'\nwhat = '{}'\nat = '{}'\nfor = '{}'\n",
            genes.pick(&[
                "service.web",
                "database.db",
                "cache.shared",
                "consumer.kaf",
                "consumer.kin",
                "service.fn"
            ]),
            genes.pick(&["stop", "cut", "restart"]),
            genes.pick(&["1400ms", "2s"]),
            genes.pick(&["200ms", "1s"]),
        ));
    }
    if genes.below(3) == 1 {
        tables.push(format!(
            "[fault.broker]\ntarget = 'stream.kaf'\nwhat.broker-loss = {{ planned = {}, session = '200ms' }}\nat = '1600ms'\nfor = '600ms'\n",
            genes.pick(&["true", "false"]),
        ));
    }
    if genes.below(2) == 1 {
        tables.push(
            "[socket.ws]\nservice = 'web'\nconnections = 6\nopens = '10/s'\nlasts.exponential = '500ms'\n\
             messages = '20/s'\nroom = 3\n"
                .into(),
        );
    }
}

/// A step that holds no second connection.
fn leaf(genes: &mut Genes<'_>) -> String {
    let time = genes.pick(TIMES);
    match genes.below(3) {
        0 => format!("{{ wait = {time} }}"),
        1 => format!("{{ query = {{ pool = 'pg', write = {time}, fail = '3%' }} }}"),
        _ => format!("{{ cpu = {time} }}"),
    }
}

/// Parts that nothing uses, with names before and after those that are used.
const UNUSED: &str = "\
[service.aa]\nregion = 'off'\nworkers = 3\n[service.zz]\nregion = 'near'\n\
[database.aa]\nregion = 'off'\nreplicas = 1\n[database.zz]\nregion = 'near'\n\
[pool.aa]\nservice = 'aa'\ndatabase = 'aa'\n[pool.zz]\nservice = 'web'\ndatabase = 'zz'\n\
[cache.aa]\nregion = 'off'\n[cache.zz]\nkind = 'memory'\nservice = 'web'\n\
[keys.aa]\ncount = 7\n[keys.zz]\ncount = 7\n\
[session.aa]\nstore = { postgres = { own = { database = 'aa' } } }\n[session.zz]\nstore = { redis = { cache = 'aa' } }\n\
[limit.aa]\n[limit.zz]\n[guard.aa]\nwatch = 'service.aa.in_flight'\nlimit = 1\n\
[queue.aa]\n[job.aa]\nqueue = 'aa'\nwork = '1s'\n[queue.zz]\n[job.zz]\nqueue = 'zz'\nwork = '1s'\n\
[cdn.aa]\nkeys = 'aa'\n[link.aa]\nbandwidth = '1Mbit/s'\ncarries = 'service.aa'\n\
[balancer.aa]\nservice = 'aa'\n[price.aa]\nmonthly = '$1'\nwhat = 'nothing'\n";

fn compiled(tables: &[String], unused: &str) -> loadbearing::model::Model {
    let text = format!("version = 1\n{}{unused}", tables.concat());
    let loaded = load("any.toml", &[], &mut |_| Ok(text.clone()));
    let wrong = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert!(!wrong, "{}", render_plain(&loaded.diagnostics, &loaded.sources));
    compile(&loaded.topology.expect("nothing is wrong"))
}

fn balanced(outcome: &Outcome) {
    assert_eq!(outcome.audit.broken, Vec::<String>::new());
    assert_eq!(outcome.ended, Ended::Completed);
    let requests = &outcome.requests;
    let ended = requests.ok + requests.failed_all();
    assert_eq!(requests.in_flight_start + requests.offered, ended + requests.in_flight_end);
    assert_eq!(outcome.latency.count(), requests.ok);
    assert_eq!(outcome.failed_latency.count(), requests.failed_all());
    let mut end = outcome.windows[0].start;
    for window in &outcome.windows {
        assert!(window.start == end && window.end > end, "windows follow one another");
        end = window.end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 192,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_deployment_balances_and_is_the_same_again(
        genes in prop::collection::vec(any::<u8>(), 240),
        turn in 0..20usize,
    ) {
        let mut tables = deployment(&genes);
        let model = compiled(&tables, "");
        let outcome = replicate(&model, 0, &mut Unwatched);
        balanced(&outcome);
        let again = replicate(&model, 0, &mut Unwatched);
        prop_assert_eq!((again.digest, again.events), (outcome.digest, outcome.events));
        let reference = replicate_on_reference(&model, 0);
        prop_assert_eq!((reference.digest, reference.events), (outcome.digest, outcome.events));
        let unused = replicate(&compiled(&tables, UNUSED), 0, &mut Unwatched);
        balanced(&unused);
        prop_assert_eq!(unused.digest, outcome.digest, "unused parts mean something:\n{}", tables.concat());
        let turn = turn % tables.len();
        tables.rotate_left(turn);
        tables.reverse();
        let turned = replicate(&compiled(&tables, ""), 0, &mut Unwatched);
        prop_assert_eq!((turned.digest, turned.events), (outcome.digest, outcome.events));
        balanced(&replicate(&model, 1, &mut Unwatched));
    }
}
