//! Copies of a database in another region: who reads from them, how far they are behind, and who takes over.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Users and their service in the west, the primary in the east, a copy in the west.
const SPREAD: &str = r#"
[region.east]
[region.west]
users = "100%"
[route.east.west]
rtt = "70ms"
[service.web]
region = "west"
[pool.pg]
service = "web"
database = "db"
reads = "nearest"
[database.db]
region = "east"
abroad = [{ region = "west" }]
rtt = "2ms"
connect = "0ms"
lag = "5ms"
replay = "0%"
cores = 64
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "10ms" } }]
"#;
const WRITES: &str = "operation.work.flow=[{query={pool='pg', write='10ms'}}]";
/// The service beside the primary.
const HOME: [&str; 3] =
    ["service.web.region=east", "region.east.users=100%", "region.west.users=0%"];

fn spread(sets: &[&str]) -> Ran {
    run(SPREAD, sets)
}

fn served(ran: &Ran) -> [u64; 2] {
    ["database.db", "database.db.replicas"].map(|path| ran.count(path, Counter::Served))
}

#[test]
fn reads_go_to_the_nearest_copy() {
    let near = spread(&[]);
    assert_eq!((near.each(), served(&near)), (ms(12), [0, 10]));
    // To the primary it is 70 ms more each time, and three times that to connect.
    let far = spread(&["pool.pg.reads=primary"]);
    assert_eq!((far.shortest(), far.longest(), served(&far)), (ms(82), ms(292), [10, 0]));
    let home = spread(&HOME);
    assert_eq!((home.each(), served(&home)), (ms(12), [10, 0]), "the primary is nearer");
    // A copy beside the primary spares it; and two in the west share their reads.
    let beside = spread(&[&HOME[..], &["database.db.replicas=1"]].concat());
    assert_eq!((beside.each(), served(&beside)), (ms(12), [0, 10]));
    let all = spread(&["database.db.replicas=1", "pool.pg.reads=replicas"]);
    assert_eq!((all.shortest(), all.longest(), served(&all)), (ms(12), ms(292), [0, 10]));
    let two = spread(&["database.db.abroad=[{region='west', replicas=2}]"]);
    assert_eq!((two.each(), two.count("pool.pg", Counter::Opened)), (ms(12), 2));
    assert_eq!(near.count("pool.pg", Counter::Opened), 1);
    // Writes cross.
    let writes = spread(&[WRITES]);
    assert_eq!((writes.shortest(), served(&writes)), (ms(82), [10, 0]));
}

#[test]
fn a_copy_is_as_far_behind_as_the_way_is_long() {
    let lag_us = |sets: &[&str]| {
        let ran = spread(&[&[WRITES][..], sets].concat());
        let count = |counter| ran.count("database.db.replicas", counter);
        (count(Counter::LagMicros), count(Counter::Replayed))
    };
    // Half of 70 ms, and the lag of the database or its own.
    assert_eq!(lag_us(&[]), (400_000, 10));
    assert_eq!(lag_us(&["database.db.abroad=[{region='west', lag='15ms'}]"]), (500_000, 10));
    // Writes of four seconds, committed 11 ms after each, cross when the cut has healed.
    let cut =
        "fault.cut={target='region.east', what={cut={from='region.west'}}, at='500ms', for='4s'}";
    let behind = 4 * 4_540_000 - (1 + 2 + 3 + 4) * 1_000_000 - 4 * 11_000 + 6 * 40_000;
    assert_eq!(lag_us(&[&HOME[..], &[cut]].concat()), (behind, 10));
    // Who reads nearby does not notice it.
    assert_eq!(spread(&[cut]).ok(), 10);
    assert!(spread(&[cut, "pool.pg.reads=primary"]).longest() > ms(3_000));
}

#[test]
fn a_copy_takes_over_when_its_primary_has_lost_its_region() {
    let lost = "fault.east={target='region.east', what='stop', at='2500ms'}";
    let ended = |sets: &[&str]| {
        let ran = spread(&[&[WRITES, lost][..], sets].concat());
        (ran.ok(), ran.failed(Failure::DatabaseDown), ran.count("database.db", Counter::Lost))
    };
    assert_eq!(ended(&[]), (2, 8, 0));
    // Three seconds later the primary is in the west: writes from 6 s on are near it.
    let takeover = "database.db.takeover=3s";
    assert_eq!(ended(&[takeover]), (7, 3, 0));
    let moved = spread(&[WRITES, lost, takeover]);
    assert_eq!(moved.shortest(), ms(12));
    assert_eq!(ended(&["database.db.takeover=1s"]), (9, 1, 0));
    // What had not come over is lost; a region that is back before then stays the primary's.
    assert_eq!(ended(&[takeover, "database.db.lag=9s"]), (7, 3, 2));
    assert_eq!(ended(&[takeover, "fault.east.for=2s"]), (8, 2, 0));
    let stayed = spread(&[WRITES, lost, takeover, "fault.east.for=2s"]);
    assert_eq!(stayed.shortest(), ms(82));
    // The loss of the other region takes the copy, not the primary.
    let west = "fault.east.target='region.west'";
    assert_eq!(spread(&[&[WRITES, lost, west][..], &HOME].concat()).ok(), 10);
    let reads = spread(&[&[lost, west, "pool.pg.reads=replicas"][..], &HOME].concat());
    assert_eq!((reads.ok(), reads.failed(Failure::DatabaseDown)), (2, 8));
}

#[test]
fn what_comes_over_later_than_its_successor_holds_that_up() {
    // 100 writes a second, each of which takes up to a second to come over. One of age a has not come with a
    // chance of 1 - a, so the oldest of these has a 1 - a after Rayleigh, 0.125 on average with a deviation of
    // 0.066: that one and all after it are lost, 87, and not only the half of 100 that are under way.
    let ran = spread(
        &[
            &HOME[..],
            &[
                WRITES,
                "arrivals.rate=100/s",
                "route.east.west.rtt=0ms",
                "database.db.lag={uniform=['0s', '1s']}",
                "fault.east={target='region.east', what='stop', at='2500ms'}",
                "database.db.takeover=1s",
            ],
        ]
        .concat(),
    );
    let lost = ran.count("database.db", Counter::Lost);
    assert!(lost.abs_diff(87) < 20, "{lost}");
}

#[test]
fn the_copy_that_has_received_most_takes_over() {
    // Of five writes, one a second, a copy that is nine seconds behind has none at 5.5 s, the other all of them.
    let lost = |abroad: &str| {
        let north = "[region.north]\nusers = '0%'\n[route.east.north]\nrtt = '70ms'\n[route.north.west]\nrtt = '70ms'\n";
        let abroad = format!("database.db.abroad=[{abroad}]");
        let gone = "fault.east={target='region.east', what='stop', at='5500ms'}";
        let sets = [WRITES, "database.db.takeover=1s", gone, &abroad];
        run(&format!("{SPREAD}{north}"), &sets).count("database.db", Counter::Lost)
    };
    let (late, early) = ("{region='north', lag='9s'}", "{region='west', lag='5ms'}");
    assert_eq!([lost(&format!("{late}, {early}")), lost(&format!("{early}, {late}"))], [0, 0]);
    assert_eq!(lost(late), 5);
    // One that is down itself has nothing to offer, however much it has received.
    let down = |at: &str| {
        let text = "[region.north]\nusers = '0%'\n[route.east.north]\nrtt = '70ms'\n[route.north.west]\nrtt = '70ms'\n";
        let gone = format!("fault.east={{target='region.east', what='stop', at='{at}'}}");
        let north = "fault.north={target='region.north', what='stop', at='5200ms'}";
        let abroad = "database.db.abroad=[{region='north', lag='5ms'}, {region='west', lag='9s'}]";
        run(&format!("{SPREAD}{text}"), &[WRITES, "database.db.takeover=1s", &gone, north, abroad])
            .count("database.db", Counter::Lost)
    };
    assert_eq!((down("5100ms"), down("5300ms")), (0, 5));
}
