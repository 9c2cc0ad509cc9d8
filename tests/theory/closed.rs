//! Closed populations: users who think, ask and wait.

use loadbearing::theory::{ClosedNetwork, MachineRepair, Resource};

use crate::{Runs, check};

/// Machine repair at published points. Throughput and response do not depend on the law of the
/// thinking time: once it is exponential (users in the aggregate), once Erlang (one by one).
#[test]
fn machine_repair() {
    for (population, think_s, seconds) in
        [(150, 1.0, 400), (200, 1.0, 300), (900, 6.0, 900), (3000, 20.0, 900)]
    {
        for law in ["exponential = ", "erlang.stages = 4, erlang.mean = "] {
            let think = format!("{law}\"{think_s}s\"");
            let sets = [
                format!("users.population={population}"),
                format!("users.think={{ {think} }}"),
                format!("run.duration={seconds}s"),
            ];
            let runs = Runs::over(12, "users.toml", &sets.each_ref().map(String::as_str));
            let theory = |stretch: f64| MachineRepair {
                users: population,
                think_s,
                servers: 15,
                service_s: 0.1 * stretch,
            };
            let what = format!("{population} users, {think}");
            let observed = runs.throughput_per_s();
            check(&what, &observed, 0.06, |s| theory(s).throughput_per_s());
            let observed = runs.latency_mean_s();
            check(&what, &observed, 0.04, |s| theory(s).response_mean_s());
        }
    }
}

/// A cycle through threads, a pool of exclusive connections and a database of shared cores.
#[test]
fn mean_value_analysis() {
    let runs = Runs::over(12, "cycle.toml", &["users.population=10"]);
    let theory = |stretch: f64| {
        let resources = vec![
            Resource { servers: 4, demand_s: 0.060 * stretch },
            Resource { servers: 15, demand_s: 0.200 * stretch },
            Resource { servers: 2, demand_s: 0.040 * stretch },
        ];
        ClosedNetwork { think_s: 0.5, resources }.solve(10)
    };
    check("cycle of 10", &runs.throughput_per_s(), 0.06, |s| theory(s).throughput_per_s);
    check("cycle of 10", &runs.latency_mean_s(), 0.03, |s| theory(s).response_mean_s);
    let cores = runs.at("database.cores", |station| station.utilisation());
    check("cycle of 10", &cores, 0.08, |s| theory(s).utilisation[2]);
}
