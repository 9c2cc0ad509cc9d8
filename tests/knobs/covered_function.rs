//! What the tests of functions turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    (
        "function",
        "a_request_that_finds_no_idle_environment_waits_for_one",
        "Service.function Function.init Function.idle",
    ),
    ("function", "memory_gives_cores", "Function.memory"),
    (
        "function",
        "an_execution_that_takes_too_long_takes_its_environment_with_it",
        "Function.timeout",
    ),
    (
        "function",
        "executions_at_once_are_bounded_by_what_is_reserved_or_the_account",
        "Function.reserved Region.functions",
    ),
    ("function", "environments_kept_ready_start_for_nobody", "Function.provisioned"),
    (
        "provisioned",
        "three_minutes_above_the_target_keep_more_ready",
        "Function.autoscale ProvisionedScaling.max ProvisionedScaling.target \
         ProvisionedScaling.start ProvisionedScaling.cooldown_out",
    ),
    (
        "provisioned",
        "fifteen_minutes_below_keep_fewer_ready",
        "ProvisionedScaling.min ProvisionedScaling.scale_in ProvisionedScaling.cooldown_in",
    ),
    (
        "provisioned",
        "the_greatest_use_of_a_minute_may_decide",
        "ProvisionedScaling.statistic Statistic:average Statistic:maximum",
    ),
    (
        "provisioned",
        "a_schedule_keeps_so_many_ready_and_they_are_paid_for",
        "ProvisionedScaling.schedule ProvisionedScaling.pace",
    ),
    ("function", "environments_start_no_faster_than_the_scaling_rate", "Function.scaling"),
    (
        "function",
        "an_execution_is_charged_by_the_started_millisecond",
        "Function.price FunctionPrice.gb_second FunctionPrice.per_million \
         FunctionPrice.provisioned_gb_second FunctionPrice.source",
    ),
    (
        "mapping",
        "a_function_does_a_job_in_place_of_processes",
        "Queue.mapping EventSourceMapping.function Job.flow",
    ),
    (
        "mapping",
        "messages_come_in_batches_one_after_the_other",
        "EventSourceMapping.batch_size EventSourceMapping.maximum_concurrency",
    ),
    (
        "mapping",
        "messages_are_gathered_for_a_batch_that_is_not_full",
        "EventSourceMapping.batching_window",
    ),
    (
        "mapping",
        "one_failure_fails_the_batch_unless_it_is_reported",
        "EventSourceMapping.report_batch_item_failures",
    ),
    ("mapping", "a_call_that_is_throttled_is_made_again", "EventSourceMapping.throttle_pause"),
    (
        "shard_mapping",
        "a_function_gets_the_records_of_each_shard_in_batches",
        "Consumer.mapping Consumer.flow StreamMapping.function StreamMapping.batch_size",
    ),
    (
        "shard_mapping",
        "records_are_gathered_for_a_batch_that_is_not_full",
        "StreamMapping.batching_window",
    ),
    (
        "shard_mapping",
        "a_batch_that_fails_holds_up_its_shard_until_it_is_given_up",
        "StreamMapping.maximum_retry_attempts StreamMapping.retry_pause",
    ),
    ("shard_mapping", "records_that_are_too_old_are_given_up", "StreamMapping.maximum_record_age"),
    (
        "shard_mapping",
        "halving_finds_the_record_that_cannot_be_handled",
        "StreamMapping.bisect_batch_on_function_error",
    ),
    (
        "shard_mapping",
        "what_comes_before_a_record_that_is_named_is_done",
        "StreamMapping.report_batch_item_failures",
    ),
    (
        "shard_mapping",
        "a_shard_has_several_batches_at_once_but_one_of_a_key",
        "StreamMapping.parallelization_factor",
    ),
];
