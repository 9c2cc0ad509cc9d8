//! Do summaries say what the runs measured, and what theory says follows from it?

use loadbearing::model::demand::demand;
use loadbearing::model::{Model, compile};
use loadbearing::result::{Summary, compare};
use loadbearing::run::{Ended, Outcome, Unwatched, replicate};
use loadbearing::topology::load;

/// A single event loop with a database of three cores behind it, and so many connections that nobody
/// waits for one; RATE and the mean work CPU are filled in.
const TANDEM: &str = r#"
version = 1
[run]
warmup = "10s"
duration = "60s"
replications = 4
[arrivals]
rate = "RATE"
[service.web]
price = "$73"
[pool.pg]
service = "web"
database = "main"
size = 16_000
[database.main]
rtt = "0ms"
connect = "0ms"
cores = 3
max_connections = 60_000
[link.out]
bandwidth = "100Gbit/s"
carries = "service.web"
price = { per_gb = "$0.09" }
[operation.browse]
share = 1
flow = [{ cpu.exponential = "CPU" }, { query = { pool = "pg", read.exponential = "10ms" } }, { reply = "10KB" }]
"#;

fn model(rate: &str, cpu: &str, more: &str) -> Model {
    let text = TANDEM.replace("RATE", rate).replace("CPU", cpu) + more;
    let loaded = load("tandem.toml", &[], &mut |_| Ok(text.clone()));
    compile(&loaded.topology.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics)))
}

fn outcomes(model: &Model) -> Vec<Outcome> {
    (0..model.plan.replications).map(|number| replicate(model, number, &mut Unwatched)).collect()
}

fn slugs(summary: &Summary) -> Vec<&str> {
    summary.warnings.iter().map(|warning| warning.slug).collect()
}

#[test]
fn the_parts_of_a_serial_flow_add_up_to_its_latency() {
    let model = model("150/s", "4ms", "");
    let summary = Summary::new(&model, &outcomes(&model));
    let found = &summary.attribution;
    let parts: f64 = found.parts.iter().map(|part| part.mean_s()).sum();
    assert!((parts / found.mean_s - 1.0).abs() < 1e-9, "{parts} of {}", found.mean_s);
    let slowest: f64 = found.parts.iter().map(|part| part.slowest_s()).sum();
    assert!((slowest / found.slowest_s - 1.0).abs() < 1e-9);
    assert!(found.slowest_s > 3.0 * found.mean_s, "the slowest are slow");
}

#[test]
fn below_saturation_limits_follow_from_utilisation() {
    // 150/s: the loop computes 4 ms of each (0.6), three cores 10 ms (0.5).
    let model = model("150/s", "4ms", "");
    let summary = Summary::new(&model, &outcomes(&model));
    let order: Vec<(&str, f64)> = summary
        .saturation
        .order
        .iter()
        .map(|bearing| (bearing.component.as_str(), bearing.load_factor.at_100))
        .collect();
    assert_eq!(order[0].0, "service.web");
    assert!((order[0].1 - 1.0 / 0.6).abs() < 0.05, "{order:?}");
    assert!((order[1].1 - 1.0 / 0.5).abs() < 0.06, "{order:?}");
    assert!(summary.saturation.order.iter().all(|bearing| !bearing.saturated_now));
    assert!(slugs(&summary).is_empty(), "{:?}", summary.warnings);
}

#[test]
fn above_saturation_limits_follow_from_demands() {
    // 500/s, of which the loop computes 250/s: the database sees half of the load and is 83 % busy,
    // yet at the full load it would be full too, from 300/s on.
    let model = model("500/s", "4ms", "");
    let summary = Summary::new(&model, &outcomes(&model));
    let [web, other] = &summary.saturation.order[..2] else { panic!("two components at least") };
    assert!(web.component == "service.web" && web.saturated_now);
    assert!((web.load_factor.at_100 - 0.5).abs() < 0.01, "{web:?}");
    assert!(!other.saturated_now && (other.load_factor.at_100 - 0.6).abs() < 0.01, "{other:?}");
    assert!(slugs(&summary).contains(&"not-stationary"), "{:?}", summary.warnings);
    let growth = summary.warnings.iter().find(|it| it.slug == "not-stationary");
    // 250/s more come than are computed; more than those stay, because answers of the database
    // stand in the same line.
    let words = &growth.expect("found above").message;
    let rate = words.rsplit(' ').next().and_then(|word| word.strip_suffix("/s"));
    let rate: f64 = rate.and_then(|rate| rate.parse().ok()).unwrap_or_else(|| panic!("{words}"));
    assert!((250.0..500.0).contains(&rate), "{rate}");
}

#[test]
fn a_load_that_changes_by_itself_is_not_called_unstable() {
    let rising = "[[arrivals.stages]]\nfor = \"70s\"\nto = \"200/s\"\n";
    let model = model("50/s", "4ms", rising);
    let summary = Summary::new(&model, &outcomes(&model));
    assert!(!slugs(&summary).contains(&"not-stationary"), "{:?}", summary.warnings);
}

#[test]
fn seeds_that_disagree_give_a_share_of_collapse() {
    let model = model("150/s", "4ms", "");
    let mut outcomes = outcomes(&model);
    outcomes[2].ended = Ended::EventLimit;
    let summary = Summary::new(&model, &outcomes);
    let found = summary.warnings.iter().find(|warning| warning.slug == "seeds-disagree");
    let message = &found.expect("one of four collapses").message;
    assert!(
        message.starts_with("seeds disagree: 1 of 4 replications collapse (25 %, 0.631 to 80.6 %)"),
        "{message}"
    );
    assert!(slugs(&summary).contains(&"ended-early"));
}

#[test]
fn a_start_from_empty_that_lasts_beyond_the_warm_up_is_found() {
    // At 98 % it takes minutes until the queue is as long as it will be.
    let short = "[run.start]\npools = \"empty\"\n";
    let mut model = model("245/s", "4ms", short);
    model.plan.warmup = loadbearing::units::Duration::ZERO;
    model.plan.duration = loadbearing::units::Duration::secs(600);
    model.plan.replications = 8;
    let summary = Summary::new(&model, &outcomes(&model));
    assert!(slugs(&summary).contains(&"short-warm-up"), "{:?}", summary.warnings);
}

#[test]
fn a_run_that_is_too_short_to_judge_its_warm_up_says_so() {
    let seconds = loadbearing::units::Duration::secs;
    let mut model = model("100/s", "1ms", "");
    let mut told = |warmup: u64, duration: u64| {
        (model.plan.warmup, model.plan.duration) = (seconds(warmup), seconds(duration));
        let summary = Summary::new(&model, &outcomes(&model));
        let found = summary.warnings.iter().find(|it| it.slug == "warm-up-unknown");
        found.map(|it| it.message.clone())
    };
    let message = told(9, 50).expect("59 steps are too few");
    assert!(message.contains("needs 60 steps of the timeline, there are 59"), "{message}");
    assert_eq!(told(10, 50), None, "60 steps are enough");
    // A latency that falls to the end, as while a cache fills.
    (model.plan.warmup, model.plan.duration) = (seconds(10), seconds(90));
    let mut falling = outcomes(&model);
    for outcome in &mut falling {
        for (step, window) in outcome.windows.iter_mut().enumerate() {
            let noise = f64::from(u8::from(step.is_multiple_of(2))) / 10.0;
            window.latency_mean_s = Some(2.0 - step as f64 / 100.0 + noise);
        }
    }
    let summary = Summary::new(&model, &falling);
    let found = summary.warnings.iter().find(|it| it.slug == "warm-up-unknown");
    assert!(found.is_some_and(|it| it.message.contains("still changes")), "{:?}", summary.warnings);
}

#[test]
fn money_follows_units_and_traffic() {
    let model = model("100/s", "1ms", "");
    let outcomes = outcomes(&model);
    let summary = Summary::new(&model, &outcomes);
    let requests = summary.estimate("throughput_per_s").estimate.expect("measured");
    let expected = 73.0 + 0.09 * requests * 730.0 * 3_600.0 * 10e3 / 1e9;
    let month = summary.estimate("cost_month").estimate.expect("prices are stated");
    // Answers on their way at either end of the measured time are paid or not.
    assert!((month / expected - 1.0).abs() < 1e-3, "{month} for {expected}");
    let lines: f64 = summary.costs.iter().map(|line| line.dollars_month).sum();
    assert!((lines / month - 1.0).abs() < 1e-9);
}

#[test]
fn only_replications_that_both_have_are_compared() {
    let model = model("150/s", "4ms", "");
    let all = outcomes(&model);
    let (whole, part) = (Summary::new(&model, &all), Summary::new(&model, &all[1..]));
    for difference in compare(&whole, &part) {
        assert_eq!(difference.pairs, 3);
        assert_eq!(
            difference.difference.low,
            Some(0.0),
            "{}: twins differ in nothing",
            difference.metric
        );
    }
    assert_ne!(whole.digest, part.digest);
    let mut turned = all.clone();
    turned.reverse();
    assert_ne!(Summary::new(&model, &turned).digest, whole.digest, "order is part of the digest");
}

/// What the formula and the run say of a component's mean wait (s).
fn beside(summary: &Summary, path: &str) -> (f64, f64) {
    let found = summary.closed_forms.iter().find(|it| it.component == path);
    let found = found.unwrap_or_else(|| panic!("no closed form for {path}"));
    (found.low, found.simulated.estimate.expect("it was measured"))
}

#[test]
fn closed_forms_stand_beside_what_was_simulated() {
    // The loop is M/M/1 of callbacks (one in, one back from the database, which computes nothing),
    // the database M/M/3-PS with the same mean as M/M/3; 1,200 waits a second over 240 s.
    let tandem = model("150/s", "4ms", "");
    let summary = Summary::new(&tandem, &outcomes(&tandem));
    for (path, within) in [("service.web", 0.10), ("database.main", 0.10)] {
        let (formula, simulated) = beside(&summary, path);
        assert!((simulated / formula - 1.0).abs() < within, "{path}: {simulated} for {formula}");
    }
    // Constant work of the same mean waits half as long: the formula reads the law of the file.
    let text =
        TANDEM.replace("RATE", "150/s").replace("cpu.exponential = \"CPU\"", "cpu = \"4ms\"");
    let loaded = load("tandem.toml", &[], &mut |_| Ok(text.clone()));
    let constant = compile(&loaded.topology.expect("sound"));
    let (formula, simulated) =
        beside(&Summary::new(&constant, &outcomes(&constant)), "service.web");
    assert!((simulated / formula - 1.0).abs() < 0.10, "{simulated} for {formula}");
    let (memoryless, _) = beside(&summary, "service.web");
    assert!((formula / memoryless - 0.5).abs() < 0.03, "{formula} beside {memoryless}");
}

/// The closed form of a component beside what a file of the theory simulates.
fn form_of(file: &str, path: &str, sets: &[&str]) -> Option<(String, &'static str, f64, f64)> {
    let text = std::fs::read_to_string(format!("topologies/theory/{file}")).expect("shipped");
    let all = [&["run.replications=4", "run.duration=60s"], sets].concat();
    let sets: Vec<String> = all.iter().map(|set| set.to_string()).collect();
    let loaded = load(file, &sets, &mut |_| Ok(text.clone()));
    let model = compile(&loaded.topology.expect("sound"));
    let summary = Summary::new(&model, &outcomes(&model));
    let found = summary.closed_forms.iter().find(|it| it.component == path)?;
    let simulated = found.simulated.estimate.expect("it was measured");
    Some((found.model.clone(), found.metric, found.low, simulated))
}

/// Each at its own file of the theory, at the seed of the file; and what has no formula gets none.
#[test]
fn losses_threads_jobs_and_machines_have_closed_forms() {
    const AWAY: &str = "turned_away_ratio";
    const WAIT: &str = "wait_s.mean";
    let patient = [
        "pool.pg.size=20",
        "pool.pg.min=20",
        "pool.pg.acquire_timeout=20ms",
        "arrivals.rate=1200/s",
        "operation.ask.flow=[{ query = { pool = \"pg\", read.exponential = \"20ms\" } }]",
    ];
    for (file, path, sets, model, metric, within) in [
        ("bulkhead.toml", "bulkhead.places", &[][..], "M/G/17/17", AWAY, 0.08),
        ("function.toml", "service.api.executions", &[], "M/G/20/20", AWAY, 0.15),
        ("pool.toml", "pool.pg", &patient, "M/M/20+D", AWAY, 0.05),
        ("threads.toml", "service.web.threads", &[], "M/M/4", WAIT, 0.15),
        ("priorities.toml", "queue.work", &[], "M/M/1", WAIT, 0.25),
        ("machine.toml", "host.vm", &[], "X D", "utilisation_ratio", 0.02),
    ] {
        let found = form_of(file, path, sets).unwrap_or_else(|| panic!("{file}: none for {path}"));
        let (name, of, formula, simulated) = found;
        assert_eq!((name.as_str(), of), (model, metric), "{file}");
        assert!((simulated / formula - 1.0).abs() < within, "{file}: {simulated} for {formula}");
    }
    // Who waits for a place is not lost as the formula says.
    let waits = form_of("pool.toml", "pool.pg", &[]).expect("Erlang's");
    assert_eq!((waits.0.as_str(), waits.1), ("M/M/15", WAIT));
}

/// Transactions keep a pooler's connections as long as their statements take: twenty servers, 90 % busy.
#[test]
fn a_pooler_has_erlangs_formula() {
    let text = include_str!("../topologies/theory/pooler.toml");
    let beside_pooler = |mode: &str| {
        let sets = ["run.replications=4", "run.duration=30s", mode].map(String::from);
        let loaded = load("pooler.toml", &sets, &mut |_| Ok(text.into()));
        let model = compile(&loaded.topology.expect("sound"));
        let summary = Summary::new(&model, &outcomes(&model));
        summary.closed_forms.iter().find(|it| it.component == "pooler.bouncer").cloned()
    };
    let form = beside_pooler("pooler.bouncer.mode=transaction").expect("it has one");
    // How long a transaction keeps a connection is measured, and no law is assumed of it.
    assert_eq!((form.model.as_str(), form.metric), ("M/G/20", "wait_s.mean"));
    let simulated = form.simulated.estimate.expect("measured");
    assert!((simulated / form.low - 1.0).abs() < 0.2, "{simulated} for {}", form.low);
    // In session mode a client keeps its connection: no formula of transactions holds.
    assert_eq!(beside_pooler("pooler.bouncer.mode=session"), None);
}

/// Jobs of a queue in Redis, at a rate at which some find an idle worker and some do not.
const QUEUED: &str = r#"
version = 1
[run]
warmup = "10s"
duration = "200s"
replications = 1
[arrivals]
rate = "100/s"
[service.web]
[service.workers]
instances = 2
[cache.redis]
rtt = "2ms"
[queue.own]
driver = "bullmq"
cache = "redis"
processes = 2
concurrency = 2
claim = "800us"
finish = "300us"
[queue.theirs]
driver = "bullmq"
cache = "redis"
service = "workers"
concurrency = 3
claim = "500us"
[job.a]
queue = "own"
work.exponential = "12ms"
cpu_share = "0%"
[job.b]
queue = "theirs"
flow = [{ wait.exponential = "15ms" }, { cpu = "1ms" }]
[operation.buy]
service = "web"
share = 1
flow = [{ enqueue = "a" }, { enqueue = "b" }]
"#;

/// Claims by idle workers, and the places of a queue whose jobs a service does, are foreseen.
#[test]
fn explain_foresees_what_jobs_ask_of_their_redis_and_of_their_places() {
    for (rate, sets) in
        [(100.0, &[][..]), (20.0, &["arrivals.rate=20/s"]), (150.0, &["arrivals.rate=150/s"])]
    {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let loaded = load("queued.toml", &sets, &mut |_| Ok(QUEUED.into()));
        let model =
            compile(&loaded.topology.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics)));
        let (asked, outcome) = (demand(&model, None), &outcomes(&model)[0]);
        for path in ["cache.redis", "queue.own", "queue.theirs", "service.workers"] {
            let found = model.stations.enumerate().find(|(_, it)| it.path == path).expect("there");
            let served = outcome.requests.ok as f64 / 200.0;
            let (foreseen, measured) =
                (asked.service_s[found.0] * served, outcome.stations[found.0].busy_mean);
            let near = (foreseen / measured - 1.0).abs() < 0.05;
            assert!(near, "{path} at {rate}/s: {foreseen} foreseen, {measured} measured");
        }
        // Few jobs find all places taken at a fifth of the load: claims are most of what Redis does.
        assert!(rate > 50.0 || asked.idle.iter().all(|idle| *idle > 0.95), "{:?}", asked.idle);
    }
}

/// A transaction with the application's own time in it, through a pooler.
const THROUGH: &str = r#"
version = 1
[run]
warmup = "10s"
duration = "200s"
replications = 1
[arrivals]
rate = "100/s"
[service.web]
[pool.pg]
service = "web"
database = "db"
through = "b"
size = 60
[pooler.b]
database = "db"
mode = "transaction"
size = 60
rtt = "2ms"
cpu = "200us"
[database.db]
rtt = "1ms"
cores = 64
[operation.buy]
share = 1
flow = [{ transaction = { pool = "pg", flow = [
  { query = { pool = "pg", read.exponential = "10ms" } },
  { wait.exponential = "15ms" },
  { query = { pool = "pg", write.exponential = "5ms" } },
] } }, { query = { pool = "pg", read.exponential = "10ms" } }]
"#;

/// What is said before a run of the connections that a pooler lends is what a run measures.
#[test]
fn explain_foresees_how_busy_a_pooler_is() {
    let beside = |path: &str, sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let loaded = load("through.toml", &sets, &mut |_| Ok(THROUGH.into()));
        let model = compile(&loaded.topology.expect("sound"));
        let found = model.stations.enumerate().find(|(_, it)| it.path == path).expect("there");
        let outcome = &outcomes(&model)[0];
        let foreseen = loadbearing::model::demand::demand(&model, None).service_s[found.0];
        let served = outcome.requests.ok as f64 / 200.0;
        (foreseen * served, outcome.stations[found.0].busy_mean)
    };
    let near = |(foreseen, measured): (f64, f64)| {
        assert!(
            (foreseen / measured - 1.0).abs() < 0.02,
            "{foreseen} foreseen, {measured} measured"
        );
        measured
    };
    let transactions = near(beside("pooler.b", &[]));
    // Its statements alone, as many answers and round trips behind it as there are: too few by far.
    let statements = 100.0 * (0.025 + 5.0 * 0.001 + 5.0 * 0.0001);
    assert!(statements / transactions < 0.6, "{statements} of {transactions}");
    near(beside("pooler.b.core", &[]));
    // A statement at a time keeps it for as long as the server has it.
    let plain = "operation.buy.flow=[{query={pool='pg', read.exponential='10ms'}}]";
    near(beside("pooler.b", &[plain]));
    near(beside("pooler.b", &[plain, "pool.pg.driver=psycopg"]));
    // In session mode the requests that find a connection to the server keep it, their own gaps
    // included: so many pass at most.
    let alone = "operation.buy.flow=[{transaction={pool='pg', flow=[\
                 {query={pool='pg', read='10ms'}}, {wait='15ms'}, {query={pool='pg', write='5ms'}}]}}]";
    let crowd = ["pooler.b.mode=session", "pool.pg.size=3", "arrivals.rate=200/s", alone];
    let (foreseen, _) = beside("pooler.b", &crowd);
    assert!((foreseen / 3.0 - 1.0).abs() < 0.02, "{foreseen} of 3 connections");
}

#[test]
fn a_pool_has_erlangs_formula_and_a_population_its_bounds() {
    let text = TANDEM
        .replace("size = 16_000", "size = 4")
        .replace(
            "[arrivals]\nrate = \"RATE\"",
            "[users]\npopulation = 300\nthink.exponential = \"1s\"",
        )
        .replace("cpu.exponential = \"CPU\"", "cpu = \"1us\"")
        .replace("cores = 3", "cores = 60");
    let loaded = load("pool.toml", &[], &mut |_| Ok(text.clone()));
    let pool = compile(&loaded.topology.expect("sound"));
    let summary = Summary::new(&pool, &outcomes(&pool));
    let (formula, simulated) = beside(&summary, "pool.pg");
    // Three hundred thinkers are nearly Poisson: a closed population waits a little less.
    assert!((0.75..1.0).contains(&(simulated / formula)), "{simulated} for {formula}");
    let bound = |metric: &str| summary.closed_forms.iter().find(|it| it.metric == metric).cloned();
    let most = bound("throughput_per_s").expect("a population");
    let ends = most.simulated.estimate.expect("measured");
    assert!(most.is_bound() && most.high.is_some_and(|high| ends < high * 1.005), "{most:?}");
    let least = bound("latency_s.mean").expect("a population");
    assert!((least.low - 0.010).abs() < 1e-4 && least.simulated.estimate > Some(least.low));
}

/// A cluster whose queue lies on one of three nodes, four shards of popular keys, six partitions with a
/// member each and with half as many members: the part that is asked most is full first, and says so
/// before and after a run. Here a job costs its Redis as much as a look-up, to be added.
#[test]
fn a_component_is_full_when_its_busiest_part_is() {
    const AROUND: &str = "version = 1\n[run]\nwarmup = '5s'\nduration = '60s'\nreplications = 2\n[arrivals]\nrate = '100/s'\n[service.web]\ncores = 4\nworkers = 4\n[operation.page]\n";
    const STREAM: &str = "flow = [{ publish = 's' }]\n[stream.s]\nkind.kafka = { partitions = 6, keys = 'k' }\n[keys.k]\ncount = 1_000\npopularity.zipf.exponent = 1.1\n[consumer.c]\nstream = 's'\nwork = '20ms'\n";
    let queue = "flow = [{ enqueue = 'j' }, { cache = { in = 'redis', keys = 'k' } }]\n[cache.redis]\nnodes = 3\nfailover = 'cluster'\ncommand = '1ms'\n[keys.k]\ncount = 9_000\n[queue.q]\ndriver = 'bullmq'\ncache = 'redis'\nprocesses = 50\nconcurrency = 20\nadd = '1ms'\nclaim = '0s'\nfinish = '0s'\n[job.j]\nqueue = 'q'\nwork = '1ms'\n";
    let shards = "flow = [{ query = { pool = 'pg', read = '2ms' } }]\n[pool.pg]\nservice = 'web'\ndatabase = 'main'\nsize = 50\n[database.main]\nshards = 4\ncores = 1\nshard_by.keys = 'k'\nmax_connections = 500\n[keys.k]\ncount = 1_000\npopularity.zipf.exponent = 1.3\n";
    let six = format!("{STREAM}members = 6\n");
    let three = format!("{STREAM}members = 3\n");
    let mut found = Vec::new();
    for (path, text) in [
        ("cache.redis", queue),
        ("database.main", shards),
        ("consumer.c", &six),
        ("consumer.c", &three),
    ] {
        let text = format!("{AROUND}{text}");
        let loaded = load("uneven.toml", &[], &mut |_| Ok(text.clone()));
        let model =
            compile(&loaded.topology.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics)));
        let summary = Summary::new(&model, &outcomes(&model));
        let bearing = summary.saturation.order.iter().find(|it| it.component == path);
        let bearing = bearing.expect("it works");
        let station = model.stations.ids().find(|id| model.stations[*id].path == path);
        let asked = demand(&model, None);
        let foreseen = asked.imbalance[station.expect("it is there")];
        let measured = bearing.imbalance_ratio;
        assert!(foreseen > 1.2, "{path} is asked unevenly: {foreseen}");
        assert!((measured / foreseen - 1.0).abs() < 0.05, "{path}: {measured} for {foreseen}");
        let full = asked.saturation(&model).into_iter().find(|(id, _)| Some(*id) == station);
        let full = full.expect("it works").1;
        let ratio = bearing.rate_per_s.at_100 / full;
        assert!((ratio - 1.0).abs() < 0.06, "{path} is full at {ratio} of {full}/s");
        found.push(foreseen);
    }
    // What waits has not been worked: overloaded, the busiest node is full and no more.
    let text = format!("{AROUND}{queue}").replace("100/s", "1000/s");
    let loaded = load("uneven.toml", &[], &mut |_| Ok(text.clone()));
    let model = compile(&loaded.topology.expect("sound"));
    let order = Summary::new(&model, &outcomes(&model)).saturation.order;
    let full = order.iter().find(|it| it.component == "cache.redis").expect("it works");
    assert!((0.98..=1.0).contains(&full.utilisation_ratio), "{}", full.utilisation_ratio);
    // Each page asks for a key of any node and adds a job to one: (1/3 + 1) of 2/3, where nothing misses.
    assert!((found[0] - 2.0).abs() < 0.05, "{found:?}");
    assert!(found[2] > found[3], "members with two partitions each are evener: {found:?}");
}

/// Two users come at once, five times a second, and each asks the only connection for 20 ms: one waits not at all,
/// the other 20 ms. Half of the operations fail.
#[test]
fn objectives_are_on_operations_and_on_components_by_themselves() {
    const PAIRS: &str = "version = 1\nrun = { warmup = '0s', duration = '60s', replications = 2 }\n[arrivals]\nrate = '5/s'\nprocess = 'even'\nbatch = 2\n[service.web]\n[pool.pg]\nservice = 'web'\ndatabase = 'main'\nsize = 1\n[database.main]\nrtt = '0ms'\nconnect = '0ms'\n[operation.quick]\nshare = 1\nflow = [{ query = { pool = 'pg', read = '20ms' } }]\n[operation.broken]\nshare = 1\nflow = [{ query = { pool = 'pg', read = '20ms' } }, { reply = { bytes = '1KB', status = 500 } }]\n";
    let objectives = [
        ("errors < 40%", false),
        ("errors(operation.quick) < 1%", true),
        ("errors(operation.broken) < 99%", false),
        ("throughput(operation.quick) > 4/s", true),
        ("p99(operation.quick) <= 41ms", true),
        ("latency_mean(operation.quick) < 29ms", false),
        ("latency_mean(operation.broken) < 1s", false),
        ("wait_mean(pool.pg) < 9.9ms", false),
        ("wait_mean(pool.pg) < 10.1ms", true),
        ("wait_max(pool.pg) < 20.1ms", true),
        ("wait_p50(pool.pg) < 0.1ms", true),
    ];
    let texts: Vec<&str> = objectives.iter().map(|(text, _)| *text).collect();
    let sets = [format!("objectives={texts:?}")];
    let loaded = load("pairs.toml", &sets, &mut |_| Ok(PAIRS.to_string()));
    let model = compile(&loaded.topology.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics)));
    let summary = Summary::new(&model, &outcomes(&model));
    for ((text, met), verdict) in objectives.into_iter().zip(&summary.verdicts) {
        assert_eq!((verdict.objective.as_str(), verdict.met), (text, met), "{:?}", verdict.value);
    }
    let value = |number: usize| summary.verdicts[number].value.estimate;
    assert_eq!((value(1), value(2)), (Some(0.0), Some(1.0)));
    assert_eq!(value(6), None, "nothing of it ended well");
    let names: Vec<&str> = summary.verdicts.iter().map(|verdict| verdict.metric.as_str()).collect();
    assert_eq!(names[1], "operation.quick.failed_ratio");
    assert_eq!(names[9], "pool.pg.wait_max_s");
}

#[test]
fn what_bounds_beginnings_threads_and_targets_are_full_where_they_say() {
    // An execution of a function stands for ten requests a second, however short they are; a limiter lets ten
    // jobs a second start, however many workers there are; forty threads wait for 100 ms each.
    for (path, full, rate, text) in [
        (
            "service.web.executions",
            100.0,
            "60/s",
            "[service.web.function]\nreserved = 10\n[operation.page]\nflow = [{ wait = '5ms' }]\n",
        ),
        (
            "queue.q",
            10.0,
            "6/s",
            "[service.web]\n[queue.q]\nconcurrency = 50\nlimiter = { max = 10, duration = '1s' }\n\
             [job.j]\nqueue = 'q'\nwork = '10ms'\n[operation.page]\nflow = [{ enqueue = 'j' }]\n",
        ),
        (
            "service.web.threads",
            400.0,
            "200/s",
            "[service.web]\nruntime = 'uvicorn'\n[operation.page]\nflow = [{ blocking = [{ wait = '100ms' }] }]\n",
        ),
        // One request at each of two targets for 20 ms, of which it spends 10 ms in the longer of two branches, and
        // nothing after its answer; three at all targets together.
        (
            "balancer.lb",
            100.0,
            "60/s",
            "[service.web]\ninstances = 2\n[balancer.lb]\nkind = 'haproxy'\nservice = 'web'\nmax_conns = 1\nhop = '0ms'\n\
             [operation.page]\nservice = 'web'\nflow = [{ wait = '10ms' }, { parallel = [[{ wait = '10ms' }], \
             [{ wait = '4ms' }]] }, { reply = '1KB' }, { wait = '1s' }]\n",
        ),
        (
            "balancer.lb",
            150.0,
            "60/s",
            "[service.web]\ninstances = 2\n[balancer.lb]\nkind = 'envoy'\nservice = 'web'\nmax_requests = 3\nhop = '0ms'\n\
             [operation.page]\nservice = 'web'\nflow = [{ wait = '20ms' }]\n",
        ),
    ] {
        let text = format!(
            "version = 1\n[run]\nwarmup = '5s'\nduration = '60s'\nreplications = 2\n[arrivals]\nrate = '{rate}'\n\
             process = 'even'\n{text}"
        );
        let loaded = load("bounded.toml", &[], &mut |_| Ok(text.clone()));
        let model =
            compile(&loaded.topology.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics)));
        let (first, foreseen) = demand(&model, None).bounds(&model).bottleneck.expect("it works");
        assert_eq!(model.stations[first].path, path);
        assert!((foreseen / full - 1.0).abs() < 1e-9, "{path}: {foreseen} for {full}");
        let summary = Summary::new(&model, &outcomes(&model));
        let bearing = &summary.saturation.order[0];
        assert_eq!(bearing.component, path);
        let measured = bearing.rate_per_s.at_100;
        assert!((measured / full - 1.0).abs() < 0.02, "{path}: {measured} for {full}");
    }
}
