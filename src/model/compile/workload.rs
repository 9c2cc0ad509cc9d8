//! Who comes and when, how long is measured, how users behave.

use super::super::ids::{NO_TIME, SessionId};
use super::super::tape::Op;
use super::super::{
    Client, Connection, Curve, FailoverDns, Fill, Grace, Model, Plan, Reload, Workload,
};
use super::{Compiler, retries};
use crate::component::balancer::health::Checks;
use crate::component::session_population::Holders;
use crate::topology::{self, Topology};
use crate::units::{Duration, Ratio};

pub(super) fn plan(run: &topology::Run) -> Plan {
    Plan {
        warmup: run.warmup,
        duration: run.duration,
        window: run.window,
        replications: run.replications,
        seed: run.seed,
        confidence: run.confidence.0,
        max_events: run.max_events,
        max_memory_bytes: run.max_memory.0 as u64,
        max_wall: run.max_wall,
        attribution_every: run.attribution_every.min(u64::from(u32::MAX)) as u32,
        warm_caches: run.start.caches == topology::Warmth::Warm,
        warm_sessions: run.start.sessions == topology::Warmth::Warm,
        pools: match run.start.pools {
            topology::Fill::Warm => Fill::Warm,
            topology::Fill::Empty => Fill::Empty,
            topology::Fill::Full => Fill::Full,
        },
        keep_fates: false,
        mean_load: run.mean_load.0,
    }
}

pub(super) fn workload(topology: &Topology, compiler: &mut Compiler) -> Workload {
    let warmup = topology.run.warmup;
    if let Some(users) = &topology.users {
        let stages: Vec<_> =
            users.stages.iter().map(|stage| (stage.length, stage.to as f64)).collect();
        let mut population = curve(users.population as f64, &stages);
        if users.ramp > Duration::ZERO {
            for knot in &mut population.knots {
                knot.0 += users.ramp;
            }
            population.knots.insert(0, (Duration::ZERO, 0.0));
        }
        if let Some(spike) = &users.spike {
            add_spike(&mut population, warmup + spike.at, spike.length, spike.times);
        }
        let thinks = users.think.law.mean() > 0.0;
        let memoryless = thinks && matches!(users.think.law, topology::Law::Exponential { .. });
        let think = if thinks { compiler.law(&users.think) } else { NO_TIME };
        return Workload::Closed { think, memoryless, population };
    }
    let arrivals = topology.arrivals.as_ref().expect("the checker asks for a workload");
    let stages: Vec<_> = arrivals.stages.iter().map(|stage| (stage.length, stage.to.0)).collect();
    if let Some(trace) = &arrivals.trace {
        let rate = curve(super::arrivals::rate_of(trace), &[]);
        let known = trace.file.rows.iter().filter_map(|row| row.user).max();
        let users = known.map_or(arrivals.users as u32, |last| last + 1);
        return Workload::Open { rate, even: false, users };
    }
    let mut rate = curve(arrivals.rate.map_or(0.0, |rate| rate.0), &stages);
    if let Some(spike) = &arrivals.spike {
        add_spike(&mut rate, warmup + spike.at, spike.length, spike.times);
    }
    rate.wave = arrivals.sinusoid.as_ref().map(|wave| (wave.period, wave.amplitude.0));
    let even = arrivals.process == topology::Process::Even;
    Workload::Open { rate, even, users: arrivals.users as u32 }
}

/// Straight lines from stage to stage, as in k6: each stage ends at its target.
fn curve(start: f64, stages: &[(Duration, f64)]) -> Curve {
    let mut knots = vec![(Duration::ZERO, start)];
    let mut at = Duration::ZERO;
    for (length, target) in stages {
        at += *length;
        knots.push((at, *target));
    }
    Curve { knots, wave: None }
}

/// A sudden multiple of the load: jumps are two knots at one time.
fn add_spike(curve: &mut Curve, at: Duration, length: Duration, times: f64) {
    let end = at + length;
    let (before, after) = (curve.at(at), curve.at(end));
    let mut knots: Vec<_> = curve.knots.iter().copied().filter(|knot| knot.0 <= at).collect();
    knots.push((at, before));
    knots.push((at, before * times));
    let inside = curve.knots.iter().filter(|knot| knot.0 > at && knot.0 < end);
    knots.extend(inside.map(|knot| (knot.0, knot.1 * times)));
    knots.push((end, after * times));
    knots.push((end, after));
    knots.extend(curve.knots.iter().copied().filter(|knot| knot.0 > end));
    curve.knots = knots;
}

pub(super) fn client(topology: &Topology, workload: &Workload, compiler: &mut Compiler) -> Client {
    let (visit, returning) = match (&topology.users, &topology.arrivals) {
        (Some(users), _) => (users.visit, users.returning),
        (None, Some(arrivals)) => (arrivals.visit, arrivals.returning),
        (None, None) => (None, Ratio(0.0)),
    };
    Client {
        patience: patience(topology).map(|dist| compiler.law(dist)),
        lateness: topology.client.lateness.as_ref().map(|dist| compiler.law(dist)),
        // Without a number every user has an address of their own, however many there are.
        addresses: topology
            .client
            .addresses
            .map_or(u32::MAX, |many| many.min(u64::from(u32::MAX)) as u32),
        visit_chance: visit_chance(topology, workload, visit),
        returning_chance: returning.0,
        retry: retries::retry(&topology.client.retry, topology.client.throttle.as_ref()),
        processes: topology
            .client
            .processes
            .map_or(u32::MAX, |many| many.min(u64::from(u32::MAX)) as u32),
        dns: dns(topology),
        connection: topology.client.connection.as_ref().map(|spec| Connection {
            rounds: spec.tls.rounds(),
            keep_alive: spec.keep_alive,
            window: spec.window,
            loss: spec.loss.0,
            bandwidth: spec.bandwidth,
        }),
        grace: grace(topology),
        abandons_after: topology.users.as_ref().and_then(|users| users.abandons_after),
        reload: topology.client.reload.as_ref().map(|reload| Reload {
            after: reload.after,
            share: reload.share.0,
            times: reload.times.min(15) as u8,
        }),
    }
}

/// How services that stand in for others are found, if any does.
fn dns(topology: &Topology) -> Option<FailoverDns> {
    let spec = &topology.client.dns;
    let used = topology.operations.iter().any(|operation| operation.spec.failover.is_some());
    used.then_some(FailoverDns {
        checkers: spec.checkers,
        checks: Checks {
            interval: spec.interval,
            timeout: spec.interval,
            healthy: spec.threshold,
            unhealthy: spec.threshold,
        },
        quorum: spec.quorum.0,
        ttl: spec.ttl,
        stale: (spec.stale.0, spec.stale_ttl),
    })
}

/// How long virtual users may finish what they are at. A plan of stages is over when the last leaves
/// nobody.
fn grace(topology: &Topology) -> Option<Grace> {
    if let Some(users) = &topology.users {
        let (ramp_down, stop) = (users.graceful_ramp_down, users.graceful_stop);
        let length = users.stages.iter().map(|stage| stage.length).fold(users.ramp, |a, b| a + b);
        let ends = users.stages.last().is_some_and(|stage| stage.to == 0);
        let said = ramp_down.is_some() || stop.is_some();
        return said.then_some(Grace { ramp_down, end: ends.then_some(length), stop });
    }
    let arrivals = topology.arrivals.as_ref()?;
    let vus = arrivals.vus.as_ref()?;
    let length =
        arrivals.stages.iter().map(|stage| stage.length).fold(Duration::ZERO, |a, b| a + b);
    let ends = arrivals.stages.last().is_some_and(|stage| stage.to.0 == 0.0);
    ends.then_some(Grace { ramp_down: None, end: Some(length), stop: Some(vus.graceful_stop) })
}

/// How long users wait, unless that is always longer than the run.
fn patience(topology: &Topology) -> Option<&topology::Dist> {
    let end = topology.run.warmup + topology.run.duration;
    topology.client.patience.as_ref().filter(|dist| match dist.law {
        topology::Law::Constant(seconds) => Duration::from_secs_f64(seconds) <= end,
        _ => true,
    })
}

/// A visit is a geometric number of requests: its mean length over the mean time between requests of
/// a user.
fn visit_chance(topology: &Topology, workload: &Workload, visit: Option<Duration>) -> f64 {
    let Some(visit) = visit else { return 0.0 };
    let between_s = match (workload, &topology.users) {
        (Workload::Open { rate, users, .. }, _) => {
            f64::from(*users) / rate.mean(topology.run.warmup + topology.run.duration)
        }
        (_, Some(users)) => users.think.law.mean(),
        (_, None) => unreachable!("closed populations are users"),
    };
    (between_s / visit.seconds()).min(1.0)
}

/// Sessions that are alive at the start: as many as new ones x TTL (Little's law), and at least those
/// that users hold.
pub(super) fn warm_sessions(model: &mut Model) {
    if !model.plan.warm_sessions || model.users() == 0 {
        return;
    }
    let users = f64::from(model.users());
    let client = &model.client;
    let logins: f64 = model.operations.iter().filter(|one| one.login).map(|one| one.share).sum();
    let fresh = client.visit_chance * (1.0 - client.returning_chance);
    let through = model.sessions.ids().map(|session| passing(model, session)).collect::<Vec<_>>();
    let rate = model.nominal_rate().0;
    let all = users;
    for (session, (share, reach)) in model.sessions.iter_mut().zip(through) {
        session.reach = reach;
        let users = all * reach;
        let guests = if session.save_uninitialized { session.guests } else { 0.0 };
        let anew = logins + (1.0 - logins) * fresh * (1.0 - session.guests);
        let renewed = session.touch || session.resave;
        let mut holders = Holders {
            rate_per_s: rate * share * (1.0 - session.guests) / users,
            anew_per_s: rate * share * anew / users,
            ttl: session.ttl,
            renewed,
        };
        if let Some(cookie) = session.cookie.filter(|_| renewed && holders.rate_per_s > 0.0) {
            // A browser that forgets its cookie makes a session anew, as if nothing renewed it.
            let forgets = Holders { ttl: cookie, renewed: false, ..holders };
            holders.anew_per_s = forgets.made_per_s();
        }
        let ttl_s = session.ttl.seconds();
        let made = users * holders.made_per_s() + rate * share * (1.0 - logins) * guests;
        let held = users * holders.alive();
        session.warm = libm::round((made * ttl_s).max(held)) as u64;
        session.holders = (holders.rate_per_s > 0.0).then_some(holders);
    }
}

/// The share of requests that pass a session store, and that of the users who send some that do.
fn passing(model: &Model, session: SessionId) -> (f64, f64) {
    let entries: Vec<u32> = model.operations.iter().map(|operation| operation.entry.0).collect();
    let passes = |entry: u32| {
        let end = entries.iter().copied().filter(|other| *other > entry).min();
        let end = end.map_or(model.tape.len(), |end| end as usize);
        let seeks = |op: &Op| matches!(op, Op::SessionSeek { session: its, .. } if *its == session);
        model.tape[entry as usize..end].iter().any(seeks)
    };
    let through = model.operations.iter().filter(|one| one.share > 0.0 && passes(one.entry.0));
    let homes = model.home_shares.iter().enumerate().filter(|(home, _)| {
        through.clone().any(|one| one.homes.get(*home).is_none_or(|share| *share > 0.0))
    });
    let everywhere = homes.clone().count() == model.home_shares.len();
    let reach = if everywhere { 1.0 } else { homes.map(|(_, share)| share).sum() };
    // Shares of all operations sum to one but for rounding, which would make sessions that are not there.
    let share: f64 = through.map(|one| one.share).sum();
    let all = model.operations.iter().filter(|one| passes(one.entry.0)).count();
    (if all == model.operations.len() { 1.0 } else { share }, reach)
}
