//! Guards: what turns requests away while something is nearly exhausted.

use super::dist::Dist;
use super::flow::Operation;
use super::kind::Kind;
use super::names::{Ref, Section, read_address};
use super::pool::Pool;
use super::service::Service;
use super::session::Session;
use super::shape::read_quantity;
use super::spec::{Reader, Shape, spec};
use super::tree::{Node, Value};
use crate::diagnostic::Diagnostic;
use crate::units::{Duration, Ratio};

spec! {
    /// Turns requests away while something behind the service is nearly exhausted.
    component Guard {
        /// What it watches, such as `pool.pg.busy`.
        watch: Watch;
        /// Turns requests away from this share of the watched pool's size on.
        reject_at: Option<Ratio>, positive;
        /// Turns requests away from this value on: a count, or a duration for `lag`.
        limit: Option<Threshold>, positive;
        /// Hysteresis: once it turns requests away, it goes on until the value is below this share of
        /// where it began.
        release: Ratio = "\"100%\"" from "assumed: no hysteresis", positive;
        /// What it answers.
        respond: Respond = "{ status = 503 }" from "assumed: service unavailable";
        /// What happens when the guard itself fails.
        fail: FailMode = "\"open\"" from "assumed: the request passes";
        /// Share of evaluations that fail.
        errors: Ratio = "\"0%\"" from "assumed: it never fails";
        /// What reading the value takes; if it fails, the guard fails.
        read: Option<GuardRead> = "nothing: it is in the worker's memory" from "assumed: a property of the pool";
        /// How long a value is kept before it is read again.
        sampled: Duration = "\"0s\"" from "assumed: read for every request";
        /// Which requests it may turn away.
        applies: Applies = "\"all\"" from "assumed: every request";
        /// Operations that pass unseen.
        except: Vec<Ref<Operation>> = "[]" from "assumed: no operation is exempt";
    }
}
spec! {
    /// A statement that reads what a guard watches, such as a count of sessions.
    table GuardRead {
        /// The pool that lends the connection.
        pool: Ref<Pool>;
        /// Time of the statement on an idle server.
        time: Dist;
    }
}
spec! {
    /// What a guard or a limit answers to those it turns away.
    table Respond {
        /// The status code.
        status: u16;
        /// The value of `Retry-After`.
        retry_after: Option<Duration> = "a limit tells the rest of its window, a guard tells nothing"
            from "express-rate-limit 8.7.4";
    }
}
spec! {
    /// What happens when a guard or a limit itself fails.
    choice FailMode {
        /// The request passes.
        Open = "open";
        /// The request fails.
        Closed = "closed";
    }
}
spec! {
    /// Which requests a guard may turn away.
    choice Applies {
        /// All of them.
        All = "all";
        /// Those that would make a new session.
        NewSessions = "new-sessions";
    }
}

/// What a guard watches.
#[derive(Clone, Debug, PartialEq)]
pub enum Watch {
    /// `pool.NAME.total`: connections open or opening, idle ones included.
    PoolTotal(Ref<Pool>),
    /// `pool.NAME.busy`: connections lent out.
    PoolBusy(Ref<Pool>),
    /// `pool.NAME.waiting`: requests that wait for a connection.
    PoolWaiting(Ref<Pool>),
    /// `pool.NAME.demand`: connections lent out, and requests that wait for one.
    PoolDemand(Ref<Pool>),
    /// `session.NAME.live`: sessions that have not expired.
    SessionsLive(Ref<Session>),
    /// `service.NAME.in_flight`: requests in the worker.
    InFlight(Ref<Service>),
    /// `service.NAME.lag`: how late the worker's event loop is.
    Lag(Ref<Service>),
}

const WATCHED: &[&str] = &[
    "pool.NAME.total",
    "pool.NAME.busy",
    "pool.NAME.waiting",
    "pool.NAME.demand",
    "session.NAME.live",
    "service.NAME.in_flight",
    "service.NAME.lag",
];

impl Shape for Watch {
    fn kind() -> Kind {
        Kind::Form {
            what: "one of `pool.NAME.total`, `pool.NAME.busy`, `pool.NAME.waiting`, \
                   `pool.NAME.demand`, `session.NAME.live`, `service.NAME.in_flight`, `service.NAME.lag`",
            example: "\"pool.pg.busy\"",
        }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.text() else {
            return reader.wrong_type(node, &Self::kind());
        };
        let place = &node.place;
        let parts: Vec<&str> = text.split('.').collect();
        let form = match parts.as_slice() {
            [section, _, metric] => format!("{section}.NAME.{metric}"),
            _ => String::new(),
        };
        if !WATCHED.contains(&form.as_str()) {
            let message = format!("`{}` cannot watch `{text}`", reader.path());
            return reader.wrong(
                Diagnostic::error("bad-watch", place.clone(), message)
                    .help(format!("write {}", Self::kind().what())),
            );
        }
        let sections = &[Section::Pool, Section::Session, Section::Service];
        let (_, name) = read_address(&parts[..2].join("."), node, sections, reader)?;
        Some(match form.as_str() {
            "pool.NAME.total" => Watch::PoolTotal(Ref::new(name, place.clone())),
            "pool.NAME.busy" => Watch::PoolBusy(Ref::new(name, place.clone())),
            "pool.NAME.waiting" => Watch::PoolWaiting(Ref::new(name, place.clone())),
            "pool.NAME.demand" => Watch::PoolDemand(Ref::new(name, place.clone())),
            "session.NAME.live" => Watch::SessionsLive(Ref::new(name, place.clone())),
            "service.NAME.in_flight" => Watch::InFlight(Ref::new(name, place.clone())),
            _ => Watch::Lag(Ref::new(name, place.clone())),
        })
    }
}

/// The value from which a guard turns requests away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// So many connections, sessions or requests.
    Count(u64),
    /// So late.
    Lag(Duration),
}

impl Shape for Threshold {
    fn kind() -> Kind {
        Kind::Form { what: "a whole number, or a duration for `lag`", example: "50_000" }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::String(_) => read_quantity(node, &Self::kind(), reader).map(Threshold::Lag),
            _ => u64::read(node, reader).map(Threshold::Count),
        }
    }
    fn is_positive(&self) -> bool {
        !matches!(self, Threshold::Count(0) | Threshold::Lag(Duration::ZERO))
    }
}
