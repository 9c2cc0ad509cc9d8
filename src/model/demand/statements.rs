//! What a statement asks of its server, and for how long it keeps connections on the way.

use super::Walk;
use crate::model::PoolMode;
use crate::model::ids::{PoolId, SessionId};
use crate::model::tape::{LocksId, Statement};

/// A connection that a request holds.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// From which pool.
    pub(super) pool: PoolId,
    /// A pooler's connection to the server goes with it.
    pub(super) lent: bool,
    /// To a replica.
    pub(super) replica: bool,
}

impl Walk<'_> {
    /// A connection of a pool; behind a pooler of sessions a server's connection goes with it.
    pub(super) fn holding(&self, pool: PoolId) -> Held {
        let pooler = self.model.pools[pool].pooler;
        let session = |it| self.model.poolers[it].mode == PoolMode::Session;
        Held { pool, lent: pooler.is_some_and(session), replica: false }
    }

    /// A statement on the connection acquired last, behind which a transaction is open or not.
    pub(super) fn statement(
        &mut self,
        seconds: f64,
        (kind, open, pages): (Statement, bool, u16),
        weight: f64,
        held: &mut [Held],
    ) {
        let model = self.model;
        let last = held.len() - 1;
        let Held { pool, lent, .. } = held[last];
        let spec = &model.pools[pool];
        let database = &model.databases[spec.database];
        let read = database
            .buffer
            .as_ref()
            .map_or(0.0, |buffer| f64::from(pages) * buffer.misses * buffer.operation.seconds());
        let region = model.services[spec.service].region;
        let to_replica = kind == Statement::Read && spec.replica_config.is_some();
        let route = match to_replica && database.spread {
            true => {
                let copies = spec.reads_from.iter().map(|it| &database.copies[*it as usize - 1]);
                let ways = copies.map(|copy| self.mean(model.route(region, copy.region)));
                ways.sum::<f64>() / spec.reads_from.len() as f64
            }
            false => self.mean(model.route(region, database.region)),
        };
        let copies = if to_replica { &spec.reads_from[..] } else { &[0] };
        let zones = (0..database.shards).flat_map(|shard| copies.iter().map(move |it| shard + it));
        let across = match spec.pooler {
            Some(_) => self.to_zones(spec.service, database.region, 0..1),
            None => self.to_zones(spec.service, database.region, zones),
        };
        let route = route + across;
        let mut rtt = self.mean(database.rtt) + route;
        let mut after = lent;
        if let Some(pooler) = spec.pooler {
            let its = &model.poolers[pooler];
            let near = self.mean(its.rtt);
            rtt += near;
            after = match its.mode {
                PoolMode::Session => true,
                PoolMode::Transaction => open,
                PoolMode::Statement => false,
            };
            let cpu = its.core.map_or(0.0, |(cpu, core)| {
                self.visits[core] += 2.0 * weight;
                self.service_s[core] += 2.0 * weight * cpu.seconds();
                cpu.seconds()
            });
            self.passes_core(2.0 * cpu, weight, held);
            // Who has the server's connection already keeps it on the way there, and who goes on in a
            // transaction on the way back.
            let (there, back) = (f64::from(u8::from(lent)), f64::from(u8::from(after)));
            let kept = self.mean(database.rtt)
                + seconds
                + read
                + (near + route) / 2.0 * (there + back)
                + cpu * (there + 1.0);
            self.service_s[its.station] += weight * kept;
            if !lent {
                self.visits[its.station] += weight;
            }
        }
        // Counted just now.
        held[last].lent = false;
        self.elsewhere(rtt + seconds * (1.0 - database.cpu_share) + read, weight, held);
        let cpu = seconds * database.cpu_share;
        self.on_host(database.host, weight * cpu);
        let station = if to_replica { database.replica_station } else { database.station };
        self.note_statement(spec.station, station, weight);
        self.serve(station, cpu, weight, held);
        held[last].lent = after;
        if kind == Statement::Write && database.replicas > 0 {
            let replayed = cpu * database.replay * f64::from(database.replicas);
            self.service_s[database.replica_station] += weight * replayed;
        }
    }

    /// Time on a pooler's core, which is counted there.
    fn passes_core(&mut self, seconds: f64, weight: f64, held: &mut [Held]) {
        let last = held.len() - 1;
        let lent = std::mem::replace(&mut held[last].lent, false);
        self.pass(seconds, weight, held);
        held[last].lent = lent;
    }

    /// How much longer statements take on a table as large as at the start.
    pub(super) fn table_slowdown(&self, locks: LocksId) -> f64 {
        let Some(want) = usize::from(locks.0).checked_sub(1) else { return 1.0 };
        let want = &self.model.wants[want];
        let table = &self.model.relations[want.relation];
        let shards = u64::from(self.model.databases[table.database].shards);
        want.growth.map_or(1.0, |law| law.multiplier(table.count / shards))
    }

    pub(super) fn slowdown(&self, session: SessionId) -> f64 {
        let spec = &self.model.sessions[session];
        spec.growth.map_or(1.0, |law| law.multiplier(spec.warm))
    }
}
