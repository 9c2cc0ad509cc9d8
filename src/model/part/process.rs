//! Processes: memory, collections, probes.

use crate::component::garbage::Generations;
use crate::model::ids::LawId;
use crate::model::tape::Pc;
use crate::units::Duration;

/// What may end, or hold up, the processes of a service.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Their memory, if it is bounded.
    pub memory: Option<Memory>,
    /// Collecting garbage.
    pub gc: Option<Collecting>,
    /// By [`ALIVE`] and [`READY`]: the probes of the kubelet.
    pub probes: [Option<Probe>; 2],
    /// What each worker does by itself.
    pub timers: Vec<Timer>,
    /// Whom the balancer finds unhealthy is stopped.
    pub stops_unhealthy: bool,
    /// Starting again waits longer each time.
    pub backs_off: bool,
    /// Its workers end after so many requests.
    pub recycling: Option<Recycling>,
}

/// Workers that end after so many requests.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Recycling {
    /// So many.
    pub after: u32,
    /// And up to so many more, by chance.
    pub jitter: u32,
    /// How long the next one takes to start.
    pub start: Duration,
}

/// The probe that decides whether an instance is killed.
pub const ALIVE: usize = 0;
/// The probe that decides whether an instance is sent requests.
pub const READY: usize = 1;

/// Bounded memory, in bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Memory {
    /// Of an instance.
    pub machine: f64,
    /// A worker's own limit.
    pub heap: f64,
    /// What a worker takes without requests.
    pub base: f64,
    /// What each request takes, but for what operations say.
    pub per_request: f64,
    /// What each open connection takes.
    pub per_connection: f64,
    /// Some operations say what they take.
    pub varies: bool,
    /// Its workers keep caches or sessions.
    pub keeps: bool,
}

/// How garbage is collected.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Collecting {
    /// What a request allocates (bytes).
    pub allocates: f64,
    /// When a generation is collected.
    pub rule: Generations,
    /// How long the young one takes.
    pub minor: LawId,
    /// How long the old one takes, beside its live bytes.
    pub major: LawId,
    /// How long each of these takes (s).
    pub live_byte_s: f64,
}

/// A probe of the kubelet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Probe {
    /// From one to the next.
    pub interval: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
    /// Failures in a row that count.
    pub failures: u32,
    /// From a start to the first.
    pub delay: Duration,
    /// Where on the tape it begins.
    pub entry: Pc,
}

/// What a worker does by itself every so often.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Timer {
    /// From the beginning of one to the next.
    pub every: Duration,
    /// Where on the tape it begins.
    pub entry: Pc,
}
