//! The traps that real products set, each seen to bite: with the product's own behaviour the bad thing
//! happens, with the cure it does not. A test is named after its trap, `t_12_...` for trap T-12.

mod balancers;
mod caches;
mod compute;
mod gates;
mod loops;
mod network;
mod observability;
mod pools;
mod postgres;
mod queues;
mod redis;
mod sessions;
#[allow(dead_code, reason = "shared with the tests of knobs")]
#[path = "../knobs/support.rs"]
mod support;
mod users;
mod websockets;
