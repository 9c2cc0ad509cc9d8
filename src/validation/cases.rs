//! The list.

use super::caches::{EARLY, EXPIRY, FIFO, LRU, ROOMY, SLIDING};
use super::products::{
    BULKHEAD, COMMANDS, CONTENTION, FUNCTION, IMPATIENT, LARGER_OVERFLOW, LATCH, LIMITER, OVERFLOW,
    WAVE,
};
use super::recoveries::{DRAIN, RETRIES, TRIAL, TRIALS, TWICE};
use super::{Case, Row};
use crate::result::Unit;
use crate::run::Counter;
use crate::theory::{
    ClosedNetwork, ClosedSolution, MachineRepair, Mg1, Mm1, Mmc, Mmck, OpenStation, Resource,
    cobham_waits_s, constant_patience_loss_ratio, erlang_b, fork_join_pair_mean_s,
    gim1_response_mean_s, jackson_response_mean_s, quantile_level_of_max, supermarket_response,
};

/// A case with the file of that name.
macro_rules! case {
    ($model:literal, $file:literal, $sets:expr, $rows:expr) => {
        case!($model, $file, $sets, $rows, within 0.0)
    };
    ($model:literal, $file:literal, $sets:expr, $rows:expr, within $share:literal) => {
        Case {
            model: $model,
            path: concat!("topologies/theory/", $file),
            text: include_str!(concat!("../../topologies/theory/", $file)),
            sets: $sets,
            within: $share,
            rows: $rows,
        }
    };
}

/// Everything that the command `theory` shows.
pub const CASES: &[Case] = &[
    case!("M/M/1: an event loop, 80 % busy", "loop.toml", &[], MM1),
    case!(
        "M/D/1: the same at 60 %, constant work",
        "loop.toml",
        &["arrivals.rate=600/s", "operation.ask.flow=[{ cpu = \"1ms\" }]"],
        &[pollaczek_khinchine(|s| mg1(600.0, 1e-3 * s, 0.0).wait_mean_s())]
    ),
    case!(
        "M/G/1: lognormal work, coefficient of variation 2",
        "loop.toml",
        &[
            "arrivals.rate=600/s",
            "operation.ask.flow=[{ cpu.lognormal = { mean = \"1ms\", cv = 2 } }]",
        ],
        &[pollaczek_khinchine(|s| mg1(600.0, 1e-3 * s, 4.0).wait_mean_s())]
    ),
    case!(
        "M/G/1: hyperexponential work, coefficient of variation 2",
        "loop.toml",
        &[
            "arrivals.rate=600/s",
            "operation.ask.flow=[{ cpu.hyperexponential = { mean = \"1ms\", cv = 2 } }]",
        ],
        &[pollaczek_khinchine(|s| mg1(600.0, 1e-3 * s, 4.0).wait_mean_s())]
    ),
    case!(
        "M/G/1: one request in a hundred blocks the loop for 40 ms",
        "blocked.toml",
        &[],
        &[pollaczek_khinchine(blocked_wait_s)]
    ),
    case!("E4/M/1: round robin over four loops", "rotation.toml", &[], ROTATION),
    case!("M/M/15: a pool of connections, 93 % busy", "pool.toml", &[], POOL),
    case!(
        "M/M/20+D: a pool with an acquire timeout, at 120 % of what it carries",
        "pool.toml",
        &[
            "pool.pg.size=20",
            "pool.pg.min=20",
            "pool.pg.acquire_timeout=20ms",
            "arrivals.rate=1200/s",
            "operation.ask.flow=[{ query = { pool = \"pg\", read.exponential = \"20ms\" } }]",
            "run.duration=60s",
        ],
        TIMEOUT
    ),
    case!(
        "M/G/15, approximately: the same, lognormal with coefficient of variation 2",
        "pool.toml",
        &[
            "operation.ask.flow=[{query = {pool = \"pg\", \
                read.lognormal = {mean = \"100ms\", cv = 2}}}]",
        ],
        &[allen_cunneen(|s| mmc(15, 140.0, 0.1 * s).wait_mean_with_variation_s(1.0, 4.0))],
        within 0.1
    ),
    case!(
        "D/M/15, approximately: evenly spaced arrivals",
        "pool.toml",
        &["arrivals.process=even"],
        &[allen_cunneen(|s| mmc(15, 140.0, 0.1 * s).wait_mean_with_variation_s(0.0, 1.0))],
        within 0.2
    ),
    case!(
        "M/M/20+M: the same, fully busy, left by who has waited 10 s on average",
        "pool.toml",
        &[
            "pool.pg.size=20",
            "pool.pg.min=20",
            "client.patience.exponential=10s",
            "service.web.cancel_waiting=true",
            "arrivals.rate=1000/s",
            "operation.ask.flow=[{ query = { pool = \"pg\", read.exponential = \"20ms\" } }]",
            "run.warmup=30s",
            "run.duration=50s",
        ],
        IMPATIENT
    ),
    case!("M/M/20: a pooler's connections to the server, 90 % busy", "pooler.toml", &[], POOLER),
    case!("A pool of 5 kept connections and 10 of overflow", "overflow.toml", &[], OVERFLOW),
    case!(
        "A pool of 20 kept connections and 30 of overflow",
        "overflow.toml",
        &[
            "pool.pg.size=20",
            "pool.pg.driver.sqlalchemy.max_overflow=30",
            "arrivals.rate=300/s",
            "run.duration=200s",
        ],
        LARGER_OVERFLOW
    ),
    case!("M/G/infinity: a delay, lognormal", "delay.toml", &[], DELAY),
    case!("M/M/4/10: a bounded service at 125 % of what it carries", "bounded.toml", &[], BOUNDED),
    case!("M_t/M/infinity: a delay under a rate that comes and goes", "wave.toml", &[], WAVE),
    case!("M/G/17/17: a guard on the busy connections of a pool", "guard.toml", &[], GUARD),
    case!(
        "The latch of a guard on open connections, at the seventeenth",
        "guard.toml",
        &[
            "guard.connections.watch=pool.pg.total",
            "arrivals.rate=500/s",
            "operation.ask.flow=[{ query = { pool = \"pg\", read.exponential = \"20ms\" } }]",
            "pool.pg.min=0",
            "pool.pg.idle_timeout=1h",
            "database.main.connect=0ms",
            "run.start.pools=empty",
            "run.warmup=0s",
            "run.duration=8s",
            "run.replications=400",
        ],
        LATCH
    ),
    case!("M/G/17/17: a bulkhead of 17 places", "bulkhead.toml", &[], BULKHEAD),
    case!("M/G/20/20: a function at its reserved concurrency", "function.toml", &[], FUNCTION),
    case!("Windows of a limiter: 25 in 10 s, 25 asked for", "limiter.toml", &[], LIMITER),
    case!("M/D/1: commands at a Redis server, 60 % busy", "commands.toml", &[], COMMANDS),
    case!("M/M/4: libuv's threads, 80 % busy", "threads.toml", &[], THREADS),
    case!("M/M/1 with three priorities: jobs on one handler", "priorities.toml", &[], PRIORITIES),
    case!("Fork and join: two statements side by side", "fork.toml", &[], FORK),
    case!("Fan-out: the slowest of eight shards", "scatter.toml", &[], SCATTER),
    case!(
        "M/D/1-PS: statements share one core, constant work",
        "shared.toml",
        &[],
        &[processor_sharing()]
    ),
    case!(
        "M/G/1-PS: the same, lognormal with coefficient of variation 2",
        "shared.toml",
        &["operation.ask.flow=[{query = {pool = \"pg\", \
            read.lognormal = {mean = \"1ms\", cv = 2}}}]"],
        &[processor_sharing()]
    ),
    case!(
        "M/G/1-PS: statements share a machine with others",
        "machine.toml",
        &[],
        &[Row {
            figure: "mean response",
            formula: "S / (1 - rho), rho of both",
            source: "Sakata, Noguchi and Oizumi 1971",
            unit: Unit::Seconds,
            observe: |it| it.latency_mean_s(),
            theory: |s| 1e-3 * s / (1.0 - 0.4 * s - 0.2),
            teeth: 0.05,
        }]
    ),
    case!(
        "Universal scalability law: eight statements at once",
        "contention.toml",
        &[],
        CONTENTION
    ),
    case!("M/M/1 behind a delay: the lag of a replica", "replica.toml", &[], REPLICA),
    case!(
        "Jackson network: a pool, a shared core and threads in tandem",
        "tandem.toml",
        &[],
        TANDEM
    ),
    case!("Machine repair: 165 users of a pool of 15", "users.toml", &[], MACHINE_REPAIR),
    case!("Closed network: 40 users of threads, a pool and cores", "cycle.toml", &[], CYCLE),
    case!("Supermarket model: the better of two among 1,000 loops", "farm.toml", &[], SUPERMARKET),
    case!(
        "Random choice among 1,000 loops",
        "farm.toml",
        &["arrivals.rate=80000/s", "balancer.front.policy=random"],
        RANDOM_CHOICE
    ),
    case!("Retries: 30 % fail, three more attempts", "retries.toml", &[], RETRIES),
    case!("A breaker that tries one call, and opens again if it fails", "breaker.toml", &[], TRIAL),
    case!(
        "The same with ten calls, of which half may not fail",
        "breaker.toml",
        &["breaker.b.product.resilience4j.volume=10", "breaker.b.product.resilience4j.trials=10",],
        TRIALS
    ),
    case!("A lock that is not renewed: jobs that are done twice", "lock.toml", &[], TWICE),
    case!("M/D/1 from a backlog of 300: a group catches up", "backlog.toml", &[], DRAIN),
    case!("LRU cache: 10,000 of 100,000 keys", "cache.toml", &[], LRU),
    case!("FIFO cache: the same keys", "cache.toml", &["cache.store.eviction=fifo"], FIFO),
    case!(
        "LRU cache: 50,000 of 100,000 keys",
        "cache.toml",
        &["cache.store.max_entries=50_000", "run.warmup=2s", "run.duration=20s"],
        ROOMY
    ),
    case!(
        "Random eviction: as FIFO",
        "cache.toml",
        &["cache.store.eviction=allkeys-random", "run.warmup=2s", "run.duration=20s"],
        FIFO
    ),
    case!("Cache with a time to live, not renewed by hits", "expiry.toml", &[], EXPIRY),
    case!(
        "Cache with a time to live, renewed by hits",
        "expiry.toml",
        &[
            "operation.ask.flow=[{cache={in=\"store\",keys=\"things\",miss=[],ttl=\"500ms\",sliding=true}}]"
        ],
        SLIDING
    ),
    case!("X-Fetch: values that are loaded anew before their end", "early.toml", &[], EARLY),
];

const MM1: &[Row] = &[
    Row {
        figure: "mean response",
        formula: "S / (1 - rho)",
        source: "Kleinrock 1975",
        unit: Unit::Seconds,
        observe: |it| it.latency_mean_s(),
        theory: |s| mm1(800.0, 1e-3 * s).response_mean_s(),
        teeth: 0.03,
    },
    Row {
        figure: "p95 response",
        formula: "-ln(1 - 0.95) S / (1 - rho)",
        source: "Kleinrock 1975",
        unit: Unit::Seconds,
        observe: |it| it.latency_quantile_s(0.95),
        theory: |s| mm1(800.0, 1e-3 * s).response_quantile_s(0.95),
        teeth: 0.04,
    },
];

const ROTATION: &[Row] = &[Row {
    figure: "mean response",
    formula: "S / (1 - x), x = A*((1 - x) / S)",
    source: "Kendall 1953",
    unit: Unit::Seconds,
    observe: |it| it.latency_mean_s(),
    theory: |s| gim1_response_mean_s(1e-3 * s, |at| libm::pow(3_200.0 / (3_200.0 + at), 4.0)),
    teeth: 0.03,
}];

const POOL: &[Row] = &[
    Row {
        figure: "who waits",
        formula: "C = B / (1 - rho (1 - B))",
        source: "Erlang 1917",
        unit: Unit::Ratio,
        observe: |it| it.waited("pool.pg"),
        theory: |s| mmc(15, 140.0, 0.1 * s).wait_probability(),
        teeth: 0.03,
    },
    Row {
        figure: "mean wait",
        formula: "C S / (c (1 - rho))",
        source: "Erlang 1917",
        unit: Unit::Seconds,
        observe: |it| it.wait_mean_s("pool.pg"),
        theory: |s| mmc(15, 140.0, 0.1 * s).wait_mean_s(),
        teeth: 0.04,
    },
    Row {
        figure: "p95 response",
        formula: "P(wait + service > t) = 0.05",
        source: "Erlang 1917",
        unit: Unit::Seconds,
        observe: |it| it.latency_quantile_s(0.95),
        theory: |s| mmc(15, 140.0, 0.1 * s).response_quantile_s(0.95),
        teeth: 0.03,
    },
];

const POOLER: &[Row] = &[Row {
    figure: "mean wait",
    formula: "C S / (c (1 - rho))",
    source: "Erlang 1917",
    unit: Unit::Seconds,
    observe: |it| it.wait_mean_s("pooler.bouncer"),
    theory: |s| mmc(20, 900.0, 0.02 * s).wait_mean_s(),
    teeth: 0.03,
}];

const DELAY: &[Row] = &[Row {
    figure: "in flight",
    formula: "lambda S, whatever the law",
    source: "Khinchine 1955; Mirasol 1963",
    unit: Unit::Count,
    observe: |it| it.outcome.requests.in_flight_mean,
    theory: |s| 100.0 * 0.2 * s,
    teeth: 0.03,
}];

const TIMEOUT: &[Row] = &[Row {
    figure: "timed out",
    formula: "P(work found > D)",
    source: "Baccelli and Hebuterne 1981",
    unit: Unit::Ratio,
    observe: |it| it.failed_ratio(),
    theory: |s| constant_patience_loss_ratio(mmc(20, 1_200.0, 0.02 * s), 0.02),
    teeth: 0.03,
}];

const BOUNDED: &[Row] = &[
    Row {
        figure: "turned away",
        formula: "P(10 in the system)",
        source: "Kleinrock 1975",
        unit: Unit::Ratio,
        observe: |it| it.ratio("service.web", Counter::Refused, Counter::Arrivals),
        theory: |s| bounded(s).loss_ratio(),
        teeth: 0.03,
    },
    Row {
        figure: "mean response",
        formula: "L / (lambda (1 - loss))",
        source: "Little 1961",
        unit: Unit::Seconds,
        observe: |it| it.latency_mean_s(),
        theory: |s| bounded(s).response_mean_s(),
        teeth: 0.03,
    },
];

const GUARD: &[Row] = &[Row {
    figure: "turned away",
    formula: "Erlang B, whatever the law",
    source: "Erlang 1917; Sevastyanov 1957",
    unit: Unit::Ratio,
    observe: |it| it.ratio("guard.connections", Counter::Rejected, Counter::Arrivals),
    theory: |s| erlang_b(17, 15.0 * s),
    teeth: 0.03,
}];

const THREADS: &[Row] = &[
    Row {
        figure: "mean response",
        formula: "S + C S / (c (1 - rho))",
        source: "Erlang 1917",
        unit: Unit::Seconds,
        observe: |it| it.latency_mean_s(),
        theory: |s| mmc(4, 320.0, 10e-3 * s).response_mean_s(),
        teeth: 0.03,
    },
    Row {
        figure: "who waits",
        formula: "C = B / (1 - rho (1 - B))",
        source: "Erlang 1917",
        unit: Unit::Ratio,
        observe: |it| it.waited("service.web.threads"),
        theory: |s| mmc(4, 320.0, 10e-3 * s).wait_probability(),
        teeth: 0.03,
    },
];

const PRIORITIES: &[Row] = &[
    Row {
        figure: "mean, foremost",
        formula: "S + W0 / (1 - s1)",
        source: "Cobham 1954",
        unit: Unit::Seconds,
        observe: |it| it.operation_mean_s("first"),
        theory: |s| cobham(s, 0),
        teeth: 0.03,
    },
    Row {
        figure: "mean, last",
        formula: "S + W0 / ((1 - s2) (1 - s3))",
        source: "Cobham 1954",
        unit: Unit::Seconds,
        observe: |it| it.operation_mean_s("last"),
        theory: |s| cobham(s, 2),
        teeth: 0.03,
    },
];

const FORK: &[Row] = &[Row {
    figure: "mean response",
    formula: "(12 - rho) / 8 S / (1 - rho)",
    source: "Nelson and Tantawi 1988",
    unit: Unit::Seconds,
    observe: |it| it.latency_mean_s(),
    theory: |s| fork_join_pair_mean_s(mm1(70.0, 10e-3 * s)),
    teeth: 0.03,
}];

const SCATTER: &[Row] = &[Row {
    figure: "p99 response",
    formula: "F(t)^8 = 0.99",
    source: "Dean and Barroso 2013",
    unit: Unit::Seconds,
    observe: |it| it.latency_quantile_s(0.99),
    theory: |s| -10e-3 * s * libm::log1p(-quantile_level_of_max(0.99, 8)),
    teeth: 0.03,
}];

const REPLICA: &[Row] = &[Row {
    figure: "mean lag",
    formula: "5 ms + S / (1 - rho)",
    source: "Burke 1956; Kleinrock 1975",
    unit: Unit::Seconds,
    observe: |it| it.replica_lag_s("database.main.replicas"),
    theory: |s| 5e-3 + mm1(300.0, 2e-3 * s).response_mean_s(),
    teeth: 0.05,
}];

const TANDEM: &[Row] = &[Row {
    figure: "mean response",
    formula: "the sum of each alone",
    source: "Jackson 1957",
    unit: Unit::Seconds,
    observe: |it| it.latency_mean_s(),
    theory: |s| {
        let station = |servers, service_s: f64| OpenStation {
            visits: 1.0,
            servers,
            service_s: service_s * s,
        };
        jackson_response_mean_s(200.0, &[station(3, 12e-3), station(1, 3.5e-3), station(4, 15e-3)])
    },
    teeth: 0.03,
}];

const MACHINE_REPAIR: &[Row] = &[
    Row {
        figure: "throughput",
        formula: "X = E[busy] / S, birth and death",
        source: "Palm 1947",
        unit: Unit::PerSecond,
        observe: |it| it.throughput_per_s(),
        theory: |s| machine_repair(s).throughput_per_s(),
        teeth: 0.06,
    },
    Row {
        figure: "mean response",
        formula: "N / X - Z",
        source: "Denning and Buzen 1978",
        unit: Unit::Seconds,
        observe: |it| it.latency_mean_s(),
        theory: |s| machine_repair(s).response_mean_s(),
        teeth: 0.04,
    },
];

const CYCLE: &[Row] = &[
    Row {
        figure: "throughput",
        formula: "X = G(N - 1) / G(N)",
        source: "Buzen 1973; Baskett et al. 1975",
        unit: Unit::PerSecond,
        observe: |it| it.throughput_per_s(),
        theory: |s| cycle(s).throughput_per_s,
        teeth: 0.06,
    },
    Row {
        figure: "mean response",
        formula: "N / X - Z",
        source: "Buzen 1973; Baskett et al. 1975",
        unit: Unit::Seconds,
        observe: |it| it.latency_mean_s(),
        theory: |s| cycle(s).response_mean_s,
        teeth: 0.03,
    },
];

const SUPERMARKET: &[Row] = &[Row {
    figure: "mean response",
    formula: "S sum of rho^(2^i - 2), i >= 1",
    source: "Vvedenskaya et al. 1996",
    unit: Unit::Seconds,
    observe: |it| it.latency_mean_s(),
    theory: |s| 10e-3 * s * supermarket_response(0.9 * s, 2),
    teeth: 0.02,
}];

const RANDOM_CHOICE: &[Row] = &[Row {
    figure: "mean response",
    formula: "S / (1 - rho)",
    source: "Kleinrock 1975",
    unit: Unit::Seconds,
    observe: |it| it.latency_mean_s(),
    theory: |s| mm1(80.0, 10e-3 * s).response_mean_s(),
    teeth: 0.03,
}];

const fn pollaczek_khinchine(theory: fn(f64) -> f64) -> Row {
    Row {
        figure: "mean wait",
        formula: "lambda E[S^2] / (2 (1 - rho))",
        source: "Pollaczek 1930; Khinchine 1932",
        unit: Unit::Seconds,
        observe: |it| it.wait_mean_s("service.web"),
        theory,
        teeth: 0.05,
    }
}

const fn allen_cunneen(theory: fn(f64) -> f64) -> Row {
    Row {
        figure: "mean wait",
        formula: "~ M/M/c (ca2 + cs2) / 2",
        source: "Kingman 1961; Allen and Cunneen 1978",
        unit: Unit::Seconds,
        observe: |it| it.wait_mean_s("pool.pg"),
        theory,
        teeth: 0.03,
    }
}

const fn processor_sharing() -> Row {
    Row {
        figure: "mean response",
        formula: "S / (1 - rho), whatever the law",
        source: "Sakata, Noguchi and Oizumi 1971",
        unit: Unit::Seconds,
        observe: |it| it.latency_mean_s(),
        theory: |s| mg1(600.0, 1e-3 * s, 1.0).sharing_response_mean_s(),
        teeth: 0.03,
    }
}

fn mm1(arrival_rate_per_s: f64, service_s: f64) -> Mm1 {
    Mm1 { arrival_rate_per_s, service_s }
}

fn mg1(arrival_rate_per_s: f64, service_s: f64, service_scv: f64) -> Mg1 {
    Mg1 { arrival_rate_per_s, service_s, service_scv }
}

fn mmc(servers: u32, arrival_rate_per_s: f64, service_s: f64) -> Mmc {
    Mmc { servers, arrival_rate_per_s, service_s }
}

/// 99 requests of 1 ms and one of 40 ms.
fn blocked_wait_s(stretch: f64) -> f64 {
    let (mean, square) = (0.99e-3 + 0.01 * 40e-3, 0.99e-6 + 0.01 * 1.6e-3);
    mg1(400.0, mean * stretch, square / (mean * mean) - 1.0).wait_mean_s()
}

fn bounded(stretch: f64) -> Mmck {
    Mmck { station: mmc(4, 500.0, 10e-3 * stretch), capacity: 10 }
}

fn cobham(stretch: f64, class: usize) -> f64 {
    let service_s = 10e-3 * stretch;
    let station = mmc(1, 80.0, service_s);
    let residual_s = station.wait_probability() * service_s;
    cobham_waits_s(residual_s, &[station.utilisation() / 3.0; 3])[class] + service_s
}

fn machine_repair(stretch: f64) -> MachineRepair {
    MachineRepair { users: 165, think_s: 1.0, servers: 15, service_s: 0.1 * stretch }
}

fn cycle(stretch: f64) -> ClosedSolution {
    let resources = vec![
        Resource { servers: 4, demand_s: 0.060 * stretch },
        Resource { servers: 15, demand_s: 0.200 * stretch },
        Resource { servers: 2, demand_s: 0.040 * stretch },
    ];
    ClosedNetwork { think_s: 0.5, resources }.solve(40)
}
