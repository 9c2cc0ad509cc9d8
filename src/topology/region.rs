//! Places and what lies between them: regions, routes, links.

use super::balancer::{Balancer, BalancerKind};
use super::cache::Cache;
use super::check::find;
use super::dist::Dist;
use super::file::Topology;
use super::kind::Kind;
use super::names::{Address, Named, Ref, Scope, Section};
use super::price::UsagePrice;
use super::queue::Queue;
use super::spec::{Reader, Shape, spec};
use super::stream::{Consumer, StreamKind};
use super::tree::Node;
use crate::diagnostic::{Diagnostic, Place};
use crate::units::{Bandwidth, Duration, Ratio};

spec! {
    /// A place on earth: users live in it, components stand in it.
    component Region {
        /// Share of the users who live here.
        users: Option<Ratio> = "all users if this is the only region, else none"
            from "assumed: users live where something is said of them";
        /// Round trip of a user to the services of this region.
        rtt: Dist = "\"0ms\"" from "assumed: the document leaves the access network out";
        /// Availability zones over which what stands here is spread, one after another.
        zones: u32 = "1" from "assumed: a single zone", positive;
        /// Round trip between two of its zones: what stands in another zone than who asks is so much further
        /// away, each time that it is asked. AWS promises single-digit milliseconds; 0.5 to 1 ms is usual.
        zone_rtt: Dist = "\"0ms\"" from "assumed: what an `rtt` says holds wherever something stands";
        /// Executions of functions that may run here at once.
        functions: u32 = "1_000" from "AWS Lambda quotas (concurrent executions)", positive;
    }
}
/// The part of the world that the name of a region begins with, as clouds name them.
fn area(region: &str) -> Option<&'static str> {
    match region.split(['-', '_']).next()? {
        "us" => Some("us"),
        "eu" | "europe" => Some("eu"),
        "ap" | "asia" => Some("asia"),
        _ => None,
    }
}

/// What a round trip between two regions usually takes, in words: the figure that their names tell, or all.
pub(crate) fn usual_round_trip(one: &str, other: &str) -> String {
    let pair = area(one).zip(area(other)).map(|(one, other)| (one.min(other), one.max(other)));
    let known = |rtt: &str, way: &str| format!("`rtt = \"{rtt}\"` is usual {way}");
    match pair {
        Some(("us", "us")) => known("70ms", "across the US"),
        Some(("eu", "us")) => known("90ms", "between the US and Europe"),
        Some(("asia", "us")) => known("160ms", "between the US and Asia"),
        Some(("asia", "eu")) => known("200ms", "between Europe and Asia"),
        _ => "usual are \"70ms\" across the US, \"90ms\" from there to Europe, \"160ms\" to Asia, and \"200ms\" from Europe to Asia".into(),
    }
}

impl Topology {
    /// Nodes of a balancer, as said or as its product has them.
    pub(crate) fn nodes_of(&self, balancer: &Named<Balancer>) -> u32 {
        let spec = &balancer.spec;
        let zones = || self.zones_of(balancer);
        spec.nodes.unwrap_or_else(|| match spec.kind {
            BalancerKind::Alb => zones().max(2),
            BalancerKind::Nlb => zones(),
            BalancerKind::Plain
            | BalancerKind::Nginx
            | BalancerKind::Envoy
            | BalancerKind::HaProxy => 1,
        })
    }
    /// Zones of the region that the service behind a balancer stands in.
    pub(crate) fn zones_of(&self, balancer: &Named<Balancer>) -> u32 {
        let service = &balancer.spec.service.name;
        self.place_of(Section::Service, service).map_or(1, |it| it.spec.zones)
    }
    /// The region that something stands in: the one it names or follows from, or the only one.
    /// [`None`] where there is none, or several and nothing says which.
    pub(crate) fn place_of(&self, section: Section, name: &str) -> Option<&Named<Region>> {
        let only = || self.regions.first().filter(|_| self.regions.len() == 1);
        let named = |said: &Option<Ref<Region>>| match said {
            Some(region) => self.regions.iter().find(|it| it.name == region.name),
            None => only(),
        };
        let beside_cache = |cache: &Ref<Cache>| self.place_of(Section::Cache, &cache.name);
        match section {
            Section::Region => self.regions.iter().find(|it| it.name == name),
            Section::Service => named(&find(&self.services, name).spec.region),
            Section::Database => named(&find(&self.databases, name).spec.region),
            Section::Cache => named(&find(&self.caches, name).spec.region),
            Section::Store => named(&find(&self.stores, name).spec.region),
            Section::Pooler => {
                let pooler = find(&self.poolers, name);
                let process = pooler.spec.process.as_ref().map(|it| find(&self.poolers, &it.name));
                let database = &process.unwrap_or(pooler).spec.database;
                self.place_of(Section::Database, &database.name)
            }
            Section::Queue => match &find(&self.queues, name).spec {
                Queue { region: None, cache: Some(cache), .. } => beside_cache(cache),
                Queue { region: None, service: Some(service), .. } => {
                    named(&find(&self.services, &service.name).spec.region)
                }
                queue => named(&queue.region),
            },
            Section::Stream => {
                let stream = &find(&self.streams, name).spec;
                match &stream.kind {
                    StreamKind::Kafka(_) | StreamKind::Kinesis(_) => named(&stream.region),
                    StreamKind::RedisStream(its) => beside_cache(&its.cache),
                    StreamKind::RedisPubSub(its) => beside_cache(&its.cache),
                }
            }
            Section::Consumer => match &find(&self.consumers, name).spec {
                Consumer { region: None, stream, .. } => {
                    self.place_of(Section::Stream, &stream.name)
                }
                consumer => named(&consumer.region),
            },
            _ => None,
        }
    }
}
spec! {
    /// What lies between two regions, the same both ways.
    table Line {
        /// Round trip between the two regions.
        rtt: Dist;
    }
}

/// A route between two regions, the same both ways: `[route.us-east.eu-west]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// One end.
    pub from: Ref<Region>,
    /// The other end.
    pub to: Ref<Region>,
    /// Round trip between them.
    pub rtt: Dist,
    /// Where it stands.
    pub place: Place,
}

/// All routes, sorted by the names of their ends.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Routes(pub Vec<Route>);

impl Routes {
    /// The route between two regions, whichever way it was written.
    pub fn between(&self, a: &str, b: &str) -> Option<&Route> {
        self.0.iter().find(|route| {
            (route.from.name == a && route.to.name == b)
                || (route.from.name == b && route.to.name == a)
        })
    }
}

impl Shape for Routes {
    fn kind() -> Kind {
        Kind::Named(Box::new(Kind::Named(Box::new(Line::kind()))))
    }
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let tree = Vec::<Named<Vec<Named<Line>>>>::read(node, reader)?;
        let mut routes: Vec<Route> = Vec::new();
        for from in tree {
            for to in from.spec {
                let ends = [(&from.name, &from.place), (&to.name, &to.place)];
                for (name, place) in ends {
                    reader.references.push(super::names::Reference {
                        section: Section::Region,
                        name: name.clone(),
                        place: place.clone(),
                    });
                }
                let twin = routes
                    .iter()
                    .find(|route| route.from.name == to.name && route.to.name == from.name);
                if let Some(twin) = twin {
                    let message = format!(
                        "the route between `{}` and `{}` is said twice",
                        from.name, to.name
                    );
                    reader.diagnostics.push(
                        Diagnostic::error("duplicate", to.place.clone(), message)
                            .help("routes are the same both ways: keep one of the two")
                            .related(twin.place.clone(), "said here first"),
                    );
                }
                routes.push(Route {
                    from: Ref::new(from.name.clone(), from.place.clone()),
                    to: Ref::new(to.name, to.place.clone()),
                    rtt: to.spec.rtt,
                    place: to.place,
                });
            }
        }
        Some(Routes(routes))
    }
}

/// What a link may carry: the traffic of a service or of a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried;
impl Scope for Carried {
    const SECTIONS: &'static [Section] = &[Section::Service, Section::Region];
}
spec! {
    /// A network path of limited bandwidth, shared equally by the transfers on it.
    component Link {
        /// Its capacity, in each direction.
        bandwidth: Bandwidth, positive;
        /// Whether what goes out and what comes in share it.
        duplex: Duplex = "\"full\""
            from "IEEE 802.3; EC2 network bandwidth (up to so much inbound and, simultaneously, outbound)";
        /// What one transfer can have of it at most.
        per_flow: Option<Bandwidth> = "all of it, when it is alone"
            from "assumed: no policing of single flows", positive;
        /// Whose answers and uploads it carries: `service.web` or `region.us-east`.
        carries: Address<Carried>;
        /// What happens when it is nearly full.
        loss: Option<Loss> = "nothing is lost" from "assumed: buffers are large enough";
        /// What it costs.
        price: Option<UsagePrice>;
    }
}
spec! {
    /// Which of its directions a link's bandwidth is for.
    choice Duplex {
        /// Each has all of it: an Ethernet, the network of an instance.
        Full = "full";
        /// Both share it: a medium that one may send on at a time, as Wi-Fi.
        Half = "half";
    }
}
spec! {
    /// Packet loss on a link that is nearly full, felt as a delay of retransmission.
    table Loss {
        /// From which utilisation on, of the direction that something goes in.
        above: Ratio = "\"85%\"" from "assumed: buffers fill near capacity";
        /// Share of transfers that lose something.
        share: Ratio = "\"1%\"" from "assumed: mild congestion";
        /// How long a retransmission takes.
        delay: Duration = "\"200ms\"" from "Linux TCP (minimum retransmission timeout 200 ms)";
    }
}

#[cfg(test)]
mod tests {
    use super::usual_round_trip;

    #[test]
    fn names_of_regions_tell_how_far_they_are() {
        let says = |one, other, rtt: &str| {
            usual_round_trip(one, other).starts_with(&format!("`rtt = \"{rtt}\"`"))
        };
        assert!(says("us-east-1", "us-west-2", "70ms") && says("eu-west-1", "us-east-1", "90ms"));
        assert!(
            says("ap-south-1", "us-east-1", "160ms") && says("europe-west4", "asia-east1", "200ms")
        );
        // Names that tell nothing, and ways that nobody has said: all of them.
        assert!(usual_round_trip("east", "us-east-1").starts_with("usual are"));
        assert!(usual_round_trip("eu-west-1", "eu-central-1").starts_with("usual are"));
    }
}
