//! Who sends work to whom: the edges of the deployment's picture.

use super::{Held, Walk};
use crate::model::Acks;
use crate::model::ids::{ServiceId, StationId, StreamId};
use crate::model::tape::{Op, Pc};

/// Where a flow comes from: users, or a component.
pub type Sender = Option<StationId>;

impl Walk<'_> {
    /// Notes whom the operation at `pc`, run by `service`, turns to, and how often a request does.
    pub(super) fn note_flow(&mut self, pc: Pc, weight: f64, service: Option<ServiceId>) {
        let model = self.model;
        let own = service.map(|id| model.services[id].station);
        let op = model.tape[pc.0 as usize];
        let flow = match op {
            Op::Edge { cdn, .. } => Some((None, model.cdns[cdn].station)),
            Op::Enter { service: to, .. } => {
                let edge = (pc.0 > 0 && service.is_none())
                    .then(|| model.tape[pc.0 as usize - 1])
                    .and_then(|before| match before {
                        Op::Edge { cdn, .. } => Some(model.cdns[cdn].station),
                        _ => None,
                    });
                Some((own.or(edge), model.services[to].station))
            }
            Op::Threads { .. } => service.map(|id| (own, model.services[id].threads_station)),
            Op::Limit { limit, .. } => Some((own, model.limits[limit].station)),
            Op::Guard { guard, .. } => Some((own, model.guards[guard].station)),
            Op::SessionSeek { session, .. } => Some((own, model.sessions[session].station)),
            Op::Acquire { pool, .. } => Some((own, model.pools[pool].station)),
            Op::CacheGet { cache, .. }
            | Op::CacheSet { cache, .. }
            | Op::CacheDelete { cache, .. }
            | Op::CacheLock { cache, .. }
            | Op::CacheUnlock { cache, .. }
            | Op::Command { cache, .. } => Some((own, model.caches[cache].station)),
            Op::Publish { stream, .. } => Some((own, model.streams[stream].station)),
            Op::Enqueue { job, .. } => Some((own, model.queues[model.jobs[job].queue].station)),
            Op::Reply { .. } | Op::Transfer { .. } => service
                .and_then(|id| model.services[id].link)
                .map(|link| (own, model.links[link].station)),
            _ => None,
        };
        if let Some((from, to)) = flow
            && from != Some(to)
        {
            *self.flows.entry((from, to)).or_insert(0.0) += weight;
        }
    }

    /// A message: its leader's time, and the time of everybody who consumes it.
    pub(super) fn publish(&mut self, id: StreamId, weight: f64, held: &[Held]) {
        let model = self.model;
        let stream = &model.streams[id];
        self.visits[stream.station] += weight;
        if let Some(topic) = &stream.topic {
            let append = self.mean(topic.append);
            self.service_s[stream.station] += weight * append;
            let copies = if topic.followers > 0 { self.mean(topic.replicate) } else { 0.0 };
            let waits = topic.linger.seconds() + self.mean(topic.rtt) + append;
            match topic.acks {
                Acks::None => {}
                Acks::Leader => self.elsewhere(waits, weight, held),
                Acks::All => self.elsewhere(waits + copies, weight, held),
            }
        }
        for consumer in &stream.consumers {
            let spec = &model.consumers[*consumer];
            let times = match spec.rules {
                crate::model::Rules::RedisPubSub(_) => f64::from(spec.members),
                _ => 1.0,
            };
            self.service_s[spec.station] += weight * times * self.mean(spec.work);
            self.visits[spec.station] += weight * times;
            let between = (Some(stream.station), spec.station);
            *self.flows.entry(between).or_insert(0.0) += weight * times;
        }
    }

    /// Notes that a statement goes from a pool to its database or to the replicas.
    pub(super) fn note_statement(&mut self, from: StationId, to: StationId, weight: f64) {
        *self.flows.entry((Some(from), to)).or_insert(0.0) += weight;
    }
}
