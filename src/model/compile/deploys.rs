//! Deploys.

use super::{Compiler, find, named};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Deploy, Exit, OnSigterm, Purge, Rollout};
use crate::topology::{self, Named};
use crate::units::Duration;

impl Compiler<'_> {
    pub(super) fn deploys(&self) -> Dense<DeployId, Deploy> {
        self.topology.deploys.iter().map(|deploy| self.deploy(deploy)).collect()
    }

    fn purge(&self, section: topology::Section, name: &str) -> Purge {
        match section {
            topology::Section::Cdn => Purge::Cdn(find(&self.topology.cdns, name)),
            _ => Purge::Cache(find(&self.topology.caches, name)),
        }
    }

    fn deploy(&self, deploy: &Named<topology::Deploy>) -> Deploy {
        let topology = self.topology;
        let spec = &deploy.spec;
        let service = named(&topology.services, &spec.service.name);
        let (rollout, heard_after, told_after) = match &spec.how {
            topology::Rollout::Ecs(it) => {
                (Rollout::Ecs(it.min_healthy.0, 1.0 + it.max_extra.0), None, Duration::ZERO)
            }
            topology::Rollout::Kubernetes(it) => (
                Rollout::Kubernetes(it.max_surge.0, it.max_unavailable.0),
                Some(it.heard_after),
                it.pre_stop,
            ),
            topology::Rollout::BlueGreen(it) => {
                (Rollout::BlueGreen(it.wait, it.keep), None, Duration::ZERO)
            }
        };
        let circuit_breaker = matches!(&spec.how, topology::Rollout::Ecs(it) if it.circuit_breaker);
        let min_ready = match &spec.how {
            topology::Rollout::Kubernetes(it) => it.min_ready,
            _ => Duration::ZERO,
        };
        Deploy {
            name: deploy.name.clone(),
            label: format!("service.{} deploy", service.name),
            service: find(&topology.services, &service.name),
            at: topology.run.warmup + spec.at,
            rollout,
            start: spec.start,
            fails_to_start: spec.fails_to_start,
            rollback_after: spec.rollback_after,
            circuit_breaker,
            min_ready,
            exit: Exit {
                heard_after,
                told_after,
                on_sigterm: sigterm(spec.on_sigterm.as_ref().unwrap_or(&service.spec.sigterm())),
                killed_after: spec.grace.unwrap_or(service.spec.grace),
            },
            purges: spec.purge.iter().map(|it| self.purge(it.section, &it.name)).collect(),
        }
    }
}

/// How an instance ends that its autoscaler removes.
pub(super) fn removal(service: &topology::Service) -> Exit {
    let hpa = service.autoscale.as_ref().and_then(|scaling| match &scaling.policy {
        topology::ScalePolicy::Hpa(hpa) => Some(hpa),
        _ => None,
    });
    Exit {
        heard_after: hpa.map(|hpa| hpa.heard_after),
        told_after: hpa.map_or(Duration::ZERO, |hpa| hpa.pre_stop),
        on_sigterm: sigterm(&service.sigterm()),
        killed_after: service.grace,
    }
}

/// What a process does that is told to end.
pub(super) fn sigterm(on_sigterm: &topology::OnSigterm) -> OnSigterm {
    match on_sigterm {
        topology::OnSigterm::Finish => OnSigterm::Finish,
        topology::OnSigterm::Exit => OnSigterm::Exit,
        topology::OnSigterm::Ignore => OnSigterm::Ignore,
    }
}
