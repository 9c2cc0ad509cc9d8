//! The circuit breaker of resilience4j 2.3 (CircuitBreakerStateMachine, CircuitBreakerMetrics,
//! FixedSizeSlidingWindowMetrics), with the count-based window.

use super::{Ended, Rejected, State};
use crate::units::{Duration, Time};

/// `CircuitBreakerConfig`, and the semaphore bulkhead that usually stands around the same call.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Resilience4jConfig {
    /// `failureRateThreshold`: it opens when the share of failed calls is at least this (0 to 1).
    pub threshold: f64,
    /// `slowCallRateThreshold`: and when that of slow ones is at least this (0 to 1).
    pub slow_threshold: f64,
    /// `slowCallDurationThreshold`: a call is slow from more than this on.
    pub slow: Duration,
    /// `slidingWindowSize`: the last so many calls are counted.
    pub window: u32,
    /// `minimumNumberOfCalls`: not before so many.
    pub volume: u32,
    /// `waitDurationInOpenState`: how long it stays open.
    pub reset: Duration,
    /// `permittedNumberOfCallsInHalfOpenState`: trial calls, judged together.
    pub trials: u32,
    /// `automaticTransitionFromOpenToHalfOpenEnabled`: a timer half-opens it, not the next call.
    pub half_opens_itself: bool,
    /// `maxWaitDurationInHalfOpenState`: half-open for so long, it opens again; [`None`]: never (0).
    pub most_half_open: Option<Duration>,
}

/// The last results of a state, in a ring.
struct Window {
    size: usize,
    minimum: u32,
    /// (failed, slow).
    results: Vec<(bool, bool)>,
    next: usize,
    failed: u32,
    slow: u32,
}

impl Window {
    fn new(size: u32, minimum: u32) -> Window {
        let size = size.max(1) as usize;
        Window { size, minimum, results: Vec::with_capacity(size), next: 0, failed: 0, slow: 0 }
    }
    /// Records a result; says whether a threshold is reached, once there are enough of them.
    fn record(&mut self, failed: bool, slow: bool, config: &Resilience4jConfig) -> Option<bool> {
        if self.results.len() < self.size {
            self.results.push((failed, slow));
        } else {
            let (old_failed, old_slow) =
                std::mem::replace(&mut self.results[self.next], (failed, slow));
            self.failed -= u32::from(old_failed);
            self.slow -= u32::from(old_slow);
        }
        self.next = (self.next + 1) % self.size;
        self.failed += u32::from(failed);
        self.slow += u32::from(slow);
        let count = self.results.len() as u32;
        let share = |part: u32| f64::from(part) / f64::from(count);
        (count >= self.minimum).then(|| {
            share(self.failed) >= config.threshold || share(self.slow) >= config.slow_threshold
        })
    }
}

/// The breaker of one process.
///
/// # Model
/// - Each state has a window of its own. A result counts in the state that is current when it comes,
///   not in the one that let the call through: late failures count against the trial.
/// - No timer half-opens it, unless it is told so: the first call after the wait does.
/// - Timers are looked at when somebody calls or a call ends: nobody sees the state in between.
/// - Half-open, `trials` calls are let through, and it closes or opens when so many results are there.
pub struct Resilience4j {
    config: Resilience4jConfig,
    state: State,
    window: Window,
    /// Trial calls that may still be let through.
    trials_left: u32,
    /// Since when it is open or half-open.
    since: Time,
    openings: u32,
}

impl Resilience4j {
    /// A closed breaker.
    pub fn new(config: Resilience4jConfig) -> Resilience4j {
        let window = Window::new(config.window, config.volume.min(config.window));
        Resilience4j {
            config,
            state: State::Closed,
            window,
            trials_left: 0,
            since: Time::ZERO,
            openings: 0,
        }
    }

    /// What it does at present.
    pub fn state(&self) -> State {
        self.state
    }

    /// How often it has opened.
    pub fn openings(&self) -> u32 {
        self.openings
    }

    fn open(&mut self, at: Time) {
        (self.state, self.since) = (State::Open, at);
        self.window = Window::new(self.config.window, u32::MAX);
        self.openings += 1;
    }
    fn half_open(&mut self, at: Time) {
        (self.state, self.since) = (State::HalfOpen, at);
        self.window = Window::new(self.config.trials, self.config.trials);
        self.trials_left = self.config.trials;
    }

    /// Timers that have fired until `now`.
    fn catch_up(&mut self, now: Time) {
        loop {
            let due = match (self.state, self.config.most_half_open) {
                (State::Open, _) if self.config.half_opens_itself => self.since + self.config.reset,
                (State::HalfOpen, Some(most)) => self.since + most,
                _ => return,
            };
            if due > now {
                return;
            }
            if self.state == State::Open { self.half_open(due) } else { self.open(due) }
        }
    }

    /// `tryAcquirePermission`.
    pub fn begin(&mut self, now: Time) -> Result<(), Rejected> {
        self.catch_up(now);
        if self.state == State::Open && now > self.since + self.config.reset {
            self.half_open(now);
        }
        match self.state {
            State::Closed => Ok(()),
            State::Open => Err(Rejected::Open),
            State::HalfOpen if self.trials_left == 0 => Err(Rejected::Open),
            State::HalfOpen => {
                self.trials_left -= 1;
                Ok(())
            }
        }
    }

    /// `onSuccess`, `onError`.
    pub fn end(&mut self, now: Time, ended: Ended, took: Duration) {
        self.catch_up(now);
        let (failed, slow) = (ended == Ended::Failure, took > self.config.slow);
        let reached = self.window.record(failed, slow, &self.config);
        match (self.state, reached) {
            (State::Closed | State::HalfOpen, Some(true)) => self.open(now),
            (State::HalfOpen, Some(false)) => {
                let openings = self.openings;
                *self = Resilience4j { openings, ..Resilience4j::new(self.config) };
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Resilience4jConfig = Resilience4jConfig {
        threshold: 0.5,
        slow_threshold: 1.0,
        slow: Duration::secs(60),
        window: 100,
        volume: 100,
        reset: Duration::secs(60),
        trials: 10,
        half_opens_itself: false,
        most_half_open: None,
    };
    const QUICK: Duration = Duration::millis(1);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    fn calls(breaker: &mut Resilience4j, millis: u64, ended: Ended, times: u32) {
        for _ in 0..times {
            breaker.begin(at(millis)).expect("let through");
            breaker.end(at(millis), ended, QUICK);
        }
    }

    #[test]
    fn half_of_a_hundred_opens_it_and_ninety_nine_calls_do_not() {
        let mut breaker = Resilience4j::new(CONFIG);
        calls(&mut breaker, 0, Ended::Failure, 99);
        assert_eq!(breaker.state(), State::Closed);
        let mut breaker = Resilience4j::new(CONFIG);
        calls(&mut breaker, 0, Ended::Failure, 49);
        calls(&mut breaker, 0, Ended::Success, 51);
        assert_eq!(breaker.state(), State::Closed);
        // The oldest, a failure, leaves the window as a failure comes: still 49 of 100.
        calls(&mut breaker, 0, Ended::Failure, 1);
        assert_eq!(breaker.state(), State::Closed);
        let mut breaker = Resilience4j::new(CONFIG);
        calls(&mut breaker, 0, Ended::Success, 50);
        calls(&mut breaker, 0, Ended::Failure, 50);
        assert_eq!(breaker.state(), State::Open, "at least half");
    }

    #[test]
    fn slow_calls_open_it_too() {
        let mut breaker = Resilience4j::new(Resilience4jConfig { volume: 3, ..CONFIG });
        for _ in 0..3 {
            breaker.begin(at(0)).expect("closed");
            breaker.end(at(61_000), Ended::Success, Duration::secs(61));
        }
        assert_eq!(breaker.state(), State::Open);
    }

    #[test]
    fn ten_trials_are_judged_together() {
        let config = Resilience4jConfig { volume: 1, ..CONFIG };
        let mut breaker = Resilience4j::new(config);
        calls(&mut breaker, 0, Ended::Failure, 1);
        assert_eq!(breaker.begin(at(60_000)), Err(Rejected::Open), "not yet after it");
        for _ in 0..10 {
            assert_eq!(breaker.begin(at(60_001)), Ok(()));
        }
        assert_eq!(breaker.begin(at(60_001)), Err(Rejected::Open), "an eleventh");
        (0..4).for_each(|_| breaker.end(at(60_100), Ended::Failure, QUICK));
        (0..5).for_each(|_| breaker.end(at(60_100), Ended::Success, QUICK));
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.end(at(60_100), Ended::Success, QUICK);
        assert_eq!(breaker.state(), State::Closed, "4 of 10");
    }

    /// A trial call hangs: without a bound everybody else is rejected for ever.
    #[test]
    fn a_trial_that_hangs_is_waited_for_no_longer_than_said() {
        let bounded = Some(Duration::secs(5));
        for (most_half_open, later) in [(None, Err(Rejected::Open)), (bounded, Ok(()))] {
            let config = Resilience4jConfig { volume: 1, trials: 1, most_half_open, ..CONFIG };
            let mut breaker = Resilience4j::new(config);
            calls(&mut breaker, 0, Ended::Failure, 1);
            assert_eq!(breaker.begin(at(61_000)), Ok(()), "the trial, which hangs");
            assert_eq!(breaker.begin(at(65_999)), Err(Rejected::Open));
            assert_eq!(breaker.begin(at(126_000)), Err(Rejected::Open), "open from 66 to 126 s");
            assert_eq!(breaker.begin(at(126_001)), later);
            assert_eq!(breaker.openings(), 1 + u32::from(most_half_open.is_some()));
        }
    }

    /// Half-open from 60 s on by itself, a result that comes before anybody calls is a trial's.
    #[test]
    fn a_timer_half_opens_it_where_it_is_told_so() {
        for (half_opens_itself, state) in [(false, State::Open), (true, State::Closed)] {
            let config = Resilience4jConfig { volume: 1, trials: 1, half_opens_itself, ..CONFIG };
            let mut breaker = Resilience4j::new(config);
            breaker.begin(at(0)).expect("closed");
            calls(&mut breaker, 0, Ended::Failure, 1);
            breaker.end(at(60_000), Ended::Success, QUICK);
            assert_eq!(breaker.state(), state);
        }
        // With both timers it goes to and fro: open 60 s, half-open 5 s.
        let most_half_open = Some(Duration::secs(5));
        let config =
            Resilience4jConfig { volume: 1, half_opens_itself: true, most_half_open, ..CONFIG };
        let mut breaker = Resilience4j::new(config);
        calls(&mut breaker, 0, Ended::Failure, 1);
        assert_eq!(breaker.begin(at(129_999)), Ok(()), "half-open from 125 s on");
        assert_eq!(breaker.begin(at(130_000)), Err(Rejected::Open));
        assert_eq!(breaker.openings(), 3);
    }

    #[test]
    fn late_failures_count_against_the_trial() {
        let mut breaker = Resilience4j::new(Resilience4jConfig { volume: 1, trials: 2, ..CONFIG });
        breaker.begin(at(0)).expect("closed");
        breaker.begin(at(0)).expect("closed");
        calls(&mut breaker, 0, Ended::Failure, 1);
        breaker.begin(at(60_001)).expect("a trial");
        breaker.end(at(60_002), Ended::Failure, QUICK);
        breaker.end(at(60_002), Ended::Failure, QUICK);
        assert_eq!(breaker.state(), State::Open, "by the two calls made before it opened");
    }
}
