//! What lies between users and services: regions, routes, links, balancers, CDNs.

use super::dist::Dist;
use super::kind::Kind;
use super::names::{Address, Named, Ref, Scope, Section};
use super::service::Service;
use super::spec::{Reader, Shape, spec};
use super::store::Keys;
use super::tree::Node;
use crate::diagnostic::{Diagnostic, Place};
use crate::units::{Bandwidth, Duration, Money, Ratio};

spec! {
    /// A place on earth: users live in it, components stand in it.
    component Region {
        /// Share of the users who live here.
        users: Option<Ratio> = "all users if this is the only region, else none"
            from "assumed: users live where something is said of them";
        /// Round trip of a user to the services of this region.
        rtt: Dist = "\"0ms\"" from "assumed: the document leaves the access network out";
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
        /// Its capacity.
        bandwidth: Bandwidth, positive;
        /// Whose answers and uploads it carries: `service.web` or `region.us-east`.
        carries: Address<Carried>;
        /// What happens when it is nearly full.
        loss: Option<Loss> = "nothing is lost" from "assumed: buffers are large enough";
        /// What it costs.
        price: Option<UsagePrice>;
    }
}
spec! {
    /// Packet loss on a link that is nearly full, felt as a delay of retransmission.
    table Loss {
        /// From which utilisation on.
        above: Ratio = "\"85%\"" from "assumed: buffers fill near capacity";
        /// Share of transfers that lose something.
        share: Ratio = "\"1%\"" from "assumed: mild congestion";
        /// How long a retransmission takes.
        delay: Duration = "\"200ms\"" from "Linux TCP (minimum retransmission timeout 200 ms)";
    }
}
spec! {
    /// A load balancer in front of a service: it chooses the instance that serves each request.
    component Balancer {
        /// The service it stands in front of.
        service: Ref<Service>;
        /// How it chooses.
        policy: Policy = "\"round-robin\"" from "AWS Application Load Balancer";
        /// Delay of passing through it, one way.
        hop: Dist = "\"0.25ms\"" from "assumed: one hop within a zone";
        /// What is hashed or stuck to, for the policies that do.
        by: BalanceBy = "\"user\"" from "assumed: a cookie";
        /// What it costs.
        price: Option<UsagePrice>;
    }
}
spec! {
    /// How a balancer chooses among instances; an instance hands to its workers in turn.
    choice Policy {
        /// Each in turn.
        RoundRobin = "round-robin";
        /// Any, at random.
        Random = "random";
        /// The one with the fewest requests in flight.
        LeastOutstanding = "least-outstanding";
        /// The better of a few chosen at random.
        TwoChoices = "two-choices";
        /// The one that a ring of hashes assigns.
        ConsistentHash = "consistent-hash";
        /// The one that served the same user before; for a new user, as `then` says.
        Sticky(Sticky) = "sticky";
    }
}
spec! {
    /// The instance that served the same user before.
    table Sticky {
        /// How a new user is placed.
        then: FirstChoice = "\"round-robin\"" from "AWS Application Load Balancer";
    }
}
spec! {
    /// How a sticky balancer places a new user.
    choice FirstChoice {
        /// Each instance in turn.
        RoundRobin = "round-robin";
        /// Any, at random.
        Random = "random";
        /// The one with the fewest requests in flight.
        LeastOutstanding = "least-outstanding";
    }
}
spec! {
    /// What a balancer hashes or sticks to.
    choice BalanceBy {
        /// The user (a cookie).
        User = "user";
        /// The client's address.
        Address = "address";
    }
}
spec! {
    /// A content delivery network: caches near the users, in front of operations.
    component Cdn {
        /// The keys it caches.
        keys: Ref<Keys>;
        /// How long an answer stays fresh.
        ttl: Duration = "\"1day\"" from "Amazon CloudFront (default TTL 86,400 s)", positive;
        /// How many independent caches the users are spread over.
        pops: u32 = "1" from "assumed: one shared cache", positive;
        /// Round trip of a user to the nearest cache.
        edge_rtt: Dist = "\"20ms\"" from "assumed: a cache in the user's country";
        /// Whether simultaneous misses of one key make a single request to the origin.
        collapse: bool = "true" from "Amazon CloudFront (collapses simultaneous requests)";
        /// What it costs.
        price: Option<UsagePrice>;
    }
}
spec! {
    /// A fixed price.
    table Price (short "monthly") {
        /// Price of one unit a month.
        monthly: Money;
        /// Where the price is stated.
        source: Option<String>;
    }
}
spec! {
    /// A price by the month, by data and by requests; what is not said is free.
    table UsagePrice (short "monthly") {
        /// Price of it a month, whatever its use.
        monthly: Option<Money>;
        /// Price of a gigabyte that it carries.
        per_gb: Option<Money>;
        /// Price of a million requests that it serves.
        per_million: Option<Money>;
        /// Where the price is stated.
        source: Option<String>;
    }
}
spec! {
    /// A further cost, for what is not simulated.
    table Expense {
        /// Price a month.
        monthly: Money;
        /// What it is for.
        what: String;
    }
}
