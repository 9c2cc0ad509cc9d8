//! Random streams that are found by name, never by the order in which they are made.
//!
//! A stream is reached from the seed along a path: replication, component, purpose. Each request
//! then draws from the stream at its own ordinal, and nothing is stored in between:
//!
//! ```
//! use loadbearing::stream::Seed;
//! let service = Seed(1).replication(0).named("postgres.main").named("service");
//! let mut draws = service.draw(7); // request number 7, whenever it comes
//! assert_eq!(draws.unit(), service.draw(7).unit());
//! ```
//!
//! So a number depends neither on the order of events nor on the number of threads, a new component
//! moves nobody else's numbers, and two designs meet the same users and the same work, request by
//! request (common random numbers).
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) with the finaliser "Mix13" of
//! David Stafford. All starting points lie on one cycle of 2^64 numbers, so among N sequences of L
//! draws about N^2 L / 2^64 pairs overlap: for 10^9 requests of four draws, a fifth of a pair.

use std::convert::Infallible;

/// The weyl increment of SplitMix64: the odd number nearest to 2^64 / golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// Spreads ordinals; odd, and unrelated to [`GOLDEN`], which already separates consecutive draws.
const ORDINAL: u64 = 0xD134_2543_DE82_EF95;
/// 2^-53, the distance between neighbouring values of [`Draws::unit`].
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// What a step of a path is, so that replication 3, number 3 and a name never meet.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Step {
    Replication = 0x6A09_E667_F3BC_C908,
    Name = 0x3B67_AE85_84CA_A73B,
    Number = 0x3C6E_F372_FE94_F82B,
}

/// A bijection of 64-bit words in which every bit of the input moves every bit of the output.
#[inline(always)]
const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// The seed of a run: with the same files it gives the same bytes of output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// The root of all streams of one replication; earlier replications never change when more are
    /// added.
    pub fn replication(self, index: u32) -> StreamKey {
        StreamKey(mix(self.0.wrapping_add(GOLDEN))).step(Step::Replication, u64::from(index))
    }
}

/// A random stream, or a place from which streams branch off.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamKey(u64);

impl StreamKey {
    /// The stream under this one that bears `name`.
    pub fn named(self, name: &str) -> StreamKey {
        // FNV-1a, 64 bits; `step` mixes what it leaves unmixed.
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        self.step(Step::Name, hash)
    }
    /// The stream under this one that bears the number `n` (the n-th pod, user or cell).
    #[inline]
    pub fn numbered(self, n: u64) -> StreamKey {
        self.step(Step::Number, n)
    }
    /// The draws of the request (or job, or visit) with this ordinal.
    #[inline]
    pub fn draw(self, ordinal: u64) -> Draws {
        // Exclusive or, not a sum: were keys and ordinals added, two streams whose keys happen to
        // differ by a multiple of ORDINAL would be one stream, shifted.
        Draws(mix(self.0 ^ ordinal.wrapping_mul(ORDINAL)))
    }

    #[inline]
    fn step(self, step: Step, word: u64) -> StreamKey {
        StreamKey(mix(self.0 ^ mix(word.wrapping_add(step as u64))))
    }
}

/// A short sequence of random numbers: the draws of one request for one purpose.
///
/// It is copied freely; a copy repeats what its original will say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }
    /// Uniform on [0, 1), a multiple of 2^-53.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * UNIT
    }
    /// Uniform on (0, 1], a multiple of 2^-53: safe to take a logarithm of.
    #[inline]
    pub fn unit_open(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 * UNIT
    }
    /// Uniform on 0, 1, ..., n - 1, each with probability 1/n to within 2^-64.
    ///
    /// # Panics
    /// In debug builds, if `n` is zero.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        debug_assert!(n > 0, "there is no number below zero");
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u32
    }
    /// True with probability `p`: never for 0, always for 1.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

/// Lets samplers from other crates draw through a stream.
impl rand::TryRng for Draws {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next_u64() >> 32) as u32)
    }
    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next_u64())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Draws looked at by each check.
    const COUNT: u64 = 200_000;
    /// Every check below is a standard normal deviate under the null hypothesis; |z| beyond 4.5 is
    /// a false alarm once in 150,000 checks, and there are about a hundred.
    const ALARM: f64 = 4.5;

    /// Pearson's chi-squared statistic as a standard normal deviate (Wilson and Hilferty, 1931).
    pub(crate) fn chi_squared_z(observed: &[u64], expected: &[f64]) -> f64 {
        let terms = observed.iter().zip(expected);
        let statistic: f64 = terms.map(|(&o, e)| (o as f64 - e) * (o as f64 - e) / e).sum();
        let freedom = (observed.len() - 1) as f64;
        let spread = 2.0 / (9.0 * freedom);
        (libm::cbrt(statistic / freedom) - (1.0 - spread)) / spread.sqrt()
    }

    /// The worst |z| of: each of the eight bytes equally often each value; neighbours uncorrelated;
    /// words that are neighbours differ in half of their bits.
    fn worst(word: impl Fn(u64) -> u64) -> f64 {
        let words: Vec<u64> = (0..COUNT).map(word).collect();
        let mut worst = 0.0_f64;
        for byte in 0..8 {
            let mut counts = [0_u64; 256];
            for word in &words {
                counts[usize::from(word.to_le_bytes()[byte])] += 1;
            }
            worst = worst.max(chi_squared_z(&counts, &[COUNT as f64 / 256.0; 256]).abs());
        }
        let units: Vec<f64> = words.iter().map(|word| (word >> 11) as f64 * UNIT - 0.5).collect();
        for lag in [1, 2, 16] {
            let products = units.iter().zip(&units[lag..]);
            // A product of two independent uniforms on [-1/2, 1/2) has variance 1/144.
            let sum: f64 = products.map(|(a, b)| a * b).sum();
            worst = worst.max((sum * 12.0 / ((COUNT - lag as u64) as f64).sqrt()).abs());
        }
        let flips: u32 = words.windows(2).map(|pair| (pair[0] ^ pair[1]).count_ones()).sum();
        let bits = (COUNT - 1) as f64 * 64.0;
        worst.max(((f64::from(flips) - bits / 2.0) / (bits / 4.0).sqrt()).abs())
    }

    #[test]
    fn streams_are_uniform_and_unrelated_to_their_neighbours() {
        let key = Seed(1).replication(0).named("node.api").named("service");
        let checks: [(&str, f64); 9] = [
            ("ordinals", worst(|i| key.draw(i).next_u64())),
            ("ordinals, high bits", worst(|i| key.draw(i << 44).next_u64())),
            (
                "second draws",
                worst(|i| {
                    let mut draws = key.draw(i);
                    draws.next_u64();
                    draws.next_u64()
                }),
            ),
            ("one after another", {
                let word = std::cell::Cell::new(key.draw(0));
                worst(|_| {
                    let mut draws = word.get();
                    let next = draws.next_u64();
                    word.set(draws);
                    next
                })
            }),
            ("numbers", worst(|i| key.numbered(i).draw(0).next_u64())),
            ("numbers and ordinals", worst(|i| key.numbered(i).draw(i).next_u64())),
            ("names", worst(|i| key.named(&format!("pod-{i}")).draw(0).next_u64())),
            ("seeds", worst(|i| Seed(i).replication(0).draw(0).next_u64())),
            ("replications", worst(|i| Seed(1).replication(i as u32).draw(0).next_u64())),
        ];
        for (what, z) in checks {
            assert!(z < ALARM, "{what}: z = {z}");
        }
        // Teeth: a counter that is spread but not mixed, and a word with one bit a little too
        // often.
        assert!(worst(|i| i.wrapping_mul(GOLDEN)) > ALARM);
        assert!(worst(|i| key.draw(i).next_u64() | u64::from(i % 33 == 0)) > ALARM);
    }

    #[test]
    fn two_streams_at_the_same_ordinals_are_uncorrelated() {
        let root = Seed(1).replication(0);
        let correlation_z = |a: StreamKey, b: StreamKey| {
            let products = (0..COUNT).map(|i| (a.draw(i).unit() - 0.5) * (b.draw(i).unit() - 0.5));
            products.sum::<f64>() * 12.0 / (COUNT as f64).sqrt()
        };
        let service = root.named("node.api").named("service");
        for other in [
            root.named("node.api").named("arrivals"),
            root.named("service").named("node.api"),
            root.named("node.apj").named("service"),
            Seed(2).replication(0).named("node.api").named("service"),
            Seed(1).replication(1).named("node.api").named("service"),
            service.numbered(0),
            service.numbered(1),
        ] {
            let z = correlation_z(service, other);
            assert!(z.abs() < ALARM, "{other:?}: z = {z}");
        }
        assert!(correlation_z(service, service) > ALARM, "a stream is correlated with itself");
    }

    #[test]
    fn a_stream_is_found_by_its_name_alone() {
        let root = Seed(7).replication(3);
        let alone = root.named("pool.pg").draw(5);
        let _ = root.named("pool.redis");
        assert_eq!(root.named("pool.pg").draw(5), alone);
        assert_ne!(root.named("3"), root.numbered(3));
        assert_ne!(root.named(""), root);
        assert_ne!(root.named("a").named("b"), root.named("ab"));
    }

    #[test]
    fn units_and_integers_stay_in_their_ranges() {
        // The word of all ones and the word of all zeros, by walking the mixing function backwards.
        let unmix = |target: u64| {
            let undo = |word: u64, shift: u32| {
                let mut out = word;
                for _ in 0..64 / shift {
                    out = word ^ (out >> shift);
                }
                out
            };
            let word = undo(target, 31).wrapping_mul(0x3196_42B2_D24D_8EC3);
            let word = undo(word, 27).wrapping_mul(0x96DE_1B17_3F11_9089);
            Draws(undo(word, 30).wrapping_sub(GOLDEN))
        };
        let (zeros, ones) = (unmix(0), unmix(u64::MAX));
        assert_eq!(({ zeros }.next_u64(), { ones }.next_u64()), (0, u64::MAX));
        assert_eq!(({ zeros }.unit(), { ones }.unit()), (0.0, 1.0 - UNIT));
        assert_eq!(({ zeros }.unit_open(), { ones }.unit_open()), (UNIT, 1.0));
        assert_eq!(({ zeros }.below(10), { ones }.below(10)), (0, 9));
        assert!({ ones }.chance(1.0) && !{ zeros }.chance(0.0));
        let mut draws = Seed(1).replication(0).draw(0);
        let mut counts = [0_u64; 6];
        (0..60_000).for_each(|_| counts[draws.below(6) as usize] += 1);
        assert!(chi_squared_z(&counts, &[10_000.0; 6]).abs() < ALARM, "{counts:?}");
    }

    #[test]
    fn values_are_stable() {
        let mut draws = Seed(42).replication(1).named("users").numbered(2).draw(3);
        assert_eq!(
            [draws.next_u64(), draws.next_u64()],
            [862_630_582_725_150_026, 1_146_982_746_970_563_772]
        );
        // The same state drawn through rand's traits.
        let mut other = Seed(42).replication(1).named("users").numbered(2).draw(3);
        let mut bytes = [0; 11];
        rand::Rng::fill_bytes(&mut other, &mut bytes);
        let mut words = Seed(42).replication(1).named("users").numbered(2).draw(3);
        assert_eq!(bytes[..8], words.next_u64().to_le_bytes());
        assert_eq!(bytes[8..], words.next_u64().to_le_bytes()[..3]);
        assert_eq!(other, words);
    }
}
