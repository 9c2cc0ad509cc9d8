//! The process that poolers are pools of: one core, its clients, and all its connections to a server.
//!
//! PgBouncer is single-threaded (git 13a344f, `main.c`): statements and answers of all its pools pass
//! one core one after another. At `max_db_connections` it closes for somebody who waits what has been
//! idle for longest in any of its pools (`objects.c`, `launch_new_connection`, `evict_connection`), and
//! as its loop looks at all pools in every turn, a pool that waits learns at once of such a connection.

use std::collections::VecDeque;

use crate::kernel::PendingEvents;
use crate::model::UnitKind;
use crate::model::ids::PoolerId;
use crate::run::event::Kind;
use crate::run::meter::{MILLI, Part};
use crate::run::task::flag;
use crate::run::world::World;
use crate::units::{Duration, Time};

/// A process of poolers while it runs; those that have none of their own leave theirs unused.
#[derive(Default)]
pub struct Process {
    /// Clients connected, over all servers and pools.
    pub(super) clients: u32,
    /// How long its core works at what it is at.
    work: Duration,
    /// What its core is at work on, and what waits for it, with the time of its coming.
    queue: VecDeque<(Piece, Time)>,
}

/// A piece of work of a pooler's core.
#[derive(Clone, Copy)]
enum Piece {
    /// A statement, or its answer.
    Passes { task: u32 },
    /// A client logs in: a connection of a pool.
    LogsIn { sub: u32, number: u32 },
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A statement reaches a pooler on its way to the server, or its answer on its way back.
    pub fn at_pooler(&mut self, task: u32) {
        let record = &self.tasks[task];
        if !record.has(flag::GHOST) {
            let kind = self.poolers[self.pooler_of(task) as usize].kind;
            if self.model.poolers[kind].core.is_some() {
                return self.on_core(self.model.poolers[kind].process, Piece::Passes { task });
            }
        }
        self.in_pooler(task);
    }

    /// What a client that logs in takes of a pooler's core.
    pub(super) fn login_takes(&self, number: u32) -> Duration {
        self.model.poolers[self.poolers[number as usize].kind].login
    }

    /// A client's connection has come to its pooler, whose core is to log it in.
    pub fn log_in(&mut self, sub: u32, number: u32) {
        let behind = self.pools[sub as usize].behind.as_ref().expect("it goes through one");
        let kind = self.poolers[behind.pooler as usize].kind;
        self.on_core(self.model.poolers[kind].process, Piece::LogsIn { sub, number });
    }

    /// A piece of work comes to the core of a process.
    fn on_core(&mut self, process: PoolerId, piece: Piece) {
        let state = &mut self.processes[process];
        state.queue.push_back((piece, self.now));
        if state.queue.len() == 1 {
            let (_, station) = self.model.poolers[process].core.expect("it has work for it");
            self.meters[station].busy.add(self.now, MILLI);
            self.begin_piece(process);
        }
    }

    /// The core begins what stands first.
    fn begin_piece(&mut self, process: PoolerId) {
        let spec = &self.model.poolers[process];
        let alone = match self.processes[process].queue.front() {
            Some((Piece::LogsIn { .. }, _)) => spec.login,
            _ => spec.core.expect("it has work for it").0,
        };
        let work = self.condition(UnitKind::Pooler, process.0).stretch(alone);
        self.processes[process].work = work;
        self.at(self.now + work, Kind::PoolerDone, process.0);
    }

    /// The core of a process is done with what it was at.
    pub fn pooler_done(&mut self, process: PoolerId) {
        let (_, station) = self.model.poolers[process].core.expect("it has been at work");
        let state = &mut self.processes[process];
        let cpu = state.work;
        let (piece, came) = state.queue.pop_front().expect("it has been at work on something");
        if state.queue.is_empty() {
            self.meters[station].busy.add(self.now, -MILLI);
        } else {
            self.begin_piece(process);
        }
        let waited = self.now.since(came) - cpu;
        self.meters[station].shared(waited);
        match piece {
            Piece::Passes { task } => {
                self.spend(task, station, Part::Wait, waited);
                self.spend(task, station, Part::Service, cpu);
                self.in_pooler(task);
            }
            Piece::LogsIn { sub, number } => self.connected(sub, number),
        }
    }

    /// The pools of a pooler's process to the same server.
    fn pools_beside(&self, number: u32) -> impl Iterator<Item = u32> + use<'_, Q> {
        let state = &self.poolers[number as usize];
        let (process, node) = (self.model.poolers[state.kind].process, state.node);
        (0..self.poolers.len() as u32).filter(move |other| {
            let other = &self.poolers[*other as usize];
            other.node == node && self.model.poolers[other.kind].process == process
        })
    }

    /// The pools of a pooler's user in its process, to whichever server.
    fn pools_of_user(&self, number: u32) -> impl Iterator<Item = u32> + use<'_, Q> {
        let user = |number: u32| self.model.poolers[self.poolers[number as usize].kind].user.0;
        let own = user(number);
        (0..self.poolers.len() as u32).filter(move |other| user(*other) == own)
    }

    /// Connections that the process may still open to a pooler's server, whoever's they are.
    fn room_at_server(&self, number: u32) -> u32 {
        let at_most = self.model.poolers[self.poolers[number as usize].kind].at_most;
        if at_most == u32::MAX {
            return at_most;
        }
        let open = self.pools_beside(number).map(|it| self.poolers[it as usize].pool.total());
        at_most.saturating_sub(open.sum())
    }

    /// Connections that it may still open to a pooler's server.
    pub(super) fn room(&self, number: u32) -> u32 {
        let of_user = self.model.poolers[self.poolers[number as usize].kind].user.1;
        if of_user == u32::MAX {
            return self.room_at_server(number);
        }
        let open = self.pools_of_user(number).map(|it| self.poolers[it as usize].pool.total());
        self.room_at_server(number).min(of_user.saturating_sub(open.sum()))
    }

    /// Whether a pooler may open a connection: another makes room for somebody who waits.
    pub(super) fn makes_room(&mut self, number: u32) -> bool {
        while self.room(number) == 0 {
            if self.poolers[number as usize].pool.waiting() == 0 {
                return false;
            }
            let idle_at = |it: u32| Some((self.poolers[it as usize].pool.oldest_idle()?, it));
            let oldest = match self.room_at_server(number) {
                0 => self.pools_beside(number).filter_map(idle_at).min(),
                _ => self.pools_of_user(number).filter_map(idle_at).min(),
            };
            let Some((_, other)) = oldest else { return false };
            self.poolers[other as usize].pool.evict().expect("it has an idle one");
            self.close_server(other);
        }
        true
    }

    /// Pools of the same process that wait look whether there is room for them now.
    pub(super) fn tend_beside(&mut self, number: u32) {
        let kind = self.poolers[number as usize].kind;
        let spec = &self.model.poolers[kind];
        if spec.at_most == u32::MAX && spec.user.1 == u32::MAX {
            return;
        }
        let waits = |it: &u32| *it != number && self.poolers[*it as usize].pool.waiting() > 0;
        let of_user = self.pools_of_user(number).filter(|_| spec.user.1 < u32::MAX);
        let mut others: Vec<u32> = self.pools_beside(number).chain(of_user).filter(waits).collect();
        others.sort_unstable();
        others.dedup();
        for other in others {
            self.tend_alone(other);
        }
    }
}
