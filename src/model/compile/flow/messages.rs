//! What functions do with the messages of queues that are mapped to them, loops of services with jobs, and
//! processes with the messages of the sockets that they hold.

use super::super::super::ids::*;
use super::super::super::tape::{Catch, Draw, Op, Pc};
use super::super::super::{Broadcast, Model, Rules};
use super::super::{Compiler, draw_id, find};
use super::{Place, Sessions};
use crate::topology::Flow;

/// Compiles the flows of jobs: they pass no middleware, and where the function reports which messages
/// have failed, one that fails is followed by the next.
pub(in super::super) fn messages(compiler: &mut Compiler, model: &mut Model) {
    for (index, job) in compiler.topology.jobs.iter().enumerate() {
        let topology = compiler.topology;
        let Some(service) = topology.worked_by(&job.spec.queue) else { continue };
        let mapping = topology.mapped(&job.spec.queue);
        let service: ServiceId = find(&topology.services, service);
        let entry = handler(
            compiler,
            model,
            (service, format!("job.{}", job.name), &job.spec.flow),
            mapping.map(|it| it.report_batch_item_failures),
        );
        model.jobs[JobId(index as u32)].entry = entry;
    }
}

/// Compiles what functions do with the records of streams that are mapped to them.
pub(in super::super) fn records(compiler: &mut Compiler, model: &mut Model) {
    for (index, consumer) in compiler.topology.consumers.iter().enumerate() {
        let Some(mapping) = &consumer.spec.mapping else { continue };
        let service: ServiceId = find(&compiler.topology.services, &mapping.function.name);
        let entry = handler(
            compiler,
            model,
            (service, format!("consumer.{}", consumer.name), &consumer.spec.flow),
            Some(mapping.report_batch_item_failures),
        );
        if let Rules::Kinesis(rules) = &mut model.consumers[ConsumerId(index as u32)].rules {
            rules.mapping.as_mut().expect("it has one").entry = entry;
        }
    }
}

/// What a service does with a message: one of a batch, whose function may report which have failed, or one alone.
fn handler<'a>(
    compiler: &mut Compiler<'a>,
    model: &mut Model,
    (service, path, flow): (ServiceId, String, &'a Flow),
    batch: Option<bool>,
) -> Pc {
    let place = Place::alone(service, path);
    let entry = compiler.here();
    compiler.emit(Op::Enter { service, epilogue: None });
    let (first, mut behind) = (compiler.here(), Vec::new());
    compiler.flow(flow, &place, model, &Sessions::new(), &mut behind);
    match batch {
        Some(_) => compiler.emit(Op::Message { failed: false }),
        None => compiler.emit(Op::End),
    };
    if batch == Some(true) {
        let to = compiler.here();
        compiler.catches.push(Catch { first, last: to, to, leases: 0, stale: None });
        compiler.emit(Op::Message { failed: true });
    }
    compiler.rest(behind, model);
    entry
}

/// Compiles what is done with the messages of sockets. How long its computing takes before and after the flow is
/// given as it begins.
pub(in super::super) fn of_sockets(compiler: &mut Compiler, model: &mut Model) {
    for (index, socket) in compiler.topology.sockets.iter().enumerate() {
        if socket.spec.flow.is_empty() {
            continue;
        }
        let id = SocketId(index as u32);
        let place = Place::alone(model.sockets[id].service, format!("socket.{}", socket.name));
        let given = Op::Cpu { work: Draw { law: LawId(0), id: draw_id(&place.path) } };
        let broadcast = model.sockets[id].broadcast;
        model.sockets[id].flow = Some(compiler.here());
        compiler.emit(given);
        if broadcast == Broadcast::Before {
            compiler.emit(Op::Emit);
        }
        let mut behind = Vec::new();
        compiler.flow(&socket.spec.flow, &place, model, &Sessions::new(), &mut behind);
        if broadcast == Broadcast::After {
            compiler.emit(Op::Emit);
            compiler.emit(given);
        }
        compiler.emit(Op::End);
        compiler.rest(behind, model);
    }
}
