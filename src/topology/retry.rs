//! Whether and when a client tries again.

use super::kind::Kind;
use super::shape::Item;
use super::spec::{Reader, Shape, spec};
use super::tree::{Node, Value};
use crate::diagnostic::Diagnostic;
use crate::units::{Duration, Ratio};

spec! {
    /// Whether a failed attempt is repeated, and when.
    choice Retry {
        /// A failure is final.
        Never = "never";
        /// After the same delay each time.
        Fixed(FixedRetry) = "fixed";
        /// After delays that double.
        Exponential(ExponentialRetry) = "exponential";
    }
}
spec! {
    /// Repeats after the same delay each time.
    table FixedRetry {
        /// The failures that are repeated: status codes, `"timeout"` (the client gave up),
        /// `"refused"`.
        on: Vec<Cause>, positive;
        /// Share of such failures that are repeated.
        share: Ratio = "\"100%\"" from "assumed: every client retries";
        /// Attempts in all, the first included.
        attempts: u32 = "3" from "AWS SDK standard mode (max attempts 3)", positive;
        /// Time before the next attempt.
        delay: Duration = "\"1s\"" from "assumed: a client that waits a moment";
        /// Whether a delay lasts at least as long as the answer's `Retry-After` asks for.
        honour_retry_after: bool = "true" from "axios-retry 4.5.0";
        /// Random addition to every delay, as a share of it.
        jitter: Ratio = "\"10%\"" from "assumed: clocks of clients differ";
    }
}
spec! {
    /// Repeats after delays that double: base, 2 x base, 4 x base, up to the cap.
    table ExponentialRetry {
        /// The failures that are repeated: status codes, `"timeout"` (the client gave up),
        /// `"refused"`.
        on: Vec<Cause>, positive;
        /// Share of such failures that are repeated.
        share: Ratio = "\"100%\"" from "assumed: every client retries";
        /// Attempts in all, the first included.
        attempts: u32 = "3" from "AWS SDK standard mode (max attempts 3)", positive;
        /// The first delay.
        base: Duration = "\"100ms\"" from "axios-retry 4.5.0 and @smithy/core 3.41.0", positive;
        /// The longest delay.
        cap: Duration = "\"20s\"" from "@smithy/core 3.41.0", positive;
        /// How delays are spread at random.
        jitter: Jitter = "\"full\"" from "@smithy/core 3.41.0";
        /// Whether a delay lasts at least as long as the answer's `Retry-After` asks for.
        honour_retry_after: bool = "true" from "axios-retry 4.5.0";
    }
}
spec! {
    /// How delays d are spread at random (AWS Architecture Blog, "Exponential Backoff And Jitter").
    choice Jitter {
        /// Exactly d.
        None = "none";
        /// Uniform between 0 and d.
        Full = "full";
        /// Half of d, and uniform between 0 and the other half.
        Equal = "equal";
        /// Uniform between the base and three times the previous delay.
        Decorrelated = "decorrelated";
    }
}

impl Retry {
    /// The failures that are repeated.
    pub fn causes(&self) -> &[Cause] {
        match self {
            Retry::Never => &[],
            Retry::Fixed(retry) => &retry.on,
            Retry::Exponential(retry) => &retry.on,
        }
    }
}

/// A failure that a client may answer with another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An answer with this status code.
    Status(u16),
    /// No answer within the client's patience.
    Timeout,
    /// The connection was refused.
    Refused,
}

impl Item for Cause {}
impl Shape for Cause {
    fn kind() -> Kind {
        Kind::Form { what: "a status code, `\"timeout\"` or `\"refused\"`", example: "503" }
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Integer(code @ 400..=599) => Some(Cause::Status(*code as u16)),
            Value::Integer(code) => {
                let message = format!("`{}`: {code} is no failure", reader.path());
                reader.wrong(
                    Diagnostic::error("out-of-range", node.place.clone(), message)
                        .help("failures have status codes from 400 to 599"),
                )
            }
            Value::String(word) if word == "timeout" => Some(Cause::Timeout),
            Value::String(word) if word == "refused" => Some(Cause::Refused),
            _ => reader.wrong_type(node, &Self::kind()),
        }
    }
}
