//! Bounds of autoscalers, and what they follow.

use super::check::{Cx, Diagnostics, error};
use super::service::{Autoscale, ScaleMetric, ScalePolicy};
use super::stream::StreamKind;

/// A service starts within the bounds of its autoscaler, and has what that follows.
pub(super) fn scaling_bounds(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for service in &cx.topology.services {
        let Some(scale) = &service.spec.autoscale else { continue };
        let mut metrics = std::iter::once(&scale.metric).chain(&scale.also);
        if metrics.any(|it| matches!(it, ScaleMetric::Memory(_))) && service.spec.memory.is_none() {
            let message = format!("`service.{}` follows memory, and has none", service.name);
            let help = format!("say `memory` of `[service.{}]`", service.name);
            found.push(error("unknown-memory", &scale.place, message).help(help));
        }
        let path = format!("service.{}", service.name);
        found.extend(bounds(&path, "instances", service.spec.instances, scale));
    }
    for queue in &cx.topology.queues {
        let Some(scale) = &queue.spec.autoscale else { continue };
        let path = format!("queue.{}", queue.name);
        found.extend(bounds(&path, "processes", queue.spec.processes, scale));
    }
    for consumer in &cx.topology.consumers {
        let Some(scale) = &consumer.spec.autoscale else { continue };
        let path = format!("consumer.{}", consumer.name);
        found.extend(bounds(&path, "members", consumer.spec.members, scale));
    }
    found.extend(follows(cx));
    found.extend(consumers(cx));
    found
}

/// What consumers follow, and which of them can be more or fewer.
fn consumers(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for consumer in &cx.topology.consumers {
        let Some(scale) = &consumer.spec.autoscale else { continue };
        let name = &consumer.name;
        let stream = super::check::find(&cx.topology.streams, &consumer.spec.stream.name);
        if let StreamKind::RedisPubSub(_) = stream.spec.kind {
            let message =
                format!("each of `consumer.{name}` gets every message, however many there are");
            let help = "leave `autoscale` out, or let them consume Kafka or a stream of Redis";
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
        let metrics = std::iter::once(&scale.metric).chain(&scale.also);
        if metrics.filter(|it| !matches!(it, ScaleMetric::Lag(_))).count() > 0 {
            let message = format!("of `consumer.{name}` nothing is known but its lag");
            let help = "say `metric.lag = 10`: so many messages may there be for each member";
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
    }
    found
}

fn bounds(path: &str, what: &str, at_start: u32, scale: &Autoscale) -> Diagnostics {
    if scale.min == 0 && !matches!(scale.policy, ScalePolicy::Keda(_)) {
        let message = format!("`{path}.autoscale.min` must be more than zero");
        let help = "say 1, or `policy = \"keda\"`, which starts the first one again";
        return vec![error("out-of-range", &scale.place, message).help(help)];
    }
    let fits = scale.min <= at_start && at_start <= scale.max;
    let message = || {
        let (min, max) = (scale.min, scale.max);
        format!("`{path}` starts with {at_start} and scales from {min} to {max} {what}")
    };
    let help = || format!("`min` ≤ `{what}` ≤ `max` must hold");
    let wrong = (!fits).then(|| error("out-of-range", &scale.place, message()).help(help()));
    wrong.into_iter().collect()
}

/// What an autoscaler follows is what more instances, or more workers, would change.
fn follows(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let queue_of = |metric: &ScaleMetric| match metric {
        ScaleMetric::Backlog(it) => Some(it.queue.name.clone()),
        ScaleMetric::Oldest(it) => Some(it.queue.name.clone()),
        _ => None,
    };
    for service in &cx.topology.services {
        let Some(scale) = &service.spec.autoscale else { continue };
        let works = |queue: &String| {
            let spec = &super::check::find(&cx.topology.queues, queue).spec;
            spec.service.as_ref().is_some_and(|its| its.name == service.name)
        };
        if let ScalePolicy::Keda(_) = scale.policy {
            let message =
                format!("`service.{}` answers requests, and KEDA sees none", service.name);
            let help = "let it scale workers of a queue or consumers; here say `policy = \"hpa\"`";
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
        let mut metrics = std::iter::once(&scale.metric).chain(&scale.also);
        if metrics.any(|it| matches!(it, ScaleMetric::Lag(_))) {
            let message = format!("`service.{}` is no group of consumers", service.name);
            let help = "a `lag` is followed by a consumer: `consumer.NAME.autoscale`";
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
        let metrics = std::iter::once(&scale.metric).chain(&scale.also);
        for queue in metrics.filter_map(queue_of).filter(|it| !works(it)) {
            let message = format!(
                "`service.{}` follows the jobs of `queue.{queue}`, which its instances do not work at",
                service.name
            );
            let name = &service.name;
            let help = format!(
                "let the workers be scaled by `queue.{queue}.autoscale`, or let its jobs be done by `queue.{queue}.service = \"{name}\"`"
            );
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
    }
    for queue in &cx.topology.queues {
        let Some(scale) = &queue.spec.autoscale else { continue };
        let name = &queue.name;
        let keda = matches!(scale.policy, ScalePolicy::Keda(_));
        if keda && !matches!(scale.metric, ScaleMetric::Backlog(_)) {
            let message = format!("KEDA starts the first worker of `queue.{name}` by what waits");
            let help =
                format!("let its `metric` be `backlog = {{ queue = \"{name}\", jobs = 10 }}`");
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
        for metric in std::iter::once(&scale.metric).chain(&scale.also) {
            let (message, help) = match metric {
                ScaleMetric::Memory(_) | ScaleMetric::Requests(_) | ScaleMetric::Lag(_) => (
                    format!(
                        "workers of `queue.{name}` have no requests, and nothing is known of their memory"
                    ),
                    format!(
                        "follow `cpu`, `backlog = {{ queue = \"{name}\", jobs = 10 }}` or `oldest`"
                    ),
                ),
                _ if queue_of(metric).is_some_and(|other| other != *name) => (
                    format!(
                        "workers of `queue.{name}` follow the jobs of another queue, at which they do not work"
                    ),
                    format!("let `queue` be \"{name}\""),
                ),
                _ => continue,
            };
            found.push(error("bad-scaling", &scale.place, message).help(help));
        }
    }
    found
}

/// Everything that is scaled, by its path.
fn scalers<'t>(cx: &Cx<'t>) -> Vec<(String, &'t Autoscale)> {
    let services = cx.topology.services.iter().map(|it| ("service", &it.name, &it.spec.autoscale));
    let queues = cx.topology.queues.iter().map(|it| ("queue", &it.name, &it.spec.autoscale));
    let consumers =
        cx.topology.consumers.iter().map(|it| ("consumer", &it.name, &it.spec.autoscale));
    let one = |(section, name, scale): (&str, &String, &'t Option<Autoscale>)| {
        Some((format!("{section}.{name}"), scale.as_ref()?))
    };
    services.chain(queues).chain(consumers).filter_map(one).collect()
}

/// A pace of the Horizontal Pod Autoscaler is a share or a number.
pub(super) fn paces(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (_, scale) in scalers(cx) {
        let hpa = match &scale.policy {
            ScalePolicy::Hpa(hpa) => hpa,
            ScalePolicy::Keda(keda) => &keda.hpa,
            _ => continue,
        };
        for pace in hpa.up.policies.iter().chain(&hpa.down.policies) {
            if pace.percent.is_some() == pace.pods.is_some() {
                let message = "this policy says both or neither of `percent` and `pods`".into();
                let help = "say exactly one of the two; two policies stand side by side";
                found.push(error("one-of", &pace.place, message).help(help));
            }
        }
    }
    found
}

/// Keys that an autoscaler's policy does not look at.
pub(super) fn no_effect(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let mut idle = |owner: String, key: &str, why: &str| {
        found.extend(cx.no_effect(&format!("{owner}.{key}"), why, "leave it out"));
    };
    for (path, scale) in scalers(cx) {
        let owner = || format!("{path}.autoscale");
        let cpu = std::iter::once(&scale.metric).chain(&scale.also);
        let cpu = cpu.filter(|it| **it == ScaleMetric::Cpu).count() > 0;
        match scale.policy {
            ScalePolicy::TargetTracking(_) => {}
            ScalePolicy::Hpa(_) | ScalePolicy::Keda(_) => {
                let why = "the Horizontal Pod Autoscaler has no cooldown for growing";
                idle(owner(), "cooldown_out", why);
                let why = "the Horizontal Pod Autoscaler has its `policy.hpa.down.stabilisation`";
                idle(owner(), "cooldown_in", why);
            }
            ScalePolicy::Steps(_) => {
                idle(owner(), "target", "steps have bounds of their own");
                idle(owner(), "cooldown_in", "the cooldown of steps is `cooldown_out`");
                idle(owner(), "also", "steps follow one metric");
            }
        }
        if !path.starts_with("service.") {
            let why = "no balancer sends anything to who is removed here";
            for way in ["policy.hpa", "policy.keda.hpa"] {
                idle(format!("{}.{way}", owner()), "heard_after", why);
                let why = "who is removed here is told at once; say `grace`";
                idle(format!("{}.{way}", owner()), "pre_stop", why);
            }
        }
        if !cpu {
            idle(owner(), "target", "it is that of CPU, and other metrics have their own");
            idle(owner(), "cpu_request", "CPU is no metric of it");
        }
    }
    for service in &cx.topology.services {
        let deployed = cx.topology.deploys.iter().any(|it| it.spec.service.name == service.name);
        if service.spec.autoscale.is_none() && !deployed {
            for key in ["on_sigterm", "grace"] {
                let path = format!("service.{}.{key}", service.name);
                let help = "leave it out, or say `autoscale` or a `deploy`";
                found.extend(cx.no_effect(&path, "nobody tells its processes to end", help));
            }
        }
    }
    found
}
