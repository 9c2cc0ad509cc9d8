//! Session stores: what express-session does around every request.
//!
//! Order (express-session 1.19.0): without a cookie a new session is made in memory; with one the
//! store is asked before the handler runs. When the response ends, a new or changed session is
//! saved, an unchanged one touched, and the last byte is withheld until that is done.

use crate::component::session_table::{Session, SessionConfig, SessionRead, SessionTable};
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::SessionId;
use crate::model::tape::{DrawId, Op, Pc};
use crate::stream::StreamKey;
use crate::units::{Duration, TICKS_PER_SECOND, Time};

use super::event::Kind;
use super::meter::Counter;
use super::task::{Role, flag};
use super::world::World;

/// A user who has not been seen yet.
const UNSEEN: u32 = 0;
/// A user who has logged out: the cookie names no session.
const GONE: u32 = u32::MAX;

/// A session store while it runs.
pub struct SessionState {
    /// Its rows, by expiry.
    table: SessionTable,
    /// Rows of users not seen yet, of which only the number matters so far.
    unseen: SessionTable,
    /// Until when each user's session is good, or [`UNSEEN`], or [`GONE`].
    held: Vec<u32>,
    /// Until when each user's browser keeps the cookie (s), where answers do not set it anew.
    cookies: Vec<u32>,
    /// Which worker has each user's session, plus one, where workers keep them in memory.
    homes: Vec<u32>,
    /// How many were made in each worker, and are still there, where workers keep them in memory: also
    /// those of guests, and of users who were sent to another worker since. MemoryStore removes one that
    /// has expired when it is asked for, and no other (express-session 1.19.0 session/memory.js).
    kept: Vec<u32>,
    /// Its sessions do not expire: their clock stands still.
    ageless: bool,
    /// When each worker process prunes next; never before its first use of the store.
    prunes: Vec<Time>,
    /// Random numbers of prunes and of the sessions held at the start.
    stream: StreamKey,
}

impl SessionState {
    /// How many sessions the memory of a worker has.
    pub(super) fn kept_by(&self, worker: u32) -> u32 {
        self.kept.get(worker as usize).copied().unwrap_or(0)
    }
    /// A user's session leaves a worker, if that has it.
    fn leave_home(&mut self, user: u32, worker: u32) {
        if let Some(home) = self.homes.get_mut(user as usize)
            && *home == worker + 1
        {
            *home = 0;
            self.kept[worker as usize] -= 1;
        }
    }
    /// What its sessions take for now.
    fn clock(&self, now: Time) -> Time {
        if self.ageless { Time::ZERO } else { now }
    }
    /// Live sessions.
    pub fn live(&mut self, now: Time) -> u64 {
        let now = self.clock(now);
        self.table.live(now) + self.unseen.live(now)
    }
    /// The second in which the session expires that nobody has used for longest.
    pub(super) fn idlest(&mut self, now: Time) -> Option<u32> {
        let both = [self.table.first_expiry(now), self.unseen.first_expiry(now)];
        both.into_iter().flatten().map(Session::expiry_s).min()
    }
    /// Evicts that session.
    pub(super) fn evict_idlest(&mut self, now: Time) {
        let (known, unseen) = (self.table.first_expiry(now), self.unseen.first_expiry(now));
        let is_known =
            |known: &Session| unseen.is_none_or(|unseen| known.expiry_s() <= unseen.expiry_s());
        match (known.filter(is_known), unseen) {
            (Some(known), _) => self.table.evict(known),
            (None, Some(unseen)) => self.unseen.evict(unseen),
            (None, None) => {}
        }
    }
    /// The store loses all sessions of some users, who are one in `nodes`.
    pub(super) fn lose(&mut self, now: Time, nodes: u32, here: impl Fn(u32) -> bool) {
        for user in 0..self.held.len() {
            if here(user as u32) {
                self.held[user] = GONE;
            }
        }
        if nodes == 1 {
            self.table.lose_part(now, 1);
            self.unseen.lose_part(now, 1);
            return;
        }
        // Those of the other users stay, as their holders know them; what nobody holds goes by share.
        let mut known = Vec::new();
        for held in self.held.iter_mut().filter(|held| !matches!(**held, UNSEEN | GONE)) {
            let session = Session::from_expiry_s(*held);
            if self.table.read(now, session) != SessionRead::Found {
                continue;
            }
            match self.table.take(now, session) {
                true => known.push(*held),
                false => *held = GONE,
            }
        }
        self.table.lose_part(now, nodes);
        self.unseen.lose_part(now, nodes);
        for expiry in known {
            let left = Duration(u64::from(expiry) * TICKS_PER_SECOND).0.saturating_sub(now.0);
            self.table.create_for(now, Duration(left));
        }
    }
    /// Rows, those that have expired and are not pruned yet included.
    fn rows(&self) -> u64 {
        self.table.rows() + self.unseen.rows()
    }
}

/// The second at the end of which a time has passed.
fn second_of(time: Time) -> u32 {
    time.0.div_ceil(TICKS_PER_SECOND) as u32
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Session tables with the rows that the run starts from.
    pub fn build_sessions(&mut self) {
        let workers = self.workers.len();
        for (_, spec) in self.model.sessions.enumerate() {
            let config = SessionConfig { ttl: spec.ttl, row_bytes: u64::from(spec.size_bytes) };
            let mut table = SessionTable::new(config);
            let users = self.model.users() as usize;
            let stream = self.key.named("session").named(&spec.name);
            let mut unseen = SessionTable::new(config);
            let held = vec![UNSEEN; users];
            if let Some(holders) = &spec.holders {
                let holding = libm::round(holders.alive() * (users as f64 * spec.reach)) as u64;
                unseen.warm_decaying(Time::ZERO, holding, holders.decay());
                table.warm(Time::ZERO, spec.warm.saturating_sub(holding));
            }
            let cookies = vec![0; if spec.cookie.is_some() { users } else { 0 }];
            let homes = vec![0; if spec.in_memory { users } else { 0 }];
            let kept = vec![0; if spec.in_memory { workers } else { 0 }];
            let prunes = vec![Time::NEVER; if spec.prune.is_some() { workers } else { 0 }];
            let ageless = spec.ageless;
            let mut state =
                SessionState { table, unseen, held, cookies, homes, kept, ageless, prunes, stream };
            self.meters[spec.station].held.set(Time::ZERO, state.live(Time::ZERO));
            self.sessions.push(state);
        }
    }

    /// A step of the session middleware.
    pub fn session_step(&mut self, task: u32) {
        match self.op_at(task) {
            Op::SessionSeek { session, draw, none } => self.session_seek(task, session, draw, none),
            Op::SessionFound { session } => self.session_found(task, session),
            Op::SessionEnd { session, touch, nothing } => {
                self.session_end(task, session, touch, nothing);
            }
            Op::SessionKept { session } => self.session_kept(task, session),
            Op::SessionGone { session } => self.session_gone(task, session),
            Op::SessionUnkept { session } => self.session_unkept(task, session),
            other => unreachable!("{other:?} is no step of a session"),
        }
    }

    /// A worker uses a store: its timer for pruning runs from its first use on (connect-pg-simple
    /// 10.0.0 index.js, `#initPruneTimer`).
    fn arm_prune(&mut self, task: u32, session: SessionId) {
        let worker = self.tasks[task].worker;
        if self.model.sessions[session].prune.is_some()
            && self.sessions[session].prunes[worker as usize] == Time::NEVER
        {
            self.schedule_prune(session, worker);
        }
    }

    fn schedule_prune(&mut self, session: SessionId, worker: u32) {
        let Some(prune) = self.model.sessions[session].prune else { return };
        // By its service and its place there: other services move nobody's numbers.
        let service = self.service_of_worker(worker);
        let first = self.instances[self.services[service].first_instance as usize].first_worker;
        let path = &self.model.stations[self.model.services[service].station].path;
        let state = &mut self.sessions[session];
        let stream = state.stream.named("prune").named(path).numbered(u64::from(worker - first));
        let unit = stream.draw(self.now.0).unit();
        let at = self.now + SessionTable::prune_delay(prune.interval, unit);
        state.prunes[worker as usize] = at;
        self.events.push(Event::new(at, Kind::Prune as u8, worker, session.0));
    }

    /// A worker process deletes expired rows.
    pub fn prune(&mut self, session: SessionId, worker: u32) {
        if self.sessions[session].prunes[worker as usize] != self.now {
            return; // its process has died
        }
        let state = &mut self.sessions[session];
        let removed = state.table.prune(self.now) + state.unseen.prune(self.now);
        let station = self.model.sessions[session].station;
        self.meters[station].add(Counter::Expired, removed);
        if let Some(prune) = self.model.sessions[session].prune {
            let cpu = Duration(prune.row.0.saturating_mul(removed));
            self.background_statement(prune.database, cpu);
        }
        self.schedule_prune(session, worker);
    }

    /// A worker process has died: its timers and the sessions in its memory are gone.
    pub fn forget_sessions(&mut self, worker: u32) {
        for session in self.sessions.ids() {
            let state = &mut self.sessions[session];
            let now = state.clock(self.now);
            if let Some(prune) = state.prunes.get_mut(worker as usize) {
                *prune = Time::NEVER;
            }
            for user in 0..state.homes.len() {
                if state.homes[user] == worker + 1 {
                    state.table.destroy(now, Session::from_expiry_s(state.held[user]));
                    // The cookie is still there, and names nothing.
                    (state.homes[user], state.held[user]) = (0, GONE);
                }
            }
            if let Some(kept) = state.kept.get_mut(worker as usize) {
                *kept = 0;
            }
            let (live, station) = (state.live(now), self.model.sessions[session].station);
            self.meters[station].held.set(self.now, live);
        }
    }

    /// Whether the browser of a task's user has forgotten the cookie.
    fn cookie_is_gone(&mut self, task: u32, session: SessionId) -> bool {
        let spec = &self.model.sessions[session];
        let (Some(keeps), rolling) = (spec.cookie, spec.rolling) else { return false };
        let (user, now) = (self.tasks[task].user, self.now);
        let state = &mut self.sessions[session];
        if state.cookies[user as usize] == 0 {
            if rolling {
                return false; // it is as old as the session, which is drawn when it is looked up
            }
            // Met in the middle of a visit: the cookie is of any age.
            let unit = state.stream.named("cookie").draw(u64::from(user)).unit();
            state.cookies[user as usize] = second_of(now + keeps.scale(unit));
        }
        state.cookies[user as usize] < second_of(now)
    }

    /// Does the request bring a session to look up? Guests and first requests of a visit do not.
    fn session_seek(&mut self, task: u32, session: SessionId, draw: DrawId, none: Pc) {
        let spec = &self.model.sessions[session];
        let record = &mut self.tasks[task];
        record.flags |= flag::SEEN;
        let mut draws = record.stream.draw(u64::from(draw.0));
        let is_probe = record.role == Role::Probe; // it keeps no cookies
        if is_probe || spec.guests > 0.0 && draws.chance(spec.guests) {
            record.flags &= !flag::NEW_SESSION;
            record.flags |= flag::GUEST;
            if spec.save_uninitialized {
                record.flags |= flag::NEW_SESSION;
            }
            record.pc = none;
        } else if record.has(flag::NEW_SESSION) {
            record.pc = none;
        } else if self.cookie_is_gone(task, session) {
            let record = &mut self.tasks[task];
            record.flags |= flag::NEW_SESSION;
            record.pc = none;
        } else {
            self.tasks[task].pc.0 += 1;
            self.meters[spec.station].count(Counter::Reads);
            self.arm_prune(task, session);
        }
    }

    /// The store has answered: the session is alive, or has expired and a new one will be made.
    fn session_found(&mut self, task: u32, session: SessionId) {
        let held = self.held_session(task, session);
        let station = self.model.sessions[session].station;
        let table = &self.sessions[session].table;
        let now = self.sessions[session].clock(self.now);
        let home = self.sessions[session].homes.get(self.tasks[task].user as usize);
        let here = home.is_none_or(|home| *home == self.tasks[task].worker + 1);
        let found = here && held.is_some_and(|held| table.read(now, held) == SessionRead::Found);
        self.count(station, if found { Counter::Hits } else { Counter::Misses });
        if here && !found {
            let (user, worker) = (self.tasks[task].user, self.tasks[task].worker);
            self.sessions[session].leave_home(user, worker);
        }
        let record = &mut self.tasks[task];
        record.flags |= if found { flag::SESSION } else { flag::NEW_SESSION };
        record.pc.0 += 1;
    }

    /// The session that the task's user holds. What one not seen before holds is drawn as of the start.
    /// Where the store started empty, who is in the middle of a visit brings one that was touched just
    /// now; where nobody touches, its age is uniform over the TTL.
    fn held_session(&mut self, task: u32, session: SessionId) -> Option<Session> {
        let user = self.tasks[task].user;
        let state = &mut self.sessions[session];
        let now = state.clock(self.now);
        let held = state.held[user as usize];
        if held != UNSEEN {
            let found = (held != GONE).then(|| Session::from_expiry_s(held))?;
            let stream = state.stream;
            let luck = || stream.named("evicted").numbered(u64::from(user)).draw(now.0).unit();
            if state.table.is_evicted(now, found, luck) {
                state.held[user as usize] = GONE;
                return None;
            }
            return Some(found);
        }
        let spec = &self.model.sessions[session];
        let unit = state.stream.named("held").draw(u64::from(user)).unit();
        let found = match &spec.holders {
            Some(holders) => {
                let left = holders.remaining(unit).and_then(|it| it.0.checked_sub(now.0));
                left.and_then(|left| {
                    let found = Session::from_expiry_s(second_of(now + Duration(left)));
                    let stream = state.stream;
                    let luck = || stream.named("evicted").draw(u64::from(user)).unit();
                    if state.unseen.is_evicted(now, found, luck) {
                        return None;
                    }
                    state.unseen.take_near(now, found);
                    Some(state.table.create_for(now, Duration(left)))
                })
            }
            None if spec.touch => Some(state.table.create(now)),
            None => Some(state.table.create_aged(now, unit)),
        };
        state.held[user as usize] = found.map_or(GONE, Session::expiry_s);
        found
    }

    /// The response ends: what must be written back?
    fn session_end(&mut self, task: u32, session: SessionId, touch: Pc, nothing: Pc) {
        let spec = &self.model.sessions[session];
        let (touches, resave) = (spec.touch, spec.resave);
        let renews = spec.cookie.filter(|_| spec.rolling);
        let record = &mut self.tasks[task];
        // From here on the end of the response is under way; it is not begun again.
        record.epilogue = Pc(0);
        if let Some(keeps) =
            renews.filter(|_| record.role != Role::Tail && record.has(flag::SESSION))
        {
            let until = second_of(self.now + keeps);
            self.sessions[session].cookies[record.user as usize] = until;
        }
        record.pc = if record.role == Role::Tail {
            nothing // the response has ended before
        } else if record.has(flag::NEW_SESSION) || record.has(flag::SESSION) && resave {
            Pc(record.pc.0 + 1)
        } else if record.has(flag::SESSION) && touches {
            touch
        } else {
            nothing
        };
    }

    /// The session has been saved or touched.
    fn session_kept(&mut self, task: u32, session: SessionId) {
        let now = self.sessions[session].clock(self.now);
        let station = self.model.sessions[session].station;
        self.count(station, Counter::Writes);
        self.arm_prune(task, session);
        let resave = self.model.sessions[session].resave;
        let user = self.tasks[task].user as usize;
        if self.tasks[task].has(flag::NEW_SESSION) {
            self.session_made(task, session);
        } else {
            let held = self.held_session(task, session);
            let table = &mut self.sessions[session].table;
            let renewed = match held {
                Some(held) if resave => Some(table.save(now, held)),
                Some(held) => table.touch(now, held),
                None if resave && self.tasks[task].has(flag::SESSION) => Some(table.create(now)),
                None => None,
            };
            self.sessions[session].held[user] = renewed.map_or(GONE, Session::expiry_s);
        }
        let live = self.sessions[session].live(now);
        self.meters[station].held.set(self.now, live);
        self.tasks[task].pc.0 += 1;
    }

    /// A new session is in its store: the end of the response has nothing more to save.
    fn session_made(&mut self, task: u32, session: SessionId) {
        let station = self.model.sessions[session].station;
        self.count(station, Counter::Created);
        let keeps = self.model.sessions[session].cookie;
        let state = &mut self.sessions[session];
        let made = state.table.create(state.clock(self.now)).expiry_s();
        let record = &mut self.tasks[task];
        if let Some(kept) = state.kept.get_mut(record.worker as usize) {
            *kept += 1;
        }
        record.flags &= !flag::NEW_SESSION;
        if !record.has(flag::GUEST) {
            record.flags |= flag::SESSION;
            let (user, worker) = (record.user as usize, record.worker);
            state.held[user] = made;
            if let Some(home) = state.homes.get_mut(user) {
                *home = worker + 1;
            }
            if let (Some(cookie), Some(keeps)) = (state.cookies.get_mut(user), keeps) {
                *cookie = second_of(self.now + keeps);
            }
        }
    }

    /// The store has refused a save or a touch. The error goes to the error handler, but the last byte
    /// of the answer leaves all the same (express-session 1.19.0 index.js, `onsave`, `ontouch`).
    fn session_unkept(&mut self, task: u32, session: SessionId) {
        let station = self.model.sessions[session].station;
        self.count(station, Counter::Errors);
        let record = &mut self.tasks[task];
        record.pc.0 += 1;
        if record.has(flag::NEW_SESSION) {
            record.flags &= !flag::NEW_SESSION;
            if !record.has(flag::GUEST) {
                // The cookie has been set, and names nothing.
                let user = record.user as usize;
                self.sessions[session].held[user] = GONE;
            }
        }
    }

    /// The session has been destroyed: a logout. The response ends without saving one.
    fn session_gone(&mut self, task: u32, session: SessionId) {
        let held = self.held_session(task, session);
        let now = self.sessions[session].clock(self.now);
        let (user, worker) = (self.tasks[task].user as usize, self.tasks[task].worker);
        let station = self.model.sessions[session].station;
        let state = &mut self.sessions[session];
        if held.is_some_and(|held| state.table.destroy(now, held)) {
            self.meters[station].count(Counter::Expired);
        }
        state.held[user] = GONE;
        state.leave_home(user as u32, worker);
        let live = state.live(now);
        self.meters[station].held.set(self.now, live);
        let record = &mut self.tasks[task];
        record.flags &= !(flag::SESSION | flag::NEW_SESSION);
        record.pc.0 += 1;
    }

    /// How much slower than with an empty table a query of the session table is.
    pub fn session_slowdown(&self, session: SessionId) -> f64 {
        let rows = self.sessions[session].rows();
        self.model.sessions[session].growth.map_or(1.0, |law| law.multiplier(rows))
    }
}
