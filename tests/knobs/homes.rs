//! Users do what is offered where they live, and follow the records of DNS when a service is down.

use loadbearing::model::demand::demand;
use loadbearing::report::{self, Style, Written};
use loadbearing::result::{Point, Summary};
use loadbearing::run::story::{Wanted, What, tell};
use loadbearing::run::{Counter, Unwatched};

use crate::support::{Ran, model, ms, run};

/// Three users of ten live in the west; both sides have a service near by, 80 ms from each other.
const SIDES: &str = r#"
[arrivals]
rate = "1000/s"
users = 10_000
[region.east]
users = "70%"
rtt = "10ms"
[region.west]
users = "30%"
rtt = "10ms"
[route.east.west]
rtt = "80ms"
[service.web]
region = "east"
[service.web-west]
region = "west"
[operation.read]
share = 3
service = "web"
users_in = ["east"]
flow = [{ wait = "5ms" }]
[operation.write]
share = 1
service = "web"
users_in = ["east"]
flow = [{ wait = "5ms" }]
[operation.read-west]
share = 2
service = "web-west"
users_in = ["west"]
flow = [{ wait = "5ms" }]
"#;

#[test]
fn operations_are_those_of_the_users_of_their_regions() {
    let came = |ran: &Ran| {
        let of = |name: &str| {
            let found = ran.model.operations.enumerate().find(|(_, it)| it.name == name);
            ran.outcome.operations[found.expect("an operation").0].offered as f64
        };
        [of("read"), of("write"), of("read-west")]
    };
    let near = run(SIDES, &[]);
    // Nobody is served from afar, and the analysis knows.
    assert_eq!(near.each(), ms(15));
    assert!((demand(&near.model, None).response_s - 0.015).abs() < 1e-9);
    // Shares are of what the users of a region do: 70 % x 3/4, 70 % x 1/4, 30 %.
    for (came, share) in came(&near).into_iter().zip([0.525, 0.175, 0.3]) {
        let bound = 4.0 * (10_500.0 * share * (1.0 - share) * 2.0_f64).sqrt();
        assert!((came - 10_500.0 * share).abs() < bound, "{came} of {share}");
    }
    let shares: Vec<f64> = near.model.operations.iter().map(|it| it.share).collect();
    let right =
        shares.iter().zip([0.525, 0.3, 0.175]).all(|(one, other)| (one - other).abs() < 1e-9);
    assert!(right, "{shares:?}");
    // For everybody it is a third of what all users do, and 70 % of those come from the east.
    let all = run(SIDES, &["operation.read-west.users_in=[]", "operation.read.users_in=[]"]);
    assert_eq!((all.shortest(), all.longest()), (ms(15), ms(95)));
    let west = 0.7 * 2.0 / 6.0 + 0.3 * 2.0 / 5.0;
    assert!((came(&all)[2] - 10_500.0 * west).abs() < 300.0);
    let far = 0.7 * 2.0 / 6.0 + 0.3 * 3.0 / 5.0;
    assert!((demand(&all.model, None).response_s - (0.015 + 0.080 * far)).abs() < 1e-9);
}

#[test]
fn chains_and_sessions_stay_where_their_users_live() {
    // In the east a write follows each read, and whatever follows a write is chosen by the shares.
    let next = [
        "operation.read.next=[{to='write', share='100%'}]",
        "arrivals.session={pages=4, think='100ms'}",
        "arrivals.rate='100/s'",
    ];
    let chained = run(SIDES, &next);
    assert_eq!(chained.each(), ms(15));
    let share = |name: &str| {
        let found = chained.model.operations.iter().find(|it| it.name == name);
        found.expect("an operation").share
    };
    // Visits in the east: r = 3/4 (1 + 3/4 w), w = 1/4 (1 + 3/4 w) + r.
    let w = 1.0 / (1.0 - 3.0 / 4.0);
    let r = 0.75 * (1.0 + 0.75 * w);
    let pages = 0.7 * (r + w) + 0.3 * 4.0;
    assert!((share("read") - 0.7 * r / pages).abs() < 1e-9);
    assert!((share("read-west") - 0.3 * 4.0 / pages).abs() < 1e-9);
    // A store in the west has the sessions of those who live there.
    let store = format!(
        "{SIDES}[session.s]\nttl = '1h'\nstore.redis.cache = 'redis'\n[cache.redis]\nregion = 'west'\n"
    );
    let kept = |sets: &[&str]| {
        let before = "service.web-west.before=['session.s']";
        let all = [&["run.start.sessions=warm", before], sets].concat();
        let warm = model(&store, &all).sessions.iter().next().expect("a store").warm;
        let held = run(&store, &all).held("session.s")[0];
        assert!((held - warm as f64).abs() < 20.0, "{held} of {warm}");
        warm
    };
    assert_eq!(kept(&[]), 3_000);
    assert_eq!(kept(&["operation.read-west.users_in=[]"]), 10_000);
}

/// Two services that stand in for each other; the first fails for 100 s. A single checker asks every 10 s.
const STAND_IN: &str = r#"
[arrivals]
rate = "10/s"
process = "even"
users = 1_000
[client.dns]
checkers = 1
interval = "10s"
ttl = "0s"
[region.east]
users = "100%"
[region.west]
[route.east.west]
rtt = "80ms"
[service.web]
region = "east"
[service.web-west]
region = "west"
[fault.f]
target = "service.web"
what = "stop"
at = "100050ms"
for = "100s"
[operation.read]
share = 1
service = "web"
failover = "read-west"
flow = [{ wait = "5ms" }]
[operation.read-west]
share = 0
service = "web-west"
failover = "read"
flow = [{ wait = "5ms" }]
"#;

#[test]
fn users_go_elsewhere_as_soon_as_dns_says_so() {
    let far = |sets: &[&str]| {
        let ran = run(STAND_IN, &[&["run.duration=400s"], sets].concat());
        let lost: u64 = ran.outcome.requests.failed.iter().sum();
        (lost, ran.count("service.web-west", Counter::Served), ran)
    };
    // The third check after the stop is between 20 and 30 s later, the third after the start as much later, to the
    // check: 100 s x 10/s are answered in the west.
    let (lost, served, ran) = far(&[]);
    assert!((200..300).contains(&lost) && served == 1000, "{lost} lost, {served} elsewhere");
    assert_eq!((ran.shortest(), ran.longest()), (ms(5), ms(85)));
    // Whoever came in those 100 s went elsewhere: one a tenth of a second, a thousand users.
    let [mark] = ran.outcome.failovers[..] else { panic!("{:?}", ran.outcome.failovers) };
    let long = mark.until.expect("it came back").since(mark.from);
    assert_eq!((mark.attempts, long), (1000, loadbearing::units::Duration::secs(100)));
    assert!(
        mark.users > 550 && mark.users < 700,
        "each of 1,000 with a chance of 63 %: {}",
        mark.users
    );
    assert_eq!(ran.outcome.attempts.elsewhere, 1000);
    // What is counted is what users wanted.
    assert_eq!(ran.outcome.operations.iter().next().expect("an operation").offered, ran.offered());
    let first = far(&["client.dns.threshold=1"]);
    assert_eq!((lost - first.0, first.1), (200, 1000), "two checks sooner");
    let fast = far(&["client.dns.interval=5s"]);
    assert!((100..150).contains(&fast.0) && fast.1 == 1000, "{} {}", fast.0, fast.1);
    // Of 16 checkers 14 must have found out, since 18 % of 16 are 2.88; of a half 8.
    let many = far(&["client.dns.checkers=16"]);
    assert!((255..300).contains(&many.0), "{}", many.0);
    let half = far(&["client.dns.checkers=16", "client.dns.quorum=50%"]);
    assert!(half.0 + 15 < many.0 && half.0 > 220, "{} of {}", half.0, many.0);
    // More than the quorum must find it well: of two checkers more than half is both. So the first that finds it down
    // takes it away, and the last that finds it well brings it back. With less than a half it is the other way round.
    let two = |quorum: &str| {
        let (_, _, ran) = far(&["client.dns.checkers=2", quorum]);
        let mark = ran.outcome.failovers[0];
        mark.until.expect("it came back").since(mark.from)
    };
    let (long, short) = (two("client.dns.quorum=50%"), two("client.dns.quorum=49%"));
    assert!(long > short && long + short == loadbearing::units::Duration::secs(200), "{long:?}");
    // Resolvers keep what they know: 60 s / 2 on average, on the way there as on the way back.
    let kept = far(&["client.dns.ttl=60s"]);
    let later = kept.0 as f64 - lost as f64;
    assert!((later - 300.0).abs() < 60.0 && (kept.1 as f64 - 1000.0).abs() < 60.0, "{later}");
    // Of 20,000 in those 20 s a half is lost, each request with its own chance: 10,000, and 58 of deviation.
    let busy = ["arrivals.rate=1000/s", "arrivals.users=1_000_000", "run.duration=200s"];
    let [at_once, kept] = ["0s", "20s"]
        .map(|ttl| far(&[&busy[..], &[&format!("client.dns.ttl={ttl}")]].concat()).0 as f64);
    assert!((kept - at_once - 10_000.0).abs() < 200.0, "{kept} {at_once}");
    // A fifth of them keep it for a day: they stay, and lose nearly all.
    let stale = far(&["client.dns.stale=20%", "client.dns.stale_ttl=1day"]);
    let more = (stale.0 - lost) as f64;
    assert!((more - 0.2 * (1000.0 - lost as f64)).abs() < 45.0, "{more}");
    // Without one, all of it is lost.
    let alone = STAND_IN.replace("failover = \"read-west\"\n", "");
    let alone = run(&alone, &["run.duration=400s"]);
    assert_eq!(alone.outcome.requests.failed.iter().sum::<u64>(), 1000);
}

#[test]
fn a_region_that_is_cut_off_is_down_and_one_whose_stand_in_is_down_stays() {
    let served = |sets: &[&str]| {
        let ran = run(STAND_IN, &[&["run.duration=400s"], sets].concat());
        let lost = ran.outcome.requests.failed.iter().sum::<u64>();
        (lost, ran.count("service.web-west", Counter::Served))
    };
    // Home is the east: who lives there is not cut off from it, but checkers elsewhere are.
    let cut = ["fault.f.target=region.east", "fault.f.what.cut={}", "region.west.users=100%"];
    let west = [&cut[..], &["region.east.users=0%", "client.patience=1s"]].concat();
    let (lost, elsewhere) = served(&west);
    assert!((200..300).contains(&lost) && elsewhere == 1000, "{lost} {elsewhere}");
    let both = ["fault.f.target=['service.web', 'service.web-west']"];
    let (lost, elsewhere) = served(&both);
    assert_eq!((lost, elsewhere), (1000, 0));
}

#[test]
fn checkers_ask_from_every_region_and_through_the_balancer() {
    let ran = |text: &str, sets: &[&str]| {
        run(text, &[&["run.duration=400s"], sets].concat()).outcome.failovers
    };
    // East and west are cut off from each other, and one of two checkers stands in each: it finds its own side well
    // and the other down. One is too few for a half, and enough for 49 %.
    let cut = [
        "fault.f.target=region.east",
        "fault.f.what.cut.from=region.west",
        "client.dns.checkers=2",
    ];
    let marks = |quorum: &str| ran(STAND_IN, &[&cut[..], &[quorum]].concat()).len();
    assert_eq!((marks("client.dns.quorum=50%"), marks("client.dns.quorum=49%")), (2, 0));
    // Whoever goes elsewhere is counted in each failure anew.
    let again = "fault.g={target='service.web', what='stop', at='250050ms', for='100s'}";
    let users: Vec<u32> =
        ran(STAND_IN, &["arrivals.users=1", again]).iter().map(|mark| mark.users).collect();
    assert_eq!(users, [1, 1]);
    // A balancer whose own checks take too long has nobody to send a request to, though all would answer.
    let behind = STAND_IN.replace("what = \"stop\"", "what = { slow = 1.0 }");
    let behind = format!("{behind}[balancer.lb]\nservice = 'web'\n");
    let checks = |wait: &str| {
        let checks = "interval='1s', timeout='500ms', unhealthy=1";
        format!("balancer.lb.checks={{{checks}, flow=[{{wait='{wait}'}}]}}")
    };
    assert_eq!(ran(&behind, &[&checks("400ms")]), []);
    let [mark] = ran(&behind, &[&checks("600ms")])[..] else { panic!("it is down") };
    // The third of its checks, 10 s apart, after those of the balancer, of which one in 1.5 s is enough.
    let from_s = mark.from.seconds();
    assert!((20.0..31.5).contains(&from_s) && mark.until.is_none(), "{mark:?}");
}

#[test]
fn a_failover_is_told() {
    let ran = run(STAND_IN, &["run.duration=400s"]);
    let outcomes = std::slice::from_ref(&ran.outcome);
    let summary = Summary::new(&ran.model, outcomes);
    let point = Point { name: "test", model: &ran.model, outcomes, summary: &summary };
    let text = report::ran(&point, &Written { folder: None, again: "" }, Style::Plain);
    let users = ran.outcome.failovers[0].users;
    assert!(text.contains("DNS takes service.web for down from"), "{text}");
    assert!(text.contains(&format!("{users} users went elsewhere")), "{text}");
    let mark = summary.faults.iter().find(|it| it.name == "dns").expect("a mark");
    let long_s = mark.until_s.expect("it came back") - mark.from_s;
    assert!(mark.units == users && (long_s - 100.0).abs() < 1e-9, "{mark:?}");
    let share = summary.estimate("elsewhere_ratio").estimate.expect("a share");
    assert!((share - 1000.0 / ran.offered() as f64).abs() < 1e-9, "{share}");
    // The slowest that end well are those that cross the ocean.
    let slowest = Wanted::Slowest { count: 1, failed: false, operation: None };
    let story = &tell(&ran.model, 0, slowest, &mut Unwatched)[0];
    let instead = story.moments.iter().find_map(|it| match it.what {
        What::Instead(operation) => Some(ran.model.operations[operation].name.as_str()),
        _ => None,
    });
    assert_eq!(instead, Some("read-west"));
}
