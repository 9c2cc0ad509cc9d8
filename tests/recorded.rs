//! Is what is written down played back? To the tick: the run meets the recording's instants, work,
//! keys and pauses, and nothing else.

mod runs;

use loadbearing::model::ids::{KeysId, OperationId, PoolId};
use loadbearing::model::{Arrival, Model, Recording, Turn, Turns};
use loadbearing::run::{Fate, replicate_on_reference};
use loadbearing::units::{Duration, Time};

fn milliseconds(count: u64) -> Duration {
    Duration::micros(1000 * count)
}

fn arrival(at: u64, user: u32) -> Arrival {
    Arrival { at: Time::ZERO + milliseconds(at), user, operation: OperationId(0) }
}

/// One connection, and nothing else takes time.
fn pool(more: &str) -> Model {
    let file = format!(
        r#"
        version = 1
        run = {{ warmup = "0s", duration = "1s", start = {{ pools = "full", caches = "cold" }} }}
        arrivals.rate = "1/s"
        service.web = {{}}
        pool.pg = {{ service = "web", database = "main", size = 1 }}
        database.main = {{ rtt = "0ms", cpu_share = "0%" }}
        {more}
        "#
    );
    let mut model = runs::model(&file, &[]);
    model.plan.keep_fates = true;
    model
}

const QUERY: &str = r#"
    [operation.ask]
    share = 1
    flow = [{ query = { pool = "pg", read.exponential = "20ms" } }]
"#;

/// The fates of all requests, by their numbers.
fn fates(model: &Model) -> Vec<Fate> {
    let outcome = runs::run(model, 0);
    assert_eq!(outcome.fates, replicate_on_reference(model, 0).fates);
    let mut fates = outcome.fates;
    fates.sort_by_key(|fate| fate.number);
    fates
}

fn latencies(model: &Model) -> Vec<Duration> {
    fates(model).iter().map(|fate| fate.latency).collect()
}

#[test]
fn arrivals_and_work_are_those_of_the_recording() {
    let mut model = pool(QUERY);
    let arrivals = vec![arrival(5, 3), arrival(10, 0), arrival(10, 1), arrival(90, 2)];
    let work = [20, 30, 1, 7].map(milliseconds);
    model.play(Recording::Open(arrivals.clone()));
    model.give_work(PoolId(0), &work);
    // The second waits until 25, the third until 55; the last finds nobody.
    assert_eq!(latencies(&model), [20, 45, 46, 7].map(milliseconds));
    let when: Vec<Time> = fates(&model).iter().map(|fate| fate.intended).collect();
    assert_eq!(when, arrivals.iter().map(|arrival| arrival.at).collect::<Vec<_>>());
    // What is not given is drawn.
    let mut drawn = pool(QUERY);
    drawn.play(Recording::Open(arrivals));
    assert_ne!(latencies(&drawn), latencies(&model));
    assert_eq!(runs::run(&drawn, 0).requests.offered, 4);
}

#[test]
fn users_of_a_recording_take_their_turns() {
    let mut model = pool(QUERY);
    let turn = |think: u64| Turn { think: milliseconds(think), operation: OperationId(0) };
    let turns = Turns::new(&[vec![turn(10), turn(5)], vec![], vec![turn(20)]]);
    assert_eq!((turns.users(), turns.of(0, 2), turns.of(1, 0)), (3, None, None));
    assert_eq!(turns.of(2, 0), Some((2, turn(20))));
    model.play(Recording::Closed(turns));
    model.give_work(PoolId(0), &[30, 2, 10].map(milliseconds));
    // 10 to 40; 45, behind the third user's 20 to 50, to 52.
    assert_eq!(latencies(&model), [30, 7, 30].map(milliseconds));
    assert_eq!(fates(&model)[1].intended, Time::ZERO + milliseconds(45));
}

#[test]
fn keys_are_those_of_the_recording() {
    let mut model = pool(
        r#"
        keys.things = { count = 10 }
        cache.store = { kind = "memory", service = "web", command = "0us" }
        [operation.ask]
        share = 1
        flow = [{ cache = { in = "store", keys = "things", single_flight = true, miss = [
            { query = { pool = "pg", read = "5ms" } },
        ] } }]
        "#,
    );
    model.play(Recording::Open((0..5).map(|number| arrival(10 + number * 4, 0)).collect()));
    model.give_keys(KeysId(0), vec![4, 4, 4, 9, 4]);
    let fates = fates(&model);
    let missed: Vec<bool> = fates.iter().map(|fate| fate.missed).collect();
    let joined: Vec<bool> = fates.iter().map(|fate| fate.joined).collect();
    assert_eq!(missed, [true, true, false, true, false]);
    assert_eq!(joined, [false, true, false, false, false]);
    let latencies: Vec<Duration> = fates.iter().map(|fate| fate.latency).collect();
    assert_eq!(latencies, [5, 1, 0, 5, 0].map(milliseconds));
}

#[test]
fn pauses_are_made_of_the_numbers_of_the_recording() {
    let mut model = pool(
        r#"
        operation.ask = { share = 1, flow = [{ reply = { bytes = "0B", status = 503 } }] }
        [client.retry.exponential]
        on = [503]
        share = "100%"
        attempts = 3
        base = "100ms"
        cap = "2s"
        jitter = "full"
        "#,
    );
    model.play(Recording::Open(vec![arrival(1, 0), arrival(2, 0)]));
    model.give_pauses(vec![0.5, 0.25, 0.0, 1.0]);
    let fates = fates(&model);
    // 100 x 0.5 + 200 x 0.25, and 0 + 200.
    let latencies: Vec<Duration> = fates.iter().map(|fate| fate.latency).collect();
    assert_eq!(latencies, [100, 200].map(milliseconds));
    assert!(fates.iter().all(|fate| (fate.attempts, fate.status) == (3, 503)));
}
