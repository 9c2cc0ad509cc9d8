//! Machines that several components share.

use crate::support::{Ran, ms, run};

/// A statement of 10 ms and a computation of 10 ms, begun at the same time.
const SIDE_BY_SIDE: &str = r#"
[host.vm]
cores = 1
[service.web]
[service.front]
[pool.pg]
service = "web"
database = "db"
[database.db]
rtt = "0ms"
connect = "0ms"
[cache.redis]
rtt = "0ms"
command = "10ms"
[keys.things]
count = 10
[operation.work]
share = 1
service = "web"
flow = [{ parallel = [[{ query = { pool = "pg", read = "10ms" } }], [{ cpu = "10ms" }]] }]
"#;

fn with(sets: &[&str]) -> Ran {
    run(SIDE_BY_SIDE, &[&["run.start.pools=full"], sets].concat())
}

const ASKS_REDIS: &str = "operation.work.flow=[{parallel=[\
    [{cache={in='redis', keys='things', write=false}}], [{cpu='10ms'}]]}]";

#[test]
fn who_stands_on_one_machine_shares_its_cores() {
    let both: &[&str] = &["service.web.host=vm", "database.db.host=vm"];
    // Each has half of the core.
    assert_eq!(with(both).each(), ms(20));
    assert_eq!(with(&[both, &["host.vm.cores=2"]].concat()).each(), ms(10));
    // With a machine of its own the database is not in the way.
    assert_eq!(with(&["service.web.host=vm"]).each(), ms(10));
    assert_eq!(with(&["database.db.host=vm"]).each(), ms(10));
    // Busy is the one core, for 20 ms a second; each of the two is busy for as long.
    let ran = with(both);
    let busy = |path: &str| (ran.station(path).busy_mean * 10.5 * 1e3).round();
    assert_eq!((busy("host.vm"), busy("service.web"), busy("database.db")), (200.0, 200.0, 200.0));
}

#[test]
fn a_cache_shares_the_machine_that_it_stands_on() {
    let ran = with(&[ASKS_REDIS, "service.web.host=vm", "cache.redis.host=vm"]);
    assert_eq!(ran.each(), ms(20));
    assert_eq!(with(&[ASKS_REDIS, "service.web.host=vm"]).each(), ms(10));
}

#[test]
fn instances_of_a_service_are_processes_of_its_machine() {
    let two = "operation.work.flow=[{parallel=[[{call={service='web', flow=[{cpu='10ms'}]}}], \
               [{call={service='web', flow=[{cpu='10ms'}]}}]]}]";
    let sets = [two, "operation.work.service=front", "service.web.instances=2"];
    assert_eq!(with(&sets).each(), ms(10));
    assert_eq!(with(&[&sets[..], &["service.web.host=vm"]].concat()).each(), ms(20));
}

#[test]
fn others_on_the_machine_take_their_share() {
    let alone = "operation.work.flow=[{cpu='10ms'}]";
    let mean_s =
        |others: &str| with(&[alone, "service.web.host=vm", "run.duration=200s", others]).mean_s();
    // Processor sharing: 10 ms / (1 - 0.5), and hardly more than 10 ms beside little.
    let half = mean_s("host.vm.others=[{rate='50/s', cpu='10ms'}]");
    assert!((half - 0.02).abs() < 0.003, "{half}");
    let little = mean_s("host.vm.others=[{rate='50/s', cpu='0.2ms'}]");
    assert!((little - 0.0101).abs() < 0.0003, "{little}");
    let seldom = mean_s("host.vm.others=[{rate='1/s', cpu='10ms'}]");
    assert!((seldom - 0.0101).abs() < 0.0005, "{seldom}");
}

#[test]
fn stolen_cores_stop_who_computes() {
    let alone = "operation.work.flow=[{cpu='10ms'}]";
    let mean_s = |stolen: &str| {
        let length = "run.duration=400s";
        with(&[alone, "service.web.host=vm", length, stolen]).mean_s()
    };
    // The cores are there for half of the time: 10 ms take 20 ms, and who comes while they are away waits
    // for half a slice on average besides, every second time.
    let short = mean_s("host.vm.stolen={share='50%', slice='1ms'}");
    assert!((short - 0.02025).abs() < 0.0006, "{short}");
    // For seldom but long slices: a hundredth of the work more, and one in a hundred waits for 50 ms.
    let long = mean_s("host.vm.stolen={share='1%', slice='100ms'}");
    assert!((0.0101..0.0115).contains(&long), "{long}");
    // Unsaid, a slice is 4 ms on average, memoryless: its rest is as long.
    let unsaid = mean_s("host.vm.stolen={share='20%'}");
    assert!((unsaid - 0.0133).abs() < 0.0006, "{unsaid}");
    assert!((mean_s("host.vm.stolen={share='1%', slice='1us'}") - 0.0101).abs() < 0.0001);
}

#[test]
fn who_spins_goes_by_the_clock() {
    let flow =
        "operation.work.flow=[{parallel=[[{query={pool='pg', read='10ms'}}], [{spin='10ms'}]]}]";
    // On a core of its own it is a computation.
    assert_eq!(with(&[flow]).each(), ms(10));
    // On a shared one it ends after 10 ms all the same; the statement has had half of them, and then
    // the core for the 5 ms that are left.
    assert_eq!(with(&[flow, "service.web.host=vm", "database.db.host=vm"]).each(), ms(15));
}

#[test]
fn a_machine_has_its_price() {
    let ran = with(&["service.web.host=vm", "host.vm.price='$30'"]);
    let cost = ran.model.costs.iter().find(|cost| cost.path == "host.vm").expect("it costs");
    assert_eq!((cost.monthly, cost.units), (30.0, 1.0));
}

/// A computation of 10 ms whenever somebody asks, beside what is said of the machine.
fn computes(sets: &[&str]) -> Ran {
    let alone = "operation.work.flow=[{cpu='10ms'}]";
    with(&[&[alone, "service.web.host=vm", "run.duration=200s"], sets].concat())
}

#[test]
fn who_goes_first_is_not_in_the_others_way() {
    let beside = |priority: &str| {
        let others = format!("host.vm.others=[{{rate='50/s', cpu='10ms', priority='{priority}'}}]");
        computes(&[&others]).mean_s()
    };
    // A core that is half taken: 10 ms / (1 - 0.5) among equals. Behind others it waits for what they
    // have, 5 ms on average in M/D/1, and for what comes meanwhile: (5 ms + 10 ms) / (1 - 0.5).
    let (low, equal, high) = (beside("low"), beside("normal"), beside("high"));
    assert!((low - 0.01).abs() < 1e-9, "{low}");
    assert!((equal - 0.02).abs() < 0.003, "{equal}");
    assert!((high - 0.03).abs() < 0.005, "{high}");
    // The same said of the service.
    let busy = "host.vm.others=[{rate='50/s', cpu='10ms'}]";
    let first = computes(&[busy, "service.web.priority=high"]).mean_s();
    let last = computes(&[busy, "service.web.priority=low"]).mean_s();
    assert!((first - low).abs() < 1e-9 && (last - high).abs() < 1e-9, "{first} {last}");
}

#[test]
fn a_statement_and_a_command_have_their_priority() {
    let both: &[&str] = &["service.web.host=vm", "database.db.host=vm"];
    // Who goes first is done after 10 ms, the other after 20.
    let ran = with(&[both, &["database.db.priority=high"]].concat());
    assert_eq!(ran.each(), ms(20));
    let spent = |ran: &Ran, path: &str| (ran.station(path).busy_mean * 10.5 * 1e3).round();
    assert_eq!((spent(&ran, "database.db"), spent(&ran, "service.web")), (100.0, 200.0));
    let ran = with(&[both, &["database.db.priority=low"]].concat());
    assert_eq!((spent(&ran, "database.db"), spent(&ran, "service.web")), (200.0, 100.0));
    let both = [ASKS_REDIS, "service.web.host=vm", "cache.redis.host=vm"];
    let ran = with(&[&both[..], &["cache.redis.priority=low"]].concat());
    assert_eq!((spent(&ran, "cache.redis"), spent(&ran, "service.web")), (200.0, 100.0));
    let ran = with(&[&both[..], &["cache.redis.priority=high"]].concat());
    assert_eq!((spent(&ran, "cache.redis"), spent(&ran, "service.web")), (100.0, 200.0));
}

#[test]
fn who_computes_keeps_the_core_for_a_turn() {
    // Half of the time the core is taken by pieces of 100 ms. Among equals the work takes twice as long
    // beside one of them; with turns it waits for 4 ms before that.
    let busy = "host.vm.others=[{rate='5/s', cpu='100ms', at_most=1}]";
    let shared = computes(&[busy]).mean_s();
    let turns = computes(&[busy, "host.vm.turn=4ms"]).mean_s();
    assert!((turns - shared - 0.5 * 0.004).abs() < 0.0008, "{shared} {turns}");
    // A turn that is longer than the work: first come first served.
    let long = computes(&[busy, "host.vm.turn=10s"]).mean_s();
    assert!(long > 0.03, "{long}");
}

#[test]
fn others_can_be_so_many_at_a_time() {
    // Five pieces at once are in the way five times as much as one at a time.
    let mean_s = |most: &str| {
        let others = format!("host.vm.others=[{{rate='7/s', cpu='100ms'{most}}}]");
        computes(&[&others]).mean_s()
    };
    let (all, one) = (mean_s(""), mean_s(", at_most=1"));
    // One at a time: 0.7 of the time the work takes twice as long.
    assert!((one - 0.017).abs() < 0.0015 && all > 1.3 * one, "{all} {one}");
}
