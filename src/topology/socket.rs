//! WebSockets: connections that stay open, and what is sent over them.

use super::cache::Cache;
use super::dist::Dist;
use super::flow::Flow;
use super::names::Ref;
use super::price::SocketPrice;
use super::service::{Runtime, Service};
use super::spec::spec;
use crate::units::{Bytes, Duration, Rate, Ratio};

spec! {
    /// WebSockets of a service, as socket.io has them: connections with their heartbeats, messages
    /// that are broadcast to rooms, and clients that come back when they have lost theirs.
    component Socket {
        /// The service whose processes hold the connections.
        service: Ref<Service>;
        /// Clients that are connected at the start, evenly spread, and stay.
        connections: u32 = "0" from "assumed: nobody is connected at the start";
        /// Clients that come besides.
        opens: Option<Rate> = "nobody else comes" from "assumed: a steady crowd", positive;
        /// How long each of these stays.
        lasts: Option<Dist> = "to the end of the run" from "assumed: they stay", positive;
        /// How a connection begins.
        transport: Transport = "\"polling\"" from "socket.io-client 4.8 (transports: polling, then websocket)";
        /// CPU time of the handshake: TLS, upgrade, who it is.
        connect_cpu: Dist = "\"1ms\"" from "assumed: a token is checked";
        /// How long a client waits to be connected.
        timeout: Duration = "\"20s\"" from "socket.io-client 4.8 manager (timeout 20,000)", positive;
        /// Time between pings of the server.
        ping_interval: Option<Duration> = "25s; uvicorn 20s"
            from "engine.io 6.6.11 server (pingInterval 25,000); uvicorn 0.54.0 Config (ws_ping_interval)",
            positive;
        /// A client that hears no ping for so much longer closes the connection.
        ping_timeout: Duration = "\"20s\""
            from "engine.io 6.6.11 server (pingTimeout 20,000); uvicorn 0.54.0 Config (ws_ping_timeout)",
            positive;
        /// CPU time of a ping and its pong.
        ping_cpu: Dist = "\"20us\"" from "assumed: two small frames";
        /// How clients come back.
        reconnect: Reconnect = "{}" from "socket.io-client 4.8 manager";
        /// Messages that clients send, each broadcast to a room.
        messages: Option<Rate> = "nobody says anything" from "assumed: connections that are only held", positive;
        /// CPU time to receive a message.
        message_cpu: Dist = "\"50us\"" from "assumed: parsing and a handler";
        /// What the process that holds the sender does with each message, beside receiving it: its handler. If that
        /// fails before the broadcast, nobody gets the message.
        flow: Flow = "[]" from "assumed: a message is only passed on";
        /// Whether a message is broadcast, and when.
        broadcast: Broadcast = "\"after\""
            from "assumed: a handler that awaits what it stores, and emits then (`await insert(it); io.emit(it)`)";
        /// How many clients a room has, spread over all processes as clients are.
        room: Option<u32> = "everybody who is connected" from "assumed: one room", positive;
        /// Size of a message, as it comes, as it passes through the adapter, and as it goes to each member.
        size: Bytes = "\"1KB\"" from "assumed: a small event as JSON", positive;
        /// CPU time to receive each kilobyte of a message beyond the first.
        read_per_kb: Duration = "\"10us\""
            from "measured: ws 8.23.0 on Node.js 20.20.2, 16 and 64 KB of JSON (JSON.parse is most of it)";
        /// A larger message closes the connection that it comes over, and its client comes back.
        max_payload: Option<Bytes> = "1MB; uvicorn 16.8MB"
            from "engine.io 6.6.11 server (maxHttpBufferSize 1e6); uvicorn 0.54.0 Config (ws_max_size 16,777,216)",
            positive;
        /// CPU time to write to one member of a room.
        write_cpu: Duration = "\"10us\"" from "assumed: a small frame and a system call";
        /// CPU time to write each kilobyte of a message beyond the first to one member.
        write_per_kb: Duration = "\"0.45us\"" from "measured: ws 8.23.0 on Node.js 20.20.2, 16 and 64 KB";
        /// Messages are compressed, for each member anew.
        compression: Option<Deflate> = "they are not; uvicorn's are, as its `memory` has it"
            from "engine.io 6.6.11 server, ws 8.23.0 (perMessageDeflate false)";
        /// The Redis that every broadcast is published to, and every process gets it from.
        adapter: Option<Ref<Cache>> = "none: a broadcast reaches the clients of its own process"
            from "socket.io 4 (in-memory adapter)";
        /// Memory that a connection takes at its process, beside `memory.base` of the service.
        memory: Option<Bytes> = "\"20.6KB\"; 18.7KB with transport websocket; uvicorn 132KB"
            from "measured, 3,000 idle ones: socket.io 4.8.4 on Node.js 20.20.2 (ws 8.23.0 alone 8.4 KB); \
            FastAPI 0.165.0 on uvicorn 0.38.0 with websockets 17.4 (41 KB without compression)", positive;
        /// CPU time to receive a broadcast from the adapter, whether or not a member is here.
        adapter_cpu: Duration = "\"50us\"" from "assumed: decoding with msgpack, and a look at the room";
        /// How long a step `fetch_sockets` waits for the other processes before it fails.
        requests_timeout: Duration = "\"5s\"" from "@socket.io/redis-adapter 8.3.0 (requestsTimeout 5,000)", positive;
        /// CPU time by which a process answers one, its own included.
        answer_cpu: Duration = "\"50us\"" from "assumed: a list of a room's sockets as JSON";
        /// Size of an answer as it passes through the adapter.
        answer: Bytes = "\"1KB\"" from "assumed: a few sockets with their handshakes", positive;
        /// What it costs, where somebody is paid for its connections and messages.
        price: Option<SocketPrice>;
    }
}

spec! {
    /// permessage-deflate: each connection keeps a compressor and a decompressor, and each message is compressed
    /// once for each member.
    table Deflate {
        /// Memory of a connection besides.
        memory: Bytes = "\"226KB\"" from "measured: ws 8.23.0 on Node.js 20.20.2, 1,000 connections with a message each way";
        /// CPU time to compress a message, and to send it to a thread and back.
        write_cpu: Duration = "\"40us\"" from "measured: ws 8.23.0 on Node.js 20.20.2, 1 KB of JSON";
        /// CPU time to compress each kilobyte beyond the first.
        write_per_kb: Duration = "\"8us\"" from "measured: ws 8.23.0 on Node.js 20.20.2, 16 and 64 KB of JSON";
        /// CPU time to decompress a message, of whatever size.
        read_cpu: Duration = "\"65us\"" from "measured: ws 8.23.0 on Node.js 20.20.2, 1 to 64 KB of JSON";
        /// The share of it that is left.
        ratio: Ratio = "\"24%\"" from "measured: zlib of Node.js 20.20.2, 1 KB of JSON", positive;
    }
}

impl Socket {
    /// How many kilobytes a message has beyond the first.
    pub fn kilobytes_beyond(&self) -> f64 {
        (self.size.0 / 1e3 - 1.0).max(0.0)
    }
    /// The largest message that a service takes, as said or as its server has it.
    pub fn largest(&self, service: &Service) -> Bytes {
        self.max_payload.unwrap_or(Bytes(match service.runtime {
            Runtime::Uvicorn(_) => 16_777_216.0,
            Runtime::Node(_) => 1e6,
        }))
    }
    /// Bytes of a message on the wire.
    pub fn on_the_wire(&self) -> f64 {
        self.size.0 * self.compression.as_ref().map_or(1.0, |it| it.ratio.0)
    }
    /// Time between pings of a service, as said or as its server has it.
    pub fn ping_interval(&self, service: &Service) -> Duration {
        self.ping_interval.unwrap_or(match service.runtime {
            Runtime::Uvicorn(_) => Duration::secs(20),
            Runtime::Node(_) => Duration::secs(25),
        })
    }
    /// Memory that a connection takes at a process of a service, as said or as it was measured.
    pub fn bytes(&self, service: &Service) -> Bytes {
        self.memory.unwrap_or(Bytes(match (&service.runtime, &self.transport) {
            (Runtime::Uvicorn(_), _) => 132e3,
            (Runtime::Node(_), Transport::Polling) => 20.6e3,
            (Runtime::Node(_), Transport::WebSocket) => 18.7e3,
        }))
    }
}

spec! {
    /// When a message is broadcast to its room.
    choice Broadcast {
        /// When its `flow` has ended well.
        After = "after";
        /// As it comes, before its `flow`.
        Before = "before";
        /// Never: it is for the server alone.
        Never = "never";
    }
}
spec! {
    /// How a connection begins.
    choice Transport {
        /// By long polling, and then an upgrade: four requests, which must all reach the same process.
        Polling = "polling";
        /// By an upgrade at once: one request.
        WebSocket = "websocket";
    }
}
spec! {
    /// How clients come back that have lost their connection or did not get one.
    table Reconnect {
        /// The first pause; it doubles.
        delay: Duration = "\"1s\"" from "socket.io-client 4.8 manager (reconnectionDelay 1,000)", positive;
        /// The longest pause.
        most: Duration = "\"5s\"" from "socket.io-client 4.8 manager (reconnectionDelayMax 5,000)", positive;
        /// Its spread, as a share: by at most so much more or less.
        jitter: Ratio = "\"50%\"" from "socket.io-client 4.8 manager (randomizationFactor 0.5)";
    }
}
