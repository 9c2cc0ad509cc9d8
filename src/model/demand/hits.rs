//! Predicted hit ratios: how often caches and edges have what they are asked for.

use std::collections::BTreeMap;

use super::Walk;
use crate::component::cache::Ttl;
use crate::model::ids::{CacheId, CdnId, KeysId};
use crate::model::tape::{Op, Pc};
use crate::model::{Keys, Model, Shield};
use crate::theory;

impl Walk<'_> {
    /// Hit ratios by theory: a time to live lets a key go, and so does a full store (Che et al. 2002).
    pub(super) fn predict_hits(&self) -> (BTreeMap<(u32, u32), f64>, Vec<f64>) {
        let model = self.model;
        let rate = model.nominal_rate().0;
        let mut hits = BTreeMap::new();
        for ((cache, keys), (weight, ttl)) in &self.gets {
            let spec = &model.caches[CacheId(*cache)];
            let set = &model.keys[KeysId(*keys)];
            let copies = spec.service.map_or(1.0, |service| {
                let service = &model.services[service];
                f64::from((service.instances * service.workers).max(1))
            });
            let entry = u64::from(set.size_bytes) + u64::from(spec.store.overhead_bytes);
            let fits = spec.store.memory.map(|bytes| bytes * u64::from(spec.nodes) / entry.max(1));
            let most = spec.store.max_entries.map(|most| u64::from(most) * u64::from(spec.nodes));
            let room = fits.into_iter().chain(most).min().unwrap_or(u64::MAX);
            let removed = self.deletes.get(&(*cache, *keys)).copied().unwrap_or(0.0);
            let rates = (weight * rate / copies, removed * rate / copies);
            let ratio = hit_ratio(set, rates, *ttl, room);
            hits.insert((*cache, *keys), ratio);
        }
        let edges = model.cdns.enumerate().map(|(id, cdn)| {
            let per_pop = self.edges[id.0 as usize] * rate / f64::from(cdn.pops);
            hit_ratio(&model.keys[cdn.keys], (per_pop, 0.0), Ttl::of(cdn.ttl, false), u64::MAX)
        });
        (hits, edges.collect())
    }
}

/// Sets how often each CDN is asked.
pub(super) fn rate_edges(model: &mut Model) {
    let unknown = vec![0.9; model.cdns.len()];
    let idle = vec![1.0; model.queues.len()];
    let weights = Walk::over(model, None, &BTreeMap::new(), &unknown, &idle).edges;
    let rate = model.nominal_rate().0;
    for (cdn, weight) in weights.iter().enumerate() {
        model.cdns[CdnId(cdn as u32)].rate_per_s = weight * rate;
    }
}

impl Walk<'_> {
    /// Edges that ask a shield, which is asked together by all of them.
    pub(super) fn shielded_edge(
        &mut self,
        cdn: CdnId,
        shield: Shield,
        (hit, next): (Pc, Pc),
        weight: f64,
    ) {
        let model = self.model;
        let spec = &model.cdns[cdn];
        self.edges[cdn.0 as usize] += weight;
        let (at_edges, beyond) = self.shielded_misses(cdn, shield.count);
        let (edge, rtt) = (self.mean(spec.edge), self.mean(shield.rtt));
        let whole = match model.tape[next.0 as usize] {
            Op::Enter { service, .. } => self.way_to_users(next, model.services[service].region),
            _ => 0.0,
        };
        let further = (edge + rtt - whole).max(0.0);
        self.visits[spec.station] += weight;
        self.visits[shield.station] += weight * at_edges;
        let at_shield = at_edges - beyond;
        let seconds = edge * (1.0 - beyond) + rtt * at_shield + further * beyond;
        self.elsewhere(seconds, weight, &[]);
        self.go(hit, weight * (1.0 - beyond), None, &[]);
        self.go(next, weight * beyond, None, &[]);
    }

    /// The shares of what users ask that edges with a shield do not have, and that the shield has not
    /// either. What leaves the origin is old at the same time wherever it is: from one request of the
    /// shield to the next pass its time and, on average, that between two requests. Meanwhile each edge
    /// asks once, if it is asked at all.
    pub(super) fn shielded_misses(&self, cdn: CdnId, shields: u32) -> (f64, f64) {
        let model = self.model;
        let spec = &model.cdns[cdn];
        let keys = &model.keys[spec.keys];
        let rate = spec.rate_per_s / f64::from(shields);
        let Some(ttl) = spec.ttl else { return (0.0, 0.0) };
        let pops = (f64::from(spec.pops) / f64::from(shields)).max(1.0);
        const LOOKED_AT: u32 = 200_000;
        let step = keys.count.div_ceil(LOOKED_AT).max(1);
        let (mut at_edges, mut beyond, mut all) = (0.0, 0.0, 0.0);
        for rank in (0..keys.count).step_by(step as usize) {
            let chance = match &keys.sampler {
                Some(sampler) => sampler.probability(rank),
                None => 1.0 / f64::from(keys.count),
            };
            let asked = rate * chance * ttl.seconds();
            let others = (pops - 1.0) * -libm::expm1(-asked / pops);
            at_edges += chance * (1.0 + others) / (1.0 + asked);
            beyond += chance / (1.0 + asked);
            all += chance;
        }
        if all > 0.0 { (at_edges / all, beyond / all) } else { (0.0, 0.0) }
    }
}

/// The share of lookups that find their key: each key is there while it lives, and while it is
/// among those that fit. Rates of reads and of removals (1/s).
fn hit_ratio(keys: &Keys, rates: (f64, f64), ttl: Ttl, room: u64) -> f64 {
    let (rate_per_s, removals_per_s) = rates;
    // Ranks beyond this many are looked at in steps: their probabilities hardly differ.
    const LOOKED_AT: u32 = 200_000;
    let step = keys.count.div_ceil(LOOKED_AT).max(1);
    let chance = |rank: u32| match &keys.sampler {
        Some(sampler) => sampler.probability(rank),
        None => 1.0 / f64::from(keys.count),
    };
    // A value lives until its time is over or it is removed, the first of a Poisson stream.
    let lives = |chance: f64| {
        let removals_per_s = removals_per_s * chance;
        let ttl_s = match ttl {
            Ttl::None => f64::INFINITY,
            Ttl::Fixed(length) => length.seconds(),
            // The read before was not longer ago than that, and no removal has come since.
            Ttl::Sliding(length) => {
                let (reads, all) = (rate_per_s * chance, rate_per_s * chance + removals_per_s);
                let renewed = theory::ttl_hit_ratio_renewed_at_hits(all * length.seconds());
                return if all > 0.0 { reads / all * renewed } else { 0.0 };
            }
        };
        let life_s = match removals_per_s > 0.0 {
            true => -libm::expm1(-removals_per_s * ttl_s) / removals_per_s,
            false => ttl_s,
        };
        match life_s.is_finite() {
            true => theory::ttl_hit_ratio(rate_per_s * chance * life_s),
            false => 1.0,
        }
    };
    let fits: Option<Vec<f64>> = (room < u64::from(keys.count)).then(|| {
        let weights: Vec<f64> = (0..keys.count).step_by(step as usize).map(chance).collect();
        theory::lru_hits(&weights, (room / u64::from(step)).max(1) as usize).per_key
    });
    let mut hits = 0.0;
    let mut all = 0.0;
    for (place, rank) in (0..keys.count).step_by(step as usize).enumerate() {
        let chance = chance(rank);
        let fits = fits.as_ref().map_or(1.0, |fits| fits[place]);
        hits += chance * lives(chance).min(fits);
        all += chance;
    }
    if all > 0.0 { hits / all } else { 0.0 }
}
