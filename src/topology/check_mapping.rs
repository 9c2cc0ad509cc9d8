//! Functions that get the messages of queues and the records of streams: what AWS allows, and what must be said of
//! the messages.

use super::check::{Cx, Diagnostics, error, find};
use super::fault::Target;
use super::flow::{Step, steps};
use super::kinesis::StreamMapping;
use super::names::{Named, Section};
use super::queue::{EventSourceMapping, Queue, QueueDriver};
use super::stream::{Consumer, StreamKind};
use crate::diagnostic::Place;
use crate::units::Duration;

/// A batch of more messages than this must be waited for.
const UNGATHERED: u32 = 10;

/// Mappings, and how each job says what is done.
pub(crate) fn mappings(cx: &Cx<'_>) -> Diagnostics {
    let mut found = jobs(cx);
    for queue in &cx.topology.queues {
        found.extend(lent(cx, queue));
        if let Some(mapping) = &queue.spec.mapping {
            found.extend(pairing(cx, queue, mapping));
            found.extend(bounds(cx, queue, mapping));
        }
    }
    found.extend(struck(cx));
    found.extend(polls(cx));
    found.extend(delays(cx));
    found
}

/// SQS makes nobody wait for longer than 15 min, and counts in seconds.
fn delays(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for (_, step) in cx.topology.steps() {
        let Step::Enqueue(enqueue) = &step.value else { continue };
        let job = find(&cx.topology.jobs, &enqueue.job.name);
        let queue = find(&cx.topology.queues, &job.spec.queue.name);
        let whole = enqueue.delay.0 % Duration::secs(1).0 == 0;
        let short = enqueue.delay <= Duration::secs(900);
        if queue.spec.driver == QueueDriver::Sqs && !(whole && short) {
            let message = format!("SQS cannot delay a message by {}", enqueue.delay);
            let help = "write whole seconds up to `\"900s\"` (DelaySeconds)";
            found.push(error("bad-delay", &step.place, message).help(help));
        }
    }
    found
}

/// Whoever waits for a job does not ask for its end, and who asks leaves none behind to ask for.
fn polls(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    let mut wrong = |place: &Place, message: String, help: &str| {
        found.push(error("bad-poll", place, message).help(help));
    };
    for (_, step) in cx.topology.steps() {
        let Step::Enqueue(enqueue) = &step.value else { continue };
        let Some(poll) = &enqueue.poll else { continue };
        if enqueue.wait {
            let message =
                "the answer comes when the job is done: nobody need ask for its end".into();
            wrong(&step.place, message, "leave out `wait` or `poll`");
        }
        let operation = find(&cx.topology.operations, &poll.operation.name);
        let asks = steps(&operation.spec.flow, None)
            .into_iter()
            .find(|(_, step)| matches!(&step.value, Step::Enqueue(inner) if inner.poll.is_some()));
        if let Some((_, inner)) = asks {
            let name = &operation.name;
            let message =
                format!("`operation.{name}` asks for the end of a job, and starts another");
            wrong(&inner.place, message, "let an operation ask that only looks how far the job is");
        }
    }
    found
}

/// Loops of a service can work at jobs, environments of a function cannot.
fn lent(cx: &Cx<'_>, queue: &Named<Queue>) -> Diagnostics {
    let Some(service) = &queue.spec.service else { return Vec::new() };
    let place = cx.tree.place_of(&format!("queue.{}.service", queue.name));
    let name = &service.name;
    let (message, help) = if queue.spec.mapping.is_some() {
        let message =
            format!("both a function and `service.{name}` get the jobs of `queue.{}`", queue.name);
        (message, "leave out `mapping` or `service`")
    } else if find(&cx.topology.services, name).spec.function.is_some() {
        let message = format!("`service.{name}` is a function, which runs only while it is called");
        (message, "say `mapping` instead: AWS Lambda calls it with messages of SQS")
    } else {
        return Vec::new();
    };
    vec![error("bad-mapping", &place, message).help(help)]
}

/// What is mapped to what.
fn pairing(cx: &Cx<'_>, queue: &Named<Queue>, mapping: &EventSourceMapping) -> Diagnostics {
    let place = cx.tree.place_of(&format!("queue.{}.mapping", queue.name));
    let mut found = Vec::new();
    if queue.spec.driver != QueueDriver::Sqs {
        let message = format!("AWS Lambda does not poll `queue.{}`", queue.name);
        let help = "write `driver = \"sqs\"`, or leave the mapping out: workers take the jobs";
        found.push(error("bad-mapping", &place, message).help(help));
    }
    let name = &mapping.function.name;
    let Some(function) = &find(&cx.topology.services, name).spec.function else {
        let message = format!("`service.{name}` is no function: it is not called with messages");
        let help = format!("add `[service.{name}.function]`, or leave the mapping out");
        found.push(error("bad-mapping", &place, message).help(help));
        return found;
    };
    if function.timeout > queue.spec.lock {
        let message = format!(
            "a message is invisible for {}, and `service.{name}` may take {}",
            queue.spec.lock, function.timeout
        );
        let help = "let `lock` of the queue ≥ `timeout` of the function (AWS refuses less); six times \
                    as much leaves time for calls that are throttled";
        found.push(error("bad-mapping", &place, message).help(help));
    }
    found
}

/// What AWS accepts.
fn bounds(cx: &Cx<'_>, queue: &Named<Queue>, mapping: &EventSourceMapping) -> Diagnostics {
    let mut found = Vec::new();
    let mut wrong = |key: &str, message: String, help: &str| {
        let place = cx.tree.place_of(&format!("queue.{}.mapping.{key}", queue.name));
        found.push(error("bad-mapping", &place, message).help(help));
    };
    let (size, window) = (mapping.batch_size, mapping.batching_window);
    if size > 10_000 {
        let message = format!("a batch has at most 10,000 messages, not {size}");
        wrong("batch_size", message, "write `batch_size = 10000` or less");
    } else if size > UNGATHERED && window < Duration::secs(1) {
        let message = format!("{size} messages in a batch are not gathered in {window}");
        wrong("batch_size", message, "say `batching_window = \"1s\"` or more, or 10 messages");
    }
    if window > Duration::secs(300) {
        let message = format!("messages are gathered for at most 5 min, not {window}");
        wrong("batching_window", message, "write `batching_window = \"5min\"` or less");
    }
    if let Some(most) = mapping.maximum_concurrency.filter(|most| !(2..=1_000).contains(most)) {
        let message = format!("a mapping has 2 to 1,000 calls at once, not {most}");
        let help = "write 2 or more, or bound the function with its `reserved`";
        wrong("maximum_concurrency", message, help);
    }
    found
}

/// What worker processes do is a time, what functions do is a flow without an answer.
fn jobs(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for job in &cx.topology.jobs {
        let mapped = cx.topology.worked_by(&job.spec.queue).is_some();
        let (key, lacks, help) = match mapped {
            true => ("flow", job.spec.flow.is_empty(), "add `flow = [{ wait = \"100ms\" }]`"),
            false => ("work", job.spec.work.is_none(), "add `work = \"100ms\"`"),
        };
        if lacks {
            let message = format!("`job.{}` does not say its `{key}`", job.name);
            found.push(error("missing-key", &job.place, message).help(help));
        }
        for step in &job.spec.flow {
            if let Step::Reply(_) = &step.value {
                let message = "a `reply` cannot stand within a job: nobody waits for one".into();
                let help = "leave it out; who waits for the job's end goes on when it has ended";
                found.push(error("misplaced-reply", &step.place, message).help(help));
            }
        }
    }
    found
}

/// A queue without worker processes can be reached or not, and nothing else.
fn struck(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for fault in &cx.topology.faults {
        let cuts = matches!(fault.spec.what, super::fault::Harm::Cut(_));
        for target in fault.spec.target.0.iter().filter(|it| it.section == Section::Queue) {
            let queue = find(&cx.topology.queues, &target.name);
            if cuts || queue.spec.workers() > 0 {
                continue;
            }
            let name = &queue.name;
            let message = format!("`queue.{name}` has no worker processes that could fail");
            let help = "strike the service that does its jobs, or cut the queue off";
            found.push(error("bad-mapping", &fault.place, message).help(help));
        }
    }
    found
}

/// Records of streams that functions get.
pub(super) fn of_streams(cx: &Cx<'_>) -> Diagnostics {
    let mut found = Vec::new();
    for consumer in &cx.topology.consumers {
        let (name, spec) = (&consumer.name, &consumer.spec);
        let key = |key: &str| format!("consumer.{name}.{key}");
        let (said, lacks, help) = match &spec.mapping {
            Some(_) => ("flow", spec.flow.is_empty(), "add `flow = [{ wait = \"100ms\" }]`"),
            None => ("work", spec.work.is_none(), "add `work = \"100ms\"`"),
        };
        if lacks {
            let message = format!("`consumer.{name}` does not say its `{said}`");
            found.push(error("missing-key", &consumer.place, message).help(help));
        }
        for step in &spec.flow {
            if let Step::Reply(_) = &step.value {
                let message = "a `reply` cannot stand here: nobody waits for one".into();
                let help = "leave it out; a record is done when its flow is";
                found.push(error("misplaced-reply", &step.place, message).help(help));
            }
        }
        let Some(mapping) = &spec.mapping else {
            let help = "say `mapping`, or leave it out";
            found.extend(cx.no_effect(&key("flow"), "processes do the `work`", help));
            continue;
        };
        found.extend(stream_pairing(cx, consumer, mapping));
        found.extend(stream_bounds(cx, name, mapping));
        let keys = ["work", "members", "autoscale", "on_sigterm", "grace", "price"];
        for idle in keys.iter().chain(&["kinesis.records", "kinesis.failover"]) {
            let why = "a function gets the records, in place of processes";
            found.extend(cx.no_effect(&key(idle), why, "leave it out"));
        }
    }
    found
}

/// What is mapped to what.
fn stream_pairing(cx: &Cx<'_>, consumer: &Named<Consumer>, mapping: &StreamMapping) -> Diagnostics {
    let mut found = Vec::new();
    let place = cx.tree.place_of(&format!("consumer.{}.mapping", consumer.name));
    let mut wrong = |place: &Place, message: String, help: &str| {
        found.push(error("bad-mapping", place, message).help(help));
    };
    let stream = find(&cx.topology.streams, &consumer.spec.stream.name);
    if !matches!(stream.spec.kind, StreamKind::Kinesis(_)) {
        let message = format!(
            "`stream.{}` is not of Kinesis, of which records are read for a function",
            stream.name
        );
        wrong(
            &place,
            message,
            "write `kind.kinesis`, or leave the mapping out: processes take the messages",
        );
    }
    let name = &mapping.function.name;
    if find(&cx.topology.services, name).spec.function.is_none() {
        let message = format!("`service.{name}` is no function: it is not called with records");
        let help = format!("add `[service.{name}.function]`, or leave the mapping out");
        wrong(&place, message, &help);
    }
    for fault in &cx.topology.faults {
        let strikes =
            |target: &Target| target.section == Section::Consumer && target.name == consumer.name;
        if fault.spec.target.0.iter().any(strikes) {
            let message = format!(
                "AWS reads the records for `consumer.{}`: no process could fail",
                consumer.name
            );
            wrong(&fault.place, message, "strike the service that handles them");
        }
    }
    found
}

/// What AWS accepts.
fn stream_bounds(cx: &Cx<'_>, name: &str, mapping: &StreamMapping) -> Diagnostics {
    let mut found = Vec::new();
    let mut wrong = |key: &str, message: String, help: &str| {
        let place = cx.tree.place_of(&format!("consumer.{name}.mapping.{key}"));
        found.push(error("bad-mapping", &place, message).help(help));
    };
    let (size, window, lanes) =
        (mapping.batch_size, mapping.batching_window, mapping.parallelization_factor);
    if size > 10_000 {
        let message = format!("a batch has at most 10,000 records, not {size}");
        wrong("batch_size", message, "write `batch_size = 10000` or less");
    }
    if window > Duration::secs(300) {
        let message = format!("records are gathered for at most 5 min, not {window}");
        wrong("batching_window", message, "write `batching_window = \"5min\"` or less");
    }
    if lanes > 10 {
        let message = format!("a shard has at most 10 batches under way, not {lanes}");
        wrong("parallelization_factor", message, "write `parallelization_factor = 10` or less");
    }
    if let Some(times) = mapping.maximum_retry_attempts.filter(|times| *times > 10_000) {
        let message = format!("a batch is tried again at most 10,000 times, not {times}");
        wrong("maximum_retry_attempts", message, "leave it out: again and again");
    }
    let age = mapping.maximum_record_age;
    if !(Duration::secs(60)..=Duration::secs(604_800)).contains(&age) {
        let message = format!("records are given up after 1 min to 7 days, not after {age}");
        wrong("maximum_record_age", message, "write `maximum_record_age = \"1min\"` or more");
    }
    found
}
