//! Consistent hashing: rings and tables.

use super::Targets;

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

/// What stands for targets on a ring.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Points {
    /// So many for each unit of weight; a key belongs to the next one clockwise.
    Next {
        /// Points.
        per_weight: u32,
    },
    /// So many for each unit of weight; a key belongs to the nearest one.
    Nearest {
        /// Points.
        per_weight: u32,
    },
    /// A ring that the available targets divide among them by weight (Envoy ring_hash_lb.cc); a key belongs
    /// to the next point.
    Shared {
        /// The fewest points.
        least: u32,
        /// The most.
        most: u32,
    },
}

/// Points of targets on a circle of hashes.
pub(super) struct Ring {
    points: Vec<(u64, u32)>,
    /// Targets that are on it; of a ring that is divided, for which set of them.
    placed: u32,
    rule: Points,
    bound: Option<f64>,
}

impl Ring {
    pub(super) fn new(bound: Option<f64>, rule: Points) -> Ring {
        Ring { points: Vec::new(), placed: 0, rule, bound }
    }

    /// The target of a key; where loads are bounded, the next one that has room.
    pub(super) fn choose(&mut self, targets: &Targets, key: u64) -> u32 {
        match self.rule {
            Points::Next { per_weight } | Points::Nearest { per_weight } => {
                self.place(targets, per_weight);
            }
            Points::Shared { least, most } => self.divide(targets, (least, most)),
        }
        // Keys and points are small numbers both; hashed alike, they would coincide.
        let hash = mix(!key);
        let start = self.points.partition_point(|&(point, _)| point < hash);
        let (before, after) = self.points.split_at(start);
        let there = |&&(_, target): &&(u64, u32)| targets.get(target).available;
        let clockwise = || after.iter().chain(before).filter(there);
        let next = *clockwise().next().expect("one is available");
        let first = match self.rule {
            Points::Nearest { .. } => {
                let mut back = before.iter().rev().chain(after.iter().rev()).filter(there);
                let last = *back.next().expect("one is available");
                let nearer = hash.wrapping_sub(last.0) <= next.0.wrapping_sub(hash);
                if nearer { last.1 } else { next.1 }
            }
            _ => next.1,
        };
        if targets.has_room(first, self.bound) {
            return first;
        }
        let fits = |&target: &u32| targets.has_room(target, self.bound);
        clockwise().map(|&(_, target)| target).find(fits).unwrap_or(first)
    }

    /// Adds the points of targets that came since. Those that went stay on the ring and are passed
    /// over, which gives each key to the same target as a ring without them.
    fn place(&mut self, targets: &Targets, per_weight: u32) {
        if self.placed == targets.len() {
            return;
        }
        for target in self.placed..targets.len() {
            let count = per_weight * targets.get(target).weight;
            self.points.extend((0..count).map(|point| point_of(target, point)));
        }
        self.points.sort_unstable();
        self.placed = targets.len();
    }

    /// Builds the ring anew for the targets that are available: the lightest has a whole number of points,
    /// and the others as many as have begun of their share.
    fn divide(&mut self, targets: &Targets, (least, most): (u32, u32)) {
        if self.placed == targets.version && !self.points.is_empty() {
            return;
        }
        self.placed = targets.version;
        self.points.clear();
        let weight = |target: &u32| f64::from(targets.get(*target).weight);
        let sum: f64 = targets.available.iter().map(weight).sum();
        let lightest = targets.available.iter().map(weight).fold(f64::INFINITY, f64::min) / sum;
        let scale = ((lightest * f64::from(least)).ceil() / lightest).min(f64::from(most));
        let (mut there, mut wanted) = (0.0, 0.0);
        for &target in &targets.available {
            wanted += scale * weight(&target) / sum;
            let mut point = 0;
            while there < wanted {
                self.points.push(point_of(target, point));
                (there, point) = (there + 1.0, point + 1);
            }
        }
        self.points.sort_unstable();
    }
}

/// A point of a target on a ring.
fn point_of(target: u32, point: u32) -> (u64, u32) {
    (mix(u64::from(target) << 32 | u64::from(point)), target)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many points each target has on the ring that it takes for a key.
    fn points(targets: &Targets, rule: Points) -> Vec<usize> {
        let mut ring = Ring::new(None, rule);
        ring.choose(targets, 1);
        let of = |target| ring.points.iter().filter(|(_, other)| *other == target).count();
        (0..targets.len()).map(of).collect()
    }

    #[test]
    fn each_product_has_its_number_of_points() {
        let mut targets = Targets::new(&[1, 3, 1]);
        assert_eq!(points(&targets, Points::Next { per_weight: 160 }), [160, 480, 160]);
        assert_eq!(points(&targets, Points::Nearest { per_weight: 16 }), [16, 48, 16]);
        // A fifth of 1,024 is 204.8: 205 for the lightest, and 1,025 in all.
        let envoy = Points::Shared { least: 1_024, most: 8 << 20 };
        assert_eq!(points(&targets, envoy), [205, 615, 205]);
        // Eight at most: 1.6, 4.8 and 1.6, and whatever has begun counts.
        assert_eq!(points(&targets, Points::Shared { least: 8, most: 8 }), [2, 5, 1]);
        assert_eq!(points(&targets, Points::Shared { least: 1, most: 1 }), [1, 0, 0]);
        // One that is out has none, and the others divide the ring.
        targets.set_available(1, false);
        assert_eq!(points(&targets, envoy), [512, 0, 512]);
        assert_eq!(
            points(&targets, Points::Next { per_weight: 160 }),
            [160, 480, 160],
            "passed over"
        );
    }

    #[test]
    fn the_nearest_point_has_a_key_and_not_the_next() {
        let mut targets = Targets::new(&[1, 1]);
        let mut ring = Ring::new(None, Points::Nearest { per_weight: 1 });
        let [zero, one] = [point_of(0, 0).0, point_of(1, 0).0];
        let mut both = 0;
        for key in 0..1_000 {
            let hash = mix(!key);
            let apart = |point: u64| point.wrapping_sub(hash).min(hash.wrapping_sub(point));
            let nearest = u32::from(apart(one) < apart(zero));
            assert_eq!(ring.choose(&targets, key), nearest, "{key}");
            both += nearest;
        }
        // Two points halve a circle, wherever they are.
        assert!((450..550).contains(&both), "{both}");
        targets.set_available(0, false);
        assert!((0..100).all(|key| ring.choose(&targets, key) == 1));
    }
}
