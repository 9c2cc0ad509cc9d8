//! HTTP clients: which calls share one, and what bounds its connections.

use super::super::{Agent, HttpClient, Station, StationKind};
use super::{Compiler, find, most_instances, named, station};
use crate::component::http_client::HttpClientConfig;
use crate::model::ids::ServiceId;
use crate::model::tape::AgentId;
use crate::topology::{self, ClientRules, HttpClient as Said, Topology};
use crate::units::Duration;

/// A client of a service, and whom it calls.
pub(super) struct Shared {
    service: String,
    rules: ClientRules,
    product: Said,
    hosts: Vec<String>,
}

/// Streams of a connection that an ALB and nginx allow.
const STREAMS: u32 = 128;

/// The rules of a call's client; how many streams its connection has may follow from who answers.
fn rules_of(topology: &Topology, call: &topology::Call) -> Option<ClientRules> {
    let mut rules = call.client.rules()?;
    if call.client.is_shared() && rules.per_host.is_none() {
        let mut before = topology.balancers.iter();
        let before = before.find(|it| it.spec.service.name == call.service.name);
        let kind = before.map(|it| &it.spec.kind);
        let allows =
            matches!(kind, Some(topology::BalancerKind::Alb | topology::BalancerKind::Nginx));
        rules.per_host = allows.then_some(STREAMS);
    }
    Some(rules)
}

/// All clients: calls of a service with the same settings share one.
pub(super) fn shared(topology: &Topology) -> Vec<Shared> {
    let mut all: Vec<Shared> = Vec::new();
    for (at, step) in topology.steps() {
        let (Some(service), topology::Step::Call(call)) = (at, &step.value) else { continue };
        let Some(rules) = rules_of(topology, call) else { continue };
        let host = &call.service.name;
        match all.iter_mut().find(|it| it.service == service && it.rules == rules) {
            Some(known) if known.hosts.contains(host) => {}
            Some(known) => known.hosts.push(host.clone()),
            None => all.push(Shared {
                service: service.into(),
                rules,
                product: call.client.clone(),
                hosts: vec![host.clone()],
            }),
        }
    }
    all
}

impl Shared {
    fn config(&self) -> HttpClientConfig {
        let any = |most: Option<u32>| most.unwrap_or(u32::MAX);
        HttpClientConfig {
            most: any(self.rules.most),
            per_host: any(self.rules.per_host),
            most_idle: self.rules.most_idle,
            idle_per_host: self.rules.idle_per_host,
            keep_alive: self.rules.keep_alive,
            oldest_first: self.rules.oldest_first,
            idle_counts: matches!(self.product, Said::Httpx(_) | Said::Apache(_)),
            surplus_of_all: matches!(self.product, Said::Httpx(_)),
            shared: self.product.is_shared(),
        }
    }
}

impl Compiler<'_> {
    /// The path of a client: its name, and a number from the second of a service with that name on.
    fn client_path(&self, number: usize) -> String {
        let own = &self.shared[number];
        let alike = |it: &&Shared| it.service == own.service && it.rules.name == own.rules.name;
        let before = self.shared[..number].iter().filter(alike).count();
        let number = if before > 0 { format!("-{}", before + 1) } else { String::new() };
        format!("service.{}.client.{}{number}", own.service, own.rules.name)
    }

    /// Stations of those whose connections are limited.
    pub(super) fn client_stations(&self, all: &mut Vec<Station>) {
        for (number, client) in self.http_clients_unmeasured().iter().enumerate() {
            let Some(most) = client.most() else { continue };
            let spec = &named(&self.topology.services, &self.shared[number].service).spec;
            let workers = most_instances(self.topology, spec) * spec.workers;
            let places = f64::from(most) * f64::from(workers);
            all.push(station(&self.client_path(number), StationKind::HttpClient, places));
        }
    }

    fn http_clients_unmeasured(&self) -> Vec<HttpClient> {
        let id = |name: &String| find::<_, ServiceId>(&self.topology.services, name);
        let one = |client: &Shared| HttpClient {
            from: id(&client.service),
            to: client.hosts.iter().map(id).collect(),
            config: client.config(),
            connect_timeout: client.rules.connect_timeout,
            rounds: client.rules.tls.rounds(),
            pool_timeout: client.rules.pool_timeout,
            station: None,
        };
        self.shared.iter().map(one).collect()
    }

    pub(super) fn http_clients(&self) -> Vec<HttpClient> {
        let mut all = self.http_clients_unmeasured();
        for (number, client) in all.iter_mut().enumerate() {
            client.station = client.most().map(|_| self.station(&self.client_path(number)));
        }
        all
    }

    /// Whether callers keep connections to a service.
    pub(super) fn has_callers(&self, service: &str) -> bool {
        self.shared.iter().any(|client| client.hosts.iter().any(|host| host == service))
    }

    /// What a call is made with, and how long it lasts if its step does not say so.
    pub(super) fn agent(
        &mut self,
        call: &topology::Call,
        from: &str,
    ) -> (AgentId, Option<Duration>) {
        let Some(rules) = rules_of(self.topology, call) else {
            return (AgentId::default(), None);
        };
        let is_it = |it: &Shared| it.service == from && it.rules == rules;
        let client = self.shared.iter().position(is_it).expect("all calls have been looked at");
        let host = self.shared[client].hosts.iter().position(|it| *it == call.service.name);
        let agent = Agent {
            client: client as u16,
            host: host.expect("all calls have been looked at") as u16,
            counts_waiting: call.client.counts_waiting(call.timeout.is_some()),
        };
        let found = self.agents.iter().position(|known| *known == agent);
        let place = found.unwrap_or_else(|| {
            self.agents.push(agent);
            self.agents.len() - 1
        });
        (AgentId(place as u16 + 1), call.client.timeout())
    }
}
