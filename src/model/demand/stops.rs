//! What statements, commands and bodies ask of the components that they go to.

use super::Walk;
use crate::model::ids::*;
use crate::model::tape::Statement;

impl Walk<'_> {
    pub(super) fn statement(
        &mut self,
        pool: PoolId,
        seconds: f64,
        kind: Statement,
        weight: f64,
        held: &[PoolId],
    ) {
        let model = self.model;
        let spec = &model.pools[pool];
        let database = &model.databases[spec.database];
        let region = model.services[spec.service].region;
        let mut rtt = self.mean(database.rtt) + self.mean(model.route(region, database.region));
        if let Some(pooler) = spec.pooler {
            let its = &model.poolers[pooler];
            self.visits[its.station] += weight;
            self.service_s[its.station] += weight * (self.mean(database.rtt) + seconds);
            rtt += self.mean(its.rtt);
        }
        self.elsewhere(rtt + seconds * (1.0 - database.cpu_share), weight, held);
        let cpu = seconds * database.cpu_share;
        self.on_host(database.host, weight * cpu);
        let to_replica = kind == Statement::Read && spec.replica_config.is_some();
        let station = if to_replica { database.replica_station } else { database.station };
        self.note_statement(spec.station, station, weight);
        self.serve(station, cpu, weight, held);
        if kind == Statement::Write && database.replicas > 0 {
            let replayed = cpu * database.replay * f64::from(database.replicas);
            self.service_s[database.replica_station] += weight * replayed;
        }
    }

    pub(super) fn command(
        &mut self,
        cache: CacheId,
        weight: f64,
        service: Option<ServiceId>,
        held: &[PoolId],
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
        self.on_host(spec.host, weight * self.mean(spec.command));
        self.serve(spec.station, self.mean(spec.command), weight, held);
    }

    pub(super) fn link(
        &mut self,
        service: Option<ServiceId>,
        bytes: f64,
        weight: f64,
        held: &[PoolId],
    ) {
        let Some(link) = service.and_then(|service| self.model.services[service].link) else {
            return;
        };
        let spec = &self.model.links[link];
        self.serve(spec.station, bytes * 8.0 / spec.bandwidth.0, weight, held);
    }
}
