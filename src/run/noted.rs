//! What steps of the timeline note for monitors alone: hits, evictions, lags, memory.

use super::meter::Counter;
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::ids::{DatabaseId, StationId};
use crate::model::{Model, Shown};
use crate::units::{Duration, Time};

/// What was counted for each monitor before the first step; nothing where none asks.
pub fn nothing(model: &Model) -> Vec<[u64; 2]> {
    match model.monitors.iter().any(|monitor| monitor.shows.is_noted()) {
        true => vec![[0; 2]; model.monitors.len()],
        false => Vec::new(),
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// For each monitor a part and its whole, of a step of such a length; `counted` are the counts until then.
    pub(super) fn note_for_monitors(
        &self,
        counted: &mut [[u64; 2]],
        length: Duration,
    ) -> Vec<(f64, f64)> {
        let model: &Model = self.model;
        let mut noted = Vec::with_capacity(counted.len());
        for (monitor, before) in model.monitors.iter().zip(counted) {
            let mut since = |station: StationId, counters: [Counter; 2]| {
                let now = counters.map(|it| self.meters[station].counters[it as usize]);
                let gained = [now[0] - before[0], now[1] - before[1]];
                *before = now;
                gained.map(|count| count as f64)
            };
            noted.push(match monitor.shows {
                Shown::Hits(station) => {
                    let [hits, misses] = since(station, [Counter::Hits, Counter::Misses]);
                    (hits, hits + misses)
                }
                Shown::Evictions(station) => {
                    let [evicted, _] = since(station, [Counter::Evicted; 2]);
                    (evicted, length.seconds())
                }
                Shown::Lag(database) => (self.lag_of(database), 1.0),
                Shown::MemoryOfCache(cache) => {
                    let spec = &model.caches[cache];
                    let each = spec.store.memory.unwrap_or(u64::MAX) as f64;
                    let held = self.meters[spec.station].held.value();
                    (held as f64, each * self.caches[cache].stores.len() as f64)
                }
                Shown::MemoryOfService(service) => {
                    let runs = self.services[service].running > 0;
                    (self.memory_share(service), f64::from(u8::from(runs)))
                }
                Shown::MemoryOfDatabase(database) => (self.memory_of_database(database), 1.0),
                _ => (0.0, 0.0),
            });
        }
        noted
    }

    /// How long the write has been committed that a replica should have replayed first (s), of the one that
    /// is furthest behind.
    fn lag_of(&self, database: DatabaseId) -> f64 {
        let due = |committed: Time| self.now.since(committed).seconds();
        let nodes = self.databases[database].nodes.iter();
        let lags = nodes.filter_map(|node| node.replay.front()).map(|it| due(it.committed));
        lags.fold(0.0, f64::max)
    }
}
