//! What commands and bodies ask of the components that they go to.

use super::{Held, Walk};
use crate::model::Cache;
use crate::model::ids::*;
use crate::model::tape::{Command, Op};

impl Walk<'_> {
    /// What values of a key set add to a command (s).
    pub(super) fn copied(&self, cache: CacheId, keys: KeysId) -> f64 {
        let bytes = u64::from(self.model.keys[keys].size_bytes);
        self.model.caches[cache].per_kb.seconds() * Cache::large_kb(bytes)
    }

    /// A command may have a time of its own.
    pub(super) fn command_of(
        &mut self,
        op: Op,
        cache: CacheId,
        weight: f64,
        service: Option<ServiceId>,
        held: &[Held],
    ) {
        let seconds = self.takes(op, cache);
        if let Op::Command {
            command: Command::Push | Command::Add(_) | Command::Insert { .. } | Command::Publish(_),
            ..
        } = op
        {
            *self.queued.entry(cache.0).or_insert(0.0) += weight * seconds;
        }
        self.runs(seconds, cache, weight, service, held);
    }

    /// How long a command takes its server (s).
    fn takes(&self, op: Op, cache: CacheId) -> f64 {
        let spec = &self.model.caches[cache];
        let usual = self.mean(spec.command);
        let Op::Command { command, bytes, .. } = op else { return usual };
        let copy = spec.per_kb.seconds() * Cache::large_kb(u64::from(bytes));
        if let Some(takes) = command.takes() {
            return self.mean(takes) + copy;
        }
        let subscribers = match command {
            Command::Publish(stream) => self.subscribers(stream),
            _ => 0.0,
        };
        usual + (copy + subscribers * (copy + spec.per_subscriber.seconds()))
    }

    fn subscribers(&self, stream: StreamId) -> f64 {
        let all = self.model.streams[stream].consumers.iter();
        all.map(|consumer| f64::from(self.model.consumers[*consumer].members)).sum()
    }

    /// A command that goes to the node of a key.
    pub(super) fn keyed_command(
        &mut self,
        cache: CacheId,
        keys: KeysId,
        extra: f64,
        weight: f64,
        service: Option<ServiceId>,
        held: &[Held],
    ) {
        let seconds = self.mean(self.model.caches[cache].command) + extra;
        *self.keyed.entry((cache.0, keys.0)).or_insert(0.0) += weight * seconds;
        self.runs(seconds, cache, weight, service, held);
    }

    fn runs(
        &mut self,
        seconds: f64,
        cache: CacheId,
        weight: f64,
        service: Option<ServiceId>,
        held: &[Held],
    ) {
        let model = self.model;
        let spec = &model.caches[cache];
        if spec.service.is_some() {
            self.visits[spec.station] += weight;
            return;
        }
        let far = service.map_or(0.0, |service| {
            self.mean(model.route(model.services[service].region, spec.region))
                + self.to_zones(service, spec.region, 0..spec.nodes)
        });
        self.elsewhere(self.mean(spec.rtt) + far, weight, held);
        self.on_host(spec.host, weight * seconds);
        self.serve(spec.station, seconds, weight, held);
    }

    pub(super) fn link(
        &mut self,
        service: Option<ServiceId>,
        (bytes, upload): (LawId, bool),
        weight: f64,
        held: &[Held],
    ) {
        let Some(link) = service.and_then(|service| self.model.services[service].link) else {
            return;
        };
        let spec = &self.model.links[link];
        self.serve(
            spec.station_of(spec.way(upload)),
            self.mean(bytes) * 8.0 / spec.bandwidth.0,
            weight,
            held,
        );
    }
}
