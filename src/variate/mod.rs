//! Random variates: what a stream is turned into.
//!
//! [`Law`] says how an unnamed non-negative quantity is distributed (seconds, bytes: the owner
//! knows); [`Sampler`] is the same law made ready to draw from. [`KeySampler`] picks keys by
//! popularity and [`AliasTable`] outcomes by weight.
//!
//! Everything here is f64 `+ - * /`, square roots and the `libm` crate, so the same stream gives
//! the same bits on every platform. That is also why no sampler is borrowed: `rand_distr` goes
//! through `num-traits`, whose feature `std`, switched on by any crate of the build, replaces
//! `libm` by the platform's functions; a test would then vouch for other numbers than the program
//! draws.

mod alias;
mod cdf;
#[cfg(test)]
mod goodness;
mod law;
mod poisson;
mod popularity;
mod sampler;
mod ziggurat;

pub use alias::AliasTable;
pub use law::Law;
pub use poisson::poisson;
pub use popularity::{KeySampler, Popularity};
pub use sampler::Sampler;
pub use ziggurat::{exponential, standard_normal};
