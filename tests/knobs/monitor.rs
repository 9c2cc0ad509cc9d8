//! Monitors: what is shown beside what is so.

use loadbearing::result::{Monitored, Summary};

use crate::support::run;

/// Half busy; twice as much for 30 s of the third minute, and for all of the sixth to the tenth.
pub const BURSTS: &str = r#"
[arrivals]
rate = "10/s"
process = "even"
stages = [{ for = "150s", to = "10/s" }, { for = "0s", to = "20/s" }, { for = "30s", to = "20/s" },
  { for = "0s", to = "10/s" }, { for = "120s", to = "10/s" }, { for = "0s", to = "20/s" },
  { for = "300s", to = "20/s" }]
[service.web]
[pool.pg]
service = "web"
database = "main"
size = 10
idle_timeout = "1h"
[database.main]
cpu_share = "0%"
[operation.page]
share = 1
flow = [{ cpu = "49ms" }, { query = { pool = "pg", read = "100ms" } }]
"#;

fn shown(monitor: &str, sets: &[&str]) -> Monitored {
    let monitor = format!("monitor.m={monitor}");
    let ran = run(BURSTS, &[&["run.duration=600s", "run.window=10s", &monitor], sets].concat());
    let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
    summary.monitors[0].clone()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.03
}

#[test]
fn a_minute_is_shown_as_its_mean_its_end_or_its_most() {
    let web = |more: &str| shown(&format!("{{of='service.web', shows='busy'{more}}}"), &[]);
    let minutes = web("");
    assert_eq!(minutes, web(", reads='average'"));
    assert!(near(minutes.true_mean, 0.49 * (1.0 + 330.0 / 600.0)), "{minutes:?}");
    assert!(near(minutes.shown_mean, minutes.true_mean) && near(minutes.true_most, 0.98));
    // The half minute is at the end of the third.
    assert!(near(web(", reads='sample', every='90s'").shown_mean, (0.49 * 2.0 + 0.98 * 4.0) / 6.0));
    let most = |more: &str| web(&format!(", alarm={{above='90%', points=1}}{more}")).alarm.unwrap();
    let (mean, greatest) = (most(""), most(", reads='greatest'"));
    assert_eq!((mean.episodes, mean.missed, mean.false_alarms), (2, 1, 0));
    assert_eq!((greatest.missed, greatest.false_alarms), (0, 0));
    assert!(near(mean.delay_mean_s.unwrap(), 60.0), "a minute is known when it is over");
    let late = web(", alarm={above='90%', points=3}").alarm.unwrap();
    assert!(near(late.delay_mean_s.unwrap(), 180.0), "{late:?}");
    assert_eq!(web(", alarm={above='20%'}").alarm.unwrap().episodes, 1);
}

#[test]
fn what_is_open_is_not_what_is_in_use() {
    let pool = |what: &str| shown(&format!("{{of='pool.pg', shows='{what}'}}"), &[]).shown_mean;
    let (open, busy) = (pool("open"), pool("busy"));
    // Between one and two of ten are in use; as many as ever were at once stay open.
    assert!(near(busy, 0.155) && open > busy + 0.03, "{open} {busy}");
}

#[test]
fn the_backends_of_a_database_are_shown_and_of_those_it_accepts() {
    let shows = |of: &str, what: &str, sets: &[&str]| {
        shown(&format!("{{of='{of}', shows='{what}'}}"), sets).shown_mean
    };
    let full = ["run.start.pools=full"];
    assert_eq!(shows("database.main", "held", &full), 10.0);
    assert_eq!(shows("database.main", "held", &[]), shows("pool.pg", "held", &[]));
    // Of 100 by itself, and of what is said, those that are kept back included.
    assert!(near(shows("database.main", "open", &full), 0.1));
    let few =
        ["run.start.pools=full", "database.main.max_connections=20", "database.main.reserved=5"];
    assert!(near(shows("database.main", "open", &few), 0.5));
}

#[test]
fn a_quantile_is_what_one_makes_of_it() {
    let latency = |how: &str| shown(&format!("{{shows={{latency={{how='{how}'}}}}}}"), &[]);
    let histogram = latency("histogram");
    // All take 149 ms and more: they fall between 100 and 250 ms, of which it knows no more.
    assert!((histogram.shown_mean - 0.2425).abs() < 0.02, "{histogram:?}");
    assert!(histogram.true_mean < 0.2 && histogram.true_mean > 0.148);
    let median = shown("{shows={latency={quantile='50%', how='histogram'}}}", &[]);
    assert!((median.shown_mean - 0.175).abs() < 0.02, "{median:?}");
    // Buckets of one's own: from 125 to 175 ms, in which all are.
    let own = "{shows={latency={how='histogram', buckets=['125ms', '175ms', '1s']}}}";
    assert!((shown(own, &[]).shown_mean - 0.1725).abs() < 0.003, "{:?}", shown(own, &[]));
    let short = "{shows={latency={how='histogram', buckets=['50ms', '100ms']}}}";
    assert!(near(shown(short, &[]).shown_mean, 0.1), "beyond the last it says the last");
    // Users who try again wait twice as long as one attempt takes.
    let twice = [
        "client.patience=120ms",
        "client.retry={fixed={on=['timeout'], attempts=10, delay='500ms'}}",
        "operation.page.flow=[{choose=[{share='50%', flow=[{wait='100ms'}]}, {share='50%', flow=[{wait='150ms'}]}]}]",
    ];
    let sent = shown("{shows={latency={how='from-sending', quantile='90%'}}}", &twice);
    assert!(sent.true_mean > 5.0 * sent.shown_mean, "{sent:?}");
    let windows = latency("mean-of-windows");
    assert!(windows.shown_mean > 0.148 && windows.shown_mean < 0.2);
}

#[test]
fn a_rate_is_drawn_out_of_two_samples() {
    let rate = |more: &str| shown(&format!("{{shows={{rate={{{more}}}}}}}"), &[]);
    let usual = rate("range='5min', scrape='1min'");
    assert_eq!(usual, rate(""));
    // The true mean is 15.5/s; a step of the timeline shows 20/s.
    assert!(
        (usual.true_mean - 15.5).abs() < 0.3 && (usual.true_most - 20.0).abs() < 0.2,
        "{usual:?}"
    );
    let (long, short) = (rate("range='10min'"), rate("range='2min'"));
    assert!(short.shown_most > long.shown_most + 1.0, "{short:?} {long:?}");
    let often = rate("range='60s', scrape='10s'");
    assert!((often.shown_mean - often.true_mean).abs() < 0.3, "{often:?}");
    assert_eq!(rate("range='60s'").shown_most, 0.0, "one sample in the range: an empty panel");
}

/// Three instances of which one takes ten times as long, and what is shown of them.
fn of_instances(monitor: &str, sets: &[&str]) -> Monitored {
    let text = format!(
        "[service.web]\ninstances = 3\n[operation.page]\nshare = 1\nflow = [{{ cpu = '10ms' }}]\n\
         [fault.slow]\ntarget = 'service.web'\nwhat.slow = 10\ncount = 1\n\
         [monitor.m]\nof = 'service.web'\n{monitor}\n"
    );
    let ran = run(&text, &[&["run.duration=60s", "run.window=1s"], sets].concat());
    let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
    summary.monitors[0].clone()
}

#[test]
fn a_mean_over_instances_of_a_quantile_is_no_quantile() {
    let shown = |quantile: &str| {
        let how =
            format!("shows.latency = {{ how = 'mean-of-instances', quantile = '{quantile}' }}");
        of_instances(&format!("{how}\nevery = '6s'"), &[])
    };
    let same = |value: f64, ms: f64| (value * 1e3 - ms).abs() < 0.02 * ms;
    // A third of the requests take 100 ms: so does the 99th percentile, but not the mean of three.
    let p99 = shown("99%");
    assert!(same(p99.shown_mean, 40.0) && same(p99.shown_most, 40.0), "{p99:?}");
    assert!(same(p99.true_mean, 100.0) && same(p99.true_most, 100.0), "{p99:?}");
    // The median is wrong on the other side.
    let median = shown("50%");
    assert!(same(median.shown_mean, 40.0) && same(median.true_mean, 10.0), "{median:?}");
    // In periods of a second one instance has the only request, and its own quantile.
    let brief = of_instances("shows.latency.how = 'mean-of-instances'\nevery = '1s'", &[]);
    assert!(same(brief.shown_most, 100.0) && same(brief.shown_mean, 40.0), "{brief:?}");
}

#[test]
fn an_alarm_is_of_what_its_monitor_shows() {
    let called = |monitor: &str| shown(monitor, &[]).alarm.expect("it has one");
    // The rate is 10/s, and 20/s for half a minute and for five minutes.
    let rate = |above: &str| {
        called(&format!(
            "{{shows={{rate={{range='60s', scrape='10s'}}}}, alarm={{above='{above}', points=1}}}}"
        ))
    };
    assert_eq!(rate("15/s").episodes, 2);
    assert_eq!((rate("25/s").episodes, rate("900/min").episodes), (0, 2));
    // All take 149 ms and more, never a second.
    let latency = |above: &str| {
        called(&format!("{{shows='latency', alarm={{above='{above}', points=1}}}}")).episodes
    };
    assert_eq!((latency("100ms"), latency("1s")), (1, 0));
    // Five requests in flight are many: ten a second, each for 149 ms, are one and a half.
    let flying = shown("{shows='in-flight', alarm={above=2.5, points=1}}", &[]);
    assert!(near(flying.true_mean, flying.shown_mean) && flying.true_mean > 1.4, "{flying:?}");
    assert_eq!(flying.alarm.expect("it has one").episodes, 2);
}

#[test]
fn what_waits_is_held_or_is_carried_is_shown() {
    let small = ["pool.pg.size=1"];
    let waiting = shown("{of='pool.pg', shows='waiting', alarm={above=5, points=1}}", &small);
    // 20/s of 100 ms each at one connection: ten more every second.
    assert!(waiting.true_most > 500.0 && waiting.shown_most < waiting.true_most, "{waiting:?}");
    assert!(waiting.alarm.expect("it has one").episodes >= 1);
    let held = shown("{of='pool.pg', shows='held'}", &[]);
    assert!(held.true_mean > 1.5 && held.true_mean < 4.0, "{held:?}");
    let link = "[link.up]\nbandwidth = '8Mbit/s'\ncarries = 'service.web'\n\
                [service.web]\n[cache.near]\nkind = 'memory'\nservice = 'web'\n[keys.k]\ncount = 10\nsize = '1KB'\n\
                [monitor.m]\nof = 'link.up'\nshows = 'bandwidth'\nalarm = { above = '300kbit/s', points = 1 }\n\
                [monitor.n]\nof = 'cache.near'\nshows = 'held'\nalarm = { above = '5KB', points = 1 }\n\
                [operation.get]\nshare = 1\nflow = [{ cache = { in = 'near', keys = 'k' } }, { reply = '50KB' }]\n";
    let ran = run(link, &["run.duration=60s", "run.window=1s", "monitor.m.every=10s"]);
    let summary = Summary::new(&ran.model, std::slice::from_ref(&ran.outcome));
    let [carried, stored] = &summary.monitors[..] else { panic!("two monitors") };
    // 50 KB a second are 400 kbit/s.
    assert!((carried.shown_mean / 4e5 - 1.0).abs() < 0.05, "{carried:?}");
    assert_eq!(carried.alarm.as_ref().expect("it has one").episodes, 1);
    assert!(stored.what == "memory" && stored.true_most >= 9e3, "{stored:?}");
    assert_eq!(stored.alarm.as_ref().expect("it has one").episodes, 1);
}

#[test]
fn errors_are_a_share_and_uptime_a_share_of_periods() {
    // From 300 s to 390 s every statement is refused; then 20/s come, before 10/s.
    let down = "fault.f={target='database.main', what='stop', at='300s', for='90s'}";
    let errors = shown("{shows='errors', alarm={above='5%', points=1}}", &[down]);
    assert!(near(errors.true_mean, 90.0 * 20.0 / 9_300.0), "{errors:?}");
    assert!(near(errors.shown_most, 1.0) && errors.alarm.expect("it has one").missed == 0);
    // A user's own patience is no answer, and no 5xx.
    let gone = shown("{shows='errors'}", &["client.patience='10ms'"]);
    assert!(gone.true_mean < 0.01, "{gone:?}");
    let uptime = |more: &str| shown(&format!("{{shows={{uptime={{{more}}}}}}}"), &[down]);
    // The sixth minute is down as a whole, half of the seventh: not more than half of its requests.
    let up = uptime("down_above='60%'");
    assert!(near(up.shown_mean, 0.9) && near(up.true_mean, 1.0 - 1_800.0 / 9_300.0), "{up:?}");
    assert!(near(uptime("down_above='20%'").shown_mean, 0.8));
    let budget = up.budget.expect("an uptime has one");
    assert!(near(budget.used_s, 60.0) && (budget.allowed_s - 2_592.0).abs() < 1e-6, "{budget:?}");
    let half = uptime("target='99.5%'").budget.expect("an uptime has one");
    assert!((half.allowed_s / 3_600.0 - 3.6).abs() < 1e-9, "{half:?}");
}
