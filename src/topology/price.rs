//! What things cost.

use super::names::{Address, Scope, Section};
use super::spec::spec;
use crate::units::{Bytes, Money, Rate, Ratio};

spec! {
    /// A fixed price.
    table Price (short "monthly") {
        /// Price of one unit a month, on demand.
        monthly: Money;
        /// Price of one unit a month that is committed to, whether or not it runs.
        reserved: Option<Money>;
        /// How many units are committed to; those beyond are paid on demand.
        committed: u32 = "0" from "assumed: everything is on demand";
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
    /// A price by the month, by data, by requests and by capacity units; what is not said is free.
    table BalancerPrice (short "monthly") {
        /// Price of it a month, whatever its use.
        monthly: Option<Money>;
        /// Price of a gigabyte that it carries.
        per_gb: Option<Money>;
        /// Price of a million requests that it serves.
        per_million: Option<Money>;
        /// Price of an hour of a capacity unit (LCU, NLCU): of each hour the most of 25 new connections a
        /// second, 3,000 open ones, 1 GB (to functions 0.4 GB), and 1,000 rules a second that requests are
        /// compared with; of an NLB the most of 800, 100,000 and 1 GB.
        per_lcu_hour: Option<Money>;
        /// Whether an NLB ends TLS: a capacity unit is then 50 new connections a second and 3,000 open ones.
        tls: bool = "false" from "AWS Elastic Load Balancing pricing (a TCP listener)";
        /// Rules that a request is compared with; ten are free.
        rules: u32 = "10" from "AWS Elastic Load Balancing pricing (the first 10 processed rules are free)";
        /// Where the price is stated.
        source: Option<String>;
    }
}
spec! {
    /// What an object store costs; what is not said is free.
    table StorePrice (short "monthly") {
        /// Price of what it keeps, a month.
        monthly: Option<Money>;
        /// Price of a gigabyte that is read.
        per_gb_out: Option<Money>;
        /// Price of a gigabyte that it keeps for a month: what is `stored`, what is put there (`stored_bytes`) and the
        /// parts of uploads that were never completed (`left_bytes`). These are kept as long as `expires_after` and
        /// `abort_incomplete` say, and without them, half a month of the first.
        per_gb_month: Option<Money>;
        /// Price of a million requests that write.
        per_million_puts: Option<Money>;
        /// Price of a million requests that read.
        per_million_gets: Option<Money>;
        /// Where the price is stated.
        source: Option<String>;
    }
}
spec! {
    /// What a pooler costs; what is not said is free.
    table PoolerPrice (short "monthly") {
        /// Price of it a month, whatever its use.
        monthly: Option<Money>;
        /// Price of an hour of a core of each server behind it, replicas included, two cores at least for each (Amazon
        /// RDS Proxy pricing: $0.015 in us-east-1; behind Aurora Serverless v2 by the ACU, eight at least).
        per_vcpu_hour: Option<Money>;
        /// Where the price is stated.
        source: Option<String>;
    }
}
spec! {
    /// What a service that holds WebSockets costs; what is not said is free.
    table SocketPrice (short "monthly") {
        /// Price of it a month, whatever its use.
        monthly: Option<Money>;
        /// Price of a million messages, from clients and to each member of a room.
        per_million_messages: Option<Money>;
        /// A message counts once for each of these that it has begun.
        unit: Bytes = "\"32KiB\"" from "Amazon API Gateway pricing (WebSocket APIs: metered in 32 KB increments)", positive;
        /// Price of a million minutes of connections.
        per_million_minutes: Option<Money>;
        /// Where the price is stated.
        source: Option<String>;
    }
}
spec! {
    /// What a volume costs; each server has one.
    table VolumePrice (short "per_gb_month") {
        /// Price of a gigabyte (GiB) of it for a month.
        per_gb_month: Money;
        /// Its size.
        size: Bytes = "\"20GiB\"" from "Amazon RDS API (CreateDBInstance, AllocatedStorage: 20 GiB of gp3 at least)", positive;
        /// Price of an operation a second for a month, of those that it grants beyond `included`.
        per_iops_month: Option<Money>;
        /// Operations a second that cost nothing.
        included: Option<Rate> = "3_000/s; of an RDS `plan` from 400 GiB on 12_000/s"
            from "AWS EBS pricing (gp3: 3,000 are included); Amazon RDS user guide (gp3 storage: four volumes from 400 GiB on)";
        /// Where the price is stated.
        source: Option<String>;
    }
}

/// Whose traffic a further cost may be charged by.
#[derive(Clone, Debug, PartialEq)]
pub struct Metered;
impl Scope for Metered {
    const SECTIONS: &'static [Section] = &[Section::Service, Section::Link, Section::Cdn];
}
spec! {
    /// A further cost: what is not simulated, or what traffic costs besides (NAT gateways, traffic
    /// between zones).
    table Expense {
        /// Price a month, whatever the use.
        monthly: Option<Money>;
        /// What it is for.
        what: String;
        /// Price of a gigabyte of answers.
        per_gb: Option<Money>;
        /// Price of a million requests.
        per_million: Option<Money>;
        /// Whose traffic it is charged by.
        of: Option<Address<Metered>> = "all services together, and what users ask"
            from "assumed: all traffic";
        /// The share of that traffic that is charged: two thirds of what is spread over three zones goes
        /// to another one.
        share: Ratio = "\"100%\"" from "assumed: all of it", positive;
    }
}
