//! WebSockets: what they do on a loop is a flow of two or three operations.

use super::flow::Place;
use super::{Compiler, balancers, draw_id, find, named};
use crate::component::backoff::Backoff;
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::tape::{Command, Draw, Op, Pc};
use crate::model::{Broadcast, Socket};
use crate::topology::{self, Named};
use crate::units::Duration;

impl Compiler<'_> {
    pub(super) fn sockets(&mut self) -> Dense<SocketId, Socket> {
        let topology = self.topology;
        topology.sockets.iter().map(|socket| self.socket(socket)).collect()
    }

    fn socket(&mut self, socket: &Named<topology::Socket>) -> Socket {
        let spec = &socket.spec;
        let path = format!("socket.{}", socket.name);
        let callback = self.callback(&path, None);
        let adapter = spec.adapter.as_ref().map(|cache| find(&self.topology.caches, &cache.name));
        let id = find(&self.topology.sockets, &socket.name);
        let broadcast = (Command::Broadcast(id), spec.size.0 as u32);
        let publish = adapter.map(|cache| self.callback(&path, Some((cache, broadcast))));
        let answer = (Command::Broadcast(id), spec.answer.0 as u32);
        let answer =
            adapter.map(|cache| self.callback(&format!("{path}.answer"), Some((cache, answer))));
        let service = &named(&self.topology.services, &spec.service.name).spec;
        let interval = spec.ping_interval(service);
        let beyond = spec.kilobytes_beyond();
        let deflate = |part: fn(&topology::Deflate, f64) -> Duration| {
            spec.compression.as_ref().map_or(Duration::ZERO, |it| part(it, beyond))
        };
        Socket {
            name: socket.name.clone(),
            station: self.station(&path),
            service: find(&self.topology.services, &spec.service.name),
            connections: spec.connections,
            opens: spec.opens.map(|rate| rate.0),
            lasts: spec.lasts.as_ref().map(|law| self.law(law)),
            requests: match spec.transport {
                topology::Transport::Polling => 4,
                topology::Transport::WebSocket => 1,
            },
            connect_cpu: self.law(&spec.connect_cpu),
            timeout: spec.timeout,
            ping_interval: interval,
            silence: interval + spec.ping_timeout,
            idle: self.idle_timeout(&spec.service.name).filter(|idle| *idle < interval),
            ping_cpu: self.law(&spec.ping_cpu),
            backoff: Backoff::Growing {
                base: spec.reconnect.delay,
                factor: 2.0,
                randomisation: spec.reconnect.jitter.0,
            },
            longest: spec.reconnect.most,
            messages: spec.messages.map(|rate| rate.0),
            message_cpu: self.law(&spec.message_cpu),
            flow: None,
            broadcast: match spec.broadcast {
                topology::Broadcast::After => Broadcast::After,
                topology::Broadcast::Before => Broadcast::Before,
                topology::Broadcast::Never => Broadcast::Never,
            },
            read_more: spec.read_per_kb.scale(beyond) + deflate(|it, _| it.read_cpu),
            wire: spec.on_the_wire() as u64,
            too_large: spec.size.0 > spec.largest(service).0,
            room: spec.room,
            memory: (spec.bytes(service).0
                + spec.compression.as_ref().map_or(0.0, |it| it.memory.0))
                as u64,
            write_cpu: spec.write_cpu
                + spec.write_per_kb.scale(beyond)
                + deflate(|it, beyond| it.write_cpu + it.write_per_kb.scale(beyond)),
            adapter_cpu: spec.adapter_cpu,
            callback,
            publish,
            answer,
            answer_cpu: spec.answer_cpu,
            requests_timeout: spec.requests_timeout,
        }
    }

    /// After how long without traffic the balancer in front of a service closes an upgraded connection.
    fn idle_timeout(&self, service: &str) -> Option<Duration> {
        let mut all = self.topology.balancers.iter();
        let spec = &all.find(|balancer| balancer.spec.service.name == service)?.spec;
        match (&spec.kind, spec.idle_timeout) {
            // Its route's timeout ends with an upgrade; the stream's own idle timeout does not.
            (topology::BalancerKind::Envoy, None) => Some(Duration::secs(300)),
            (topology::BalancerKind::Nlb, _) => spec.connections().map(|it| it.idle),
            _ => balancers::health(spec).idle_timeout,
        }
    }

    /// A callback that computes for as long as it is told, and perhaps publishes.
    fn callback(&mut self, path: &str, publishes: Option<(CacheId, (Command, u32))>) -> Pc {
        let entry = Pc(self.tape.len() as u32);
        self.tape.push(Op::Cpu { work: Draw { law: LawId(0), id: draw_id(path) } });
        if let Some((cache, (command, bytes))) = publishes {
            let draw = draw_id(&format!("{path}.publish"));
            self.tape.push(Op::Command { cache, command, draw, bytes });
        }
        self.tape.push(Op::End);
        entry
    }

    /// A step that asks all processes of a socket: its own at once, the others through the adapter.
    pub(super) fn fetch_sockets(&mut self, name: &str, place: &Place<'_>) {
        let spec = &named(&self.topology.sockets, name).spec;
        let socket = find(&self.topology.sockets, name);
        let own = self.constant(spec.answer_cpu.seconds());
        self.emit(Op::Cpu { work: own });
        let Some(cache) = &spec.adapter else { return };
        let cache: CacheId = find(&self.topology.caches, &cache.name);
        let takes = self.cache_command(&self.topology.caches[cache.0 as usize].spec);
        let (command, draw) = (Command::Own { takes, write: false }, place.draw("numsub"));
        self.emit(Op::Command { cache, command, draw, bytes: 0 });
        let alone = self.emit(Op::Inquire { socket, sent: false, done: Pc(0) });
        let (command, draw) = (Command::Broadcast(socket), place.draw("request"));
        self.emit(Op::Command { cache, command, draw, bytes: REQUEST });
        let waits = self.emit(Op::Inquire { socket, sent: true, done: Pc(0) });
        let done = Pc(self.tape.len() as u32);
        self.tape[alone] = Op::Inquire { socket, sent: false, done };
        self.tape[waits] = Op::Inquire { socket, sent: true, done };
    }
}

/// Bytes of a request of the adapter (@socket.io/redis-adapter 8.3.0: an id, a type, rooms, as JSON).
const REQUEST: u32 = 100;
