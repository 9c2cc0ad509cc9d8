//! How unevenly the parts of a component are asked: nodes of a cluster, shards, partitions, members.

use super::Walk;
use crate::component::cache::Key;
use crate::component::cache::cluster::{Placement, node_of, slot_of};
use crate::component::shard::{partition_of, shard_of};
use crate::kernel::Dense;
use crate::model::ids::{CacheId, KeysId, StationId};
use crate::model::{Database, Keys, Model};

/// The number that stands for no key, and for the one hash tag of all queues.
const NONE: u32 = u32::MAX;

/// Zones have equal shares, whatever stands in them, if anything does: what an instance of the smallest gets
/// over the mean.
fn of_zones(instances: u32, zones: u32) -> f64 {
    let used = zones.min(instances).max(1);
    let smallest = (instances / zones).max(1);
    f64::from(instances) / f64::from(used * smallest)
}

impl Walk<'_> {
    /// What the busiest part of each component is asked over the mean of all.
    pub(super) fn imbalance(&self) -> Dense<StationId, f64> {
        let model = self.model;
        let mut imbalance: Dense<StationId, f64> = model.stations.iter().map(|_| 1.0).collect();
        for service in model.services.iter().filter(|it| it.health.zonal && it.nodes > 1) {
            imbalance[service.station] = of_zones(service.instances, service.nodes);
        }
        for (id, cache) in model.caches.enumerate() {
            if cache.nodes > 1 && cache.service.is_none() {
                imbalance[cache.station] = self.of_nodes(id);
            }
        }
        for database in model.databases.iter().filter(|it| it.shards > 1) {
            let Some(keys) = database.shard_keys else { continue };
            let shares =
                shares(&model.keys[keys], database.shards, |rank| shard_of(rank, database.shards));
            imbalance[database.station] = busiest(&shares, database.shards);
            imbalance[database.replica_station] = imbalance[database.station];
        }
        for (number, client) in model.http_clients.iter().enumerate() {
            let Some(station) = client.station.filter(|_| client.is_divided()) else { continue };
            let mut hosts = vec![0.0; client.to.len()];
            for (agent, called_s) in model.agents.iter().zip(&self.called_s) {
                if usize::from(agent.client) == number {
                    hosts[usize::from(agent.host)] += called_s;
                }
            }
            imbalance[station] = busiest(&hosts, client.to.len() as u32);
        }
        for stream in model.streams.iter() {
            let Some(topic) = &stream.topic else { continue };
            let Some(keys) = topic.keys else { continue };
            let place = |rank| partition_of(rank, topic.partitions);
            let partitions = shares(&model.keys[keys], topic.partitions, place);
            imbalance[stream.station] = busiest(&partitions, topic.partitions);
            for consumer in &stream.consumers {
                let consumer = &model.consumers[*consumer];
                let parts = &consumer.parts;
                let shares = if parts.by_member {
                    // Partitions are dealt out in turn.
                    let mut members = vec![0.0; parts.count.max(1) as usize];
                    let many = members.len();
                    for (partition, share) in partitions.iter().enumerate() {
                        members[partition % many] += share;
                    }
                    members
                } else {
                    partitions.clone()
                };
                imbalance[consumer.station] = busiest(&shares, parts.servers);
            }
        }
        imbalance
    }

    /// Nodes of a cluster: keys lie by their slots, all queues in one, everything else evenly.
    fn of_nodes(&self, id: CacheId) -> f64 {
        let model = self.model;
        let cache = &model.caches[id];
        let mut nodes = vec![0.0; cache.nodes as usize];
        let mut known = 0.0;
        for (keys, weight) in self.keyed.iter().filter(|((of, _), _)| *of == id.0) {
            let keyset = cache.keysets.iter().position(|it| it.0 == keys.1).unwrap_or(0) as u32;
            let place =
                |rank| node_of(slot_of(Key { keyset, rank }, Placement::Spread), cache.nodes);
            let shares = shares(&model.keys[KeysId(keys.1)], cache.nodes, place);
            nodes.iter_mut().zip(&shares).for_each(|(node, share)| *node += weight * share);
            known += weight;
        }
        if let Some(weight) = self.queued.get(&id.0) {
            let key = Key { keyset: NONE, rank: NONE };
            nodes[node_of(slot_of(key, Placement::Spread), cache.nodes) as usize] += weight;
            known += weight;
        }
        let even = (self.service_s[cache.station] - known).max(0.0) / f64::from(cache.nodes);
        nodes.iter_mut().for_each(|node| *node += even);
        busiest(&nodes, cache.nodes)
    }
}

/// What falls on each shard of a database as a run starts, and nothing on those that are added later; empty
/// where all are alike.
pub(super) fn of_shards(model: &Model, database: &Database) -> Vec<f64> {
    if database.reshard.is_none() && database.shard_keys.is_none() {
        return Vec::new();
    }
    let serving = database.reshard.map_or(database.shards, |it| it.from);
    let mut found = match database.shard_keys {
        Some(keys) => shares(&model.keys[keys], serving, |rank| shard_of(rank, serving)),
        None => vec![1.0 / f64::from(serving); serving as usize],
    };
    found.resize(database.shards as usize, 0.0);
    found
}

/// The largest over the mean of those that work at a time.
fn busiest(shares: &[f64], servers: u32) -> f64 {
    let all: f64 = shares.iter().sum();
    let largest = shares.iter().copied().fold(0.0, f64::max);
    if all > 0.0 { largest * f64::from(servers) / all } else { 1.0 }
}

/// Which share of a key set's use falls on each part.
fn shares(keys: &Keys, parts: u32, place: impl Fn(u32) -> u32) -> Vec<f64> {
    // Of more keys than these none weighs much.
    const LOOKED_AT: u32 = 200_000;
    let mut shares = vec![0.0; parts as usize];
    let mut rest = 1.0;
    for rank in 0..keys.count.min(LOOKED_AT) {
        let chance = match &keys.sampler {
            Some(sampler) => sampler.probability(rank),
            None => 1.0 / f64::from(keys.count),
        };
        shares[place(rank) as usize] += chance;
        rest -= chance;
    }
    shares.iter_mut().for_each(|share| *share += rest.max(0.0) / f64::from(parts));
    shares
}
