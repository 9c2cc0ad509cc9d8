//! What a closed form alone says of a cell: the steady state of the textbook's station, with service
//! times measured in isolation.

use crate::model::tape::Op;
use crate::model::{Model, PoolMode};
use crate::theory::{
    MachineRepair, Mmc, constant_patience_loss_ratio, erlang_b, lru_hits, ttl_hit_ratio,
};
use crate::units::Duration;

use super::cell::{Cell, Class, Figure, Mode};

/// What a closed form says.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// Its name.
    pub name: &'static str,
    /// Its figures, by class of requests.
    pub figures: Vec<(String, Figure, f64)>,
}

impl Form {
    /// A figure of a class.
    pub fn figure(&self, class: &str, figure: Figure) -> Option<f64> {
        let found = self.figures.iter().find(|it| it.0 == class && it.1 == figure);
        found.map(|it| it.2)
    }
}

/// Times of a request, on average (s).
struct Times {
    /// From getting a connection to giving it back.
    hold: f64,
    /// How much less a pooler lends its own connection for.
    before_pooler: f64,
    /// Everything else but waiting.
    rest: f64,
    /// On the event loop, before and after the database.
    loop_: [f64; 2],
}

impl Times {
    fn of(model: &Model, cell: &Cell) -> Times {
        let nominal_ms: f64 = cell.load.classes.iter().map(|it| it.weight * it.law.mean_ms()).sum();
        let weights: f64 = cell.load.classes.iter().map(|it| it.weight).sum();
        let mut statements = Vec::new();
        let (mut before, mut after, mut held) = (0.0, 0.0, 0.0);
        let mut lent = false;
        let mut trips = 0;
        // The operation that goes to the database, where there is one that does not.
        let first = cell.load.classes.iter().map(Class::operation).find(|it| *it != "cpu");
        let first = model.operations.iter().find(|it| first.is_none_or(|name| it.name == name));
        let first = first.map_or(0, |it| it.entry.0) as usize;
        for op in model.tape.iter().skip(first) {
            match op {
                Op::Acquire { .. } => lent = true,
                Op::Query { work, kind, .. } if lent => {
                    trips += 1;
                    statements.extend(kind.works().then_some(work.law));
                }
                Op::Wait { length, .. } if lent => held += model.laws[length.law].mean,
                Op::Cpu { work } | Op::Spin { work } if lent => held += model.laws[work.law].mean,
                Op::Cpu { work } | Op::Spin { work } if statements.is_empty() => {
                    before += model.laws[work.law].mean
                }
                Op::Cpu { work } | Op::Spin { work } => after += model.laws[work.law].mean,
                Op::Release => lent = false,
                Op::Reply { .. } | Op::End => break,
                _ => {}
            }
        }
        let rtt = model.databases.iter().next().map_or(0.0, |it| model.laws[it.rtt].mean);
        // To a pooler and back, each passage with a piece of its core's time.
        let near = model.poolers.iter().next().map_or(0.0, |it| {
            let core = it.core.map_or(0.0, |(work, _)| work.seconds());
            model.laws[it.rtt].mean + 2.0 * core
        });
        // Of the loop's time in a transaction, what follows the last answer is not the pooler's.
        let last = held / f64::from(trips.max(1));
        let before_pooler = if model.poolers.is_empty() { 0.0 } else { near + last };
        let worked = statements.len().max(1) as f64;
        // Half a step is what rounding up adds on average to what has a density.
        let rounding = statements.first().map_or(0.0, |law| {
            let law = &model.laws[*law];
            let shaped = law.shape(Duration::micros(1)).seconds();
            let dense = cell.load.classes.iter().any(|class| class.law.scv() > 0.0);
            if dense { shaped / 2.0 } else { 0.0 }
        });
        let way = model.regions.iter().next().map_or(0.0, |it| model.laws[it.access].mean);
        let hop = model.services.iter().next().map_or(0.0, |it| model.laws[it.hop].mean);
        Times {
            hold: worked * (nominal_ms / weights / 1e3 + rounding)
                + held
                + (rtt + near) * f64::from(trips),
            before_pooler,
            rest: way + 2.0 * hop + before + after,
            loop_: [before, after],
        }
    }
}

/// The closed form that comes closest to a cell, if there is one.
pub fn closed_form(cell: &Cell, model: &Model) -> Option<Form> {
    let times = Times::of(model, cell);
    let size = model.pools.iter().map(|pool| pool.config.size + pool.config.overflow).sum();
    let Mode::Open { segments } = &cell.load.mode else {
        return Some(machine_repair(cell, &times, size));
    };
    let rate = segments.last()?.1;
    let station = Mmc { servers: size, arrival_rate_per_s: rate, service_s: times.hold };
    if let Some(limit) = cell.server.number("RATE_LIMIT") {
        let window = cell.server.number("RATE_WINDOW_MS").unwrap_or(60_000.0) / 1e3;
        return Some(fixed_window(cell, rate, limit, window));
    }
    if let Some(share) = cell.server.number("GUARD") {
        return Some(guard(cell, station, share, &times));
    }
    if cell.load.keys().is_some() {
        return cache(cell, model, rate);
    }
    if cell.load.classes.iter().any(|class| class.operation() == "cpu") {
        return Some(event_loop(cell, model, rate, &times));
    }
    if !model.poolers.is_empty() {
        return pooled(cell, model, rate, &times);
    }
    if cell.server.more.contains_key("nginx") {
        return Some(proxied(cell, model, station, &times));
    }
    let timeout = model.pools.iter().next()?.config.acquire_timeout;
    if segments.len() > 1 {
        return None; // nothing is steady about it
    }
    Some(match timeout {
        Some(patience) => patient(station, patience.seconds(), &times),
        None => match cell.load.classes.iter().map(|class| class.law.scv()).fold(0.0, f64::max) {
            scv if scv > 1.0 => {
                let mean = station.wait_mean_with_variation_s(1.0, scv) + times.hold + times.rest;
                Form { name: "Allen-Cunneen", figures: all(&[(Figure::Mean, 1e3 * mean)]) }
            }
            _ => erlang_c(station, &times),
        },
    })
}

/// The server connections of a pooler as one station, whoever's pool its clients are from: while each
/// has one for a transaction, and all clients may come.
fn pooled(cell: &Cell, model: &Model, rate: f64, times: &Times) -> Option<Form> {
    let pooler = model.poolers.iter().next()?;
    let clients: u32 =
        model.pools.iter().map(|it| it.config.size * model.services[it.service].instances).sum();
    let whole = pooler.mode == PoolMode::Transaction && pooler.config.reserve == 0;
    if !whole || clients > pooler.clients {
        return None;
    }
    let hold = times.hold - times.before_pooler;
    let times = Times { hold, rest: times.rest + times.before_pooler, ..*times };
    let station =
        Mmc { servers: pooler.config.size, arrival_rate_per_s: rate, service_s: times.hold };
    Some(match cell.server.number("pgbouncer.query_wait_timeout") {
        Some(patience_s) => patient(station, patience_s, &times),
        None => erlang_c(station, &times),
    })
}

fn all(figures: &[(Figure, f64)]) -> Vec<(String, Figure, f64)> {
    figures.iter().map(|(figure, value)| ("all".to_string(), *figure, *value)).collect()
}

fn erlang_c(station: Mmc, times: &Times) -> Form {
    let level = |p: f64| 1e3 * (station.response_quantile_s(p) + times.rest);
    let mut figures = all(&[(Figure::Throughput, station.arrival_rate_per_s)]);
    if station.utilisation() < 1.0 {
        figures.extend(all(&[
            (Figure::Mean, 1e3 * (station.response_mean_s() + times.rest)),
            (Figure::Quantile(50), level(0.5)),
            (Figure::Quantile(90), level(0.9)),
            (Figure::Quantile(95), level(0.95)),
            (Figure::Quantile(99), level(0.99)),
        ]));
    }
    Form { name: "M/M/c", figures }
}

fn patient(station: Mmc, patience_s: f64, times: &Times) -> Form {
    let loss = constant_patience_loss_ratio(station, patience_s);
    let mut figures = all(&[
        (Figure::Timeouts, loss),
        (Figure::Throughput, station.arrival_rate_per_s * (1.0 - loss)),
    ]);
    if station.utilisation() < 0.95 {
        figures.extend(erlang_c(station, times).figures.into_iter().skip(1));
    } else if station.utilisation() > 1.05 {
        let full = patience_s + times.hold + times.rest;
        figures.extend(all(&[(Figure::Mean, 1e3 * full)]));
    }
    Form { name: "M/M/c+D", figures }
}

fn machine_repair(cell: &Cell, times: &Times, size: u32) -> Form {
    let Mode::Closed { users, think_ms } = cell.load.mode else { unreachable!("only users think") };
    let think_s = think_ms / 1e3 + times.rest;
    let repair = MachineRepair { users, think_s, servers: size, service_s: times.hold };
    Form {
        name: "machine repair",
        figures: all(&[
            (Figure::Throughput, repair.throughput_per_s()),
            (Figure::Mean, 1e3 * (repair.response_mean_s() + times.rest)),
        ]),
    }
}

/// Windows of the limit begin with a key's first request; the run ends within one.
fn fixed_window(cell: &Cell, rate: f64, limit: f64, window_s: f64) -> Form {
    let weights: f64 = cell.load.classes.iter().map(|class| class.weight).sum();
    let mut figures = Vec::new();
    let (mut rejected, mut offered) = (0.0, 0.0);
    for class in &cell.load.classes {
        let rate = rate * class.weight / weights;
        let mut left = cell.end_s;
        let mut over = 0.0;
        while left > 1.0 / rate {
            left -= 1.0 / rate;
            over += mean_over(rate * left.min(window_s), limit - 1.0);
            left -= left.min(window_s);
        }
        rejected += over;
        offered += rate * cell.end_s;
        figures.push((class.name.clone(), Figure::Rejected, over / (rate * cell.end_s)));
    }
    figures.push(("all".into(), Figure::Rejected, rejected / offered));
    Form { name: "Poisson in a window", figures }
}

/// The mean of what a Poisson variate exceeds a bound by.
fn mean_over(mean: f64, bound: f64) -> f64 {
    let (mut weight, mut sum) = (libm::exp(-mean), 0.0);
    let most = (mean + 12.0 * libm::sqrt(mean) + bound) as u32 + 20;
    for k in 0..most {
        sum += weight * (f64::from(k) - bound).max(0.0);
        weight *= mean / f64::from(k + 1);
    }
    sum
}

fn guard(cell: &Cell, station: Mmc, share: f64, times: &Times) -> Form {
    let servers = (share * f64::from(station.servers)).ceil() as u32;
    let alone = 1e3 * (times.hold + times.rest);
    let Some(retry) = &cell.load.retry else {
        let loss = erlang_b(servers, station.offered_load());
        let figures = [
            (Figure::Rejected, loss),
            (Figure::Throughput, station.arrival_rate_per_s * (1.0 - loss)),
            (Figure::Mean, alone),
        ];
        return Form { name: "Erlang B", figures: all(&figures) };
    };
    let mut attempts = 1.0;
    let mut loss = 0.0;
    for _ in 0..200 {
        loss = erlang_b(servers, station.offered_load() * attempts);
        attempts = (0..retry.tries).map(|k| libm::pow(loss, f64::from(k))).sum();
    }
    let failed = libm::pow(loss, f64::from(retry.tries));
    let figures = [
        (Figure::Rejected, failed),
        (Figure::Attempts, attempts),
        (Figure::Throughput, station.arrival_rate_per_s * (1.0 - failed)),
    ];
    Form { name: "Erlang B, fixed point", figures: all(&figures) }
}

fn cache(cell: &Cell, model: &Model, rate: f64) -> Option<Form> {
    let sums = cell.load.cumulative_popularity();
    let all_of = *sums.last()?;
    let shares: Vec<f64> = std::iter::once(sums[0])
        .chain(sums.windows(2).map(|pair| pair[1] - pair[0]))
        .map(|weight| weight / all_of)
        .collect();
    let (name, hits) = match cell.server.number("CACHE_TTL_MS") {
        Some(ttl) => {
            let of = |share: &f64| share * ttl_hit_ratio(rate * share * ttl / 1e3);
            ("renewal, for ever", shares.iter().map(of).sum())
        }
        None => {
            let cache = model.caches.iter().next()?;
            let entry = u64::from(model.keys.iter().next()?.size_bytes)
                + u64::from(cache.store.overhead_bytes);
            let fit = (cache.store.memory? / entry) as usize;
            ("Che, for ever", lru_hits(&shares, fit).hit_ratio)
        }
    };
    Some(Form { name, figures: all(&[(Figure::Hits, hits)]) })
}

/// Two visits to an M/G/1 loop of everybody's callbacks, each loop with its part of the load.
fn event_loop(cell: &Cell, model: &Model, rate: f64, times: &Times) -> Form {
    let loops: u32 = model.services.iter().map(|it| it.instances * it.workers).sum();
    let weights: f64 = cell.load.classes.iter().map(|class| class.weight).sum();
    let [before, after] = times.loop_;
    let (mut busy, mut squares) = (0.0, 0.0);
    for class in &cell.load.classes {
        let rate = rate * class.weight / weights / f64::from(loops);
        let callbacks = match class.operation() {
            "cpu" => vec![before + after + class.law.mean_ms() / 1e3],
            _ => vec![before, after],
        };
        for length in callbacks {
            busy += rate * length;
            squares += rate * length * length;
        }
    }
    let wait = squares / (2.0 * (1.0 - busy));
    let figures = cell.load.classes.iter().map(|class| {
        let visits = if class.operation() == "cpu" { 1.0 } else { 2.0 };
        let own = class.law.mean_ms() / 1e3;
        let database = if class.operation() == "cpu" { 0.0 } else { times.hold - own_mean(cell) };
        let mean = visits * wait + own + database + times.rest;
        (class.name.clone(), Figure::Mean, 1e3 * mean)
    });
    let mut figures: Vec<(String, Figure, f64)> = figures.collect();
    let weighed = cell.load.classes.iter().zip(&figures).map(|(it, figure)| it.weight * figure.2);
    figures.push(("all".into(), Figure::Mean, weighed.sum::<f64>() / weights));
    Form { name: "M/G/1, twice", figures }
}

/// The mean nominal time of all classes (s).
fn own_mean(cell: &Cell) -> f64 {
    let weights: f64 = cell.load.classes.iter().map(|class| class.weight).sum();
    cell.load.classes.iter().map(|it| it.weight * it.law.mean_ms()).sum::<f64>() / weights / 1e3
}

fn proxied(cell: &Cell, model: &Model, station: Mmc, times: &Times) -> Form {
    let nodes = model.services.iter().next().map_or(1, |service| service.instances);
    let pooled = cell.server.settings().any(|(name, is)| name == "nginx" && is.contains("least"));
    let scv = cell.load.classes.iter().map(|class| class.law.scv()).fold(0.0, f64::max);
    let (name, station, arrivals) = match pooled {
        true => {
            ("Allen-Cunneen, one queue", Mmc { servers: station.servers * nodes, ..station }, 1.0)
        }
        false => {
            let rate = station.arrival_rate_per_s / f64::from(nodes);
            // Every n-th of a Poisson stream is an Erlang stream.
            let station = Mmc { arrival_rate_per_s: rate, ..station };
            ("Allen-Cunneen, each alone", station, 1.0 / f64::from(nodes))
        }
    };
    let wait = station.wait_mean_with_variation_s(arrivals, scv);
    let mean = 1e3 * (wait + times.hold + times.rest);
    Form { name, figures: all(&[(Figure::Mean, mean)]) }
}
