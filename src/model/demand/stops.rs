//! What commands and bodies ask of the components that they go to.

use super::{Held, Walk};
use crate::model::ids::*;
use crate::model::tape::{Command, Op};

impl Walk<'_> {
    pub(super) fn command(
        &mut self,
        cache: CacheId,
        weight: f64,
        service: Option<ServiceId>,
        held: &[Held],
    ) {
        self.runs(self.model.caches[cache].command, cache, weight, service, held);
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
        if matches!(op, Op::Command { command: Command::Push, .. }) {
            *self.queued.entry(cache.0).or_insert(0.0) += weight;
        }
        let takes = match op {
            Op::Command { command: Command::Own { takes, .. }, .. } => takes,
            _ => self.model.caches[cache].command,
        };
        self.runs(takes, cache, weight, service, held);
    }

    /// A command that goes to the node of a key.
    pub(super) fn keyed_command(
        &mut self,
        cache: CacheId,
        keys: KeysId,
        weight: f64,
        service: Option<ServiceId>,
        held: &[Held],
    ) {
        *self.keyed.entry((cache.0, keys.0)).or_insert(0.0) += weight;
        self.command(cache, weight, service, held);
    }

    fn runs(
        &mut self,
        takes: LawId,
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
        });
        self.elsewhere(self.mean(spec.rtt) + far, weight, held);
        self.on_host(spec.host, weight * self.mean(takes));
        self.serve(spec.station, self.mean(takes), weight, held);
    }

    pub(super) fn link(
        &mut self,
        service: Option<ServiceId>,
        bytes: f64,
        weight: f64,
        held: &[Held],
    ) {
        let Some(link) = service.and_then(|service| self.model.services[service].link) else {
            return;
        };
        let spec = &self.model.links[link];
        self.serve(spec.station, bytes * 8.0 / spec.bandwidth.0, weight, held);
    }
}
