//! What must hold where the number of shards changes.

use super::check::{Cx, Diagnostics, error, find};
use super::flow::{Shard, Step};

/// A change that changes something, and nobody who asks all shards meanwhile.
pub(crate) fn resharding(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let same = topology
        .databases
        .iter()
        .filter(|it| it.spec.reshard.as_ref().is_some_and(|reshard| reshard.to == it.spec.shards));
    let mut found: Diagnostics = same
        .map(|database| {
            let shards = database.spec.shards;
            let place = cx.tree.place_of(&format!("database.{}.reshard.to", database.name));
            let message = format!("`database.{}` has {shards} shards already", database.name);
            error("bad-reshard", &place, message).help("say another number, or leave `reshard` out")
        })
        .collect();
    for (_, step) in topology.steps() {
        let pool = match &step.value {
            Step::Scatter(scatter) => &scatter.pool,
            Step::Query(query) if query.shard == Shard::All => &query.pool,
            _ => continue,
        };
        let database = &find(&topology.pools, &pool.name).spec.database.name;
        if find(&topology.databases, database).spec.reshard.is_some() {
            let message =
                format!("this asks all shards of `database.{database}`, whose number changes");
            let help = "leave `reshard` out, and compare a file of each number";
            found.push(error("bad-reshard", &step.place, message).help(help));
        }
    }
    found
}
