//! The memory of database servers: pages, connections, sorts, and what happens when none is left.

use loadbearing::failure::Failure;
use loadbearing::result::Summary;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

/// Three connections open at once; nothing but the reads takes time.
const CROWD: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
size = 3
[database.db]
rtt = "0ms"
connect = "0ms"
cores = 64
memory = { machine = "24KiB", shared_buffers = "0B", system = "0B", per_connection = "10KiB", recovery = "300ms" }
[operation.work]
share = 1
flow = [{ parallel = [
  [{ query = { pool = "pg", read = "100ms" } }],
  [{ query = { pool = "pg", read = "100ms" } }],
  [{ query = { pool = "pg", read = "100ms" } }],
] }]
"#;
/// Two statements at once, which sort.
const BOTH: &str = "operation.work.flow=[{parallel=[[{query={pool='pg', read='100ms', sorts=1}}], \
    [{query={pool='pg', read='100ms', sorts=1}}]]}]";
/// One after the other.
const IN_TURN: &str = "operation.work.flow=[{query={pool='pg', read='100ms', sorts=1}}, \
    {query={pool='pg', read='100ms', sorts=1}}]";
/// Connections that take nothing, and memory for one sort of 64 KiB, not for two.
const SORTED: [&str; 3] = [
    "database.db.memory.machine=100KiB",
    "database.db.memory.per_connection=0B",
    "database.db.memory.work_mem=64KiB",
];

fn with(more: &[&str]) -> Ran {
    run(CROWD, &[&SORTED[..], more].concat())
}

/// Requests that ended well, servers that were killed, and who found no memory.
fn seen(ran: &Ran) -> [u64; 3] {
    let count = |counter| ran.count("database.db", counter);
    [ran.ok(), count(Counter::Killed), count(Counter::OutOfMemory)]
}

#[test]
fn a_connection_too_many_has_the_server_killed() {
    // 20 of 24 KiB are taken by two; the third is one too many, at each of ten seconds.
    let two = run(CROWD, &["pool.pg.size=2"]);
    assert_eq!(seen(&two), [10, 0, 0]);
    let (_, peak) = two.station("database.db").memory.expect("its memory is said");
    assert!((peak - 20.0 / 24.0).abs() < 1e-9, "{peak}");
    let ran = run(CROWD, &[]);
    assert_eq!((seen(&ran), ran.failed(Failure::DatabaseDown)), ([0, 10, 0], 10));
    let crashes = &ran.outcome.crashes;
    assert!(crashes.iter().all(|it| it.until.since(it.from) == ms(300)) && crashes.len() == 10);
    // Those who come while it recovers are refused: of ten seconds it is there at 1, 4, 7 and 10.
    let long = run(CROWD, &["database.db.memory.recovery=2500ms"]);
    assert_eq!((seen(&long), long.failed(Failure::DatabaseDown)), ([0, 4, 0], 10));
    // The system, shared buffers and a smaller machine leave as little.
    for less in ["system=5KiB", "shared_buffers=5KiB", "machine=19KiB"] {
        let ran = run(CROWD, &["pool.pg.size=2", &format!("database.db.memory.{less}")]);
        assert_eq!(seen(&ran), [0, 10, 0], "{less}");
    }
    let summary = Summary::new(&ran.model, &[ran.outcome]);
    let warning = summary.warnings.iter().find(|it| it.slug == "out-of-memory");
    let said = &warning.expect("a warning").message;
    assert!(
        said.contains("10 times, first 1 s after the start") && said.contains("3 s in all"),
        "{said}"
    );
    assert_eq!(summary.faults.len(), 10);
    assert_eq!(summary.faults[0].what, "database.db out of memory");
}

#[test]
fn where_the_kernel_grants_no_more_only_who_asks_fails() {
    let ran = run(CROWD, &["database.db.memory.full=fail"]);
    assert_eq!((seen(&ran), ran.failed(Failure::TooManyConnections)), ([0, 0, 10], 10));
    let ran = with(&["database.db.memory.full=fail", BOTH]);
    assert_eq!((seen(&ran), ran.failed(Failure::QueryError)), ([0, 0, 10], 10));
    // A transaction ends with that, wherever its answer is: it has had a row since 150 ms, and its sort fails at
    // 251 ms, half a round trip before anybody hears of it. Who came for the row at 200 ms has waited for 51 ms.
    let text = format!("{CROWD}[keys.k]\ncount = 1\n[relation.t]\ndatabase = 'db'\nrows = 'k'\n");
    let flow = "operation.work.flow=[{parallel=[[{transaction={pool='pg', flow=[\
        {query={pool='pg', write='1ms', on='t'}}, {query={pool='pg', read='1ms', sorts=2}}]}}], \
        [{wait='150ms'}, {query={pool='pg', write='1ms', on='t'}}]]}]";
    let given_up = |after: &str| {
        let after = format!("database.db.lock_timeout={after}");
        let sets = [flow, "database.db.rtt=100ms", "database.db.memory.full=fail", &after];
        let ran = run(&text, &[&SORTED[..], &sets].concat());
        assert_eq!(seen(&ran), [0, 0, 10]);
        ran.count("relation.t", Counter::TimedOut)
    };
    assert_eq!((given_up("52ms"), given_up("50ms")), (0, 10));
}

#[test]
fn sorts_take_memory_while_their_statement_runs() {
    assert_eq!(seen(&with(&[BOTH])), [0, 10, 0]);
    assert_eq!(seen(&with(&[IN_TURN])), [10, 0, 0]);
    // Half as much each, by `work_mem` or because they need no more, is in the next 64 KiB.
    let smaller = BOTH.replace("sorts=1", "sorts=1, sort_memory='20KiB'");
    let room = "database.db.memory.machine=128KiB";
    assert_eq!(seen(&with(&[&smaller, room])), [10, 0, 0]);
    let four = IN_TURN.replace("sorts=1", "sorts=4");
    assert_eq!(seen(&with(&[&four])), [0, 10, 0]);
    assert_eq!(seen(&with(&[&four, "database.db.memory.work_mem=16KiB"])), [10, 0, 0]);
    let little = four.replace("sorts=4", "sorts=4, sort_memory='16KiB'");
    assert_eq!(seen(&with(&[&little])), [10, 0, 0]);
    // Waiting for storage, a statement keeps what it has taken; a lost one gives it back.
    assert_eq!(seen(&with(&[BOTH, "database.db.cpu_share=0%"])), [0, 10, 0]);
    let late = [
        "pool.pg.statement_timeout=50ms",
        "operation.work.flow=[{query={pool='pg', read='100ms', sorts=1}}]",
    ];
    let lost = with(&late);
    assert_eq!((seen(&lost), lost.failed(Failure::StatementTimeout)), ([0, 0, 0], 10));
}

#[test]
fn pages_have_what_connections_and_sorts_leave() {
    // All of one page of data, looked at once a second, first read and then found; or never, for lack of room.
    let page = "operation.work.flow=[{query={pool='pg', read='1ms', pages=1}}]";
    let looked = |sets: &[&str]| {
        let text = CROWD.replace("cores = 64", "cores = 64\nbuffer = { data = \"8KiB\" }");
        let ran = run(&text, &[&[page][..], sets].concat());
        [Counter::Hits, Counter::Misses].map(|it| ran.count("database.db", it))
    };
    let memory = |machine: u32, shared: u32, system: u32, each: u32| {
        format!(
            "database.db.memory={{ machine = '{machine}KiB', shared_buffers = '{shared}KiB', \
             system = '{system}KiB', per_connection = '{each}KiB' }}"
        )
    };
    assert_eq!(looked(&[&memory(8, 0, 0, 0)]), [9, 1]);
    assert_eq!(looked(&[&memory(8, 0, 0, 8)]), [0, 10]);
    assert_eq!(looked(&[&memory(16, 8, 0, 8)]), [9, 1]);
    assert_eq!(looked(&[&memory(16, 0, 8, 8)]), [0, 10]);
    let own = "database.db.buffer.memory=8KiB";
    assert_eq!(looked(&[&memory(16, 0, 8, 8), own]), [9, 1]);
    // A sort of 64 KiB takes the room that 72 KiB have for the page.
    let sorting = page.replace("pages=1", "pages=1, sorts=1, sort_memory='64KiB'");
    assert_eq!(looked(&[&sorting, &memory(64, 0, 0, 0)]), [0, 10]);
    assert_eq!(looked(&[&sorting, &memory(72, 0, 0, 0)]), [9, 1]);
    // Whoever was killed begins with no page: it is read at each second.
    let crash = "operation.work.flow=[{query={pool='pg', read='1ms', pages=1}}, {parallel=[\
        [{query={pool='pg', read='100ms', pages=0, sorts=1, sort_memory='64KiB'}}], \
        [{query={pool='pg', read='100ms', pages=0, sorts=1, sort_memory='64KiB'}}]]}]";
    assert_eq!(looked(&[crash, &memory(100, 8, 0, 0)]), [0, 10]);
    assert_eq!(looked(&[crash, &memory(1_000, 8, 0, 0)]), [9, 1]);
}
