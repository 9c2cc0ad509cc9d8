//! Long-lived connections.

use loadbearing::run::Counter;

use crate::support::{Ran, run};

/// A thousand clients who say something now and then, each message to a room of ten.
const CHAT: &str = r#"
[run]
duration = "60s"
window = "1s"
[arrivals]
rate = "1/s"
[service.web]
instances = 2
[cache.redis]
[keys.k]
count = 1
[socket.chat]
service = "web"
connections = 1_000
transport = "websocket"
messages = "500/s"
room = 10
adapter = "redis"
adapter_cpu = "200us"
[operation.page]
share = 1
flow = [{ cpu = "1ms" }, { cache = { in = "redis", keys = "k" } }]
"#;

fn chat(sets: &[&str]) -> Ran {
    let text = CHAT.replace("[run]\nduration = \"60s\"\nwindow = \"1s\"\n", "");
    run(&text, &[&["run.duration=60s", "run.window=1s"], sets].concat())
}

#[test]
fn t_51_a_broadcast_reaches_every_server() {
    let busy = |instances: &str| chat(&[instances]).station("service.web").busy_mean;
    let (two, eight) = (busy("service.web.instances=2"), busy("service.web.instances=8"));
    // Each of 500 messages costs each process 200 us: 0.2 cores for two, 0.8 for eight.
    assert!((eight - two - 0.6).abs() < 0.03, "{two} and {eight} cores");
    // Also those that have nobody in the room: of one client, whom seven of eight do not know.
    let alone =
        |instances: &str| chat(&[instances, "socket.chat.room=1"]).station("service.web").busy_mean;
    let (two, eight) = (alone("service.web.instances=2"), alone("service.web.instances=8"));
    assert!((eight - two - 0.6).abs() < 0.03, "{two} and {eight} cores");
    let ran = chat(&["service.web.instances=8"]);
    let (said, heard) =
        (ran.count("socket.chat", Counter::Reads), ran.count("socket.chat", Counter::Writes));
    // 500/s, 60 s: a Poisson number, within four of its deviations.
    assert!(said.abs_diff(30_000) < 693, "{said} messages");
    assert!(heard.abs_diff(8 * said) < 50, "{said} messages, {heard} from the adapter");
    // Cure: fewer, larger servers hear less.
    let one = chat(&["service.web.instances=1"]);
    assert!(one.count("socket.chat", Counter::Writes) < said + said / 10);
}

#[test]
fn t_51_long_polling_needs_affinity() {
    let sets = ["socket.chat.connections=0", "socket.chat.opens=20/s", "socket.chat.messages=1/s"];
    let connected = |more: &[&str]| {
        let ran = chat(&[&sets, more].concat());
        ran.count("socket.chat", Counter::Opened) as f64 / (20.0 * 60.0)
    };
    // Requests in turn over two servers: a handshake of four never meets the same one.
    assert_eq!(connected(&["socket.chat.transport=polling"]), 0.0);
    // Cures: a balancer that knows its users, or no polling.
    assert!(connected(&[]) > 0.9);
    const STICKY: &str = "[balancer.front]\nservice = \"web\"\npolicy = \"sticky\"\n";
    let text =
        format!("{CHAT}{STICKY}").replace("[run]\nduration = \"60s\"\nwindow = \"1s\"\n", "");
    let polling = ["socket.chat.transport=polling", "run.duration=60s", "run.window=1s"];
    let sticky = run(&text, &[&sets[..], &polling].concat());
    assert!(sticky.count("socket.chat", Counter::Opened) > 1_000);
}

#[test]
fn t_51_reconnects_come_in_a_storm() {
    // One of two processes goes: its 500 clients come back to the other, whose handshakes take 5 ms.
    let storm = |more: &[&str]| {
        let fault = "fault.f={target='service.web', what='stop', count=1, at='20s'}";
        let sets = ["socket.chat.connect_cpu=5ms", "socket.chat.messages=10/s", fault];
        let ran = chat(&[&sets, more].concat());
        assert_eq!(ran.count("socket.chat", Counter::Closed), 500, "all come back");
        ran.station("service.web").waiting_peak
    };
    let together = storm(&["socket.chat.reconnect.jitter=0%"]);
    assert!(together > 200, "{together} handshakes wait for one loop");
    // The product's jitter of half spreads them over a second; a longer pause over more.
    let spread = storm(&[]);
    let long = storm(&["socket.chat.reconnect={delay='10s', most='20s'}"]);
    assert!(spread > 50 && long < spread / 3, "{together}, {spread}, {long}");
}

#[test]
fn t_51_a_deploy_brings_everybody_back_at_once() {
    // Both processes are replaced at once; a thousand handshakes of 5 ms are 2.5 s of each new one, and
    // whoever wants a page waits behind them.
    let deployed = |more: &[&str]| {
        let sets = [
            "socket.chat.connect_cpu=5ms",
            "socket.chat.messages=1/s",
            "arrivals.rate=20/s",
            "deploy.v2={service='web', at='10s', start='5s', on_sigterm='finish'}",
        ];
        let ran = chat(&[&sets, more].concat());
        assert_eq!(ran.count("socket.chat", Counter::Lost), 0, "their process says goodbye");
        let opened = ran.count("socket.chat", Counter::Opened);
        assert!((1_000..=1_500).contains(&opened), "{opened} come back, some of them twice");
        (ran.station("service.web").waiting_peak, ran.longest().seconds())
    };
    let (together, page) = deployed(&["socket.chat.reconnect.jitter=0%"]);
    assert!(together > 800 && page > 2.0, "{together} wait, a page takes {page} s");
    // One process after the other is no cure: the clients of the first go to the second, and all of them
    // come back once more when that goes.
    let (one_by_one, _) = deployed(&[
        "socket.chat.reconnect.jitter=0%",
        "deploy.v2.how={ecs={min_healthy='50%', max_extra='0%'}}",
    ]);
    assert!(one_by_one > 800, "{one_by_one} of {together}");
    // Cure: pauses over which the handshakes fit, and a longest pause that does not cut their spread off:
    // with delay = most every other client comes after exactly that.
    let (half, _) = deployed(&["socket.chat.reconnect={delay='15s', most='15s'}"]);
    let (spread, page) = deployed(&["socket.chat.reconnect={delay='15s', most='30s'}"]);
    assert!(half > 400, "{half} wait");
    assert!(spread < 50 && page < 0.3, "{spread} wait, a page takes {page} s");
}

#[test]
fn t_51_a_blocked_loop_loses_its_clients_and_gets_them_back_in_a_storm() {
    // One report computes for 50 s: 500 clients hear no ping for 45 s and go.
    let reported = |step: &str| {
        let report = format!("operation.page.flow=[{{{step}='50s'}}]");
        let sets = [
            "run.duration=120s",
            "arrivals={crowd={at='5s', users=1}}",
            "socket.chat.messages=1/s",
            &report,
        ];
        let ran = chat(&sets);
        (ran.count("socket.chat", Counter::Closed), ran.station("service.web").waiting_peak)
    };
    let (gone, waiting) = reported("cpu");
    assert!((400..=1_100).contains(&gone) && waiting > 200, "{gone} have gone, {waiting} wait");
    // Cure: what computes for long does so in a thread.
    let (gone, waiting) = reported("threads");
    assert!(gone == 0 && waiting < 100, "{gone} have gone, {waiting} wait");
}

#[test]
fn a_balancer_closes_what_is_quiet_for_longer_than_its_idle_timeout() {
    // Pings every 90 s through an ALB that waits 60 s: each connection is lost every minute.
    let text = r#"
[service.web]
[balancer.front]
service = "web"
kind = "alb"
[socket.feed]
service = "web"
connections = 100
ping_interval = "90s"
ping_timeout = "20s"
[operation.page]
share = 1
flow = [{ cpu = "1ms" }]
"#;
    let lost = |more: &[&str]| {
        run(text, &[&["run.duration=600s"], more].concat()).count("socket.feed", Counter::Lost)
    };
    assert!(lost(&[]) >= 700, "{} connections", lost(&[]));
    // A first ping comes within 90 s. By 61 s those are lost that had none in the first minute, and those whose ping
    // was in the first second: 31 of 90, and 48 of deviation in ten thousand.
    let minute = ["socket.feed.connections=10_000", "run.duration=61s"];
    let ran = run(text, &minute).count("socket.feed", Counter::Lost);
    assert!(ran.abs_diff(3_444) < 150, "{ran} connections");
    // Cures: the usual ping of 25 s, a longer idle timeout, or something to say.
    assert_eq!(lost(&["socket.feed.ping_interval=25s"]), 0);
    assert_eq!(lost(&["balancer.front.idle_timeout=5min"]), 0);
    assert_eq!(lost(&["socket.feed.messages=1/s"]), 0);
}
