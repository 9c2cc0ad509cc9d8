//! Regions, routes, links, content delivery networks.

use super::{Compiler, find, optional};
use crate::component::cache::{CacheConfig, Eviction};
use crate::kernel::Dense;
use crate::model::ids::*;
use crate::model::{Cdn, Link, Region, Shield};
use crate::topology;
use crate::topology::{Named, Section};
use crate::units::Duration;

impl Compiler<'_> {
    pub(super) fn regions(&mut self) -> Dense<RegionId, Region> {
        let topology = self.topology;
        if topology.regions.is_empty() {
            return Dense::new(vec![Region {
                name: "here".into(),
                access: NO_TIME,
                zones: 1,
                between: NO_TIME,
            }]);
        }
        let one = |region: &Named<topology::Region>| Region {
            name: region.name.clone(),
            access: self.law(&region.spec.rtt),
            zones: region.spec.zones,
            between: match region.spec.zones {
                1 => NO_TIME,
                _ => self.law(&region.spec.zone_rtt),
            },
        };
        topology.regions.iter().map(one).collect()
    }

    /// Whether it takes time from one zone to another where a service stands.
    pub(super) fn is_zoned(&self, service: &Named<topology::Service>) -> bool {
        let place = self.topology.place_of(Section::Service, &service.name);
        let takes = |law: &crate::variate::Law| *law != crate::variate::Law::Constant(0.0);
        place.is_some_and(|it| it.spec.zones > 1 && takes(&it.spec.zone_rtt.law))
    }

    pub(super) fn routes(&mut self) -> Vec<LawId> {
        let topology = self.topology;
        let count = topology.regions.len().max(1);
        let mut routes = vec![NO_TIME; count * count];
        for (from, a) in topology.regions.iter().enumerate() {
            for (to, b) in topology.regions.iter().enumerate() {
                if let Some(route) =
                    topology.routes.between(&a.name, &b.name).filter(|_| from != to)
                {
                    routes[from * count + to] = self.law(&route.rtt);
                }
            }
        }
        routes
    }

    /// Shares of users by region; where none is said, all live in the first.
    pub(super) fn home_shares(&self) -> Vec<f64> {
        let regions = self.topology.regions.iter();
        let mut shares: Vec<f64> =
            regions.map(|region| region.spec.users.map_or(0.0, |share| share.0)).collect();
        if shares.is_empty() {
            shares.push(1.0);
        } else if shares.iter().sum::<f64>() == 0.0 {
            shares[0] = 1.0;
        }
        shares
    }

    pub(super) fn links(&self) -> Dense<LinkId, Link> {
        let one = |link: &Named<topology::Link>| Link {
            station: self.station(&format!("link.{}", link.name)),
            into: self.station(&self.way_in(link)),
            bandwidth: link.spec.bandwidth,
            per_flow: match link.spec.per_flow {
                Some(flow) if flow.0 < link.spec.bandwidth.0 => flow,
                _ => link.spec.bandwidth,
            },
            loss: link.spec.loss.as_ref().map(|loss| (loss.above.0, loss.share.0, loss.delay)),
        };
        self.topology.links.iter().map(one).collect()
    }

    /// The path of what comes in over a link: a direction of its own, if that has all the bandwidth and
    /// anything comes in.
    pub(super) fn way_in(&self, link: &Named<topology::Link>) -> String {
        let path = format!("link.{}", link.name);
        let topology = self.topology;
        let full = link.spec.duplex == topology::Duplex::Full;
        match full && topology.services.iter().any(|it| self.takes_from(it, link)) {
            true => format!("{path}.in"),
            false => path,
        }
    }

    /// Whether bodies, or messages of sockets, come to a service over a link.
    fn takes_from(&self, service: &Named<topology::Service>, link: &Named<topology::Link>) -> bool {
        let topology = self.topology;
        let is_its = |id: LinkId| topology.links[id.0 as usize].name == link.name;
        let is_here = |at: &Option<&str>| *at == Some(service.name.as_str());
        let transfers = |step: &topology::Step| matches!(step, topology::Step::Transfer(_));
        self.link_of(service).is_some_and(is_its)
            && (topology.sockets.iter().any(|it| it.spec.service.name == service.name)
                || topology.steps().iter().any(|(at, it)| is_here(at) && transfers(&it.value)))
    }

    /// The link that a service's answers go out through: its own, or its region's.
    pub(super) fn link_of(&self, service: &Named<topology::Service>) -> Option<LinkId> {
        let links = &self.topology.links;
        let carries = |section: Section, name: &str| {
            links.iter().position(|link| {
                link.spec.carries.section == section && link.spec.carries.name == name
            })
        };
        let region = self.region(&service.spec.region);
        let region = self.topology.regions.get(region.0 as usize).map(|region| region.name.clone());
        carries(Section::Service, &service.name)
            .or_else(|| carries(Section::Region, &region.unwrap_or_default()))
            .map(|index| LinkId(index as u32))
    }

    pub(super) fn cdns(&mut self) -> Dense<CdnId, Cdn> {
        let topology = self.topology;
        let mut all = Dense::default();
        for cdn in &topology.cdns {
            let spec = &cdn.spec;
            all.push(Cdn {
                name: cdn.name.clone(),
                station: self.station(&format!("cdn.{}", cdn.name)),
                keys: find(&topology.keys, &spec.keys.name),
                pops: spec.pops,
                uncacheable: spec.uncacheable.0,
                stale: spec.stale_if_error.unwrap_or(Duration::FOREVER),
                revalidate: spec.stale_while_revalidate,
                not_modified: spec.not_modified.0,
                shield: spec.shield.as_ref().map(|shield| Shield {
                    count: shield.count,
                    rtt: self.law(&shield.rtt),
                    station: self.station(&format!("cdn.{}.shield", cdn.name)),
                }),
                error_ttl: spec.error_ttl,
                origin_timeout: spec.origin_timeout,
                connect_timeout: Duration(
                    spec.connect_timeout.0.saturating_mul(u64::from(spec.attempts)),
                ),
                attempts: spec.attempts,
                ttl: optional(Some(spec.ttl)),
                edge: self.law(&spec.edge_rtt),
                collapse: spec.collapse,
                store: CacheConfig {
                    memory: None,
                    overhead_bytes: 0,
                    eviction: Eviction::NoEviction,
                    samples: 5,
                    max_entries: None,
                },
                rate_per_s: 0.0,
            });
        }
        all
    }
}
