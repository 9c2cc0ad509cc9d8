//! Machines that several components share.

use super::dist::Dist;
use super::price::Price;
use super::spec::spec;
use crate::units::{Rate, Ratio};

spec! {
    /// A machine whose cores several components share: a virtual machine that everything runs on, a pod
    /// with its sidecar. Whatever computes on it at one time has an equal share of what those who go
    /// first leave of its cores, and one core at most: an event loop, a statement, a cache's command.
    /// All instances of a service that names it are processes on it.
    component Host {
        /// Its cores.
        cores: f64 = "2" from "assumed: a small virtual machine", positive;
        /// For how long on average who computes keeps a core while others of the same priority want
        /// it: they wait for that long, times how many there are for each core, unless one is free
        /// before.
        turn: Option<Dist> = "none: they share the cores at every moment"
            from "assumed: pieces of work are longer than a scheduler's turns";
        /// What else computes on it.
        others: Vec<Others> = "[]" from "assumed: it is there for the deployment alone";
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
        /// How many of them compute at a time; more wait until one is done, as behind `make -j2`.
        at_most: Option<u32> = "no limit" from "assumed: they know nothing of each other", positive;
        /// Who goes first on the machine.
        priority: Priority = "\"normal\"" from "Linux (SCHED_OTHER: all are equal)";
    }
}
spec! {
    /// Who goes first on a machine that several share. Of two priorities the higher takes what it wants
    /// at once; the lower has what is left.
    choice Priority {
        /// Before all others: the real-time classes of Linux (`chrt`) beside those of a lower
        /// real-time priority.
        High = "high";
        /// As most.
        Normal = "normal";
        /// On cores that nobody else wants: an ordinary process beside such of the real-time classes,
        /// an idle one (`SCHED_IDLE`, `cpu.idle`) beside ordinary ones.
        Low = "low";
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
