//! What things cost, and who says so.

use super::check::{Cx, Diagnostics};
use super::price::{
    BalancerPrice, PoolerPrice, Price, SocketPrice, StorePrice, UsagePrice, VolumePrice,
};
use super::stream::StreamKind;
use crate::diagnostic::{Diagnostic, SourceId};
use crate::units::Money;

/// A price says where it is stated: itself, or the file of all that it states, or an assumption about
/// prices. One warning for all that do not; what is set for a trial needs no source.
pub(super) fn sources(cx: &Cx<'_>) -> Diagnostics {
    let topology = cx.topology;
    let is_price = |knob: &String| knob.contains("price");
    let assumed = topology.assume.iter().filter_map(|it| it.knob.as_ref()).any(is_price);
    if topology.source.is_some() || assumed {
        return Vec::new();
    }
    let written =
        |path: &String| cx.tree.at(path).is_some() && cx.tree.place_of(path).source == SourceId(0);
    let unsaid: Vec<String> = unsourced(cx).into_iter().filter(written).collect();
    let Some(first) = unsaid.first() else { return Vec::new() };
    let others = match unsaid.len() - 1 {
        0 => String::new(),
        1 => ", nor does another".into(),
        count => format!(", nor do {count} other prices"),
    };
    let message = format!("`{first}` does not say where it is stated{others}");
    let help = "say it: `price = { monthly = \"$20\", source = \"price list of May\" }`, or `source` for \
                the whole file, or write an `[[assume]]` whose `knob` is the price";
    vec![Diagnostic::warning("price-without-source", cx.tree.place_of(first), message).help(help)]
}

/// The paths of prices that cost something and say nothing of their source.
fn unsourced(cx: &Cx<'_>) -> Vec<String> {
    let topology = cx.topology;
    let mut all = Vec::new();
    let mut note = |path: String, said: Option<bool>| {
        if said == Some(false) {
            all.push(path);
        }
    };
    for it in &topology.services {
        note(format!("service.{}.price", it.name), it.spec.price.as_ref().map(fixed));
        let function = it.spec.function.as_ref().and_then(|it| it.price.as_ref());
        let said = function.map(|it| it.source.is_some());
        note(format!("service.{}.function.price", it.name), said);
    }
    for it in &topology.databases {
        note(format!("database.{}.price", it.name), it.spec.price.as_ref().map(fixed));
        let replicas = it.spec.replica_price.as_ref().map(fixed);
        note(format!("database.{}.replica_price", it.name), replicas);
    }
    for it in &topology.caches {
        note(format!("cache.{}.price", it.name), it.spec.price.as_ref().map(fixed));
    }
    for it in &topology.queues {
        note(format!("queue.{}.price", it.name), it.spec.price.as_ref().map(fixed));
    }
    for it in &topology.consumers {
        note(format!("consumer.{}.price", it.name), it.spec.price.as_ref().map(fixed));
    }
    for it in &topology.hosts {
        note(format!("host.{}.price", it.name), it.spec.price.as_ref().map(fixed));
    }
    for it in &topology.balancers {
        note(format!("balancer.{}.price", it.name), it.spec.price.as_ref().map(balancer));
    }
    for it in &topology.links {
        note(format!("link.{}.price", it.name), it.spec.price.as_ref().map(usage));
    }
    for it in &topology.cdns {
        note(format!("cdn.{}.price", it.name), it.spec.price.as_ref().map(usage));
    }
    for it in &topology.stores {
        note(format!("store.{}.price", it.name), it.spec.price.as_ref().map(store));
    }
    for it in &topology.poolers {
        note(format!("pooler.{}.price", it.name), it.spec.price.as_ref().map(pooler));
    }
    for it in &topology.sockets {
        note(format!("socket.{}.price", it.name), it.spec.price.as_ref().map(socket));
    }
    for it in &topology.databases {
        let price = it.spec.storage.as_ref().and_then(|it| it.price.as_ref());
        note(format!("database.{}.storage.price", it.name), price.map(volume));
    }
    for it in &topology.streams {
        let (kind, price) = match &it.spec.kind {
            StreamKind::Kafka(its) => ("kafka", &its.price),
            StreamKind::Kinesis(its) => ("kinesis", &its.price),
            _ => continue,
        };
        note(format!("stream.{}.kind.{kind}.price", it.name), price.as_ref().map(fixed));
    }
    all
}

/// What is free needs nobody to say so.
fn said(source: &Option<String>, parts: &[Option<Money>]) -> bool {
    source.is_some() || parts.iter().flatten().all(|part| part.0 == 0.0)
}

fn fixed(price: &Price) -> bool {
    said(&price.source, &[Some(price.monthly), price.reserved])
}

fn usage(price: &UsagePrice) -> bool {
    said(&price.source, &[price.monthly, price.per_gb, price.per_million])
}

fn balancer(price: &BalancerPrice) -> bool {
    let parts = [price.monthly, price.per_gb, price.per_million, price.per_lcu_hour];
    said(&price.source, &parts)
}

fn pooler(price: &PoolerPrice) -> bool {
    said(&price.source, &[price.monthly, price.per_vcpu_hour])
}

fn socket(price: &SocketPrice) -> bool {
    let parts = [price.monthly, price.per_million_messages, price.per_million_minutes];
    said(&price.source, &parts)
}

fn volume(price: &VolumePrice) -> bool {
    said(&price.source, &[Some(price.per_gb_month), price.per_iops_month])
}

fn store(price: &StorePrice) -> bool {
    let parts = [price.monthly, price.per_gb_out, price.per_million_puts, price.per_million_gets];
    said(&price.source, &parts)
}
