//! The deployment as a graph with its hot spots: nodes and edges as data, for a page to lay out.

use serde_json::{Value, json};

use super::data::shown;
use crate::model::StationKind;
use crate::model::demand::demand;
use crate::model::ids::StationId;
use crate::result::{Point, Subject, kind_name};

/// Nodes with how busy they are and who waits there, edges with how much flows along them.
///
/// Users are the node `users`. Rates of edges are the visits that the analysis expects of a request
/// ([`crate::model::demand`]), times the requests a second that were offered.
pub fn diagram(point: &Point<'_>) -> Value {
    let (model, summary) = (point.model, point.summary);
    let asked = demand(model, None);
    let rate = summary.estimate("offered_per_s").estimate.unwrap_or(0.0);
    let path = |id: StationId| model.stations[id].path.as_str();
    let mut nodes = vec![json!({
        "id": "users", "kind": "users", "label": "users",
        "offered_per_s": shown(rate),
        "failed_ratio": number(&summary.overall, "failed_ratio"),
        "latency_mean_s": number(&summary.overall, "latency_s.mean"),
    })];
    let known = |id: StationId| asked.flows.keys().any(|(from, to)| *from == Some(id) || *to == id);
    for (id, station) in model.stations.enumerate() {
        if matches!(station.kind, StationKind::Network | StationKind::Client) || !known(id) {
            continue;
        }
        let Some(subject) = summary.component(&station.path) else { continue };
        let bearing = summary.saturation.order.iter().find(|it| it.component == station.path);
        let mut node = json!({
            "id": station.path,
            "kind": kind_name(station.kind),
            "label": station.path,
            "capacity": shown(station.capacity),
            "is_full": bearing.is_some_and(|it| it.saturated_now),
        });
        for (field, metric) in [
            ("utilisation_ratio", "utilisation_ratio"),
            ("waiting", "waiting"),
            ("wait_mean_s", "wait_s.mean"),
            ("turned_away_ratio", "turned_away_ratio"),
            ("hit_ratio", "hit_ratio"),
        ] {
            node[field] = number(subject, metric);
        }
        nodes.push(node);
    }
    let edges =
        asked.flows.iter().filter(|(_, visits)| **visits > 0.0).map(|((from, to), visits)| {
            json!({
                "from": from.map_or("users", path), "to": path(*to),
                "visits": shown(*visits), "rate_per_s": shown(visits * rate),
            })
        });
    json!({ "design": point.name, "nodes": nodes, "edges": edges.collect::<Vec<Value>>() })
}

fn number(subject: &Subject, metric: &str) -> Value {
    subject.estimate(metric).estimate.map_or(Value::Null, shown)
}
