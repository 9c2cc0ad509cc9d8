//! How connections are lent, from which follows how many of them long use leaves open.

use super::Walk;
use crate::component::pool::Lending;
use crate::kernel::Dense;
use crate::model::Model;
use crate::model::ids::PoolId;

/// To the primary, and to the replicas, of each pool, for one request of the mix.
pub(super) type Lendings = Dense<PoolId, [Lending; 2]>;

impl Walk<'_> {
    /// A request asks for a connection; says whether to a replica.
    pub(super) fn lend(&mut self, pool: PoolId, write: bool, weight: f64) -> bool {
        let replica = !write && self.model.pools[pool].replica_config.is_some();
        self.lendings[pool][usize::from(replica)].per_s += weight;
        replica
    }
}

/// Notes it at the pools and poolers.
pub(super) fn settle(model: &mut Model, lendings: &Lendings, rate: f64) {
    for (id, lending) in lendings.enumerate() {
        let lending = lending.map(|it| it.times(rate));
        model.pools[id].lending = lending;
        if let Some(pooler) = model.pools[id].pooler {
            for (all, its) in model.poolers[pooler].lending.iter_mut().zip(lending) {
                all.per_s += its.per_s;
                all.held += its.held;
            }
        }
    }
}
