//! Plans of managed databases: how many connections each accepts.

use super::spec::spec;
use crate::units::Bytes;

spec! {
    /// A plan of a managed database. It says how many connections the server accepts, and how many of
    /// them are kept back.
    choice Plan {
        /// Amazon RDS for PostgreSQL and Aurora, by the memory of the instance class:
        /// LEAST(DBInstanceClassMemory / 9531392, 5000), of which 3 are kept back (RDS user guide,
        /// quotas). What the operating system takes is not in DBInstanceClassMemory: 4 GiB give
        /// somewhat less than 450.
        Rds(Bytes) = "rds";
        /// Neon, by the compute units of 4 GB each: 419 for one, 4,000 at most, of which 7 are kept
        /// back (neon.com docs, connection pooling, 2026-01).
        Neon(f64) = "neon";
        /// Supabase, by the compute size (supabase.com docs, compute and disk).
        Supabase(SupabasePlan) = "supabase";
        /// Heroku Postgres (devcenter.heroku.com, choosing the right Heroku Postgres plan, 2024-09, as
        /// others cite it).
        Heroku(HerokuPlan) = "heroku";
        /// DigitalOcean, by memory: 25 for each GiB, of which 3 are kept back (docs.digitalocean.com,
        /// managing connection pools); 1,000 at most (assumed).
        Digitalocean(Bytes) = "digitalocean";
        /// Google Cloud SQL, by memory: the default of the flag `max_connections`, from 25 to 1,000
        /// (cloud.google.com, Cloud SQL for PostgreSQL, database flags).
        CloudSql(Bytes) = "cloud-sql";
    }
}
spec! {
    /// A compute size of Supabase; behind it the clients of its pooler, and the operations a second of its
    /// volume that it grants for ever. For up to 30 minutes the smaller ones get more (`storage.burst`).
    choice SupabasePlan {
        /// 60 connections; 200 clients of the pooler; 250 operations a second.
        Nano = "nano";
        /// 60; 200; 500.
        Micro = "micro";
        /// 90; 400; 1,000.
        Small = "small";
        /// 120; 600; 2,000.
        Medium = "medium";
        /// 160; 800; 3,600.
        Large = "large";
        /// 240; 1,000; 6,000.
        Xl = "xl";
        /// 380; 1,500; 12,000.
        Xl2 = "2xl";
        /// 480; 3,000; 20,000.
        Xl4 = "4xl";
        /// 490; 6,000; 40,000.
        Xl8 = "8xl";
        /// 500; 9,000; 50,000.
        Xl12 = "12xl";
        /// 500; 12,000; 80,000.
        Xl16 = "16xl";
    }
}
spec! {
    /// A plan of Heroku Postgres; those of the premium, private and shield tiers are as those of the
    /// standard tier with the same number.
    choice HerokuPlan {
        /// 20 connections.
        Essential0 = "essential-0";
        /// 20.
        Essential1 = "essential-1";
        /// 40.
        Essential2 = "essential-2";
        /// 120.
        Standard0 = "standard-0";
        /// 400.
        Standard2 = "standard-2";
        /// 500 (assumed), as all that are larger.
        Standard3 = "standard-3";
    }
}

/// What DBInstanceClassMemory is divided by, which Neon does too.
const BYTES_EACH: f64 = 9_531_392.0;
const GIB: f64 = 1_073_741_824.0;

impl Plan {
    /// Connections that its server accepts, those kept back included.
    pub fn connections(&self) -> u32 {
        let by = |bytes: f64, most: f64| (bytes / BYTES_EACH).min(most) as u32;
        match self {
            Plan::Rds(memory) => by(memory.0, 5_000.0),
            Plan::Neon(units) => by(units * 4e9, 4_000.0),
            Plan::Supabase(size) => size.limits().0,
            Plan::Heroku(plan) => plan.connections(),
            Plan::Digitalocean(memory) => (25.0 * (memory.0 / GIB)).min(1_000.0) as u32,
            Plan::CloudSql(memory) => cloud_sql(memory.0 / GIB),
        }
    }
    /// Connections that are kept back.
    pub fn reserved(&self) -> u32 {
        match self {
            Plan::Neon(_) => 7,
            Plan::Heroku(_) => 0,
            _ => 3,
        }
    }
    /// Clients that the pooler which comes with it accepts, where that depends on the plan.
    pub fn pooler_clients(&self) -> Option<u32> {
        match self {
            Plan::Supabase(size) => Some(size.limits().1),
            _ => None,
        }
    }
    /// Operations a second, and bits a second, that its volume grants at most, where that depends on the plan.
    pub fn volume(&self) -> Option<(f64, f64)> {
        match self {
            Plan::Supabase(size) => Some(size.volume()),
            _ => None,
        }
    }
    /// Whether its customers cannot raise the limit.
    pub fn is_fixed(&self) -> bool {
        matches!(self, Plan::Neon(_) | Plan::Heroku(_) | Plan::Digitalocean(_))
    }
}

impl SupabasePlan {
    /// Connections of the server, and clients of the pooler.
    fn limits(&self) -> (u32, u32) {
        match self {
            SupabasePlan::Nano | SupabasePlan::Micro => (60, 200),
            SupabasePlan::Small => (90, 400),
            SupabasePlan::Medium => (120, 600),
            SupabasePlan::Large => (160, 800),
            SupabasePlan::Xl => (240, 1_000),
            SupabasePlan::Xl2 => (380, 1_500),
            SupabasePlan::Xl4 => (480, 3_000),
            SupabasePlan::Xl8 => (490, 6_000),
            SupabasePlan::Xl12 => (500, 9_000),
            SupabasePlan::Xl16 => (500, 12_000),
        }
    }
}

impl SupabasePlan {
    /// What its compute size grants of its volume for ever: operations, and bits, a second.
    fn volume(&self) -> (f64, f64) {
        let (iops, megabytes) = match self {
            SupabasePlan::Nano => (250.0, 5.0),
            SupabasePlan::Micro => (500.0, 11.0),
            SupabasePlan::Small => (1_000.0, 22.0),
            SupabasePlan::Medium => (2_000.0, 43.0),
            SupabasePlan::Large => (3_600.0, 79.0),
            SupabasePlan::Xl => (6_000.0, 149.0),
            SupabasePlan::Xl2 => (12_000.0, 297.0),
            SupabasePlan::Xl4 => (20_000.0, 594.0),
            SupabasePlan::Xl8 => (40_000.0, 1_188.0),
            SupabasePlan::Xl12 => (50_000.0, 1_781.0),
            SupabasePlan::Xl16 => (80_000.0, 2_375.0),
        };
        (iops, megabytes * 8e6)
    }
}

impl HerokuPlan {
    fn connections(&self) -> u32 {
        match self {
            HerokuPlan::Essential0 | HerokuPlan::Essential1 => 20,
            HerokuPlan::Essential2 => 40,
            HerokuPlan::Standard0 => 120,
            HerokuPlan::Standard2 => 400,
            HerokuPlan::Standard3 => 500,
        }
    }
}

/// By memory (GiB), from the table of the flag's defaults.
fn cloud_sql(gib: f64) -> u32 {
    let steps = [
        (120.0, 1_000),
        (60.0, 800),
        (30.0, 600),
        (15.0, 500),
        (7.5, 400),
        (6.0, 200),
        (3.75, 100),
        (1.7, 50),
    ];
    steps.iter().find(|(least, _)| gib >= *least).map_or(25, |(_, connections)| *connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_accept_what_their_vendors_say() {
        let neon = |units: f64| Plan::Neon(units).connections();
        let stated = [104, 209, 419, 839, 1_258, 1_678, 2_098, 2_517, 2_937, 3_357, 4_000];
        let units = [0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 56.0];
        assert_eq!(units.map(neon), stated);
        let rds = |gib: f64| Plan::Rds(Bytes(gib * GIB)).connections();
        assert_eq!([4.0, 8.0, 16.0, 32.0, 64.0].map(rds), [450, 901, 1_802, 3_604, 5_000]);
        let ocean = |gib: f64| {
            let plan = Plan::Digitalocean(Bytes(gib * GIB));
            plan.connections() - plan.reserved()
        };
        assert_eq!([1.0, 2.0, 4.0, 64.0].map(ocean), [22, 47, 97, 997]);
        let google = |gib: f64| Plan::CloudSql(Bytes(gib * GIB)).connections();
        let sizes = [0.6, 1.7, 3.75, 6.5, 7.5, 15.0, 52.0, 104.0, 208.0];
        assert_eq!(sizes.map(google), [25, 50, 100, 200, 400, 500, 600, 800, 1_000]);
    }
}
