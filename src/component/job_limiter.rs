//! How many jobs a queue starts in a time: the rate limiters of Bull 4.16.5 (`moveToActive`:
//! `rateLimit`) and BullMQ 6.7.0 (`getRateLimitTTL`, `prepareJobForProcessing`).
//!
//! Both keep one counter for the whole queue in Redis, whose time begins with the first job that is
//! started in it. BullMQ's workers then leave all jobs where they are and wait until that time is over.
//! Bull takes each job that waits and puts it aside as delayed: by what is left of the time, and, where
//! others have been put aside already, by 1.1 times what those need in addition. So Bull's jobs come
//! back at different times and lose their order.

use super::job_queue::Driver;
use crate::units::{Duration, Time};

/// `limiter` of a queue or of its workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimiterConfig {
    /// Jobs that are started within a time.
    pub max: u32,
    /// That time.
    pub duration: Duration,
}

/// The counter of a queue.
pub struct JobLimiter {
    driver: Driver,
    config: LimiterConfig,
    count: u32,
    until: Time,
    /// Jobs that Bull has put aside.
    aside: u32,
    /// When BullMQ's workers will look again, if somebody has seen to that.
    looks_at: Time,
}

impl JobLimiter {
    /// A counter at nought.
    pub fn new(driver: Driver, config: LimiterConfig) -> JobLimiter {
        let (count, until) = (0, Time::ZERO);
        JobLimiter { driver, config, count, until, aside: 0, looks_at: Time::ZERO }
    }

    fn counted(&self, now: Time) -> u32 {
        if now < self.until { self.count } else { 0 }
    }

    fn count(&mut self, now: Time) {
        self.count = self.counted(now) + 1;
        if self.count == 1 {
            self.until = now + self.config.duration;
        }
    }

    /// BullMQ: whether no job is started at present, and whether a look at [`JobLimiter::until`] is
    /// still to be arranged.
    pub fn stops(&mut self, now: Time) -> Option<bool> {
        let full = self.driver == Driver::BullMq && self.counted(now) >= self.config.max;
        full.then(|| std::mem::replace(&mut self.looks_at, self.until) != self.until)
    }

    /// When the time of the counter is over.
    pub fn until(&self) -> Time {
        self.until
    }

    /// A job has been taken to be started, which `was_aside` if Bull had put it aside before; says
    /// for how long it is put aside instead.
    pub fn start(&mut self, now: Time, was_aside: bool) -> Option<Duration> {
        let LimiterConfig { max, duration } = self.config;
        if self.driver == Driver::BullMq {
            self.count(now);
            return None;
        }
        let left = if now < self.until { self.until.since(now) } else { Duration::ZERO };
        let delay = if was_aside {
            self.aside -= 1;
            Duration::ZERO
        } else if self.aside > 0 {
            let ahead = f64::from(self.aside) * 1.1 / f64::from(max);
            duration.scale(ahead) + left
        } else {
            Duration::ZERO
        };
        let delay = match delay.is_zero() && self.counted(now) >= max {
            true => left,
            false => delay,
        };
        if delay.is_zero() {
            self.count(now);
            return None;
        }
        self.aside += 1;
        Some(delay)
    }

    /// The queue's Redis has come back empty.
    pub fn forget(&mut self) {
        *self = JobLimiter::new(self.driver, self.config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: LimiterConfig = LimiterConfig { max: 2, duration: Duration::secs(1) };

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    #[test]
    fn bullmq_leaves_jobs_where_they_are_until_the_time_is_over() {
        let mut limiter = JobLimiter::new(Driver::BullMq, CONFIG);
        for millis in [300, 900] {
            assert_eq!(limiter.stops(at(millis)), None);
            assert_eq!(limiter.start(at(millis), false), None);
        }
        assert_eq!((limiter.stops(at(900)), limiter.until()), (Some(true), at(1_300)));
        assert_eq!(limiter.stops(at(1_299)), Some(false), "somebody looks already");
        assert_eq!(limiter.stops(at(1_300)), None, "the time began with the first job");
        limiter.start(at(1_500), false);
        limiter.start(at(1_500), false);
        assert_eq!((limiter.stops(at(2_400)), limiter.until()), (Some(true), at(2_500)));
    }

    #[test]
    fn bull_puts_jobs_aside_for_longer_the_more_there_are() {
        let mut limiter = JobLimiter::new(Driver::Bull, CONFIG);
        let mut starts = |millis: u64, was_aside| {
            limiter.start(at(millis), was_aside).map(|delay| delay.0 / Duration::millis(1).0)
        };
        assert_eq!([starts(0, false), starts(0, false)], [None; 2]);
        assert_eq!(starts(100, false), Some(900), "what is left");
        assert_eq!(starts(100, false), Some(900 + 550), "and 1.1 / 2 s for the one before");
        assert_eq!(starts(100, false), Some(900 + 1_100));
        assert_eq!(starts(1_000, true), None);
        // The second that waits has not come back: this one is put behind it.
        assert_eq!(starts(1_200, false), Some(800 + 1_100));
        assert_eq!(starts(1_550, true), None);
        assert_eq!(starts(2_100, true), None);
    }
}
