//! What zones of a region add to the ways between those that stand in them.

use super::Walk;
use crate::model::ids::{NO_TIME, RegionId, ServiceId};

impl Walk<'_> {
    /// Mean round trip between the instances of a service and what stands in the same region, there in
    /// each of these zones as often as it is named.
    pub(super) fn to_zones(
        &self,
        from: ServiceId,
        there: RegionId,
        zones: impl Iterator<Item = u32> + Clone,
    ) -> f64 {
        let service = &self.model.services[from];
        match service.region == there {
            true => self.crossing(there, 0..service.instances, zones),
            false => 0.0,
        }
    }

    /// Mean round trip between what stands in zones and what stands in others, each with each.
    pub(super) fn crossing(
        &self,
        region: RegionId,
        near: impl Iterator<Item = u32>,
        far: impl Iterator<Item = u32> + Clone,
    ) -> f64 {
        let spec = &self.model.regions[region];
        if spec.between == NO_TIME {
            return 0.0;
        }
        let (mut pairs, mut apart) = (0.0_f64, 0.0);
        for one in near {
            for other in far.clone() {
                pairs += 1.0;
                apart += f64::from(u8::from(one % spec.zones != other % spec.zones));
            }
        }
        self.mean(spec.between) * apart / pairs.max(1.0)
    }

    /// What zones add to a visit of a service, there and back: to the nodes of its balancer, for one who
    /// calls, and from there to its instances.
    pub(super) fn zones_to(&self, from: Option<ServiceId>, to: ServiceId) -> f64 {
        let spec = &self.model.services[to];
        if !spec.zoned {
            return 0.0;
        }
        let caller =
            |zones: u32| from.map_or(0.0, |from| self.to_zones(from, spec.region, 0..zones));
        match spec.balancer_station {
            None => caller(spec.instances),
            Some(_) if spec.health.zonal => caller(spec.nodes),
            Some(_) => {
                caller(spec.nodes) + self.crossing(spec.region, 0..spec.nodes, 0..spec.instances)
            }
        }
    }
}
