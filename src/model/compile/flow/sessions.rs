//! What session middleware does around a flow, and what a flow does with its session by hand.

use super::super::super::Choice;
use super::super::{Compiler, find, named};
use super::{Place, Sessions};
use crate::model::Model;
use crate::model::ids::*;
use crate::model::tape::{Command, Draw, Op, Pc, Route, Statement};
use crate::topology::{self, SessionStore};
use crate::variate::AliasTable;

impl Compiler<'_> {
    /// Looking the session up, before the handler runs.
    pub(super) fn begin_session(
        &mut self,
        name: &str,
        place: &Place,
        model: &mut Model,
        sessions: &mut Sessions,
    ) {
        let session: SessionId = find(&self.topology.sessions, name);
        let spec = &named(&self.topology.sessions, name).spec;
        if let SessionStore::Jwt(jwt) = &spec.store {
            return self.token(jwt, spec.guests.0, place);
        }
        let seek = self.emit(Op::SessionSeek { session, draw: place.draw(name), none: Pc(0) });
        self.session_store(session, place, model, Command::SessionRead);
        self.emit(Op::SessionFound { session });
        let none = self.here();
        let Op::SessionSeek { none: wanted, .. } = &mut self.tape[seek] else {
            unreachable!("just emitted")
        };
        *wanted = none;
        sessions.push((session, place.service));
    }

    /// A signed token: its bytes come up with the request, and it is verified. Guests bring none.
    fn token(&mut self, jwt: &topology::Jwt, guests: f64, place: &Place) {
        let choice = self.choices.len();
        let table = AliasTable::new(&[guests, 1.0 - guests]);
        let chances = vec![guests, 1.0 - guests];
        if guests > 0.0 {
            self.choices.push(Choice { table, chances, targets: Vec::new() });
            self.emit(Op::Choose { choice: choice as u32, draw: place.draw("token") });
        }
        let brings = self.here();
        if let Some(bytes) = jwt.bytes {
            let bytes = self.constant(bytes.0);
            self.emit(Op::Transfer { bytes });
        }
        let law = self.law(&jwt.cpu);
        self.emit(Op::Cpu { work: Draw { law, id: place.draw("jwt") } });
        if let Some(cache) = &jwt.revocation {
            let cache = find(&self.topology.caches, &cache.name);
            let (command, draw) = (Command::SessionRead, place.draw("revocation"));
            self.emit(Op::Command { cache, command, draw, bytes: 0 });
        }
        if guests > 0.0 {
            self.choices[choice].targets = vec![self.here(), brings];
        }
    }

    /// One access of a session store: a command, or a statement on the pool it uses.
    fn session_store(
        &mut self,
        session: SessionId,
        place: &Place,
        model: &mut Model,
        command: Command,
    ) {
        let topology = self.topology;
        let spec = &topology.sessions[session.0 as usize].spec;
        match &spec.store {
            SessionStore::Jwt(_) => {}
            SessionStore::Memory(store) => {
                let law = self.law(&store.cpu);
                let id = place.draw(&format!("{command:?}"));
                self.emit(Op::Cpu { work: Draw { law, id } });
            }
            SessionStore::Redis(store) => {
                let cache = find(&topology.caches, &store.cache.name);
                let draw = place
                    .draw(&format!("{}/{command:?}", topology.sessions[session.0 as usize].name));
                let carries = matches!(command, Command::SessionRead | Command::SessionSave);
                let bytes = if carries {
                    topology.sessions[session.0 as usize].spec.size.0 as u32
                } else {
                    0
                };
                self.emit(Op::Command { cache, command, draw, bytes });
            }
            SessionStore::Postgres(store) => {
                let pool = self.session_pool(session, place.service);
                let write = command != Command::SessionRead;
                self.emit(Op::Acquire { pool, route: Route::User, write, awaited: false });
                let law = self.law(if write { &store.write } else { &store.read });
                let id = place.draw(&format!("{:?}", command));
                let kind = if write { Statement::Write } else { Statement::Read };
                let grows = model.sessions[session].growth.is_some();
                self.query(Draw { law, id }, kind, 0.0, grows.then_some(session));
                self.emit(Op::Release);
            }
        }
    }

    /// The response ends: new sessions are saved, others touched, before the last byte leaves.
    pub(super) fn end_sessions(&mut self, place: &Place, model: &mut Model, sessions: &Sessions) {
        for (session, _) in sessions {
            let session = *session;
            let end = self.emit(Op::SessionEnd { session, touch: Pc(0), nothing: Pc(0) });
            self.session_store(session, place, model, Command::SessionSave);
            self.emit(Op::SessionKept { session });
            let over = self.emit(Op::Jump { to: Pc(0) });
            let touch = self.here();
            self.session_store(session, place, model, Command::SessionTouch);
            self.emit(Op::SessionKept { session });
            let last = self.here();
            self.tape[over] = Op::Jump { to: last };
            let spec = &self.topology.sessions[session.0 as usize].spec;
            if matches!(spec.store, SessionStore::Postgres(_) | SessionStore::Redis(_)) {
                let stretch = (Pc(end as u32 + 1), last);
                self.catch(stretch, place.held.len(), Op::SessionUnkept { session });
            }
            let nothing = self.here();
            self.tape[end] = Op::SessionEnd { session, touch, nothing };
        }
    }

    pub(super) fn session_step(
        &mut self,
        step: &topology::SessionUse,
        place: &Place,
        model: &mut Model,
    ) {
        let session = match &step.which().of {
            Some(session) => find(&self.topology.sessions, &session.name),
            None => SessionId(0),
        };
        match step {
            topology::SessionUse::Read(_) => {
                self.session_store(session, place, model, Command::SessionRead);
                self.emit(Op::SessionFound { session });
            }
            topology::SessionUse::Save(_) => {
                self.session_store(session, place, model, Command::SessionSave);
                self.emit(Op::SessionKept { session });
            }
            topology::SessionUse::Destroy(_) => {
                self.session_store(session, place, model, Command::SessionDestroy);
                self.emit(Op::SessionGone { session });
            }
        }
    }
}
