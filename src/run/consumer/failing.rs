//! Handlers that end with an error.
//!
//! A member of kafkajs commits what came before the message and throws the error to its runner, which
//! fetches again from that message on after a pause: 300 ms, then twice as long each time (kafkajs 2.2.4,
//! retry/index.js). The runner counts errors since it last joined, not in a row, and gives up at the
//! sixth: the consumer leaves the group and starts anew (consumer/index.js, onCrash), and a message that
//! can never be handled holds up its partition for ever. Spring's listener container seeks back to the
//! message, and puts it aside when it has failed ten times (DefaultErrorHandler). It keeps in memory how often the
//! last message of each partition has failed that did (FailedRecordTracker): a process that is new to it begins at
//! one, one that was out and comes back goes on, and what is handled again without an error does not count. A message
//! of a stream of Redis that is not acknowledged stays pending until somebody claims it. A channel's
//! subscriber has lost it.

use super::super::meter::Counter;
use super::super::stream::{handling_key, purpose};
use super::super::world::World;
use super::{Entry, GroupState, Handler, HandlerState, Log};
use crate::kernel::PendingEvents;
use crate::model::Rules;
use crate::model::ids::ConsumerId;
use crate::stream::StreamKey;
use crate::units::Duration;

/// Random numbers: whether a handling fails, whether a message always does, how long a pause is.
const FAILS: u64 = 0xfa11;
const POISON: u64 = 0xdead;
const PAUSE: u64 = 0x9a5e;
/// The longest pause of kafkajs (retry/defaults.js, maxRetryTime), and its spread (factor).
const LONGEST: Duration = Duration::secs(30);
const SPREAD: f64 = 0.2;

/// How often a member has seen a message of a partition fail.
pub(super) struct Failures {
    member: u32,
    message: StreamKey,
    times: u32,
}

impl Log {
    /// A message has failed once more with a member. Says whether that is more than so many times again.
    fn gives_up(&mut self, member: u32, message: StreamKey, retries: u32) -> bool {
        let place = self.failures.iter().position(|it| it.member == member);
        let place = place.unwrap_or_else(|| {
            self.failures.push(Failures { member, message, times: 0 });
            self.failures.len() - 1
        });
        let known = &mut self.failures[place];
        if known.message != message {
            (known.message, known.times) = (message, 0);
        }
        known.times += 1;
        let over = known.times > retries;
        if over {
            self.failures.swap_remove(place);
        }
        over
    }
}

impl GroupState {
    /// A process has ended, and what it remembers with it.
    pub(super) fn forget_failures(&mut self, member: u32) {
        self.logs.iter_mut().for_each(|log| log.failures.retain(|it| it.member != member));
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Whether the handling of a message that has just ended was an error.
    pub(super) fn fails(&self, id: ConsumerId, entry: &Entry) -> bool {
        let spec = &self.model.consumers[id];
        let (now_and_then, always) = spec.fails;
        let number = u64::from(spec.draw);
        let poisoned = || entry.key.numbered(POISON).draw(number).unit() < always;
        let fails = || handling_key(entry).numbered(FAILS).draw(number).unit() < now_and_then;
        (always > 0.0 && poisoned()) || (now_and_then > 0.0 && fails())
    }

    /// What becomes of a message whose handler has ended with an error.
    pub(super) fn handler_failed(&mut self, handler: &Handler) {
        let Handler { group: id, member, log, .. } = *handler;
        match &self.model.consumers[id].rules {
            Rules::Kafka(_) => self.fetch_again(id, log, member),
            Rules::Kinesis(_) => self.batch_is_skipped(id, log),
            Rules::RedisStream(_) => {
                let pending = Handler { state: HandlerState::Orphan, ..*handler };
                self.streams.handlers.insert(pending);
                self.hand_out(id);
            }
            Rules::RedisPubSub(_) => self.subscriber_goes_on(id, member),
        }
    }

    /// What came before the message is committed; from it on the partition is fetched again, unless it
    /// is put aside.
    fn fetch_again(&mut self, id: ConsumerId, log: u32, member: u32) {
        let spec = &self.model.consumers[id];
        let Rules::Kafka(rules) = &spec.rules else { return };
        let now = self.now;
        let group = &mut self.streams.groups[id];
        let its = &mut group.logs[log as usize];
        its.entries.drain(..its.taken - 1);
        (its.taken, its.busy, its.batch) = (0, false, 0);
        let failed = its.entries[0].key;
        if rules.own_thread && its.gives_up(member, failed, rules.retries) {
            its.entries.pop_front();
            self.count(spec.station, Counter::Rejected);
        } else {
            let failed = &mut its.entries[0];
            (failed.since, failed.deliveries) = (now, failed.deliveries.wrapping_add(1));
            self.count(spec.station, Counter::Retried);
            self.meters[spec.station].enter(now);
        }
        if self.streams.groups[id].members[member as usize].joins {
            return self.join_when_idle(id, member);
        }
        let pause = match rules.own_thread {
            true => rules.retry_delay,
            false => self.next_pause(id, member, rules.retry_delay),
        };
        let who = &mut self.streams.groups[id].members[member as usize];
        if !rules.own_thread && who.failed > rules.retries {
            who.failed = 0;
            self.restart_consumer(id, member);
        }
        if pause.is_zero() {
            return self.member_goes_on(spec.first_member + member);
        }
        let who = &mut self.streams.groups[id].members[member as usize];
        who.resumes = now + pause;
        let epoch = who.epoch % purpose::NUMBERS;
        self.time_stream(now + pause, purpose::BACK, epoch, spec.first_member + member);
    }

    /// One more error of a member of kafkajs, and how long it pauses for it.
    fn next_pause(&mut self, id: ConsumerId, member: u32, first: Duration) -> Duration {
        let number = self.streams.next_number();
        let name = &self.model.consumers[id].name;
        let mut draws =
            self.key.named("consumer").named(name).numbered(PAUSE).draw(u64::from(number));
        let mut around = |length: Duration| length.scale(1.0 + SPREAD * (2.0 * draws.unit() - 1.0));
        let who = &mut self.streams.groups[id].members[member as usize];
        let pause = if who.failed == 0 { around(first) } else { who.pause };
        who.pause = around(pause).scale(2.0).min(LONGEST);
        who.failed += 1;
        pause
    }

    /// A consumer of kafkajs leaves its group, to start anew after its pause.
    fn restart_consumer(&mut self, id: ConsumerId, member: u32) {
        let group = &mut self.streams.groups[id];
        if !group.coordinator.has(member) {
            return;
        }
        let begins = group.coordinator.leave(member);
        self.count(self.model.consumers[id].station, Counter::Closed);
        self.lose_membership(id, member);
        match begins {
            true => self.rebalance_begins(id),
            false => self.rebalance_may_end(id),
        }
    }

    /// A member's pause is over: it joins the group again, or a rebalance, or takes messages.
    pub(in crate::run) fn member_goes_on(&mut self, number: u32) {
        let (id, member) = self.member_place(number);
        if !matches!(self.model.consumers[id].rules, Rules::Kafka(_)) {
            return;
        }
        let now = self.now;
        let group = &mut self.streams.groups[id];
        let who = &mut group.members[member as usize];
        if who.down || who.returns || now < who.resumes {
            return;
        }
        if !group.coordinator.has(member) {
            return self.evicted_is_done(id, member);
        }
        if group.coordinator.is_rebalancing() && !group.coordinator.has_joined(member) {
            who.joins = true;
            return self.join_when_idle(id, member);
        }
        self.work_at_any(id, member);
    }
}
