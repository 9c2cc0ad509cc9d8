//! What a file means, before anything is run: the compiled model, every default in force with its
//! source, what each operation asks of each component, and the bounds that follow.

use std::fmt::Write as _;

use crate::diagnostic::Diagnostic;
use crate::model::demand::{Bounds, Demand, demand};
use crate::model::ids::StationId;
use crate::model::tape::{AgentId, Op, Pc};
use crate::model::{Fill, Model, Workload};
use crate::topology::Loaded;
use crate::units::{Bytes, Duration, Quantity, Ratio, show_number};

/// The longest line that an explanation has.
const WIDTH: usize = 100;

/// Explains a topology that was read, as text.
pub fn explain(loaded: &Loaded, model: &Model) -> String {
    let mut text = String::new();
    let out = &mut text;
    workload(out, model);
    initial_state(out, model);
    let whole = demand(model, None);
    demands(out, model, &whole);
    bounds(out, model, &whole);
    hit_ratios(out, model, &whole);
    assumptions(out, model);
    operations(out, model);
    defaults(out, loaded);
    text
}

fn heading(out: &mut String, title: &str) {
    let _ = writeln!(out, "\n{title}\n{}", "-".repeat(title.chars().count()));
}

fn seconds(value: f64) -> String {
    Duration::from_secs_f64(value).show()
}

fn workload(out: &mut String, model: &Model) {
    if !model.title.is_empty() {
        let _ = writeln!(out, "{}", model.title);
    }
    heading(out, "Workload");
    match &model.workload {
        Workload::Closed { think, memoryless, population } => {
            let users = population.at(model.plan.warmup);
            let _ = writeln!(
                out,
                "{} users, each thinking {} on average between answer and next request{}",
                show_number(users),
                seconds(model.laws[*think].mean),
                if *memoryless { " (memoryless: one exact stream)" } else { "" },
            );
        }
        Workload::Open { even, users, .. } => {
            let _ = writeln!(
                out,
                "an open stream, {}, of {} distinct users",
                if *even { "evenly spaced" } else { "Poisson" },
                show_number(f64::from(*users)),
            );
        }
        Workload::Recorded(recording) => {
            let _ = writeln!(
                out,
                "{} recorded requests of {} users",
                show_number(recording.len() as f64),
                show_number(f64::from(recording.users())),
            );
        }
    }
    let _ = writeln!(
        out,
        "{} if nothing ever waited",
        model.nominal_rate().show().replace("/s", " requests/s")
    );
    if let Some(patience) = model.client.patience {
        let mean = model.laws[patience].mean;
        let _ = writeln!(out, "users give up after {} on average", seconds(mean));
    }
    if model.client.visit_chance > 0.0 {
        let _ = writeln!(
            out,
            "one request in {} begins a visit; {} of visits bring a live session",
            show_number(1.0 / model.client.visit_chance),
            Ratio(model.client.returning_chance).show(),
        );
    }
    let plan = &model.plan;
    let _ = writeln!(
        out,
        "{} warm-up + {} measured, {} replications, seed {}",
        plan.warmup, plan.duration, plan.replications, plan.seed
    );
}

fn initial_state(out: &mut String, model: &Model) {
    heading(out, "State at the start");
    let plan = &model.plan;
    let state = |warm: bool| if warm { "stationary (warm)" } else { "empty (cold)" };
    let _ = writeln!(out, "caches         {}", state(plan.warm_caches));
    for session in model.sessions.iter() {
        let size = Bytes(session.warm as f64 * f64::from(session.size_bytes));
        let _ = writeln!(
            out,
            "session.{}  {} live sessions, {}",
            session.name,
            show_number(session.warm as f64),
            size.show(),
        );
    }
    let pools = match plan.pools {
        Fill::Warm => "open as long use leaves them (warm)",
        Fill::Empty => "no connection open",
        Fill::Full => "all connections open",
    };
    let _ = writeln!(out, "pools          {pools}");
}

/// Each operation's tape: what the engine runs.
fn operations(out: &mut String, model: &Model) {
    heading(out, "Operations, as compiled");
    let entries: Vec<Pc> = model.operations.iter().map(|operation| operation.entry).collect();
    for operation in model.operations.iter() {
        let _ = writeln!(out, "{} ({})", operation.name, Ratio(operation.share).show());
        let end = entries.iter().filter(|entry| **entry > operation.entry).min();
        let end = end.map_or(model.tape.len(), |entry| entry.0 as usize);
        for pc in operation.entry.0 as usize..end {
            let _ = writeln!(out, "  {pc:>4}  {}", describe(model, model.tape[pc]));
        }
    }
}

/// What a step of the session middleware does to its session.
fn of_session(op: Op) -> String {
    match op {
        Op::SessionSeek { none, .. } => format!(": has it one? if not go to {}", none.0),
        Op::SessionFound { .. } => " looked up".into(),
        Op::SessionEnd { touch, nothing, .. } => {
            format!(": save, or touch at {}, or nothing at {}", touch.0, nothing.0)
        }
        Op::SessionKept { .. } => " kept".into(),
        Op::SessionUnkept { .. } => " not kept".into(),
        Op::SessionGone { .. } => " destroyed".into(),
        other => unreachable!("{other:?} is no step of a session"),
    }
}

/// What an update of a key does beside writing, in words.
fn change(model: &Model, op: Op) -> String {
    match op {
        Op::WriteBehind { cache, slot, .. } => {
            let to = model.forks[slot as usize].0;
            format!("write behind cache.{}, at {to}", model.caches[cache].name)
        }
        _ => "the source of a key has changed".into(),
    }
}

/// What concerns sockets, in words.
fn of_socket(model: &Model, op: Op) -> String {
    match op {
        Op::Inquire { socket, sent: true, .. } => {
            format!("wait for the other processes of socket.{}", model.sockets[socket].name)
        }
        Op::Inquire { done, .. } => format!("go to {} if there is no other process", done.0),
        _ => "broadcast the message".into(),
    }
}

/// Where a task goes on, beside its loop or on it.
fn thread(op: Op) -> &'static str {
    match op {
        Op::ThreadEnter => "go on in a thread",
        Op::ThreadBeside => "go on in a thread of its own",
        Op::ThreadLeave => "go on on the loop",
        Op::Chunked => "a chunk is read",
        _ => "give the thread back",
    }
}

/// Where it goes on, or what is next of what it has at hand.
fn at_hand(op: Op) -> String {
    match op {
        Op::Chunks { cpu, chunk, .. } => {
            format!("{} for each {}", cpu.show(), Bytes(f64::from(chunk)).show())
        }
        Op::IfHeld { held, to, .. } => {
            format!("go to {} if it {} a connection", to.0, if held { "has" } else { "has not" })
        }
        Op::Message { failed: true } => "message failed: the next of its batch".into(),
        _ => "message done: the next of its batch".into(),
    }
}

/// What is asked of an object store in words.
fn of_store(model: &Model, op: Op, usage: u32) -> String {
    let said = &model.store_uses[usage as usize];
    match op {
        Op::Dial { .. } => {
            format!("look store.{} up, for new connections", model.stores[said.store].name)
        }
        _ => said.describe(model),
    }
}

/// An operation of the tape in words.
fn describe(model: &Model, op: Op) -> String {
    let law = |id: crate::model::ids::LawId| seconds(model.laws[id].mean);
    match op {
        Op::Edge { cdn, hit, .. } => {
            format!("edge of cdn.{}, a hit goes to {}", model.cdns[cdn].name, hit.0)
        }
        Op::Enter { service, .. } => format!("enter service.{}", model.services[service].name),
        Op::Spin { work } => format!("spin {}", law(work.law)),
        Op::Cpu { work } => format!("cpu {}", law(work.law)),
        Op::Threads { work } => format!("thread pool {}", law(work.law)),
        Op::Child { work } => format!("child process {}", law(work.law)),
        Op::ThreadEnter | Op::ThreadLeave | Op::ThreadBeside | Op::ThreadFree | Op::Chunked => {
            thread(op).into()
        }
        Op::Chunks { .. } | Op::IfHeld { .. } | Op::Message { .. } => at_hand(op),
        Op::Again { .. } => "a timer: due again from now".into(),
        Op::Inquire { .. } | Op::Emit => of_socket(model, op),
        Op::Admit { most } => format!("503 if the worker has {most} requests"),
        Op::Wait { length, .. } => format!("wait {}", law(length.law)),
        Op::Dial { usage } | Op::Store { usage } => of_store(model, op, usage),
        Op::Limit { limit, .. } => format!("pass limit.{}", model.limits[limit].name),
        Op::Guard { guard, .. } => format!("pass guard.{}", model.guards[guard].name),
        Op::GuardFresh { guard, known } => {
            format!("guard.{}: go to {} if it has a value", model.guards[guard].name, known.0)
        }
        Op::GuardBroken { guard } => format!("guard.{} is broken", model.guards[guard].name),
        Op::LimitBroken { limit } => format!("limit.{} is broken", model.limits[limit].name),
        Op::Permit { bulkhead, .. } => {
            format!("a place in bulkhead.{}", model.bulkheads[bulkhead].name)
        }
        Op::Deadline => "stop if nobody waits any more".into(),
        Op::PermitBack => "give the place back".into(),
        Op::Protect { breaker, entry, .. } => {
            format!("call {} through breaker.{}", entry.0, model.breakers[breaker].name)
        }
        Op::Raise { why } => format!("fail: {}", why.slug()),
        Op::SessionSeek { session, .. }
        | Op::SessionFound { session }
        | Op::SessionEnd { session, .. }
        | Op::SessionKept { session }
        | Op::SessionUnkept { session }
        | Op::SessionGone { session } => {
            format!("session.{}{}", model.sessions[session].name, of_session(op))
        }
        Op::Acquire { pool, write, .. } => format!(
            "acquire from pool.{}{}",
            model.pools[pool].name,
            if write { " (primary)" } else { "" }
        ),
        Op::Query { work, kind, .. } => format!("{kind:?} {}", law(work.law)).to_lowercase(),
        Op::Release => "release".into(),
        Op::CacheGet { cache, keys, hit, single_flight, .. } => format!(
            "get one of keys.{} from cache.{}{}, a hit goes to {}",
            model.keys[keys].name,
            model.caches[cache].name,
            if single_flight { " (single flight)" } else { "" },
            hit.0
        ),
        Op::CacheSet { cache, ttl, .. } => format!(
            "set in cache.{}{}",
            model.caches[cache].name,
            model.span(ttl).map_or(String::new(), |ttl| format!(" for {ttl}"))
        ),
        Op::CacheLand { cache, .. } => {
            format!("those who wait for this load of cache.{} go on", model.caches[cache].name)
        }
        Op::CacheLock { cache, .. } => {
            format!("lock the key in cache.{}", model.caches[cache].name)
        }
        Op::CacheUnlock { cache, .. } => format!("unlock it in cache.{}", model.caches[cache].name),
        Op::CacheRefreshed => "a load in the background ends".into(),
        Op::CacheChanged { .. } | Op::WriteBehind { .. } => change(model, op),
        Op::CacheDelete { cache, .. } => format!("delete from cache.{}", model.caches[cache].name),
        Op::Command { cache, command, .. } => {
            format!("cache.{}: {command:?}", model.caches[cache].name)
        }
        Op::Fork { first, count } => {
            let entries: Vec<String> = (first..first + count)
                .map(|branch| model.forks[branch as usize].0.to_string())
                .collect();
            format!("side by side: {}", entries.join(", "))
        }
        Op::Scatter { pool, entry } => {
            format!("over all shards of pool.{}: {}", model.pools[pool].name, entry.0)
        }
        Op::Call { entry, timeout, agent, .. } => {
            let limit = model.span(timeout).map_or(String::new(), |it| format!(", at most {it}"));
            format!("call {}{limit}{}", entry.0, connections(model, agent))
        }
        Op::Choose { choice, .. } => {
            let choice = &model.choices[choice as usize];
            let ways: Vec<String> = choice
                .targets
                .iter()
                .zip(&choice.chances)
                .map(|(target, chance)| format!("{} to {}", Ratio(*chance).show(), target.0))
                .collect();
            format!("choose: {}", ways.join(", "))
        }
        Op::Jump { to } => format!("go to {}", to.0),
        Op::Enqueue { job, wait, delay, .. } => format!(
            "enqueue job.{}{}{}",
            model.jobs[job].name,
            if delay.is_zero() { String::new() } else { format!(", due in {delay}") },
            if wait { " and wait for it" } else { "" }
        ),
        Op::Publish { stream, .. } => format!("publish to stream.{}", model.streams[stream].name),
        Op::Transfer { bytes } => format!("upload {}", Bytes(model.laws[bytes.law].mean).show()),
        Op::Reply { bytes, status } => {
            format!("reply {} with {status}", Bytes(model.laws[bytes.law].mean).show())
        }
        Op::Refuse => "answer with the failure".into(),
        Op::End => "end".into(),
    }
}

/// Rows: components with servers; columns: operations, then the mix.
fn demands(out: &mut String, model: &Model, whole: &Demand) {
    heading(out, "Demand: server time of one request at each component");
    let operations: Vec<(String, Demand)> = model
        .operations
        .enumerate()
        .map(|(id, operation)| (operation.name.clone(), demand(model, Some(id))))
        .collect();
    let rows: Vec<StationId> =
        model.stations.ids().filter(|id| whole.service_s[*id] > 0.0).collect();
    let name_width = rows.iter().map(|id| model.stations[*id].path.len()).max().unwrap_or(9).max(9);
    // As many operations side by side as fit; the rest in further blocks.
    let per_block = ((WIDTH - name_width - 12) / 11).max(1);
    for block in operations.chunks(per_block) {
        let _ = write!(out, "{:name_width$}", "");
        for (name, _) in block {
            let _ = write!(out, " {:>10}", clip(name, 10));
        }
        let _ = writeln!(out, " {:>10}", "the mix");
        for id in &rows {
            let _ = write!(out, "{:name_width$}", model.stations[*id].path);
            for (_, demand) in block {
                let _ = write!(out, " {:>10}", dash(demand.service_s[*id]));
            }
            let _ = writeln!(out, " {:>10}", dash(whole.service_s[*id]));
        }
        let _ = write!(out, "{:name_width$}", "elsewhere");
        for (_, demand) in block {
            let _ = write!(out, " {:>10}", dash(demand.elsewhere_s));
        }
        let _ = writeln!(out, " {:>10}", dash(whole.elsewhere_s));
    }
    let _ = writeln!(
        out,
        "(elsewhere: network, storage and other people's services; nothing queues there)"
    );
}

/// Over which limited connections a call goes.
fn connections(model: &Model, agent: AgentId) -> String {
    if agent == AgentId::default() {
        return String::new();
    }
    let client = model.client_of(agent);
    let Some(station) = client.station else { return String::new() };
    let waits = client.pool_timeout;
    let waits = waits.map_or(String::new(), |limit| format!(", waited for {limit} at most"));
    format!(", over a connection of {}{waits}", model.stations[station].path)
}

fn dash(value: f64) -> String {
    if value == 0.0 { "-".into() } else { seconds(value) }
}

fn clip(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.into();
    }
    name.chars().take(width - 1).chain(['…']).collect()
}

fn bounds(out: &mut String, model: &Model, whole: &Demand) {
    heading(out, "Bounds that follow (no simulation)");
    let Bounds { offered_per_s, bottleneck, response_s, knee_users } = whole.bounds(model);
    let _ = writeln!(out, "a request that never waits takes {}", seconds(response_s));
    let _ = writeln!(
        out,
        "{:28} {:>9} {:>12} {:>14}",
        "saturates in this order", "servers", "busy at load", "full at"
    );
    for (id, most) in whole.saturation(model) {
        let station = &model.stations[id];
        let _ = writeln!(
            out,
            "{:28} {:>9} {:>12} {:>14}",
            station.path,
            show_number(model.places(id)),
            Ratio(offered_per_s / most).show(),
            format!("{}/s", show_number(most)),
        );
    }
    if let Some((id, most)) = bottleneck {
        let path = &model.stations[id].path;
        let verdict = if offered_per_s >= most {
            format!("{path} cannot carry this load: it is full at {}/s", show_number(most))
        } else {
            format!("{path} gives first, at {} times this load", show_number(most / offered_per_s))
        };
        let _ = writeln!(out, "{verdict}");
    }
    if let Some(knee) = knee_users {
        let _ = writeln!(
            out,
            "knee: from {} users on, queueing cannot be avoided (N* = X_max (Z + R_min))",
            show_number(knee)
        );
    }
}

/// A warning where some component cannot carry what is offered, by the same arithmetic: with as many
/// instances as an autoscaler may have, and without anybody who is turned away or gives up.
pub fn overload(loaded: &Loaded, model: &Model) -> Option<Diagnostic> {
    let whole = demand(model, None);
    let offered = whole.bounds(model).offered_per_s;
    let (id, most) = whole.saturation(model).first().copied()?;
    // Who thinks waits for answers first: such a load finds its own level, above the knee as well.
    let closed = matches!(model.workload, Workload::Closed { .. });
    if closed || offered < most {
        return None;
    }
    let path = &model.stations[id].path;
    let message = format!(
        "`{path}` cannot carry this load: it is full at {}/s, and {}/s are offered",
        show_number(most),
        show_number(offered)
    );
    let help = "give it more (`instances`, `cores`, `size`), let a request ask less of it, or offer less; \
                `loadbearing explain` shows what saturates in which order";
    Some(Diagnostic::warning("overload", loaded.tree.place_of(path), message).help(help))
}

fn hit_ratios(out: &mut String, model: &Model, whole: &Demand) {
    if whole.hits.is_empty() && model.cdns.is_empty() {
        return;
    }
    heading(out, "Hit ratios that theory predicts");
    for ((cache, keys), ratio) in &whole.hits {
        let cache = &model.caches.iter().as_slice()[*cache as usize].name;
        let keys = &model.keys.iter().as_slice()[*keys as usize].name;
        let _ = writeln!(out, "cache.{cache}, keys.{keys}: {}", Ratio(*ratio).show());
    }
    for (cdn, ratio) in model.cdns.iter().zip(&whole.edge_hits) {
        let _ = writeln!(out, "cdn.{}: {}", cdn.name, Ratio(*ratio).show());
    }
}

fn assumptions(out: &mut String, model: &Model) {
    if model.assumptions.is_empty() {
        return;
    }
    heading(out, "Assumptions: what the document does not say");
    for assumption in &model.assumptions {
        let range = assumption.range.as_ref().map_or(String::new(), |range| format!(" ({range})"));
        let _ = writeln!(out, "- {}: {}{range}", assumption.what, assumption.value);
        if let Some(why) = &assumption.why {
            let _ = writeln!(out, "  because {why}");
        }
        if let Some(knob) = &assumption.knob {
            let _ = writeln!(out, "  --set {knob}=…");
        }
    }
}

fn defaults(out: &mut String, loaded: &Loaded) {
    heading(out, "Defaults in force, and where they come from");
    let width = loaded.defaults.iter().map(|one| one.path.len()).max().unwrap_or(0).min(44);
    for default in &loaded.defaults {
        let _ = writeln!(out, "{:width$} = {}  [{}]", default.path, default.value, default.source);
    }
}
