//! What must hold for WebSockets.

use super::check::{Cx, Diagnostics, error, find};
use super::file::Topology;
use super::flow::{Step, steps};
use super::names::{Named, Ref};
use super::socket::{Broadcast, Socket};
use crate::diagnostic::Diagnostic;

impl Topology {
    /// The cache through which the processes of a socket reach one another.
    pub(super) fn adapter_of(&self, socket: &Ref<Socket>) -> Option<&str> {
        let adapter = find(&self.sockets, &socket.name).spec.adapter.as_ref();
        adapter.map(|cache| cache.name.as_str())
    }
}

/// What sockets say.
pub(crate) fn sockets(cx: &Cx<'_>) -> Diagnostics {
    let all = flat_backoff(cx).into_iter().chain(large_message(cx));
    all.chain(handlers(cx)).chain(idle_keys(cx)).collect()
}

/// Pauses of clients that come back hardly grow: the second is as long as any may be.
fn flat_backoff(cx: &Cx<'_>) -> Diagnostics {
    let flat = |socket: &&Named<Socket>| {
        let reconnect = &socket.spec.reconnect;
        reconnect.delay.0.saturating_mul(2) > reconnect.most.0
    };
    let warn = |socket: &Named<Socket>| {
        let path = format!("socket.{}.reconnect", socket.name);
        let key = |key: &str| format!("{path}.{key}");
        let said = ["delay", "most"].map(key).into_iter().find(|it| cx.tree.at(it).is_some())?;
        let message = format!(
            "`{path}` hardly waits longer each time: twice its `delay` is beyond its `most`"
        );
        let help = "make `delay` at most half of `most`, or clients that were cut off together come back together";
        Some(Diagnostic::warning("flat-backoff", cx.tree.place_of(&said), message).help(help))
    };
    cx.topology.sockets.iter().filter(flat).filter_map(warn).collect()
}

/// Messages that no server takes: each closes the connection that it comes over.
fn large_message(cx: &Cx<'_>) -> Diagnostics {
    let warn = |socket: &Named<Socket>| {
        let service = find(&cx.topology.services, &socket.spec.service.name);
        let (size, most) = (socket.spec.size, socket.spec.largest(&service.spec));
        (socket.spec.messages.is_some() && size.0 > most.0).then(|| {
            let message = format!(
                "a message of `socket.{}` has {size}, and its server takes {most}: each closes the \
                 connection that it comes over",
                socket.name
            );
            let place = cx.tree.place_of(&format!("socket.{}.size", socket.name));
            Diagnostic::warning("large-message", place, message)
                .help("make `size` smaller, or raise `max_payload`")
        })
    };
    cx.topology.sockets.iter().filter_map(warn).collect()
}

/// Steps that answer or read a request: a message is none.
fn handlers(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for socket in &cx.topology.sockets {
        let service = socket.spec.service.name.as_str();
        for (at, step) in steps(&socket.spec.flow, Some(service)) {
            let (slug, what, help) = match &step.value {
                _ if at != Some(service) => continue,
                Step::Reply(_) => (
                    "misplaced-reply",
                    "a `reply`",
                    "leave it out; `broadcast` says when members of the room get it",
                ),
                Step::Transfer(_) => (
                    "misplaced-step",
                    "a `transfer`",
                    "leave it out; `size` says how large a message is",
                ),
                Step::Session(_) => (
                    "misplaced-step",
                    "a `session` step",
                    "leave it out: a connection was let in when it was opened",
                ),
                _ => continue,
            };
            let message = format!(
                "{what} cannot stand within the `flow` of `socket.{}`: a message is no request",
                socket.name
            );
            found.push(error(slug, &step.place, message).help(help));
        }
    }
    found
}

/// Keys about messages where there are none, or none that anything follows from.
fn idle_keys(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for socket in &cx.topology.sockets {
        let spec = &socket.spec;
        let mut idle = |key: &str, why: &str, help: &str| {
            found.extend(cx.no_effect(&format!("socket.{}.{key}", socket.name), why, help));
        };
        let asks = |step: &Step| matches!(step, Step::FetchSockets(it) if it.name == socket.name);
        let asked = cx.topology.steps().iter().any(|(_, step)| asks(&step.value));
        for key in ["requests_timeout", "answer_cpu", "answer"] {
            if !asked {
                idle(key, "no flow asks for its sockets", "say where with a step `fetch_sockets`");
            } else if spec.adapter.is_none() && key != "answer_cpu" {
                idle(key, "without an `adapter` a process asks no other", "say its `adapter`");
            }
        }
        if spec.messages.is_none() {
            idle("flow", "no client says anything", "say how many `messages` come");
            idle("broadcast", "no client says anything", "say how many `messages` come");
        } else if spec.broadcast == Broadcast::Never {
            for key in ["room", "adapter", "adapter_cpu", "write_cpu", "write_per_kb"] {
                idle(key, "no message is broadcast", "leave it out, or say another `broadcast`");
            }
        } else if spec.flow.is_empty() {
            idle(
                "broadcast",
                "nothing else is done with a message",
                "leave it out, or say a `flow`",
            );
        }
    }
    found
}
