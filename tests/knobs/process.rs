//! Processes: garbage, memory, probes.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// A request a second, from the first second to the tenth.
fn web(flow: &str, sets: &[&str]) -> Ran {
    run(&format!("[service.web]\n[operation.work]\nshare = 1\nflow = {flow}\n"), sets)
}

const GC: [(&str, &str); 6] = [
    ("allocates", "'1MiB'"),
    ("young", "'2MiB'"),
    ("minor", "'3ms'"),
    ("survives", "'50%'"),
    ("old", "'2MiB'"),
    ("major", "'20ms'"),
];

/// Collections, and how long they have held the loop up, with one of the settings turned.
fn collected(turned: &[(&str, &str)]) -> (u64, u64) {
    let keys = GC.map(|(key, value)| {
        let value = turned.iter().find(|it| it.0 == key).map_or(value, |it| it.1);
        format!("{key} = {value}")
    });
    let gc = format!("service.web.runtime={{ node = {{ gc = {{ {} }} }} }}", keys.join(", "));
    let ran = web("[{ cpu = '10ms' }]", &[&gc]);
    let paused = ran.count("service.web", Counter::PausedMicros) / 1_000;
    assert!(
        (ran.mean_s() - (0.010 + paused as f64 / 1e4)).abs() < 1e-9,
        "requests bear the pauses"
    );
    (ran.count("service.web", Counter::Collections), paused)
}

#[test]
fn what_requests_allocate_is_collected_while_the_loop_stands_still() {
    // Every second request fills the young generation, every fourth the old one.
    assert_eq!(collected(&[]), (5 + 2, 5 * 3 + 2 * 20));
    assert_eq!(collected(&[("allocates", "'2MiB'")]), (10 + 5, 10 * 3 + 5 * 20));
    assert_eq!(collected(&[("young", "'4MiB'")]), (2 + 2, 2 * 3 + 2 * 20));
    assert_eq!(collected(&[("minor", "'4ms'")]), (5 + 2, 5 * 4 + 2 * 20));
    assert_eq!(collected(&[("survives", "'0%'")]), (5, 5 * 3));
    assert_eq!(collected(&[("old", "'1MiB'")]), (5 + 5, 5 * 3 + 5 * 20));
    assert_eq!(collected(&[("major", "'30ms'")]), (5 + 2, 5 * 3 + 2 * 30));
}

#[test]
fn a_heap_that_is_nearly_full_is_collected_more_often_and_for_longer() {
    // A request takes 1 MB beside the 99 of its process, and is alone.
    let ran = |memory: &str, per_mb: &str| {
        let gc = "allocates = '1MiB', young = '2MiB', minor = '3ms', survives = '50%', old = '4MiB', major = '20ms'";
        let gc = format!(
            "service.web.runtime={{ node = {{ gc = {{ {gc}, major_per_mb = '{per_mb}' }} }} }}"
        );
        let memory =
            format!("service.web.memory={{ {memory}, base = '99MB', per_request = '1MB' }}");
        let ran = web("[{ cpu = '10ms' }]", &[&gc, &memory]);
        let paused = ran.count("service.web", Counter::PausedMicros) / 1_000;
        (ran.count("service.web", Counter::Collections), paused)
    };
    // Five times the young one, and once, at the fourth, the old one.
    assert_eq!(ran("machine = '1GB'", "0ms"), (5 + 1, 5 * 3 + 20));
    assert_eq!(ran("machine = '1GB'", "1ms"), (5 + 1, 5 * 3 + 20 + 100));
    // V8 takes half of a machine: with 102 MB there is room for two, and with 100.5 for nothing.
    assert_eq!(ran("machine = '204.4MB'", "0ms"), (5 + 2, 5 * 3 + 2 * 20));
    assert_eq!(ran("machine = '201MB'", "1ms"), (5 + 5, 5 * 3 + 5 * 120));
}

#[test]
fn a_process_without_memory_dies_with_all_that_it_has() {
    let ran = |memory: &str, sets: &[&str]| {
        let memory = format!("service.web.memory={{ {memory} }}");
        let all = [&[memory.as_str(), "run.duration=20s"], sets].concat();
        let ran = web("[{ wait = '8500ms' }]", &all);
        let out = ran.count("service.web", Counter::OutOfMemory);
        assert_eq!(ran.count("service.web", Counter::Killed), out);
        (out, ran.failed(Failure::InstanceLost), ran.ok())
    };
    // At most nine at once. V8 takes half of the machine: four fit, and the fifth ends the process.
    let small = "machine = '1GiB', base = '100MiB', per_request = '100MiB'";
    let (out, lost, ok) = ran(small, &[]);
    assert_eq!((out, ok), (1, 0));
    assert_eq!(lost, 20, "and nobody starts another");
    let (out, lost, ok) = ran(small, &["service.web.replace=100ms"]);
    assert_eq!((out, lost, ok), (4, 20, 0), "every five seconds");
    // With the whole machine for its heap nine fit.
    let (out, lost, ok) = ran(small, &["service.web.runtime={node={heap='1GiB'}}"]);
    assert_eq!((out, lost, ok), (0, 0, 11));
    // 1,000 MiB are taken at most; a little less is not enough.
    let heap = |heap: &str| {
        let heap = format!("service.web.runtime={{node={{heap='{heap}'}}}}");
        ran("machine = '2GiB', base = '100MiB', per_request = '100MiB'", &[&heap])
    };
    assert_eq!((heap("1000MiB"), heap("990MiB").0), ((0, 0, 11), 1));
    let (out, ..) = ran("machine = '4GiB', base = '100MiB', per_request = '100MiB'", &[]);
    assert_eq!(out, 0);
    let (out, ..) = ran("machine = '1GiB', base = '100MiB', per_request = '40MiB'", &[]);
    assert_eq!(out, 0);
    let larger = "machine = '1GiB', base = '400MiB', per_request = '100MiB'";
    assert_eq!(ran(larger, &["service.web.replace=100ms"]).0, 10, "every two seconds");
    // Of two workers the kernel kills the larger one; the other goes on.
    let two = [
        "service.web.workers=2",
        "service.web.cores=2",
        "service.web.replace=100ms",
        "service.web.runtime={node={heap='1GB'}}",
    ];
    let (out, lost, ok) = ran("machine = '1000MB', base = '100MB', per_request = '100MB'", &two);
    assert!(out > 0 && lost > 0 && ok > 0, "{out} died, {lost} lost, {ok} served");
}

#[test]
fn the_kernel_kills_the_larger_process_whoever_asks() {
    // Requests in turn, which stay; with nine there is too little. At 9 s the first process has five, asks
    // and is killed; until 11.5 s the other takes all, and has seven of nine when at 14 s the first one asks
    // for its second. In the end it has the two.
    let ran = web(
        "[{ wait = '60s' }]",
        &[
            "service.web.workers=2",
            "service.web.cores=2",
            "service.web.replace=2500ms",
            "service.web.runtime={node={heap='1GB'}}",
            "service.web.memory={ machine = '1000MB', base = '100MB', per_request = '100MB' }",
            "run.duration=14500ms",
        ],
    );
    assert_eq!(ran.count("service.web", Counter::OutOfMemory), 2);
    assert_eq!(ran.failed(Failure::InstanceLost), 5 + 7);
}

/// How often an instance is killed, and what it has served, with requests that compute for so long.
fn killed(cpu: &str, sets: &[&str]) -> (u64, u64) {
    let flow = format!("[{{ cpu = '{cpu}' }}]");
    let ran = web(&flow, &[&["service.web.replace=100ms", "run.duration=30s"], sets].concat());
    (ran.count("service.web", Counter::Killed), ran.ok())
}

fn kubelet(keys: &str) -> String {
    let probe = "interval = '1s', timeout = '500ms', failures = 2";
    let mut all: Vec<&str> = probe.split(", ").collect();
    for key in keys.split(", ").filter(|key| !key.is_empty()) {
        let name = key.split(" = ").next();
        all.retain(|known| known.split(" = ").next() != name);
        all.push(key);
    }
    format!("service.web.liveness={{ kubelet = {{ {} }} }}", all.join(", "))
}

#[test]
fn a_kubelet_kills_whoever_does_not_answer_its_probes() {
    let with = |cpu: &str, keys: &str| killed(cpu, &[&kubelet(keys)]).0;
    assert_eq!(killed("3s", &[]).0, 0);
    assert_eq!(with("10ms", ""), 0);
    let busy = with("3s", "");
    assert!(busy >= 3, "{busy}");
    assert_eq!(with("3s", "failures = 40"), 0);
    assert!(with("3s", "interval = '5s'") < busy);
    assert!(with("3s", "delay = '8s'") < busy);
    // A loop that is busy for 400 ms of every second answers within half of one.
    assert_eq!(with("400ms", "interval = '700ms'"), 0);
    assert!(with("400ms", "interval = '700ms', timeout = '50ms', failures = 1") > 0);
    assert!(with("10ms", "flow = [{ cpu = '600ms' }]") > 0, "an answer may itself take too long");
}

#[test]
fn starting_again_waits_longer_each_time_or_not() {
    let held_off = killed("3s", &[&kubelet("")]).0;
    let at_once = killed("3s", &[&kubelet(""), "service.web.crash_back_off=false"]).0;
    assert!(held_off < at_once, "{held_off} times with a back-off, {at_once} without");
}

#[test]
fn who_is_not_ready_is_sent_nothing() {
    let ran = |sets: &[&str]| web("[{ cpu = '3s' }]", &[&["run.duration=30s"], sets].concat());
    let unprobed = ran(&[]);
    assert_eq!(unprobed.outcome.requests.failed.iter().sum::<u64>(), 0);
    let probe = "service.web.readiness={ interval = '1s', timeout = '500ms', failures = 2 }";
    let probed = ran(&[probe]);
    assert!(probed.outcome.requests.failed.iter().sum::<u64>() > 5);
    assert_eq!(probed.count("service.web", Counter::Killed), 0);
    assert!(probed.longest() < unprobed.longest(), "its queue is shorter");
    assert!(probed.ok() > 2, "it comes back when it has worked its queue off");
}

#[test]
fn a_task_that_its_target_group_finds_unhealthy_is_replaced() {
    let text = "[service.web]\n[operation.work]\nshare = 1\nflow = [{ cpu = '3s' }]\n\
                [balancer.lb]\nservice = 'web'\n\
                checks = { interval = '1s', timeout = '500ms', healthy = 1, unhealthy = 2 }\n";
    let ran = |sets: &[&str]| {
        run(text, &[&["service.web.replace=1s", "run.duration=30s"], sets].concat())
    };
    assert_eq!(ran(&[]).count("service.web", Counter::Killed), 0);
    let replaced = ran(&["service.web.liveness=target-group"]);
    assert!(replaced.count("service.web", Counter::Killed) >= 3);
    assert!(replaced.failed(Failure::InstanceLost) > 0);
    assert_eq!(ran(&[]).failed(Failure::InstanceLost), 0);
}

/// How long the loop has computed (s), and the longest latency (s), beside timers.
fn timed(timers: &str, sets: &[&str]) -> (f64, f64) {
    let ran = web("[{ cpu = '10ms' }]", &[&[timers], sets].concat());
    let station = ran.station("service.web");
    (station.busy_mean * ran.outcome.measured.seconds(), ran.longest().seconds())
}

#[test]
fn a_timer_waits_for_the_loop_and_makes_up_for_nothing() {
    // Ten requests of 10 ms each in 10.5 s; where the timers begin is drawn.
    let near = |found: f64, expected: f64| (found - expected).abs() < 0.071;
    assert!(near(timed("service.web.timers=[]", &[]).0, 0.1));
    let each = |every: &str, cpu: &str| {
        timed(
            &format!("service.web.timers=[{{ every = '{every}', flow = [{{ cpu = '{cpu}' }}] }}]"),
            &[],
        )
    };
    let (busy, _) = each("100ms", "20ms");
    assert!(near(busy, 0.1 + 105.0 * 0.020), "{busy}");
    let (busy, _) = each("200ms", "20ms");
    assert!(near(busy, 0.1 + 52.0 * 0.020), "{busy}");
    // As long as it takes the loop is taken, and no second one waits behind it: a third of the time
    // would be left if it were due every 10 ms from the beginning of the last.
    let (busy, longest) = each("10ms", "30ms");
    assert!((10.4..=10.5).contains(&busy), "{busy}");
    assert!(longest < 0.1, "a request waits for one timer at most: {longest}");
    // Two timers, and those of two workers.
    let two = "service.web.timers=[{ every = '1s', flow = [{ cpu = '50ms' }] }, \
               { every = '500ms', flow = [{ cpu = '20ms' }] }]";
    assert!(near(timed(two, &[]).0, 0.1 + 10.5 * 0.05 + 21.0 * 0.02));
    let workers = ["service.web.workers=2", "service.web.cores=2"];
    let (both, _) = timed(two, &workers);
    assert!(near(both, 0.1 + 2.0 * (10.5 * 0.05 + 21.0 * 0.02)), "{both}");
}

#[test]
fn a_timer_dies_with_its_process_and_begins_anew_with_the_next() {
    let timers = "service.web.timers=[{ every = '100ms', flow = [{ cpu = '20ms' }] }]";
    let text = "[service.web]\n[operation.work]\nshare = 1\nflow = [{ cpu = '10ms' }]\n";
    let fault = "[fault.stop]\ntarget = 'service.web'\nwhat = 'stop'\nat = '5s'\nfor = '3s'\n";
    let busy = |text: &str| {
        let ran = run(text, &[timers]);
        ran.station("service.web").busy_mean * ran.outcome.measured.seconds()
    };
    let (all, cut) = (busy(text), busy(&format!("{text}{fault}")));
    assert!((all - cut - 30.0 * 0.020 - 0.03).abs() < 0.05, "{all} s, and {cut} s with a stop");
}

/// What runs out while requests leave something in the memory of two processes, which they ask in turn.
fn left(text: &str, flow: &str, machine: &str) -> (u64, u64) {
    let service = "[balancer.lb]\nservice = 'web'\nkind = 'plain'\nhop = '0ms'\n[service.web]\n\
                   runtime = { uvicorn = {} }\ninstances = 2\nreplace = '10ms'\n";
    let memory = format!("memory = {{ machine = '{machine}', base = '0B', per_request = '0B' }}\n");
    let work = format!("[operation.work]\nshare = 1\nflow = {flow}\n");
    let ran = run(
        &format!("{service}{memory}{text}{work}"),
        &["arrivals={process='even', rate='1/s', users=1_000_000}"],
    );
    assert_eq!(ran.failed(Failure::InstanceLost), ran.count("service.web", Counter::OutOfMemory));
    (ran.count("service.web", Counter::OutOfMemory), ran.ok())
}

#[test]
fn what_a_process_keeps_for_later_takes_its_memory() {
    // Each user has a value of 10 MB of their own: five of them in each process by the end. The
    // request after the fourth finds 40 MB there.
    let keys = "[keys.k]\ncount = 1_000_000\nsize = '10MB'\nby = 'user'\n";
    let cache = |more: &str| {
        format!("[cache.l]\nkind = 'memory'\nservice = 'web'\noverhead = '0B'\n{more}{keys}")
    };
    let flow = "[{ cache = { in = 'l', keys = 'k' } }]";
    assert_eq!(left(&cache(""), flow, "41MB"), (0, 10));
    assert_eq!(left(&cache(""), flow, "39MB"), (2, 8));
    assert_eq!(left(&cache("max_entries = 3\n"), flow, "39MB"), (0, 10));
    assert_eq!(
        left(&cache("").replace("overhead = '0B'", "overhead = '500KB'"), flow, "41MB"),
        (2, 8)
    );
    // A Redis has memory of its own.
    let redis = cache("").replace("kind = 'memory'\nservice = 'web'", "kind = 'redis'");
    assert_eq!(left(&redis, flow, "1MB"), (0, 10));
}

#[test]
fn sessions_in_memory_take_memory_and_nothing_removes_them() {
    let store = |more: &str| format!("[session.s]\nstore = 'memory'\nsize = '10MB'\n{more}");
    let sessions = |more: &str, machine: &str| {
        let text = format!("before = ['session.s']\n{}", store(more));
        left(&text, "[{ cpu = '1us' }]", machine)
    };
    // Everybody who comes makes one, guests too.
    assert_eq!(sessions("guests = '100%'\n", "41MB"), (0, 10));
    assert_eq!(sessions("guests = '100%'\n", "39MB"), (2, 8));
    assert_eq!(sessions("guests = '100%'\nsave_uninitialized = false\n", "1MB"), (0, 10));
    // That they have expired removes none that nobody asks for.
    assert_eq!(sessions("guests = '100%'\nttl = '1s'\n", "39MB"), (2, 8));
    // Nor is one asked for whose cookie has ended, though every answer sets that anew: here one user comes each
    // 5 s, and the fifth and the tenth request find 40 MB.
    let text = format!(
        "[service.web]\nruntime = {{ uvicorn = {{}} }}\nreplace = '10ms'\nbefore = ['session.s']\n\
         memory = {{ machine = '39MB', base = '0B', per_request = '0B' }}\n{}\
         [operation.work]\nshare = 1\nflow = [{{ cpu = '1us' }}]\n",
        store("cookie = '2s'\nrolling = true\n")
    );
    let every = ["arrivals={process='even', rate='0.2/s', users=1}", "run.duration=52s"];
    assert_eq!(run(&text, &every).count("service.web", Counter::OutOfMemory), 2);
    let longer = [&every[..], &["session.s.cookie=1h"]].concat();
    assert_eq!(run(&text, &longer).count("service.web", Counter::OutOfMemory), 0);
}

/// Requests of a second each; what their process takes decides whether it lives.
const HEAP: &str = "service.web.runtime={node={heap='10GB'}}";

#[test]
fn operations_say_what_their_requests_take() {
    let killed = |flow: &str, takes: &str| {
        let memory = "service.web.memory={machine='300MB', base='100MB', per_request='1MB'}";
        let takes = format!("operation.work.memory={takes}");
        web(flow, &[HEAP, memory, &takes]).count("service.web", Counter::OutOfMemory)
    };
    // Nine are there at a time: 280 MB of 300, or 310 when the seventh comes.
    assert_eq!(killed("[{ wait = '8500ms' }]", "20MB"), 0);
    assert_eq!(killed("[{ wait = '8500ms' }]", "30MB"), 1);
    // One after the other none is in the way of the next.
    assert_eq!(killed("[{ wait = '500ms' }]", "150MB"), 0);
    assert_eq!(killed("[{ wait = '500ms' }]", "201MB"), 1);
}

#[test]
fn connections_take_memory_as_long_as_they_are_open() {
    let text = "[users]\npopulation = 4\nthink = '2s'\n[service.web]\n[operation.work]\nshare = 1\n\
                flow = [{ wait = '10ms' }]\n";
    let killed = |sets: &[&str]| {
        let memory = "service.web.memory={machine='200MB', base='100MB', per_request='1MB', per_connection='30MB'}";
        run(text, &[&[HEAP, memory], sets].concat()).count("service.web", Counter::OutOfMemory)
    };
    let keeps = "client.connection={tls='none', keep_alive='1h'}";
    // The fourth is one too many: 100 + 1 + 4 x 30.
    assert_eq!(killed(&[keeps]), 1);
    assert_eq!(killed(&[keeps, "users.population=3"]), 0);
    // Where none is kept there are as many as requests.
    assert_eq!(killed(&[]), 0);
    assert_eq!(killed(&[keeps, "service.web.keep_alive=5ms"]), 0);
}

#[test]
fn child_processes_take_cores_and_neither_loop_nor_threads() {
    let longest = |count: usize, sets: &[&str]| {
        let each = "[{ child = { cpu = '100ms', spawn = '5ms' } }]";
        let flow = format!("[{{ parallel = [{}] }}]", vec![each; count].join(", "));
        web(&flow, &[&["service.web.threads=1"], sets].concat()).longest()
    };
    // Each is spawned by the loop, one after the other, and then has a core.
    assert_eq!(longest(1, &["service.web.cores=8"]), ms(105));
    assert_eq!(longest(5, &["service.web.cores=8"]), ms(125));
    // All that there is to compute is done by one core.
    assert_eq!(longest(2, &[]), ms(210));
    // One at a time: the second begins when the first ends.
    assert_eq!(longest(2, &["service.web.cores=8", "service.web.children=1"]), ms(205));
    assert_eq!(longest(4, &["service.web.cores=8", "service.web.children=2"]), ms(210));
    // Who has waited for longest is next: one each second takes 2.5 s, and three are done by 8.505 s.
    let queued = web(
        "[{ child = { cpu = '2500ms', spawn = '5ms' } }]",
        &["service.web.cores=8", "service.web.children=1"],
    );
    assert_eq!((queued.ok(), queued.longest()), (3, ms(5_505)));
    // A slow machine is slow for them too.
    let half = "fault.f={target='service.web', what={slow=2}, at='0s'}";
    assert_eq!(longest(1, &["service.web.cores=8", half]), ms(210));
    // Whoever else comes finds the loop free.
    let beside = web(
        "[{ choose = [{ share = '50%', flow = [{ child = '1500ms' }] }, { share = '50%', flow = [{ cpu = '1ms' }] }] }]",
        &["service.web.cores=2"],
    );
    assert_eq!(beside.shortest(), ms(1));
}

#[test]
fn a_loop_reads_a_body_chunk_by_chunk_as_it_comes() {
    let took = |more: &str, sets: &[&str]| {
        let flow = format!("[{{ transfer = {{ bytes = '1MiB'{more} }} }}]");
        let link = "[link.line]\ncarries = 'service.web'\nbandwidth = '8.388608Mbit/s'\n";
        let link = if sets.is_empty() { "" } else { link };
        let text = format!("[service.web]\n{link}[operation.work]\nshare = 1\nflow = {flow}\n");
        run(&text, sets).each()
    };
    // Sixteen chunks that are all there, each a millisecond; half as many that are twice as long.
    assert_eq!(took(", chunk_cpu = '1ms'", &[]), ms(16));
    assert_eq!(took(", chunk_cpu = '1ms', chunk = '128KiB'", &[]), ms(8));
    // Over a link it takes a second to come: one each 62.5 ms, of which the last remains to be read.
    let near = |took: loadbearing::units::Duration, s: f64| (took.seconds() - s).abs() < 1e-6;
    let slow = ["arrivals.rate=0.2/s", "run.duration=62s"];
    assert!(near(took("", &slow), 1.0), "{:?}", took("", &slow));
    let read = took(", chunk_cpu = '1ms'", &slow);
    assert!(near(read, 1.001), "{read:?}");
    // What takes longer to read than to come is read after it: from 62.5 ms on.
    let read = took(", chunk_cpu = '100ms'", &slow);
    assert!(near(read, 1.6625), "{read:?}");
    // Two that share the link have half of it each; the last chunks of both come after two seconds.
    let both = run(
        "[service.web]\n[link.line]\ncarries = 'service.web'\nbandwidth = '8.388608Mbit/s'\n[operation.work]\n\
         share = 1\nflow = [{ parallel = [[{ transfer = { bytes = '1MiB', chunk_cpu = '1ms' } }], \
         [{ transfer = { bytes = '1MiB', chunk_cpu = '1ms' } }]] }]\n",
        &slow,
    );
    assert!(near(both.each(), 2.002), "{:?}", both.each());
    // A slow machine reads slowly.
    let half = "fault.f={target='service.web', what={slow=2}, at='0s'}";
    let flow = "[{ transfer = { bytes = '1MiB', chunk_cpu = '1ms' } }]";
    assert_eq!(web(flow, &[half]).each(), ms(32));
    // Others find the loop between two chunks, not behind all of them.
    let beside = web(
        "[{ parallel = [[{ transfer = { bytes = '1MiB', chunk_cpu = '10ms' } }], [{ cpu = '1ms' }, { wait = '1ms' }]] }]",
        &[],
    );
    assert_eq!(beside.each(), ms(161));
    let busy = beside.station("service.web").busy_mean * beside.outcome.measured.seconds();
    assert!((busy - 10.0 * 0.161).abs() < 0.01, "{busy} s");
}
