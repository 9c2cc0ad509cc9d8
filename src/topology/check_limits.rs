//! What is more than a run can hold. One function per rule, each returning diagnostics.

use super::check::{Cx, Diagnostics, error, find};
use super::dist::Law;
use super::flow::{Flow, Shard, Step};
use super::guard::{Threshold, Watch};
use super::names::Named;
use super::service::Service;
use super::session::SessionStore;
use super::workload::Spike;
use crate::diagnostic::{Diagnostic, Place};
use crate::units::{Duration, show_number};

/// How often one request is sent anew by somebody who reloads: 4 bits.
const RELOADS: f64 = 15.0;
/// Simulated time ends here: 2^64 ps are 213.5 days.
const LONGEST: Duration = Duration::secs(213 * 86_400);
/// Points of a timeline.
const WINDOWS: f64 = 1e6;
/// Users are numbered with 32 bits, of which one number is nobody.
const USERS: f64 = (u32::MAX - 1) as f64;
/// Users that think one by one are events, which carry 27 bits of their number.
const THINKERS: f64 = ((1 << 27) - 2) as f64;
/// Keys of one set.
const KEYS: f64 = 1e9;
/// Sizes of what is kept are 32 bits.
const BYTES: f64 = u32::MAX as f64;
/// Steps of one operation, once loops are unrolled.
const STEPS: u64 = 10_000;
/// Event loops of one service.
const LOOPS: f64 = 1e6;
/// Pools that the event loops of one service have to all shards and replicas.
const SUB_POOLS: f64 = 1e7;
/// Connections of one pool: events carry 14 bits of a connection's number.
const POOL_SIZE: f64 = 16_383.0;
/// Shards and attempts are numbered with 16 bits.
const SHORT: f64 = u16::MAX as f64;

/// Attempts at a call are numbered with 13 bits.
const CALLED: f64 = 8_191.0;

/// Says that what stands at `path` is more than a run can hold.
fn at_most(cx: &Cx<'_>, path: &str, value: f64, most: f64, what: &str) -> Option<Diagnostic> {
    let place = cx.tree.place_of(path);
    (value > most).then(|| beyond(&place, &format!("`{path}`"), value, most, what))
}

fn beyond(place: &Place, whose: &str, value: f64, most: f64, what: &str) -> Diagnostic {
    let most = show_number(most);
    let message = format!("{whose} makes {} {what}: a run holds {most}", show_number(value));
    error("out-of-range", place, message).help(format!("let there be at most {most} {what}"))
}

/// Times beyond the end of simulated time are never, which is not what a run or a session wants.
pub(crate) fn times(cx: &Cx<'_>) -> Diagnostics {
    let run = &cx.topology.run;
    let mut found = Vec::new();
    let whole = run.warmup + run.duration;
    if whole >= LONGEST {
        let message = "the run does not end before simulated time does, after 213 days";
        found.push(
            error("out-of-range", &cx.tree.place_of("run.duration"), message.into())
                .help("let `warmup` and `duration` together be less than 213 days"),
        );
    }
    let windows = whole.0.div_ceil(run.window.0.max(1)) as f64;
    found.extend(at_most(cx, "run.window", windows, WINDOWS, "points of the timeline"));
    for session in &cx.topology.sessions {
        if session.spec.ttl >= LONGEST {
            let place = cx.tree.place_of(&format!("session.{}.ttl", session.name));
            let message = "sessions that live for 213 days or longer cannot be counted";
            found.push(
                error("out-of-range", &place, message.into())
                    .help("write a `ttl` below 213 days, when simulated time ends"),
            );
        }
    }
    found
}

/// How many come.
pub(crate) fn crowds(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    let rows = topology.run.attribution_every as f64;
    found.extend(at_most(cx, "run.attribution_every", rows, u32::MAX as f64, "requests a sample"));
    if let Some(users) = &topology.users {
        let most = match users.think.law {
            Law::Exponential { .. } => USERS,
            _ => THINKERS,
        };
        found.extend(at_most(cx, "users.population", users.population as f64, most, "users"));
        for (index, stage) in users.stages.iter().enumerate() {
            let path = format!("users.stages.{index}.to");
            found.extend(at_most(cx, &path, stage.to as f64, most, "users"));
        }
        let top = users.stages.iter().map(|stage| stage.to).fold(users.population, u64::max) as f64;
        let crowd = |spike: &Spike| top * spike.times;
        if let Some(spike) = users.spike.as_ref().filter(|_| top <= most) {
            found.extend(at_most(cx, "users.spike.times", crowd(spike), most, "users"));
        }
    }
    if let Some(arrivals) = &topology.arrivals {
        found.extend(at_most(cx, "arrivals.users", arrivals.users as f64, USERS, "users"));
    }
    if let Some(addresses) = topology.client.addresses {
        found.extend(at_most(cx, "client.addresses", addresses as f64, USERS, "addresses"));
    }
    if let Some((law, key, attempts)) = topology.client.retry.most_attempts() {
        let path = format!("client.retry.{law}.{key}");
        found.extend(at_most(cx, &path, f64::from(attempts), SHORT, "attempts"));
    }
    for (_, step) in topology.steps() {
        let Step::Call(call) = &step.value else { continue };
        let Some((law, key, attempts)) = call.retry.most_attempts() else { continue };
        let attempts = f64::from(attempts);
        if attempts > CALLED {
            let whose = format!("`call.retry.{law}.{key}`");
            found.push(beyond(&step.place, &whose, attempts, CALLED, "attempts"));
        }
    }
    if let Some(reload) = &topology.client.reload {
        let times = f64::from(reload.times);
        found.extend(at_most(cx, "client.reload.times", times, RELOADS, "reloads of one request"));
    }
    if let Some(processes) = topology.client.processes {
        found.extend(at_most(cx, "client.processes", processes as f64, USERS, "processes"));
    }
    found
}

/// What is kept.
pub(crate) fn stores(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    for keys in &topology.keys {
        let path = |key: &str| format!("keys.{}.{key}", keys.name);
        found.extend(at_most(cx, &path("count"), keys.spec.count as f64, KEYS, "keys"));
        found.extend(at_most(cx, &path("size"), keys.spec.size.0, BYTES, "bytes"));
    }
    for cache in &topology.caches {
        let path = format!("cache.{}.overhead", cache.name);
        found.extend(at_most(cx, &path, cache.spec.overhead.0, BYTES, "bytes"));
    }
    for session in &topology.sessions {
        let path = format!("session.{}.size", session.name);
        found.extend(at_most(cx, &path, session.spec.size.0, BYTES, "bytes"));
    }
    found
}

fn loops(service: &Service) -> f64 {
    let instances = service.autoscale.as_ref().map_or(service.instances, |scale| scale.max);
    f64::from(instances) * f64::from(service.workers)
}

/// How many event loops, pools and shards there are.
pub(crate) fn machines(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let mut found = Vec::new();
    for service in &topology.services {
        let whose = format!("`service.{}`", service.name);
        let all = loops(&service.spec);
        if all > LOOPS {
            let what = "event loops (instances × workers)";
            found.push(beyond(&service.place, &whose, all, LOOPS, what));
        }
    }
    for database in &topology.databases {
        let nodes = f64::from(database.spec.most_shards())
            * (1.0 + f64::from(database.spec.all_replicas()));
        if nodes > SHORT {
            let whose = format!("`database.{}`", database.name);
            found.push(beyond(&database.place, &whose, nodes, SHORT, "servers (shards × copies)"));
        }
    }
    for pool in &topology.pools {
        let path = |key: &str| format!("pool.{}.{key}", pool.name);
        let size = f64::from(pool.spec.most());
        found.extend(at_most(cx, &path("size"), size, POOL_SIZE, "connections of a pool"));
        let size = f64::from(pool.spec.replica_size.map_or(0, |_| pool.spec.most_to_replica()));
        found.extend(at_most(cx, &path("replica_size"), size, POOL_SIZE, "connections of a pool"));
        let database = &find(&topology.databases, &pool.spec.database.name).spec;
        let service = &find(&topology.services, &pool.spec.service.name).spec;
        let replicas = topology.reads_from(&pool.spec).len() as f64;
        let each = f64::from(database.most_shards()) * (1.0 + replicas);
        let all = loops(service) * each;
        if all > SUB_POOLS {
            let whose = format!("`pool.{}`", pool.name);
            let what = "pools (event loops × servers)";
            found.push(beyond(&pool.place, &whose, all, SUB_POOLS, what));
        }
    }
    for session in &topology.sessions {
        if let SessionStore::Postgres(store) = &session.spec.store
            && let Some(own) = &store.own
        {
            let path = format!("session.{}.store.postgres.own.size", session.name);
            let size = f64::from(own.size);
            found.extend(at_most(cx, &path, size, POOL_SIZE, "connections of a pool"));
        }
    }
    found
}

/// Loops are unrolled.
pub(crate) fn unrolled(cx: &Cx<'_>) -> Diagnostics {
    cx.topology
        .operations
        .iter()
        .filter_map(|operation: &Named<_>| {
            let path = format!("operation.{}.flow", operation.name);
            let all = unrolled_steps(cx, &operation.spec.flow);
            at_most(cx, &path, all as f64, STEPS as f64, "steps once its loops are unrolled")
        })
        .collect()
}

fn unrolled_steps(cx: &Cx<'_>, flow: &Flow) -> u64 {
    flow.iter().fold(0, |sum, step| {
        let inner = step
            .value
            .flows()
            .into_iter()
            .fold(0u64, |sum, (flow, _)| sum.saturating_add(unrolled_steps(cx, flow)));
        let all = match &step.value {
            Step::Repeat(repeat) => u64::from(repeat.times).saturating_mul(inner),
            Step::Query(query) if query.shard == Shard::All => {
                let pool = &find(&cx.topology.pools, &query.pool.name).spec;
                let database = find(&cx.topology.databases, &pool.database.name);
                u64::from(database.spec.most_shards())
            }
            _ => inner,
        };
        all.saturating_add(1).saturating_add(sum)
    })
}

/// A guard's bound fits what it watches.
pub(crate) fn thresholds(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for guard in &cx.topology.guards {
        let at = |key: &str| cx.tree.place_of(&format!("guard.{}.{key}", guard.name));
        let has_capacity = matches!(
            guard.spec.watch,
            Watch::PoolTotal(_) | Watch::PoolBusy(_) | Watch::PoolWaiting(_) | Watch::PoolDemand(_)
        );
        let is_lag = matches!(guard.spec.watch, Watch::Lag(_));
        if guard.spec.reject_at.is_some() && !has_capacity {
            let message = "what this guard watches has no size that a share could be taken of";
            let help = if is_lag { "write `limit = \"70ms\"`" } else { "write `limit = 50_000`" };
            found.push(error("bad-threshold", &at("reject_at"), message.into()).help(help));
        }
        let wrong = match guard.spec.limit {
            Some(Threshold::Count(_)) => is_lag.then_some(("a duration", "\"70ms\"")),
            Some(Threshold::Lag(_)) => (!is_lag).then_some(("a whole number", "50_000")),
            None => None,
        };
        if let Some((what, example)) = wrong {
            let message = format!("the limit of what this guard watches is {what}");
            let help = format!("write for example `limit = {example}`");
            found.push(error("bad-threshold", &at("limit"), message).help(help));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::topology::load;

    /// What is said of the shop with these settings.
    fn said(sets: &[&str]) -> Vec<String> {
        let text = include_str!("../../tests/diagnostics/base/shop.toml");
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let loaded = load("shop.toml", &sets, &mut |_| Ok(text.to_string()));
        let errors = loaded.diagnostics.into_iter().filter(|found| found.slug == "out-of-range");
        errors.map(|found| found.message).collect()
    }

    #[test]
    fn what_a_run_cannot_hold_is_refused_and_the_last_that_it_can_is_not() {
        let bounds: &[(&[&str], &[&str])] = &[
            (&["run.window=1h", "run.duration=365day"], &["run.window=1h", "run.duration=212day"]),
            (&["run.window=69us"], &["run.window=70us"]),
            (&["session.table.ttl=213day"], &["session.table.ttl=212day"]),
            (&["run.attribution_every=4294967296"], &["run.attribution_every=4294967295"]),
            (&["users.population=4294967295"], &["users.population=2000000000"]),
            (&["users.population=4_000_000_000"], &["users.spike.times=1_000_000"]),
            (&["users.spike.times=3_000_000"], &["users.spike.times=2_000_000"]),
            (&["users.think=1s", "users.population=134217727"], &["users.think=1s"]),
            (&["client.addresses=4294967295"], &["client.addresses=4294967294"]),
            (
                &["client.retry.exponential.attempts=65536"],
                &["client.retry.exponential.attempts=65535"],
            ),
            (&["client.reload.times=16"], &["client.reload.times=15"]),
            (&["keys.catalogue.count=1000000001"], &["keys.catalogue.count=1000000000"]),
            (&["keys.catalogue.size=4GiB"], &["keys.catalogue.size=4GB"]),
            (&["service.web.autoscale.max=500001"], &["service.web.autoscale.max=500000"]),
            (&["pool.pg.size=16384"], &["pool.pg.size=16383"]),
            (&["pool.pg.replica_size=16384"], &["pool.pg.replica_size=16383"]),
            (&["database.main.shards=32768"], &["database.main.shards=32767"]),
            (
                &["database.main.shards=32767", "service.web.autoscale.max=100"],
                &["database.main.shards=32767", "service.web.autoscale.max=50"],
            ),
        ];
        for (beyond, within) in bounds {
            assert_eq!(said(beyond).len(), 1, "{beyond:?}: {:?}", said(beyond));
            assert_eq!(said(within), [""; 0], "{within:?}");
        }
        assert_eq!(said(&["session.table.store.postgres.own.size=16384"]).len(), 1);
    }

    #[test]
    fn loops_are_counted_unrolled() {
        let with = |times: u32| {
            let loops = format!("{{ repeat = {{ times = {times}, flow = [{{ cpu = '1ms' }}] }} }}");
            let outer = format!("{{ repeat = {{ times = 100, flow = [{loops}] }} }}");
            format!(
                "version = 1\narrivals.rate = '1/s'\n[service.web]\n[operation.a]\nshare = 1\n\
                 flow = [{outer}, {{ reply = '1KB' }}]\n"
            )
        };
        let errors = |times| {
            let loaded = load("a.toml", &[], &mut |_| Ok(with(times)));
            loaded.diagnostics.iter().map(|found| found.message.clone()).collect::<Vec<_>>()
        };
        // 100 x (99 + 1) + 2 steps, where 98 would do.
        assert_eq!(errors(98), [""; 0]);
        let said = errors(99);
        assert!(said.len() == 1 && said[0].contains("10,002 steps"), "{said:?}");
        assert_eq!(errors(u32::MAX).len(), 1);
    }
}
