//! How often operations are done: their shares, by the region that users live in, and what follows what.

use super::super::ids::OperationId;
use super::super::{Model, SessionFlow};
use super::find;
use crate::topology::{self, Named, Topology};
use crate::variate::AliasTable;

/// Users who do alike: what share of all users they are, and the shares of what they do.
struct Group {
    users: f64,
    shares: Vec<f64>,
}

/// One group, or one for each region where some operation is not everybody's.
fn groups(topology: &Topology, homes: &[f64]) -> Vec<Group> {
    let operations = &topology.operations;
    let of = |does: &dyn Fn(&Named<topology::Operation>) -> bool| {
        let share = |it| if does(it) { it.spec.share } else { 0.0 };
        let total: f64 = operations.iter().map(share).sum();
        operations.iter().map(|it| share(it) / if total > 0.0 { total } else { 1.0 }).collect()
    };
    if operations.iter().all(|operation| operation.spec.users_in.is_empty()) {
        return vec![Group { users: 1.0, shares: of(&|_| true) }];
    }
    let group = |(home, users): (usize, &f64)| {
        let name = &topology.regions[home].name;
        let shares = of(&|operation| does(operation, name));
        Group { users: *users, shares }
    };
    homes.iter().enumerate().map(group).collect()
}

/// Whether users of a region do an operation.
fn does(operation: &Named<topology::Operation>, region: &str) -> bool {
    let users_in = &operation.spec.users_in;
    users_in.is_empty() || users_in.iter().any(|it| it.name == *region)
}

/// What is done by the shares alone: by all users, and tables to draw it from by region, or one for all.
pub(super) fn by_shares(topology: &Topology, homes: &[f64]) -> (Vec<f64>, Vec<AliasTable>) {
    let groups = groups(topology, homes);
    let table = |group: &Group| match group.users > 0.0 {
        true => AliasTable::new(&group.shares),
        false => AliasTable::new(&[1.0]), // nobody lives there
    };
    let tables = groups.iter().map(table).collect();
    (in_all(&groups, |group| group.shares.clone()), tables)
}

/// A figure of each operation for all users, from that of every group.
fn in_all(groups: &[Group], of: impl Fn(&Group) -> Vec<f64>) -> Vec<f64> {
    let mut sums = vec![0.0; groups[0].shares.len()];
    for group in groups.iter().filter(|group| group.users > 0.0) {
        for (sum, figure) in sums.iter_mut().zip(of(group)) {
            *sum += group.users * figure;
        }
    }
    sums
}

/// What follows each operation in a session or for a user of a population; and, for analysis, how
/// often each is done in all, and by whom.
pub(super) fn follow_on(topology: &Topology, model: &mut Model) {
    let groups = groups(topology, &model.home_shares);
    let visits: Vec<Vec<f64>> = match (&topology.users, model.arrivals.session) {
        (Some(_), _) => {
            note_next(topology, model);
            groups.iter().map(|group| visits_of_user(model, &group.shares)).collect()
        }
        (None, Some(session)) => {
            note_next(topology, model);
            let visits = groups.iter().map(|it| visits_of_session(model, &it.shares, session));
            visits.collect()
        }
        (None, None) => groups.iter().map(|group| group.shares.clone()).collect(),
    };
    let in_all: Vec<f64> = (0..model.operations.len())
        .map(|place| {
            let done = groups.iter().zip(&visits).filter(|(group, _)| group.users > 0.0);
            done.map(|(group, visits)| group.users * visits[place]).sum()
        })
        .collect();
    let pages: f64 = in_all.iter().sum();
    if let Some(session) = &mut model.arrivals.session
        && topology.users.is_none()
    {
        session.mean_pages = pages;
    }
    let sessions = topology.users.is_none() && model.arrivals.session.is_some();
    let chained = model.operations.iter().any(|operation| !operation.next.is_empty());
    for (place, operation) in model.operations.iter_mut().enumerate() {
        let all = in_all[place];
        if sessions || chained {
            operation.share = if sessions { all / pages } else { all };
        }
        if groups.len() > 1 && all > 0.0 {
            let of_group = |(group, visits): (&Group, &Vec<f64>)| group.users * visits[place] / all;
            operation.homes = groups.iter().zip(&visits).map(of_group).collect();
        }
    }
}

fn note_next(topology: &Topology, model: &mut Model) {
    for (id, operation) in topology.operations.iter().enumerate() {
        let mut until = 0.0;
        let next = operation.spec.next.iter().map(|next| {
            until += next.share.0;
            (until, find(&topology.operations, &next.to.name))
        });
        model.operations[OperationId(id as u32)].next = next.collect();
    }
}

/// How often users of a population do each operation in the long run: the stationary law of the chain
/// in which whoever leaves, or does not say what follows, goes on by the shares.
fn visits_of_user(model: &Model, first: &[f64]) -> Vec<f64> {
    if model.operations.iter().all(|operation| operation.next.is_empty()) {
        return first.to_vec();
    }
    // A lazy chain has the same law, and does not swing between the parts of a cycle.
    iterate(first, |visits| {
        let mut again: Vec<f64> = visits.iter().map(|there| there / 2.0).collect();
        for (id, operation) in model.operations.enumerate() {
            let there = visits[id.0 as usize] / 2.0;
            let mut before = 0.0;
            for (until, to) in &operation.next {
                again[to.0 as usize] += there * (until - before);
                before = *until;
            }
            let rest = there * (1.0 - before);
            again.iter_mut().zip(first).for_each(|(sum, share)| *sum += rest * share);
        }
        again
    })
}

/// How often each operation is done in a session: v = first + v P, where who does not say what follows
/// goes on by the shares.
fn visits_of_session(model: &Model, first: &[f64], session: SessionFlow) -> Vec<f64> {
    iterate(first, |visits| {
        let mut again = first.to_vec();
        for (id, operation) in model.operations.enumerate() {
            let there = visits[id.0 as usize];
            if operation.next.is_empty() {
                let goes_on = there * (1.0 - 1.0 / session.pages);
                again.iter_mut().zip(first).for_each(|(sum, share)| *sum += goes_on * share);
            }
            let mut before = 0.0;
            for (until, to) in &operation.next {
                again[to.0 as usize] += there * (until - before);
                before = *until;
            }
        }
        again
    })
}

/// Repeats a step until nothing moves.
fn iterate(first: &[f64], step: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut visits = first.to_vec();
    for _ in 0..10_000 {
        let again = step(&visits);
        let moved: f64 = again.iter().zip(&visits).map(|(new, old)| (new - old).abs()).sum();
        visits = again;
        if moved < 1e-12 {
            break;
        }
    }
    visits
}
