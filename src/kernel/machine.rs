//! The cores of a machine: one crowd that shares them, or several of which one goes before another.

use super::ProcessorSharing;
use crate::units::{Duration, Time};
use std::collections::VecDeque;

/// Who goes first on a machine: the real-time classes of Linux (`chrt`) before everything else, what
/// is idle (`cpu.idle`, SCHED_IDLE) or merely ordinary beside them behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rank {
    /// Before all others.
    High,
    /// What is not said.
    #[default]
    Normal,
    /// On cores that nobody else wants.
    Low,
}

/// How many ranks there are.
const RANKS: usize = 3;

/// The cores of a machine, and who is on them.
#[derive(Clone, Debug)]
pub enum MachineCores {
    /// All are equal, and share the cores at every moment.
    Equal(ProcessorSharing),
    /// Some go before others, or keep a core for a turn.
    Ranked(Box<RankedCores>),
}

/// Cores on which a higher rank takes what it wants at once, and the jobs of one rank share what is
/// left to it.
///
/// With turns, a job that finds no core free for its rank waits until one is, or until its turn comes
/// (how long that takes is the caller's to say): on a real scheduler who computes keeps the core for
/// a while. From then on it shares. Every verb takes the present; time must not run backwards.
#[derive(Clone, Debug)]
pub struct RankedCores {
    cores: f64,
    ranks: [ProcessorSharing; RANKS],
    /// Who waits for a turn, first come first.
    waiting: [VecDeque<Waiting>; RANKS],
    turns: bool,
    tickets: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: u32,
    job: u32,
    work: Duration,
}

/// As what a job comes to a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// Who goes first.
    pub rank: Rank,
    /// Its process was on a core until now and goes on: it needs no turn.
    pub goes_on: bool,
}

impl Start {
    /// The start of a process that has waited for something.
    pub fn anew(rank: Rank) -> Start {
        Start { rank, goes_on: false }
    }
}

/// A job that waits for its turn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Turn {
    /// By which it can be called.
    pub ticket: u32,
    /// How many of its rank compute on each core that its rank has, at least one.
    pub crowd: f64,
}

impl RankedCores {
    /// Idle cores.
    pub fn new(cores: f64, turns: bool) -> RankedCores {
        RankedCores {
            cores,
            ranks: std::array::from_fn(|_| ProcessorSharing::new(cores, 0.0, 0.0)),
            waiting: Default::default(),
            turns,
            tickets: 0,
        }
    }

    /// Cores that higher ranks leave to a rank.
    fn left_to(&self, rank: usize) -> f64 {
        let taken: f64 = self.ranks[..rank].iter().map(ProcessorSharing::busy_cores).sum();
        (self.cores - taken).max(0.0)
    }

    #[inline(never)]
    fn add(&mut self, now: Time, work: Duration, job: u32, from: Start) -> Option<Turn> {
        let rank = from.rank as usize;
        let left = self.left_to(rank);
        let there = self.ranks[rank].len() as f64;
        let crowded = there + 1.0 > left || !self.waiting[rank].is_empty();
        if self.turns && crowded && !from.goes_on {
            let ticket = self.tickets;
            self.tickets += 1;
            self.waiting[rank].push_back(Waiting { ticket, job, work });
            return Some(Turn { ticket, crowd: (there / left.max(1.0)).max(1.0) });
        }
        self.ranks[rank].add(now, work, job);
        self.settle(now);
        None
    }

    /// After every change: each rank has what higher ones leave, and who waits takes what is free.
    fn settle(&mut self, now: Time) {
        let mut left = self.cores;
        for (cores, waiting) in self.ranks.iter_mut().zip(&mut self.waiting) {
            if cores.cores() != left {
                cores.set_cores(now, left);
            }
            while (cores.len() as f64) < left {
                let Some(first) = waiting.pop_front() else { break };
                cores.add(now, first.work, first.job);
            }
            left = (left - cores.busy_cores()).max(0.0);
        }
    }

    #[inline(never)]
    fn remove(&mut self, now: Time, job: u32) -> Option<Duration> {
        for waiting in &mut self.waiting {
            if let Some(place) = waiting.iter().position(|it| it.job == job) {
                return waiting.remove(place).map(|it| it.work);
            }
        }
        let left = self.ranks.iter_mut().find_map(|cores| cores.remove(now, job));
        self.settle(now);
        left
    }

    #[inline(never)]
    fn depart(&mut self, now: Time) -> Option<u32> {
        let job = self.ranks.iter_mut().find_map(|cores| cores.depart(now));
        self.settle(now);
        job
    }

    fn set_cores(&mut self, now: Time, all: f64) {
        self.cores = all;
        self.settle(now);
    }

    #[inline(never)]
    fn next_departure(&self) -> Option<Time> {
        self.ranks.iter().filter_map(ProcessorSharing::next_departure).min()
    }

    #[inline(never)]
    fn busy_milli(&self) -> u64 {
        self.ranks.iter().map(ProcessorSharing::busy_milli).sum()
    }

    fn len(&self) -> usize {
        let there: usize = self.ranks.iter().map(ProcessorSharing::len).sum();
        there + self.waiting.iter().map(VecDeque::len).sum::<usize>()
    }
}

// What most machines are is decided where it is asked, and the rest stays out of the way.
impl MachineCores {
    /// A job arrives with its work: the time it needs alone on a core. It may have to wait for its
    /// turn.
    #[inline(always)]
    pub fn add(&mut self, now: Time, work: Duration, job: u32, from: Start) -> Option<Turn> {
        match self {
            MachineCores::Equal(cores) => {
                cores.add(now, work, job);
                None
            }
            MachineCores::Ranked(cores) => cores.add(now, work, job, from),
        }
    }

    /// It is a job's turn, if it waits still.
    pub fn call(&mut self, now: Time, ticket: u32) {
        let MachineCores::Ranked(cores) = self else { return };
        for rank in 0..RANKS {
            let found = cores.waiting[rank].iter().position(|it| it.ticket == ticket);
            if let Some(called) = found.and_then(|place| cores.waiting[rank].remove(place)) {
                cores.ranks[rank].add(now, called.work, called.job);
                return cores.settle(now);
            }
        }
    }

    /// A job leaves before its end: the work left of it; `None` if it is not here.
    #[inline(always)]
    pub fn remove(&mut self, now: Time, job: u32) -> Option<Duration> {
        match self {
            MachineCores::Equal(cores) => cores.remove(now, job),
            MachineCores::Ranked(cores) => cores.remove(now, job),
        }
    }

    /// Takes out a job that has finished by `now`; `None` when no more has.
    #[inline(always)]
    pub fn depart(&mut self, now: Time) -> Option<u32> {
        match self {
            MachineCores::Equal(cores) => cores.depart(now),
            MachineCores::Ranked(cores) => cores.depart(now),
        }
    }

    /// When the next job departs if nothing else happens.
    #[inline(always)]
    pub fn next_departure(&self) -> Option<Time> {
        match self {
            MachineCores::Equal(cores) => cores.next_departure(),
            MachineCores::Ranked(cores) => cores.next_departure(),
        }
    }

    /// The number of cores changes.
    #[inline(always)]
    pub fn set_cores(&mut self, now: Time, all: f64) {
        match self {
            MachineCores::Equal(cores) => cores.set_cores(now, all),
            MachineCores::Ranked(cores) => cores.set_cores(now, all),
        }
    }

    /// Busy cores at present, in thousandths.
    #[inline(always)]
    pub fn busy_milli(&self) -> u64 {
        match self {
            MachineCores::Equal(cores) => cores.busy_milli(),
            MachineCores::Ranked(cores) => cores.busy_milli(),
        }
    }

    /// How many jobs are there, those that wait for a turn included.
    #[inline(always)]
    pub fn len(&self) -> usize {
        match self {
            MachineCores::Equal(cores) => cores.len(),
            MachineCores::Ranked(cores) => cores.len(),
        }
    }

    /// True when nobody is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cores in all.
    #[inline(always)]
    pub fn cores(&self) -> f64 {
        match self {
            MachineCores::Equal(cores) => cores.cores(),
            MachineCores::Ranked(cores) => cores.cores,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Time {
        Time::ZERO + Duration::micros(micros)
    }
    const MS: Duration = Duration::millis(1);

    fn machine(cores: f64, turns: bool) -> MachineCores {
        MachineCores::Ranked(Box::new(RankedCores::new(cores, turns)))
    }

    #[test]
    fn a_higher_rank_stops_a_lower_one_at_once() {
        let mut it = machine(1.0, false);
        it.add(at(0), MS, 1, Start::anew(Rank::Low));
        it.add(at(400), MS, 2, Start::anew(Rank::Normal));
        assert_eq!(it.next_departure(), Some(at(1_400)));
        it.add(at(500), MS, 3, Start::anew(Rank::High));
        assert_eq!(it.next_departure(), Some(at(1_500)));
        assert_eq!(it.depart(at(1_500)), Some(3));
        assert_eq!(it.next_departure(), Some(at(2_400)));
        assert_eq!(it.depart(at(2_400)), Some(2));
        // 0.6 ms of the first are left.
        assert_eq!(it.next_departure(), Some(at(3_000)));
        assert_eq!((it.depart(at(3_000)), it.is_empty()), (Some(1), true));
    }

    #[test]
    fn equals_share_what_higher_ranks_leave() {
        let mut it = machine(2.0, false);
        it.add(at(0), MS, 1, Start::anew(Rank::High));
        it.add(at(0), MS, 2, Start::anew(Rank::Low));
        it.add(at(0), MS, 3, Start::anew(Rank::Low));
        assert_eq!(it.busy_milli(), 2_000);
        assert_eq!(it.depart(at(1_000)), Some(1));
        // Half done each; from now on they have a core each.
        assert_eq!(it.next_departure(), Some(at(1_500)));
    }

    #[test]
    fn who_finds_no_core_waits_for_one_or_for_its_turn() {
        let mut it = machine(1.0, true);
        assert_eq!(it.add(at(0), MS, 1, Start::anew(Rank::Low)), None);
        let second = it.add(at(0), MS, 2, Start::anew(Rank::Low)).expect("the core is taken");
        let third = it.add(at(0), MS, 3, Start::anew(Rank::Low)).expect("the core is taken");
        assert_eq!((second.crowd, it.len(), it.busy_milli()), (1.0, 3, 1_000));
        // A process that goes on needs no turn.
        let on = Start { rank: Rank::Low, goes_on: true };
        assert_eq!((it.add(at(0), MS, 4, on), it.remove(at(0), 4)), (None, Some(MS)));
        // The third is called first, and shares: half a millisecond is left of the first.
        it.call(at(500), third.ticket);
        assert_eq!(it.next_departure(), Some(at(1_500)));
        assert_eq!(it.depart(at(1_500)), Some(1));
        assert_eq!(it.depart(at(2_000)), Some(3));
        // The core is free: the second has begun, and is called in vain.
        it.call(at(2_100), second.ticket);
        assert_eq!(it.next_departure(), Some(at(3_000)));
        assert_eq!(it.remove(at(2_500), 2), Some(Duration::micros(500)));
        assert!(it.is_empty());
    }

    #[test]
    fn nothing_goes_on_while_the_cores_are_away() {
        let mut it = machine(1.0, true);
        it.add(at(0), MS, 1, Start::anew(Rank::Normal));
        it.set_cores(at(500), 0.0);
        it.add(at(600), MS, 2, Start::anew(Rank::High));
        assert_eq!((it.next_departure(), it.busy_milli()), (None, 0));
        it.set_cores(at(1_000), 1.0);
        assert_eq!(it.next_departure(), Some(at(2_000)));
        assert_eq!(it.depart(at(2_000)), Some(2));
        assert_eq!(it.next_departure(), Some(at(2_500)));
    }
}
