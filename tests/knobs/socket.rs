//! WebSockets: who is connected, what heartbeats and broadcasts cost, how clients come back.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, run};

/// Ten clients at two processes; nobody says anything.
const CHAT: &str = r#"
[arrivals]
rate = "1/s"
process = "even"
users = 1
[balancer.front]
service = "web"
hop = "0ms"
[service.web]
instances = 2
[cache.redis]
rtt = "2ms"
command = "1ms"
[keys.k]
count = 1
[socket.chat]
service = "web"
connections = 10
ping_cpu = "0ms"
connect_cpu = "0ms"
message_cpu = "0ms"
write_cpu = "0ms"
adapter_cpu = "0ms"
[operation.page]
share = 1
flow = [{ cpu = "0ms" }, { cache = { in = "redis", keys = "k" } }]
"#;

fn chat(sets: &[&str]) -> Ran {
    run(CHAT, &[&["run.duration=20s", "run.window=1s"], sets].concat())
}

fn busy(ran: &Ran) -> f64 {
    ran.station("service.web").busy_mean
}

#[test]
fn connections_are_held_and_pinged() {
    let quiet = chat(&[]);
    assert_eq!((quiet.station("socket.chat").held_mean, busy(&quiet)), (10.0, 0.0));
    // Ten clients, 10 ms each second.
    let pinged = chat(&["socket.chat.ping_cpu=10ms", "socket.chat.ping_interval=1s"]);
    assert!((0.095..=0.1).contains(&busy(&pinged)), "{}", busy(&pinged));
    // Unless it is said, engine.io's 25 s or uvicorn's 20 s; each client's first is at some time of an interval.
    let day = |more: &str| busy(&chat(&["run.duration=10000s", "socket.chat.ping_cpu=10ms", more]));
    let python = day("service.web.runtime.uvicorn={}");
    assert!((day("run.seed=1") - 0.1 / 25.0).abs() < 2e-5 && (python - 0.1 / 20.0).abs() < 2e-5);
    // A loop that computes for 5 s pings nobody meanwhile.
    let silent = |timeout: &str| {
        let block = "operation.page.flow=[{cpu='5s'}]";
        let timeout = format!("socket.chat.ping_timeout={timeout}");
        chat(&["arrivals.rate=0.1/s", block, "socket.chat.ping_interval=1s", &timeout])
            .count("socket.chat", Counter::Lost)
    };
    assert_eq!((silent("10s"), silent("2s")), (0, 5), "one of two processes");
}

#[test]
fn a_handshake_must_come_to_one_process_in_time() {
    let come = ["socket.chat.opens=2/s", "socket.chat.connections=0"];
    let opened = |more: &[&str]| {
        let ran = chat(&[&come, more].concat());
        (ran.count("socket.chat", Counter::Opened), ran.count("socket.chat", Counter::Errors))
    };
    // Four requests in turn to two processes: never to one.
    let (never, errors) = opened(&[]);
    assert!(never == 0 && errors > 100, "{errors}");
    let (at_once, errors) = opened(&["socket.chat.transport=websocket"]);
    assert!(at_once > 25 && errors == 0, "{at_once}");
    assert_eq!(opened(&["balancer.front.policy=sticky"]).1, 0);
    assert_eq!(opened(&["socket.chat.transport=polling", "service.web.instances=1"]).1, 0);
    // They stay for as long as they stay.
    let stay = |lasts: &str| {
        let lasts = format!("socket.chat.lasts={lasts}");
        let sets = [&come[..], &["socket.chat.transport=websocket", &lasts]].concat();
        chat(&sets).station("socket.chat").held_mean
    };
    assert!(stay("1s") < 4.0 && stay("10s") > 8.0);
    // Who computes for 3 s on a handshake connects nobody who waits for 1 s.
    let slow = |timeout: &str| {
        let timeout = format!("socket.chat.timeout={timeout}");
        let slow = ["socket.chat.transport=websocket", "socket.chat.connect_cpu=3s", &timeout];
        let ran =
            chat(&[&["socket.chat.opens=0.1/s", "socket.chat.connections=0"], &slow[..]].concat());
        (
            ran.count("socket.chat", Counter::Opened) > 0,
            ran.count("socket.chat", Counter::TimedOut) > 0,
        )
    };
    assert_eq!((slow("1s"), slow("20s").0), ((false, true), true));
}

#[test]
fn connections_take_memory_until_there_is_none() {
    // Five clients at each of two processes, of which each has 100 MB and takes 40 before the first.
    let out = |sets: &[&str]| {
        let memory = "service.web.memory={ machine = '100MB', base = '40MB', per_request = '1MB' }";
        let heap = "service.web.runtime={ node = { heap = '100MB' } }";
        let sets = [&[memory, heap, "service.web.replace=30s"], sets].concat();
        chat(&sets).count("service.web", Counter::OutOfMemory)
    };
    let three =
        ["socket.chat.connections=6", "socket.chat.opens=1/s", "socket.chat.transport=websocket"];
    let with = |memory: &str| out(&[&three[..], &[memory]].concat());
    // What it was measured to be is nothing here; of 20 MB each three fit.
    assert_eq!(out(&[]), 0);
    assert_eq!(with("socket.chat.memory=20KB"), 0);
    assert_eq!(with("socket.chat.memory=19MB"), 2, "both processes, one after the other");
    // A process keeps no memory of clients that have left.
    let brief = "socket.chat.lasts=100ms";
    assert_eq!(out(&[&three[..], &["socket.chat.memory=14MB", brief]].concat()), 0);
    assert_eq!(with("socket.chat.memory=14MB"), 2);
}

#[test]
fn clients_come_back_after_their_pauses() {
    let outage = "fault.f={target='service.web', what='stop', at='2500ms', for='1s'}";
    let back = |reconnect: &str| {
        let reconnect = format!("socket.chat.reconnect={reconnect}");
        let ran = chat(&[outage, "socket.chat.transport=websocket", &reconnect]);
        assert_eq!(ran.count("socket.chat", Counter::Closed), 10);
        assert_eq!(ran.count("socket.chat", Counter::Opened), 10);
        let held = ran.held("socket.chat");
        (held[4], held[5], held[8], ran.count("socket.chat", Counter::Arrivals))
    };
    // At 2.6, 2.8, 3.2 and 4.0 s.
    assert_eq!(back("{delay='100ms', jitter='0%'}"), (10.0, 10.0, 10.0, 40));
    // Every half second: at 3.0 and 3.5 s.
    assert_eq!(back("{delay='500ms', most='500ms', jitter='0%'}").3, 20);
    // Who has been connected again begins with the first pause again: as many attempts after a second outage.
    let again = "fault.g={target='service.web', what='stop', at='10500ms', for='1s'}";
    let doubling = "socket.chat.reconnect={delay='100ms', jitter='0%'}";
    let ran = chat(&[outage, again, "socket.chat.transport=websocket", doubling]);
    assert_eq!(ran.count("socket.chat", Counter::Arrivals), 2 * 40);
    // At 5.5 s, all at once, or from 4 to 7 s.
    let (four, five, eight, _) = back("{delay='3s', jitter='0%'}");
    assert_eq!((four, five, eight), (0.0, 5.0, 10.0));
    let (_, five, eight, _) = back("{delay='3s', jitter='50%'}");
    assert!(five > 0.0 && five < 8.0 && eight == 10.0, "{five}");
}

#[test]
fn a_broadcast_is_written_to_the_members_wherever_they_are() {
    let says = ["socket.chat.messages=10/s"];
    let alone = chat(&says);
    let said = alone.count("socket.chat", Counter::Reads);
    assert!((150..250).contains(&said), "{said}");
    // Five of ten are at the process that it came to; the others hear nothing.
    assert_eq!(alone.count("socket.chat", Counter::Served), 5 * said);
    assert_eq!(alone.count("socket.chat", Counter::Wasted), 5 * said);
    let told = |more: &[&str]| chat(&[&says, &["socket.chat.adapter=redis"], more].concat());
    // While Redis is gone it is as if there were none, and nothing comes later.
    let gone = told(&["fault.f={target='cache.redis', what='stop', at='0s'}"]);
    assert_eq!(gone.count("socket.chat", Counter::Served), 5 * said);
    assert_eq!(gone.count("socket.chat", Counter::Wasted), 5 * said);
    // A client that keeps its commands has them heard late, once it is connected again.
    let held = "cache.redis.client={ioredis-5={max_retries='unlimited'}}";
    let late = told(&["fault.f={target='cache.redis', what='stop', at='5s', for='1s'}", held]);
    assert_eq!(late.count("socket.chat", Counter::Wasted), 0);
    let both = told(&[]);
    let (served, written) =
        (both.count("socket.chat", Counter::Served), both.count("socket.chat", Counter::Writes));
    assert!(
        served.abs_diff(10 * said) <= 10 && written.abs_diff(2 * said) <= 2,
        "{served} {written}"
    );
    assert_eq!(both.count("socket.chat", Counter::Wasted), 0);
    // The half that is elsewhere has it after a round trip to Redis and its command.
    let micros = both.count("socket.chat", Counter::LagMicros) as f64;
    let mean = micros / both.count("socket.chat", Counter::Replayed) as f64;
    assert!((mean - 1_500.0).abs() < 50.0, "{mean}");
    // PUBLISH takes its time of Redis, for each of the processes; a message of 116,384 B is copied in and to both.
    let redis =
        |more: &[&str]| told(more).station("cache.redis").busy_mean * 20.0 * 1e3 / said as f64;
    let per = ["arrivals.rate=0.01/s", "cache.redis.per_subscriber=2ms"];
    assert!((redis(&per) - 5.0).abs() < 0.1, "{}", redis(&per));
    let four = redis(&[&per[..], &["service.web.instances=4"]].concat());
    assert!((four - 9.0).abs() < 0.2, "{four}");
    let large = redis(&[per[0], "cache.redis.per_kb=10us", "socket.chat.size=116384B"]);
    assert!((large - 4.008).abs() < 0.1, "{large}");
    let some = told(&["socket.chat.room=4"]).count("socket.chat", Counter::Served);
    assert!(some.abs_diff(4 * said) < 20, "{some}");
    // Of three, one and a half on average: one or two at each process, a deviation of 10 for 200 messages.
    let three = told(&["socket.chat.room=3"]).count("socket.chat", Counter::Served);
    assert!(three.abs_diff(3 * said) < 30, "{three} for {said}");
    // A message costs its receipt, its members, and each process a look.
    let costs = |key: &str| busy(&told(&[&format!("socket.chat.{key}=1ms")])) * 20.0 / said as f64;
    let near = |key: &str, ms: f64| (costs(key) * 1e3 - ms).abs() < 0.3;
    assert!(near("message_cpu", 1.0) && near("write_cpu", 10.0) && near("adapter_cpu", 2.0));
}

#[test]
fn large_and_compressed_messages_cost_more() {
    // About two hundred messages, each to ten members, five at the process that it comes to.
    let says = ["socket.chat.messages=10/s", "arrivals.rate=0.01/s"];
    let said = chat(&says).count("socket.chat", Counter::Reads);
    let told = |more: &[&str]| chat(&[&says, more].concat());
    let ms = |more: &[&str]| busy(&told(more)) * 20.0 * 1e3 / said as f64;
    let near =
        |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 0.03, "{found} {wanted}");
    let large = "socket.chat.size=101KB";
    assert_eq!(ms(&["socket.chat.read_per_kb=1ms", "socket.chat.write_per_kb=1ms"]), 0.0);
    near(ms(&[large]), 100.0 * (0.010 + 5.0 * 0.00045));
    near(
        ms(&[large, "socket.chat.read_per_kb=30us", "socket.chat.write_per_kb=1us"]),
        100.0 * 0.035,
    );
    // Compressed for each member anew.
    near(ms(&["socket.chat.compression={}"]), 0.065 + 5.0 * 0.040);
    let deflate = "socket.chat.compression={read_cpu='1ms', write_cpu='2ms', write_per_kb='10us'}";
    near(ms(&[large, deflate]), 1.0 + 1.0 + 5.0 * (2.0 + 0.045 + 1.0));
    // What has passed the wire: once to the process, and to five.
    let bytes =
        |more: &[&str]| told(more).count("service.web", Counter::Bytes) as f64 / said as f64;
    assert_eq!(bytes(&[]), 6_000.0);
    assert_eq!(bytes(&["socket.chat.compression={ratio='50%'}"]), 3_000.0);
    // A compressor takes memory, with each of ten connections.
    let memory = "service.web.memory={ machine = '100MB', base = '40MB', per_request = '1MB' }";
    let heap = "service.web.runtime={ node = { heap = '100MB' } }";
    let out = |compression: &str| {
        told(&[memory, heap, compression]).count("service.web", Counter::OutOfMemory)
    };
    assert_eq!(out("socket.chat.compression={memory='11MB'}"), 0);
    assert!(out("socket.chat.compression={memory='13MB'}") > 0);
}

#[test]
fn a_message_that_is_too_large_closes_its_connection() {
    let lost = |more: &str| {
        let sets = ["socket.chat.messages=1/s", "socket.chat.transport=websocket", more];
        let ran = chat(&sets);
        let counts = [Counter::Lost, Counter::Errors, Counter::Served];
        counts.map(|counter| ran.count("socket.chat", counter))
    };
    let [none, _, served] = lost("socket.chat.size=1MB");
    assert!(none == 0 && served > 50, "{none} {served}");
    let [lost_all, errors, heard] = lost("socket.chat.size=1.1MB");
    assert!(lost_all > 10 && errors == lost_all && heard == 0, "{lost_all} {errors}");
    assert_eq!(lost("socket.chat.max_payload=999B")[2], 0);
    // uvicorn takes more.
    let python =
        ["socket.chat.messages=1/s", "socket.chat.size=2MB", "service.web.runtime.uvicorn={}"];
    assert_eq!(chat(&python).count("socket.chat", Counter::Lost), 0);
}

#[test]
fn messages_take_time_on_a_link() {
    // 10 KB at 8 Mbit/s take 10 ms up, and 100 KB to the ten members at one process 100 ms down.
    let one = ["service.web.instances=1", "socket.chat.messages=0.5/s", "socket.chat.size=10KB"];
    let free = ["socket.chat.read_per_kb=0us", "socket.chat.write_per_kb=0us"];
    let late = |text: &str, more: &[&str]| {
        let ran =
            run(text, &[&["run.duration=1000s", "run.window=10s"], &one[..], &free, more].concat());
        let count = |what| ran.count("socket.chat", what) as f64;
        (count(Counter::LagMicros) / count(Counter::Replayed) / 1e6, ran)
    };
    let slow = format!("{CHAT}[link.up]\nbandwidth = '8Mbit/s'\ncarries = 'service.web'\n");
    assert!(late(CHAT, &[]).0 < 1e-6);
    let (mean, ran) = late(&slow, &[]);
    // A message comes while another is on its way once in twenty.
    assert!((0.110..0.118).contains(&mean), "{mean}");
    let messages = ran.count("socket.chat", Counter::Reads);
    for (way, each) in [("link.up.in", 10e3), ("link.up", 100e3)] {
        let bytes = ran.count(way, Counter::Bytes);
        assert!((bytes as f64 / (messages as f64 * each) - 1.0).abs() < 0.01, "{way}: {bytes}");
    }
    // A transfer that is lost comes again after 200 ms.
    let loss = "link.up.loss={above='0%', share='100%'}";
    let (mean, _) = late(&slow, &[loss]);
    assert!((0.50..0.53).contains(&mean), "{mean}");
}

#[test]
fn a_socket_is_a_request_that_lasts() {
    // Five connections are there, and one more comes each second. Envoy has ten requests at most, and nginx
    // twelve connections, two for each.
    let come =
        ["socket.chat.connections=5", "socket.chat.opens=1/s", "socket.chat.transport=websocket"];
    let peak = |sets: &[&str]| {
        let ran = chat(&[&come[..], sets].concat());
        (ran.station("socket.chat").held_peak, ran.failed(Failure::Overflow) > 5)
    };
    let (usual, none) = peak(&[]);
    assert!(usual > 15 && !none, "{usual}");
    let ten = ["balancer.front.kind=envoy", "balancer.front.max_requests=10"];
    assert_eq!(peak(&ten), (10, true));
    let twelve = ["balancer.front.kind=nginx", "balancer.front.worker_connections=12"];
    assert_eq!(peak(&twelve), (6, true));
}
