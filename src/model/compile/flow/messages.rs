//! What functions do with the messages of queues that are mapped to them, loops of services with jobs, and
//! processes with the messages of the sockets that they hold.

use super::super::super::ids::*;
use super::super::super::tape::{Catch, Draw, Op};
use super::super::super::{Broadcast, Model};
use super::super::{Compiler, draw_id, find};
use super::{Place, Sessions};

/// Compiles the flows of jobs: they pass no middleware, and where the function reports which messages
/// have failed, one that fails is followed by the next.
pub(in super::super) fn messages(compiler: &mut Compiler, model: &mut Model) {
    for (index, job) in compiler.topology.jobs.iter().enumerate() {
        let topology = compiler.topology;
        let Some(service) = topology.worked_by(&job.spec.queue) else { continue };
        let mapping = topology.mapped(&job.spec.queue);
        let service: ServiceId = find(&topology.services, service);
        let place = Place {
            operation: "",
            service: service.0 as usize,
            path: format!("job.{}", job.name),
            held: Vec::new(),
            begun: false,
            lazy: None,
            in_thread: false,
            keyed: None,
        };
        model.jobs[JobId(index as u32)].entry = compiler.here();
        compiler.emit(Op::Enter { service, epilogue: None });
        let (first, mut behind) = (compiler.here(), Vec::new());
        compiler.flow(&job.spec.flow, &place, model, &Sessions::new(), &mut behind);
        match mapping {
            Some(_) => compiler.emit(Op::Message { failed: false }),
            None => compiler.emit(Op::End),
        };
        if mapping.is_some_and(|it| it.report_batch_item_failures) {
            let to = compiler.here();
            compiler.catches.push(Catch { first, last: to, to, leases: 0, stale: None });
            compiler.emit(Op::Message { failed: true });
        }
        compiler.rest(behind, model);
    }
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
