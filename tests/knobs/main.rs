//! A knob that is accepted does something: for every key of the language a small deployment in which
//! turning it changes what it should, by the right amount where arithmetic says so.

mod arrivals;
mod balancer;
mod cache;
mod client;
mod connection;
mod coverage;
mod covered_edge;
mod covered_platform;
mod covered_redis;
mod database;
mod deploy;
mod fault;
mod flow;
mod gate;
mod job;
mod law;
mod monitor;
mod network;
mod plan;
mod policies;
mod pool;
mod redis;
mod retries;
mod service;
mod session;
mod shed;
mod socket;
mod store;
mod support;
mod upkeep;
mod workload;
