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
    ("function", "environments_start_no_faster_than_the_scaling_rate", "Function.scaling"),
    (
        "function",
        "an_execution_is_charged_by_the_started_millisecond",
        "Function.price FunctionPrice.gb_second FunctionPrice.per_million \
         FunctionPrice.provisioned_gb_second FunctionPrice.source",
    ),
];
