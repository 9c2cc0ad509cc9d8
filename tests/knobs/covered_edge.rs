//! What the tests of users, connections and balancers turn: a part of the list in `coverage.rs`.

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    ("arrivals", "phases_come_in_bursts", "Arrivals.phases Phase.times Phase.for"),
    ("arrivals", "phases_follow_one_another_as_a_markov_chain_says", "Phase.next"),
    (
        "arrivals",
        "batches_and_crowds_come_together",
        "Arrivals.batch Arrivals.crowd Crowd.at Crowd.users Crowd.over",
    ),
    (
        "arrivals",
        "an_arrival_without_a_free_virtual_user_is_dropped",
        "Arrivals.vus Vus.pre_allocated Vus.max",
    ),
    (
        "arrivals",
        "a_session_is_pages_with_thinking_between",
        "Arrivals.session Visits.pages Visits.think Visits.abandons_after",
    ),
    ("arrivals", "operations_may_say_what_follows_them", "Operation.next Next.to Next.share"),
    ("homes", "operations_are_those_of_the_users_of_their_regions", "Operation.users_in"),
    (
        "homes",
        "users_go_elsewhere_as_soon_as_dns_says_so",
        "Operation.failover Client.dns FailoverDns.checkers FailoverDns.interval FailoverDns.threshold \
         FailoverDns.quorum FailoverDns.ttl FailoverDns.stale FailoverDns.stale_ttl",
    ),
    ("workload", "a_user_of_a_population_leaves_after_failures", "Users.abandons_after"),
    (
        "arrivals",
        "a_trace_is_played_as_it_was_scaled_or_resampled",
        "Arrivals.trace Trace.file Trace.mode TraceMode:absolute TraceMode:scaled TraceMode:resampled \
         Scaled.times",
    ),
    (
        "connection",
        "setting_up_a_connection_takes_round_trips",
        "Client.connection Connections.tls Tls:none Tls:1.2 Tls:1.3 Connections.keep_alive",
    ),
    ("connection", "large_bodies_start_slowly", "Connections.window Connections.bandwidth"),
    ("connection", "lost_packets_cost_round_trips_or_the_timer", "Connections.loss"),
    ("connection", "one_transfer_may_have_a_part_of_a_link", "Link.per_flow"),
    (
        "network",
        "each_direction_of_a_link_has_its_bandwidth",
        "Link.duplex Duplex:full Duplex:half",
    ),
    ("connection", "what_may_not_be_cached_is_fetched_one_after_another", "Cdn.uncacheable"),
    ("connection", "a_stale_answer_is_better_than_none", "Cdn.stale_if_error"),
    ("connection", "an_edge_keeps_failures_for_a_while", "Cdn.error_ttl"),
    ("cdn", "a_shield_is_asked_by_all_edges_and_asks_once", "Cdn.shield Shield.count Shield.rtt"),
    (
        "cdn",
        "an_old_answer_is_given_at_once_while_another_is_fetched",
        "Cdn.stale_while_revalidate",
    ),
    ("cdn", "what_has_not_changed_is_not_sent_again", "Cdn.not_modified"),
    ("cdn", "a_shield_is_paid_for_by_what_it_is_asked", "Shield.per_million"),
    ("balancer", "a_hash_of_the_key_brings_all_requests_for_it_to_one_target", "BalanceBy:keys"),
    ("balancer", "a_request_that_finds_its_target_dead_goes_to_the_next", "Balancer.next_upstream"),
    (
        "balancer",
        "a_full_backlog_refuses_or_drops",
        "Service.on_overflow Overflow:refuse Overflow:drop Balancer.connect_timeout",
    ),
    (
        "balancer",
        "a_user_whose_cookie_has_expired_is_placed_anew",
        "Sticky.max_idle Sticky.max_life",
    ),
    ("balancer", "weights_are_shares", "Balancer.weights Policy:weighted-round-robin"),
    ("balancer", "two_choices_look_at_requests_in_flight", "TwoChoices.choices TwoChoices.bias"),
    (
        "balancer",
        "hashes_keep_to_one_target_unless_it_has_too_much",
        "Policy:maglev HashBound.bound HashRing.bound",
    ),
    (
        "balancer",
        "rings_are_as_fine_as_the_product_makes_them",
        "HashRing.min_ring_size HashRing.max_ring_size",
    ),
    (
        "balancer",
        "latency_is_remembered_and_forgotten",
        "Policy:peak-ewma PeakEwma.decay PeakEwma.first",
    ),
    (
        "balancer",
        "a_connection_is_balanced_once",
        "Balancer.per BalancePer:request BalancePer:connection PerConnection.idle \
         Policy:least-connections",
    ),
    (
        "haproxy",
        "who_finds_all_targets_full_waits_in_its_queue",
        "BalancerKind:haproxy Balancer.queue BalancerQueue.timeout BalancerQueue.most",
    ),
    ("haproxy", "a_user_who_has_gone_leaves_the_queue", "BalancerQueue.leaves"),
    ("haproxy", "who_is_kept_to_a_target_waits_for_that_one", "Policy:hash"),
    (
        "haproxy",
        "the_limit_of_a_target_grows_with_the_requests_that_there_are",
        "Balancer.ramp Ramp.least Ramp.full",
    ),
    ("haproxy", "connecting_is_tried_again_after_a_second", "Balancer.retries"),
    ("haproxy", "redispatch_sends_it_to_another_target", "Balancer.redispatch"),
    ("haproxy", "idle_connections_that_were_not_needed_are_closed_by_halves", "Balancer.purge"),
    (
        "haproxy",
        "the_first_request_over_a_connection_gets_one_of_its_own",
        "Balancer.reuse Reuse:never Reuse:safe Reuse:aggressive Reuse:always",
    ),
    (
        "balancer",
        "all_calls_of_a_process_go_over_its_one_connection",
        "PerConnection.of PerConnection.max_age ConnectionOf:users ConnectionOf:processes",
    ),
    ("balancer", "every_node_has_a_rotation_of_its_own", "Balancer.nodes"),
    ("nginx", "ip_hash_goes_by_the_first_three_octets", "BalanceBy:network"),
    ("nginx", "it_keeps_so_many_idle_connections", "Balancer.most_idle"),
    ("nginx", "a_request_takes_two_connections_of_its_worker", "Balancer.worker_connections"),
    ("limit_memory", "a_process_keeps_the_counts_of_two_windows", "Limit.key_memory"),
    ("nlb", "an_nlb_chooses_once_for_each_connection", "BalancerKind:nlb"),
    (
        "nlb",
        "a_loop_that_stands_still_passes_a_check_for_a_connection",
        "Checks.protocol CheckProtocol:http CheckProtocol:tcp",
    ),
    ("nlb", "a_node_of_an_nlb_sends_to_its_own_zone", "Balancer.cross_zone"),
    ("nlb", "an_nlb_is_charged_by_units_of_its_own", "BalancerPrice.tls"),
    (
        "balancer",
        "checks_wait_for_the_event_loop_and_count_in_a_row",
        "Balancer.checks Checks.interval Checks.timeout Checks.healthy Checks.unhealthy Checks.flow \
         Balancer.fail_open",
    ),
    (
        "balancer",
        "outliers_are_ejected_for_longer_each_time",
        "Balancer.ejection Ejection:never Ejection:outliers Outliers.consecutive Outliers.interval \
         Outliers.base Outliers.longest Outliers.most Outliers.always_one",
    ),
    (
        "balancer",
        "success_rates_are_compared",
        "Outliers.hosts Outliers.requests Outliers.deviations",
    ),
    (
        "balancer",
        "a_target_that_does_not_answer_is_left_out_for_a_while",
        "Ejection:max-fails MaxFails.fails MaxFails.timeout",
    ),
    (
        "balancer",
        "slow_answers_are_cut_off_with_504_as_each_product_does",
        "Balancer.kind BalancerKind:plain BalancerKind:alb BalancerKind:nginx BalancerKind:envoy \
         Balancer.idle_timeout",
    ),
    (
        "balancer",
        "an_idle_connection_is_closed_from_either_side",
        "Balancer.keep_alive Service.keep_alive",
    ),
    (
        "carried",
        "a_body_that_does_not_come_in_time_is_answered_408_at_the_next_look",
        "Node.request_timeout Node.connections_check",
    ),
    (
        "carried",
        "a_connection_carries_so_many_requests",
        "Node.max_requests_per_socket Balancer.keepalive_requests",
    ),
    ("upstream", "nginx_asks_the_next_server_when_one_is_silent", "Operation.idempotent"),
    ("upstream", "calls_through_nginx_are_repeated_like_requests_of_users", "Call.idempotent"),
    (
        "accept",
        "what_is_beyond_max_connections_waits_or_is_closed",
        "Service.on_max OnMax:wait OnMax:close",
    ),
    (
        "network",
        "an_edge_waits_for_its_origin_only_so_long",
        "Cdn.origin_timeout Cdn.connect_timeout Cdn.attempts",
    ),
    (
        "upstream",
        "a_balancer_sheds_what_is_too_much_for_its_targets",
        "Balancer.max_conns Balancer.max_requests",
    ),
    (
        "upstream",
        "envoy_has_so_many_connections_and_lets_so_many_wait_for_one",
        "Balancer.max_connections Balancer.max_pending",
    ),
    ("balancer", "a_new_target_gets_its_share_slowly", "Balancer.slow_start"),
    (
        "balancer",
        "an_instance_that_is_taken_out_may_finish_for_so_long",
        "Balancer.deregistration_delay",
    ),
    (
        "retries",
        "axios_retry_repeats_three_times_at_once",
        "Retry:axios-retry AxiosRetry.on AxiosRetry.share AxiosRetry.retries AxiosRetry.delay \
         AxiosDelay:none AxiosDelay:exponential AxiosDelay:linear",
    ),
    (
        "retries",
        "attempts_of_axios_share_one_timeout_unless_it_is_reset",
        "AxiosRetry.reset_timeout",
    ),
    (
        "retries",
        "the_aws_sdk_jitters_fully_and_longer_when_throttled",
        "Retry:aws-sdk AwsRetry.on AwsRetry.share AwsRetry.attempts AwsRetry.base AwsRetry.cap \
         AwsRetry.throttled_base AwsRetry.honour_retry_after AwsRetry.retry_after_most",
    ),
    (
        "retries",
        "a_retry_that_is_throttled_costs_less_and_before_2026_both_cost_less",
        "AwsRetry.sdk AwsSdk:js AwsSdk:js-2025 AwsSdk:botocore AwsRetry.throttled_cost",
    ),
    (
        "retries",
        "an_outage_empties_the_bucket_of_a_process",
        "AwsRetry.tokens AwsRetry.cost AwsRetry.timeout_cost AwsRetry.refund Client.processes",
    ),
    (
        "retries",
        "resilience4j_waits_the_same_or_longer_each_time",
        "Retry:resilience4j Resilience4jRetry.on Resilience4jRetry.share Resilience4jRetry.attempts \
         Resilience4jRetry.wait Resilience4jRetry.multiplier Resilience4jRetry.randomisation",
    ),
    (
        "retries",
        "envoy_retries_once_within_its_breaker_or_its_budget",
        "Retry:envoy EnvoyRetry.max_retries EnvoyRetry.on EnvoyRetry.share EnvoyRetry.retries EnvoyRetry.base EnvoyRetry.cap \
         EnvoyRetry.budget EnvoyRetry.least",
    ),
    (
        "retries",
        "a_process_turns_its_own_requests_away_while_few_are_accepted",
        "Client.throttle Throttle.k Throttle.window",
    ),
    ("retries", "calls_are_repeated_and_layers_multiply", "Call.retry"),
    ("retries", "a_caller_honours_retry_after_and_throttles_itself", "Call.throttle"),
    (
        "retries",
        "impatient_users_load_the_page_anew",
        "Client.reload Reload.after Reload.share Reload.times",
    ),
    (
        "agent",
        "a_call_opens_a_connection_unless_one_is_idle",
        "Call.client HttpClient:open HttpClient:fetch HttpClient:axios HttpClient:requests \
         HttpClient:httpx ClientConnections.keep_alive ClientConnections.tls",
    ),
    ("agent", "connecting_ends_at_its_timeout", "ClientConnections.connect_timeout"),
    (
        "http2",
        "all_calls_share_one_connection_with_so_many_streams",
        "HttpClient:http2 ClientConnections.streams",
    ),
    (
        "call_limit",
        "as_many_calls_as_there_may_be_connections_go_at_once",
        "ClientConnections.max_connections ClientConnections.per_host",
    ),
    (
        "call_limit",
        "each_product_has_its_own_limits",
        "HttpClient:requests-session HttpClient:aiohttp HttpClient:go HttpClient:okhttp \
         HttpClient:apache-httpclient",
    ),
    (
        "call_limit",
        "calls_of_a_service_share_a_client_and_hosts_do_not_stand_in_each_others_way",
        "ClientConnections.name",
    ),
    ("call_limit", "who_waits_too_long_has_no_connection", "ClientConnections.pool_timeout"),
    (
        "call_limit",
        "so_many_idle_ones_are_kept",
        "ClientConnections.max_idle ClientConnections.idle_per_host",
    ),
];
