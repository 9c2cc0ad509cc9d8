//! Which shard or partition has what.

/// The shard of a user or a key: the hash that spreads them is a bijection, so shards hold equally many.
pub fn shard_of(user: u32, shards: u32) -> u32 {
    debug_assert!(user != u32::MAX);
    let mixed = (u64::from(user).wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((u128::from(mixed ^ (mixed >> 29)) * u128::from(shards)) >> 64) as u32
}

/// The shard of a user or a key after their number has changed: of n shards that become m > n each keeps
/// n/m of what it has, and each new one gets as much; of those that become fewer the rest is spread.
pub fn shard_after(user: u32, from: u32, to: u32) -> u32 {
    let before = shard_of(user, from);
    let place = elsewhere(user, to);
    let moves = if to > from { place >= from } else { before >= to };
    if moves { place } else { before }
}

/// The same where the shard is the hash modulo their number. Of a hash h only h mod `from` is known, the
/// shard before; how often `from` goes into what it is modulo the least common multiple is a further
/// draw, and both together say what h mod `to` is.
pub fn shard_modulo(user: u32, from: u32, to: u32) -> u32 {
    let before = shard_of(user, from);
    let (mut divisor, mut rest) = (from, to);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let turns = elsewhere(user, to / divisor);
    ((u64::from(before) + u64::from(from) * u64::from(turns)) % u64::from(to)) as u32
}

/// One of so many, independent of where a user or a key is: another multiplier, and another fold.
fn elsewhere(user: u32, places: u32) -> u32 {
    let mixed = (u64::from(user).wrapping_add(1)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    ((u128::from(mixed ^ (mixed >> 32)) * u128::from(places)) >> 64) as u32
}

/// Where a key lies among all, as a share of 2^16, whichever its shard is.
pub fn spread_of(rank: u32) -> u16 {
    elsewhere(rank, 1 << u16::BITS) as u16
}

/// The partition of a key.
pub fn partition_of(rank: u32, partitions: u32) -> u32 {
    let mixed = u64::from(rank).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    ((mixed >> 32) % u64::from(partitions)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_keys_move_as_can_and_shards_stay_even() {
        for (from, to, moving) in [(1, 2, 0.5), (4, 5, 0.2), (16, 100, 0.84), (4, 3, 0.25)] {
            moves(shard_after, from, to, moving);
        }
    }

    /// Those stay whose remainders agree: of 400 hashes 16 from 16 to 100 shards.
    #[test]
    fn modulo_moves_nearly_all() {
        for (from, to, moving) in
            [(1, 2, 0.5), (4, 5, 0.8), (16, 100, 0.96), (4, 3, 0.75), (4, 8, 0.5)]
        {
            moves(shard_modulo, from, to, moving);
        }
    }

    fn moves(rule: fn(u32, u32, u32) -> u32, from: u32, to: u32, moving: f64) {
        let keys = 100_000;
        {
            let mut held = vec![0_u32; to as usize];
            let mut moved = 0;
            for key in 0..keys {
                let after = rule(key, from, to);
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
