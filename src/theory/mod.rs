//! Closed forms and exact recursions: what the simulator must agree with, and how it explains
//! itself.
//!
//! Every function is pure, in seconds and requests per second. Where a queue has no steady state
//! its mean is infinite, and so is every quantile.

mod birth_death;
mod caches;
mod limits;
mod mmpp;
mod networks;
mod overflow;
mod overload;
mod stations;
mod waves;

pub use caches::{
    CacheHits, EarlyRefresh, fifo_hits, lru_hits, ttl_hit_ratio, ttl_hit_ratio_renewed_at_hits,
};
pub use limits::{fixed_window_loss_ratio, reopening_ratio};
pub use mmpp::Mmpp;
pub use networks::{
    Bounds, ClosedNetwork, ClosedSolution, MachineRepair, OpenStation, Resource,
    jackson_response_mean_s,
};
pub use overflow::OverflowPool;
pub use overload::{
    ContentionLaw, constant_patience_loss_ratio, fluid_loss_ratio, quantile_level_of_max,
    retry_amplification, supermarket_response,
};
pub use stations::{
    ErlangA, Mg1, Mm1, Mmc, Mmck, cobham_waits_s, erlang_b, erlang_c, first_passage_connections_s,
    fork_join_pair_mean_s, gim1_response_mean_s,
};
pub use waves::InfiniteServer;
