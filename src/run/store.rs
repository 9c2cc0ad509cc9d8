//! Object storage: requests that are taken, or slowed down and tried again.
//!
//! A multipart upload is begun, its parts go side by side, each tried again by itself, and it is
//! completed. What a prefix takes is asked once, when it begins. Where requests share a bandwidth, the
//! bytes of all objects go through one pipe at equal shares, and nobody is done before that.

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::task::{NONE, Role, State, Task};
use super::world::World;
use crate::component::backoff::Backoff;
use crate::component::object_store::Prefix;
use crate::failure::Failure;
use crate::kernel::{PendingEvents, ProcessorSharing};
use crate::model::ids::StoreId;
use crate::model::{Store, StoreUse, UnitKind};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

/// How clients wait that were slowed down (@smithy/core 3.41.0, retries-2026-config.js, `throttlingDelay` 1 s,
/// `MAXIMUM_RETRY_DELAY` 20 s).
const BACKOFF: Backoff = Backoff::FullJitter { base: Duration::secs(1), cap: Duration::secs(20) };

/// The same after an error (`delay` 50 ms).
const AFTER_ERROR: Backoff =
    Backoff::FullJitter { base: Duration::millis(50), cap: Duration::secs(20) };

/// A store answers 403 to a URL that is no longer good (Amazon S3 API, error responses: AccessDenied, "Request
/// has expired"), which nobody tries again.
fn forbid(task: &mut Task) {
    (task.status, task.answered) = (Failure::Answered as u8, 403);
}

/// An object store while it runs.
pub struct StoreState {
    puts: Vec<Prefix>,
    gets: Vec<Prefix>,
    /// Objects that share a bandwidth: the work of one is its time alone.
    pipe: Option<Box<ProcessorSharing>>,
    /// When the next of them is through.
    armed: Time,
    /// Of each worker, the connections that are open and idle, or will be then; where their number matters.
    pub(super) connections: Vec<Vec<Time>>,
}

impl StoreState {
    /// With all of its prefixes rested.
    pub fn new(spec: &Store) -> StoreState {
        let all = |rate| vec![Prefix::new(rate); spec.prefixes as usize];
        let pipe = spec.shared.map(|_| Box::new(ProcessorSharing::new(1.0, 0.0, 0.0)));
        let (puts, gets) = (all(spec.put_rate), all(spec.get_rate));
        StoreState { puts, gets, pipe, armed: Time::NEVER, connections: Vec::new() }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A running callback asks a store, and hears of it later: it never goes on by itself.
    pub(super) fn ask_store(&mut self, task: u32, usage: u32) -> bool {
        let usage = self.model.store_uses[usage as usize];
        let spec = &self.model.stores[usage.store];
        if usage.lookup.is_some() && !self.connect_store(task, &usage) {
            return false;
        }
        let record = self.tasks[task];
        let numbers = u64::from(usage.bytes.id.0);
        let prefix = record.stream.draw(numbers ^ 0x5e_0000).below(spec.prefixes) as usize;
        if usage.expires.is_some_and(|lasts| self.now > self.signed_at(task) + lasts) {
            return self.expired_url(task, &usage);
        }
        let condition = self.condition(UnitKind::Store, usage.store.0);
        let errs = condition.down || self.stumbles(condition.errors);
        let state = &mut self.stores[usage.store];
        let prefixes = if usage.write { &mut state.puts } else { &mut state.gets };
        let bytes = self.model.draw_bytes(usage.bytes, record.stream);
        let parts = usage.parts_of(bytes);
        let requests = usage.requests(parts);
        let taken = !errs && prefixes[prefix].take(self.now, requests, spec.split_after);
        let meter = &mut self.meters[spec.station];
        meter.add(Counter::Arrivals, u64::from(requests));
        let wait = if taken {
            let first = if usage.write { spec.put } else { spec.get };
            let first = self.model.draw_law(first, record.stream, usage.bytes.id.0 ^ 0x5e_0001);
            let count = if usage.write { Counter::Writes } else { Counter::Reads };
            meter.add(count, u64::from(requests));
            meter.add(Counter::Served, u64::from(requests));
            if !usage.write {
                meter.add(Counter::Bytes, bytes as u64);
            }
            let took = match parts {
                1 => Ok(first + usage.transfer(bytes, 1)),
                _ => self.go_in_parts(task, &usage, (parts, bytes), first, condition.errors),
            };
            let failed = took.as_ref().err().map(|(_, why)| *why);
            let took = condition.stretch(took.unwrap_or_else(|(until_failure, _)| until_failure));
            self.spend(task, spec.station, Part::Service, took);
            if usage.write && failed.is_none() && took <= self.gives_up_after(task, &usage) {
                self.meters[spec.station].add(Counter::Stored, bytes as u64);
            }
            let record = &mut self.tasks[task];
            record.pending = 0;
            match failed {
                Some(Failure::Answered) => forbid(record),
                Some(why) => record.status = why as u8,
                None => record.pc.0 += 1,
            }
            let far = self.way_to(spec.region, task);
            self.travel(task, far);
            let in_pipe = spec.shared.is_some() && failed.is_none();
            if spec.keeps.is_some() && !in_pipe {
                self.free_connections(task, &usage, parts, self.now + took + far);
            }
            if in_pipe {
                return self.enter_pipe(task, &usage, bytes, took + far);
            }
            took + far
        } else {
            let (count, why, backoff) = match errs {
                true => (Counter::Errors, Failure::UpstreamError, AFTER_ERROR),
                false => (Counter::Rejected, Failure::SlowDown, BACKOFF),
            };
            meter.add(count, u64::from(requests));
            let tried = u32::from(record.pending) + 1;
            if tried >= spec.attempts {
                if !errs {
                    meter.count(Counter::Errors);
                }
                let record = &mut self.tasks[task];
                (record.pending, record.status) = (0, why as u8);
                if spec.keeps.is_some() {
                    self.free_connections(task, &usage, parts, self.now);
                }
                Duration::ZERO
            } else {
                self.tasks[task].pending += 1;
                self.meters[spec.station].count(Counter::Retried);
                let unit = record.stream.draw(numbers ^ 0x5e_0002 ^ u64::from(tried) << 32).unit();
                let pause = backoff.delay(tried - 1, Duration::ZERO, unit);
                self.spend(task, spec.station, Part::Wait, pause);
                pause
            }
        };
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Away, self.now);
        self.at_task(self.now + wait, Kind::Resume, task);
        false
    }

    /// When the URL was signed with which a task's object goes: as its request was sent, as far as a user
    /// has sent it.
    fn signed_at(&self, task: u32) -> Time {
        let record = &self.tasks[task];
        match record.role {
            Role::Attempt if record.owner != NONE => self.journeys[record.owner].started,
            _ => self.now,
        }
    }

    /// A request comes with a URL that is no longer good.
    #[cold]
    fn expired_url(&mut self, task: u32, usage: &StoreUse) -> bool {
        let spec = &self.model.stores[usage.store];
        self.count(spec.station, Counter::Arrivals);
        self.count(spec.station, Counter::Expired);
        let far = self.way_to(spec.region, task);
        self.travel(task, far);
        let record = &mut self.tasks[task];
        record.pending = 0;
        forbid(record);
        (record.state, record.since) = (State::Away, self.now);
        self.at_task(self.now + far, Kind::Resume, task);
        false
    }

    /// How long an object takes that goes in parts, or until one of them fails for good.
    fn go_in_parts(
        &mut self,
        task: u32,
        usage: &StoreUse,
        (parts, bytes): (u32, f64),
        first: Duration,
        errors: f64,
    ) -> Result<Duration, (Duration, Failure)> {
        let spec = &self.model.stores[usage.store];
        let law = if usage.write { spec.put } else { spec.get };
        let stream = self.tasks[task].stream;
        let each = bytes / f64::from(parts);
        let transfer = usage.transfer(each, parts);
        let good_until = usage.expires.map(|lasts| self.signed_at(task) + lasts);
        let mut ends = Vec::new();
        let mut lanes =
            vec![if usage.write { first } else { Duration::ZERO }; usage.at_once as usize];
        let mut failed: Option<(Duration, Failure)> = None;
        let sooner = |known: Option<(Duration, Failure)>, at: Duration, why| match known {
            Some((before, _)) if before <= at => known,
            _ => Some((at, why)),
        };
        for part in 0..parts {
            let latency = match (usage.write, part) {
                (false, 0) => first,
                _ => self.model.draw_law(law, stream, usage.bytes.id.0 ^ (0x5e_1000 + part)),
            };
            let lane = (0..lanes.len()).min_by_key(|lane| lanes[*lane]).expect("at least one");
            if good_until.is_some_and(|until| self.now + lanes[lane] > until) {
                self.count(spec.station, Counter::Expired);
                failed = sooner(failed, lanes[lane], Failure::Answered);
                break;
            }
            let key = stream.numbered(u64::from(usage.bytes.id.0)).numbered(u64::from(part));
            let took = self.try_again(usage.store, latency + transfer, key, errors);
            if let Err(until_failure) = took {
                let at = lanes[lane] + until_failure;
                failed = sooner(failed, at, Failure::UpstreamError);
            }
            let arrives = took.is_ok();
            let (Ok(took) | Err(took)) = took;
            lanes[lane] += took;
            if arrives && usage.write && usage.leaves {
                ends.push(lanes[lane]);
            }
        }
        let patience = self.gives_up_after(task, usage);
        if let Some((at, why)) = failed {
            self.leave_parts(usage, &ends, at.min(patience), each);
            return Err((at, why)); // the others go on for nobody
        }
        if lanes.iter().any(|lane| *lane > patience) {
            self.leave_parts(usage, &ends, patience, each);
        }
        let done = lanes.into_iter().max().unwrap_or_default();
        if !usage.write {
            return Ok(done);
        }
        let last = self.model.draw_law(law, stream, usage.bytes.id.0 ^ 0x5e_0fff);
        let key = stream.numbered(u64::from(usage.bytes.id.0)).numbered(u64::from(parts));
        let took = self.try_again(usage.store, last, key, errors);
        took.map(|took| done + took).map_err(|took| (done + took, Failure::UpstreamError))
    }

    /// After what time whoever sends an object by a URL of their own has closed the page.
    fn gives_up_after(&self, task: u32, usage: &StoreUse) -> Duration {
        let record = &self.tasks[task];
        let waits = usage.expires.is_some() && record.role == Role::Attempt && record.owner != NONE;
        let deadline = if waits { self.journeys[record.owner].deadline } else { Time::NEVER };
        Duration(deadline.0.saturating_sub(self.now.0))
    }

    /// An upload is not completed: what has arrived by then stays where it is.
    fn leave_parts(&mut self, usage: &StoreUse, ends: &[Duration], until: Duration, each: f64) {
        let arrived = ends.iter().filter(|end| **end <= until).count();
        let station = self.model.stores[usage.store].station;
        self.meters[station].add(Counter::Left, (arrived as f64 * each) as u64);
    }

    /// How long one request takes with the attempts that it needs; an error comes at once.
    fn try_again(
        &mut self,
        store: StoreId,
        takes: Duration,
        key: StreamKey,
        errors: f64,
    ) -> Result<Duration, Duration> {
        let spec = &self.model.stores[store];
        let mut waited = Duration::ZERO;
        for tried in 1..=spec.attempts {
            if !self.stumbles(errors) {
                return Ok(waited + takes);
            }
            self.count(spec.station, Counter::Errors);
            if tried < spec.attempts {
                self.count(spec.station, Counter::Retried);
                let unit = key.draw(u64::from(tried)).unit();
                waited += AFTER_ERROR.delay(tried - 1, Duration::ZERO, unit);
            }
        }
        Err(waited)
    }

    /// The bytes of an object share the bandwidth of all. The task goes on when they are through and it
    /// has waited for answers besides, and not before it would by itself.
    fn enter_pipe(&mut self, task: u32, usage: &StoreUse, bytes: f64, alone: Duration) -> bool {
        let store = usage.store;
        let all = self.model.stores[store].shared.expect("asked before");
        let now = self.now;
        let moves = usage.moves(bytes);
        let record = &mut self.tasks[task];
        (record.state, record.since, record.deadline) = (State::Away, now, now + alone);
        record.work = Duration(alone.0.saturating_sub(moves.0));
        let pipe = self.stores[store].pipe.as_mut().expect("built with its store");
        pipe.add(now, Duration::from_secs_f64(bytes / all), task);
        self.arm_pipe(store);
        false
    }

    fn arm_pipe(&mut self, store: StoreId) {
        let station = self.model.stores[store].station;
        let state = &mut self.stores[store];
        let pipe = state.pipe.as_ref().expect("built with its store");
        self.meters[station].busy.set(self.now, if pipe.is_empty() { 0 } else { MILLI as u64 });
        if let Some(at) = pipe.next_departure().filter(|at| *at != state.armed) {
            state.armed = at;
            self.at(at, Kind::StoreDepart, store.0);
        }
    }

    /// Objects may be through.
    pub(super) fn store_depart(&mut self, store: StoreId) {
        if self.stores[store].armed != self.now {
            return; // superseded
        }
        self.stores[store].armed = Time::NEVER;
        let station = self.model.stores[store].station;
        while let Some(task) =
            self.stores[store].pipe.as_mut().and_then(|pipe| pipe.depart(self.now))
        {
            let record = &mut self.tasks[task];
            let alone = std::mem::replace(&mut record.deadline, Time::NEVER);
            let done = alone.max(self.now + record.work);
            self.spend(task, station, Part::Wait, done.since(alone));
            if self.model.stores[store].keeps.is_some() {
                self.pipe_connections(task, done);
            }
            self.at_task(done, Kind::Resume, task);
        }
        self.arm_pipe(store);
    }
}
