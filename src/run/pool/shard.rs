//! Which shard has what.

use crate::run::task::NONE;

/// The shard of a user or a key: the hash that spreads them is a bijection, so shards hold equally many.
pub fn shard_of(user: u32, shards: u32) -> u32 {
    debug_assert!(user != NONE);
    let mixed = (u64::from(user).wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((u128::from(mixed ^ (mixed >> 29)) * u128::from(shards)) >> 64) as u32
}
