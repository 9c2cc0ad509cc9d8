//! Statements and transactions: what goes over a connection, and what drivers send around it.

use super::super::Model;
use super::super::ids::*;
use super::super::tape::{Draw, LocksId, Op, Pc, Route, SORT_UNIT, Statement};
use super::flow::{Behind, Place, Sessions};
use super::{Compiler, draw_id, find, named};
use crate::topology;

/// Pages that a statement looks at, unless it says how many.
const PAGES: u32 = 2;

/// Memory that the sorts and hashes of a statement take together, in units of [`SORT_UNIT`].
fn sorts_of(database: &topology::Database, query: &topology::Query) -> u16 {
    let Some(memory) = &database.memory else { return 0 };
    let each = query.sort_memory.map_or(memory.work_mem.0, |most| most.0.min(memory.work_mem.0));
    let units = (f64::from(query.sorts) * each / SORT_UNIT as f64).ceil();
    units.min(f64::from(u16::MAX)) as u16
}

impl<'t> Compiler<'t> {
    /// One statement. Within a transaction on the same pool it runs on the transaction's connection.
    pub(super) fn query_step(&mut self, query: &topology::Query, place: &Place) {
        let pool: PoolId = find(&self.topology.pools, &query.pool.name);
        let (dist, kind) = match (&query.read, &query.write) {
            (Some(read), _) => (read, Statement::Read),
            (None, write) => {
                (write.as_ref().expect("checked: a read or a write"), Statement::Write)
            }
        };
        let law = self.law(dist);
        let write = kind == Statement::Write;
        let fail = query.fail.0;
        let database = &self.topology.pools[pool.0 as usize].spec.database.name;
        let database = &named(&self.topology.databases, database).spec;
        let routes: Vec<Route> = match query.shard {
            topology::Shard::All => {
                (0..database.shards).map(|shard| Route::Shard(shard as u16)).collect()
            }
            topology::Shard::User => vec![self.shard_route(pool, place)],
        };
        for (number, route) in routes.into_iter().enumerate() {
            let id = place.at(number).draw("query");
            let held = place.held.last() == Some(&pool);
            let row = draw_id(&format!(
                "operation.{}/row/{}/{}",
                place.operation,
                query.on.as_ref().map_or("", |on| &on.name),
                query.row
            ));
            let locks = self.wants(query, row);
            let work = Draw { law, id };
            let begins = self.topology.pools[pool.0 as usize].spec.always_begins();
            let (fail, within) = (fail as f32, held && place.begun);
            let open = within || begins;
            let pages = self.pages_of(database, query.pages);
            let (slowed_by, locks) = (None, locks);
            let sorts = sorts_of(database, query);
            let statement =
                Op::Query { work, kind, fail, slowed_by, locks, within, open, pages, sorts };
            if held {
                if let Some(write) = place.lazy {
                    self.acquire_once(pool, (route, write), &place.at(number));
                }
                self.emit(statement);
                continue;
            }
            let place = place.at(number);
            self.acquire(Op::Acquire { pool, route, write, awaited: false }, &place);
            if begins {
                self.mark("begin", true, &place);
            }
            self.emit(statement);
            if begins {
                self.end_of_use(pool, &place);
            }
            self.give_back(pool, &place);
        }
    }

    /// Pages that a statement looks at.
    fn pages_of(&self, database: &topology::Database, said: Option<u32>) -> u16 {
        match &database.buffer {
            Some(_) => said.unwrap_or(PAGES).min(u32::from(u16::MAX)) as u16,
            None => 0,
        }
    }

    /// A connection goes back to its pool, reset where the pool does that.
    pub(super) fn give_back(&mut self, pool: PoolId, place: &Place) {
        if self.topology.pools.get(pool.0 as usize).is_some_and(|pool| pool.spec.resets()) {
            self.reset("reset", place);
        }
        self.emit(Op::Release);
    }

    /// What ends the transaction that a use of a connection is: SQLAlchemy's pool rolls it back, and
    /// psycopg's context commits it.
    fn end_of_use(&mut self, pool: PoolId, place: &Place) {
        match self.topology.pools[pool.0 as usize].spec.driver {
            topology::PoolDriver::Sqlalchemy(_) => self.reset("rollback", place),
            _ => self.mark("rollback", false, place),
        }
    }

    /// What a pool sends over a connection that comes back.
    fn reset(&mut self, what: &str, place: &Place) {
        let work = Draw { id: place.draw(what), ..self.constant(0.0) };
        self.query(work, Statement::Reset, 0.0, None);
    }

    /// A connection of a pool, tried out where the pool does that.
    pub(super) fn acquire(&mut self, acquire: Op, place: &Place) {
        let Op::Acquire { pool, .. } = acquire else { unreachable!("only that gets a connection") };
        self.emit(acquire);
        // Pools of session stores stand behind those of the file, and try nothing out.
        let pings = self.topology.pools.get(pool.0 as usize).map_or(0, |pool| pool.spec.pings());
        for ping in 0..pings {
            let draw = self.constant(0.0);
            let id = place.draw(&format!("ping {ping}"));
            self.query(Draw { id, ..draw }, Statement::Ping, 0.0, None);
        }
    }

    /// BEGIN, COMMIT, ROLLBACK; and whether a transaction is open behind it.
    pub(super) fn mark(&mut self, what: &str, open: bool, place: &Place) {
        let work = Draw { id: place.draw(what), ..self.constant(0.0) };
        let (kind, slowed_by, locks) = (Statement::Mark, None, LocksId(0));
        let (fail, within, pages, sorts) = (0.0, false, 0, 0);
        self.emit(Op::Query { work, kind, fail, slowed_by, locks, within, open, pages, sorts });
    }

    /// The shard that a database's `shard_by` chooses.
    fn shard_route(&self, pool: PoolId, place: &Place) -> Route {
        let database = &self.topology.pools[pool.0 as usize].spec.database.name;
        match &named(&self.topology.databases, database).spec.shard_by {
            topology::ShardBy::User => Route::User,
            topology::ShardBy::Key => Route::Random(place.draw("shard")),
            topology::ShardBy::Keys(_) => Route::Keyed(place.draw("shard key")),
        }
    }

    /// BEGIN, the steps, COMMIT, on one connection.
    pub(super) fn transaction(
        &mut self,
        transaction: &'t topology::Transaction,
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let pool: PoolId = find(&self.topology.pools, &transaction.pool.name);
        if transaction.lazy && place.lazy.is_none() {
            return self.lazy_transaction(transaction, place, model, sessions, behind);
        }
        let route = self.shard_route(pool, place);
        let write = transaction.write;
        self.acquire(Op::Acquire { pool, route, write, awaited: true }, place);
        if !transaction.bare {
            let work = Draw { id: place.draw("begin"), ..self.constant(0.0) };
            let (slowed_by, locks) = (None, LocksId(0));
            let kind = Statement::Mark;
            let (within, open) = (true, true);
            let (fail, pages, sorts) = (0.0, 0, 0);
            self.emit(Op::Query { work, kind, fail, slowed_by, locks, within, open, pages, sorts });
        }
        let mut within = place.at("transaction");
        within.held.push(pool);
        (within.begun, within.lazy) = (!transaction.bare, None);
        self.flow(&transaction.flow, &within, model, sessions, behind);
        if !transaction.bare {
            let work = Draw { id: place.draw("commit"), ..self.constant(0.0) };
            let kind = if write { Statement::Commit } else { Statement::Mark };
            self.query(work, kind, 0.0, None);
        }
        self.give_back(pool, place);
    }

    /// The first statement gets the connection; those behind it find it held.
    fn acquire_once(&mut self, pool: PoolId, (route, write): (Route, bool), place: &Place) {
        let depth = place.held.len() as u8 - 1;
        let known = self.emit(Op::IfHeld { depth, held: true, to: Pc(0) });
        self.acquire(Op::Acquire { pool, route, write, awaited: false }, place);
        let begins = self.topology.pools[pool.0 as usize].spec.always_begins();
        if begins || place.begun {
            self.mark("begin", true, place);
        }
        let to = self.here();
        self.tape[known] = Op::IfHeld { depth, held: true, to };
    }

    /// Steps of which the first statement gets a connection, which is given back when they are over.
    fn lazy_transaction(
        &mut self,
        transaction: &'t topology::Transaction,
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let pool: PoolId = find(&self.topology.pools, &transaction.pool.name);
        let runtime = &self.topology.services[place.service].spec.runtime;
        let in_threads = matches!(runtime, topology::Runtime::Uvicorn(_)) && !place.in_thread;
        if in_threads {
            for op in [Op::ThreadEnter, Op::ThreadLeave, Op::ThreadFree] {
                self.emit(op);
            }
        }
        let mut within = place.at("transaction");
        within.held.push(pool);
        (within.begun, within.lazy) = (!transaction.bare, Some(transaction.write));
        self.flow(&transaction.flow, &within, model, sessions, behind);
        let depth = place.held.len() as u8;
        let unused = self.emit(Op::IfHeld { depth, held: false, to: Pc(0) });
        if in_threads {
            self.emit(Op::ThreadBeside);
        }
        if self.topology.pools[pool.0 as usize].spec.always_begins() {
            self.end_of_use(pool, place);
        } else if !transaction.bare {
            let work = Draw { id: place.draw("commit"), ..self.constant(0.0) };
            let kind = if transaction.write { Statement::Commit } else { Statement::Mark };
            self.query(work, kind, 0.0, None);
        }
        self.give_back(pool, place);
        if in_threads {
            self.emit(Op::ThreadLeave);
        }
        let to = self.here();
        self.tape[unused] = Op::IfHeld { depth, held: false, to };
    }
}
