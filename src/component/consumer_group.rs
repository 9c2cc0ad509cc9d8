//! The members of a group of Kafka and their rebalances, as the broker's coordinator has them for the
//! eager protocol (Apache Kafka 3.9 `GroupMetadata`, `prepareRebalance`, `onCompleteJoin`).
//!
//! A rebalance begins when a member joins or is gone. It is complete when every member has joined
//! again, or when it has waited long enough: who has not joined by then is out. The leader then deals
//! the partitions out in turn (kafkajs 2.2.4 `roundRobinAssigner`).

/// A member as the coordinator knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// It is not of the group.
    Out,
    /// It is, and has not yet joined the rebalance under way.
    In,
    /// It has joined it, and waits for the others.
    Joined,
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    members: Vec<Standing>,
    rebalancing: bool,
    round: u32,
}

impl Group {
    /// So many members are in, of so many that there can be, and nothing is under way.
    pub fn settled(members: u32, most: u32) -> Group {
        let standing = |member| if member < members { Standing::In } else { Standing::Out };
        Group { members: (0..most).map(standing).collect(), rebalancing: false, round: 0 }
    }
    /// Whether a rebalance is under way.
    pub fn is_rebalancing(&self) -> bool {
        self.rebalancing
    }
    /// Which rebalance it is, the last or the one under way.
    pub fn round(&self) -> u32 {
        self.round
    }
    /// Whether a member is of the group.
    pub fn has(&self, member: u32) -> bool {
        self.members[member as usize] != Standing::Out
    }
    /// Whether a member has joined the rebalance under way, and so consumes nothing.
    pub fn has_joined(&self, member: u32) -> bool {
        self.members[member as usize] == Standing::Joined
    }
    /// A member is gone. True: a rebalance begins with that.
    pub fn leave(&mut self, member: u32) -> bool {
        self.members[member as usize] = Standing::Out;
        self.begin()
    }
    /// Somebody new asks to join. True: a rebalance begins with that.
    pub fn ask(&mut self, member: u32) -> bool {
        let begins = self.begin();
        self.members[member as usize] = Standing::Joined;
        begins
    }
    /// A rebalance begins, unless one is under way.
    pub fn begin(&mut self) -> bool {
        if self.rebalancing {
            return false;
        }
        (self.rebalancing, self.round) = (true, self.round + 1);
        true
    }
    /// A member joins the rebalance under way.
    pub fn join(&mut self, member: u32) {
        self.members[member as usize] = Standing::Joined;
    }
    /// The coordinator has waited long enough: who has not joined is out.
    pub fn give_up(&mut self) -> Vec<u32> {
        let late = |member: &u32| self.members[*member as usize] == Standing::In;
        let out: Vec<u32> = (0..self.members.len() as u32).filter(late).collect();
        out.iter().for_each(|member| self.members[*member as usize] = Standing::Out);
        out
    }
    /// Ends the rebalance under way if everybody has joined; says who gets which of so many
    /// partitions.
    pub fn complete(&mut self, partitions: u32) -> Option<Vec<Option<u32>>> {
        Some(dealt(&self.ends()?, partitions))
    }
    /// Ends the rebalance under way if everybody has joined; says who has.
    pub fn ends(&mut self) -> Option<Vec<u32>> {
        if !self.rebalancing || self.members.contains(&Standing::In) {
            return None;
        }
        let all = 0..self.members.len() as u32;
        let joined: Vec<u32> = all.filter(|member| self.has_joined(*member)).collect();
        self.rebalancing = false;
        for member in &joined {
            self.members[*member as usize] = Standing::In;
        }
        Some(joined)
    }
}

/// Partitions dealt out in turn; beyond as many members as partitions, members get none.
pub fn dealt(members: &[u32], partitions: u32) -> Vec<Option<u32>> {
    let of =
        |partition: u32| (!members.is_empty()).then(|| members[partition as usize % members.len()]);
    (0..partitions).map(of).collect()
}

/// Who has which partition when as few move as can and all have as many, or one more (Apache Kafka 3.9
/// `AbstractStickyAssignor`, `ConstrainedAssignmentBuilder`): each keeps what it has up to the larger number, as
/// many as there are of those, the others up to the smaller; the rest goes to those who have least.
pub fn sticky(owners: &[Option<u32>], members: &[u32]) -> Vec<Option<u32>> {
    if members.is_empty() {
        return vec![None; owners.len()];
    }
    let fewest = owners.len() / members.len();
    let mut larger = owners.len() % members.len();
    let mut kept: Vec<usize> = Vec::new();
    let mut after = vec![None; owners.len()];
    for member in members {
        let its = (0..owners.len()).filter(|place| owners[*place] == Some(*member));
        let its: Vec<usize> = its.collect();
        let more = larger > 0 && its.len() > fewest;
        larger -= usize::from(more);
        let keeps = its.len().min(fewest + usize::from(more));
        its[..keeps].iter().for_each(|place| after[*place] = Some(*member));
        kept.push(keeps);
    }
    for place in after.iter_mut().filter(|place| place.is_none()) {
        let least = (0..members.len()).min_by_key(|who| kept[*who]).expect("there are members");
        kept[least] += 1;
        *place = Some(members[least]);
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebalance_waits_for_the_slowest_member() {
        let mut group = Group::settled(3, 3);
        assert!(group.leave(1), "a member is gone");
        group.join(0);
        assert_eq!(group.complete(4), None, "member 2 works at its message still");
        assert!(group.has_joined(0) && !group.has_joined(2));
        group.join(2);
        assert_eq!(group.complete(4), Some(vec![Some(0), Some(2), Some(0), Some(2)]));
        assert!(!group.is_rebalancing() && group.complete(4).is_none());
    }

    #[test]
    fn who_comes_too_late_is_out_and_may_ask_again() {
        let mut group = Group::settled(2, 2);
        assert!(group.begin() && !group.begin());
        group.join(0);
        assert_eq!(group.give_up(), [1]);
        assert_eq!(group.complete(2), Some(vec![Some(0), Some(0)]));
        assert!(group.ask(1), "its coming begins the next");
        group.join(0);
        assert_eq!(group.complete(2), Some(vec![Some(0), Some(1)]));
        assert_eq!(group.round(), 2);
    }

    #[test]
    fn who_is_sticky_keeps_what_it_may() {
        let of = |owners: &[u32]| owners.iter().map(|it| Some(*it)).collect::<Vec<_>>();
        // A third comes: of eight, three, three and two.
        assert_eq!(
            sticky(&of(&[0, 1, 0, 1, 0, 1, 0, 1]), &[0, 1, 2]),
            of(&[0, 1, 0, 1, 0, 1, 2, 2])
        );
        // One has gone: what it had goes to who has least.
        let left = [Some(0), None, Some(2), Some(0), None, Some(2)];
        assert_eq!(sticky(&left, &[0, 2]), of(&[0, 0, 2, 0, 2, 2]));
        assert_eq!(sticky(&of(&[0, 1]), &[0, 1, 2]), of(&[0, 1]), "nothing is left for the third");
        assert_eq!(sticky(&[None], &[]), [None]);
    }

    #[test]
    fn more_members_than_partitions_are_idle() {
        assert_eq!(dealt(&[4, 7, 9], 2), [Some(4), Some(7)]);
        assert_eq!(dealt(&[], 2), [None, None]);
    }
}
