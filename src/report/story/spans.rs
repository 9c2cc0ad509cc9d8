//! A story as spans: each within its parent, and those of a lane beside or within one another.

use super::Told;
use super::words::{Stay, stays};
use crate::failure::Failure;
use crate::model::StationKind;
use crate::model::ids::StationId;
use crate::run::Role;
use crate::run::story::What;
use crate::units::Time;

/// A length of time with a name.
#[derive(Clone, PartialEq, Debug)]
pub struct Span {
    /// What it is.
    pub name: String,
    /// The component.
    pub component: String,
    /// When it began.
    pub from: Time,
    /// When it was over.
    pub to: Time,
    /// The span that it lies in; [`None`] for the request as a whole, and for what goes on without it.
    pub parent: Option<usize>,
    /// Spans of one lane lie within or beside one another.
    pub lane: usize,
    /// Whether it failed.
    pub failed: bool,
    /// More about it.
    pub notes: Vec<(&'static str, String)>,
}

/// A request's trip as spans, parents before their children.
#[derive(Clone, PartialEq, Debug)]
pub struct Trip {
    /// The spans.
    pub spans: Vec<Span>,
    /// The names of the lanes; the first is the request's own.
    pub lanes: Vec<String>,
}

/// Makes a trip of a story.
pub fn trip(told: &Told<'_>) -> Trip {
    let story = told.story;
    let last = story.moments.iter().map(|it| it.at + it.took);
    let last = last.chain(story.threads.iter().filter_map(|it| it.to)).max();
    let last = last.unwrap_or(story.intended).max(story.intended);
    let end = story.end.map_or(last, |end| end.at);
    let failure = story.end.and_then(|end| end.failure);
    let mut notes = vec![
        ("request", story.number.to_string()),
        ("user", story.user.to_string()),
        ("replication", told.replication.to_string()),
    ];
    notes.extend(failure.map(|why| ("failure", why.slug().to_string())));
    let root = Span {
        name: told.operation().to_string(),
        component: "users".into(),
        from: story.intended,
        to: end,
        parent: None,
        lane: 0,
        failed: failure.is_some(),
        notes,
    };
    let lanes = vec![format!("request {} ({})", story.number, told.operation())];
    let trip = Trip { spans: vec![root], lanes };
    let mut weaver = Weaver { told, last, trip, stays: stays(told), pieces: Vec::new() };
    weaver.pauses(end);
    for thread in 0..story.threads.len() {
        weaver.thread(thread, end);
    }
    weaver.trip
}

/// The pieces of a thread: while somebody waits for it, and afterwards.
#[derive(Clone, Copy, Default)]
struct Pieces {
    awaited: Option<usize>,
    alone: Option<usize>,
}

struct Weaver<'a> {
    told: &'a Told<'a>,
    last: Time,
    trip: Trip,
    stays: Vec<Stay>,
    /// By thread.
    pieces: Vec<Pieces>,
}

impl Weaver<'_> {
    fn add(&mut self, span: Span) -> usize {
        self.trip.spans.push(span);
        self.trip.spans.len() - 1
    }

    /// Whether a lane is free for a span that lies in `parent`.
    fn is_free(&self, lane: usize, parent: Option<usize>, from: Time, to: Time) -> bool {
        let around = |number: usize| {
            let mut at = parent;
            while let Some(one) = at {
                if one == number {
                    return true;
                }
                at = self.trip.spans[one].parent;
            }
            false
        };
        let spans = self.trip.spans.iter().enumerate();
        let mut others = spans.filter(|(number, span)| span.lane == lane && !around(*number));
        others.all(|(_, span)| span.to <= from || to <= span.from)
    }

    /// The lane of a span: its parent's if there is room, else another.
    fn lane(&mut self, parent: Option<usize>, from: Time, to: Time) -> usize {
        let first = parent.map_or(1, |parent| self.trip.spans[parent].lane);
        let others = (1..self.trip.lanes.len()).filter(|lane| *lane != first);
        let free = std::iter::once(first)
            .chain(others)
            .find(|lane| *lane < self.trip.lanes.len() && self.is_free(*lane, parent, from, to));
        free.unwrap_or_else(|| {
            let number = self.told.story.number;
            let others = self.trip.lanes.len();
            let which = if others == 1 { String::new() } else { format!(" ({others})") };
            self.trip.lanes.push(format!("request {number}, beside it{which}"));
            others
        })
    }

    /// The user's pauses between attempts.
    fn pauses(&mut self, end: Time) {
        for moment in &self.told.story.moments {
            if let (None, What::Spent { at, .. }) = (moment.thread, moment.what) {
                let component = self.told.path(at).to_string();
                let (from, to) = (moment.at.min(end), (moment.at + moment.took).min(end));
                let name = "pause before the next attempt".to_string();
                self.add(Span {
                    name,
                    component,
                    from,
                    to,
                    parent: Some(0),
                    lane: 0,
                    failed: false,
                    notes: Vec::new(),
                });
            }
        }
    }

    fn thread(&mut self, number: usize, end: Time) {
        let thread = self.told.story.threads[number];
        let to = thread.to.unwrap_or(self.last).max(thread.from);
        let parent = match thread.parent {
            None => Some(0),
            Some(parent) => {
                let pieces = self.pieces[parent];
                let lies_in = |piece: &usize| self.trip.spans[*piece].to > thread.from;
                pieces.awaited.filter(lies_in).or(pieces.alone).or(pieces.awaited)
            }
        };
        let until = parent.map_or(to, |parent| self.trip.spans[parent].to);
        let mut split = to.min(until).min(thread.alone.unwrap_or(to)).max(thread.from);
        if thread.parent.is_none() {
            split = split.min(end);
        }
        let mut pieces = Pieces::default();
        if thread.alone.is_none_or(|alone| alone > thread.from) {
            let span = self.piece(number, parent, thread.from, split);
            pieces.awaited = Some(self.add(span));
        }
        if split < to {
            let mut span = self.piece(number, None, split, to);
            span.name.push_str(", for nobody");
            pieces.alone = Some(self.add(span));
        }
        self.pieces.push(pieces);
        if let Some(piece) = pieces.awaited.filter(|_| self.is_given_up(number)) {
            self.fail(piece, Failure::GaveUp);
        }
        if let Some(piece) = pieces.awaited {
            self.fill(number, piece);
        }
        if let Some(piece) = pieces.alone {
            self.fill(number, piece);
        }
    }

    fn piece(&mut self, number: usize, parent: Option<usize>, from: Time, to: Time) -> Span {
        let thread = self.told.story.threads[number];
        let name = match thread.role {
            Role::Attempt => format!("attempt {}", thread.number),
            Role::Branch => format!("branch {}", thread.number),
            Role::Call => "call".into(),
            Role::Protected => "call through a breaker".into(),
            Role::Tail => "after the answer".into(),
            Role::Probe => "health check".into(),
            Role::Batch | Role::Socket => "message".into(),
            Role::Job => "job".into(),
        };
        let (from, to) = match parent.map(|it| (self.trip.spans[it].from, self.trip.spans[it].to)) {
            Some((low, high)) => (from.clamp(low, high), to.clamp(low, high)),
            None => (from, to),
        };
        let lane = self.lane(parent, from, to);
        // An attempt is its user's for as long as the user waits.
        let awaited = thread.role == Role::Attempt && parent.is_some();
        let component = if awaited { "users" } else { self.service(number) }.to_string();
        let notes = Vec::new();
        Span { name, component, from, to, parent, lane, failed: false, notes }
    }

    /// A piece failed; what is said last is why.
    fn fail(&mut self, piece: usize, why: Failure) {
        let span = &mut self.trip.spans[piece];
        span.failed = true;
        span.notes.retain(|(key, _)| *key != "failure");
        span.notes.push(("failure", why.slug().into()));
    }

    /// An attempt whose user went on to the next one, or away, before it was answered.
    fn is_given_up(&self, number: usize) -> bool {
        let story = self.told.story;
        let thread = story.threads[number];
        let attempts = story.threads.iter().filter(|it| it.role == Role::Attempt);
        let last = attempts.map(|it| it.number).max() == Some(thread.number);
        let failed = !last || story.end.is_some_and(|end| end.failure.is_some());
        thread.role == Role::Attempt && thread.alone.is_some() && failed
    }

    /// The service that executes a thread, or that of the one which began it.
    fn service(&self, mut number: usize) -> &str {
        loop {
            let stay = self.stays.iter().find(|stay| {
                let kind = self.told.model.stations[stay.at].kind;
                stay.thread == Some(number) && kind == StationKind::Service
            });
            if let Some(stay) = stay {
                return self.told.path(stay.at);
            }
            match self.told.story.threads[number].parent {
                Some(parent) => number = parent,
                None => return "users",
            }
        }
    }

    /// What a thread held and spent during one of its pieces.
    fn fill(&mut self, number: usize, piece: usize) {
        let (low, high) = (self.trip.spans[piece].from, self.trip.spans[piece].to);
        let told = self.told;
        let mut parts: Vec<Span> = Vec::new();
        for moment in told.story.moments.iter().filter(|it| it.thread == Some(number)) {
            match moment.what {
                What::Fails(why) if low <= moment.at && moment.at <= high => {
                    self.fail(piece, why);
                }
                What::Held { pool } => {
                    let (from, to) = (moment.at, moment.at + moment.took);
                    parts.extend(self.part(piece, pool, from, to, "holds a connection"));
                }
                _ => {}
            }
        }
        for stay in self.stays.iter().filter(|it| it.thread == Some(number)) {
            let mut part = self.part(piece, stay.at, stay.from, stay.to, &stay.name);
            if let (Some(part), Some(story)) = (&mut part, &stay.story) {
                part.notes.push(("story", story.clone()));
            }
            parts.extend(part);
        }
        // Longer ones first: they hold the others.
        parts.sort_by_key(|part| (part.from, std::cmp::Reverse(part.to)));
        let mut around: Vec<usize> = vec![piece];
        for mut part in parts {
            while self.trip.spans[around[around.len() - 1]].to <= part.from && around.len() > 1 {
                around.pop();
            }
            let parent = around[around.len() - 1];
            part.parent = Some(parent);
            part.to = part.to.min(self.trip.spans[parent].to);
            if part.from < part.to {
                around.push(self.add(part));
            }
        }
    }

    /// What of a stay lies within a piece.
    fn part(&self, piece: usize, at: StationId, from: Time, to: Time, name: &str) -> Option<Span> {
        let around = &self.trip.spans[piece];
        let (from, to) = (from.max(around.from), to.min(around.to));
        (from < to).then(|| Span {
            name: name.to_string(),
            component: self.told.path(at).to_string(),
            from,
            to,
            parent: Some(piece),
            lane: around.lane,
            failed: false,
            notes: Vec::new(),
        })
    }
}
