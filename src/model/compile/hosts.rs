//! Machines that several components share.

use super::Compiler;
use crate::kernel::{Dense, Rank};
use crate::model::ids::*;
use crate::model::{Host, Others};
use crate::topology::{self, Named, Priority, Topology};

impl Compiler<'_> {
    /// Machines that several components share.
    pub(super) fn hosts(&mut self) -> Dense<HostId, Host> {
        let topology = self.topology;
        let mut all = Dense::default();
        for host in &topology.hosts {
            let mut others = Vec::new();
            for it in &host.spec.others {
                let (per_s, rank) = (it.rate.0, rank_of(&it.priority));
                let at_most = it.at_most.unwrap_or(u32::MAX);
                others.push(Others { per_s, cpu: self.law(&it.cpu), at_most, rank });
            }
            let turn = host.spec.turn.as_ref().map(|it| self.law(it));
            let equal =
                others.iter().all(|it| it.rank == Rank::Normal) && all_equal(topology, host);
            all.push(Host {
                name: host.name.clone(),
                station: self.station(&format!("host.{}", host.name)),
                cores: host.spec.cores,
                ranked: turn.is_some() || !equal,
                turn,
                others,
                stolen: host.spec.stolen.as_ref().map(|it| (it.share.0, self.law(&it.slice))),
            });
        }
        all
    }
}

/// Nobody on a machine goes before others.
fn all_equal(topology: &Topology, host: &Named<topology::Host>) -> bool {
    let services = topology.services.iter().map(|it| (&it.spec.host, &it.spec.priority));
    let databases = topology.databases.iter().map(|it| (&it.spec.host, &it.spec.priority));
    let caches = topology.caches.iter().map(|it| (&it.spec.host, &it.spec.priority));
    let mut all = services.chain(databases).chain(caches);
    all.all(|(on, priority)| {
        on.as_ref().is_none_or(|on| on.name != host.name) || rank_of(priority) == Rank::Normal
    })
}

/// Who goes first, as the engine knows it.
pub(super) fn rank_of(priority: &Priority) -> Rank {
    match priority {
        Priority::High => Rank::High,
        Priority::Normal => Rank::Normal,
        Priority::Low => Rank::Low,
    }
}
