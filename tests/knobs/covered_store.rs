//! What the tests of limits, guards, breakers and jobs turn that came last: a part of the list in
//! `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    (
        "tables",
        "autovacuum_takes_what_its_points_and_the_table_say",
        "Maintenance.kind MaintenanceKind:autovacuum Autovacuum.on Autovacuum.threshold \
         Autovacuum.scale_factor Autovacuum.cost_limit Autovacuum.cost_delay Autovacuum.page_hit \
         Autovacuum.page_miss Autovacuum.page_dirty Autovacuum.cached Autovacuum.page_cpu \
         Relation.row_size Relation.indexes",
    ),
    (
        "tables",
        "a_checkpoint_writes_each_changed_page_once_and_logs_its_first_change",
        "MaintenanceKind:checkpoint Checkpoint.completion_target Checkpoint.pages Checkpoint.changes \
         Checkpoint.full_page_writes Checkpoint.page_cpu",
    ),
    (
        "tables",
        "a_table_that_grows_slows_its_statements_down",
        "Relation.count Query.growth Query.inserts Query.deletes",
    ),
    (
        "tables",
        "pages_that_are_not_in_memory_are_read_from_storage",
        "Database.buffer Buffer.memory Buffer.data Query.pages",
    ),
    ("tables", "popular_pages_are_found_more_often", "Buffer.keys"),
    (
        "copies",
        "reads_go_to_the_nearest_copy",
        "Database.abroad Abroad.region Abroad.replicas Reads:nearest",
    ),
    ("copies", "a_copy_is_as_far_behind_as_the_way_is_long", "Abroad.lag"),
    ("copies", "a_copy_takes_over_when_its_primary_has_lost_its_region", "Database.takeover"),
    (
        "memory",
        "a_connection_too_many_has_the_server_killed",
        "Database.memory ServerMemory.machine ServerMemory.per_connection ServerMemory.recovery NoMemory:kill",
    ),
    (
        "memory",
        "where_the_kernel_grants_no_more_only_who_asks_fails",
        "ServerMemory.full NoMemory:fail",
    ),
    (
        "memory",
        "sorts_take_memory_while_their_statement_runs",
        "ServerMemory.work_mem Query.sorts Query.sort_memory",
    ),
    (
        "memory",
        "pages_have_what_connections_and_sorts_leave",
        "ServerMemory.shared_buffers ServerMemory.system",
    ),
    (
        "workload",
        "a_virtual_user_who_is_let_go_may_finish_for_so_long",
        "Users.graceful_ramp_down Users.graceful_stop",
    ),
    (
        "workload",
        "a_generator_of_arrivals_stops_what_is_late_when_its_plan_is_over",
        "Vus.graceful_stop",
    ),
    (
        "uncounted",
        "a_limit_takes_back_what_it_does_not_want_to_count",
        "Limit.skip_failed Limit.skip_successful",
    ),
    ("uncounted", "a_service_stops_when_nobody_waits_any_more", "Service.deadlines"),
    ("uncounted", "a_guard_with_hysteresis_stays_shut_for_longer", "Guard.release"),
    (
        "uncounted",
        "resilience4j_half_opens_by_a_timer_and_does_not_wait_for_ever",
        "Resilience4j.half_open_itself Resilience4j.max_half_open",
    ),
    (
        "job",
        "a_queue_starts_so_many_jobs_in_a_time",
        "Queue.limiter QueueLimiter.max QueueLimiter.duration",
    ),
    ("job", "a_part_of_the_backoff_is_chance", "Job.jitter"),
    (
        "redis_server",
        "a_long_command_keeps_all_others_waiting",
        "Step:command OwnCommand.in OwnCommand.takes",
    ),
    (
        "redis_server",
        "a_snapshot_forks_the_server",
        "Cache.persistence Persistence.save Persistence.fork Persistence.disk SavePoint.after \
         SavePoint.changes OwnCommand.write",
    ),
    ("redis_server", "an_fsync_of_more_than_two_seconds_blocks_the_server", "Persistence.fsync"),
    ("redis_server", "a_hit_renews_what_is_sliding", "CacheLookup.sliding"),
    ("job", "a_user_asks_for_the_end_of_a_job", "Enqueue.poll Poll.operation Poll.every Poll.most"),
    ("job", "the_last_one_goes_first_where_it_is_said", "Job.lifo"),
];

/// The sources of these tests.
pub const SOURCES: &[(&str, &str)] = &[
    ("tables", include_str!("tables.rs")),
    ("copies", include_str!("copies.rs")),
    ("memory", include_str!("memory.rs")),
    ("redis_server", include_str!("redis_server.rs")),
    ("uncounted", include_str!("uncounted.rs")),
];
