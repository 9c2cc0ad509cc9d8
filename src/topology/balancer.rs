//! Load balancers and how they choose.

use super::dist::Dist;
use super::names::Ref;
use super::price::UsagePrice;
use super::service::Service;
use super::spec::spec;

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
