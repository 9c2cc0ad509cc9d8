//! Rate limiters and guards: what turns requests away before they cost much.

use crate::component::guard::{FailMode, Guard, Unreadable, Verdict};
use crate::component::limiter::{self, FixedWindow, Limiter};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model;
use crate::model::ids::{GuardId, LimitId, StationId};
use crate::model::tape::{DrawId, Op, Pc};
use crate::model::{Per, Watch};
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::{Counter, Part};
use super::task::{NONE, OK, Role, State, flag};
use super::world::World;

/// A guard while it runs: one per worker process, since each has its own memory.
#[derive(Default)]
pub struct GuardState {
    per_worker: Vec<Guard>,
}

/// A rate limiter while it runs: a count per worker process, or one for all.
#[derive(Default)]
pub struct LimitState {
    counts: Vec<Option<Limiter>>,
}

impl LimitState {
    /// How many keys a process keeps.
    pub(super) fn in_process(&self, worker: u32, now: Time) -> u64 {
        let counts = self.counts.get(worker as usize).and_then(Option::as_ref);
        counts.and_then(Limiter::windows).map_or(0, |windows| windows.in_process(now))
    }
    /// The counts that Redis keeps.
    pub(super) fn in_redis(&mut self) -> Option<&mut FixedWindow> {
        self.counts.first_mut()?.as_mut()?.windows_mut()
    }
    /// The store of the counts has come back empty.
    pub(super) fn forget_all(&mut self) {
        self.counts.clear();
    }
}

/// A count that a request may be taken out of again when it is answered.
#[derive(Clone, Copy)]
pub struct Counted {
    /// By which limiter.
    pub limit: LimitId,
    /// In which of its counts.
    pub place: u32,
    /// Under what.
    pub key: u32,
    /// When that window ends.
    pub resets_at: Time,
}

fn new_limiter(spec: &model::Limit, now: Time) -> Limiter {
    let mut limiter = Limiter::new(spec.rule, spec.max, spec.window);
    if let Some(((keeper, _), windows)) = spec.kept.zip(limiter.windows_mut()) {
        windows.keep(keeper, now);
    }
    limiter
}

fn fresh_guard(spec: &model::Guard) -> Guard {
    Guard::new(spec.threshold, spec.cache, spec.on_error).released_below(spec.release)
}

/// What becomes of a request at a gate.
#[derive(Clone, Copy, PartialEq)]
enum Gate {
    Pass,
    Wait { station: StationId, wait: Duration },
    Refuse(Failure),
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A request comes to a limiter or a guard. Says whether it passes; otherwise it has been answered.
    pub fn pass_gate(&mut self, task: u32) -> bool {
        let verdict = match self.op_at(task) {
            Op::Limit { limit, draw } => self.limited(task, limit, draw),
            Op::Guard { guard, draw } => self.guarded(task, guard, draw),
            Op::Deadline => return self.pass_deadline(task),
            Op::Inquire { .. } => return self.inquire(task),
            _ => return self.pass_broken(task),
        };
        match verdict {
            Gate::Refuse(why) => self.fail(task, why),
            Gate::Pass => self.tasks[task].pc.0 += 1,
            Gate::Wait { station, wait } => {
                self.spend(task, station, Part::Wait, wait);
                let record = &mut self.tasks[task];
                (record.state, record.since) = (State::Away, self.now);
                record.pc.0 += 1;
                self.at_task(self.now + wait, Kind::Resume, task);
            }
        }
        verdict == Gate::Pass
    }

    /// Whether a limiter turns the request away, and how.
    fn limited(&mut self, task: u32, limit: LimitId, draw: DrawId) -> Gate {
        let spec = &self.model.limits[limit];
        let record = self.tasks[task];
        self.meters[spec.station].count(Counter::Arrivals);
        if spec.errors > 0.0 && record.stream.draw(u64::from(draw.0)).chance(spec.errors) {
            self.meters[spec.station].count(Counter::Errors);
            return if spec.fail_open { Gate::Pass } else { Gate::Refuse(Failure::GuardError) };
        }
        let place = if spec.per_process { record.worker as usize } else { 0 };
        let key = self.counted(task, limit);
        let state = &mut self.limits[limit];
        if state.counts.len() <= place {
            state.counts.resize_with(place + 1, || None);
        }
        let now = self.now;
        let counts = state.counts[place].get_or_insert_with(|| new_limiter(spec, now));
        let verdict = counts.hit(self.now, key);
        if (spec.skip_failed || spec.skip_successful)
            && let Some(resets_at) = counts.resets_at(key)
        {
            self.hold_count(task, Counted { limit, place: place as u32, key, resets_at });
        }
        match verdict {
            limiter::Verdict::Pass { wait } => {
                self.meters[spec.station].count(Counter::Served);
                if !wait.is_zero() {
                    return Gate::Wait { station: spec.station, wait };
                }
                Gate::Pass
            }
            limiter::Verdict::Reject { retry_after } => {
                self.meters[spec.station].count(Counter::Rejected);
                let retry_after = spec.retry_after.unwrap_or(retry_after);
                self.refuse(task, spec.status, retry_after);
                Gate::Refuse(Failure::Limited)
            }
        }
    }

    /// A request that was counted is being answered: some limits take it back. Whoever is not there
    /// any more to be answered has closed the connection, which counts as a failure.
    pub(super) fn take_count_back(&mut self, task: u32, counted: Counted) {
        let record = &self.tasks[task];
        let spec = &self.model.limits[counted.limit];
        let gone = record.role == Role::Attempt && record.owner == NONE;
        let failed = gone || record.status != OK;
        if if failed { spec.skip_failed } else { spec.skip_successful } {
            let counts = self.limits[counted.limit].counts.get_mut(counted.place as usize);
            if let Some(Some(counts)) = counts {
                counts.take_back(self.now, counted.key, counted.resets_at);
            }
        }
    }

    /// A guard that reads its value may have one that is still good.
    pub fn guard_fresh(&mut self, task: u32, guard: GuardId, known: Pc) {
        let place = self.tasks[task].worker as usize;
        let kept = self.guards[guard].per_worker.get(place);
        let fresh = kept.is_some_and(|guard| guard.cached(self.now).is_some());
        let record = &mut self.tasks[task];
        if fresh {
            record.pc = known;
        } else {
            record.pc.0 += 1;
        }
    }

    /// A guard could not read, or a limiter could not count: the request passes, or fails.
    fn pass_broken(&mut self, task: u32) -> bool {
        let (station, passes) = match self.op_at(task) {
            Op::GuardBroken { guard } => {
                let spec = &self.model.guards[guard];
                (spec.station, spec.on_error == FailMode::Open)
            }
            Op::LimitBroken { limit } => {
                let spec = &self.model.limits[limit];
                (spec.station, spec.fail_open)
            }
            other => unreachable!("{other:?} is not broken"),
        };
        self.meters[station].count(Counter::Arrivals);
        self.meters[station].count(Counter::Errors);
        if passes {
            self.tasks[task].pc.0 += 1;
        } else {
            self.fail(task, Failure::GuardError);
        }
        passes
    }

    /// A process has died with the counts and the values that its gates kept in its memory.
    pub fn forget_gates(&mut self, worker: u32) {
        for (id, spec) in self.model.limits.enumerate() {
            if let Some(window) = self.limits[id].counts.get_mut(worker as usize)
                && spec.per_process
            {
                *window = None;
            }
        }
        for (id, spec) in self.model.guards.enumerate() {
            if let Some(guard) = self.guards[id].per_worker.get_mut(worker as usize) {
                *guard = fresh_guard(spec);
            }
        }
    }

    /// What a limiter counts a request under; those of balancers and the kubelet come from elsewhere
    /// than all users.
    pub fn counted(&self, task: u32, limit: LimitId) -> u32 {
        let record = &self.tasks[task];
        let user = record.user;
        match self.model.limits[limit].per {
            Per::Address | Per::User if record.role == Role::Probe => self.model.users(),
            Per::Address => user % self.model.client.addresses,
            Per::User => user,
            Per::All => 0,
        }
    }

    /// Whether a guard turns the request away, and how.
    fn guarded(&mut self, task: u32, guard: GuardId, draw: DrawId) -> Gate {
        let spec = &self.model.guards[guard];
        let record = self.tasks[task];
        if spec.new_sessions_only && !record.has(flag::NEW_SESSION) {
            return Gate::Pass;
        }
        self.meters[spec.station].count(Counter::Arrivals);
        let place = record.worker as usize;
        let state = &mut self.guards[guard];
        while state.per_worker.len() <= place {
            state.per_worker.push(fresh_guard(spec));
        }
        let verdict = match self.guards[guard].per_worker[place].cached(self.now) {
            Some(verdict) => verdict,
            None => {
                let broken =
                    spec.errors > 0.0 && record.stream.draw(u64::from(draw.0)).chance(spec.errors);
                let read = if broken {
                    self.meters[spec.station].count(Counter::Errors);
                    Err(Unreadable)
                } else {
                    Ok(self.watched(spec.watch, record.worker))
                };
                self.guards[guard].per_worker[place].judge(self.now, read)
            }
        };
        if verdict == Verdict::Pass {
            self.meters[spec.station].count(Counter::Served);
            return Gate::Pass;
        }
        self.meters[spec.station].count(Counter::Rejected);
        self.refuse(task, spec.status, spec.retry_after.unwrap_or(Duration::ZERO));
        Gate::Refuse(if spec.new_sessions_only {
            Failure::SessionGuarded
        } else {
            Failure::Guarded
        })
    }

    /// The value that a guard in this worker process sees.
    fn watched(&mut self, watch: Watch, worker: u32) -> f64 {
        match watch {
            Watch::PoolTotal(pool)
            | Watch::PoolBusy(pool)
            | Watch::PoolWaiting(pool)
            | Watch::PoolDemand(pool) => {
                let first = self.first_sub_pool(pool, worker);
                let subs = first..first + self.sub_pools_per_worker(pool);
                subs.map(|sub| {
                    let state = &self.pools[sub as usize].pool;
                    f64::from(match watch {
                        Watch::PoolTotal(_) => state.total(),
                        Watch::PoolBusy(_) => state.busy(),
                        Watch::PoolDemand(_) => state.busy() + state.waiting(),
                        _ => state.waiting(),
                    })
                })
                .sum()
            }
            Watch::SessionsLive(session) => self.sessions[session].live(self.now) as f64,
            Watch::Lag(_) => match self.workers[worker as usize].ready.front() {
                Some(first) => self.now.since(self.tasks[*first].since).seconds(),
                None => 0.0,
            },
            Watch::InFlight(_) => f64::from(self.workers[worker as usize].open),
        }
    }

    /// A refusal has a status code, and may ask its user to wait: `Retry-After`.
    pub fn refuse(&mut self, task: u32, status: u16, retry_after: Duration) {
        let record = &mut self.tasks[task];
        record.answered = status;
        if record.role == Role::Attempt && record.owner != NONE {
            self.journeys[record.owner].asked = retry_after;
        } else if record.role == Role::Call {
            self.ask_caller(task, retry_after);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::compile::compile;
    use crate::run::{Unwatched, replicate};
    use crate::topology::load;

    /// Mean utilisation of the four nodes that hold a shared limiter's counters, at 2,000 requests/s of
    /// 1 ms each.
    fn utilisation_of_counters(per: &str) -> f64 {
        let text = format!(
            "version = 1\n[run]\nwarmup = '1s'\nduration = '4s'\n[arrivals]\nrate = '2000/s'\n\
             [service.web]\nbefore = ['limit.all']\n\
             [limit.all]\nper = '{per}'\nmax = 1000000\nstore.shared.cache = 'redis'\n\
             [cache.redis]\nnodes = 4\ncommand = '1ms'\n\
             [operation.look]\nshare = 1\nflow = [{{ reply = '1KB' }}]\n"
        );
        let loaded = load("limit.toml", &[], &mut |_| Ok(text.clone()));
        let model = compile(&loaded.topology.expect("sound"));
        let outcome = replicate(&model, 0, &mut Unwatched);
        let redis = model.stations.ids().find(|id| model.stations[*id].path == "cache.redis");
        outcome.stations[redis.expect("there")].utilisation()
    }

    #[test]
    fn counters_spread_over_nodes_by_what_they_count() {
        // 2,000/s x 1 ms = 2 of 4 nodes; a single counter has a single node, which is then full.
        assert!((utilisation_of_counters("user") - 0.5).abs() < 0.03);
        assert!((utilisation_of_counters("address") - 0.5).abs() < 0.03);
        assert!((utilisation_of_counters("all") - 0.25).abs() < 0.001);
    }
}
