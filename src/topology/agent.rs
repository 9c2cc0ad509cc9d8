//! The HTTP clients that services call each other with: who opens connections, how many, and for how
//! long it tries.

use super::spec::spec;
use super::workload::Tls;
use crate::units::Duration;

spec! {
    /// What a service calls another with. Each of its workers has connections of its own; a call takes
    /// an idle one, or opens one, or waits where the client has as many as it may. A connection that
    /// cannot be opened is the outcome `unreachable`.
    choice HttpClient {
        /// Connections are always open and cost nothing.
        Open = "open";
        /// `fetch` of Node.js; without an answer it fails after 300 s.
        Fetch(ClientConnections) = "fetch";
        /// axios in Node.js, with `http.globalAgent`.
        Axios(ClientConnections) = "axios";
        /// requests of Python without a Session: every call opens a connection.
        Requests(ClientConnections) = "requests";
        /// A Session of requests, which keeps up to 10 idle connections to a host and opens as many as
        /// are asked for.
        RequestsSession(ClientConnections) = "requests-session";
        /// A client of httpx, which has up to 100 connections and keeps 20 idle ones; without an answer, or
        /// without a connection, it fails after 5 s.
        Httpx(ClientConnections) = "httpx";
        /// A session of aiohttp, which has up to 100 connections; all in all a call takes at most 300 s.
        Aiohttp(ClientConnections) = "aiohttp";
        /// `http.DefaultTransport` of Go, which keeps up to 2 idle connections to a host and 100 in all.
        Go(ClientConnections) = "go";
        /// OkHttp with calls that are enqueued: 64 at once, 5 to a host; without an answer it fails after
        /// 10 s.
        Okhttp(ClientConnections) = "okhttp";
        /// HTTP/2 as clients of gRPC have it: all calls of a process to a service share one connection, each as a stream
        /// of its own, and wait where it has as many `streams` as its server allows.
        Http2(ClientConnections) = "http2";
        /// Apache HttpClient 5 with its pool: 25 connections, 5 to a host.
        Apache(ClientConnections) = "apache-httpclient";
    }
}
spec! {
    /// How a client opens and keeps connections. All calls of a service with the same settings share the
    /// connections of one client in each process.
    table ClientConnections {
        /// How long an idle connection is kept. One that the other end closes while a request is on its
        /// way resets it.
        keep_alive: Option<Duration> = "fetch 4 s; axios and httpx 5 s; aiohttp 15 s; go 90 s; apache-httpclient \
            3 min; okhttp 5 min; http2 30 min; requests not at all, requests-session for ever"
            from "undici 6.29.1 (keepAliveTimeout); Node.js 20 (http.globalAgent, timeout 5000); httpx 0.28.1 \
            _config.py (keepalive_expiry); aiohttp 3.14.5 connector.py (keepalive_timeout); Go net/http transport.go \
            (IdleConnTimeout); httpclient5 5.5 RequestConfig (DEFAULT_CONN_KEEP_ALIVE); okhttp 5 ConnectionPool; \
            requests 2.34.2 api.py (a Session for each call); grpc-go dialoptions.go (idleTimeout 30 min)";
        /// How long opening one may take, TLS included.
        connect_timeout: Option<Duration>
            = "fetch and okhttp 10 s; httpx 5 s; aiohttp and go 30 s; http2 20 s; apache-httpclient 3 min; axios, requests \
            and requests-session as long as the kernel tries, 127 s"
            from "undici 6.29.1 (connectTimeout); okhttp 5 OkHttpClient.kt (connectTimeout); httpx 0.28.1 _config.py \
            (DEFAULT_TIMEOUT_CONFIG); aiohttp 3.14.5 client.py (sock_connect 30); Go net/http transport.go (net.Dialer \
            Timeout 30 s); httpclient5 5.5 ConnectionConfig (DEFAULT_CONNECT_TIMEOUT); axios 1.21.1 \
            lib/defaults/index.js (timeout 0), requests 2.34.2 sessions.py (timeout None); ip-sysctl \
            (tcp_syn_retries); grpc-go clientconn.go (minConnectTimeout 20 s)", positive;
        /// What is negotiated after the TCP handshake.
        tls: Tls = "\"none\"" from "assumed: services of a deployment call each other by plain HTTP";
        /// How many connections a process has at once to all services that it calls with this client.
        /// Other calls wait, first come first served.
        max_connections: Option<u32> = "httpx and aiohttp 100; okhttp 64; apache-httpclient 25; the others as \
            many as are asked for"
            from "httpx 0.28.1 _config.py (DEFAULT_LIMITS); aiohttp 3.14.5 connector.py (limit); okhttp 5 \
            Dispatcher.kt (maxRequests); httpclient5 5.5 PoolingHttpClientConnectionManager \
            (DEFAULT_MAX_TOTAL_CONNECTIONS)", positive;
        /// How many of them to one service. Who waits for another service does not stand in the way.
        per_host: Option<u32> = "okhttp and apache-httpclient 5; the others as many as are asked for"
            from "okhttp 5 Dispatcher.kt (maxRequestsPerHost); httpclient5 5.5 PoolingHttpClientConnectionManager \
            (DEFAULT_MAX_CONNECTIONS_PER_ROUTE); undici 6.29.1 pool.js (connections null); Node.js 20 http.Agent \
            (maxSockets Infinity); Go net/http transport.go (MaxConnsPerHost 0); urllib3 2.8.0 \
            connectionpool.py (block False)", positive;
        /// Calls at once over the one connection of http2 to a service.
        streams: Option<u32> = "128 to a service behind an ALB or nginx, otherwise as many as are asked for"
            from "AWS ELB user guide (ALB: up to 128 requests in parallel over one HTTP/2 connection); nginx \
            ngx_http_v2_module (http2_max_concurrent_streams 128); grpc-go http2_server.go (maxStreams MaxUint32), Node.js 20 \
            http2 (maxConcurrentStreams 4294967295)", positive;
        /// How many idle ones it keeps, to all services. While httpx has more than that in all, it closes
        /// each that falls idle, also if somebody waits.
        max_idle: Option<u32> = "okhttp 5; httpx 20; go 100; the others any number"
            from "okhttp 5 ConnectionPool (maxIdleConnections); httpx 0.28.1 _config.py (max_keepalive_connections), \
            httpcore 1.0.9 connection_pool.py (_assign_requests_to_connections); Go net/http transport.go (MaxIdleConns)";
        /// How many idle ones it keeps to one service. What is given back beyond that is closed.
        idle_per_host: Option<u32> = "go 2; requests-session 10; axios 256; the others any number"
            from "Go net/http transport.go (DefaultMaxIdleConnsPerHost); requests 2.34.2 adapters.py (DEFAULT_POOLSIZE); \
            Node.js 20 http.Agent (maxFreeSockets)";
        /// How long a call waits for a connection at most; then it is the outcome `pool_timeout`.
        pool_timeout: Option<Duration> = "httpx 5 s; apache-httpclient 3 min; the others wait as long as the \
            call may take"
            from "httpx 0.28.1 _config.py (DEFAULT_TIMEOUT_CONFIG); httpclient5 5.5 RequestConfig \
            (DEFAULT_CONNECTION_REQUEST_TIMEOUT)", positive;
        /// Its name, which tells two clients with the same settings apart.
        name: Option<String> = "its kind" from "one client for all calls";
    }
}

/// What a client does with connections.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientRules {
    /// What the client is called in its service.
    pub name: String,
    /// How long an idle one is kept.
    pub keep_alive: Duration,
    /// As many at once.
    pub most: Option<u32>,
    /// As many at once to one service.
    pub per_host: Option<u32>,
    /// Idle ones at most.
    pub most_idle: usize,
    /// Idle ones to one service at most.
    pub idle_per_host: usize,
    /// Of idle ones the one that has been so for longest is used next.
    pub oldest_first: bool,
    /// How long opening one may take.
    pub connect_timeout: Option<Duration>,
    /// What is negotiated.
    pub tls: Tls,
    /// How long a call waits for one.
    pub pool_timeout: Option<Duration>,
}

/// What differs from product to product.
struct Product {
    kind: &'static str,
    keeps: Duration,
    connects: Option<Duration>,
    answers: Option<Duration>,
    most: Option<u32>,
    per_host: Option<u32>,
    most_idle: Option<u32>,
    idle_per_host: Option<u32>,
    waits: Option<Duration>,
    /// The time of a call runs while it waits for a connection: if the caller says it, and if not.
    counts_waiting: [bool; 2],
    /// Keys that it has no setting for.
    lacks: &'static [&'static str],
}

impl Product {
    const NONE: Product = Product {
        kind: "",
        keeps: Duration::FOREVER,
        connects: None,
        answers: None,
        most: None,
        per_host: None,
        most_idle: None,
        idle_per_host: None,
        waits: None,
        counts_waiting: [false, false],
        lacks: &[],
    };
}

impl HttpClient {
    /// What is said of it; [`None`]: connections are always open.
    pub fn said(&self) -> Option<&ClientConnections> {
        Some(self.product()?.1)
    }

    fn product(&self) -> Option<(Product, &ClientConnections)> {
        const SECS: fn(u64) -> Duration = Duration::secs;
        const TOTALS: &[&str] = &["max_connections", "max_idle", "pool_timeout"];
        Some(match self {
            HttpClient::Open => return None,
            HttpClient::Fetch(it) => {
                // `AbortSignal.timeout` runs from the call on, `headersTimeout` from its request on.
                let product = Product {
                    kind: "fetch",
                    keeps: SECS(4),
                    connects: Some(SECS(10)),
                    answers: Some(SECS(300)),
                    counts_waiting: [true, false],
                    lacks: &["max_connections", "max_idle", "idle_per_host", "pool_timeout"],
                    ..Product::NONE
                };
                (product, it)
            }
            HttpClient::Axios(it) => {
                // ClientRequest.setTimeout waits for the socket.
                let product = Product {
                    kind: "axios",
                    keeps: SECS(5),
                    idle_per_host: Some(256),
                    lacks: TOTALS,
                    ..Product::NONE
                };
                (product, it)
            }
            HttpClient::Requests(it) => {
                let lacks =
                    &["max_connections", "per_host", "max_idle", "idle_per_host", "pool_timeout"];
                let product =
                    Product { kind: "requests", keeps: Duration::ZERO, lacks, ..Product::NONE };
                (product, it)
            }
            HttpClient::RequestsSession(it) => {
                let product = Product {
                    kind: "requests-session",
                    idle_per_host: Some(10),
                    lacks: TOTALS,
                    ..Product::NONE
                };
                (product, it)
            }
            HttpClient::Httpx(it) => {
                let product = Product {
                    kind: "httpx",
                    keeps: SECS(5),
                    connects: Some(SECS(5)),
                    answers: Some(SECS(5)),
                    most: Some(100),
                    most_idle: Some(20),
                    waits: Some(SECS(5)),
                    lacks: &["per_host", "idle_per_host"],
                    ..Product::NONE
                };
                (product, it)
            }
            other => return other.further_product(),
        })
    }

    fn further_product(&self) -> Option<(Product, &ClientConnections)> {
        const SECS: fn(u64) -> Duration = Duration::secs;
        Some(match self {
            HttpClient::Aiohttp(it) => {
                let product = Product {
                    kind: "aiohttp",
                    keeps: SECS(15),
                    connects: Some(SECS(30)),
                    answers: Some(SECS(300)),
                    most: Some(100),
                    counts_waiting: [true, true],
                    lacks: &["max_idle", "idle_per_host", "pool_timeout"],
                    ..Product::NONE
                };
                (product, it)
            }
            HttpClient::Go(it) => {
                let product = Product {
                    kind: "go",
                    keeps: SECS(90),
                    connects: Some(SECS(30)),
                    most_idle: Some(100),
                    idle_per_host: Some(2),
                    counts_waiting: [true, true],
                    lacks: &["max_connections", "pool_timeout"],
                    ..Product::NONE
                };
                (product, it)
            }
            HttpClient::Okhttp(it) => {
                // `callTimeout` of an enqueued call runs from when the dispatcher lets it go.
                let product = Product {
                    kind: "okhttp",
                    keeps: SECS(300),
                    connects: Some(SECS(10)),
                    answers: Some(SECS(10)),
                    most: Some(64),
                    per_host: Some(5),
                    most_idle: Some(5),
                    lacks: &["idle_per_host", "pool_timeout"],
                    ..Product::NONE
                };
                (product, it)
            }
            HttpClient::Apache(it) => {
                let product = Product {
                    kind: "apache-httpclient",
                    keeps: SECS(180),
                    connects: Some(SECS(180)),
                    most: Some(25),
                    per_host: Some(5),
                    waits: Some(SECS(180)),
                    lacks: &["max_idle", "idle_per_host"],
                    ..Product::NONE
                };
                (product, it)
            }
            HttpClient::Http2(it) => {
                let product = Product {
                    kind: "http2",
                    keeps: SECS(1_800),
                    connects: Some(SECS(20)),
                    counts_waiting: [true, true],
                    lacks: &[
                        "max_connections",
                        "per_host",
                        "max_idle",
                        "idle_per_host",
                        "pool_timeout",
                    ],
                    ..Product::NONE
                };
                (product, it)
            }
            _ => return None,
        })
    }

    /// Whether all calls to a service share one connection.
    pub fn is_shared(&self) -> bool {
        matches!(self, HttpClient::Http2(_))
    }

    /// Its rules; [`None`]: connections are always open.
    pub fn rules(&self) -> Option<ClientRules> {
        let (product, said) = self.product()?;
        let any = |idle: Option<u32>| idle.map_or(usize::MAX, |idle| idle as usize);
        Some(ClientRules {
            name: said.name.clone().unwrap_or_else(|| product.kind.into()),
            keep_alive: said.keep_alive.unwrap_or(product.keeps),
            most: said.max_connections.or(product.most),
            per_host: match self.is_shared() {
                true => said.streams,
                false => said.per_host.or(product.per_host),
            },
            most_idle: any(said.max_idle.or(product.most_idle)),
            idle_per_host: any(said.idle_per_host.or(product.idle_per_host)),
            oldest_first: matches!(self, HttpClient::Aiohttp(_)),
            connect_timeout: said.connect_timeout.or(product.connects),
            tls: said.tls.clone(),
            pool_timeout: said.pool_timeout.or(product.waits),
        })
    }

    /// How long a call lasts that says no timeout of its own.
    pub fn timeout(&self) -> Option<Duration> {
        self.product()?.0.answers
    }

    /// Whether the time of a call runs while it waits for a connection, if that time is `said` or not.
    pub fn counts_waiting(&self, said: bool) -> bool {
        self.product().is_some_and(|(product, _)| product.counts_waiting[usize::from(!said)])
    }

    /// The settings that its product has.
    pub fn limits(&self) -> Vec<String> {
        const ALL: [&str; 5] =
            ["max_connections", "per_host", "max_idle", "idle_per_host", "pool_timeout"];
        let lacks = self.product().map_or(&ALL[..], |(product, _)| product.lacks);
        let has = ALL.into_iter().filter(|key| !lacks.contains(key));
        let streams = self.is_shared().then_some("streams");
        has.chain(streams).map(|key| format!("`{key}`")).collect()
    }

    /// What is said that its product has no setting for.
    pub fn ignored(&self) -> Vec<(&'static str, &'static str)> {
        let Some((product, said)) = self.product() else { return Vec::new() };
        let is_said = |key: &&&str| match **key {
            "max_connections" => said.max_connections.is_some(),
            "per_host" => said.per_host.is_some(),
            "max_idle" => said.max_idle.is_some(),
            "idle_per_host" => said.idle_per_host.is_some(),
            _ => said.pool_timeout.is_some(),
        };
        let streams = (said.streams.is_some() && !self.is_shared()).then_some("streams");
        let lacks = product.lacks.iter().filter(is_said).copied().chain(streams);
        lacks.map(|key| (product.kind, key)).collect()
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
