//! Queues of SQS whose messages a function gets.

use loadbearing::failure::Failure;
use loadbearing::run::Counter;

use crate::support::{Ran, ms, run};

const MAPPED: &str = "
[region.here]
[service.web]
[service.send.function]
memory = '1769MiB'
init = '0ms'
[service.other.function]
init = '1s'
[queue.q]
driver = 'sqs'
mapping = 'send'
[job.j]
queue = 'q'
flow = [{ wait = '100ms' }]
[job.k]
queue = 'q'
flow = [{ cpu = '20ms' }, { wait = '80ms' }]
[operation.work]
share = 1
service = 'web'
";
const CALLS: &str = "service.send.executions";

/// One request, at 10 s, that leaves these jobs at once and waits for all of them.
fn mapped(jobs: &[&str], sets: &[&str]) -> Ran {
    let branch = |job: &&str| format!("[{{ enqueue = {{ job = '{job}', wait = true }} }}]");
    let branches: Vec<String> = jobs.iter().map(branch).collect();
    let text = format!("{MAPPED}flow = [{{ parallel = [{}] }}]\n", branches.join(", "));
    let once = ["arrivals.rate='0.01/s'", "run.duration=199s"];
    run(&text, &[&once, sets].concat())
}

#[test]
fn a_function_does_a_job_in_place_of_processes() {
    let ran = mapped(&["j"], &[]);
    assert_eq!((ran.each(), ran.count(CALLS, Counter::Served)), (ms(100), 1));
    assert_eq!(mapped(&["k"], &[]).each(), ms(100));
    assert_eq!(mapped(&["j"], &["job.j.flow=[{ wait = '250ms' }]"]).each(), ms(250));
    // Half a core: computing takes twice as long. And an environment must be started.
    assert_eq!(mapped(&["k"], &["service.send.function.memory=884.5MiB"]).each(), ms(120));
    assert_eq!(mapped(&["j"], &["service.send.function.init=300ms"]).each(), ms(400));
    assert_eq!(mapped(&["j"], &["queue.q.mapping.function=other"]).each(), ms(1_100));
}

#[test]
fn messages_come_in_batches_one_after_the_other() {
    let sixty = ["j"; 60];
    let took = |sets: &[&str]| {
        let ran = mapped(&sixty, sets);
        assert_eq!(ran.count("queue.q", Counter::Served), 60);
        // Each batch is received and deleted at once; messages are sent one by one.
        let calls = ran.count(CALLS, Counter::Served);
        let requests = [Counter::Reads, Counter::Writes].map(|it| ran.count("queue.q", it));
        assert_eq!(requests, [calls, 60 + calls]);
        (ran.each(), calls)
    };
    // Five are taken at once, each alone, then fifty by tens until 1.1 s; a sixth poller comes at
    // 200 ms and has the last five.
    assert_eq!(took(&[]), (ms(1_100), 11));
    // Calls of 100 ms: 5, 5, 6, 6, 7, 7, 8, 8 and the last 8 of 9.
    assert_eq!(took(&["queue.q.mapping.batch_size=1"]), (ms(900), 60));
    let most = |count: u32| format!("queue.q.mapping.maximum_concurrency={count}");
    // Without a sixth the last five begin at 1.1 s.
    assert_eq!(took(&[&most(5)]), (ms(1_600), 11));
    // Two, then 20, 20, 10 and 8.
    assert_eq!(took(&[&most(2)]), (ms(3_100), 8));
}

#[test]
fn messages_are_gathered_for_a_batch_that_is_not_full() {
    let gathers = "queue.q.mapping.batching_window=1s";
    assert_eq!(mapped(&["j"], &[gathers]).each(), ms(1_100));
    // Five batches of ten are full at once, the sixth poller comes after 200 ms.
    let ran = mapped(&["j"; 60], &[gathers]);
    assert_eq!((ran.each(), ran.count(CALLS, Counter::Served)), (ms(1_200), 6));
    let ran = mapped(&["j"; 60], &[gathers, "queue.q.mapping.batch_size=25"]);
    // Two of 25 at once; ten wait for a second.
    assert_eq!((ran.each(), ran.count(CALLS, Counter::Served)), (ms(2_500), 3));
    // SQS gives and deletes ten at a time: three, three and one.
    let requests = [Counter::Reads, Counter::Writes].map(|it| ran.count("queue.q", it));
    assert_eq!(requests, [7, 60 + 7]);
    assert_eq!(mapped(&["j"; 10], &[gathers, "queue.q.mapping.batch_size=25"]).each(), ms(2_000));
}

#[test]
fn one_failure_fails_the_batch_unless_it_is_reported() {
    let gathers = "queue.q.mapping.batching_window=1s";
    let fails = [gathers, "job.k.fail=100%", "queue.q.max_receives=2"];
    // The second of three ends the call at 1.2 s. All are visible again 30 s after they were received,
    // and gathered for another second.
    let ran = mapped(&["j", "k", "j"], &fails);
    assert_eq!((ran.each_failed(), ran.failed(Failure::JobFailed)), (ms(31_200), 1));
    let counts = |ran: &Ran| {
        [Counter::Served, Counter::Retried, Counter::Rejected].map(|it| ran.count("queue.q", it))
    };
    assert_eq!(counts(&ran), [0, 3, 3]);
    let reports = "queue.q.mapping.report_batch_item_failures=true";
    let ran = mapped(&["j", "k", "j"], &[&fails[..], &[reports]].concat());
    assert_eq!(ran.each_failed(), ms(31_100), "alone in its second batch");
    assert_eq!(counts(&ran), [2, 1, 1]);
    let later = [&fails[..], &[reports, "queue.q.lock=50s"]].concat();
    assert_eq!(mapped(&["j", "k", "j"], &later).each_failed(), ms(51_100));
    // What fails on its way through the flow is reported as well.
    let raises = "job.k.flow=[{ cpu = '20ms' }, { call = { service = 'web', timeout = '10ms', \
                  flow = [{ wait = '1s' }] } }]";
    let ran = mapped(&["j", "k", "j"], &[raises, gathers, "queue.q.max_receives=1", reports]);
    assert_eq!(counts(&ran), [2, 0, 1]);
}

#[test]
fn a_call_that_takes_too_long_fails_with_all_its_messages() {
    let reports = "queue.q.mapping.report_batch_item_failures=true";
    let gathers = "queue.q.mapping.batching_window=1s";
    let slow = "job.k.flow=[{ wait = '10s' }]";
    let ran = mapped(&["j", "k", "j"], &[reports, gathers, slow, "queue.q.max_receives=1"]);
    // Gathered for 1 s, ended after the function's 3 s.
    assert_eq!(ran.each_failed(), ms(4_000));
    assert_eq!(ran.count("queue.q", Counter::Rejected), 3);
    assert_eq!(ran.count(CALLS, Counter::TimedOut), 1);
}

#[test]
fn a_call_that_is_throttled_is_made_again() {
    let one = "service.send.function.reserved=1";
    let ran = mapped(&["j", "j"], &[one]);
    assert_eq!((ran.each(), ran.count(CALLS, Counter::Rejected)), (ms(1_100), 1));
    assert_eq!(mapped(&["j", "j"], &[one, "queue.q.mapping.throttle_pause=300ms"]).each(), ms(400));
    // Throttled at 0 and 1 s: the pause doubles.
    let long = "job.j.flow=[{ wait = '2500ms' }]";
    let ran = mapped(&["j", "j"], &[one, long]);
    assert_eq!((ran.each(), ran.count(CALLS, Counter::Rejected)), (ms(5_500), 2));
    // After 3 s it is visible again, and received anew.
    let short = [one, "job.j.flow=[{ wait = '2900ms' }]", "queue.q.lock=3s"];
    let ran = mapped(&["j", "j"], &short);
    assert_eq!((ran.each(), ran.count("queue.q", Counter::TimedOut)), (ms(5_900), 1));
    let ran = mapped(&["j", "j"], &[&short[..], &["queue.q.max_receives=1"]].concat());
    assert_eq!(ran.each_failed(), ms(3_000), "never done, and in the dead-letter queue");
}

#[test]
fn a_message_gathered_for_too_long_is_done_twice() {
    let sets = ["queue.q.mapping.batching_window=1s", "queue.q.lock=3s"];
    let long = ["job.j.flow=[{ wait = '2500ms' }]", "queue.q.max_receives=2"];
    // Called at 1 s, visible again at 3 s, done at 3.5 s; called again at 4 s, and at 6 s too old.
    let ran = mapped(&["j"], &[&sets[..], &long].concat());
    assert_eq!((ran.each_failed(), ran.count("queue.q", Counter::Wasted)), (ms(6_000), 2));
}
