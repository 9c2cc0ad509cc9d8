//! Consistent hashing: rings and tables.

use super::Targets;

/// Points on the ring for each unit of weight.
const POINTS_PER_WEIGHT: u32 = 160;
/// Places of a Maglev table (Envoy `maglev.proto`, table_size).
const PLACES: usize = 65_537;
/// No target has this place yet.
const EMPTY: u32 = u32::MAX;

/// The target that a hash names, of all available as often as their weights.
pub(super) fn modulo(targets: &Targets, key: u64) -> u32 {
    let weight = |target: &u32| u64::from(targets.get(*target).weight);
    let all: u64 = targets.available.iter().map(weight).sum();
    let mut place = mix(!key) % all;
    for target in &targets.available {
        match place.checked_sub(weight(target)) {
            None => return *target,
            Some(rest) => place = rest,
        }
    }
    unreachable!("the place is below the sum of the weights")
}

/// How often nginx hashes before it takes the one whose turn it is.
const TRIES: u64 = 20;

/// The target that a hash names of all registered, as often as their weights; where that one is out, what
/// another hash adds to it names the next. [`None`] if none of them is there.
pub(super) fn rehash(targets: &Targets, key: u64) -> Option<u32> {
    let members = || targets.all.iter().enumerate().filter(|(_, target)| target.member);
    let all: u64 = members().map(|(_, target)| u64::from(target.weight)).sum();
    let mut hash = 0u64;
    for again in 0..=TRIES {
        // 15 bits of each hash are added up.
        hash += mix(!(key ^ again << 48)) >> 16 & 0x7fff;
        let mut place = hash % all.max(1);
        for (number, target) in members() {
            match place.checked_sub(u64::from(target.weight)) {
                Some(rest) => place = rest,
                None if targets.is_open(number as u32) => return Some(number as u32),
                None => break,
            }
        }
    }
    None
}

/// Points of targets on a circle of hashes; a key falls to the next one clockwise.
pub(super) struct Ring {
    points: Vec<(u64, u32)>,
    placed: u32,
    bound: Option<f64>,
}

impl Ring {
    pub(super) fn new(bound: Option<f64>) -> Ring {
        Ring { points: Vec::new(), placed: 0, bound }
    }

    /// The target of a key; where loads are bounded, the next one that has room.
    pub(super) fn choose(&mut self, targets: &Targets, key: u64) -> u32 {
        self.place(targets);
        // Keys and points are small numbers both; hashed alike, they would coincide.
        let hash = mix(!key);
        let start = self.points.partition_point(|&(point, _)| point < hash);
        let (before, after) = self.points.split_at(start);
        let clockwise = || {
            let all = after.iter().chain(before).map(|&(_, target)| target);
            all.filter(|&target| targets.get(target).available)
        };
        let fits = |&target: &u32| targets.has_room(target, self.bound);
        clockwise().find(fits).or_else(|| clockwise().next()).expect("one is available")
    }

    /// Adds the points of targets that came since. Those that went stay on the ring and are passed
    /// over, which gives each key to the same target as a ring without them.
    fn place(&mut self, targets: &Targets) {
        if self.placed == targets.len() {
            return;
        }
        for target in self.placed..targets.len() {
            for point in 0..POINTS_PER_WEIGHT * targets.get(target).weight {
                self.points.push((mix(u64::from(target) << 32 | u64::from(point)), target));
            }
        }
        self.points.sort_unstable();
        self.placed = targets.len();
    }
}

/// A Maglev table (Eisenbud and others, NSDI 2016, 3.4): each target has an order of preference of all
/// places, and they take turns to take the best one that is left.
pub(super) struct Table {
    places: Vec<u32>,
    version: u32,
    bound: Option<f64>,
}

impl Table {
    pub(super) fn new(bound: Option<f64>) -> Table {
        Table { places: Vec::new(), version: u32::MAX, bound }
    }

    pub(super) fn choose(&mut self, targets: &Targets, key: u64) -> u32 {
        if self.version != targets.version {
            self.fill(targets);
        }
        // Envoy hashes anew to find another one where loads are bounded.
        let mut hash = mix(!key);
        for _ in 0..4 * targets.available.len() {
            let target = self.places[(hash % PLACES as u64) as usize];
            if targets.has_room(target, self.bound) {
                return target;
            }
            hash = mix(hash);
        }
        self.places[(hash % PLACES as u64) as usize]
    }

    fn fill(&mut self, targets: &Targets) {
        self.version = targets.version;
        self.places = vec![EMPTY; PLACES];
        let order = |&target: &u32| {
            let offset = mix(u64::from(target) << 1) % PLACES as u64;
            let skip = mix(u64::from(target) << 1 | 1) % (PLACES as u64 - 1) + 1;
            (target, offset, skip)
        };
        let mut orders: Vec<(u32, u64, u64)> = targets.available.iter().map(order).collect();
        let mut left = PLACES;
        loop {
            for (target, next, skip) in &mut orders {
                for _ in 0..targets.get(*target).weight {
                    while self.places[*next as usize] != EMPTY {
                        *next = (*next + *skip) % PLACES as u64;
                    }
                    self.places[*next as usize] = *target;
                    left -= 1;
                    if left == 0 {
                        return;
                    }
                }
            }
        }
    }
}

/// The finaliser of SplitMix64: a bijection that spreads small numbers over all 64 bits.
pub(super) fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
