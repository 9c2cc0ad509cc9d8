//! The story of one request: line by line for people, as spans for those who look at traces.

mod chrome;
mod json;
mod otlp;
mod spans;
mod words;

pub use chrome::chrome;
pub use json::{stories_schema, stories_to_json};
pub use otlp::otlp;
pub use spans::{Span, Trip, trip};
pub use words::told;

use crate::model::Model;
use crate::model::ids::StationId;
use crate::model::tape::{Command, Op, Statement};
use crate::run::Role;
use crate::run::story::Story;

/// A story with what it speaks of.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// What was run.
    pub model: &'a Model,
    /// Which replication.
    pub replication: u32,
    /// What became of the request.
    pub story: &'a Story,
}

/// Somebody who asks for no user, or for one who has gone; a bracket is left open.
fn stranger(role: Role, number: &str) -> String {
    match role {
        Role::Socket => "a message or a connection of a socket (".into(),
        Role::Job => "a job (".into(),
        Role::Batch => "a batch of messages (".into(),
        Role::Probe => "a check (".into(),
        _ => format!("request {number} (nobody waits for it, "),
    }
}

impl Told<'_> {
    /// What works beside a loop.
    fn helper(&self, station: StationId) -> &'static str {
        match self.path(station).ends_with(".children") {
            true => "a child process",
            false => "a thread",
        }
    }
    fn path(&self, station: StationId) -> &str {
        &self.model.stations[station].path
    }

    fn is_function(&self, station: StationId) -> bool {
        let mut services = self.model.services.iter();
        services.any(|service| service.station == station && service.function.is_some())
    }

    fn operation(&self) -> &str {
        &self.model.operations[self.story.operation].name
    }

    /// The component that an operation of the tape is for.
    fn place_of(&self, op: &Op) -> Option<StationId> {
        let model = self.model;
        Some(match *op {
            Op::Edge { cdn, .. } => model.cdns[cdn].station,
            Op::Enter { service, .. } => model.services[service].station,
            Op::Limit { limit, .. } | Op::LimitBroken { limit } => model.limits[limit].station,
            Op::Guard { guard, .. } | Op::GuardBroken { guard } => model.guards[guard].station,
            Op::Permit { bulkhead, .. } => model.bulkheads[bulkhead].station,
            Op::Protect { breaker, .. } => model.breakers[breaker].station,
            Op::SessionSeek { session, .. }
            | Op::SessionFound { session }
            | Op::SessionEnd { session, .. }
            | Op::SessionKept { session }
            | Op::SessionUnkept { session }
            | Op::SessionGone { session } => model.sessions[session].station,
            Op::Acquire { pool, .. } | Op::Scatter { pool, .. } => model.pools[pool].station,
            Op::CacheGet { cache, .. }
            | Op::CacheSet { cache, .. }
            | Op::CacheLand { cache, .. }
            | Op::CacheDelete { cache, .. }
            | Op::Command { cache, .. } => model.caches[cache].station,
            Op::Publish { stream, .. } => model.streams[stream].station,
            Op::Enqueue { job, .. } => model.queues[model.jobs[job].queue].station,
            Op::Call { entry, .. } => match model.tape[entry.0 as usize] {
                Op::Enter { service, .. } => model.services[service].station,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// What a statement or a command is called.
    fn verb(&self, op: &Op) -> &'static str {
        match op {
            Op::Query { kind: Statement::Read, .. } => "read",
            Op::Query { kind: Statement::Write, .. } => "write",
            Op::Query { kind: Statement::Mark, .. } => "BEGIN",
            Op::Query { kind: Statement::Commit, .. } => "COMMIT",
            Op::Query { kind: Statement::Ping, .. } => "ping",
            Op::Query { kind: Statement::Reset, .. } => "reset",
            Op::CacheGet { .. } => "GET",
            Op::CacheSet { .. } => "SET",
            Op::CacheDelete { .. } => "DEL",
            Op::Command { command, .. } => match command {
                Command::SessionRead => "GET of the session",
                Command::SessionSave => "SET of the session",
                Command::SessionTouch => "EXPIRE of the session",
                Command::SessionDestroy => "DEL of the session",
                Command::Push => "push of the message",
                Command::Add(_) | Command::Insert { .. } => "push of the job",
                Command::Script(_) => "script about a job",
                Command::Publish(_) | Command::Broadcast(_) => "PUBLISH",
                Command::Count(_) => "INCR of the limit's counter",
                Command::Own { .. } => "command of the flow",
            },
            _ => "request",
        }
    }
}
