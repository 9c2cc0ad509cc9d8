//! Names that are looked up before connections are opened.
//!
//! `net.connect` asks `dns.lookup`, which waits in a thread of libuv's pool (Node.js 20, lib/net.js,
//! `lookupAndConnect`), so that connections wait for files and others' names, and these for them.

use super::opening::{Begun, Opening, number_of};
use crate::kernel::{Event, PendingEvents};
use crate::model::tape::Pc;
use crate::run::event::Kind;
use crate::run::task::{DIALLER, Task};
use crate::run::world::World;
use crate::units::{Duration, Time};

impl<Q: PendingEvents> World<'_, Q> {
    /// A connection begins to be opened, which takes so long once its server's name is known.
    pub(in crate::run) fn begin_opening(&mut self, sub: u32, begun: Begun, took: Duration) {
        let state = &mut self.pools[sub as usize];
        let kind = state.kind;
        state.connects += 1;
        state.opening.push(begun);
        let number = number_of(begun.connection);
        self.meters[self.model.pools[kind].station].held.add(self.now, 1);
        let lookup = self.model.pools[kind].lookup;
        self.time_patience(sub, begun, took, lookup.is_some());
        match lookup {
            Some(entry) => self.look_up_server(sub, number, took, entry),
            None => self.time_connected(sub, number, took),
        }
    }

    /// Its client may give up before that: what takes so long is known beforehand where nothing else,
    /// neither a lookup nor a core, has a say.
    fn time_patience(&mut self, sub: u32, begun: Begun, took: Duration, looked_up: bool) {
        let may_last = looked_up || begun.how == Opening::LogsIn || !begun.cpu.is_zero();
        if begun.patience < Time::NEVER && (may_last || self.now + took >= begun.patience) {
            let number = number_of(begun.connection);
            self.events.push(Event::new(begun.patience, Kind::Connected as u8, number, sub));
        }
    }

    fn time_connected(&mut self, sub: u32, number: u32, took: Duration) {
        self.events.push(Event::new(self.now + took, Kind::Connected as u8, number, sub));
    }

    /// The name of the server is looked up before a connection is opened.
    fn look_up_server(&mut self, sub: u32, number: u32, took: Duration, entry: Pc) {
        let count = self.pools[sub as usize].connects;
        let stream = self.sub_pool_stream(sub).named("lookup").numbered(count.into());
        let aside = Task::aside(stream, entry, self.worker_of(sub), self.now);
        // It has no request: in place of its user and ordinal are the pool and its connection.
        let dialler = Task { user: sub, ordinal: number, work: took, branch: DIALLER, ..aside };
        let task = self.new_task(dialler);
        self.resume(task);
    }

    /// A name is known: the connection that it was looked up for is opened, if anybody still wants it.
    pub(in crate::run) fn name_is_known(&mut self, task: u32) {
        let Task { user: sub, ordinal: number, work: took, .. } = self.tasks[task];
        self.time_connected(sub, number, took);
    }
}
