//! The circuit breaker of opossum 10.0.0 (lib/circuit.js, lib/status.js; 9 behaves alike).

use super::{Ended, Rejected, State};
use crate::units::{Duration, Time};

/// Options of `new CircuitBreaker(action, options)`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OpossumConfig {
    /// `errorThresholdPercentage`: it opens when failures over fires are *more* than this (0 to 1).
    pub threshold: f64,
    /// `volumeThreshold`: not before so many fires in the window.
    pub volume: u32,
    /// `resetTimeout`: how long it stays open.
    pub reset: Duration,
    /// `rollingCountTimeout`: the window that is counted over.
    pub window: Duration,
    /// `rollingCountBuckets`: steps of the window.
    pub buckets: u32,
    /// `capacity`: calls at once; those beyond are rejected, and count as failures.
    pub capacity: u32,
}

/// What is counted in one step of the window.
#[derive(Clone, Copy, Default)]
struct Bucket {
    fires: u32,
    failures: u32,
}

/// The breaker of one process.
///
/// # Model
/// - `fires` counts calls when they start, those rejected while open included, and `failures` those
///   that have failed so far: calls in flight and rejections dilute the rate.
/// - The rate is looked at when a call fails, not when it starts or succeeds.
/// - When the reset timeout has passed, the next call is let through and all others are rejected until
///   something ends: *any* success, also of an old call, closes it; any failure opens it again.
/// - Closing clears no statistics: they age out of the window, whose steps follow the clock of the
///   process, so that it covers between `buckets - 1` and `buckets` steps.
pub struct Opossum {
    config: OpossumConfig,
    state: State,
    /// Half-open, and the trial call has not begun.
    pending_close: bool,
    opened: Time,
    in_flight: u32,
    ring: Vec<Bucket>,
    started: Time,
    /// The step that the ring stands at.
    step: u64,
}

impl Opossum {
    /// A closed breaker; its window's steps begin at `now`.
    pub fn new(config: OpossumConfig, now: Time) -> Opossum {
        Opossum {
            config,
            state: State::Closed,
            pending_close: false,
            opened: Time::ZERO,
            in_flight: 0,
            ring: vec![Bucket::default(); config.buckets.max(1) as usize],
            started: now,
            step: 0,
        }
    }

    /// What it does at `now`.
    pub fn state(&self, now: Time) -> State {
        let waited = self.state == State::Open && now >= self.opened + self.config.reset;
        if waited { State::HalfOpen } else { self.state }
    }

    /// `fire`: counted at once, rejected while open.
    pub fn begin(&mut self, now: Time) -> Result<(), Rejected> {
        self.let_timer_fire(now);
        self.bucket(now).fires += 1;
        if self.state != State::Closed && !self.pending_close {
            return Err(Rejected::Open);
        }
        self.pending_close = false;
        if self.in_flight >= self.config.capacity {
            self.fail(now);
            return Err(Rejected::Full);
        }
        self.in_flight += 1;
        Ok(())
    }

    /// A call that was let through has ended; one that ran into its timeout has failed, and is not
    /// heard of again.
    pub fn end(&mut self, now: Time, ended: Ended) {
        self.let_timer_fire(now);
        self.in_flight -= 1;
        match ended {
            Ended::Failure => self.fail(now),
            Ended::Success if self.state == State::HalfOpen => {
                (self.state, self.pending_close) = (State::Closed, false);
            }
            Ended::Success => {}
        }
    }

    fn let_timer_fire(&mut self, now: Time) {
        if self.state == State::Open && self.state(now) == State::HalfOpen {
            (self.state, self.pending_close) = (State::HalfOpen, true);
        }
    }

    fn fail(&mut self, now: Time) {
        self.bucket(now).failures += 1;
        let fires: u32 = self.ring.iter().map(|bucket| bucket.fires).sum();
        let failures: u32 = self.ring.iter().map(|bucket| bucket.failures).sum();
        let half_open = self.state == State::HalfOpen;
        if fires < self.config.volume && !half_open {
            return;
        }
        let rate = f64::from(failures) / f64::from(fires);
        if (rate > self.config.threshold || half_open) && self.state != State::Open {
            (self.state, self.pending_close) = (State::Open, false);
            self.opened = now;
        }
    }

    /// Whole milliseconds (status.js, `Math.floor`), of which a timer of Node has at least one.
    fn step_length(&self) -> u64 {
        let millisecond = Duration::millis(1).0;
        let length = self.config.window.0 / self.ring.len() as u64;
        (length / millisecond).max(1) * millisecond
    }

    /// The present step of the window, those that have passed emptied.
    fn bucket(&mut self, now: Time) -> &mut Bucket {
        let steps = self.ring.len() as u64;
        let length = self.step_length();
        let step = now.since(self.started).0 / length;
        for passed in 0..(step - self.step).min(steps) {
            self.ring[((step - passed) % steps) as usize] = Bucket::default();
        }
        self.step = step;
        &mut self.ring[(step % steps) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: OpossumConfig = OpossumConfig {
        threshold: 0.5,
        volume: 0,
        reset: Duration::secs(30),
        window: Duration::secs(10),
        buckets: 10,
        capacity: u32::MAX,
    };

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    fn call(breaker: &mut Opossum, millis: u64, ended: Ended) {
        breaker.begin(at(millis)).expect("closed");
        breaker.end(at(millis), ended);
    }

    #[test]
    fn a_first_failure_opens_it() {
        let mut breaker = Opossum::new(CONFIG, Time::ZERO);
        call(&mut breaker, 0, Ended::Failure);
        assert_eq!(breaker.state(at(0)), State::Open);
        let mut patient = Opossum::new(OpossumConfig { volume: 5, ..CONFIG }, Time::ZERO);
        (0..4).for_each(|_| call(&mut patient, 0, Ended::Failure));
        assert_eq!(patient.state(at(0)), State::Closed);
        call(&mut patient, 0, Ended::Failure);
        assert_eq!(patient.state(at(0)), State::Open);
    }

    #[test]
    fn more_than_half_must_fail() {
        let mut breaker = Opossum::new(CONFIG, Time::ZERO);
        call(&mut breaker, 0, Ended::Success);
        call(&mut breaker, 0, Ended::Failure);
        assert_eq!(breaker.state(at(0)), State::Closed, "half is not more than half");
        call(&mut breaker, 0, Ended::Failure);
        assert_eq!(breaker.state(at(0)), State::Open);
    }

    #[test]
    fn t41_calls_in_flight_dilute_the_rate() {
        let mut breaker = Opossum::new(CONFIG, Time::ZERO);
        (0..10).for_each(|_| breaker.begin(at(0)).expect("closed"));
        // Five of ten have failed while all others are still under way: not more than half.
        (0..5).for_each(|_| breaker.end(at(100), Ended::Failure));
        assert_eq!(breaker.state(at(100)), State::Closed);
        breaker.end(at(100), Ended::Failure);
        assert_eq!(breaker.state(at(100)), State::Open);
    }

    #[test]
    fn t41_rejections_for_lack_of_capacity_are_failures() {
        let mut breaker = Opossum::new(OpossumConfig { capacity: 2, ..CONFIG }, Time::ZERO);
        let begun: Vec<_> = (0..5).map(|_| breaker.begin(at(0))).collect();
        let full = Err(Rejected::Full);
        assert_eq!(begun, [Ok(()), Ok(()), full, full, full], "3 of 5 have failed");
        assert_eq!(breaker.begin(at(0)), Err(Rejected::Open));
    }

    #[test]
    fn one_trial_call_after_the_reset_timeout() {
        let mut breaker = Opossum::new(CONFIG, Time::ZERO);
        call(&mut breaker, 0, Ended::Failure);
        assert_eq!(breaker.begin(at(29_999)), Err(Rejected::Open));
        assert_eq!(breaker.begin(at(30_000)), Ok(()));
        assert_eq!(breaker.begin(at(30_001)), Err(Rejected::Open), "a single one");
        breaker.end(at(31_000), Ended::Failure);
        assert_eq!(breaker.begin(at(60_999)), Err(Rejected::Open));
        assert_eq!(breaker.begin(at(61_000)), Ok(()));
        breaker.end(at(61_000), Ended::Success);
        assert_eq!(breaker.state(at(61_000)), State::Closed);
    }

    #[test]
    fn t41_late_results_flip_a_half_open_breaker() {
        let mut breaker = Opossum::new(CONFIG, Time::ZERO);
        breaker.begin(at(0)).expect("closed");
        breaker.begin(at(0)).expect("closed");
        call(&mut breaker, 0, Ended::Failure);
        call(&mut breaker, 0, Ended::Failure);
        call(&mut breaker, 0, Ended::Failure);
        assert_eq!(breaker.state(at(0)), State::Open, "3 of 5");
        breaker.begin(at(30_000)).expect("the trial");
        breaker.end(at(30_100), Ended::Success);
        assert_eq!(breaker.state(at(30_100)), State::Closed, "by a call made before it opened");
    }

    #[test]
    fn the_window_moves_by_steps() {
        let mut breaker = Opossum::new(CONFIG, Time::ZERO);
        (0..8).for_each(|_| call(&mut breaker, 900, Ended::Success));
        (0..8).for_each(|_| call(&mut breaker, 9_900, Ended::Failure));
        assert_eq!(breaker.state(at(9_900)), State::Closed, "8 of 16");
        // The step of the successes leaves the window at 10 s.
        call(&mut breaker, 10_000, Ended::Failure);
        assert_eq!(breaker.state(at(10_000)), State::Open, "9 of 9");
    }
}
