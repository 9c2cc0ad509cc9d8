//! Recorded workloads: requests that are written down instead of being drawn.
//!
//! An access log or the schedule of a load generator says when each request came, whose it was,
//! what it asked for and, perhaps, how much work it was. A model that is given a recording plays it
//! back: the instants are the recording's; lengths of time and keys are the recording's where they
//! were given ([`Model::give_work`], [`Model::give_keys`], [`Model::give_pauses`]) and drawn
//! where they were not.
//!
//! Requests are numbered: an open stream in the order of its arrivals, a closed population user by
//! user. The number is the request's ordinal in the run, by which everything given is found.

use super::ids::{KeysId, LawId, OperationId, PoolId};
use super::tape::Op;
use super::{CompiledLaw, Model, Workload};
use crate::units::{Duration, Time};
use crate::variate::Law;

/// Recorded arrivals.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When.
    pub times: Vec<Time>,
    /// By whom; empty where that is not recorded.
    pub users: Vec<u32>,
    /// What was asked for; empty where that is not recorded.
    pub operations: Vec<OperationId>,
    /// What is taken from it.
    pub mode: TraceMode,
}

/// What is taken from recorded arrivals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum TraceMode {
    /// The instants.
    Instants,
    /// The times between them, drawn at random.
    Gaps,
}

/// Requests that are written down.
#[derive(Clone, Debug, PartialEq)]
pub enum Recording {
    /// An open stream: each comes at its instant, however the system is doing.
    Open(Vec<Arrival>),
    /// A closed population: each user does one thing after another.
    Closed(Turns),
}

/// A request of an open stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When it comes.
    pub at: Time,
    /// Whose it is.
    pub user: u32,
    /// What it asks for.
    pub operation: OperationId,
}

/// What the users of a closed population do, user by user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turns {
    /// All turns, those of the first user first.
    turns: Vec<Turn>,
    /// Where those of each user begin, and at last their number.
    bounds: Vec<u32>,
}

/// One turn of a user: to think, then to ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// How long the user thinks before it.
    pub think: Duration,
    /// What is asked for.
    pub operation: OperationId,
}

impl Turns {
    /// The turns of each user, in order.
    pub fn new(users: &[Vec<Turn>]) -> Turns {
        let mut bounds = vec![0];
        bounds.extend(users.iter().scan(0, |sum, turns| {
            *sum += turns.len() as u32;
            Some(*sum)
        }));
        Turns { turns: users.concat(), bounds }
    }
    /// How many users there are.
    pub fn users(&self) -> u32 {
        self.bounds.len().saturating_sub(1) as u32
    }
    /// The number of a user's turn, and the turn; [`None`] when the user has had all of theirs.
    pub fn of(&self, user: u32, turn: u32) -> Option<(u32, Turn)> {
        let number = self.bounds[user as usize] + turn;
        let theirs = number < self.bounds[user as usize + 1];
        theirs.then(|| (number, self.turns[number as usize]))
    }
}

impl Recording {
    /// How many requests are written down.
    pub fn len(&self) -> usize {
        match self {
            Recording::Open(arrivals) => arrivals.len(),
            Recording::Closed(turns) => turns.turns.len(),
        }
    }
    /// True if nobody ever comes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// How many distinct users there are.
    pub fn users(&self) -> u32 {
        match self {
            Recording::Open(arrivals) => {
                arrivals.iter().map(|arrival| arrival.user + 1).max().unwrap_or(0)
            }
            Recording::Closed(turns) => turns.users(),
        }
    }
    /// The mean rate of requests to a system without delay (1/s).
    pub fn rate_per_s(&self) -> f64 {
        match self {
            Recording::Open(arrivals) => {
                let last = arrivals.last().map_or(0.0, |arrival| arrival.at.seconds());
                if last > 0.0 { arrivals.len() as f64 / last } else { 0.0 }
            }
            Recording::Closed(turns) => {
                let thinking: f64 = turns.turns.iter().map(|turn| turn.think.seconds()).sum();
                let (users, all) = (f64::from(turns.users()), turns.turns.len() as f64);
                if thinking > 0.0 { users * all / thinking } else { 0.0 }
            }
        }
    }
}

impl Model {
    /// From now on the workload is this recording.
    ///
    /// # Panics
    /// If arrivals are not in the order of their times, or more than 2^31 - 1 requests are recorded.
    pub fn play(&mut self, recording: Recording) {
        assert!(recording.len() < 1 << 31, "ordinals have 31 bits");
        if let Recording::Open(arrivals) = &recording {
            assert!(arrivals.is_sorted_by_key(|arrival| arrival.at), "in the order of their times");
        }
        self.workload = Workload::Recorded(recording);
    }

    /// A law by which each request is given its length of time by its number.
    ///
    /// # Panics
    /// If a request of the recording would go without.
    pub fn give(&mut self, lengths: Vec<Duration>) -> LawId {
        self.assert_all_are_given(lengths.len());
        let sum: f64 = lengths.iter().map(|length| length.seconds()).sum();
        let mean = sum / lengths.len().max(1) as f64;
        // The analysis takes the law of the recorded requests for that of all.
        let law = CompiledLaw { constant: None, ..CompiledLaw::new(Law::Constant(mean)) };
        self.laws.push(CompiledLaw { given: Some(lengths), ..law });
        LawId(self.laws.len() as u32 - 1)
    }

    /// Each request's statements through a pool take the length that is given for the request,
    /// as their law [shapes](CompiledLaw::shape) it; marks (BEGIN, COMMIT) are left alone.
    ///
    /// # Panics
    /// If a request of the recording would go without.
    pub fn give_work(&mut self, pool: PoolId, lengths: &[Duration]) {
        let mut within: Option<PoolId> = None;
        let mut given: Vec<(LawId, LawId)> = Vec::new();
        for at in 0..self.tape.len() {
            match self.tape[at] {
                Op::Acquire { pool, .. } => within = Some(pool),
                Op::Query {
                    mut work,
                    kind,
                    fail,
                    slowed_by,
                    locks,
                    within: goes_on,
                    open,
                    pages,
                    sorts,
                } if within == Some(pool) && kind.works() => {
                    let known = given.iter().find(|(law, _)| *law == work.law);
                    work.law = known.map(|(_, law)| *law).unwrap_or_else(|| {
                        let drawn = &self.laws[work.law];
                        let shaped = lengths.iter().map(|length| drawn.shape(*length)).collect();
                        let law = self.give(shaped);
                        given.push((work.law, law));
                        law
                    });
                    let within = goes_on;
                    self.tape[at] = Op::Query {
                        work,
                        kind,
                        fail,
                        slowed_by,
                        locks,
                        within,
                        open,
                        pages,
                        sorts,
                    };
                }
                _ => {}
            }
        }
    }

    /// Each request asks for the key of a set that is given for it, by the key's rank from 0.
    ///
    /// # Panics
    /// If a request of the recording would go without, or a key is not in the set.
    pub fn give_keys(&mut self, keys: KeysId, ranks: Vec<u32>) {
        self.assert_all_are_given(ranks.len());
        let keys = &mut self.keys[keys];
        assert!(ranks.iter().all(|rank| *rank < keys.count), "a key of the set");
        keys.given = Some(ranks);
    }

    /// Each request's pauses before further attempts are made of the uniform numbers (0 to 1) given
    /// for it: one for each attempt after the first, those of the first request first.
    ///
    /// # Panics
    /// If users do not retry, or a request of the recording would go without.
    pub fn give_pauses(&mut self, units: Vec<f64>) {
        let retry = self.client.retry.as_ref().expect("users try again");
        let pauses = retry.attempts.saturating_sub(1).max(1);
        self.assert_all_are_given(units.len() / pauses as usize);
        self.client.retry.as_mut().expect("users try again").given = Some(units);
    }

    fn assert_all_are_given(&self, count: usize) {
        let Workload::Recorded(recording) = &self.workload else {
            panic!("requests have numbers in a recording only")
        };
        assert!(count >= recording.len(), "one for each request");
    }
}
