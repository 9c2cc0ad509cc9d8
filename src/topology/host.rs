//! Machines that several components share.

use super::dist::Dist;
use super::price::Price;
use super::spec::spec;
use crate::units::{Rate, Ratio};

spec! {
    /// A machine whose cores several components share: a virtual machine that everything runs on, a pod
    /// with its sidecar. Whatever computes on it at one time has an equal share of its cores, and one
    /// core at most: an event loop, a statement, a cache's command. All instances of a service that
    /// names it are processes on it.
    component Host {
        /// Its cores.
        cores: f64 = "2" from "assumed: a small virtual machine", positive;
        /// What else computes on it.
        others: Option<Others> = "nothing" from "assumed: it is there for the deployment alone";
        /// What its hypervisor takes of it.
        stolen: Option<Stolen> = "nothing" from "assumed: its cores are there when they are wanted";
        /// Price of the machine.
        price: Option<Price>;
    }
}
spec! {
    /// What else computes on a machine: pieces of work that come at random.
    table Others {
        /// How many there are.
        rate: Rate;
        /// CPU time of each.
        cpu: Dist;
    }
}
spec! {
    /// Time in which a virtual machine's cores are with others, though they are wanted here (`steal` in
    /// /proc/stat). All of them are away at a time, and whoever computes stands still.
    table Stolen {
        /// Share of the time in which they are away.
        share: Ratio, positive;
        /// For how long at a time.
        slice: Dist = "{ exponential = \"4ms\" }"
            from "Linux 6.18 (CONFIG_HZ 250: a host's scheduler looks every 4 ms)";
    }
}
