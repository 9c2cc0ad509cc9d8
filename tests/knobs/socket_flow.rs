//! What is done with the messages of sockets: their handlers, and when a message is broadcast.

use loadbearing::failure::Failure;
use loadbearing::model::demand::demand;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Ten clients at two processes, five each, who say something ten times a second.
const CHAT: &str = r#"
[arrivals]
rate = "1/s"
process = "even"
users = 1
[service.web]
instances = 2
[database.db]
cores = 100
rtt = "0ms"
contention = { sigma = 0, kappa = 0 }
[pool.pg]
service = "web"
database = "db"
size = 100
[socket.chat]
service = "web"
connections = 10
messages = "10/s"
ping_cpu = "0ms"
message_cpu = "0ms"
write_cpu = "0ms"
flow = [{ query = { pool = "pg", write = "20ms" } }]
[operation.page]
share = 1
flow = [{ wait = "1ms" }]
"#;

fn chat(sets: &[&str]) -> Ran {
    let warm = ["run.duration=100s", "run.start.pools=warm"];
    run(CHAT, &[&warm[..], sets].concat())
}

fn of(ran: &Ran, counter: Counter) -> u64 {
    ran.count("socket.chat", counter)
}

/// How late the members have a message on average (ms).
fn late_ms(ran: &Ran) -> f64 {
    of(ran, Counter::LagMicros) as f64 / of(ran, Counter::Replayed) as f64 / 1e3
}

#[test]
fn a_message_is_handled_by_the_process_that_holds_its_sender() {
    // A wait has no connection to open: each handler takes 20 ms, to the tick.
    let wait = "socket.chat.flow=[{wait='20ms'}, {query={pool='pg', write='0ms'}}]";
    let ran = chat(&[wait]);
    let said = of(&ran, Counter::Reads);
    assert!((900..1100).contains(&said), "{said}");
    let handled = of(&ran, Counter::Handled);
    assert!(handled <= said && said - handled <= 3, "{handled} of {said}");
    assert_eq!(ran.station("socket.chat").wait.max(), Some(ms(20)));
    assert_eq!(ran.station("socket.chat").wait.min(), Some(ms(20)));
    assert_eq!(ran.count("database.db", Counter::Writes), handled);
    // Whoever is at the same process has it when it is stored, and who is elsewhere has not.
    assert_eq!(of(&ran, Counter::Served), 5 * handled);
    assert!((late_ms(&ran) - 20.0).abs() < 1e-9, "{}", late_ms(&ran));
    // Or before it is stored, or never.
    let before = chat(&[wait, "socket.chat.broadcast=before"]);
    assert_eq!((of(&before, Counter::Served), late_ms(&before)), (5 * said, 0.0));
    assert_eq!(of(&before, Counter::Handled), handled);
    let never = chat(&[wait, "socket.chat.broadcast=never"]);
    assert_eq!((of(&never, Counter::Served), of(&never, Counter::Wasted)), (0, 0));
    assert_eq!(of(&never, Counter::Handled), handled);
    // One connection: ten queries of 20 ms a second keep each process's busy for a tenth of the time.
    let few = chat(&["pool.pg.size=1"]);
    let busy = few.station("pool.pg").busy_mean;
    assert!((busy - 0.2).abs() < 0.02, "{busy}");
    // With Poisson arrivals and constant holds a message waits rho / (2 (1 - rho)) x 20 ms beside (M/D/1).
    let mean = few.station("socket.chat").wait.mean_s().expect("some are handled");
    let expected = 0.020 + 0.020 * 0.1 / (2.0 * 0.9);
    assert!((mean - expected).abs() < 0.0006, "{mean} for {expected}");
}

#[test]
fn writing_to_the_members_is_computing_of_the_handler() {
    // Five members of 1 ms each, ten times a second, whenever that is.
    let busy = |broadcast: &str| {
        let broadcast = format!("socket.chat.broadcast={broadcast}");
        let ran = chat(&["socket.chat.write_cpu=1ms", "socket.chat.message_cpu=2ms", &broadcast]);
        ran.station("service.web").busy_mean * 100.0 / of(&ran, Counter::Reads) as f64
    };
    for (broadcast, each) in [("after", 0.007), ("before", 0.007), ("never", 0.002)] {
        let found = busy(broadcast);
        assert!((found - each).abs() < 2e-5, "{broadcast}: {found}");
    }
}

#[test]
fn a_handler_that_fails_broadcasts_nothing_and_one_dies_with_its_process() {
    let fails = "socket.chat.flow=[{query={pool='pg', write='1ms', fail='100%'}}]";
    let after = chat(&[fails]);
    let said = of(&after, Counter::Reads);
    // One may be under way at the end.
    let failed = of(&after, Counter::Unhandled);
    assert!(said - failed <= 1, "{failed} of {said}");
    assert_eq!((of(&after, Counter::Handled), of(&after, Counter::Served)), (0, 0));
    assert_eq!(of(&after, Counter::Wasted), 0, "nobody misses what is not sent");
    let before = chat(&[fails, "socket.chat.broadcast=before"]);
    assert_eq!((of(&before, Counter::Unhandled), of(&before, Counter::Served)), (failed, 5 * said));
    // Handlers take 2 s: when both processes die, those of the last 2 s die with them.
    let dies = "fault.f={target='service.web', what='stop', at='50s', for='1s'}";
    let slow = ["socket.chat.flow=[{wait='2s'}]", dies, "socket.chat.transport=websocket"];
    let ran = chat(&slow);
    let lost = of(&ran, Counter::Unhandled);
    assert!((10..30).contains(&lost), "{lost}");
    let at_end = of(&ran, Counter::Reads) - of(&ran, Counter::Handled) - lost;
    assert!((8..32).contains(&at_end), "{at_end}");
}

#[test]
fn handlers_take_memory_and_are_part_of_the_demand() {
    let asked = demand(&chat(&[]).model, None);
    let model = chat(&[]).model;
    let at = |path: &str| {
        model.stations.enumerate().find(|(_, it)| it.path == path).expect("a station").0
    };
    // Ten messages come for one request, each for 20 ms.
    assert!((asked.visits[at("pool.pg")] - 10.0).abs() < 1e-9);
    assert!((asked.service_s[at("pool.pg")] - 0.2).abs() < 1e-9);
    // Nobody waits for them.
    assert!((asked.response_s - 0.001).abs() < 1e-9, "{}", asked.response_s);
    // Ten handlers of 10 s are at work at once in each process, with 1 MB each of 5 MB.
    let memory = "service.web.memory={ machine = '105MB', base = '100MB', per_request = '1MB' }";
    let heap = "service.web.runtime={ node = { heap = '105MB' } }";
    let out = |flow: &str| {
        let flow = format!("socket.chat.flow=[{{wait='{flow}'}}]");
        let back = "socket.chat.transport=websocket";
        chat(&[memory, heap, "service.web.replace=1s", back, &flow])
            .count("service.web", Counter::OutOfMemory)
    };
    assert_eq!(out("10ms"), 0);
    assert!(out("10s") > 2);
    // Also where nobody asks for a page meanwhile.
    let alone = ["arrivals.rate=0.0001/s", "socket.chat.flow=[{wait='10s'}]"];
    let usual = [memory, heap, "service.web.replace=1s", "socket.chat.transport=websocket"];
    assert!(chat(&[&usual[..], &alone].concat()).count("service.web", Counter::OutOfMemory) > 2);
}

/// A user who asks three processes for their sockets, once a second.
const ASKS: &str = r#"
[service.web]
instances = 3
[cache.redis]
rtt = "2ms"
command = "1ms"
per_subscriber = "0us"
[socket.chat]
service = "web"
connections = 3
adapter = "redis"
ping_cpu = "0ms"
adapter_cpu = "10ms"
answer_cpu = "5ms"
[operation.page]
share = 1
flow = [{ fetch_sockets = "chat" }]
"#;

#[test]
fn a_process_asks_all_others_and_waits_for_each() {
    let each = |sets: &[&str]| run(ASKS, sets).each();
    // Its own 5 ms; 3 ms each for how many there are and for the request; then the others decode it and answer at the
    // same time, 15 ms, publish, 1 + 1 and 1 + 2 ms, and it decodes one after the other, 10 ms from the first on.
    let redis = ms(3 + 3);
    assert_eq!(each(&[]), ms(5) + redis + ms(15 + 3 + 20));
    // With one other there is one answer; alone it asks how many there are, and nobody.
    assert_eq!(each(&["service.web.instances=2"]), ms(5) + redis + ms(15 + 3 + 10));
    assert_eq!(each(&["service.web.instances=1"]), ms(5 + 3));
    assert_eq!(each(&["socket.chat.answer_cpu=7ms"]), ms(7) + redis + ms(17 + 3 + 20));
    // An answer with 100 KB to be copied has the server's thread for a millisecond, and one for each that gets it.
    let large =
        ["socket.chat.answer=116384B", "cache.redis.per_kb=10us", "service.web.instances=2"];
    let took = each(&large).seconds() - 0.039;
    assert!((0.0029..0.0031).contains(&took), "{took}");
    // Each decodes both answers, 10 ms each, and two the request; three list what they have.
    let ran = run(ASKS, &[]);
    let busy = ran.station("service.web").busy_mean * 10.5 / 10.0;
    assert!((busy - (0.060 + 0.020 + 0.015)).abs() < 1e-6, "{busy}");
    // In memory there is nobody to ask.
    let text = ASKS.replace("adapter = \"redis\"\n", "");
    assert_eq!(run(&text, &[]).each(), ms(5));
}

#[test]
fn one_process_that_stands_still_keeps_the_asker_waiting() {
    // One of two is a thousand times slower from 2.5 s on: it decodes and lists for 15 s.
    let text = ASKS.replace("instances = 3", "instances = 2");
    let blocks = "fault.f={target='service.web', what={slow=1000}, at='2500ms', for='5s', count=1}";
    let outcome = |timeout: &str| {
        let timeout = format!("socket.chat.requests_timeout={timeout}");
        let ran = run(&text, &[blocks, "run.duration=60s", &timeout]);
        let late = ran.failed(Failure::UpstreamTimeout);
        (late > 0, late == ran.count("socket.chat", Counter::TimedOut))
    };
    assert_eq!(outcome("1s"), (true, true));
    // The timer begins as it publishes: after its own 5 ms and the 3 ms of how many there are.
    let late = run(&text, &[blocks, "run.duration=60s", "socket.chat.requests_timeout=1s"]);
    let first = late.outcome.failed_latency.min().expect("some are late");
    assert!(first >= ms(1_008) && first <= ms(1_011), "{first}");
    assert_eq!(outcome("100s"), (false, true));
}
