//! Functions: services whose instances are started for requests, one for each that finds none idle.

use super::dist::Dist;
use super::file::Topology;
use super::names::Named;
use super::region::Region;
use super::service::{ScheduledScaling, Service};
use super::spec::spec;
use crate::units::{Bytes, Duration, Money, Ratio};

/// Executions that AWS Lambda lets run at once in an account and region, unless it was asked for more.
pub const ACCOUNT: u32 = 1_000;
/// Of these, so many stay with the functions that have reserved none.
pub const UNRESERVABLE: u32 = 100;

spec! {
    /// A function of AWS Lambda: an execution environment takes one request at a time. A request goes to
    /// the idle environment that was used last; if there is none, one is started for it, and it waits.
    /// Between requests an environment is frozen: its connections stay open, and its timers stand still.
    table Function {
        /// Memory of an environment; it has a core for each 1,769 MiB.
        memory: Bytes = "\"128MiB\"" from "AWS Lambda (MemorySize 128; one vCPU at 1,769 MB)", positive;
        /// How long it takes to start one.
        init: Dist = "\"300ms\""
            from "assumed: Node.js with a small bundle; from 100 ms to several seconds";
        /// An execution is ended after this time, and its environment with it.
        timeout: Duration = "\"3s\"" from "AWS Lambda (Timeout 3)", positive;
        /// An environment that has been idle for so long is gone.
        idle: Duration = "\"6min\""
            from "mikhail.io/serverless/coldstarts/aws/intervals (5 to 7 min); AWS states none", positive;
        /// Executions that may run at once, which no other function can take; further requests are
        /// answered 429, and so are more than ten a second for each.
        reserved: Option<u32> = "it shares what the account has left"
            from "AWS Lambda (reserved concurrency unset)", positive;
        /// Environments that are kept ready, for ten requests a second each; others are started for more.
        provisioned: u32 = "0" from "AWS Lambda (provisioned concurrency unset)";
        /// How the number of those that are kept ready follows their use.
        autoscale: Option<ProvisionedScaling> = "it stays" from "AWS Lambda (no scalable target is registered)";
        /// Environments that may be started within 10 s; further requests that find none idle are
        /// answered 429.
        scaling: u32 = "1_000"
            from "AWS Lambda Developer Guide (Lambda scaling behavior: 1,000 environments every 10 s for each function, refilled continuously)", positive;
        /// What it costs.
        price: Option<FunctionPrice>;
    }
}
spec! {
    /// Target tracking of Application Auto Scaling for environments that are kept ready: three minutes in a row
    /// above the target make them more, fifteen below 90 % of it fewer. A minute in which no request comes
    /// is not known, and changes nothing.
    table ProvisionedScaling {
        /// The fewest.
        min: u32;
        /// The most.
        max: u32, positive;
        /// The share of them that is to be in use.
        target: Ratio = "\"70%\"" from "assumed: the value of AWS' examples", positive;
        /// Which value of a minute is compared.
        statistic: Statistic = "\"average\""
            from "AWS Application Auto Scaling (LambdaProvisionedConcurrencyUtilization)";
        /// Whether they become fewer at all.
        scale_in: bool = "true" from "AWS Application Auto Scaling (DisableScaleIn false)";
        /// Time after they became more during which no smaller addition is made.
        cooldown_out: Duration = "\"0s\"" from "AWS Application Auto Scaling (ScaleOutCooldown: 0 for Lambda provisioned concurrency)";
        /// Time after they became fewer during which they do not again.
        cooldown_in: Duration = "\"0s\"" from "AWS Application Auto Scaling (ScaleInCooldown: 0 for Lambda provisioned concurrency)";
        /// Time from the decision to the start of the first of those that are added.
        start: Duration = "\"60s\"" from "assumed: one minute of the one or two that AWS Lambda takes to prepare (Developer Guide, Understanding Lambda function scaling)";
        /// How many are started in a minute.
        pace: u32 = "6_000" from "AWS Lambda Developer Guide (Understanding Lambda function scaling: up to 6,000 environments every minute for each function)", positive;
        /// When the bounds change, whatever is in use.
        schedule: Vec<ScheduledScaling> = "[]" from "AWS Application Auto Scaling";
    }
}
spec! {
    /// Which value of a minute is compared with a target.
    choice Statistic {
        /// The mean over the minute.
        Average = "average";
        /// The greatest within the minute, as a metric of one's own may have it: short bursts are seen.
        Maximum = "maximum";
    }
}
spec! {
    /// What a function costs; what is not said is free.
    table FunctionPrice (short "gb_second") {
        /// Price of a second with a gigabyte of memory: an execution is charged by the started
        /// millisecond, the start of its environment included.
        gb_second: Option<Money>;
        /// Price of a million executions.
        per_million: Option<Money>;
        /// Price of a second with a gigabyte that is kept ready, whether or not it is used.
        provisioned_gb_second: Option<Money>;
        /// Where the price is stated.
        source: Option<String>;
    }
}

impl Function {
    /// Cores of an environment.
    pub fn cores(&self) -> f64 {
        (self.memory.0 / (1_769.0 * 1_048_576.0)).min(6.0)
    }
    /// Its memory, as it is charged (GB).
    pub fn gigabytes(&self) -> f64 {
        self.memory.0 / 1_073_741_824.0
    }
}

impl Topology {
    /// Executions at once that functions of a region may take which have reserved none, and that all
    /// may take together.
    pub(crate) fn account(&self, region: Option<&Named<Region>>) -> (u32, u32) {
        let all = region.map_or(ACCOUNT, |region| region.spec.functions);
        let here = |service: &&Named<Service>| match (&service.spec.region, region) {
            (Some(named), Some(region)) => named.name == region.name,
            _ => true,
        };
        let functions =
            self.services.iter().filter(here).filter_map(|it| it.spec.function.as_ref());
        let kept: u32 = functions.map(|it| it.reserved.unwrap_or(it.provisioned)).sum();
        (all.saturating_sub(kept), all)
    }

    /// The region that a service stands in, where the file has regions.
    pub(crate) fn region_of(&self, service: &Service) -> Option<&Named<Region>> {
        match &service.region {
            Some(named) => self.regions.iter().find(|region| region.name == named.name),
            None => self.regions.first(),
        }
    }

    /// The most environments that a function can have.
    pub(crate) fn environments(&self, service: &Service, function: &Function) -> u32 {
        let shared = || self.account(self.region_of(service)).0 + function.provisioned;
        function.reserved.unwrap_or_else(shared).max(1)
    }
}
