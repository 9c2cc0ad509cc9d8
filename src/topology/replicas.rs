//! Replicas of databases in other regions, and which replicas a pool reads from.

use super::check::find;
use super::database::Database;
use super::dist::Dist;
use super::file::Topology;
use super::names::{Named, Ref, Section};
use super::pool::{Pool, Reads};
use super::region::Region;
use super::spec::spec;

spec! {
    /// Copies of each primary in another region: what is committed crosses to them, and they are as far behind as
    /// the way is long, at least.
    table Abroad {
        /// Where they stand.
        region: Ref<Region>;
        /// How many there are of each primary.
        replicas: u32 = "1" from "Amazon Aurora user guide (a global database: at least one server in each region that \
            serves)", positive;
        /// Time until a write has set out for them; half a round trip of the way there comes to it.
        lag: Option<Dist> = "the `lag` of the database" from "assumed: asynchronous streaming";
    }
}

impl Database {
    /// Copies of each primary that serve reads, wherever they stand.
    pub fn all_replicas(&self) -> u32 {
        self.replicas + self.abroad.iter().map(|there| there.replicas).sum::<u32>()
    }
    /// Which of the places abroad a replica of a shard is at, counted from 1; [`None`] for those beside their
    /// primary.
    pub(crate) fn abroad_of(&self, replica: u32) -> Option<&Abroad> {
        let mut before = self.replicas;
        self.abroad.iter().find(|there| {
            before += there.replicas;
            replica > before - there.replicas && replica <= before
        })
    }
}

impl Topology {
    /// Where a replica of a shard stands, counted from 1; 0 is the primary.
    pub(crate) fn region_of_node(
        &self,
        database: &Named<Database>,
        replica: u32,
    ) -> Option<&Named<Region>> {
        match database.spec.abroad_of(replica) {
            Some(there) => self.regions.iter().find(|it| it.name == there.region.name),
            None => self.place_of(Section::Database, &database.name),
        }
    }

    /// The replicas of each shard that a pool reads from, counted from 1.
    pub(crate) fn reads_from(&self, pool: &Pool) -> Vec<u32> {
        let database = find(&self.databases, &pool.database.name);
        let all = 1..=database.spec.all_replicas();
        match pool.reads {
            Reads::Primary => Vec::new(),
            Reads::Replicas => all.collect(),
            Reads::Nearest => {
                let here = self.place_of(Section::Service, &pool.service.name);
                let way = |replica: u32| {
                    let (Some(here), Some(there)) = (here, self.region_of_node(database, replica))
                    else {
                        return 0.0;
                    };
                    if here.name == there.name {
                        return 0.0;
                    }
                    let route = self.routes.between(&here.name, &there.name);
                    route.map_or(f64::INFINITY, |route| route.rtt.law.mean())
                };
                // A replica that is as near as the primary spares it.
                let nearest = all.clone().map(way).fold(way(0), f64::min);
                all.filter(|replica| way(*replica) <= nearest).collect()
            }
        }
    }
}
