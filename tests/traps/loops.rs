//! Event loops, thread pools, processes.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Requests that compute for 10 ms.
const WEB: &str = "[service.web]\n[operation.page]\nshare = 1\nflow = [{ cpu = '10ms' }]\n";

fn web(sets: &[&str]) -> Ran {
    let busy = ["arrivals.rate=80/s", "arrivals.process=poisson", "run.duration=100s"];
    run(WEB, &[&busy[..], sets].concat())
}

#[test]
fn t_07_a_blocked_worker_keeps_what_it_has_but_gets_no_new_connection() {
    // One request in a hundred blocks its worker for half a second.
    let mean = |hand_out: &str| {
        let flow = "operation.page.flow=[{ choose = [{ share = '99%', flow = [{ cpu = '1ms' }] }, \
                    { share = '1%', flow = [{ cpu = '500ms' }] }] }]";
        let workers = ["service.web.workers=2", "service.web.cores=2", flow];
        let hand_out = format!("service.web.hand_out={hand_out}");
        web(&[&workers[..], &[&hand_out]].concat()).mean_s()
    };
    // Connections that stay open belong to a worker, blocked or not.
    let (kept, fresh) = (mean("each-in-turn"), mean("free-worker"));
    assert!(kept > 1.5 * fresh, "{kept} s over kept connections, {fresh} s over new ones");
}

#[test]
fn t_07_few_connections_of_a_balancer_load_workers_unevenly() {
    // Two counters of ten a minute, each in the memory of a worker, and a request a second. Over the one connection
    // that a balancer needs all of them come to the same worker.
    let ok = |kind: &str, keep_alive: &str| {
        let text = format!(
            "[limit.l]\nmax = 10\nwindow = '60s'\nstore = 'memory'\n[service.web]\nworkers = 2\ncores = 2\n\
             before = ['limit.l']\n[balancer.lb]\nservice = 'web'\nkind = '{kind}'\nkeep_alive = '{keep_alive}'\nhop = '0ms'\nnodes = 1\n\
             [operation.page]\nshare = 1\nflow = [{{ cpu = '1ms' }}]\n"
        );
        run(&text, &["arrivals.rate=1/s", "run.duration=30500ms"]).ok()
    };
    assert_eq!(ok("alb", "60s"), 10, "connections are kept");
    assert_eq!(ok("nginx", "0s"), 20, "each request has a new one");
}

#[test]
fn t_08_a_timeout_fires_after_a_block_though_the_connection_was_there() {
    // One query holds the only connection, a second waits for it, and 2 ms on a callback blocks the loop.
    // The first answer is there after 10 ms, but nobody can take it and hand the connection on before the
    // timers have run (libuv: timers before the next poll).
    let ran = |block: &str, sets: &[&str]| {
        let read = "{ query = { pool = 'pg', read = '10ms' } }";
        let page = format!(
            "[service.web]\ncores = 2\n[pool.pg]\nservice = 'web'\ndatabase = 'db'\nsize = 1\n\
             acquire_timeout = '50ms'\n[database.db]\nrtt = '0ms'\nconnect = '0ms'\n\
             [operation.page]\nshare = 1\nflow = [{{ parallel = [[{read}], \
             [{{ wait = '1ms' }}, {read}], [{{ wait = '2ms' }}, {block}]] }}]\n"
        );
        run(&page, sets)
    };
    let lost = |ran: &Ran| ran.failed(Failure::AcquireTimeout);
    let blocked = ran("{ cpu = '100ms' }", &[]);
    assert_eq!((lost(&blocked), blocked.ok()), (10, 0));
    assert_eq!(blocked.each_failed(), ms(102), "and late by what was left of the block");
    // A block that ends before the timeout does no harm, nor does one that a thread has to bear.
    let shorter = ran("{ cpu = '48ms' }", &[]);
    assert_eq!((lost(&shorter), shorter.each()), (0, ms(60)));
    let patient = ran("{ cpu = '100ms' }", &["pool.pg.acquire_timeout=150ms"]);
    assert_eq!((lost(&patient), patient.each()), (0, ms(112)));
    let threaded = ran("{ threads = '100ms' }", &[]);
    assert_eq!((lost(&threaded), threaded.each()), (0, ms(102)));
}

#[test]
fn t_08_a_call_a_statement_or_a_command_fails_though_its_answer_was_there() {
    // The answer is there after 100 ms, while a callback blocks the loop from 50 ms on.
    let asked = |what: &str, block: &str, sets: &[&str]| {
        let text = format!(
            "[service.web]\n[service.api]\n[pool.pg]\nservice = 'web'\ndatabase = 'db'\n\
             query_timeout = '1s'\n[database.db]\nrtt = '0ms'\nconnect = '0ms'\n[keys.few]\ncount = 1\n\
             [cache.redis]\nrtt = '0ms'\ncommand = '100ms'\n\
             client = {{ ioredis-5 = {{ command_timeout = '1s' }} }}\n\
             [operation.page]\nservice = 'web'\nshare = 1\nflow = [{{ parallel = [[{what}], \
             [{{ wait = '50ms' }}, {{ cpu = '{block}' }}]] }}]\n"
        );
        run(&text, &[&["arrivals.rate=0.2/s", "run.duration=60s"], sets].concat())
    };
    let call = "{ call = { service = 'api', timeout = '1s', flow = [{ wait = '100ms' }] } }";
    let query = "{ query = { pool = 'pg', read = '100ms' } }";
    let command = "{ command = { in = 'redis', takes = '100ms' } }";
    let asks = [
        (call, Failure::UpstreamTimeout),
        (query, Failure::QueryTimeout),
        (command, Failure::CacheError),
    ];
    for (what, why) in asks {
        let blocked = asked(what, "2s", &[]);
        assert!(blocked.failed(why) >= 11 && blocked.ok() == 0, "{what}");
        assert_eq!(blocked.each_failed(), ms(2_050), "and late by what was left of the block");
        // A block that ends before the timeout does no harm.
        let shorter = asked(what, "900ms", &[]);
        assert_eq!((shorter.failed(why), shorter.each()), (0, ms(950)), "{what}");
    }
    // The cure: the block is cut in two, and the loop looks what has come between them.
    let text = "operation.page.flow=[{parallel=[[{call={service='api', timeout='1s', flow=[{wait='100ms'}]}}], \
                [{wait='50ms'}, {cpu='900ms'}, {wait='0s'}, {cpu='1100ms'}]]}]";
    let cured = asked(call, "2s", &[text]);
    assert_eq!(cured.failed(Failure::UpstreamTimeout), 0);
    // asyncio sees what has come before it runs its timers.
    let python = asked(call, "2s", &["service.web.runtime=uvicorn"]);
    assert_eq!(python.failed(Failure::UpstreamTimeout), 0);
}

#[test]
fn t_09_a_liveness_probe_kills_a_process_that_is_only_busy() {
    // A tenth more than one loop can serve, for a minute; then half of what it can.
    let spike = [
        "arrivals.stages=[{for='60s', to='110/s'}, {for='0s', to='50/s'}, {for='3min', to='50/s'}]",
        "arrivals.rate=110/s",
        "run.duration=4min",
        "service.web.replace=10s",
    ];
    let ran = |sets: &[&str]| {
        let ran = web(&[&spike[..], sets].concat());
        (ran.count("service.web", Counter::Killed), ran.failed(Failure::InstanceLost))
    };
    assert_eq!(ran(&[]), (0, 0), "left alone it works its queue off");
    let (killed, lost) = ran(&["service.web.liveness=kubelet"]);
    assert!(killed >= 1 && lost > 500, "killed {killed} times, {lost} requests lost");
    // A probe that waits for as long as users do, or one that only turns new requests away.
    assert_eq!(ran(&["service.web.liveness.kubelet.timeout=10s"]), (0, 0));
    assert_eq!(ran(&["service.web.readiness={}"]), (0, 0));
}

#[test]
fn t_10_four_slow_lookups_stall_every_file_read() {
    let flow = "operation.page.flow=[{ parallel = [[{ threads = '1s' }], [{ threads = '1s' }], \
                [{ threads = '1s' }], [{ threads = '1s' }], [{ wait = '1ms' }, { threads = '500ms' }]] }]";
    let sets = ["service.web.cores=8", "arrivals.rate=0.2/s", "arrivals.process=even", flow];
    let ran = run(WEB, &sets);
    assert_eq!(ran.each(), ms(1_500), "the read begins when a lookup has ended");
    let ran = run(WEB, &[&sets[..], &["service.web.threads=5"]].concat());
    assert_eq!(ran.each(), ms(1_000));
}

#[test]
fn t_10_four_lookups_of_names_stall_every_file_read() {
    // Calls over new connections; the name server answers after a second.
    let page = |lookup: &str| {
        let call =
            format!("{{ call = {{ service = 'far', {lookup}flow = [{{ cpu = '1ms' }}] }} }}");
        format!(
            "[service.web]\ncores = 8\n[service.far]\ncores = 8\nworkers = 4\n\
             [operation.page]\nshare = 1\nservice = 'web'\nflow = [{{ parallel = [[{call}], \
             [{call}], [{call}], [{call}], [{{ wait = '1ms' }}, {{ threads = '500ms' }}]] }}]\n"
        )
    };
    let each = |lookup: &str, sets: &[&str]| {
        let slowly = ["arrivals.rate=0.2/s", "arrivals.process=even", "arrivals.users=1"];
        run(&page(lookup), &[&slowly[..], sets].concat()).each()
    };
    let slow = "lookup = '1s', ";
    assert_eq!(each(slow, &[]), ms(1_500), "the read begins when a lookup has ended");
    // The cures: connections that stay open, more threads; asyncio has others for it.
    assert_eq!(each("", &[]), ms(501));
    assert_eq!(each(slow, &["service.web.threads=5"]), ms(1_001));
    assert_eq!(each(slow, &["service.web.runtime=uvicorn"]), ms(1_001));
}

#[test]
fn t_48_a_second_core_gives_nothing_to_one_process() {
    let (one, two) = (web(&["service.web.cores=1"]), web(&["service.web.cores=2"]));
    assert_eq!(one.outcome.latency, two.outcome.latency, "the same requests take the same time");
    let cluster = web(&["service.web.cores=2", "service.web.workers=2"]);
    assert!(cluster.mean_s() < 0.5 * one.mean_s());
}
