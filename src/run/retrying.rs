//! Attempts after a failure: of users, and of services that call others. Each layer has its own rule,
//! and layers multiply.

use crate::component::backoff;
use crate::component::retry_budget::{After, Budget, Sender, Throttle};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::tape::{Op, RetryId};
use crate::model::{Model, Retry};
use crate::stream::{Draws, StreamKey};
use crate::topology::Cause;
use crate::units::{Duration, Time};

use super::event::Kind;
use super::meter::Part;
use super::task::{ATTEMPT, FOLLOWED_AT, Journey, NONE, OK, PAUSED, RELOADED, RELOADS, RETRIED_AT};
use super::world::World;

/// An attempt that has failed.
struct Failed {
    why: Failure,
    /// The status code that it was answered with, where somebody has chosen it; 0 elsewhere.
    answered: u16,
    /// Which attempt it was; 1 is the first.
    attempt: u32,
    /// The last pause.
    previous: Duration,
    /// The `Retry-After` of its answer; zero for none.
    asked: Duration,
    /// What it asked for may be done twice.
    idempotent: bool,
}

impl Failed {
    fn is_throttled(&self) -> bool {
        self.answered == 429 || self.why == Failure::Limited
    }
    /// What a retry is the answer to; `timeout` is how the sender's own shows.
    fn after(&self, timeout: Failure) -> After {
        match self.why {
            why if why == timeout => After::Timeout,
            _ if self.is_throttled() => After::Throttling,
            _ => After::Error,
        }
    }
}

impl Retry {
    /// Whether a process must remember what it has sent.
    fn remembers(&self) -> bool {
        self.budget != Budget::None || self.throttle.is_some()
    }
    fn repeats(&self, failed: &Failed) -> bool {
        let status = if failed.answered != 0 { failed.answered } else { failed.why.status() };
        let is_repeated = self.on.iter().any(|cause| match cause {
            Cause::Timeout => matches!(failed.why, Failure::GaveUp | Failure::UpstreamTimeout),
            Cause::Refused => {
                matches!(failed.why, Failure::Refused | Failure::Unreachable) && status == 0
            }
            Cause::Network => failed.why.is_silence() && status == 0,
            Cause::ServerError => status >= 500,
            Cause::Status(code) => *code == status,
        });
        let may_be = failed.idempotent || !self.spares_effects || status == 0;
        is_repeated && may_be && failed.attempt < self.attempts
    }
    /// The pause before the next attempt; [`None`] if there is none.
    fn pause(&self, failed: &Failed, draws: &mut Draws, given: Option<f64>) -> Option<Duration> {
        if !self.repeats(failed) || !draws.chance(self.share) {
            return None;
        }
        let unit = given.unwrap_or_else(|| draws.unit());
        let rule = self.throttled.filter(|_| failed.is_throttled()).unwrap_or(self.backoff);
        let own = rule.delay(failed.attempt - 1, failed.previous, unit);
        if !self.honour_retry_after {
            return Some(own);
        }
        let jitter = self.retry_after_jitter;
        let asked = backoff::honour_retry_after(own, failed.asked, jitter, draws.unit());
        Some(asked.min(Duration(own.0.saturating_add(self.retry_after_most.0))))
    }
}

impl Journey {
    /// What the attempt with that number followed, if it is a retry.
    fn followed(&self, attempt: u16) -> Option<After> {
        let code = (self.reloads >> RETRIED_AT) & 3;
        (attempt > 1 && code != RELOADED).then(|| After::of(code))
    }
}

/// What sending processes remember: those of users, and those of each call that needs it.
pub struct Senders {
    users: Vec<Sender>,
    calls: Vec<Vec<Sender>>,
}

impl Senders {
    /// Before the first request.
    pub fn new(model: &Model) -> Senders {
        let needed = |rule: &Retry, count: u32| match rule.remembers() {
            true => vec![Sender::default(); count as usize],
            false => Vec::new(),
        };
        let users = model.client.processes.min(model.users());
        let calls = model.retries.iter().map(|call| {
            let caller = &model.services[call.caller];
            needed(&call.rule, caller.slots * caller.workers)
        });
        Senders {
            users: model.client.retry.as_ref().map_or(Vec::new(), |rule| needed(rule, users)),
            calls: calls.collect(),
        }
    }
}

/// Whether a process sends a request, or turns it away itself.
fn sends(
    sender: &mut Sender,
    budget: Budget,
    throttle: Option<Throttle>,
    is_retry: bool,
    stream: StreamKey,
    now: Time,
) -> bool {
    if let Some(throttle) = throttle {
        let rejection = sender.rejection(throttle, now);
        sender.wanted(throttle, now);
        if stream.draw(0x7407_713e).chance(rejection) {
            sender.kept_back(budget, is_retry);
            return false;
        }
    }
    sender.sent();
    true
}

impl<Q: PendingEvents> World<'_, Q> {
    /// What the process that sends a user's requests remembers, if it must.
    fn sender_of_user(&mut self, user: u32) -> Option<(&mut Sender, Budget, Option<Throttle>)> {
        let rule = self.model.client.retry.as_ref().filter(|rule| rule.remembers())?;
        let count = self.senders.users.len() as u32;
        let sender = &mut self.senders.users[(user % count) as usize];
        Some((sender, rule.budget, rule.throttle))
    }

    /// A user's attempt is about to be sent. False: their own process turns it away.
    pub(super) fn send_attempt(&mut self, journey: &Journey, stream: StreamKey) -> bool {
        let (now, user) = (self.now, journey.user);
        let is_retry = journey.followed(journey.attempt + 1).is_some();
        let Some((sender, budget, throttle)) = self.sender_of_user(user) else { return true };
        sends(sender, budget, throttle, is_retry, stream, now)
    }

    /// A user's attempt is over, however it ended.
    pub(super) fn attempt_sent_is_over(&mut self, journey: &Journey, ok: bool) {
        let now = self.now;
        let retried = journey.followed(journey.attempt);
        if let Some((sender, budget, throttle)) = self.sender_of_user(journey.user) {
            sender.over(budget, retried, ok);
            if let Some(throttle) = throttle.filter(|_| ok) {
                sender.accepted(throttle, now);
            }
        }
    }

    /// How long a user waits before another attempt; [`None`] if there is none.
    pub(super) fn pause_before_retry(
        &mut self,
        slot: u32,
        status: u8,
        answered: u16,
    ) -> Option<Duration> {
        let rule = self.model.client.retry.as_ref()?;
        let journey = &self.journeys[slot];
        let attempt = u32::from(journey.attempt);
        let stream = journey.stream.numbered(u64::from(attempt));
        let given = rule.given.as_ref().map(|given| {
            let place = journey.ordinal * rule.attempts.saturating_sub(1) + attempt - 1;
            given.get(place as usize).copied().unwrap_or(0.0)
        });
        let failed = Failed {
            why: Failure::ALL[status as usize],
            answered,
            attempt,
            previous: journey.pause,
            asked: journey.asked,
            idempotent: self.model.operations[journey.operation].idempotent,
        };
        let pause = rule.pause(&failed, &mut stream.draw(0x2e72), given)?;
        if rule.shares_timeout
            && let Some(deadline) = self.first_deadline(journey)
            && self.now + pause >= deadline
        {
            return None; // nothing would be left of the timeout
        }
        let (after, user) = (failed.after(Failure::GaveUp), journey.user);
        let (sender, budget, _) = match self.sender_of_user(user) {
            Some(sender) => sender,
            None => return Some(pause),
        };
        let allowed = sender.may_retry(budget, after);
        let reloads = &mut self.journeys[slot].reloads;
        *reloads = *reloads & !(3 << RETRIED_AT) | (after as u8) << RETRIED_AT;
        allowed.then_some(pause)
    }

    /// When the patience of a user ends that all attempts share.
    pub(super) fn first_deadline(&self, journey: &Journey) -> Option<Time> {
        let law = self.model.client.patience?;
        let patience = self.model.draw_law(law, journey.stream.numbered(1), 0x9a71);
        Some(journey.intended + patience)
    }

    /// Whether all users wait equally long for each attempt, so that they give up in the order in which
    /// they have sent.
    pub(super) fn patience_is_equal(&self) -> bool {
        let client = &self.model.client;
        let shared = client.retry.as_ref().is_some_and(|retry| retry.shares_timeout);
        !shared && client.patience.is_some_and(|law| self.model.laws[law].constant.is_some())
    }

    /// A user of those who would reload is given the clock of their impatience.
    pub(super) fn arm_reload(&mut self, journey: u32) {
        let Some(reload) = self.model.client.reload else { return };
        let record = self.journeys[journey];
        if record.reloads & RELOADS < reload.times && self.would_reload(&record) {
            let at = self.now + reload.after;
            self.events.push(Event::new(at, Kind::Patience as u8, record.ordinal, journey));
        }
    }

    fn would_reload(&self, journey: &Journey) -> bool {
        let share = self.model.client.reload.map_or(0.0, |reload| reload.share);
        journey.stream.numbered(u64::from(journey.attempt)).draw(0x002e_10ad).chance(share)
    }

    /// A user may be about to load the page anew.
    pub(super) fn reload_due(&mut self, slot: u32) {
        let Some(reload) = self.model.client.reload else { return };
        let record = *self.journeys.peek(slot);
        let waits =
            record.attempt > 0 && record.task != NONE && record.reloads & RELOADS < reload.times;
        if !waits || record.started + reload.after != self.now || !self.would_reload(&record) {
            return;
        }
        // No retry: no budget has been asked.
        self.journeys[slot].reloads = (record.reloads | RELOADED << RETRIED_AT) + 1;
        self.abandon_attempt(slot);
        self.attempt_sent_is_over(&record, false);
        self.observer.attempt_over(Failure::GaveUp as u8, self.now.since(record.started));
        self.disarm_patience(slot);
        self.begin_attempt(slot);
    }

    /// What follows the failure of the call that a task stands behind.
    fn call_rule(&self, task: u32) -> RetryId {
        let call = self.tasks[task].pc.0 - 1;
        match self.model.tape[call as usize] {
            Op::Call { retry, .. } => retry,
            other => unreachable!("{other:?} is not called"),
        }
    }

    /// What the process of a calling task remembers of these calls, if it must.
    fn sender_of_call(
        &mut self,
        task: u32,
        rule: RetryId,
    ) -> Option<(&mut Sender, Budget, Option<Throttle>)> {
        let call = self.model.retries.get(usize::from(rule.0))?;
        let worker = self.tasks[task].worker;
        let service = &self.services[self.service_of_worker(worker)];
        let first = self.instances[service.first_instance as usize].first_worker;
        let senders = &mut self.senders.calls[usize::from(rule.0)];
        let sender = senders.get_mut((worker - first) as usize)?;
        Some((sender, call.rule.budget, call.rule.throttle))
    }

    /// A process has died with what it remembered of its calls.
    pub(super) fn forget_calls(&mut self, worker: u32) {
        let service = self.service_of_worker(worker);
        let first = self.instances[self.services[service].first_instance as usize].first_worker;
        for (call, senders) in self.model.retries.iter().zip(&mut self.senders.calls) {
            if call.caller == service
                && let Some(sender) = senders.get_mut((worker - first) as usize)
            {
                *sender = Sender::default();
            }
        }
    }

    /// A call is about to be sent. False: the caller's own process turns it away.
    pub(super) fn send_call(&mut self, task: u32, attempt: u16, stream: StreamKey) -> bool {
        let (now, rule) = (self.now, self.call_rule(task));
        let Some((sender, budget, throttle)) = self.sender_of_call(task, rule) else { return true };
        sends(sender, budget, throttle, attempt > 1, stream, now)
    }

    /// A call is over, well or badly. True: the caller pauses before another.
    pub(super) fn call_over(&mut self, task: u32, why: Option<Failure>, answered: u16) -> bool {
        let (now, id) = (self.now, self.call_rule(task));
        let Some(call) = self.model.retries.get(usize::from(id.0)) else { return false };
        let record = self.tasks[task];
        let attempt = u32::from(record.pending & ATTEMPT);
        let retried = (attempt > 1).then(|| After::of((record.pending >> FOLLOWED_AT) as u8 & 3));
        self.tasks[task].pending &= ATTEMPT;
        if let Some((sender, budget, throttle)) = self.sender_of_call(task, id) {
            sender.over(budget, retried, why.is_none());
            if let Some(throttle) = throttle.filter(|_| why.is_none()) {
                sender.accepted(throttle, now);
            }
        }
        let asked = Duration::secs(u64::from(std::mem::take(&mut self.tasks[task].answered)));
        let Some(why) = why else { return false };
        let rule = &call.rule;
        let previous = if rule.shares_timeout { Duration::ZERO } else { record.work };
        let idempotent = self.call_may_be_repeated(task);
        let failed = Failed { why, answered, attempt, previous, asked, idempotent };
        let stream = record.stream.numbered(u64::from(attempt));
        let draws = &mut stream.draw(0x2e72 ^ u64::from(record.pc.0) << 16);
        let Some(pause) = rule.pause(&failed, draws, None) else { return false };
        // All attempts share a timeout: its end is kept where other rules keep the last pause.
        if rule.shares_timeout
            && record.work != Duration::ZERO
            && now + pause >= Time(record.work.0)
        {
            return false;
        }
        let after = failed.after(Failure::UpstreamTimeout);
        let allowed = match self.sender_of_call(task, id) {
            Some((sender, budget, _)) => sender.may_retry(budget, after),
            None => true,
        };
        if allowed {
            self.tasks[task].pending |= (after as u16) << FOLLOWED_AT;
            self.pause_call(task, pause, rule.shares_timeout);
        }
        allowed
    }

    fn pause_call(&mut self, task: u32, pause: Duration, shares_timeout: bool) {
        let at = self.now + pause;
        let record = &mut self.tasks[task];
        record.pending |= PAUSED;
        record.deadline = at;
        if !shares_timeout {
            record.work = pause;
        }
        let station = self.station_of_worker(self.tasks[task].worker);
        self.spend(task, station, Part::Wait, pause);
        self.at_task(at, Kind::CallTimeout, task);
    }

    /// A refusal asks the caller to wait: whole seconds, as `Retry-After` has them.
    pub(super) fn ask_caller(&mut self, call: u32, retry_after: Duration) {
        let record = self.tasks[call];
        if self.awaits(record.owner, record.owner_epoch)
            && self.call_rule(record.owner) != RetryId::NEVER
        {
            let seconds = retry_after.0.div_ceil(Duration::secs(1).0);
            self.tasks[record.owner].answered = seconds.min(u64::from(u16::MAX)) as u16;
        }
    }

    /// The status of an attempt that its own process turned away.
    pub(super) fn throttled_at_home(&mut self, journey: u32) {
        self.journeys[journey].task = NONE;
        if let Some(pause) = self.pause_before_retry(journey, Failure::Throttled as u8, 0) {
            return self.pause_journey(journey, pause);
        }
        self.observer.attempt_over(Failure::Throttled as u8, Duration::ZERO);
        self.end_journey(journey, Failure::Throttled as u8, 0);
        debug_assert_ne!(Failure::Throttled as u8, OK);
    }
}
