//! Which keys a fixed window keeps, where the memory that they take is counted.

use super::fixed_window::Window;
use crate::units::{Duration, TICKS_PER_SECOND, Time};
use std::collections::VecDeque;

/// Who keeps the counts of keys, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeper {
    /// A process, in two maps: whoever came in the present window or in the one before it, by the clock of
    /// the process (express-rate-limit 8.7.4, `MemoryStore.clearExpired`).
    Process,
    /// Redis, until the window of each key is over (rate-limit-redis, PEXPIRE).
    Redis,
}

/// The keys that are kept.
pub(super) enum Kept {
    Process(Generations),
    Redis(Counters),
}

impl Kept {
    pub(super) fn new(keeper: Keeper, now: Time, window: Duration) -> Kept {
        match keeper {
            Keeper::Process => Kept::Process(Generations {
                since: now,
                window,
                number: 1,
                came: Vec::new(),
                present: 0,
                former: 0,
            }),
            Keeper::Redis => Kept::Redis(Counters {
                by_expiry: VecDeque::new(),
                used: Vec::new(),
                is_there: Vec::new(),
                live: 0,
            }),
        }
    }

    /// A key is counted, in a window that is new or not.
    pub(super) fn hit(&mut self, now: Time, key: u32, (reset_at, new): (Time, bool)) {
        match self {
            Kept::Process(generations) => generations.hit(now, key),
            Kept::Redis(counters) => counters.hit(now, key, (reset_at, new)),
        }
    }
}

/// Keys of a process: those of the present window and of the one before.
pub(super) struct Generations {
    since: Time,
    window: Duration,
    /// Of the present window, from 1.
    number: u32,
    /// By key: in which window it came last; 0 for never.
    came: Vec<u32>,
    present: u64,
    former: u64,
}

impl Generations {
    fn number_at(&self, now: Time) -> u32 {
        (now.since(self.since).0 / self.window.0) as u32 + 1
    }

    fn turn(&mut self, now: Time) {
        let number = self.number_at(now);
        if number > self.number {
            self.former = if number == self.number + 1 { self.present } else { 0 };
            (self.present, self.number) = (0, number);
        }
    }

    fn hit(&mut self, now: Time, key: u32) {
        self.turn(now);
        let came = super::entry(&mut self.came, key);
        if *came == self.number {
            return;
        }
        // It moves from one map to the other.
        self.former -= u64::from(*came > 0 && *came + 1 == self.number);
        self.present += 1;
        *came = self.number;
    }

    pub(super) fn count(&self, now: Time) -> u64 {
        match self.number_at(now) - self.number {
            0 => self.present + self.former,
            1 => self.present,
            _ => 0,
        }
    }
}

/// Keys in Redis, each until its window is over.
pub(super) struct Counters {
    /// All windows in the order of their ends; what is not its key's present one was evicted.
    by_expiry: VecDeque<(Time, u32)>,
    /// By key: the second in which it was used last.
    used: Vec<u32>,
    /// By key: whether it is one of the live ones; its next window may begin before anybody has looked.
    is_there: Vec<bool>,
    live: u64,
}

impl Counters {
    fn hit(&mut self, now: Time, key: u32, (reset_at, new): (Time, bool)) {
        *super::entry(&mut self.used, key) = (now.0 / TICKS_PER_SECOND) as u32;
        if new {
            self.by_expiry.push_back((reset_at, key));
            let is_there = super::entry(&mut self.is_there, key);
            self.live += u64::from(!std::mem::replace(is_there, true));
        }
    }

    /// How many there are.
    pub(super) fn count(&mut self, now: Time, keys: &[Window]) -> u64 {
        while let Some((reset_at, key)) = self.by_expiry.front().copied() {
            let evicted = keys[key as usize].reset_at != reset_at;
            if reset_at > now && !evicted {
                break;
            }
            self.by_expiry.pop_front();
            if !evicted {
                self.gone(key);
            }
        }
        self.live
    }

    /// Of a few drawn at random the one that was used longest ago: which, how many seconds ago, and when it
    /// expires.
    pub(super) fn oldest(
        &mut self,
        now: Time,
        keys: &[Window],
        draw: &mut impl FnMut() -> u64,
    ) -> Option<(u32, u64, Time)> {
        const SAMPLES: usize = 5;
        if self.count(now, keys) == 0 {
            return None;
        }
        let count = self.by_expiry.len() as u128;
        let present = |(reset_at, key): (Time, u32)| {
            (keys[key as usize].reset_at == reset_at).then_some((reset_at, key))
        };
        let drawn = (0..SAMPLES)
            .filter_map(|_| {
                let place = ((u128::from(draw()) * count) >> 64) as usize;
                present(self.by_expiry[place])
            })
            .min_by_key(|(_, key)| self.used[*key as usize]);
        let (expires, key) = drawn.or_else(|| self.by_expiry.iter().copied().find_map(present))?;
        let idle_s = now.0 / TICKS_PER_SECOND - u64::from(self.used[key as usize]);
        Some((key, idle_s, expires))
    }

    /// A key that was there is gone.
    pub(super) fn gone(&mut self, key: u32) {
        self.live -= u64::from(std::mem::take(&mut self.is_there[key as usize]));
    }
}
