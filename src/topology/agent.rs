//! The HTTP clients that services call each other with: who opens connections, and for how long it tries.

use super::spec::spec;
use super::workload::Tls;
use crate::units::Duration;

spec! {
    /// What a service calls another with. Each of its workers has connections of its own; a call takes
    /// the idle one used last, or opens one. A connection that cannot be opened is the outcome
    /// `unreachable`.
    choice HttpClient {
        /// Connections are always open and cost nothing.
        Open = "open";
        /// `fetch` of Node.js; without an answer it fails after 300 s.
        Fetch(ClientConnections) = "fetch";
        /// axios in Node.js, with `http.globalAgent`.
        Axios(ClientConnections) = "axios";
        /// requests of Python without a Session: every call opens a connection.
        Requests(ClientConnections) = "requests";
        /// A client of httpx, which keeps up to 20 idle connections; without an answer it fails after 5 s.
        Httpx(ClientConnections) = "httpx";
    }
}
spec! {
    /// How a client opens and keeps connections.
    table ClientConnections {
        /// How long an idle connection is kept. One that the other end closes while a request is on its
        /// way resets it.
        keep_alive: Option<Duration> = "fetch 4 s; axios and httpx 5 s; requests not at all"
            from "undici 6.29.1 (keepAliveTimeout); Node.js 20 (http.globalAgent, timeout 5000); httpx 0.28.1 \
            _config.py (keepalive_expiry); requests 2.34.2 api.py (a Session for each call)";
        /// How long opening one may take, TLS included.
        connect_timeout: Option<Duration>
            = "fetch 10 s; httpx 5 s; axios and requests as long as the kernel tries, 127 s"
            from "undici 6.29.1 (connectTimeout); httpx 0.28.1 _config.py (DEFAULT_TIMEOUT_CONFIG); axios 1.21.1 \
            lib/defaults/index.js (timeout 0), requests 2.34.2 sessions.py (timeout None); ip-sysctl \
            (tcp_syn_retries)", positive;
        /// What is negotiated after the TCP handshake.
        tls: Tls = "\"none\"" from "assumed: services of a deployment call each other by plain HTTP";
    }
}

/// What a client does with connections.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientRules {
    /// How long an idle one is kept.
    pub keep_alive: Duration,
    /// Idle ones at most.
    pub most_idle: usize,
    /// How long opening one may take.
    pub connect_timeout: Option<Duration>,
    /// What is negotiated.
    pub tls: Tls,
    /// How long a call lasts that says no timeout of its own.
    pub timeout: Option<Duration>,
}

impl HttpClient {
    /// Its rules; [`None`]: connections are always open.
    pub fn rules(&self) -> Option<ClientRules> {
        const SECS: fn(u64) -> Duration = Duration::secs;
        let (said, keeps, most_idle, connects, timeout) = match self {
            HttpClient::Open => return None,
            HttpClient::Fetch(it) => (it, SECS(4), usize::MAX, Some(SECS(10)), Some(SECS(300))),
            HttpClient::Axios(it) => (it, SECS(5), usize::MAX, None, None),
            HttpClient::Requests(it) => (it, Duration::ZERO, usize::MAX, None, None),
            HttpClient::Httpx(it) => (it, SECS(5), 20, Some(SECS(5)), Some(SECS(5))),
        };
        Some(ClientRules {
            keep_alive: said.keep_alive.unwrap_or(keeps),
            most_idle,
            connect_timeout: said.connect_timeout.or(connects),
            tls: said.tls.clone(),
            timeout,
        })
    }
}
impl Tls {
    /// Round trips until a connection is open, that of TCP included.
    pub fn rounds(&self) -> u32 {
        match self {
            Tls::None => 1,
            Tls::V13 => 2,
            Tls::V12 => 3,
        }
    }
}
