//! Which shard has what.

use crate::run::task::NONE;

/// The shard of a user or a key: the hash that spreads them is a bijection, so shards hold equally many.
pub fn shard_of(user: u32, shards: u32) -> u32 {
    debug_assert!(user != NONE);
    let mixed = (u64::from(user).wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((u128::from(mixed ^ (mixed >> 29)) * u128::from(shards)) >> 64) as u32
}

/// The shard of a user or a key after their number has changed: of n shards that become m > n each keeps
/// n/m of what it has, and each new one gets as much; of those that become fewer the rest is spread.
pub fn shard_after(user: u32, from: u32, to: u32) -> u32 {
    let before = shard_of(user, from);
    // Independent of where it is: another multiplier, and another fold.
    let mixed = (u64::from(user).wrapping_add(1)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let place = ((u128::from(mixed ^ (mixed >> 32)) * u128::from(to)) >> 64) as u32;
    let moves = if to > from { place >= from } else { before >= to };
    if moves { place } else { before }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_keys_move_as_can_and_shards_stay_even() {
        let keys = 100_000;
        for (from, to, moving) in [(1, 2, 0.5), (4, 5, 0.2), (16, 100, 0.84), (4, 3, 0.25)] {
            let mut held = vec![0_u32; to as usize];
            let mut moved = 0;
            for key in 0..keys {
                let after = shard_after(key, from, to);
                held[after as usize] += 1;
                moved += u32::from(after != shard_of(key, from));
            }
            let share = f64::from(moved) / f64::from(keys);
            assert!((share - moving).abs() < 0.01, "{from} to {to}: {share} move");
            let even = f64::from(keys) / f64::from(to);
            // Six standard deviations of a fair share.
            let bound = 6.0 * even.sqrt();
            assert!(held.iter().all(|it| (f64::from(*it) - even).abs() < bound), "{held:?}");
        }
    }
}
