//! Deploys: a new version of a service takes the place of the old one.

use super::names::{Address, Ref, Scope, Section};
use super::service::Service;
use super::spec::spec;
use crate::units::{Duration, Ratio};

/// What a deploy may empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Purged;
impl Scope for Purged {
    const SECTIONS: &'static [Section] = &[Section::Cdn, Section::Cache];
}
spec! {
    /// A new version of a service: every instance is replaced by a new one, whose memory, caches and
    /// pools are empty. A part of the scenario.
    component Deploy {
        /// The service that is replaced.
        service: Ref<Service>;
        /// When it begins, from the start of the measured time.
        at: Duration = "\"0s\"" from "assumed: a deploy that says no time begins at once";
        /// How old instances give way to new ones.
        how: Rollout = "\"ecs\"" from "Amazon ECS (deployment controller ECS: rolling update)";
        /// Time from the start of a new instance to its first request.
        start: Duration = "\"60s\""
            from "assumed: image pull, start and health check of a Fargate task take 30 to 120 s";
        /// Whether the new version cannot start: each of its processes ends where its first request would have
        /// been possible. Amazon ECS starts another task in its place, Kubernetes keeps the pod, which is never
        /// ready.
        fails_to_start: bool = "false" from "assumed: the version was tried before";
        /// Time after its beginning at which it is rolled back if it is not over: instances of the new version
        /// end, and those of the old one that have gone are started again, within the same bounds.
        rollback_after: Option<Duration> = "never"
            from "Kubernetes (progressDeadlineSeconds 600 is only told); Helm 3 (upgrade --atomic: after 5 min)", positive;
        /// What a process does when this deploy tells it to end.
        on_sigterm: Option<OnSigterm> = "as `service.on_sigterm`"
            from "Node.js 20 process (SIGTERM without a handler ends the process); uvicorn 0.54.0 (Server.shutdown)";
        /// What is emptied once the new version is there, as the last step of a pipeline does: edges
        /// (`cdn.edge`) and cache servers (`cache.redis`). What workers hold in memory goes with them in any
        /// case.
        purge: Vec<Address<Purged>> = "[]" from "assumed: what is cached stays until it expires";
        /// Time that a process has to end by itself before it is killed.
        grace: Option<Duration> = "as `service.grace`"
            from "Amazon ECS (stopTimeout 30 s); Kubernetes (terminationGracePeriodSeconds 30)", positive;
    }
}
spec! {
    /// How old instances give way to new ones.
    choice Rollout {
        /// Rolling, as Amazon ECS: balancers are told first and old tasks drain for the deregistration
        /// delay; without one they are told to end at once.
        Ecs(EcsRollout) = "ecs";
        /// Rolling, as a Deployment of Kubernetes: a pod is told to end while balancers are still being
        /// told.
        Kubernetes(KubernetesRollout) = "kubernetes";
        /// A second fleet starts beside the first, and all users are moved to it at one instant.
        BlueGreen(BlueGreen) = "blue-green";
    }
}
spec! {
    /// A rolling update of Amazon ECS.
    table EcsRollout {
        /// Healthy tasks at least, as a share of those wanted, rounded up.
        min_healthy: Ratio = "\"100%\"" from "Amazon ECS (minimumHealthyPercent 100)";
        /// Tasks beyond those wanted that start or run at most, as a share, rounded down:
        /// `maximumPercent` less 100.
        max_extra: Ratio = "\"100%\"" from "Amazon ECS (maximumPercent 200)";
        /// Whether it is rolled back once half as many tasks as are wanted have failed to start, at least 3 and at
        /// most 200.
        circuit_breaker: bool = "false" from "Amazon ECS (deploymentCircuitBreaker: enable and rollback false)";
    }
}
spec! {
    /// A rolling update of a Kubernetes Deployment.
    table KubernetesRollout {
        /// Pods above those wanted at most, as a share, rounded up.
        max_surge: Ratio = "\"25%\"" from "Kubernetes apps/v1 (maxSurge 25 %)";
        /// Pods below those wanted at most, as a share, rounded down.
        max_unavailable: Ratio = "\"25%\"" from "Kubernetes apps/v1 (maxUnavailable 25 %)";
        /// How long a new pod must have been ready before it counts and an old one may go for it.
        min_ready: Duration = "\"0s\"" from "Kubernetes apps/v1 (minReadySeconds 0)";
        /// How long the hook that runs before SIGTERM sleeps, of the time of `grace`.
        pre_stop: Duration = "\"0s\"" from "Kubernetes core/v1 (lifecycle.preStop unset)";
        /// Time until balancers have heard that a pod is going.
        heard_after: Duration = "\"1s\""
            from "assumed: endpoint slices reach every kube-proxy or ingress within seconds";
    }
}
spec! {
    /// A blue-green deploy.
    table BlueGreen {
        /// Time between the new fleet's being ready and the switch: tests.
        wait: Duration = "\"0s\"" from "AWS CodeDeploy (reroute traffic immediately)";
        /// How long the old fleet is kept after the switch, with the connections that it has.
        keep: Duration = "\"1h\"" from "AWS CodeDeploy console for ECS (original revision termination: 1 hour)";
    }
}
spec! {
    /// What a process does when it is told to end (SIGTERM).
    choice OnSigterm {
        /// It closes its listening socket, ends what it has and exits.
        Finish = "finish";
        /// It exits at once, with what it has.
        Exit = "exit";
        /// It goes on until it is killed: the first process of a container has no default handler.
        Ignore = "ignore";
    }
}
