//! Tables with a size: what keeps them up, and what they cost as they grow.

use loadbearing::run::Counter;
use loadbearing::theory::lru_hits;

use crate::support::{Ran, ms, run, us};

/// A table of a million rows of 100 bytes, and its index.
const TABLE: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
[database.db]
cores = 1
rtt = "0ms"
connect = "0ms"
cpu_share = "0%"
storage = { iops = "1_000_000/s", throughput = "1_000_000MiB/s" }
[relation.t]
database = "db"
count = 1_000_000
[operation.work]
share = 1
flow = [{ query = { pool = "pg", write = "1ms", on = "t" } }]
"#;

/// How long what a database does by itself has kept it busy.
fn upkeep(text: &str, sets: &[&str]) -> (u64, f64, f64) {
    let table = format!("{TABLE}{text}");
    let all = [&["run.duration=100s", "arrivals.rate=100/s"][..], sets].concat();
    let ran = run(&table, &all);
    let busy = |path: &str| ran.station(path).busy_mean * 100.0;
    (ran.count("maintenance.m", Counter::Served), busy("maintenance.m"), busy("database.db"))
}

#[test]
fn autovacuum_takes_what_its_points_and_the_table_say() {
    let vacuum = |more: &str, sets: &[&str]| {
        let job = "[maintenance.m]\ndatabase = 'db'\nevery = '10s'\n";
        let kind = format!("kind.autovacuum = {{ on = 't'{more} }}\n");
        upkeep(&format!("{job}{kind}"), sets)
    };
    // A thousand writes in 10 s are not a fifth of a million rows.
    assert_eq!(vacuum("", &[]).0, 0);
    assert_eq!(vacuum(", scale_factor = 0.0, threshold = 1_000_000", &[]).0, 0);
    let (times, took, cores) = vacuum(", scale_factor = 0.0", &[]);
    assert_eq!(times, 9);
    // Of 15,641 pages 969 are changed, and of all 38 % are passed over, where 32 in a row are clean. With
    // the index 12,454 are looked at, 969 of them twice, and 969 + 836 are changed: 13,423 + 20 x 1,805
    // points are 247 naps, 0.5 s, and 0.13 s of CPU; in steps of 100 ms.
    assert!((took / 9.0 - 0.7).abs() < 0.06, "{took}");
    assert!((cores / 9.0 - 0.134).abs() < 0.01, "{cores}");
    let of = |more: &str, sets: &[&str]| {
        let (times, took, _) = vacuum(&format!(", scale_factor = 0.0{more}"), sets);
        assert_eq!(times, 9);
        took / 9.0
    };
    let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.06, "{found} {wanted}");
    near(of(", cost_limit = 100", &[]), 1.2);
    near(of(", cost_delay = '4ms'", &[]), 1.2);
    near(of(", cost_limit = 0", &[]), 0.2);
    near(of(", page_dirty = 40", &[]), 1.0);
    near(of(", page_hit = 3", &[]), 0.9);
    near(of(", page_cpu = '110us'", &[]), 2.0);
    // Each page is read in 0.1 ms, 1.2 s in all, and costs a point more, or 21.
    let disk = ["database.db.storage.operation=100us"];
    near(of(", cached = '0%'", &disk), 2.0);
    near(of(", cached = '0%', page_miss = 22", &disk), 4.5);
    // Four indexes more are 10,864 pages to look at, 3,346 of them changed: 389 naps.
    near(of("", &["relation.t.indexes=5"]), 1.6);
    // Ten times the pages: few of them have dead versions, and less than 2 % leave the index alone.
    let wide = vacuum(", scale_factor = 0.0", &["relation.t.row_size=1KB"]).2 / 9.0;
    assert!((wide - 0.043).abs() < 0.003, "{wide}");
}

#[test]
fn a_vacuum_cleans_what_was_dead_when_it_began() {
    // As many dead versions as rows double the wait for storage; a vacuum each second keeps that down.
    let bloat = [
        "relation.t.count=100",
        "relation.t.bloat=1",
        "arrivals.rate=100/s",
        "run.duration=10500ms",
    ];
    let mean = |job: &str| run(&format!("{TABLE}{job}"), &bloat).mean_s() * 1e3;
    let job = "[maintenance.m]\ndatabase = 'db'\nevery = '1s'\nkind.autovacuum = { on = 't', threshold = 0 }\n";
    let (without, with) = (mean(""), mean(job));
    // 1 to 1,050 dead of 100: 1 + 5.25 ms on average. With it from 1 to 100 and some: 1.5 ms.
    assert!((without - 6.25).abs() < 0.2, "{without}");
    assert!((with - 1.55).abs() < 0.15, "{with}");
}

#[test]
fn a_checkpoint_writes_each_changed_page_once_and_logs_its_first_change() {
    let job = "[maintenance.m]\ndatabase = 'db'\nevery = '20s'\n";
    let checkpoint = |more: &str, sets: &[&str]| {
        let kind = format!("kind.checkpoint = {{ {more} }}\n");
        let text = format!("{TABLE}{job}{kind}");
        let sets = [&["run.duration=100s", "arrivals.rate=10/s"][..], sets].concat();
        run(&text, &sets)
    };
    // Spread over 18 of 20 s: three are over, one more is at it.
    let ran = checkpoint("", &[]);
    let busy = ran.station("maintenance.m").busy_mean * 100.0;
    assert_eq!(ran.count("maintenance.m", Counter::Served), 4);
    assert!((busy - 4.0 * 18.0).abs() < 0.5, "{busy}");
    let quick = checkpoint("completion_target = '50%'", &[]);
    assert!((quick.station("maintenance.m").busy_mean * 100.0 - 40.0).abs() < 0.5);
    // 200 writes change 400 of 10,000 pages, or nearly all of 10: 10 us each.
    let cores = |more: &str| checkpoint(more, &[]).station("database.db").busy_mean * 100.0;
    assert!((cores("pages = 10_000, page_cpu = '1ms'") - 4.0 * 0.39).abs() < 0.05);
    assert!((cores("pages = 10, page_cpu = '1ms'") - 4.0 * 0.01).abs() < 0.005);
    assert!((cores("pages = 10_000, changes = 4, page_cpu = '1ms'") - 4.0 * 0.77).abs() < 0.08);
    // Each write takes 1 ms of storage, and 1 ms for each page that it is the first to change.
    let mean = |more: &str| checkpoint(more, &[]).mean_s() * 1e3;
    assert!((mean("full_page_writes = false") - 1.0).abs() < 1e-6);
    assert!((mean("pages = 1_000_000") - 3.0).abs() < 0.01, "both pages are always new");
    // 10 pages in all, five times in 1,000 writes: 50 ms for 1,000.
    assert!((mean("pages = 10") - 1.05).abs() < 0.002, "{}", mean("pages = 10"));
    let first = checkpoint("pages = 1_000_000", &[]).longest();
    assert!((first.seconds() - 3e-3).abs() < 1e-5);
}

#[test]
fn a_table_that_grows_slows_its_statements_down() {
    let grown = |growth: &str, more: &str, sets: &[&str]| {
        let flow = format!(
            "operation.work.flow=[{{query={{pool='pg', write='1ms', on='t', growth={{{growth}}}{more}}}}}]"
        );
        run(TABLE, &[&["database.db.cpu_share=100%", &flow][..], sets].concat())
    };
    let million = "rows=1_000_000, times=3";
    assert_eq!(grown(million, "", &[]).each(), ms(3));
    assert_eq!(grown(million, "", &["relation.t.count=500_000"]).each(), ms(2));
    let root = format!("{million}, power=0.5");
    assert_eq!(grown(&root, "", &["relation.t.count=4_000_000"]).each(), ms(5));
    assert_eq!(run(TABLE, &[]).each(), ms(1), "a B-tree hardly grows");
    // Of two shards each has half of it.
    assert_eq!(grown(million, "", &["database.db.shards=2"]).each(), ms(2));
    // Ten writes that insert 100,000 rows each: the first finds a million, the last 1.9.
    let ran = grown(million, ", inserts=100_000", &[]);
    assert_eq!((ran.shortest(), ran.longest()), (ms(3), us(4_800)));
    let ran = grown(million, ", deletes=100_000", &[]);
    assert_eq!((ran.shortest(), ran.longest()), (us(1_200), ms(3)));
    assert_eq!(grown(million, ", inserts=7, deletes=7", &[]).each(), ms(3));
    let insert = |more: &str| {
        format!("operation.work.flow=[{{query={{pool='pg', write='1ms', on='t', {more}}}}}]")
    };
    // What is only inserted leaves nothing dead behind.
    let dead = |more: &str| {
        let job = "[maintenance.m]\ndatabase = 'db'\nevery = '1s'\n\
                   kind.autovacuum = { on = 't', threshold = 0, scale_factor = 0.0 }\n";
        run(&format!("{TABLE}{job}"), &[&insert(more)]).count("maintenance.m", Counter::Served)
    };
    assert_eq!(dead("inserts=1"), 0);
    assert!(dead("deletes=1") >= 9 && dead("row=0") >= 9, "each second one");
}

/// Statements of 1 ms that look at pages of a database that keeps some of them in memory; nothing else costs.
const PAGED: &str = r#"
[service.web]
[pool.pg]
service = "web"
database = "db"
[database.db]
rtt = "0ms"
connect = "0ms"
cores = 64
buffer = { memory = "8KiB", data = "8GiB" }
[operation.work]
share = 1
flow = [{ query = { pool = "pg", read = "1ms" } }]
"#;

#[test]
fn pages_that_are_not_in_memory_are_read_from_storage() {
    let paged = |sets: &[&str]| run(PAGED, sets);
    let looked =
        |ran: &Ran| [Counter::Hits, Counter::Misses].map(|it| ran.count("database.db", it));
    // One page of a million is in memory: both pages of each statement are read, 1 ms each.
    let ran = paged(&[]);
    assert_eq!((ran.each(), looked(&ran)), (ms(3), [0, 20]));
    let five = "operation.work.flow=[{query={pool='pg', read='1ms', pages=5}}]";
    assert_eq!(paged(&[five]).each(), ms(6));
    assert_eq!(
        paged(&["operation.work.flow=[{query={pool='pg', read='1ms', pages=0}}]"]).each(),
        ms(1)
    );
    assert_eq!(paged(&[five, "database.db.storage.operation=500us"]).each(), us(3_500));
    // They are operations of the volume: two statements at once ask for ten, at a thousand a second.
    let both = "operation.work.flow=[{parallel=[[{query={pool='pg', read='1ms', pages=5}}], \
                [{query={pool='pg', read='1ms', pages=5}}]]}]";
    assert_eq!(paged(&[both, "database.db.storage.iops=1000/s"]).each(), ms(11));
    // All of one page: it is read once, and again after a restart; a run that starts warm has it.
    let one = [
        "database.db.buffer.data=8KiB",
        "operation.work.flow=[{query={pool='pg', read='1ms', pages=1}}]",
    ];
    let cold = paged(&one);
    assert_eq!((cold.longest(), cold.shortest(), looked(&cold)), (ms(2), ms(1), [9, 1]));
    assert_eq!(looked(&paged(&[&one[..], &["run.start.caches=warm"]].concat())), [10, 0]);
    let stop = "fault.away={target='database.db', what='stop', at='5500ms', for='100ms'}";
    assert_eq!(looked(&paged(&[&one[..], &[stop]].concat())), [8, 2]);
    // Each of two shards has its part, and memory of its own.
    let shards = ["database.db.shards=2", "database.db.buffer.data=16KiB"];
    assert_eq!(looked(&paged(&[&one[..], &shards].concat())), [9, 1]);
    // A table of one page, of which updates stay; where each write adds ten thousand pages, none is found.
    let table = |inserts: u64| {
        let write = format!("write = \"1ms\", on = \"t\", pages = 1, inserts = {inserts}");
        let text = PAGED.replace(", data = \"8GiB\"", "").replace("read = \"1ms\"", &write);
        let text = text + "[relation.t]\ndatabase = 'db'\ncount = 1\nindexes = 0\n";
        looked(&run(&text, &["run.start.caches=warm"]))
    };
    assert_eq!((table(0), table(640_000)), ([10, 0], [0, 10]));
}

#[test]
fn popular_pages_are_found_more_often() {
    // Ten of a hundred pages in memory, 20,000 looks.
    let half = [
        "database.db.buffer.memory=80KiB",
        "database.db.buffer.data=800KiB",
        "arrivals.rate=1000/s",
        "run.start.caches=warm",
        "pool.pg.size=20",
    ];
    let hits = |keys: &str| {
        let text = PAGED.to_string() + "[keys.pages]\ncount = 100\n" + keys;
        let ran = run(&text.replace("data = \"8GiB\"", "data = \"8GiB\", keys = \"pages\""), &half);
        let [hits, misses] =
            [Counter::Hits, Counter::Misses].map(|it| ran.count("database.db", it) as f64);
        hits / (hits + misses)
    };
    let weights: Vec<f64> = (1..=100).map(|rank| libm::pow(f64::from(rank), -1.2)).collect();
    let zipf = lru_hits(&weights, 10).hit_ratio;
    assert!(zipf > 0.5, "{zipf}");
    let found = hits("popularity = { zipf = { exponent = 1.2 } }\n");
    assert!((found - zipf).abs() < 0.015, "{found} {zipf}");
    let even = hits("popularity = \"uniform\"\n");
    assert!((even - 0.1).abs() < 0.01, "{even}");
}
