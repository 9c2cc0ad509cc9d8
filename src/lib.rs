//! Loadbearing: a deterministic discrete-event simulator of whole web deployments.
//!
//! *Which part of your deployment bears the load, and which gives first.*
//!
//! The modules stand in layer order: **a module may use only modules declared above it.** That
//! sentence and the list below are the architecture; `tests/tidy` holds them.

pub mod units;
pub mod diagnostic;
pub mod stream;
pub mod variate;
pub mod stats;
pub mod theory;
pub mod kernel;
pub mod component;
pub mod failure;
pub mod topology;
pub mod model;
pub mod explain;
pub mod run;
pub mod result;
pub mod validation;
pub mod figure;
#[cfg(feature = "cli")]
pub mod experiment;
#[cfg(feature = "cli")]
pub mod reality;
#[cfg(feature = "cli")]
pub mod report;
