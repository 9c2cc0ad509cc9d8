//! When a heap of two generations is collected (V8): the young one each time it is full, the old one
//! each time so much has survived into it.

/// When a heap is collected. Bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Generations {
    /// What fills the young generation.
    pub young: f64,
    /// The share of that which survives.
    pub survives: f64,
    /// What survives between two collections of the old generation.
    pub old: f64,
}

/// One heap.
#[derive(Clone, Copy, Default, Debug)]
pub struct Heap {
    young: f64,
    old: f64,
    /// Collections so far.
    pub collected: u32,
}

/// What an allocation makes necessary.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Collections {
    /// Collections of the young generation.
    pub minor: u32,
    /// Collections of the old generation.
    pub major: u32,
}

impl Heap {
    /// The heap of a process that takes the place of another.
    pub fn emptied(self) -> Heap {
        Heap { collected: self.collected, ..Heap::default() }
    }

    /// So much is allocated; the old generation has no more room than this for what survives.
    pub fn allocate(&mut self, bytes: f64, rule: &Generations, room: f64) -> Collections {
        let fill = |level: &mut f64, bytes: f64, full: f64| {
            *level += bytes;
            let times = (*level / full).floor();
            *level -= times * full;
            times
        };
        let minor = fill(&mut self.young, bytes, rule.young);
        let survived = minor * rule.young * rule.survives;
        // Nearly full, it is collected each time that something survives.
        let old = rule.old.min(room.max(rule.young * rule.survives));
        let major = if survived > 0.0 { fill(&mut self.old, survived, old) } else { 0.0 };
        self.collected = self.collected.wrapping_add(minor as u32);
        Collections { minor: minor as u32, major: major as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_is_collected_when_it_is_full() {
        let rule = Generations { young: 16.0, survives: 0.25, old: 12.0 };
        let mut heap = Heap::default();
        let mut seen = (0..48).map(|_| heap.allocate(2.0, &rule, f64::INFINITY));
        let when: Vec<(usize, u32)> = (1..)
            .zip(&mut seen)
            .filter(|(_, it)| it.minor > 0)
            .map(|(time, it)| (time, it.major))
            .collect();
        // Every eighth fills the young one, of which 4 survive; three times that fills the old one.
        assert_eq!(when, [(8, 0), (16, 0), (24, 1), (32, 0), (40, 0), (48, 1)]);
        assert_eq!(heap.allocate(32.0, &rule, 1e9), Collections { minor: 2, major: 0 });
        // With room for eight the old one is full each second time, with none each time.
        let mut majors =
            |room| (0..4).map(|_| heap.allocate(16.0, &rule, room).major).collect::<Vec<_>>();
        assert_eq!(majors(8.0), [1, 1, 0, 1], "it holds eight, and four more each time");
        assert_eq!(majors(0.0), [1, 1, 1, 1]);
    }
}
