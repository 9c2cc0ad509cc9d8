//! Which execution environment takes a request of a function (AWS Lambda Developer Guide: "Understanding
//! Lambda function scaling", "Lambda scaling behavior").
//!
//! An environment takes one request at a time. Those that are kept ready come first, for ten requests a second
//! each, then the idle one that was used last; otherwise one is started. Executions at once are bounded by what
//! the function has reserved, or by what the account has left; so are requests a second, by ten times as many;
//! and within 10 s so many environments are started, a budget that refills continuously and is not saved up. Beyond
//! any of these a request is throttled.

use std::collections::VecDeque;

use crate::units::{Duration, Time};

/// Over which time environments may be started.
const SCALING_PERIOD: Duration = Duration::secs(10);
/// Requests a second for each execution that may run at once.
pub const REQUESTS_PER_EXECUTION: u32 = 10;

/// So many things within a time, refilled continuously, never more than all of them at once.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    every: Duration,
    whole: Duration,
    full_at: Time,
}

impl Bucket {
    fn new(many: u32, within: Duration) -> Bucket {
        let every = Duration(within.0 / u64::from(many.max(1)));
        Bucket { every, whole: within, full_at: Time::ZERO }
    }
    /// Requests for so many executions.
    fn of_executions(many: u32) -> Bucket {
        Bucket::new(many.saturating_mul(REQUESTS_PER_EXECUTION), Duration::secs(1))
    }
    fn has(&self, now: Time) -> bool {
        (self.full_at.max(now) + self.every).since(now) <= self.whole
    }
    fn take(&mut self, now: Time) {
        self.full_at = self.full_at.max(now) + self.every;
    }
}

/// Executions that may run at once: those that a function has reserved, or that an account has left
/// for all functions that have not.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    limit: u32,
    busy: u32,
    asked: Bucket,
}

impl Account {
    /// Of so many executions beside those on environments that are kept ready, and of so many in all.
    pub fn new(limit: u32, all: u32) -> Account {
        Account { limit, busy: 0, asked: Bucket::of_executions(all) }
    }
    /// Executions on environments that are not kept ready.
    pub fn busy(&self) -> u32 {
        self.busy
    }
    /// So many more executions may run on environments that are not kept ready, or fewer.
    pub fn give(&mut self, more: i32) {
        self.limit = self.limit.saturating_add_signed(more);
    }
}

/// Whether an environment is kept ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keep {
    No,
    Yes,
    /// No longer, once it is rid of its request, or has started.
    Leaving,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invoked {
    /// An idle environment takes it.
    Warm(u32),
    /// It waits for an environment that is started for it.
    Cold(u32),
    /// It is answered 429.
    Throttled,
    /// No environment can be started.
    Nowhere,
}

/// The environments of a function, by number; at first the first ones are kept ready.
#[derive(Clone, Debug)]
pub struct Fleet {
    lifetime: Duration,
    scaling: Bucket,
    /// By number: whether it is kept ready.
    kept: Vec<Keep>,
    /// Those kept ready that are idle.
    ready: Vec<u32>,
    /// How many are kept ready, and what they may take.
    keeps: u32,
    keeps_asked: Bucket,
    /// Idle ones that were kept ready, and are not any longer.
    gone: Vec<u32>,
    /// Idle ones, with since when; the one used last at the end.
    idle: VecDeque<(u32, Time)>,
    /// Numbers without an environment, the next one last.
    free: Vec<u32>,
    /// By number: since when it has its request, if it has one.
    busy: Vec<Option<Time>>,
    /// By number: which of its requests it has.
    turns: Vec<u32>,
}

impl Fleet {
    /// With so many environments at most, of which so many are kept ready; those idle for `lifetime`
    /// are gone; `scaling` may be started within 10 s.
    pub fn new(most: u32, provisioned: u32, lifetime: Duration, scaling: u32) -> Fleet {
        Fleet {
            kept: (0..most)
                .map(|number| if number < provisioned { Keep::Yes } else { Keep::No })
                .collect(),
            lifetime,
            scaling: Bucket::new(scaling, SCALING_PERIOD),
            ready: (0..provisioned).rev().collect(),
            keeps: provisioned,
            keeps_asked: Bucket::of_executions(provisioned),
            gone: Vec::new(),
            idle: VecDeque::new(),
            free: (provisioned..most).rev().collect(),
            busy: vec![None; most as usize],
            turns: vec![0; most as usize],
        }
    }

    /// A request comes; `can_start` says of a number whether an environment can be started there.
    pub fn invoke(
        &mut self,
        now: Time,
        account: &mut Account,
        can_start: impl Fn(u32) -> bool,
    ) -> Invoked {
        if !account.asked.has(now) {
            return Invoked::Throttled;
        }
        let found = if !self.ready.is_empty() && self.keeps_asked.has(now) {
            self.keeps_asked.take(now);
            Invoked::Warm(self.ready.pop().expect("one is ready"))
        } else if account.busy >= account.limit {
            return Invoked::Throttled;
        } else if let Some((idle, _)) = self.idle.pop_back() {
            account.busy += 1;
            Invoked::Warm(idle)
        } else if !self.scaling.has(now) {
            return Invoked::Throttled;
        } else {
            let Some(place) = self.free.iter().rposition(|number| can_start(*number)) else {
                return Invoked::Nowhere;
            };
            self.scaling.take(now);
            account.busy += 1;
            Invoked::Cold(self.free.remove(place))
        };
        account.asked.take(now);
        if let Invoked::Warm(number) | Invoked::Cold(number) = found {
            let number = number as usize;
            self.busy[number] = Some(now);
            self.turns[number] = (self.turns[number] + 1) % (1 << 31);
        }
        found
    }

    /// An environment is rid of its request; says since when it had it, if it had one.
    pub fn end(&mut self, number: u32, account: &mut Account) -> Option<Time> {
        let since = self.busy[number as usize].take()?;
        if !self.is_kept(number) {
            account.busy -= 1;
        }
        Some(since)
    }
    /// An environment without a request is frozen until the next one.
    pub fn rest(&mut self, number: u32, now: Time) {
        match self.kept[number as usize] {
            Keep::Yes => self.ready.push(number),
            Keep::Leaving => self.gone.push(number),
            Keep::No => self.idle.push_back((number, now)),
        }
    }
    /// An environment without a request is gone. Says whether another is started in its place.
    pub fn lose(&mut self, number: u32) -> bool {
        self.ready.retain(|ready| *ready != number);
        self.idle.retain(|(idle, _)| *idle != number);
        self.gone.retain(|gone| *gone != number);
        let stays = self.kept[number as usize] == Keep::Yes;
        if !stays {
            self.kept[number as usize] = Keep::No;
            self.free.push(number);
        }
        stays
    }
    /// Whether it is kept ready, and counts for nobody else.
    pub fn is_kept(&self, number: u32) -> bool {
        self.kept[number as usize] != Keep::No
    }
    /// One more is to be kept ready: which has to be started, if there is room.
    pub fn keep_one(&mut self, can_start: impl Fn(u32) -> bool) -> Option<u32> {
        let place = self.free.iter().rposition(|number| can_start(*number))?;
        let number = self.free.remove(place);
        self.kept[number as usize] = Keep::Yes;
        self.keep(self.keeps + 1);
        Some(number)
    }
    fn keep(&mut self, many: u32) {
        self.keeps = many;
        self.keeps_asked.every = Bucket::of_executions(many).every;
    }
    /// One less is to be kept ready: an idle one, which goes at once ([`Fleet::expired`] names it). Otherwise one
    /// that has a request, or starts, goes when it is rid of it.
    pub fn let_one_go(&mut self) {
        self.keep(self.keeps.saturating_sub(1));
        if self.ready.is_empty() {
            let last = self.kept.iter().rposition(|kept| *kept == Keep::Yes);
            if let Some(last) = last {
                self.kept[last] = Keep::Leaving;
            }
            return;
        }
        let number = self.ready.remove(0);
        self.kept[number as usize] = Keep::Leaving;
        self.gone.push(number);
    }
    /// The environment that has been idle for too long, longest first, and one that is not kept any longer.
    pub fn expired(&self, now: Time) -> Option<u32> {
        if let Some(gone) = self.gone.first() {
            return Some(*gone);
        }
        let (number, since) = self.idle.front()?;
        (*since + self.lifetime <= now).then_some(*number)
    }
    /// When the next one will have been.
    pub fn next_expiry(&self) -> Option<Time> {
        if !self.gone.is_empty() {
            return Some(Time::ZERO);
        }
        self.idle.front().map(|(_, since)| *since + self.lifetime)
    }
    /// Whether it has a request.
    pub fn is_busy(&self, number: u32) -> bool {
        self.busy[number as usize].is_some()
    }
    /// Which of its requests it has, or had last.
    pub fn turn(&self, number: u32) -> u32 {
        self.turns[number as usize]
    }
    /// How many have a request.
    pub fn at_work(&self) -> u64 {
        self.busy.iter().filter(|since| since.is_some()).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::millis(ms)
    }
    const ANY: fn(u32) -> bool = |_| true;

    #[test]
    fn the_environment_used_last_is_taken_and_those_left_alone_are_gone() {
        let (mut account, life) = (Account::new(5, 5), Duration::secs(60));
        let mut fleet = Fleet::new(5, 0, life, 1_000);
        assert_eq!(fleet.invoke(at(0), &mut account, ANY), Invoked::Cold(0));
        assert_eq!(fleet.invoke(at(1), &mut account, ANY), Invoked::Cold(1));
        for (number, when) in [(1, 10), (0, 20)] {
            assert!(fleet.end(number, &mut account).is_some());
            fleet.rest(number, at(when));
        }
        assert_eq!(fleet.invoke(at(30), &mut account, ANY), Invoked::Warm(0));
        assert_eq!(fleet.next_expiry(), Some(at(60_010)));
        assert_eq!(fleet.expired(at(60_009)), None);
        assert_eq!(fleet.expired(at(60_010)), Some(1));
        assert!(!fleet.lose(1));
        assert_eq!(fleet.invoke(at(60_010), &mut account, ANY), Invoked::Cold(1));
        assert_eq!(account.busy(), 2);
    }

    #[test]
    fn those_kept_ready_come_first_and_count_for_nobody_else() {
        let mut account = Account::new(1, 4);
        let mut fleet = Fleet::new(3, 2, Duration::secs(60), 1_000);
        let next = |fleet: &mut Fleet, account: &mut Account| fleet.invoke(at(0), account, ANY);
        assert_eq!(next(&mut fleet, &mut account), Invoked::Warm(0));
        assert_eq!(next(&mut fleet, &mut account), Invoked::Warm(1));
        assert_eq!(next(&mut fleet, &mut account), Invoked::Cold(2));
        assert_eq!(next(&mut fleet, &mut account), Invoked::Throttled);
        assert!(fleet.end(1, &mut account).is_some() && fleet.lose(1), "another is started");
        assert_eq!(account.busy(), 1);
        fleet.rest(1, at(5));
        assert_eq!(next(&mut fleet, &mut account), Invoked::Warm(1));
    }

    #[test]
    fn more_and_fewer_are_kept_ready() {
        let mut account = Account::new(1, 4);
        let mut fleet = Fleet::new(4, 1, Duration::secs(60), 1_000);
        assert_eq!(fleet.keep_one(ANY), Some(1));
        fleet.rest(1, at(0));
        assert_eq!(fleet.invoke(at(0), &mut account, ANY), Invoked::Warm(1), "used last");
        // The idle one goes at once; then the other when it is rid of its request.
        fleet.let_one_go();
        assert_eq!((fleet.next_expiry(), fleet.expired(at(0))), (Some(at(0)), Some(0)));
        assert!(!fleet.lose(0) && !fleet.is_kept(0));
        fleet.let_one_go();
        assert_eq!(fleet.expired(at(0)), None, "it has a request");
        assert!(fleet.end(1, &mut account).is_some());
        fleet.rest(1, at(0));
        assert_eq!(account.busy(), 0, "it counted for nobody else");
        assert_eq!(fleet.expired(at(0)), Some(1));
        assert!(!fleet.lose(1), "no other is started");
        fleet.let_one_go();
        assert_eq!(fleet.expired(at(0)), None, "none is left");
        account.give(2);
        let next = |fleet: &mut Fleet, account: &mut Account| fleet.invoke(at(1), account, ANY);
        for _ in 0..3 {
            assert!(matches!(next(&mut fleet, &mut account), Invoked::Cold(_)));
        }
        assert_eq!(next(&mut fleet, &mut account), Invoked::Throttled);
    }

    #[test]
    fn a_thousand_start_at_once_then_a_hundred_a_second_and_nothing_is_saved_up() {
        let mut account = Account::new(100_000, 100_000);
        let mut fleet = Fleet::new(100_000, 0, Duration::secs(60), 1_000);
        let mut started = |when: u64| {
            let mut count = 0;
            while let Invoked::Cold(_) = fleet.invoke(at(when), &mut account, ANY) {
                count += 1;
            }
            count
        };
        assert_eq!(started(0), 1_000);
        assert_eq!(started(1_000), 100);
        assert_eq!(started(60_000), 1_000, "50 s have refilled it, not more");
    }

    #[test]
    fn requests_a_second_are_ten_times_the_executions() {
        let mut account = Account::new(2, 2);
        let mut fleet = Fleet::new(2, 0, Duration::secs(60), 1_000);
        let mut served = 0;
        while let Invoked::Warm(number) | Invoked::Cold(number) =
            fleet.invoke(at(0), &mut account, ANY)
        {
            served += 1;
            fleet.end(number, &mut account);
            fleet.rest(number, at(0));
        }
        assert_eq!(served, 20);
    }

    #[test]
    fn those_kept_ready_take_ten_a_second_each_and_others_the_rest() {
        let mut account = Account::new(3, 5);
        let mut fleet = Fleet::new(5, 2, Duration::secs(60), 1_000);
        let mut taken = |when: u64, many: usize| {
            let mut numbers = Vec::new();
            for _ in 0..many {
                let (Invoked::Warm(number) | Invoked::Cold(number)) =
                    fleet.invoke(at(when), &mut account, ANY)
                else {
                    unreachable!("five environments may take fifty a second")
                };
                fleet.end(number, &mut account);
                fleet.rest(number, at(when));
                numbers.push(number);
            }
            numbers.iter().filter(|number| **number < 2).count()
        };
        assert_eq!(taken(0, 25), 20, "the other five go to one that is started for them");
        assert_eq!(taken(500, 15), 10, "half a second later ten more");
    }
}
