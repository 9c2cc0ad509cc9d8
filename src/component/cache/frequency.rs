//! Redis' counter of uses for LFU eviction (evict.c): eight bits that rise by chance ever more
//! slowly, and fall by one for each minute in which nothing has happened, beside the minute of the
//! last look, in the place where LRU keeps its clock.

use crate::units::{TICKS_PER_SECOND, Time};

/// A new key is given time to be used (server.h, LFU_INIT_VAL).
const INITIAL: u32 = 5;
/// `lfu-log-factor` (redis.conf).
const LOG_FACTOR: f64 = 10.0;
/// `lfu-decay-time` is one minute (redis.conf).
const DECAY_S: u64 = 60;

/// The minute, in the sixteen bits that are kept of it.
fn minute(now: Time) -> u32 {
    ((now.0 / TICKS_PER_SECOND / DECAY_S) & 0xffff) as u32
}

fn packed(now: Time, count: u32) -> u32 {
    minute(now) << 8 | count
}

/// The score for eviction of a key that was new so long ago and is used by nobody.
pub(super) fn score_unused(idle_s: u64) -> u64 {
    255 - u64::from(INITIAL).saturating_sub(idle_s / DECAY_S)
}

/// The counter of a key that is new.
pub(super) fn fresh(now: Time) -> u32 {
    packed(now, INITIAL)
}

/// The counter as it stands at `now` (LFUDecrAndReturn).
pub(super) fn decayed(kept: u32, now: Time) -> u32 {
    let passed = minute(now).wrapping_sub(kept >> 8) & 0xffff;
    (kept & 0xff).saturating_sub(passed)
}

/// The counter after a use at `now` (updateLFU, LFULogIncr).
pub(super) fn used(kept: u32, now: Time, draws: &mut impl FnMut() -> u64) -> u32 {
    let count = decayed(kept, now);
    let beyond = f64::from(count.saturating_sub(INITIAL));
    let unit = (draws() >> 11) as f64 / (1u64 << 53) as f64;
    let rises = count < 255 && unit < 1.0 / (beyond * LOG_FACTOR + 1.0);
    packed(now, count + u32::from(rises))
}

/// The counter to which a key comes that is used so often (1/s): where it rises once a minute.
pub(super) fn settled(now: Time, rate_per_s: f64) -> u32 {
    let uses = rate_per_s * DECAY_S as f64;
    let count = match uses {
        few if few < 1.0 => f64::from(INITIAL) * few,
        many => f64::from(INITIAL) + (many - 1.0) / LOG_FACTOR,
    };
    packed(now, count.min(255.0) as u32)
}
