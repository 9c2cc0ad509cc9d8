//! What the tests of processes turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    (
        "process",
        "what_requests_allocate_is_collected_while_the_loop_stands_still",
        "Node.gc Gc.allocates Gc.young Gc.minor Gc.survives Gc.old Gc.major",
    ),
    (
        "process",
        "a_heap_that_is_nearly_full_is_collected_more_often_and_for_longer",
        "Gc.major_per_mb",
    ),
    (
        "process",
        "a_process_without_memory_dies_with_all_that_it_has",
        "Service.memory Memory.machine Memory.base Memory.per_request Node.heap",
    ),
    (
        "process",
        "a_kubelet_kills_whoever_does_not_answer_its_probes",
        "Service.liveness Liveness:kubelet Probe.interval Probe.timeout Probe.failures Probe.delay \
         Probe.flow",
    ),
    (
        "process",
        "a_timer_waits_for_the_loop_and_makes_up_for_nothing",
        "Service.timers Timer.every Timer.flow",
    ),
    ("process", "starting_again_waits_longer_each_time_or_not", "Service.crash_back_off"),
    ("process", "who_is_not_ready_is_sent_nothing", "Service.readiness"),
    (
        "process",
        "a_loop_reads_a_body_chunk_by_chunk_as_it_comes",
        "Transfer.bytes Transfer.chunk_cpu Transfer.chunk",
    ),
    ("process", "operations_say_what_their_requests_take", "Operation.memory"),
    ("process", "connections_take_memory_as_long_as_they_are_open", "Memory.per_connection"),
    (
        "process",
        "child_processes_take_cores_and_neither_loop_nor_threads",
        "Step:child Child.cpu Child.spawn Service.children",
    ),
    (
        "process",
        "a_task_that_its_target_group_finds_unhealthy_is_replaced",
        "Liveness:target-group",
    ),
];
