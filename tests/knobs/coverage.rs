//! Every key of the language is claimed by a test.
use loadbearing::topology::{Form, Kind, reference};

/// The keys (`Table.key`) and possibilities (`Choice:name`) that each test turns.
const COVERED: &[(&str, &str, &str)] = &[
    ("client", "users_give_up_and_the_work_goes_on", "Client.patience"),
    ("client", "a_request_may_leave_later_than_it_was_meant_to", "Client.lateness"),
    (
        "client",
        "a_failure_is_final_or_repeated_after_a_delay",
        "Client.retry Retry:never Retry:fixed FixedRetry.on FixedRetry.share \
         FixedRetry.attempts FixedRetry.delay FixedRetry.jitter",
    ),
    (
        "client",
        "delays_double_up_to_their_cap",
        "Retry:exponential ExponentialRetry.on ExponentialRetry.share \
         ExponentialRetry.attempts ExponentialRetry.base ExponentialRetry.cap",
    ),
    (
        "client",
        "delays_are_spread_as_said",
        "ExponentialRetry.jitter Jitter:none Jitter:full Jitter:equal Jitter:decorrelated",
    ),
    (
        "client",
        "retry_after_is_honoured_or_not",
        "FixedRetry.honour_retry_after ExponentialRetry.honour_retry_after",
    ),
    ("database", "opening_a_connection_takes_its_time_once", "Database.connect"),
    (
        "database",
        "opening_a_connection_takes_time_on_the_cores_of_its_server",
        "Database.connect_cpu",
    ),
    ("database", "an_idle_connection_closes_after_its_timeout", "Pool.idle_timeout"),
    ("database", "min_connections_are_not_closed", "Pool.min"),
    ("database", "the_size_bounds_connections", "Pool.size"),
    ("database", "waiting_for_a_connection_ends_at_the_acquire_timeout", "Pool.acquire_timeout"),
    (
        "database",
        "connections_above_the_maximum_are_refused_at_once",
        "Database.max_connections Database.reserved",
    ),
    ("database", "a_statement_is_cancelled_at_its_timeout", "Database.statement_timeout"),
    ("pool", "a_driver_gives_up_on_a_statement_and_the_server_does_not", "Database.client_check"),
    (
        "database",
        "a_failed_statement_destroys_its_connection_or_keeps_it",
        "Pool.on_error OnError:destroy OnError:keep",
    ),
    ("database", "some_statements_fail", "Query.fail"),
    (
        "database",
        "reads_go_to_replicas_in_turn_and_writes_do_not",
        "Pool.reads Reads:primary Reads:replicas Database.replicas",
    ),
    ("database", "replicas_have_pools_of_their_own_size", "Pool.replica_size"),
    ("database", "a_transaction_that_only_reads_may_go_to_a_replica", "Transaction.write"),
    ("database", "a_replica_is_behind_by_lag_and_replay", "Database.lag Database.replay"),
    ("database", "statements_share_cores", "Database.cores"),
    ("database", "waiting_for_storage_does_not_contend", "Database.cpu_share"),
    (
        "database",
        "statements_slow_each_other_down_by_contention",
        "Database.contention Contention.sigma Contention.kappa Contention.caches ColdCaches.most ColdCaches.half",
    ),
    (
        "database",
        "every_statement_makes_a_round_trip",
        "Database.rtt Step:transaction Transaction.flow",
    ),
    ("database", "a_transaction_on_one_pool_holds_its_connection_meanwhile", "Transaction.pool"),
    ("database", "a_bare_transaction_is_a_connection_held", "Transaction.bare"),
    (
        "database",
        "users_have_their_shard_and_keys_are_anywhere",
        "Database.shards Database.shard_by ShardBy:user ShardBy:key",
    ),
    ("database", "popular_keys_make_a_hot_shard", "ShardBy:keys"),
    (
        "database",
        "all_shards_are_read_one_by_one_or_side_by_side",
        "Query.shard Shard:user Shard:all Step:scatter Scatter.pool",
    ),
    ("database", "a_scatter_waits_for_the_slowest", "Scatter.read"),
    (
        "database",
        "a_pool_belongs_to_a_service_and_a_database",
        "Pool.service Pool.database Query.pool",
    ),
    ("database", "reads_and_writes_are_told_apart", "Step:query Query.read Query.write"),
    (
        "service",
        "def_endpoints_wait_in_threads_and_compute_under_a_lock",
        "Service.runtime Runtime:node Runtime:uvicorn Step:blocking",
    ),
    ("service", "uvicorn_turns_away_what_is_too_much_at_once", "Uvicorn.limit_concurrency"),
    ("database", "pools_start_empty_or_full", "Start.pools Fill:empty Fill:full"),
    ("database", "pools_start_as_long_use_leaves_them", "Fill:warm"),
    (
        "fault",
        "a_stopped_component_comes_back_after_its_time",
        "Fault.target Fault.what Fault.at Fault.for Harm:stop",
    ),
    ("fault", "a_fault_strikes_so_many_or_such_a_share", "Fault.count Fault.share"),
    ("fault", "a_fault_comes_again_and_each_unit_at_times_of_its_own", "Fault.every Fault.apart"),
    ("fault", "what_is_slow_takes_so_many_times_as_long", "Harm:slow Slowness.times"),
    ("fault", "what_is_flaky_fails_its_share_at_once", "Harm:flaky"),
    ("fault", "a_restarted_cache_has_forgotten_and_a_stopped_one_has_not", "Harm:restart"),
    ("fault", "a_failover_takes_as_long_as_its_product_does", "Harm:failover"),
    ("fault", "of_a_machine_that_is_gone_without_a_word_drivers_hear_nothing", "Takeover.silent"),
    ("fault", "a_replica_takes_over_without_what_it_has_not_received", "Harm:promote"),
    ("fault", "a_cut_network_repeats_until_it_heals", "Harm:cut Cut.from"),
    (
        "flow",
        "computing_keeps_the_loop_and_waiting_does_not",
        "Operation.flow Step:cpu Step:wait Step:parallel",
    ),
    ("flow", "flows_repeat", "Step:repeat Repeat.times Repeat.flow"),
    ("flow", "flows_choose_by_chance", "Step:choose Branch.share Branch.flow"),
    (
        "flow",
        "calls_wait_for_their_answer_or_their_timeout",
        "Step:call Call.service Call.timeout Call.flow",
    ),
    ("flow", "an_operation_answers_with_its_status", "Reply.status"),
    ("flow", "bodies_are_as_large_as_said", "Step:reply Reply.bytes"),
    ("flow", "operations_come_in_proportion_to_their_shares", "Operation.share"),
    ("gate", "a_window_admits_exactly_so_many", "Limit.max Limit.window"),
    (
        "gate",
        "an_algorithm_counts_as_it_says",
        "Limit.algorithm LimitAlgorithm:fixed-window LimitAlgorithm:sliding-log \
         LimitAlgorithm:sliding-counter LimitAlgorithm:token-bucket LimitAlgorithm:gcra \
         LimitAlgorithm:leaky-bucket LimitAlgorithm:cycles Burst.burst",
    ),
    ("gate", "a_request_waits_for_its_turn_or_its_permit", "LeakyBucket.queue Cycles.timeout"),
    ("gate", "a_proxy_that_is_not_trusted_hides_its_users", "Limit.trust_proxy"),
    (
        "gate",
        "reading_a_value_takes_a_statement_and_can_fail",
        "Guard.read GuardRead.pool GuardRead.time",
    ),
    (
        "shed",
        "a_bulkhead_lets_so_many_in_at_once",
        "Bulkhead.limit Bulkhead.except ConcurrencyLimit:fixed",
    ),
    ("shed", "a_place_is_held_for_the_steps_within", "Step:bulkhead InBulkhead.of InBulkhead.flow"),
    ("shed", "a_refusal_of_a_bulkhead_is_answered_as_said", "Bulkhead.respond"),
    (
        "shed",
        "a_queue_has_a_size_and_a_timeout",
        "Bulkhead.queue WaitingRoom.size WaitingRoom.timeout",
    ),
    (
        "shed",
        "the_order_of_a_queue_decides_who_waits",
        "WaitingRoom.order QueueOrder:fifo QueueOrder:lifo QueueOrder:adaptive-lifo \
         AdaptiveLifo.backlog",
    ),
    (
        "shed",
        "a_queue_is_shed_by_its_waits",
        "WaitingRoom.shed Shedding:codel Shedding:controlled-delay Delay.target Delay.interval",
    ),
    (
        "shed",
        "those_who_have_gone_are_passed_over_where_the_server_knows",
        "WaitingRoom.drop_expired",
    ),
    (
        "shed",
        "low_priority_gives_way_first",
        "Bulkhead.low LowPriority.operations LowPriority.share",
    ),
    (
        "shed",
        "a_limit_by_additive_increase_moves_within_its_bounds",
        "ConcurrencyLimit:aimd Aimd.initial Aimd.min Aimd.max Aimd.backoff Aimd.slow",
    ),
    (
        "shed",
        "a_limit_after_vegas_keeps_the_queue_short",
        "ConcurrencyLimit:vegas Vegas.initial Vegas.max Vegas.probe",
    ),
    (
        "shed",
        "a_limit_by_gradient_moves_by_its_queue",
        "ConcurrencyLimit:gradient2 Gradient2.initial Gradient2.min Gradient2.max Gradient2.queue \
         Gradient2.tolerance Gradient2.smoothing Gradient2.window",
    ),
    (
        "shed",
        "a_breaker_opens_and_fails_fast",
        "Step:breaker ThroughBreaker.through ThroughBreaker.flow",
    ),
    ("shed", "a_fallback_takes_the_place_of_a_failed_call", "ThroughBreaker.fallback"),
    ("shed", "a_call_that_takes_too_long_has_failed", "Breaker.timeout"),
    (
        "shed",
        "opossum_has_its_options",
        "Breaker.product BreakerProduct:opossum Opossum.threshold Opossum.volume Opossum.reset \
         Opossum.window Opossum.buckets Opossum.capacity",
    ),
    (
        "shed",
        "resilience4j_has_its_options",
        "BreakerProduct:resilience4j Resilience4j.threshold Resilience4j.slow_threshold \
         Resilience4j.slow Resilience4j.window Resilience4j.volume Resilience4j.reset \
         Resilience4j.trials Resilience4j.window_type WindowType:time-based WindowType:count-based",
    ),
    (
        "gate",
        "counting_is_by_address_user_or_for_all",
        "Client.addresses Limit.per LimitPer:address LimitPer:user LimitPer:all",
    ),
    (
        "gate",
        "counters_in_memory_multiply_by_processes",
        "Limit.store LimitStore:memory LimitStore:shared",
    ),
    ("gate", "shared_counters_cost_a_command", "SharedCounters.cache"),
    ("gate", "a_limits_store_fails_open_or_closed", "Limit.fail Limit.errors"),
    ("gate", "a_limit_counts_only_what_it_says", "Limit.only"),
    ("gate", "what_is_not_before_a_service_turns_nothing_away", "Service.before"),
    ("gate", "a_refusal_says_how_long_to_wait", "Respond.retry_after"),
    ("gate", "a_refusal_has_the_status_it_says", "Limit.respond Respond.status"),
    (
        "gate",
        "a_guard_on_open_connections_latches_and_one_on_busy_ones_does_not",
        "Guard.reject_at",
    ),
    ("gate", "a_guard_watches_what_it_says", "Guard.watch Guard.limit"),
    (
        "gate",
        "a_guard_on_sessions_blocks_new_ones",
        "Guard.applies Applies:all Applies:new-sessions",
    ),
    ("gate", "a_kept_value_overshoots", "Guard.sampled"),
    (
        "gate",
        "a_guard_fails_open_or_closed",
        "Guard.fail Guard.errors FailMode:open FailMode:closed",
    ),
    ("gate", "some_operations_pass_a_guard_unseen", "Guard.except"),
    ("gate", "a_guards_answer_has_its_status_and_its_retry_after", "Guard.respond"),
    (
        "law",
        "durations_follow_their_laws",
        "WrittenOfDurations:exponential WrittenOfDurations:uniform WrittenOfDurations:erlang \
         WrittenOfDurations:gamma WrittenOfDurations:lognormal WrittenOfDurations:weibull \
         WrittenOfDurations:pareto WrittenOfDurations:hyperexponential \
         WrittenOfDurations:empirical WrittenOfDurations:mixture ErlangOfDurations.stages \
         ErlangOfDurations.mean MeanAndCvOfDurations.mean MeanAndCvOfDurations.cv \
         LognormalOfDurations.mean LognormalOfDurations.cv LognormalOfDurations.median \
         LognormalOfDurations.p99 WeibullOfDurations.mean WeibullOfDurations.shape \
         ParetoOfDurations.minimum ParetoOfDurations.shape PartOfDurations.share \
         PartOfDurations.of WrittenOfDurations:rounded-up RoundedUpOfDurations.of \
         RoundedUpOfDurations.to WrittenOfDurations:shifted ShiftedOfDurations.by ShiftedOfDurations.of",
    ),
    (
        "law",
        "measured_samples_are_read_from_a_file",
        "EmpiricalOfDurations.points EmpiricalOfDurations.file EmpiricalOfBytes.points EmpiricalOfBytes.file",
    ),
    (
        "law",
        "amounts_follow_their_laws",
        "WrittenOfBytes:exponential WrittenOfBytes:uniform WrittenOfBytes:erlang \
         WrittenOfBytes:gamma WrittenOfBytes:lognormal WrittenOfBytes:weibull \
         WrittenOfBytes:pareto WrittenOfBytes:hyperexponential WrittenOfBytes:empirical \
         WrittenOfBytes:mixture ErlangOfBytes.stages ErlangOfBytes.mean MeanAndCvOfBytes.mean \
         MeanAndCvOfBytes.cv LognormalOfBytes.mean LognormalOfBytes.cv LognormalOfBytes.median \
         LognormalOfBytes.p99 WeibullOfBytes.mean WeibullOfBytes.shape ParetoOfBytes.minimum \
         ParetoOfBytes.shape PartOfBytes.share PartOfBytes.of WrittenOfBytes:rounded-up \
         RoundedUpOfBytes.of RoundedUpOfBytes.to WrittenOfBytes:shifted ShiftedOfBytes.by ShiftedOfBytes.of",
    ),
    (
        "network",
        "the_way_to_a_region_is_paid_by_who_goes_it",
        "Region.rtt Line.rtt Service.region Database.region Cache.region",
    ),
    ("network", "users_live_where_their_shares_say", "Region.users"),
    ("network", "a_link_takes_bytes_over_bandwidth_and_is_shared", "Link.bandwidth Step:transfer"),
    ("network", "a_link_carries_what_it_says", "Link.carries"),
    ("network", "a_nearly_full_link_loses", "Link.loss Loss.above Loss.share Loss.delay"),
    ("network", "an_edge_answers_from_near_by_what_it_has", "Cdn.edge_rtt Operation.cdn"),
    ("network", "an_edge_forgets_after_its_time_to_live", "Cdn.ttl"),
    ("network", "every_point_of_presence_has_a_cache_of_its_own", "Cdn.pops"),
    ("network", "an_edge_asks_once_for_what_many_want", "Cdn.collapse"),
    ("network", "an_edge_caches_the_keys_it_says", "Cdn.keys"),
    (
        "network",
        "everything_has_its_price",
        "Link.price Balancer.price Cdn.price Service.price Database.price \
         Database.replica_price Cache.price Cache.replicas Queue.price UsagePrice.monthly \
         UsagePrice.per_gb UsagePrice.per_million UsagePrice.source Price.monthly Price.source \
         Expense.monthly Expense.what",
    ),
    ("plan", "the_warm_up_is_not_measured", "Run.warmup Run.duration"),
    ("plan", "the_timeline_has_steps_of_the_window", "Run.window"),
    ("plan", "a_seed_is_the_root_of_all_chance", "Run.seed"),
    ("plan", "a_run_stops_at_its_limits_and_says_so", "Run.max_events Run.max_memory"),
    ("plan", "every_nth_path_is_measured", "Run.attribution_every"),
    (
        "plan",
        "what_is_done_with_many_runs_is_passed_on",
        "Run.replications Run.confidence Run.max_wall Topology.objectives",
    ),
    (
        "service",
        "workers_share_the_cores_of_their_instance",
        "Service.workers Service.cores Service.instances",
    ),
    (
        "service",
        "work_in_threads_leaves_the_loop_free_and_shares_the_cores",
        "Service.threads Step:threads",
    ),
    (
        "service",
        "connections_are_accepted_wait_or_are_refused",
        "Service.max_connections Service.backlog",
    ),
    ("service", "a_gone_user_leaves_the_queue_where_the_service_says_so", "Service.cancel_waiting"),
    ("service", "accepting_costs_computation", "Service.accept_cpu"),
    (
        "service",
        "a_loop_that_has_polled_for_long_is_slow_to_wake",
        "Service.wake Wake.cpu Wake.idle Wake.growth",
    ),
    (
        "service",
        "a_blocked_worker_is_handed_no_further_connection",
        "Service.hand_out HandOut:each-in-turn HandOut:free-worker",
    ),
    (
        "accept",
        "a_shared_socket_is_emptied_by_whoever_polls_first",
        "HandOut:shared HandOut:reuse-port",
    ),
    ("accept", "at_a_shared_socket_the_first_workers_take_most", "SharedSocket.first"),
    ("upstream", "a_name_is_looked_up_before_each_call", "Call.lookup"),
    (
        "accept",
        "a_worker_that_has_answered_enough_is_replaced",
        "Uvicorn.limit_max_requests Uvicorn.limit_max_requests_jitter Uvicorn.worker_start",
    ),
    ("service", "a_hop_leads_in_and_out", "Service.hop"),
    ("service", "a_balancer_is_a_hop_of_its_own", "Balancer.service Balancer.hop"),
    ("service", "the_requests_of_operations_go_to_their_service", "Operation.service"),
    (
        "service",
        "policies_differ_as_theory_says",
        "Balancer.policy Policy:round-robin Policy:random Policy:least-outstanding \
         Policy:two-choices",
    ),
    (
        "service",
        "hashing_and_sticking_keep_a_user_on_one_instance",
        "Policy:consistent-hash Policy:sticky",
    ),
    (
        "service",
        "what_sticks_is_the_user_or_the_address",
        "Balancer.by BalanceBy:user BalanceBy:address",
    ),
    (
        "service",
        "new_users_are_placed_in_turn_at_random_or_where_little_is_in_flight",
        "Sticky.then FirstChoice:round-robin FirstChoice:random FirstChoice:least-outstanding",
    ),
    (
        "service",
        "an_autoscaler_adds_an_instance_after_three_periods_and_a_start",
        "Service.autoscale Autoscale.max Autoscale.target Autoscale.period Autoscale.start",
    ),
    (
        "service",
        "target_tracking_removes_below_its_low_threshold",
        "Tracking.low Tracking.scale_in",
    ),
    (
        "service",
        "an_hpa_looks_every_15_s_and_goes_back_after_its_stabilisation",
        "Autoscale.policy ScalePolicy:target-tracking ScalePolicy:hpa Autoscale.cpu_request",
    ),
    (
        "service",
        "an_hpa_does_not_count_pods_that_have_just_become_ready",
        "Hpa.initialisation Hpa.sample",
    ),
    ("service", "memory_may_be_followed_alone_or_beside_cpu", "ScaleMetric:memory Autoscale.also"),
    (
        "service",
        "steps_add_and_remove_what_they_say",
        "ScalePolicy:steps Steps.points Steps.out Steps.back ScaleStep.at ScaleStep.by",
    ),
    (
        "service",
        "an_autoscaler_may_follow_requests",
        "Autoscale.metric ScaleMetric:cpu ScaleMetric:requests",
    ),
    (
        "service",
        "a_schedule_moves_the_bounds",
        "Autoscale.schedule ScheduledScaling.at ScheduledScaling.min ScheduledScaling.max",
    ),
    (
        "service",
        "an_instance_is_slower_when_it_is_cold",
        "Service.warm_up WarmUp.times WarmUp.over",
    ),
    ("service", "a_dead_instance_is_replaced_where_somebody_does", "Service.replace"),
    ("service", "additions_wait_for_their_cooldown", "Autoscale.cooldown_out"),
    (
        "service",
        "removals_take_fifteen_periods_and_wait_for_their_cooldown",
        "Autoscale.min Autoscale.cooldown_in",
    ),
    (
        "session",
        "a_request_reads_its_session_and_touches_it",
        "Session.touch PostgresSessions.read PostgresSessions.write SessionStore:postgres",
    ),
    (
        "upkeep",
        "a_row_is_locked_until_its_transaction_ends",
        "Query.on Query.for_update Relation.rows",
    ),
    ("upkeep", "statements_of_a_request_with_one_number_work_on_one_row", "Query.row"),
    (
        "upkeep",
        "a_deadlock_is_seen_after_its_timeout_and_one_of_two_fails",
        "Database.deadlock_timeout",
    ),
    (
        "upkeep",
        "waiting_for_a_lock_ends_at_its_timeout_and_that_of_the_statement",
        "Database.lock_timeout",
    ),
    (
        "upkeep",
        "an_idle_transaction_loses_its_connection_and_its_locks",
        "Database.idle_in_transaction_timeout",
    ),
    (
        "upkeep",
        "who_waits_for_which_mode",
        "TableLock.mode LockMode:access-share LockMode:row-share LockMode:row-exclusive \
         LockMode:share-update-exclusive LockMode:share LockMode:share-row-exclusive \
         LockMode:exclusive LockMode:access-exclusive",
    ),
    (
        "upkeep",
        "a_job_comes_every_so_often_and_takes_its_time",
        "Maintenance.every MaintenanceKind:job Maintenance.work Maintenance.per_write Maintenance.threshold \
         Maintenance.lock TableLock.on",
    ),
    ("upkeep", "a_job_spreads_its_work", "Maintenance.spread"),
    ("upkeep", "a_job_gives_up_waiting_for_its_lock", "Maintenance.lock_timeout"),
    (
        "upkeep",
        "dead_versions_slow_storage_down_until_they_are_cleaned_up",
        "Relation.bloat Maintenance.cleans",
    ),
    ("upkeep", "tables_and_jobs_are_of_a_database", "Relation.database Maintenance.database"),
    (
        "upkeep",
        "a_volume_grants_so_many_operations_a_second",
        "Database.storage Storage.iops Storage.operation Storage.throughput Storage.block",
    ),
    (
        "upkeep",
        "a_volume_bursts_as_long_as_its_credits_last",
        "Storage.burst StorageBurst.iops StorageBurst.credits StorageBurst.start",
    ),
    (
        "upkeep",
        "credits_are_earned_at_the_baseline_and_spent_above_it",
        "Database.credits CpuCredits.baseline CpuCredits.keeps CpuCredits.start",
    ),
    ("upkeep", "unlimited_instances_go_on_for_money", "CpuCredits.unlimited CpuCredits.core_hour"),
    (
        "upkeep",
        "a_commit_waits_for_its_standbys",
        "Database.standby Standby.count Standby.quorum Standby.rtt",
    ),
    (
        "upkeep",
        "replay_waits_for_older_queries_and_then_cancels_them",
        "Database.standby_delay Database.standby_feedback Maintenance.conflicts",
    ),
    (
        "workload",
        "even_arrivals_are_exactly_spaced_and_poisson_ones_are_not",
        "Arrivals.process Process:poisson Process:even",
    ),
    ("workload", "the_rate_is_the_rate", "Arrivals.rate"),
    ("workload", "stages_are_straight_lines", "Arrivals.stages RateStage.for RateStage.to"),
    ("workload", "a_spike_multiplies", "Arrivals.spike Spike.at Spike.for Spike.times"),
    ("workload", "a_wave_goes_up_and_down", "Arrivals.sinusoid Sinusoid.period Sinusoid.amplitude"),
    ("workload", "as_many_users_as_said_stand_behind_a_stream", "Arrivals.users"),
    ("workload", "closed_users_think_and_wait", "Users.population Users.think"),
    (
        "workload",
        "populations_ramp_change_and_spike",
        "Users.ramp Users.stages Users.spike UserStage.for UserStage.to",
    ),
];

/// Keys that need no test of behaviour, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("Topology.version", "there is one version"),
    ("Topology.title", "for people"),
    ("Topology.source", "for people"),
    ("Topology.notes", "for people"),
    ("Topology.assume", "for people"),
    ("Assumption.what", "for people"),
    ("Assumption.value", "for people"),
    ("Assumption.range", "for people"),
    ("Assumption.why", "for people"),
    ("Assumption.knob", "checked by `tests/diagnostics/unknown-path.toml`"),
    ("Topology.extends", "how files are merged is tested where they are read"),
    ("Topology.remove", "how files are merged is tested where they are read"),
    ("Database.driver", "there is one"),
    ("DatabaseDriver:postgres", "there is one"),
];

/// All rows.
fn covered() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    let others = [
        crate::covered_edge::COVERED,
        crate::covered_function::COVERED,
        crate::covered_host::COVERED,
        crate::covered_process::COVERED,
        crate::covered_platform::COVERED,
        crate::covered_pool::COVERED,
        crate::covered_queue::COVERED,
        crate::covered_redis::COVERED,
        crate::covered_session::COVERED,
        crate::covered_store::COVERED,
    ];
    COVERED.iter().chain(others.into_iter().flatten())
}

/// The sources of the tests.
const SOURCES: &[(&str, &str)] = &[
    ("arrivals", include_str!("arrivals.rs")),
    ("balancer", include_str!("balancer.rs")),
    ("haproxy", include_str!("haproxy.rs")),
    ("upstream", include_str!("upstream.rs")),
    ("carried", include_str!("carried.rs")),
    ("accept", include_str!("accept.rs")),
    ("cdn", include_str!("cdn.rs")),
    ("connection", include_str!("connection.rs")),
    ("retries", include_str!("retries.rs")),
    ("client", include_str!("client.rs")),
    ("database", include_str!("database.rs")),
    ("fault", include_str!("fault.rs")),
    ("flow", include_str!("flow.rs")),
    ("function", include_str!("function.rs")),
    ("provisioned", include_str!("provisioned.rs")),
    ("gate", include_str!("gate.rs")),
    ("homes", include_str!("homes.rs")),
    ("host", include_str!("host.rs")),
    ("law", include_str!("law.rs")),
    ("agent", include_str!("agent.rs")),
    ("http2", include_str!("http2.rs")),
    ("call_limit", include_str!("call_limit.rs")),
    ("mapping", include_str!("mapping.rs")),
    ("shard_mapping", include_str!("shard_mapping.rs")),
    ("network", include_str!("network.rs")),
    ("nginx", include_str!("nginx.rs")),
    ("nlb", include_str!("nlb.rs")),
    ("limit_memory", include_str!("limit_memory.rs")),
    ("plan", include_str!("plan.rs")),
    ("pool", include_str!("pool.rs")),
    ("pooler", include_str!("pooler.rs")),
    ("process", include_str!("process.rs")),
    ("service", include_str!("service.rs")),
    ("dependency", include_str!("dependency.rs")),
    ("session", include_str!("session.rs")),
    ("shed", include_str!("shed.rs")),
    ("upkeep", include_str!("upkeep.rs")),
    ("workload", include_str!("workload.rs")),
];

/// Every key and possibility of the language. A key that only holds a section is what its keys are.
fn language() -> Vec<String> {
    let mut all = Vec::new();
    for entry in reference() {
        match entry.form {
            Form::Table(table) => {
                let keys = table.fields.iter().filter(|field| {
                    table.name != "Topology"
                        || !matches!(field.kind, Kind::Table(_) | Kind::Named(_))
                });
                all.extend(keys.map(|field| format!("{}.{}", table.name, field.key)));
            }
            Form::Choice(choice) => {
                let names = choice.variants.iter();
                all.extend(names.map(|variant| format!("{}:{}", choice.name, variant.name)));
            }
        }
    }
    all
}

fn claimed() -> Vec<&'static str> {
    let covered = covered().flat_map(|(_, _, keys)| keys.split_whitespace());
    covered.chain(EXEMPT.iter().map(|(key, _)| *key)).collect()
}

#[test]
fn every_key_is_turned_by_a_test() {
    let claimed = claimed();
    let missing: Vec<String> =
        language().into_iter().filter(|key| !claimed.contains(&key.as_str())).collect();
    assert!(missing.is_empty(), "no test turns {missing:?}");
}

#[test]
fn nothing_is_claimed_twice_or_unknown() {
    let mut claimed = claimed();
    let language = language();
    for key in &claimed {
        assert!(language.iter().any(|known| known == key), "the language has no {key}");
    }
    claimed.sort_unstable();
    for pair in claimed.windows(2) {
        assert_ne!(pair[0], pair[1], "claimed twice");
    }
}

#[test]
fn every_claim_names_a_test_that_says_the_key() {
    for (module, test, keys) in covered() {
        let others = crate::covered_platform::SOURCES.iter().chain(crate::covered_redis::SOURCES);
        let others =
            others.chain(crate::covered_store::SOURCES).chain(crate::covered_queue::SOURCES);
        let mut sources = SOURCES.iter().chain(others);
        let source = sources.find(|(name, _)| name == module).expect("a source").1;
        let start = source.find(&format!("#[test]\nfn {test}()"));
        assert!(start.is_some(), "there is no test {module}::{test}");
        for key in keys.split_whitespace() {
            let word = key.split(['.', ':']).next_back().expect("a key has a name");
            assert!(source.contains(word), "{module}.rs never says `{word}` of {key}");
        }
    }
}
