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
];
