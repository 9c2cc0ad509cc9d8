//! What must hold between streams, the servers that hold them and those who consume them.

use super::cache::CacheKind;
use super::check::{Cx, Diagnostics, error, find};
use super::check_mapping;
use super::flow::Step;
use super::names::Named;
use super::stream::{KafkaClient, Stream, StreamKind};
use crate::diagnostic::Diagnostic;

/// A stream of Redis is held by a Redis.
pub(crate) fn streams(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for stream in &cx.topology.streams {
        let cache = match &stream.spec.kind {
            StreamKind::Kafka(_) | StreamKind::Kinesis(_) => continue,
            StreamKind::RedisStream(its) => &its.cache,
            StreamKind::RedisPubSub(its) => &its.cache,
        };
        if find(&cx.topology.caches, &cache.name).spec.kind == CacheKind::Memory {
            let message =
                format!("`cache.{}` is memory of workers and holds no stream", cache.name);
            let help = "name a cache whose `kind` is `redis`";
            found.push(error("bad-cache", &cache.place, message).help(help));
        }
    }
    for stream in &cx.topology.streams {
        let StreamKind::Kafka(topic) = &stream.spec.kind else { continue };
        let path = format!("stream.{}.kind.kafka", stream.name);
        for (key, more, than) in [
            ("replicas", topic.replicas, topic.all_brokers()),
            ("min_insync", topic.min_insync, topic.replicas),
        ] {
            if more > than {
                let message = format!("`{path}.{key}` is {more}, and there can be {than} at most");
                let help = "`min_insync` ≤ `replicas` ≤ `brokers` must hold";
                found.push(error("out-of-range", &stream.place, message).help(help));
            }
        }
    }
    found.extend(unpublished(cx));
    found.extend(idle_keys(cx));
    found.extend(check_mapping::of_streams(cx));
    let of_redis = |it: &&Named<Stream>| {
        !matches!(it.spec.kind, StreamKind::Kafka(_) | StreamKind::Kinesis(_))
    };
    for stream in cx.topology.streams.iter().filter(of_redis) {
        let path = format!("stream.{}.region", stream.name);
        found.extend(cx.no_effect(&path, "it stands where its cache stands", "leave it out"));
    }
    found
}

/// Consumers wait for ever for what nobody publishes.
fn unpublished(cx: &Cx<'_>) -> Diagnostics {
    let published = |name: &str| {
        let steps = cx.topology.steps();
        steps
            .iter()
            .any(|(_, step)| matches!(&step.value, Step::Publish(stream) if stream.name == name))
    };
    let silent = cx.topology.streams.iter().filter(|stream| !published(&stream.name));
    let warning = |stream: &Named<Stream>| {
        let message = format!("nothing is published to `stream.{}`", stream.name);
        Diagnostic::warning("unused-component", stream.place.clone(), message)
            .help("name it in a `publish` step, or remove it and its consumers")
    };
    silent.map(warning).collect()
}

/// Keys of a consumer that its kind of stream does not look at.
fn idle_keys(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for consumer in &cx.topology.consumers {
        let stream = find(&cx.topology.streams, &consumer.spec.stream.name);
        let (idle, what): (&[&str], &str) = match stream.spec.kind {
            StreamKind::Kafka(_) => (&["pending", "kinesis"], "a group of Kafka commits offsets"),
            StreamKind::Kinesis(_) => (
                &["pending", "kafka", "concurrency"],
                "it reads shards of Kinesis, all that it leases",
            ),
            StreamKind::RedisStream(_) => (&["kafka", "kinesis"], "it consumes a stream of Redis"),
            StreamKind::RedisPubSub(_) => (
                &["kafka", "kinesis", "pending", "concurrency"],
                "a subscriber of a channel reads one message after another, and keeps none",
            ),
        };
        if consumer.spec.kafka.client == KafkaClient::KafkaJs {
            for key in ["assignor", "instance_id"] {
                let path = format!("consumer.{}.kafka.{key}", consumer.name);
                let why = "kafkajs has neither cooperative rebalances nor ids of instances";
                found.extend(cx.no_effect(&path, why, "say `client = \"java\"`, or leave it out"));
            }
        }
        let ended: &[&str] = match consumer.spec.autoscale {
            Some(_) => &[],
            None if consumer.spec.mapping.is_some() => &[],
            None => &["on_sigterm", "grace"],
        };
        for key in ended {
            let path = format!("consumer.{}.{key}", consumer.name);
            let help = "leave it out, or say `autoscale`";
            found.extend(cx.no_effect(&path, "its processes are never told to end", help));
        }
        for key in idle {
            let path = format!("consumer.{}.{key}", consumer.name);
            found.extend(cx.no_effect(&path, what, "leave it out"));
        }
    }
    found
}
