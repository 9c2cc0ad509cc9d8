//! Ways between users and services.

use super::task::Task;
use super::world::World;
use crate::kernel::PendingEvents;
use crate::model::ids::RegionId;
use crate::units::Duration;

impl<Q: PendingEvents> World<'_, Q> {
    /// The region that a user lives in.
    pub fn home(&self, user: u32) -> RegionId {
        if self.model.regions.len() == 1 {
            return RegionId(0);
        }
        let stream = self.client.homes.numbered(u64::from(user));
        RegionId(self.model.homes.draw(&mut stream.draw(0)))
    }

    /// One way between a user and a service's region: half of the user's access round trip there,
    /// and of the route between the regions.
    pub fn way_to_user(&self, task: u32, region: RegionId) -> Duration {
        self.way_from_home(&self.tasks[task], region)
    }

    /// The same, for the record of a task.
    #[inline(always)]
    pub fn way_from_home(&self, record: &Task, region: RegionId) -> Duration {
        match self.ways[..] {
            [Some(way)] => way, // there is one region
            _ => self.way_between_regions(record, region),
        }
    }

    fn way_between_regions(&self, record: &Task, region: RegionId) -> Duration {
        let home = self.home(record.user);
        if let Some(way) = self.ways[home.0 as usize * self.model.regions.len() + region.0 as usize]
        {
            return way;
        }
        let access = self.model.draw_law(self.model.regions[home].access, record.stream, 0xacc);
        let route = self.model.draw_law(self.model.route(home, region), record.stream, 0x20e);
        (access + route).half()
    }
}
