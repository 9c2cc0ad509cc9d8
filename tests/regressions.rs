//! One test for every defect that was found in the engine after it was thought to be right.

mod runs;

use loadbearing::failure::Failure;
use loadbearing::run::{Counter, Outcome};
use runs::{model, run};

fn measured(text: &str) -> (loadbearing::model::Model, Outcome) {
    let model = model(&format!("version = 1\n{text}"), &[]);
    let outcome = run(&model, 0);
    (model, outcome)
}

fn counted(text: &str, path: &str, counter: Counter) -> u64 {
    let (model, outcome) = measured(text);
    let (id, _) = model.stations.enumerate().find(|(_, it)| it.path == path).expect("it is there");
    outcome.stations[id].counters[counter as usize]
}

/// What the parts of a request's path sum up to, over its latency.
fn attributed(outcome: &Outcome) -> f64 {
    let spent: u128 = outcome.classes.iter().flat_map(|class| &class.spent).sum();
    let latency: u128 = outcome.classes.iter().map(|class| class.latency).sum();
    spent as f64 / latency as f64
}

const BRIEF: &str = "run = { warmup = '1s', duration = '20s', replications = 1 }\n";

#[test]
fn a_refused_request_still_touches_its_session() {
    let text = format!(
        "{BRIEF}
        arrivals.rate = '50/s'
        service.web.before = ['session.s', 'guard.g']
        session.s.store.redis.cache = 'r'
        cache.r = {{}}
        guard.g = {{ watch = 'session.s.live', limit = 1 }}
        operation.a = {{ share = 1, flow = [{{ cpu = '1ms' }}, {{ reply = '1KB' }}] }}"
    );
    let reads = counted(&text, "session.s", Counter::Reads);
    let writes = counted(&text, "session.s", Counter::Writes);
    assert!(reads > 900 && reads.abs_diff(writes) <= 2, "{reads} reads, {writes} writes");
}

#[test]
fn a_load_whose_leader_has_answered_and_then_fails_still_ends() {
    let (_, outcome) = measured(&format!(
        "{BRIEF}
        arrivals.rate = '50/s'
        client.patience = '2s'
        service.web = {{}}
        database.d = {{}}
        pool.a = {{ service = 'web', database = 'd' }}
        keys.k.count = 1
        cache.m = {{ kind = 'memory', service = 'web' }}
        [operation.a]
        share = 1
        flow = [{{ cache = {{ in = 'm', keys = 'k', ttl = '100ms', single_flight = true, miss = [
          {{ query = {{ pool = 'a', read = '5ms' }} }},
          {{ reply = '1KB' }},
          {{ query = {{ pool = 'a', read = '5ms', fail = '50%' }} }},
        ] }} }}]"
    ));
    // Those who joined a load that fails fail with it; nobody waits for ever.
    assert_eq!(outcome.requests.failed[Failure::GaveUp as usize], 0);
    assert!(outcome.requests.ok > 0 && outcome.requests.ok + outcome.requests.failed_all() > 900);
}

#[test]
fn a_connection_that_nobody_claims_serves_the_next_waiter_at_once() {
    let (_, outcome) = measured(
        "run = { warmup = '0s', duration = '60s', replications = 1 }
        arrivals.rate = '8/s'
        service.web = {}
        database.d = { cores = 64, connect = '100ms' }
        pool.a = { service = 'web', database = 'd', size = 1, acquire_timeout = '120ms' }
        [operation.a]
        share = 1
        flow = [{ query = { pool = 'a', read = '20ms', fail = '60%' } }, { reply = '1KB' }]",
    );
    let most = outcome.latency.max().expect("some are served").seconds();
    assert!(most < 0.1415, "{most} s: 120 ms of waiting and 21 ms of work are the most");
    assert!((attributed(&outcome) - 1.0).abs() < 1e-9, "{}", attributed(&outcome));
}

#[test]
fn the_timer_of_a_call_that_has_returned_is_nobodys() {
    let (_, outcome) = measured(&format!(
        "{BRIEF}
        arrivals = {{ rate = '1/s', process = 'even' }}
        service.web = {{ cores = 1, workers = 2 }}
        service.api = {{}}
        [operation.a]
        service = 'web'
        share = 1
        flow = [
          {{ call = {{ service = 'api', timeout = '10ms', flow = [{{ wait = '4ms' }}, {{ reply = '1KB' }}] }} }},
          {{ cpu = '6ms' }},
          {{ parallel = [[{{ wait = '5ms' }}], [{{ wait = '5ms' }}]] }},
          {{ reply = '1KB' }},
        ]"
    ));
    assert_eq!(outcome.requests.failed_all(), 0);
    assert!(outcome.requests.ok >= 19);
}

#[test]
fn the_time_of_a_call_that_is_given_up_is_somebodys() {
    let (_, outcome) = measured(&format!(
        "{BRIEF}
        arrivals.rate = '20/s'
        client.retry.fixed = {{ on = [504], delay = '0s', attempts = 9, jitter = '0%' }}
        service.web = {{}}
        service.api = {{}}
        [operation.a]
        service = 'web'
        share = 1
        flow = [
          {{ call = {{ service = 'api', timeout = '100ms', flow = [{{ wait.exponential = '100ms' }}, {{ reply = '1KB' }}] }} }},
          {{ reply = '1KB' }},
        ]"
    ));
    assert!((attributed(&outcome) - 1.0).abs() < 1e-9, "{}", attributed(&outcome));
}

#[test]
fn a_pool_has_the_connections_of_the_instances_that_run() {
    let (model, outcome) = measured(&format!(
        "{BRIEF}
        arrivals.rate = '200/s'
        service.web = {{ instances = 1, autoscale = {{ min = 1, max = 20 }} }}
        database.d = {{ cores = 64, max_connections = 1000 }}
        pool.a = {{ service = 'web', database = 'd', size = 10 }}
        [operation.a]
        share = 1
        flow = [{{ cpu = '0.1ms' }}, {{ query = {{ pool = 'a', read.exponential = '49ms' }} }}, {{ reply = '1KB' }}]"
    ));
    let (id, _) = model.stations.enumerate().find(|(_, it)| it.path == "pool.a").expect("it is");
    assert!(outcome.stations[id].utilisation() > 0.9, "{}", outcome.stations[id].utilisation());
}

#[test]
fn sessions_that_expire_free_their_memory_in_redis() {
    let text = "run = { warmup = '1s', duration = '200s', replications = 1 }
        arrivals = { rate = '100/s', users = 100 }
        service.web.before = ['session.s']
        session.s = { ttl = '20s', size = '1KB', store.redis.cache = 'r' }
        cache.r.memory = '6MB'
        [operation.a]
        share = 1
        login = true
        flow = [{ cpu = '1ms' }, { reply = '1KB' }]";
    assert_eq!(counted(text, "session.s", Counter::OutOfMemory), 0);
    assert!(counted(text, "session.s", Counter::Created) > 19_000);
}

#[test]
fn an_autoscaler_that_could_not_start_an_instance_asks_again() {
    let (model, outcome) = measured(
        "run = { warmup = '0s', duration = '900s', window = '60s', replications = 1 }
        arrivals = { rate = '10/s', stages = [{ for = '60s', to = '10/s' }, { for = '1s', to = '200/s' }] }
        [service.web]
        instances = 2
        autoscale = { min = 1, max = 2, target = '40%', period = '1s', cooldown_in = '10s', cooldown_out = '10s', start = '5s' }
        [operation.a]
        share = 99
        flow = [{ cpu.exponential = '9ms' }, { reply = '1KB' }]
        [operation.l]
        share = 1
        flow = [{ wait = '300s' }, { reply = '1KB' }]",
    );
    let (id, _) =
        model.stations.enumerate().find(|(_, it)| it.path == "service.web").expect("it is");
    let last = outcome.windows.last().expect("there are windows");
    assert!(last.stations[id.0 as usize].held > 1.9, "{}", last.stations[id.0 as usize].held);
}

#[test]
fn scaling_in_loses_no_request_on_its_way() {
    let (_, outcome) = measured(
        "run = { warmup = '1s', duration = '1500s', window = '60s', replications = 1 }
        arrivals = { rate = '100/s', stages = [{ for = '100s', to = '100/s' }, { for = '1s', to = '40/s' }] }
        [service.web]
        instances = 4
        hop = '400ms'
        autoscale = { min = 1, max = 8, cooldown_in = '60s', period = '5s' }
        [balancer.lb]
        service = 'web'
        kind = 'alb'
        [operation.a]
        share = 1
        flow = [{ cpu = '8ms' }, { reply = '1KB' }]",
    );
    assert_eq!(outcome.requests.failed_all(), 0);
    assert!(outcome.instances.iter().all(|mean| *mean < 4.0), "it has scaled in");
}

#[test]
fn the_time_of_a_transfer_alone_is_no_waiting() {
    let (model, outcome) = measured(&format!(
        "{BRIEF}
        arrivals.rate = '50/s'
        service.web = {{}}
        link.l = {{ bandwidth = '1Gbit/s', carries = 'service.web' }}
        operation.a = {{ share = 1, flow = [{{ cpu = '1ms' }}, {{ reply = '100KB' }}] }}"
    ));
    let (id, _) = model.stations.enumerate().find(|(_, it)| it.path == "link.l").expect("it is");
    let wait = outcome.stations[id].wait.mean_s().expect("there are transfers");
    assert!(wait < 0.0001, "{wait} s on a link that is 4 % busy");
}

#[test]
fn waiting_for_a_load_of_ones_own_kind_is_not_the_servers_queue() {
    let (model, outcome) = measured(
        "run = { warmup = '1s', duration = '60s', replications = 1 }
        arrivals.rate = '90/s'
        service.web = {}
        cache.r = {}
        keys.k.count = 1
        [operation.a]
        share = 1
        flow = [
          { cache = { in = 'r', keys = 'k', ttl = '1s', single_flight = true, miss = [{ wait = '500ms' }] } },
          { reply = '1KB' },
        ]",
    );
    let (id, _) = model.stations.enumerate().find(|(_, it)| it.path == "cache.r").expect("it is");
    let wait = outcome.stations[id].wait.mean_s().expect("there are commands");
    assert!(wait < 0.001, "{wait} s at a server that is 0.2 % busy");
    assert!((attributed(&outcome) - 1.0).abs() < 1e-9, "{}", attributed(&outcome));
}

#[test]
fn a_job_that_is_waited_for_has_queueing_and_service() {
    let (model, outcome) = measured(
        "run = { warmup = '1s', duration = '60s', replications = 1 }
        arrivals.rate = '90/s'
        service.web = {}
        queue.q = {}
        job.j = { queue = 'q', work.exponential = '10ms' }
        operation.a = { share = 1, flow = [{ enqueue = { job = 'j', wait = true } }, { reply = '1KB' }] }",
    );
    let (id, _) = model.stations.enumerate().find(|(_, it)| it.path == "queue.q").expect("it is");
    let service: u128 = outcome
        .classes
        .iter()
        .map(|it| it.spent.get(id.0 as usize * 2 + 1))
        .map(|it| it.copied().unwrap_or(0))
        .sum();
    let requests: u64 = outcome.classes.iter().map(|class| class.requests).sum();
    let mean_s = service as f64 / requests as f64 / 1e12;
    assert!((0.009..0.011).contains(&mean_s), "{mean_s} s of service where jobs take 10 ms");
}

#[test]
fn who_joins_a_load_has_missed_once() {
    let text = format!(
        "{BRIEF}
        arrivals.rate = '400/s'
        service.web = {{}}
        keys.k.count = 5
        cache.m = {{ kind = 'memory', service = 'web' }}
        [operation.a]
        share = 1
        flow = [{{ cache = {{ in = 'm', keys = 'k', ttl = '100ms', single_flight = true, miss = [
          {{ wait = '100ms' }},
        ] }} }}]"
    );
    let (model, outcome) = measured(&text);
    let count = |counter| counted(&text, "cache.m", counter) as f64;
    let (hits, misses) = (count(Counter::Hits), count(Counter::Misses));
    assert!(count(Counter::Joined) > 3_000.0);
    let summary = loadbearing::result::Summary::new(&model, &[outcome]);
    let said = summary.to_json()["components"]["cache.m"]["hit_ratio"]["estimate"].as_f64();
    assert!((said.expect("measured") - hits / (hits + misses)).abs() < 1e-9);
}

#[test]
fn a_waiter_that_queues_again_when_its_time_is_up_turns_back_no_clock() {
    // The loop is behind: who is woken in time runs when its time is up, finds the connection taken,
    // and queues again. Little's law found the timer that then stood in the past.
    let text = format!(
        "{BRIEF}
        arrivals.rate = '190/s'
        service.api = {{ runtime = 'uvicorn' }}
        database.db.connect = '50ms'
        [pool.pg]
        service = 'api'
        database = 'db'
        driver.sqlalchemy = {{ max_overflow = 10 }}
        size = 5
        acquire_timeout = '1s'
        [operation.a]
        share = 1
        flow = [{{ cpu = '4ms' }}, {{ query = {{ pool = 'pg', read.exponential = '80ms' }} }}, {{ cpu.exponential = '2ms' }}]"
    );
    let (_, outcome) = measured(&text);
    assert_eq!(outcome.audit.broken, Vec::<String>::new());
    assert!(counted(&text, "pool.pg", Counter::TimedOut) > 100, "waiters run out of time");
}

/// Users of a region had no way at all to a service in another that no operation named.
#[test]
fn users_need_a_route_to_the_only_service() {
    let text = "version = 1\n[arrivals]\nrate = '1/s'\n[region.north]\nusers = '50%'\n\
                [region.south]\nusers = '50%'\n[service.web]\nregion = 'north'\n\
                [operation.page]\nflow = [{ cpu = '1ms' }]\n";
    let slugs = |more: &str| -> Vec<&str> {
        let file = format!("{text}{more}");
        let loaded = loadbearing::topology::load("a.toml", &[], &mut |_| Ok(file.clone()));
        loaded.diagnostics.iter().map(|found| found.slug).collect()
    };
    assert!(slugs("").contains(&"no-route"));
    assert!(!slugs("[route.north.south]\nrtt = '70ms'\n").contains(&"no-route"));
}

/// A server that ends an idle transaction's connection while a statement is on its way to it: who sent
/// it gives it up, and it must not stay in the line for a lock, where it would be granted one.
#[test]
fn a_statement_without_a_connection_waits_for_no_lock() {
    let model = model(
        "version = 1
        run = { warmup = '1s', duration = '60s', replications = 1 }
        [users]
        population = 300
        think.exponential = '5s'
        [region.a]
        users = '100%'
        rtt = '20ms'
        [service.web]
        region = 'a'
        instances = 1
        runtime = 'node'
        [pool.pg]
        service = 'web'
        database = 'db'
        driver = 'node-postgres'
        size = 10
        query_timeout = '50ms'
        [database.db]
        region = 'a'
        cores = 4
        max_connections = 200
        idle_in_transaction_timeout = '20ms'
        [relation.t]
        database = 'db'
        rows = 'k'
        [maintenance.m]
        database = 'db'
        every = '7s'
        work = '500ms'
        lock = { on = 't', mode = 'exclusive' }
        [cache.redis]
        [keys.k]
        count = 200
        [operation.get]
        share = 70
        service = 'web'
        flow = [ { enqueue = { job = 'ij' } }, { cache = { in = 'redis', keys = 'k', ttl = '3s', miss = [{ query = { pool = 'pg', read = '8ms', on = 't' } }] } }, { reply = '10KB' } ]
        [operation.post]
        share = 30
        service = 'web'
        flow = [ { transaction = { pool = 'pg', flow = [ { query = { pool = 'pg', read = '3ms', on = 't', for_update = true } }, { wait = '10ms' }, { query = { pool = 'pg', write.exponential = '5ms', on = 't' } } ] } }, { reply = '1KB' } ]
        [queue.inweb]
        service = 'web'
        [job.ij]
        queue = 'inweb'
        flow = [{ cpu = '20ms' }, { query = { pool = 'pg', read = '3ms' } }]",
        &[],
    );
    let (id, _) =
        model.stations.enumerate().find(|(_, it)| it.path == "relation.t").expect("it is");
    let found: Vec<Outcome> = (0..5).map(|number| run(&model, number)).collect();
    let sum = |of: &dyn Fn(&Outcome) -> u64| found.iter().map(of).sum::<u64>();
    let asked = sum(&|it| it.stations[id].counters[Counter::Arrivals as usize]);
    assert!(asked > 5_000, "{asked}");
    let given_up = sum(&|it| it.requests.failed[Failure::QueryTimeout as usize]);
    assert!(given_up > 100, "{given_up}");
}

/// A statement was on its way when its server ended the connection, since its transaction was idle; then its process
/// ended. The statement ran on a connection that there was no more, or the server had its slot back twice.
#[test]
fn a_process_ends_while_its_transactions_are_idle() {
    let model = model(
        "version = 1
        [run]
        warmup = '0s'
        duration = '20s'
        [arrivals]
        rate = '100/s'
        [service.web]
        instances = 4
        [pool.pg]
        service = 'web'
        database = 'db'
        [database.db]
        rtt = '20ms'
        idle_in_transaction_timeout = '25ms'
        [operation.post]
        flow = [ { transaction = { pool = 'pg', flow = [ { query = { pool = 'pg', read = '3ms' } }, { wait = '10ms' }, { query = { pool = 'pg', write.exponential = '5ms' } } ] } }, { reply = '1KB' } ]
        [deploy.v2]
        service = 'web'
        at = '5s'
        start = '3s'
        how = 'kubernetes'
        on_sigterm = 'exit'",
        &[],
    );
    for number in 0..10 {
        // From the answer's way through 10 ms of waiting to the next statement's it is 30 ms: none runs.
        let found = run(&model, number);
        assert_eq!(found.requests.ok, 0);
    }
}
