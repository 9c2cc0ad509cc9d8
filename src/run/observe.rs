//! What is measured overall, and over time.

use crate::failure::{FAILURES, Failure};
use crate::kernel::{Dense, Event, PendingEvents};
use crate::model::Model;
use crate::model::ids::OperationId;
use crate::stats::{Histogram, Level, NO_THRESHOLDS};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{FailureCounts, MILLI};
use super::outcome::{Fate, StationWindow, Window};
use super::task::{Journey, OK};
use super::world::World;

/// What is measured overall.
pub struct Observer {
    /// The warm-up is over.
    pub measuring: bool,
    /// Requests that users wanted.
    pub offered: u64,
    /// Requests that ended well.
    pub ok: u64,
    /// Requests that failed, by kind.
    pub failed: FailureCounts,
    /// Requests in flight.
    pub in_flight: Level,
    /// Those in flight when measuring began.
    pub in_flight_then: u64,
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts that failed, by kind.
    pub attempts_failed: FailureCounts,
    /// Answers that nobody waited for any more.
    pub late: u64,
    /// Requests whose virtual user was stopped before they were over.
    pub interrupted: u64,
    /// Connections that users had to set up.
    pub connections: u64,
    /// Attempts that went to a stand-in.
    pub elsewhere: u64,
    /// From the intended start to what the user saw, retries included, of requests that failed; of
    /// those that ended well it is measured by operation.
    pub failed_latency: Histogram,
    /// From the sending of an attempt to its answer.
    pub attempt_latency: Histogram,
    /// By operation.
    pub operations: Dense<OperationId, OperationTally>,
    /// The timeline.
    pub windows: Vec<Window>,
    /// An order-independent digest of every request that ended.
    pub digest: u64,
    /// Events so far.
    pub events: u64,
    /// What became of every request, if somebody wants to know.
    pub fates: Vec<Fate>,
    window: WindowTally,
}

/// What is measured of one operation.
#[derive(Clone, Debug, Default)]
pub struct OperationTally {
    /// Requests that users wanted.
    pub offered: u64,
    /// Requests that ended well.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Latency of those that ended well.
    pub latency: Histogram,
}

/// What the present window of the timeline has seen.
#[derive(Default)]
struct WindowTally {
    offered: u64,
    ok: u64,
    failed: u64,
    server_errors: u64,
    latency: Histogram,
    in_flight: u128,
    stations: Vec<[u128; 3]>,
    queues: Vec<(f64, u128)>,
    noted: Vec<[u64; 2]>,
}

impl Observer {
    /// Before the first request.
    pub fn new(model: &Model) -> Observer {
        Observer {
            measuring: false,
            offered: 0,
            ok: 0,
            failed: [0; FAILURES],
            in_flight: Level::new(Time::ZERO, NO_THRESHOLDS),
            in_flight_then: 0,
            attempts: 0,
            attempts_failed: [0; FAILURES],
            late: 0,
            interrupted: 0,
            connections: 0,
            elsewhere: 0,
            failed_latency: Histogram::new(),
            attempt_latency: Histogram::new(),
            operations: model.operations.iter().map(|_| OperationTally::default()).collect(),
            windows: Vec::new(),
            digest: 0,
            events: 0,
            fates: Vec::new(),
            window: WindowTally {
                stations: vec![[0; 3]; model.stations.len()],
                queues: vec![(0.0, 0); model.queues.len()],
                noted: super::noted::nothing(model),
                ..WindowTally::default()
            },
        }
    }

    /// A user wants something.
    pub fn offered(&mut self, operation: OperationId, now: Time) {
        self.offered += 1;
        self.window.offered += 1;
        self.operations[operation].offered += 1;
        self.in_flight.add(now, 1);
    }

    /// An attempt is over.
    pub fn attempt_over(&mut self, status: u8, length: Duration) {
        if status != OK {
            self.attempts_failed[status as usize] += 1;
        }
        if self.measuring {
            self.attempt_latency.record(length);
        }
    }

    /// A request was interrupted.
    pub fn interrupted(&mut self, now: Time) {
        self.in_flight.add(now, -1);
        self.interrupted += 1;
    }

    /// A request is over; of a failed one, with the status code that was chosen for it, or 0.
    pub fn finished(
        &mut self,
        journey: &Journey,
        (status, answered): (u8, u16),
        latency: Duration,
        now: Time,
    ) {
        self.in_flight.add(now, -1);
        let print = (u64::from(journey.ordinal) << 8 | u64::from(status))
            ^ latency.0.rotate_left(24)
            ^ journey.intended.0.rotate_left(48);
        self.digest = self.digest.wrapping_add(mix(print));
        let tally = &mut self.operations[journey.operation];
        if status == OK {
            self.ok += 1;
            self.window.ok += 1;
            tally.ok += 1;
            self.window.latency.record(latency);
            if self.measuring {
                tally.latency.record(latency);
            }
        } else {
            self.failed[status as usize] += 1;
            self.window.failed += 1;
            let answered = match answered {
                0 => Failure::ALL[status as usize].status(),
                chosen => chosen,
            };
            self.window.server_errors += u64::from(answered >= 500);
            tally.failed += 1;
            if self.measuring {
                self.failed_latency.record(latency);
            }
        }
    }

    /// From the intended start to what the user saw, retries included, of requests that ended well.
    pub fn latency(&self) -> Histogram {
        let mut all = Histogram::new();
        self.operations.iter().for_each(|tally| all.merge(&tally.latency));
        all
    }

    fn start_measuring(&mut self, now: Time) {
        self.measuring = true;
        (self.offered, self.ok, self.attempts, self.late) = (0, 0, 0, 0);
        (self.connections, self.interrupted, self.elsewhere) = (0, 0, 0);
        (self.failed, self.attempts_failed) = ([0; FAILURES], [0; FAILURES]);
        for tally in self.operations.iter_mut() {
            *tally = OperationTally::default();
        }
        self.in_flight_then = self.in_flight.value();
        self.in_flight.reset(now);
    }
}

/// A bijection in which every bit of the input reaches every bit of the output.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ (value >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

impl<Q: PendingEvents> World<'_, Q> {
    /// When the run ends.
    pub fn horizon(&self) -> Time {
        Time::ZERO + (self.model.plan.warmup + self.model.plan.duration)
    }

    /// The first window of the timeline begins.
    pub fn start_observing(&mut self) {
        if self.model.plan.warmup.is_zero() {
            self.start_measuring();
        }
        self.schedule_window();
    }

    /// Windows are counted back and forth from the end of the warm-up, so that it is a boundary.
    fn schedule_window(&mut self) {
        let (warmup, window) = (self.model.plan.warmup.0, self.model.plan.window.0);
        let first = warmup % window;
        let now = self.now.0;
        let next = if now < first { first } else { now + window - (now - first) % window };
        let at = Time(next).min(self.horizon());
        if at > self.now {
            self.events.push(Event::new(at, Kind::Window as u8, 0, 0));
        }
    }

    /// A window of the timeline is over, and perhaps the warm-up with it.
    pub fn window_ends(&mut self) {
        self.close_window();
        self.close_capacity_units(false);
        if !self.by_instance.is_empty() {
            self.close_periods(self.now);
        }
        if self.now == Time::ZERO + self.model.plan.warmup {
            self.start_measuring();
        }
        self.schedule_window();
    }

    fn close_window(&mut self) {
        let now = self.now;
        let start = self.observer.windows.last().map_or(Time::ZERO, |window| window.end);
        let length = now.since(start);
        let ticks = length.0 as f64;
        if length.is_zero() {
            return;
        }
        let mut counted = std::mem::take(&mut self.observer.window.noted);
        let noted = self.note_for_monitors(&mut counted, length);
        self.observer.window.noted = counted;
        let observer = &mut self.observer;
        let tally = &mut observer.window;
        let in_flight = observer.in_flight.total(now);
        let mut stations = Vec::with_capacity(self.meters.len());
        for (meter, before) in self.meters.iter().zip(&mut tally.stations) {
            let after = [meter.busy.total(now), meter.waiting.total(now), meter.held.total(now)];
            let mean = |part: usize| (after[part] - before[part]) as f64 / ticks;
            stations.push(StationWindow {
                busy: mean(0) / MILLI as f64,
                waiting: mean(1),
                held: mean(2),
                oldest_s: 0.0,
                delayed: 0.0,
            });
            *before = after;
        }
        for ((spec, state), before) in
            self.model.queues.iter().zip(self.queues.iter()).zip(&mut tally.queues)
        {
            let station = &mut stations[spec.station.0 as usize];
            let after = (state.queue.oldest().total(now), state.delayed.total(now));
            station.oldest_s = (after.0 - before.0) / ticks;
            station.delayed = (after.1 - before.1) as f64 / ticks;
            *before = after;
        }
        observer.windows.push(Window {
            start,
            end: now,
            measured: observer.measuring,
            offered: tally.offered,
            ok: tally.ok,
            failed: tally.failed,
            server_errors: tally.server_errors,
            latency_mean_s: tally.latency.mean_s(),
            latency_p95_s: tally.latency.quantile(0.95).map(Duration::seconds),
            latency_p99_s: tally.latency.quantile(0.99).map(Duration::seconds),
            in_flight: (in_flight - tally.in_flight) as f64 / ticks,
            stations,
            noted,
        });
        tally.in_flight = in_flight;
        (tally.offered, tally.ok, tally.failed, tally.server_errors) = (0, 0, 0, 0);
        tally.latency = Histogram::new();
    }

    /// The warm-up is over.
    fn start_measuring(&mut self) {
        let now = self.now;
        self.settle_databases();
        self.measure_memory();
        self.observer.start_measuring(now);
        for meter in self.meters.iter_mut() {
            meter.start_measuring(now);
        }
        for queue in self.queues.iter_mut() {
            queue.queue.start_measuring(now);
            queue.delayed.reset(now);
        }
        self.reset_capacity_units();
        self.observer.window.noted.fill([0; 2]);
        self.attribution.start_measuring();
        self.arrivals.dropped = 0;
        for service in self.services.ids() {
            self.count_instances(service);
            self.services[service].instance_ticks = 0;
        }
        for worker in &mut self.workers {
            worker.busy_ticks = 0;
        }
    }

    /// The last window closes.
    pub fn stop_observing(&mut self) {
        self.settle_databases();
        self.close_window();
        self.close_capacity_units(true);
        for service in self.services.ids() {
            self.count_instances(service);
        }
    }

    /// Bytes that requests in flight and what they hold take.
    pub fn bytes_in_flight(&self) -> u64 {
        let tasks = self.tasks.capacity() * size_of::<super::task::Task>();
        let journeys = self.journeys.capacity() * size_of::<Journey>();
        let jobs = self.jobs.capacity() * size_of::<super::job::JobRecord>();
        let events = self.events.len() * 32;
        (tasks + journeys + jobs + events + self.attribution.bytes()) as u64
    }
}

/// Failures with their counts, those that happened.
pub fn happened(counts: &FailureCounts) -> impl Iterator<Item = (Failure, u64)> + '_ {
    Failure::ALL.into_iter().zip(counts.iter().copied()).filter(|(_, count)| *count > 0)
}
