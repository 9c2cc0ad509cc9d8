//! Which master of a Redis Cluster holds a key.

use super::Key;

/// Hash slots of a cluster (cluster.h, CLUSTER_SLOTS).
pub const SLOTS: u32 = 16_384;

/// What of a key's name decides its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// The whole name: the keys of a keyset spread over all slots.
    Spread,
    /// A hash tag `{...}` that all its keys share: one slot, so one master carries the keyset.
    HashTag,
}

/// The slot of `key`.
///
/// # Model
/// Redis takes the CRC16 of the name; keys have no names here, so a mix of keyset and rank stands
/// in. Both spread keys evenly.
pub fn slot_of(key: Key, placement: Placement) -> u32 {
    let rank = match placement {
        Placement::Spread => key.rank,
        Placement::HashTag => u32::MAX,
    };
    (mix(u64::from(key.keyset) << 32 | u64::from(rank)) % u64::from(SLOTS)) as u32
}

/// The master that owns `slot` when `masters` share the slots evenly, in consecutive ranges as
/// `redis-cli --cluster create` deals them out.
///
/// # Panics
/// If there are no masters.
pub fn node_of(slot: u32, masters: u32) -> u32 {
    assert!(masters > 0, "a cluster has at least one master");
    // Master i starts at i * SLOTS / masters, rounded; the inverse is one off where it rounds.
    let start = |master: u32| (2 * master * SLOTS + masters) / (2 * masters);
    let guess = slot * masters / SLOTS;
    if start(guess) > slot {
        guess - 1
    } else if guess + 1 < masters && start(guess + 1) <= slot {
        guess + 1
    } else {
        guess
    }
}

/// A mix in which every bit of the input reaches every bit of the output (the finaliser of
/// MurmurHash3).
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ (value >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_masters_own_the_ranges_of_redis_cli() {
        let ends = [0, 5_460, 5_461, 10_922, 10_923, 16_383];
        assert_eq!(ends.map(|slot| node_of(slot, 3)), [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn every_master_owns_its_even_share_of_consecutive_slots() {
        for masters in [1, 2, 3, 5, 6, 7, 100, 1_000] {
            let owners: Vec<u32> = (0..SLOTS).map(|slot| node_of(slot, masters)).collect();
            assert!(owners.is_sorted());
            for master in 0..masters {
                let owned = owners.iter().filter(|&&owner| owner == master).count() as u32;
                let (least, most) = (SLOTS / masters, SLOTS.div_ceil(masters));
                assert!((least..=most).contains(&owned), "{masters}: {owned}");
            }
        }
    }

    #[test]
    fn keys_spread_evenly_and_a_hash_tag_pins_them() {
        let nodes = |placement| {
            let mut held = [0u32; 6];
            for rank in 0..600_000 {
                let slot = slot_of(Key { keyset: 1, rank }, placement);
                held[node_of(slot, 6) as usize] += 1;
            }
            held
        };
        // Chi-squared with 5 degrees of freedom: 20.5 is exceeded once in a thousand.
        let spread = nodes(Placement::Spread);
        let chi: f64 =
            spread.iter().map(|&held| (f64::from(held) - 100_000.0).powi(2) / 100_000.0).sum();
        assert!(chi < 20.5, "{spread:?}");
        assert_eq!(nodes(Placement::HashTag).iter().filter(|&&held| held > 0).count(), 1);
    }
}
