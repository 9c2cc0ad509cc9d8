//! Whether a balancer takes a target for healthy: by asking it, and by what it answers to others.
//!
//! | rule | follows |
//! |---|---|
//! | checks | ALB target groups: every 30 s, 5 s to answer, 2 failures in a row, 5 successes in a row |
//! | outlier detection | Envoy `outlier_detection.proto` |
//! | max_fails | nginx 1.31.5 `ngx_http_upstream_round_robin.c` (the same since 1.3) |

use crate::units::{Duration, Time};

/// How often a target is asked, and how often it must answer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Checks {
    /// From one check to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Successes in a row after which it is healthy again.
    pub healthy: u32,
    /// Failures in a row after which it is not healthy any more.
    pub unhealthy: u32,
}

/// One target as its checks know it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Checked {
    /// Whether it is healthy.
    pub up: bool,
    /// Checks in a row that say otherwise.
    against: u32,
    /// A target that was never healthy needs one success only.
    fresh: bool,
}

impl Checked {
    /// A target that has been healthy all along.
    pub const UP: Checked = Checked { up: true, against: 0, fresh: false };
    /// A new target: one success makes it healthy.
    pub const NEW: Checked = Checked { up: false, against: 0, fresh: true };

    /// A check has succeeded or failed. True: it is healthy now and was not, or the reverse.
    pub fn told(&mut self, checks: &Checks, ok: bool) -> bool {
        if ok == self.up {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let needed = match (self.up, self.fresh) {
            (true, _) => checks.unhealthy,
            (false, true) => 1,
            (false, false) => checks.healthy,
        };
        if self.against < needed {
            return false;
        }
        *self = Checked { up: ok, against: 0, fresh: false };
        true
    }
}

/// When a target is set aside for what it answers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Ejection {
    /// Envoy's outlier detection.
    Outliers(Outliers),
    /// nginx: so many failures, each within so long of the one before.
    MaxFails {
        /// Failures.
        fails: u32,
        /// How long a failure is remembered, and the length of the penalty.
        timeout: Duration,
    },
}

/// Envoy's outlier detection.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Outliers {
    /// Answers 5xx in a row that eject a target.
    pub consecutive: u32,
    /// How often success rates are compared, and ejected targets let back.
    pub interval: Duration,
    /// How long the first ejection lasts; the n-th lasts n times as long.
    pub base: Duration,
    /// No ejection lasts longer.
    pub longest: Duration,
    /// No more than this share of the targets is ejected.
    pub most: f64,
    /// One may always be.
    pub always_one: bool,
    /// Targets with enough requests that it takes to compare success rates.
    pub hosts: u32,
    /// Requests in an interval that make a target's success rate count.
    pub requests: u32,
    /// A success rate lower than the mean by so many standard deviations is an outlier.
    pub deviations: f64,
}

/// One target as what it answers shows it.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Judged {
    failures: u32,
    /// Since when it is set aside.
    ejected: Option<Time>,
    /// How often it was lately.
    times: u32,
    requests: u32,
    successes: u32,
    /// nginx: the last failure (`accessed`).
    failed: Time,
    /// nginx: the last failure, or when it was chosen long enough after that (`checked`).
    checked: Time,
}

impl Judged {
    /// Whether it is set aside.
    pub fn is_ejected(&self) -> bool {
        self.ejected.is_some()
    }
}

/// All targets of one balancer node, judged by what they answer.
#[derive(Clone, Debug)]
pub struct Judge {
    rule: Ejection,
    /// By number.
    pub all: Vec<Judged>,
}

impl Judge {
    /// So many targets without a stain.
    pub fn new(rule: Ejection, targets: u32) -> Judge {
        Judge { rule, all: vec![Judged::default(); targets as usize] }
    }

    /// A target is sent a request. True: it is set aside now, but for this one, with which it is tried
    /// out after its penalty.
    pub fn chosen(&mut self, target: u32, now: Time) -> bool {
        let Ejection::MaxFails { fails, timeout } = self.rule else { return false };
        let judged = &mut self.all[target as usize];
        if judged.failures == 0 || now < Judge::forgotten_at(judged.checked, timeout) {
            return false;
        }
        judged.checked = now;
        if judged.failures >= fails {
            judged.ejected = Some(now);
        }
        judged.is_ejected()
    }

    /// nginx keeps whole seconds, and forgets when more than so many have passed.
    fn forgotten_at(since: Time, timeout: Duration) -> Time {
        let second = Duration::secs(1);
        let whole = since.since(Time::ZERO).0 / second.0 * second.0;
        Time::ZERO + Duration(whole) + timeout + second
    }

    /// A target has answered: 5xx or not; `lost` where there was no answer at all. True: it is set
    /// aside now, or was and is not any more.
    pub fn answered(&mut self, target: u32, error: bool, lost: bool, now: Time) -> bool {
        let alone = self.all.len() == 1;
        let judged = &mut self.all[target as usize];
        match self.rule {
            Ejection::MaxFails { fails, .. } => {
                // A server that is alone is never set aside (`peers->single`).
                if alone || fails == 0 {
                    return false;
                }
                if lost {
                    judged.failures += 1;
                    (judged.failed, judged.checked) = (now, now);
                    if judged.failures >= fails {
                        judged.ejected = Some(now);
                    }
                    return judged.is_ejected();
                }
                // An answer counts for a server that was chosen when its failures were old: what it
                // answers sooner forgives nothing.
                if judged.failed < judged.checked {
                    judged.failures = 0;
                    return judged.ejected.take().is_some();
                }
                false
            }
            Ejection::Outliers(rule) => {
                judged.requests += 1;
                judged.successes += u32::from(!error);
                judged.failures = if error { judged.failures + 1 } else { 0 };
                let due = judged.failures == rule.consecutive && judged.ejected.is_none();
                due && self.eject(target, rule, now)
            }
        }
    }

    /// Ejects a target, unless too many are ejected already.
    fn eject(&mut self, target: u32, rule: Outliers, now: Time) -> bool {
        let ejected = self.all.iter().filter(|judged| judged.is_ejected()).count();
        // `DetectorImpl::ejectHost`, since Envoy 1.31: the share with this one.
        let share = (ejected + 1) as f64 / self.all.len() as f64;
        if share > rule.most && !(rule.always_one && ejected == 0) {
            return false;
        }
        let judged = &mut self.all[target as usize];
        judged.ejected = Some(now);
        judged.times += 1;
        judged.failures = 0;
        true
    }

    /// When somebody who is set aside now may come back by itself (nginx).
    pub fn back_at(&self, target: u32) -> Option<Time> {
        let Ejection::MaxFails { timeout, .. } = self.rule else { return None };
        self.all[target as usize].ejected.map(|since| Judge::forgotten_at(since, timeout))
    }

    /// The penalty of a target is over: it may be tried out with one request.
    pub fn back(&mut self, target: u32) {
        self.all[target as usize].ejected = None;
    }

    /// The end of an interval of outlier detection. Says who is ejected now, and who is back.
    pub fn interval(&mut self, now: Time) -> Vec<(u32, bool)> {
        let Ejection::Outliers(rule) = self.rule else { return Vec::new() };
        let mut moved = Vec::new();
        for target in 0..self.all.len() as u32 {
            let judged = &mut self.all[target as usize];
            match judged.ejected {
                Some(since) => {
                    let length = Duration(rule.base.0.saturating_mul(u64::from(judged.times)))
                        .min(rule.longest);
                    if now >= since + length {
                        judged.ejected = None;
                        moved.push((target, false));
                    }
                }
                // Whoever stays in for an interval is forgiven one ejection.
                None => judged.times = judged.times.saturating_sub(1),
            }
        }
        for target in self.slow_learners(rule) {
            if !self.all[target as usize].is_ejected() && self.eject(target, rule, now) {
                moved.push((target, true));
            }
        }
        for judged in &mut self.all {
            (judged.requests, judged.successes) = (0, 0);
        }
        moved
    }

    /// Those whose success rate in this interval is an outlier.
    fn slow_learners(&self, rule: Outliers) -> Vec<u32> {
        let rates: Vec<(u32, f64)> = (0..self.all.len() as u32)
            .filter(|target| self.all[*target as usize].requests >= rule.requests)
            .map(|target| {
                let judged = &self.all[target as usize];
                (target, f64::from(judged.successes) / f64::from(judged.requests))
            })
            .collect();
        if rates.len() < rule.hosts as usize || rates.is_empty() {
            return Vec::new();
        }
        let count = rates.len() as f64;
        let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
        let square: f64 = rates.iter().map(|(_, rate)| (rate - mean) * (rate - mean)).sum();
        let bound = mean - rule.deviations * (square / count).sqrt();
        rates.iter().filter(|(_, rate)| *rate < bound).map(|(target, _)| *target).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVOY: Outliers = Outliers {
        consecutive: 5,
        interval: Duration::secs(10),
        base: Duration::secs(30),
        longest: Duration::secs(300),
        most: 0.1,
        always_one: false,
        hosts: 5,
        requests: 100,
        deviations: 1.9,
    };
    fn at(second: u64) -> Time {
        Time::ZERO + Duration::secs(second)
    }

    #[test]
    fn two_failures_put_a_target_out_and_five_successes_put_it_in() {
        let alb = Checks {
            interval: Duration::secs(30),
            timeout: Duration::secs(5),
            healthy: 5,
            unhealthy: 2,
        };
        let mut target = Checked::UP;
        assert!(!target.told(&alb, false) && !target.told(&alb, true), "one is forgiven");
        assert!(!target.told(&alb, false) && target.told(&alb, false) && !target.up);
        for check in 1..=5 {
            assert_eq!(target.told(&alb, true), check == 5);
        }
        assert!(target.up);
        let mut new = Checked::NEW;
        assert!(!new.told(&alb, false) && new.told(&alb, true) && new.up);
    }

    #[test]
    fn five_errors_in_a_row_eject_one_target_of_ten_and_no_second() {
        let mut judge = Judge::new(Ejection::Outliers(ENVOY), 10);
        let mut fail = |target| judge.answered(target, true, false, at(1));
        assert!((1..=5).map(|_| fail(3)).eq([false, false, false, false, true]));
        assert!(!(1..=5).any(|_| fail(4)), "10 % are ejected already");
        // Of fewer than ten none is, unless told so.
        let one_of_two = |always_one| {
            let rule = Ejection::Outliers(Outliers { always_one, ..ENVOY });
            let mut judge = Judge::new(rule, 2);
            (1..=5).any(|_| judge.answered(0, true, false, at(1)))
        };
        assert!(!one_of_two(false) && one_of_two(true));
    }

    #[test]
    fn an_ejection_lasts_thirty_seconds_for_each_of_its_kind() {
        let mut judge = Judge::new(Ejection::Outliers(ENVOY), 10);
        let mut now = 0;
        for time in 1..=12 {
            (1..=5).for_each(|_| {
                assert_eq!(judge.answered(3, true, false, at(now)), judge.all[3].is_ejected())
            });
            let since = now;
            while judge.all[3].is_ejected() {
                now += 10;
                judge.interval(at(now));
            }
            assert_eq!(now - since, (30 * time).min(300));
        }
    }

    #[test]
    fn the_target_that_succeeds_least_is_an_outlier() {
        let interval = |share_of_last: u32| {
            let rule = Ejection::Outliers(Outliers { always_one: true, ..ENVOY });
            let mut judge = Judge::new(rule, 6);
            for target in 0..6 {
                for request in 0..200 {
                    let fails = target == 5 && request % 100 < share_of_last && request % 2 == 0;
                    judge.answered(target, fails, false, at(1));
                }
            }
            judge.interval(at(10))
        };
        assert_eq!(interval(60), [(5, true)]);
        assert_eq!(interval(0), []);
    }

    const NGINX: Ejection = Ejection::MaxFails { fails: 1, timeout: Duration::secs(10) };

    #[test]
    fn nginx_sets_a_server_aside_for_ten_seconds_after_one_failure() {
        let mut judge = Judge::new(NGINX, 2);
        assert!(!judge.answered(0, true, false, at(1)), "an answer 500 is an answer");
        assert!(judge.answered(0, false, true, at(1)));
        assert_eq!(judge.back_at(0), Some(at(12)), "more than ten whole seconds");
        judge.back(0);
        // One request tries it out, and nobody else is sent there meanwhile.
        assert!(judge.chosen(0, at(12)) && judge.all[0].is_ejected());
        assert!(judge.answered(0, false, true, at(13)), "and again at the first failure");
        assert_eq!(judge.back_at(0), Some(at(24)));
        judge.back(0);
        assert!(judge.chosen(0, at(30)) && judge.answered(0, false, false, at(31)));
        assert!(!judge.all[0].is_ejected() && !judge.chosen(0, at(32)));
        let mut judge = Judge::new(Ejection::MaxFails { fails: 0, timeout: Duration::secs(10) }, 2);
        assert!(!judge.answered(0, false, true, at(1)), "max_fails=0 counts nothing");
        let mut judge = Judge::new(NGINX, 1);
        assert!(!judge.answered(0, false, true, at(1)), "who is alone is never set aside");
    }

    #[test]
    fn nginx_remembers_failures_for_fail_timeout_whatever_is_answered_between() {
        let rule = Ejection::MaxFails { fails: 3, timeout: Duration::secs(10) };
        let third = |between: u64| {
            let mut judge = Judge::new(rule, 2);
            let mut out = false;
            for number in 0..3 {
                let now = 1 + number * between;
                judge.chosen(0, at(now));
                out = judge.answered(0, false, true, at(now));
                judge.chosen(0, at(now + between - 1));
                judge.answered(0, false, false, at(now + between - 1));
            }
            out
        };
        assert!(third(5), "answers between them do not forgive failures");
        assert!(!third(20), "one that was asked more than ten seconds later has been forgiven");
    }
}
