//! What the tests of deploys, sockets, stores, functions and monitors turn: a part of the list in
//! `coverage.rs`.

/// See `coverage.rs`.
pub const SOURCES: &[(&str, &str)] = &[
    ("deploy", include_str!("deploy.rs")),
    ("node_loss", include_str!("node_loss.rs")),
    ("socket", include_str!("socket.rs")),
    ("socket_flow", include_str!("socket_flow.rs")),
    ("store", include_str!("store.rs")),
    ("monitor", include_str!("monitor.rs")),
    ("alarm", include_str!("alarm.rs")),
    ("broker_loss", include_str!("broker_loss.rs")),
    ("group_scaling", include_str!("group_scaling.rs")),
    ("stream", include_str!("stream.rs")),
    ("kinesis", include_str!("kinesis.rs")),
    ("kafka_group", include_str!("kafka_group.rs")),
    ("price", include_str!("price.rs")),
    ("region", include_str!("region.rs")),
    ("zones", include_str!("zones.rs")),
    ("service", include_str!("service.rs")),
];

/// See `coverage.rs`.
pub const COVERED: &[(&str, &str, &str)] = &[
    (
        "deploy",
        "a_rolling_deploy_stays_within_its_bounds",
        "Deploy.service Deploy.at Deploy.start Deploy.how Rollout:ecs \
         Rollout:kubernetes EcsRollout.min_healthy EcsRollout.max_extra KubernetesRollout.max_surge \
         KubernetesRollout.max_unavailable",
    ),
    (
        "deploy",
        "what_a_process_does_when_it_is_told_decides_what_is_lost",
        "Deploy.on_sigterm Deploy.grace OnSigterm:finish OnSigterm:exit OnSigterm:ignore \
         KubernetesRollout.pre_stop KubernetesRollout.heard_after",
    ),
    (
        "deploy",
        "who_an_autoscaler_removes_ends_as_whoever_a_deploy_removes",
        "Service.on_sigterm Service.grace Hpa.pre_stop Hpa.heard_after",
    ),
    (
        "deploy",
        "a_blue_green_deploy_moves_everybody_at_once_and_keeps_the_old_fleet",
        "Rollout:blue-green BlueGreen.wait BlueGreen.keep",
    ),
    (
        "deploy",
        "a_version_that_cannot_start_takes_what_may_be_missing_until_it_is_rolled_back",
        "Deploy.fails_to_start Deploy.rollback_after EcsRollout.circuit_breaker",
    ),
    (
        "deploy",
        "a_pod_that_must_have_been_ready_for_a_while_counts_later",
        "KubernetesRollout.min_ready",
    ),
    (
        "node_loss",
        "kubernetes_finds_out_that_a_node_is_lost",
        "Harm:node-loss NodeLoss.grace NodeLoss.toleration NodeLoss.start",
    ),
    (
        "node_loss",
        "a_loss_falls_between_two_renewals_of_the_lease",
        "NodeLoss.lease NodeLoss.monitor",
    ),
    ("deploy", "a_deploy_empties_what_it_says_at_its_end", "Deploy.purge"),
    (
        "price",
        "a_pooler_costs_by_the_cores_behind_it",
        "Pooler.price PoolerPrice.monthly PoolerPrice.per_vcpu_hour PoolerPrice.source",
    ),
    (
        "price",
        "a_volume_costs_by_its_size_and_what_it_grants",
        "Storage.price VolumePrice.per_gb_month VolumePrice.size VolumePrice.per_iops_month \
         VolumePrice.included VolumePrice.source",
    ),
    (
        "price",
        "brokers_and_what_they_keep_cost_their_price",
        "Kafka.price Kafka.per_gb_month Kafka.retention",
    ),
    (
        "price",
        "sockets_cost_by_their_messages_and_minutes",
        "Socket.price SocketPrice.monthly SocketPrice.per_million_messages SocketPrice.unit \
         SocketPrice.per_million_minutes SocketPrice.source",
    ),
    ("price", "objects_cost_for_as_long_as_they_are_kept", "Store.stored Store.expires_after"),
    (
        "service",
        "an_hpa_grows_as_its_behavior_says",
        "Hpa.up HpaUp.stabilisation HpaUp.policies HpaUp.select HpaUp.tolerance HpaPace.percent \
         HpaPace.pods HpaPace.period HpaSelect:max HpaSelect:min HpaSelect:disabled",
    ),
    (
        "service",
        "an_hpa_shrinks_as_its_behavior_says",
        "Hpa.down HpaDown.stabilisation HpaDown.policies HpaDown.select HpaDown.tolerance",
    ),
    (
        "region",
        "what_stands_in_another_region_is_a_route_away",
        "Store.region Stream.region Queue.region",
    ),
    ("region", "what_says_no_region_stands_beside_what_it_uses", "Consumer.region"),
    ("zones", "what_stands_in_another_zone_is_further_away", "Region.zone_rtt"),
    ("deploy", "a_zone_is_lost_with_what_stands_in_it", "Fault.zone Region.zones"),
    (
        "socket",
        "connections_are_held_and_pinged",
        "Socket.service Socket.connections Socket.ping_interval Socket.ping_timeout Socket.ping_cpu",
    ),
    (
        "socket",
        "a_handshake_must_come_to_one_process_in_time",
        "Socket.opens Socket.lasts Socket.transport Transport:polling Transport:websocket \
         Socket.connect_cpu Socket.timeout",
    ),
    (
        "socket",
        "large_and_compressed_messages_cost_more",
        "Socket.read_per_kb Socket.write_per_kb Socket.compression Deflate.memory Deflate.write_cpu \
         Deflate.write_per_kb Deflate.read_cpu Deflate.ratio",
    ),
    (
        "socket_flow",
        "a_message_is_handled_by_the_process_that_holds_its_sender",
        "Socket.flow Socket.broadcast Broadcast:after Broadcast:before Broadcast:never",
    ),
    (
        "socket_flow",
        "a_process_asks_all_others_and_waits_for_each",
        "Step:fetch_sockets Socket.answer_cpu Socket.answer",
    ),
    (
        "socket_flow",
        "one_process_that_stands_still_keeps_the_asker_waiting",
        "Socket.requests_timeout",
    ),
    ("socket", "a_message_that_is_too_large_closes_its_connection", "Socket.max_payload"),
    ("socket", "connections_take_memory_until_there_is_none", "Socket.memory"),
    (
        "socket",
        "clients_come_back_after_their_pauses",
        "Socket.reconnect Reconnect.delay Reconnect.most Reconnect.jitter",
    ),
    (
        "socket",
        "a_broadcast_is_written_to_the_members_wherever_they_are",
        "Socket.messages Socket.message_cpu Socket.room Socket.write_cpu Socket.adapter \
         Socket.adapter_cpu Socket.size",
    ),
    ("store", "a_presigned_url_is_good_for_a_while", "StoreUse.expires"),
    (
        "store",
        "a_store_is_looked_up_for_each_connection_that_is_opened",
        "Store.lookup Store.keep_alive",
    ),
    (
        "store",
        "parts_of_what_was_never_completed_are_kept_and_paid_for",
        "StoreUse.leave_parts Store.abort_incomplete StorePrice.per_gb_month",
    ),
    (
        "store",
        "an_object_is_cut_into_parts_that_go_side_by_side",
        "StoreUse.part_size StoreUse.at_once",
    ),
    ("store", "requests_share_a_bandwidth", "Store.shared"),
    (
        "store",
        "an_object_takes_its_first_byte_and_its_transfer",
        "Step:put Step:get StoreUse.in StoreUse.bytes StoreUse.parts StoreUse.line Store.put \
         Store.get Store.bandwidth",
    ),
    (
        "store",
        "a_prefix_slows_down_what_is_more_than_its_rate",
        "Store.put_rate Store.get_rate Store.prefixes Store.split_after Store.attempts",
    ),
    ("store", "a_balancer_is_charged_for_what_went_through_it_by_the_hour", "BalancerPrice.rules"),
    (
        "store",
        "usage_is_charged_by_what_was_used",
        "Store.price StorePrice.monthly StorePrice.per_gb_out StorePrice.per_million_puts \
         StorePrice.per_million_gets StorePrice.source BalancerPrice.monthly BalancerPrice.per_gb \
         BalancerPrice.per_million BalancerPrice.per_lcu_hour BalancerPrice.source \
         Expense.per_gb Expense.per_million Expense.of Expense.share Price.reserved \
         Price.committed Run.mean_load",
    ),
    (
        "monitor",
        "a_minute_is_shown_as_its_mean_its_end_or_its_most",
        "Monitor.of Monitor.shows Monitor.every Monitor.reads Monitor.alarm Shows:busy \
         Reading:average Reading:sample Reading:greatest Alarm.above Alarm.points",
    ),
    (
        "broker_loss",
        "a_partition_has_no_leader_until_its_broker_is_missed",
        "Harm:broker-loss BrokerLoss.broker BrokerLoss.session BrokerLoss.election",
    ),
    (
        "broker_loss",
        "who_waits_for_all_copies_waits_for_one_that_is_gone_until_it_is_missed",
        "Kafka.brokers Kafka.min_insync",
    ),
    (
        "group_scaling",
        "keda_starts_the_first_consumer_and_stops_the_last",
        "Consumer.autoscale ScalePolicy:keda Keda.polling Keda.cooldown Keda.activation",
    ),
    (
        "group_scaling",
        "members_follow_their_lag_up_to_their_partitions_with_keda",
        "ScaleMetric:lag Lag.messages",
    ),
    (
        "group_scaling",
        "a_consumer_that_is_told_to_end_finishes_exits_or_goes_on",
        "Consumer.on_sigterm Consumer.grace",
    ),
    ("group_scaling", "keda_starts_the_first_worker_of_a_queue_and_stops_the_last", "Keda.hpa"),
    (
        "alarm",
        "an_alarm_calls_when_so_many_of_the_last_periods_are_beyond_its_bound",
        "Alarm.below Alarm.among Monitor.delay",
    ),
    (
        "alarm",
        "a_period_without_a_value_counts_as_the_alarm_says",
        "Alarm.missing MissingData:missing MissingData:not-breaching MissingData:breaching \
         MissingData:ignore",
    ),
    ("alarm", "a_cache_shows_its_hits_its_evictions_and_its_memory", "Shows:hits Shows:evictions"),
    ("alarm", "memory_of_a_service_and_the_lag_of_a_replica_are_shown", "Shows:memory Shows:lag"),
    (
        "service",
        "an_autoscaler_adds_an_instance_after_three_periods_and_a_start",
        "Autoscale.delay",
    ),
    ("monitor", "what_is_open_is_not_what_is_in_use", "Shows:open"),
    ("monitor", "an_alarm_is_of_what_its_monitor_shows", "Shows:in-flight"),
    (
        "monitor",
        "what_waits_is_held_or_is_carried_is_shown",
        "Shows:waiting Shows:held Shows:bandwidth",
    ),
    (
        "monitor",
        "errors_are_a_share_and_uptime_a_share_of_periods",
        "Shows:errors Shows:uptime UptimeShown.target UptimeShown.down_above",
    ),
    (
        "monitor",
        "a_mean_over_instances_of_a_quantile_is_no_quantile",
        "Estimation:mean-of-instances",
    ),
    (
        "monitor",
        "a_quantile_is_what_one_makes_of_it",
        "Shows:latency LatencyShown.quantile LatencyShown.how Estimation:mean-of-windows \
         Estimation:histogram Estimation:from-sending LatencyShown.buckets",
    ),
    (
        "monitor",
        "a_rate_is_drawn_out_of_two_samples",
        "Shows:rate RateShown.range RateShown.scrape",
    ),
    (
        "stream",
        "a_producer_waits_for_whom_its_acks_say",
        "Kafka.acks Acks:all Acks:leader Acks:none Kafka.replicas Kafka.append Kafka.rtt \
         Kafka.replicate",
    ),
    ("stream", "a_leader_appends_one_request_after_another", "Kafka.partitions Kafka.keys"),
    (
        "stream",
        "a_producer_lingers_until_its_batch_is_full",
        "Kafka.linger Kafka.batch Stream.message",
    ),
    (
        "stream",
        "a_group_handles_as_many_at_once_as_it_has_partitions",
        "Consumer.members Consumer.concurrency Consumer.work Consumer.stream Stream.kind \
         StreamKind:kafka",
    ),
    (
        "stream",
        "a_dead_member_keeps_its_partition_until_its_session_ends",
        "KafkaGroup.session KafkaGroup.client KafkaGroup.heartbeat KafkaClient:java \
         Consumer.kafka",
    ),
    (
        "stream",
        "what_was_not_committed_is_handled_again",
        "KafkaGroup.fetch KafkaGroup.fetch_bytes",
    ),
    (
        "stream",
        "who_does_not_poll_in_time_is_out",
        "KafkaGroup.poll KafkaGroup.rebalance KafkaClient:kafkajs",
    ),
    (
        "stream",
        "a_stream_of_redis_is_handed_out_to_who_asks",
        "Step:publish StreamKind:redis-stream RedisStream.cache",
    ),
    (
        "stream",
        "what_is_pending_for_too_long_is_claimed_or_put_aside",
        "Consumer.pending Pending.claim_after Pending.claim_every Pending.deliveries",
    ),
    (
        "stream",
        "a_subscriber_that_does_not_read_is_cut_off",
        "StreamKind:redis-pubsub RedisPubSub.cache RedisPubSub.socket_buffer RedisPubSub.hard \
         RedisPubSub.soft RedisPubSub.soft_for RedisPubSub.reconnect",
    ),
    ("stream", "members_cost_their_price", "Consumer.price"),
    (
        "stream",
        "an_error_of_kafkajs_pauses_the_member_and_the_sixth_restarts_it",
        "Consumer.fail Consumer.poison",
    ),
    (
        "stream",
        "an_error_of_the_java_client_is_tried_ten_times_and_put_aside",
        "KafkaGroup.retries KafkaGroup.retry_delay",
    ),
    (
        "kafka_group",
        "only_what_moves_stands_still_in_a_cooperative_rebalance",
        "KafkaGroup.assignor Assignor:eager Assignor:cooperative-sticky",
    ),
    (
        "kafka_group",
        "a_member_with_an_id_has_its_partitions_when_it_is_back",
        "KafkaGroup.instance_id",
    ),
    (
        "broker_loss",
        "a_broker_that_is_stopped_as_planned_hands_its_partitions_over",
        "BrokerLoss.planned",
    ),
    (
        "kinesis",
        "a_shard_takes_so_many_records_and_bytes_and_refuses_the_rest",
        "StreamKind:kinesis Kinesis.shards Kinesis.keys Kinesis.put Kinesis.records Kinesis.write \
         Kinesis.attempts",
    ),
    (
        "kinesis",
        "records_that_are_collected_are_put_together_and_refused_apart",
        "Kinesis.linger Kinesis.batch",
    ),
    (
        "kinesis",
        "a_record_is_pushed_or_waits_for_the_next_read",
        "Consumer.kinesis KinesisGroup.fan_out KinesisGroup.propagation KinesisGroup.poll",
    ),
    (
        "kinesis",
        "a_read_has_so_many_records_and_all_who_read_share_the_reads",
        "KinesisGroup.records Kinesis.reads Kinesis.read",
    ),
    (
        "kinesis",
        "the_shards_of_a_dead_worker_are_taken_up_after_two_looks",
        "KinesisGroup.failover",
    ),
    (
        "kinesis",
        "shards_and_their_payload_units_cost_their_price",
        "Kinesis.price Kinesis.unit_price",
    ),
];
