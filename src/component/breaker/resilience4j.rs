//! The circuit breaker of resilience4j 2.3 (v2.3.0; CircuitBreakerStateMachine, CircuitBreakerMetrics,
//! FixedSizeSlidingWindowMetrics, SlidingTimeWindowMetrics). v2.4.0 has the same rules, but may be told to
//! close where it has waited for its trial calls for too long (`transitionToStateAfterWaitDuration`).

use super::{Ended, Rejected, State};
use crate::units::{Duration, TICKS_PER_SECOND, Time};

/// `CircuitBreakerConfig`, and the semaphore bulkhead that usually stands around the same call.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Resilience4jConfig {
    /// `failureRateThreshold`: it opens when the share of failed calls is at least this (0 to 1).
    pub threshold: f64,
    /// `slowCallRateThreshold`: and when that of slow ones is at least this (0 to 1).
    pub slow_threshold: f64,
    /// `slowCallDurationThreshold`: a call is slow from more than this on.
    pub slow: Duration,
    /// `slidingWindowSize`: the last so many calls are counted, or the calls of so many seconds.
    pub window: u32,
    /// `slidingWindowType`: whether `window` is in seconds of the clock, the present one included.
    pub in_seconds: bool,
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

/// What was counted, in all or in one slot of a ring.
#[derive(Clone, Copy, Default)]
struct Tally {
    calls: u32,
    failed: u32,
    slow: u32,
}

/// The last results of a state, in a ring: a slot for each call (`FixedSizeSlidingWindowMetrics`), or for
/// each second of the clock (`SlidingTimeWindowMetrics`).
struct Window {
    minimum: u32,
    ring: Vec<Tally>,
    head: usize,
    total: Tally,
    /// The second that the head is for, where slots are seconds.
    second: Option<u64>,
}

impl Window {
    fn new(size: u32, minimum: u32, second: Option<u64>) -> Window {
        let ring = vec![Tally::default(); size.max(1) as usize];
        Window { minimum, ring, head: 0, total: Tally::default(), second }
    }
    /// The last calls, for as many of which there must be results as it holds, if more are asked for.
    fn of_calls(size: u32, minimum: u32) -> Window {
        Window::new(size, minimum.min(size), None)
    }
    /// The window of a closed breaker.
    fn of_closed(config: &Resilience4jConfig, now: Time) -> Window {
        match config.in_seconds {
            true => Window::new(config.window, config.volume, Some(second_of(now))),
            false => Window::of_calls(config.window, config.volume),
        }
    }
    /// Makes the next slot the head, and forgets what was in it.
    fn advance(&mut self) {
        self.head = (self.head + 1) % self.ring.len();
        let old = std::mem::take(&mut self.ring[self.head]);
        self.total.calls -= old.calls;
        self.total.failed -= old.failed;
        self.total.slow -= old.slow;
    }
    /// Records a result; says whether a threshold is reached, once there are enough of them.
    fn record(
        &mut self,
        now: Time,
        (failed, slow): (bool, bool),
        config: &Resilience4jConfig,
    ) -> Option<bool> {
        let slots = match &mut self.second {
            Some(second) => second_of(now) - std::mem::replace(second, second_of(now)),
            None => 1,
        };
        (0..slots.min(self.ring.len() as u64)).for_each(|_| self.advance());
        for tally in [&mut self.ring[self.head], &mut self.total] {
            tally.calls += 1;
            tally.failed += u32::from(failed);
            tally.slow += u32::from(slow);
        }
        let share = |part: u32| f64::from(part) / f64::from(self.total.calls);
        (self.total.calls >= self.minimum).then(|| {
            share(self.total.failed) >= config.threshold
                || share(self.total.slow) >= config.slow_threshold
        })
    }
}

fn second_of(now: Time) -> u64 {
    now.0 / TICKS_PER_SECOND
}

/// The breaker of one process.
///
/// # Model
/// - Each state has a window of its own. A result counts in the state that is current when it comes,
///   not in the one that let the call through: late failures count against the trial.
/// - No timer half-opens it, unless it is told so: the first call after the wait does.
/// - Timers are looked at when somebody calls or a call ends: nobody sees the state in between.
/// - Half-open, `trials` calls are let through, and it closes or opens when so many results are there, or
///   as many as `volume` asks for, if that is less (`CircuitBreakerMetrics.forHalfOpen`).
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
        let window = Window::of_closed(&config, Time::ZERO);
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
        self.window = Window::new(1, u32::MAX, None);
        self.openings += 1;
    }
    fn half_open(&mut self, at: Time) {
        (self.state, self.since) = (State::HalfOpen, at);
        self.window = Window::of_calls(self.config.trials, self.config.volume);
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
        let reached = self.window.record(now, (failed, slow), &self.config);
        match (self.state, reached) {
            (State::Closed | State::HalfOpen, Some(true)) => self.open(now),
            (State::HalfOpen, Some(false)) => {
                self.state = State::Closed;
                self.window = Window::of_closed(&self.config, now);
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
        in_seconds: false,
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
        let mut breaker = Resilience4j::new(CONFIG);
        calls(&mut breaker, 0, Ended::Failure, 100);
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

    /// As `min(minimumNumberOfCalls, permittedNumberOfCallsInHalfOpenState)`.
    #[test]
    fn trials_are_judged_as_soon_as_there_are_enough_results() {
        let mut breaker = Resilience4j::new(Resilience4jConfig { volume: 3, ..CONFIG });
        calls(&mut breaker, 0, Ended::Failure, 3);
        calls(&mut breaker, 60_001, Ended::Success, 2);
        assert_eq!(breaker.state(), State::HalfOpen);
        calls(&mut breaker, 60_001, Ended::Failure, 1);
        assert_eq!(breaker.state(), State::Closed, "1 of 3");
    }

    #[test]
    fn seconds_leave_the_window_one_by_one() {
        let timed = Resilience4jConfig { window: 3, volume: 4, in_seconds: true, ..CONFIG };
        let mut breaker = Resilience4j::new(timed);
        calls(&mut breaker, 900, Ended::Success, 3);
        calls(&mut breaker, 2_999, Ended::Failure, 2);
        assert_eq!(breaker.state(), State::Closed, "2 of 5");
        // The second of the successes has left: three failures are too few, and a fourth is enough.
        calls(&mut breaker, 3_000, Ended::Failure, 1);
        assert_eq!(breaker.state(), State::Closed);
        calls(&mut breaker, 4_999, Ended::Failure, 1);
        assert_eq!(breaker.state(), State::Open, "4 of 4");
        let mut breaker = Resilience4j::new(timed);
        calls(&mut breaker, 0, Ended::Failure, 3);
        calls(&mut breaker, 600_000, Ended::Failure, 3);
        assert_eq!(breaker.state(), State::Closed, "all of the first have left");
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
