//! WebSockets.

use crate::component::backoff::Backoff;
use crate::model::ids::*;
use crate::model::tape::Pc;
use crate::units::Duration;

/// When a message is broadcast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broadcast {
    /// When its flow has ended well.
    After,
    /// As it comes.
    Before,
    /// Never.
    Never,
}

/// WebSockets of a service.
#[derive(Clone, Debug)]
pub struct Socket {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Whose processes hold the connections.
    pub service: ServiceId,
    /// Clients that are connected at the start.
    pub connections: u32,
    /// Clients that come besides (1/s).
    pub opens: Option<f64>,
    /// How long these stay.
    pub lasts: Option<LawId>,
    /// Requests that a handshake is made of.
    pub requests: u32,
    /// CPU time of a handshake.
    pub connect_cpu: LawId,
    /// How long a client waits for it.
    pub timeout: Duration,
    /// Time between pings.
    pub ping_interval: Duration,
    /// A client closes that hears no ping for so long.
    pub silence: Duration,
    /// A balancer closes a connection that carries nothing for so long, where pings are rarer.
    pub idle: Option<Duration>,
    /// CPU time of a ping and its pong.
    pub ping_cpu: LawId,
    /// How clients come back.
    pub backoff: Backoff,
    /// The longest pause.
    pub longest: Duration,
    /// Messages that are broadcast (1/s).
    pub messages: Option<f64>,
    /// CPU time to receive one.
    pub message_cpu: LawId,
    /// Where on the tape begins what is done with each; [`None`] if it is only passed on.
    pub flow: Option<Pc>,
    /// When it is broadcast.
    pub broadcast: Broadcast,
    /// What it takes more for its size and its compression.
    pub read_more: Duration,
    /// Bytes of a message on the wire.
    pub wire: u64,
    /// A message is larger than its server takes: the connection that it comes over is closed.
    pub too_large: bool,
    /// Members of a room; [`None`] is everybody.
    pub room: Option<u32>,
    /// CPU time to write to a member.
    pub write_cpu: Duration,
    /// Memory that a connection takes (bytes).
    pub memory: u64,
    /// CPU time to receive a broadcast from the adapter.
    pub adapter_cpu: Duration,
    /// Where on the tape a callback begins that only computes.
    pub callback: Pc,
    /// Where a callback begins that publishes to the adapter.
    pub publish: Option<Pc>,
    /// Where one begins that answers another process.
    pub answer: Option<Pc>,
    /// CPU time to answer.
    pub answer_cpu: Duration,
    /// How long answers are waited for.
    pub requests_timeout: Duration,
}
