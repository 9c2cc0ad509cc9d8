//! A story line by line: when, how long, where, what happened, and behind whom it waited.

use super::{Told, stranger};
use crate::model::StationKind;
use crate::model::ids::StationId;
use crate::model::tape::Op;
use crate::report::layout::{Look, Style, WIDTH, wrap};
use crate::report::show;
use crate::result::metric::Unit;
use crate::run::story::{Behind, End, Moment, Other, Thread, What};
use crate::run::{Part, Role, State};
use crate::units::{Duration, Time};

/// A line of a story.
pub(super) struct Line {
    pub at: Time,
    pub took: Duration,
    pub place: String,
    pub text: String,
    look: Look,
    /// The user waits for it.
    pub counts: bool,
}

/// The story as text of at most 100 columns.
pub fn told(told: &Told<'_>, style: Style) -> String {
    let lines = lines(told);
    let longest = lines.iter().map(|line| line.place.chars().count()).max().unwrap_or(0);
    let since = |line: &Line| after(line.at.since(told.story.intended.min(line.at)));
    let wide = |text: String| text.chars().count();
    let at_wide = lines.iter().map(|line| wide(since(line))).max().unwrap_or(0).max(5);
    let took_wide = lines.iter().map(|line| wide(after(line.took))).max().unwrap_or(0).max(4);
    let column = at_wide + took_wide + longest + 6;
    let mut out = head(told, style);
    let names = format!(
        "{:>at_wide$}  {:>took_wide$}  {:longest$}  what happened",
        "after", "took", "where"
    );
    out.push_str(&style.paint(&names, Look::Dim));
    out.push('\n');
    for line in &lines {
        let at = since(line);
        let took = if line.took.is_zero() { String::new() } else { after(line.took) };
        let place = style.paint(&line.place, Look::Dim);
        let space = " ".repeat(longest - line.place.chars().count());
        let look = if line.counts { line.look } else { Look::Dim };
        let mut rows = hang(&line.text, column).into_iter();
        let first = style.paint(&rows.next().unwrap_or_default(), look);
        let text = format!("{at:>at_wide$}  {took:>took_wide$}  {place}{space}  {first}");
        out.push_str(text.trim_end());
        out.push('\n');
        for row in rows {
            out.push_str(&" ".repeat(column));
            out.push_str(&style.paint(&row, look));
            out.push('\n');
        }
    }
    out + "\n" + &sums(told, &lines, style)
}

/// Text in rows that fit from a column on.
fn hang(text: &str, column: usize) -> Vec<String> {
    let room = WIDTH.saturating_sub(column).max(30);
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        let last = rows.len() - 1;
        if !rows[last].is_empty() && rows[last].chars().count() + 1 + word.chars().count() > room {
            rows.push(word.to_string());
        } else {
            if !rows[last].is_empty() {
                rows[last].push(' ');
            }
            rows[last].push_str(word);
        }
    }
    rows
}

/// A length in milliseconds with microseconds: lines below one another can be compared.
fn after(length: Duration) -> String {
    let micros = (length.0 + 500_000) / 1_000_000;
    let (whole, rest) = (micros / 1000, micros % 1000);
    format!("{}.{rest:03} ms", show::digits(whole as f64, 3))
}

fn head(told: &Told<'_>, style: Style) -> String {
    let story = told.story;
    let title = format!("Request {}: {}", show_number(story.number), told.operation());
    let sent = story.threads.iter().filter(|it| it.parent.is_none()).count();
    let end = match story.end {
        None => "not over when the run ends".into(),
        Some(end) => {
            let took = show::value(end.at.since(story.intended).seconds(), Unit::Seconds);
            format!("{} after {took}", ending(&end))
        }
    };
    let attempts = if sent > 1 { format!(", at attempt {sent}") } else { String::new() };
    let told = format!(
        "user {}, replication {}, seed {}; wanted {} into the run; {end}{attempts}",
        show_number(story.user),
        told.replication,
        told.model.plan.seed,
        show::value(story.intended.seconds(), Unit::Seconds),
    );
    format!("{}\n{}\n\n", style.paint(&title, Look::Bold), style.paint(&wrap(&told, 0), Look::Dim))
}

fn show_number(number: u32) -> String {
    show::value(f64::from(number), Unit::Count)
}

/// How it ended, in words.
fn ending(end: &End) -> String {
    let status = match (end.status, end.failure) {
        (0, Some(why)) => why.status(),
        (status, _) => status,
    };
    match end.failure {
        None => "answered 200".into(),
        Some(why) if status == 0 => format!("failed ({})", why.slug()),
        Some(why) => format!("answered {status} ({})", why.slug()),
    }
}

/// Where most of the time went.
fn sums(told: &Told<'_>, lines: &[Line], style: Style) -> String {
    let Some(end) = told.story.end else { return String::new() };
    let whole = end.at.since(told.story.intended);
    let mut sums: Vec<(&str, Duration)> = Vec::new();
    for line in lines.iter().filter(|line| line.counts && !line.took.is_zero()) {
        let took = line.took.min(end.at.since(line.at.min(end.at)));
        match sums.iter_mut().find(|(place, _)| *place == line.place) {
            Some((_, sum)) => *sum += took,
            None => sums.push((&line.place, took)),
        }
    }
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    let shares: Vec<String> = sums
        .iter()
        .take(4)
        .filter(|(_, sum)| sum.0 >= whole.0 / 100)
        .map(|(place, sum)| {
            let share = 100.0 * sum.seconds() / whole.seconds().max(f64::MIN_POSITIVE);
            format!("{place} {share:.0} %")
        })
        .collect();
    let text = format!("Most of its time: {}", shares.join(", "));
    style.paint(&wrap(&text, 2), Look::Bold) + "\n"
}

/// All lines, in order.
pub(super) fn lines(told: &Told<'_>) -> Vec<Line> {
    let moments = &told.story.moments;
    let (spent, used) = all_spent(told);
    let mut lines: Vec<Line> = spent.iter().map(|it| it.line(&moments[it.place])).collect();
    for (place, moment) in moments.iter().enumerate() {
        if !used[place] && !matches!(moment.what, What::Spent { .. }) {
            lines.extend(instant(told, moments, place));
        }
    }
    // At one instant first what takes no time, in the order in which it happened.
    lines.sort_by_key(|line| (line.at, !line.took.is_zero()));
    lines
}

/// A stay at a component, told in one piece.
pub(super) struct Stay {
    pub thread: Option<usize>,
    pub at: StationId,
    pub from: Time,
    pub to: Time,
    /// What happens there, the same words for every request.
    pub name: String,
    /// All that is known of this one, if it is more.
    pub story: Option<String>,
}

/// All stays, in the order in which they began.
pub(super) fn stays(told: &Told<'_>) -> Vec<Stay> {
    let stay = |spent: Spent<'_>| {
        let moment = &told.story.moments[spent.place];
        let (thread, at, from) = (moment.thread, spent.at, moment.at);
        let to = from + spent.took;
        let all = spent.text(moment);
        let waited = if spent.waited == spent.took { spent.took } else { Duration::ZERO };
        let name = Spent { waited, met: None, ..spent }.text(moment);
        let story = (all != name).then_some(all);
        Stay { thread, at, from, to, name, story }
    };
    all_spent(told).0.into_iter().map(stay).collect()
}

/// All time that was spent somewhere, and which moments that tells.
fn all_spent<'a>(told: &'a Told<'a>) -> (Vec<Spent<'a>>, Vec<bool>) {
    let moments = &told.story.moments;
    let mut all = Vec::new();
    let mut used = vec![false; moments.len()];
    for (place, moment) in moments.iter().enumerate() {
        let What::Spent { at, op, .. } = moment.what else { continue };
        if used[place] {
            continue;
        }
        let met = behind(moments, &mut used, place);
        let (took, waited) = (Duration::ZERO, Duration::ZERO);
        let mut spent = Spent { told, moments, place, at, op, took, waited, met };
        let mut part = Some(place);
        while let Some(one) = part {
            used[one] = true;
            spent.took += moments[one].took;
            if let What::Spent { part: Part::Wait, .. } = moments[one].what {
                spent.waited += moments[one].took;
            }
            part = spent.goes_on(one).filter(|next| !used[*next]);
        }
        all.push(spent);
    }
    (all, used)
}

/// What was met when this wait began.
fn behind(moments: &[Moment], used: &mut [bool], place: usize) -> Option<Behind> {
    let moment = &moments[place];
    let met = moments.iter().position(|other| {
        other.thread == moment.thread
            && other.at == moment.at
            && matches!(other.what, What::Waits(_))
    })?;
    used[met] = true;
    match moments[met].what {
        What::Waits(behind) => Some(behind),
        _ => None,
    }
}

/// Time spent at a component, with what is known of it.
struct Spent<'a> {
    told: &'a Told<'a>,
    moments: &'a [Moment],
    place: usize,
    at: StationId,
    op: Option<Op>,
    took: Duration,
    waited: Duration,
    met: Option<Behind>,
}

impl Spent<'_> {
    /// The next part of the same, which follows at once: computing and what it waited for others
    /// meanwhile, or one way in two stages.
    fn goes_on(&self, place: usize) -> Option<usize> {
        let first = &self.moments[place];
        let What::Spent { part, .. } = first.what else { return None };
        let same = |other: &&Moment| {
            other.thread == first.thread && matches!(other.what, What::Spent { .. })
        };
        let next = place + 1 + self.moments[place + 1..].iter().position(|it| same(&it))?;
        let What::Spent { at, op, .. } = self.moments[next].what else { return None };
        let one = match self.told.model.stations[self.at].kind {
            StationKind::Database | StationKind::Link => true,
            StationKind::Service | StationKind::Threads => part == Part::Service,
            StationKind::Network => {
                // Statements and commands go there and come back.
                !matches!(
                    op,
                    Some(
                        Op::Query { .. }
                            | Op::CacheGet { .. }
                            | Op::CacheSet { .. }
                            | Op::CacheDelete { .. }
                            | Op::Command { .. }
                    )
                )
            }
            _ => false,
        };
        let follows = self.moments[next].at == first.at + first.took;
        (at == self.at && op == self.op && follows && one).then_some(next)
    }

    fn line(&self, moment: &Moment) -> Line {
        let text = prefix(self.told, moment) + &self.text(moment);
        let waits = self.waited.0 * 2 > self.took.0;
        let look = if waits { Look::Doubtful } else { Look::Usual };
        let place = self.told.path(self.at).to_string();
        let counts = counts(self.told, moment);
        Line { at: moment.at, took: self.took, place, text, look, counts }
    }

    fn text(&self, moment: &Moment) -> String {
        let only_waits = self.waited == self.took;
        let op = self.op.as_ref();
        match self.told.model.stations[self.at].kind {
            StationKind::Network => self.way(moment),
            StationKind::Client if only_waits => "pauses before it tries again".into(),
            StationKind::Client => "leaves late".into(),
            StationKind::Service if only_waits && self.told.is_function(self.at) => {
                self.waits_for("an environment that is started for it")
            }
            StationKind::Service if only_waits => self.waits_for("its event loop"),
            StationKind::Service => format!("computes{}", self.shared()),
            StationKind::Threads if only_waits => self.waits_for(self.told.helper(self.at)),
            StationKind::Threads => {
                format!("works in {}{}", self.told.helper(self.at), self.shared())
            }
            StationKind::Pool => self.waits_for("a connection"),
            StationKind::HttpClient => self.waits_for("a connection for its call"),
            StationKind::Database if only_waits => self.waits_for("storage"),
            StationKind::Database => {
                format!("runs the {}{}", op.map_or("work", |op| self.told.verb(op)), self.shared())
            }
            StationKind::Relation => self.waits_for("a lock"),
            StationKind::Cache if only_waits => self.waits_for("the cache's one thread"),
            StationKind::Cache => {
                format!("runs the {}", op.map_or("command", |op| self.told.verb(op)))
            }
            StationKind::Limit => "is held back by the limiter".into(),
            StationKind::Bulkhead => self.waits_for("a place"),
            StationKind::Breaker => "calls through the breaker, for too long".into(),
            StationKind::Queue if only_waits => self.waits_for("its job"),
            StationKind::Queue => "its job is worked off".into(),
            StationKind::Stream => "its message is written, and copied".into(),
            StationKind::Link => format!("its body is on the link{}", self.shared()),
            _ if only_waits => self.waits_for("its turn"),
            _ => "is served".into(),
        }
    }

    /// Where it is going.
    fn way(&self, moment: &Moment) -> String {
        let told = self.told;
        let before = self.moments[..self.place].iter().rev();
        let same = before.filter(|other| other.thread == moment.thread);
        // Up to the beginning of the operation: has it been anywhere yet?
        let been = same
            .take_while(|other| !matches!(other.what, What::Does { .. } | What::Fails(_)))
            .any(|other| matches!(other.what, What::Spent { .. }));
        let target = |op: &Op| told.place_of(op).map(|place| told.path(place).to_string());
        match &self.op {
            Some(op @ (Op::Enter { .. } | Op::Edge { .. })) => {
                format!("travels to {}", target(op).unwrap_or_default())
            }
            Some(op @ Op::Query { .. }) if been => {
                format!("the answer to the {} travels back", told.verb(op))
            }
            Some(op @ Op::Query { .. }) => format!("its {} travels there", told.verb(op)),
            Some(op @ (Op::CacheGet { .. } | Op::CacheSet { .. } | Op::CacheDelete { .. }))
            | Some(op @ Op::Command { .. }) => match been {
                true => format!("the answer to the {} travels back", told.verb(op)),
                false => {
                    format!("its {} travels to {}", told.verb(op), target(op).unwrap_or_default())
                }
            },
            Some(Op::Wait { .. }) => "waits for somebody outside".into(),
            Some(Op::Release) => "waits until its connection is closed".into(),
            None => "the failure travels back".into(),
            Some(_) => "the answer travels back".into(),
        }
    }

    /// With whom it shared.
    fn shared(&self) -> String {
        let waited = match self.waited.is_zero() {
            true => return String::new(),
            false => show::value(self.waited.seconds(), Unit::Seconds),
        };
        match self.met {
            Some(Behind { busy: 0, .. }) | None => format!(", {waited} of it waiting for others"),
            Some(Behind { busy, servers: 0.0, state: State::OnLink, .. }) => {
                format!(", {waited} of it because {} share it", busy + 1)
            }
            Some(Behind { busy, servers, .. }) => format!(
                ", {waited} of it because {} shared {} core{} when it came",
                busy + 1,
                show::digits(servers, 3),
                if servers == 1.0 { "" } else { "s" },
            ),
        }
    }

    fn waits_for(&self, what: &str) -> String {
        match &self.met {
            None => format!("waits for {what}"),
            Some(behind) => waits(self.told, what, behind),
        }
    }
}

/// A wait with all that is known of those before it.
fn waits(told: &Told<'_>, what: &str, behind: &Behind) -> String {
    let Behind { state, ahead, busy, servers, whom } = behind;
    let servers = show::digits(*servers, 3);
    let others = |count: u32, one: &str, more: &str| match count {
        0 => String::new(),
        1 => format!("; 1 {one} before it"),
        count => format!("; {} {more} before it", show_number(count)),
    };
    let queue = others(*ahead, "waits", "wait");
    let whom = whom.as_ref().map(|it| (it, other(told, it)));
    match state {
        State::Backlog => {
            format!("waits to be accepted: {} requests are open{queue}", show_number(*busy))
        }
        State::Ready => {
            let ready = others(*ahead, "callback is ready", "callbacks are ready");
            let runs = whom.map_or(String::new(), |(_, who)| format!(" behind {who}"));
            format!("waits for {what}{runs}{ready}")
        }
        State::Connecting => "waits while a connection is opened for it".into(),
        State::PoolQueue => {
            let by = whom.map_or(String::new(), |(_, who)| format!(", one by {who}"));
            format!("waits for {what}: {busy} of {servers} are lent{by}{queue}")
        }
        State::ThreadQueue | State::PlaceQueue | State::ClientQueue => {
            format!("waits for {what}: all {busy} are taken{queue}")
        }
        State::LockQueue => {
            let who = whom.map_or("what the database does by itself".into(), |(_, who)| who);
            format!("waits for {what} behind {who}")
        }
        State::CacheQueue => {
            let commands = if *ahead == 1 { "command" } else { "commands" };
            format!("waits for {what} behind {} {commands}", show_number(*ahead))
        }
        State::Joined => {
            let who = whom.map_or("another request".into(), |(_, who)| who);
            format!("misses, and waits for the value that is loaded by {who}")
        }
        State::JobQueue => format!("waits for {what}: {busy} of {servers} are at work{queue}"),
        _ => format!("waits for {what}{queue}"),
    }
}

/// Another request, and what it does.
fn other(told: &Told<'_>, other: &Other) -> String {
    let name = match other.operation {
        Some(operation) => {
            let name = &told.model.operations[operation].name;
            format!("request {} ({name}, ", show_number(other.number))
        }
        None => stranger(other.role, &show_number(other.number)),
    };
    let does = match other.state {
        State::Running => "on the loop",
        State::Computing => "computing",
        State::InThread | State::ThreadQueue => "at the threads",
        State::InChild | State::ChildQueue => "at its child process",
        State::PoolQueue | State::Connecting => "waiting for a connection",
        State::InDatabase | State::Storing | State::Answering => "in the database",
        State::LockQueue => "waiting for a lock",
        State::Ready => "waiting for its loop",
        State::CacheQueue | State::InCache => "at the cache",
        State::Forked => "waiting for its calls",
        State::ClientQueue => "waiting for a connection for its call",
        State::JobQueue => "waiting for a job",
        _ => "under way",
    };
    format!("{name}{does})")
}

/// Whose line it is, where that is not the request's own flow.
fn prefix(told: &Told<'_>, moment: &Moment) -> String {
    let Some(thread) = moment.thread else { return String::new() };
    let mut names = Vec::new();
    let mut at = Some(thread);
    while let Some(number) = at {
        let thread: &Thread = &told.story.threads[number];
        let alone = thread.alone.is_some_and(|alone| alone <= moment.at);
        match thread.role {
            Role::Branch => names.push(format!("branch {}", thread.number)),
            Role::Call => names.push("call".into()),
            Role::Protected => names.push("protected".into()),
            Role::Tail => names.push("after the answer".into()),
            _ if alone => names.push("for nobody".into()),
            _ => {}
        }
        at = if thread.role == Role::Tail { None } else { thread.parent };
    }
    names.reverse();
    if names.is_empty() { String::new() } else { format!("[{}] ", names.join(", ")) }
}

/// Whether the user still waits for what a moment belongs to.
fn counts(told: &Told<'_>, moment: &Moment) -> bool {
    let mut at = moment.thread;
    while let Some(number) = at {
        let thread = &told.story.threads[number];
        if thread.alone.is_some_and(|alone| alone <= moment.at) {
            return false;
        }
        at = thread.parent;
    }
    told.story.end.is_none_or(|end| moment.at <= end.at)
}

/// The line of what takes no time, if it is worth one.
fn instant(told: &Told<'_>, moments: &[Moment], place: usize) -> Option<Line> {
    let moment = &moments[place];
    let next = || {
        let later = moments[place + 1..].iter();
        let mut later = later.filter(|other| other.thread == moment.thread);
        later.find(|other| matches!(other.what, What::Does { .. } | What::Fails(_)))
    };
    let mut at = moment.at;
    let mut look = Look::Usual;
    let (who, text) = match moment.what {
        What::Sent => {
            let number = moment.thread.map_or(1, |thread| told.story.threads[thread].number);
            let text = match number {
                1 => format!("wants {}", told.operation()),
                number => format!("tries again, attempt {number}"),
            };
            ("users".to_string(), text)
        }
        What::Instead(operation) => {
            let name = &told.model.operations[operation].name;
            ("dns".to_string(), format!("takes its service for down: it asks for {name}"))
        }
        What::Over(end) => {
            look = if end.failure.is_some() { Look::Bad } else { Look::Good };
            let text = match end.failure {
                Some(crate::failure::Failure::GaveUp) => "gives up waiting".into(),
                _ => format!("is {}", ending(&end)),
            };
            ("users".to_string(), text)
        }
        What::Held { pool } => {
            at = moment.at + moment.took;
            let held = show::value(moment.took.seconds(), Unit::Seconds);
            (told.path(pool).to_string(), format!("gives its connection back after {held}"))
        }
        What::Fails(why) => {
            look = Look::Bad;
            let place = moments[..place].iter().rev().find_map(|other| match other.what {
                What::Does { op, .. } if other.thread == moment.thread => Some(op),
                _ => None,
            });
            let place = place.and_then(|op| told.place_of(&op));
            let place = place.map_or(String::new(), |place| told.path(place).to_string());
            (place, format!("fails: {}", why.slug()))
        }
        What::Waits(behind) => {
            if behind.state.is_shared() {
                return None; // it is served at once, beside others
            }
            (String::new(), waits(told, "what it needs", &behind) + ", in vain")
        }
        What::Does { op, .. } => {
            let station = told.place_of(&op);
            let name = station.map_or(String::new(), |place| told.path(place).to_string());
            let (when, text) = does(&op, moment, next())?;
            at = when;
            (name, text)
        }
        What::Spent { .. } => return None,
    };
    let text = prefix(told, moment) + &text;
    let counts = counts(told, moment);
    Some(Line { at, took: Duration::ZERO, place: who, text, look, counts })
}

/// What an operation did, which is known from what came next.
fn does(op: &Op, moment: &Moment, next: Option<&Moment>) -> Option<(Time, String)> {
    let passed = next.filter(|next| matches!(next.what, What::Does { .. }));
    let goes_on_at = match next.map(|next| &next.what) {
        Some(What::Does { pc, .. }) => Some(*pc),
        _ => None,
    };
    let now = moment.at;
    Some(match op {
        Op::Limit { .. } => (passed?.at, "lets it pass".into()),
        Op::Guard { .. } => (passed?.at, "lets it pass".into()),
        Op::Permit { .. } => (passed?.at, "has a place for it".into()),
        Op::Acquire { .. } => {
            let passed = passed?;
            (passed.at, "lends it a connection".into())
        }
        Op::CacheGet { hit, .. } => {
            let found = goes_on_at? == *hit;
            (passed?.at, if found { "a hit".into() } else { "a miss".into() })
        }
        Op::CacheSet { .. } => (passed?.at, "has stored the value".into()),
        Op::Fork { count, .. } => (now, format!("starts {count} branches side by side")),
        Op::Scatter { .. } => (now, "starts a branch for each shard".into()),
        Op::Call { .. } => (now, "is called".into()),
        Op::Protect { .. } => (now, "is asked for a call".into()),
        Op::Publish { .. } => (now, "publishes a message".into()),
        Op::Enqueue { wait, .. } => {
            let wait = if *wait { ", and waits for it" } else { "" };
            (now, format!("leaves a job there{wait}"))
        }
        _ => return None,
    })
}

const _: () = assert!(WIDTH >= 80, "a story's columns need room");
