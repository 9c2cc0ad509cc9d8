//! What the tests of deploys, sockets, stores, functions and monitors turn: a part of the list in
//! `coverage.rs`.

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
        "a_blue_green_deploy_moves_everybody_at_once_and_keeps_the_old_fleet",
        "Rollout:blue-green BlueGreen.wait BlueGreen.keep",
    ),
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
        "clients_come_back_after_their_pauses",
        "Socket.reconnect Reconnect.delay Reconnect.most Reconnect.jitter",
    ),
    (
        "socket",
        "a_broadcast_is_written_to_the_members_wherever_they_are",
        "Socket.messages Socket.message_cpu Socket.room Socket.write_cpu Socket.adapter \
         Socket.adapter_cpu",
    ),
];
