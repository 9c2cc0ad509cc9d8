//! A database server that goes away: every connection to it is cut, new ones find nobody, until it
//! is there again or a standby has taken its place.
//!
//! A server that dies resets its sockets. A statement under way fails as soon as its sender hears
//! of it; idle connections leave their pools; whoever holds a connection without using it hears of
//! it at the next statement, and the pool closes the connection when it is given back (pg-pool
//! 3.14.0 index.js, `!client._queryable`). A transaction that was open has never been.

use crate::component::pool::{Connection, Heard};
use crate::component::tcp::Packet;
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::PoolId;
use crate::model::tape::Op;
use crate::run::event::Kind;
use crate::run::meter::{Counter, Part};
use crate::run::pool::Cut;
use crate::run::task::{Lease, NONE, OK, State, Task, flag};
use crate::run::world::World;
use crate::units::Duration;

use super::silence::UNNOTICED;
use super::{BACKGROUND, REPLAY, Timer};

/// Whether a database server is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Presence {
    /// It serves.
    #[default]
    Up,
    /// It is not there, and its host says so: a connection is refused one round trip later.
    Refusing,
    /// Nobody answers: whoever connects waits until they give up, or their kernel does.
    Silent,
}

/// How long Linux goes on trying to connect where nobody answers: 1 + 2 + 4 + 8 + 16 + 32 + 64 s
/// (`net.ipv4.tcp_syn_retries` = 6).
pub const SYN_PATIENCE: Duration = Duration::secs(127);

impl<Q: PendingEvents> World<'_, Q> {
    /// A node goes away for so long, with all connections to it; for the first part of that nobody answers
    /// for it.
    pub fn node_down(&mut self, node: u32, takes: Duration, silent: Duration) {
        let silent = silent.min(takes);
        if self.node_mut(node).presence == Presence::Up {
            self.falls_silent(node, silent);
            self.lose_maintenance(node);
            self.cut_statements(node);
            self.cut_pools(node);
            self.lose_work(node);
        }
        let until = self.now + takes;
        let state = self.node_mut(node);
        if state.presence == Presence::Up {
            state.presence = Presence::Refusing;
        }
        state.incarnation += 1;
        state.resident = 0.0;
        state.up_at = state.up_at.max(until);
        let at = state.up_at;
        self.forget_sorts(node);
        self.free_all_slots(node);
        self.at_node(at, Timer::Up, node);
        self.cut_poolers(node);
    }

    /// A node may be there again.
    pub(super) fn node_up(&mut self, node: u32) {
        let now = self.now;
        let state = self.node_mut(node);
        if state.presence == Presence::Up || state.up_at != now || state.promoted {
            return; // it has failed again meanwhile, for longer, or is elsewhere
        }
        if self.awaits_replay(node) {
            return;
        }
        let state = self.node_mut(node);
        (state.presence, state.up_at) = (Presence::Up, crate::units::Time::ZERO);
        if let Some(next) = state.replay.front() {
            let at = next.arrives.max(now);
            self.at(at, Kind::Replay, node);
        }
    }

    /// Every task that holds a connection to the node has lost it.
    fn cut_statements(&mut self, node: u32) {
        let silent = self.node_mut(node).is_silent();
        for task in 0..self.tasks.capacity() as u32 {
            let record = *self.tasks.peek(task);
            if record.state == State::Free {
                continue;
            }
            // Through a pooler only who has one of its connections at the moment loses something.
            let ghost = record.worker == NONE;
            let to = |lease: &Lease| {
                let sub = self.pools.get(lease.pool as usize)?;
                (ghost || sub.reaches_server(lease.connection)).then_some(sub.node)
            };
            let lost = record.leases.map(|lease| to(&lease) == Some(node));
            if lost == [false; 2] {
                continue;
            }
            let uses = to(&innermost(&record)) == Some(node);
            if uses {
                self.cut_statement(task, node);
            }
            self.release_locks(task);
            if record.worker == NONE {
                // A ghost: its connection is gone, and with it what was under way.
                self.tasks[task].leases = Default::default();
            } else {
                for (lease, _) in record.leases.iter().zip(lost).filter(|(_, lost)| *lost) {
                    let sub = &mut self.pools[lease.pool as usize];
                    if sub.is_cut(lease.connection).is_none() {
                        sub.cut.push((lease.connection, sub.how_it_learns(silent)));
                    }
                }
            }
        }
    }

    /// What a task has under way at the node fails.
    fn cut_statement(&mut self, task: u32, node: u32) {
        let asks = matches!(self.op_at(task), Op::Query { .. });
        let fine = self.tasks[task].status == OK;
        match self.tasks[task].state {
            State::InDatabase => {
                let left = self.off_cores(node, task);
                assert!(left.is_some(), "a statement in the database is on its cores");
                let (station, spent) =
                    (self.station_of_node(node), self.now.since(self.tasks[task].since));
                self.spend(task, station, Part::Service, spent);
                self.statement_failed(task, node, Failure::DatabaseDown, Counter::Errors);
            }
            State::StatementQueue => {
                self.leave_statement_queue(task);
                let record = &mut self.tasks[task];
                (record.state, record.status) = (State::Away, Failure::DatabaseDown as u8);
                self.at_task(self.now, Kind::Resume, task);
            }
            // Its way there, or its answer's way back: it hears of it when that would have ended.
            State::LockQueue => self.lock_failed(task, Failure::DatabaseDown, Counter::Errors),
            State::Storing | State::Answering if fine => {
                self.tasks[task].status = Failure::DatabaseDown as u8;
            }
            State::Away if asks => self.tasks[task].status = Failure::DatabaseDown as u8,
            _ => {}
        }
    }

    /// All connections of a kind of pool are lost, though their server is there.
    pub fn sever_pool(&mut self, kind: PoolId) {
        for task in 0..self.tasks.capacity() as u32 {
            let record = *self.tasks.peek(task);
            if record.state == State::Free || record.worker == NONE {
                continue; // what a dead process has sent goes on
            }
            let own = |lease: &Lease| {
                let sub = self.pools.get(lease.pool as usize)?;
                (sub.kind == kind && sub.is_cut(lease.connection).is_none()).then_some(sub.node)
            };
            let lost = record.leases.map(|lease| own(&lease));
            if let Some(node) = own(&innermost(&record)) {
                self.cut_statement(task, node);
                self.arm_node(node);
            }
            for (lease, node) in record.leases.iter().zip(lost) {
                if let Some(node) = node {
                    let cut = (lease.connection, Failure::DatabaseDown);
                    let sub = &mut self.pools[lease.pool as usize];
                    sub.cut.push(cut);
                    if sub.behind.is_none() && !sub.leave_to_server(lease.connection) {
                        self.free_slot(node);
                    }
                    self.release_locks(task);
                }
            }
        }
        for sub in 0..self.pools.len() as u32 {
            if self.pools[sub as usize].kind == kind {
                for _ in 0..self.pools[sub as usize].opening_granted() {
                    self.free_far_end(sub);
                }
                self.pools[sub as usize].lose_openings(false);
                if self.keeps_cut_ones(sub) {
                    for _ in 0..self.cut_idle(sub, Failure::DatabaseDown) {
                        self.free_slot_behind(sub);
                    }
                    continue;
                }
                while let Some(connection) = self.pools[sub as usize].pool.sever_idle() {
                    self.client_lets_go(Lease { pool: sub, connection }, false);
                    let cut = self.pools[sub as usize].how_cut(connection);
                    self.start_closing(sub, cut, Heard::No);
                }
            }
        }
    }

    /// Idle connections leave their pools, and those being opened fail.
    fn cut_pools(&mut self, node: u32) {
        for sub in 0..self.pools.len() as u32 {
            let state = &self.pools[sub as usize];
            if state.node != node || state.behind.is_some() && !self.keeps_sessions(sub) {
                continue;
            }
            let silent = self.node_mut(node).is_silent();
            let state = &mut self.pools[sub as usize];
            state.lose_openings(silent);
            state.unanswered.clear();
            let how = state.how_it_learns(silent);
            if how == UNNOTICED || self.keeps_cut_ones(sub) {
                self.cut_idle(sub, how);
                continue;
            }
            while let Some(idle) = self.pools[sub as usize].pool.sever_idle() {
                self.pools[sub as usize].take_cut(idle);
                self.start_closing(sub, Cut::Yes, Heard::No);
            }
        }
    }

    /// What the node itself was doing is gone; writes that a replica has still to replay are not.
    fn lose_work(&mut self, node: u32) {
        self.off_cores(node, REPLAY);
        while self.off_cores(node, BACKGROUND).is_some() {}
        self.lose_starts(node);
        assert!(self.node_mut(node).cores.is_empty(), "whoever was on its cores has heard of it");
        let state = self.node_mut(node);
        (state.replaying, state.paused) = (false, false);
        self.arm_node(node);
    }

    /// A statement whose connection was cut while it was on its way: the reset comes back.
    pub(super) fn turned_back(&mut self, task: u32) {
        if self.tasks[task].has(flag::GHOST) {
            return self.bury(task);
        }
        let (back, arrives) = self.way_back(task);
        let node = self.pools[self.tasks[task].lease().pool as usize].node;
        let repeats = self.repeated_for(node, Packet::Data);
        self.travel(task, back);
        self.tasks[task].state = State::Answering;
        self.at_task(self.now + back + repeats, arrives, task);
    }

    /// Something about a node is due.
    pub(super) fn at_node(&mut self, at: crate::units::Time, what: Timer, node: u32) {
        self.events.push(Event::new(at, Kind::NodeTimer as u8, what as u32, node));
    }

    /// A task's statement fails at its server, and the sender hears of it half a round trip later.
    pub(super) fn statement_failed(
        &mut self,
        task: u32,
        node: u32,
        why: Failure,
        counter: Counter,
    ) {
        self.free_sorts(task, node);
        let station = self.station_of_node(node);
        self.meters[station].count(counter);
        let (back, arrives) = self.way_back(task);
        self.travel(task, back);
        let record = &mut self.tasks[task];
        let given_up = record.status == Failure::StatementTimeout as u8;
        debug_assert!(record.status == OK || given_up, "a statement fails once");
        (record.state, record.deadline) = (State::Answering, crate::units::Time::NEVER);
        record.status = why as u8;
        let hangs = match why {
            Failure::DatabaseDown => self.unanswered_for(node),
            _ => Duration::ZERO,
        };
        self.at_task(self.now + back + hangs, arrives, task);
    }
}

/// The lease that a task's next statement would use.
fn innermost(task: &Task) -> Lease {
    let [outer, inner] = task.leases;
    if inner.pool != NONE { inner } else { outer }
}

impl crate::run::pool::SubPool {
    /// Whether a connection goes on to a server at the moment.
    fn reaches_server(&self, connection: Connection) -> bool {
        self.behind.as_ref().is_none_or(|behind| behind.has_server(connection))
    }
    /// Whether the server has cut this connection while it was held; asked once, when it comes back.
    pub fn take_cut(&mut self, connection: Connection) -> bool {
        match self.cut.iter().position(|(one, _)| *one == connection) {
            Some(place) => {
                self.cut.swap_remove(place);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{model, run_for};
    use super::super::super::world::World;
    use crate::failure::Failure;
    use crate::kernel::EventList;
    use crate::run::task::State;
    use crate::units::Duration;

    const SHOP: &str = r#"
        version = 1
        arrivals = { rate = "100/s", process = "even" }
        [service.web]
        [pool.pg]
        service = "web"
        database = "db"
        acquire_timeout = "2s"
        [database.db]
        rtt = "0ms"
        connect = "10ms"
        [operation.read]
        share = 1
        flow = [{ query = { pool = "pg", read = "1ms" } }]
    "#;

    fn failed(world: &World<'_, EventList>, why: Failure) -> u64 {
        world.observer.failed[why as usize]
    }

    #[test]
    fn a_refusing_server_fails_requests_at_once_and_a_silent_one_by_their_timeout() {
        let model = model(SHOP);
        let (asked, times) = (Failure::DatabaseDown, Failure::AcquireTimeout);
        for (silent, why) in [(Duration::ZERO, asked), (Duration::secs(10), times)] {
            let mut world = World::<EventList>::new(&model, 0);
            run_for(&mut world, Duration::secs(60));
            let before = world.observer.ok;
            world.node_down(0, Duration::secs(10), silent);
            run_for(&mut world, Duration::millis(9_500));
            assert_eq!(world.observer.ok, before, "nobody is served while nobody is there");
            assert!(failed(&world, why) > 700, "{}", failed(&world, why));
            run_for(&mut world, Duration::secs(10));
            let served = world.observer.ok - before;
            // Statements that were sent to nobody are repeated, the first of them at 12.6 s.
            assert!((500..=1_200).contains(&served), "{served} after it was back");
            // Idle connections that nobody has asked over since are dead without their pool's knowing.
            let open = world.pools[0].pool.total() - world.pools[0].cut.len() as u32;
            assert_eq!(world.node_mut(0).connections, open);
        }
    }

    #[test]
    fn a_transaction_hears_at_its_next_statement_and_its_connection_is_closed() {
        let flow = "flow = [{ transaction = { pool = \"pg\", flow = [{ wait = \"5s\" }, \
                    { query = { pool = \"pg\", write = \"1ms\" } }] } }]";
        let text = SHOP
            .replace("flow = [{ query = { pool = \"pg\", read = \"1ms\" } }]", flow)
            .replace("100/s", "1/s");
        let model = model(&text);
        let mut world = World::<EventList>::new(&model, 0);
        run_for(&mut world, Duration::millis(62_500));
        world.node_down(0, Duration::millis(100), Duration::ZERO);
        let lost = world.pools[0].pool.busy();
        assert_eq!((lost, failed(&world, Failure::DatabaseDown)), (5, 0), "they hold, and wait");
        run_for(&mut world, Duration::secs(10));
        assert_eq!(failed(&world, Failure::DatabaseDown), 5);
        let open = world.pools[0].pool.total();
        assert_eq!(world.node_mut(0).connections, open);
    }

    /// Servers come and go in the middle of everything, processes too; the books always close.
    fn torment(text: &str) {
        let model = model(text);
        let mut world = World::<EventList>::new(&model, 0);
        let mut draws = world.key.named("torment").draw(0);
        let nodes: Vec<u32> = world
            .databases
            .iter()
            .flat_map(|state| (0..state.nodes.len() as u32).map(|node| state.first_node() + node))
            .collect();
        for _ in 0..300 {
            run_for(&mut world, Duration::micros(u64::from(draws.below(120_000))));
            let node = nodes[draws.below(nodes.len() as u32) as usize];
            let takes = Duration::millis(u64::from(draws.below(50)));
            let silent = if draws.below(2) == 0 { takes.half() } else { Duration::ZERO };
            world.node_down(node, takes, silent);
            let database = world.database_of(node);
            let each = 1 + model.databases[database].replicas;
            let place = node - world.databases[database].first_node();
            if place.is_multiple_of(each) && each > 1 && draws.below(20) == 0 {
                world.lose_primary(node);
            }
            if draws.below(4) == 0 {
                let worker = draws.below(world.workers.len() as u32);
                world.kill_worker(worker);
                run_for(&mut world, Duration::micros(u64::from(draws.below(9_000))));
                world.restart_worker(worker);
            }
            run_for(&mut world, Duration::ZERO);
        }
        for instance in 0..world.instances.len() as u32 {
            world.kill_instance(instance);
        }
        run_for(&mut world, Duration::secs(130));
        for node in world.databases.iter().flat_map(|database| &database.nodes) {
            assert_eq!(node.connections, 0, "every connection of the dead has ended");
        }
        // Those who wait at an edge have come since, and of whom a silent server has died with nobody hears.
        let inside = |state| !matches!(state, State::Free | State::Away | State::Joined);
        let lost = |task: &crate::run::task::Task| {
            task.worker == crate::run::task::NONE && task.leases_held() == 0
        };
        let left = (0..world.tasks.capacity() as u32)
            .filter(|task| inside(world.tasks.peek(*task).state) && !lost(world.tasks.peek(*task)))
            .count();
        assert_eq!(left, 0, "nothing is left of the dead");
    }

    #[test]
    fn everything_adds_up_however_servers_fail() {
        torment(include_str!("../../../tests/topologies/pressure.toml"));
    }

    #[test]
    fn everything_adds_up_when_drivers_give_up() {
        let flow = "flow = [{ query = { pool = \"pg\", read.exponential = \"20ms\" } }, \
                    { transaction = { pool = \"pg\", flow = [{ wait.exponential = \"9ms\" }, \
                    { query = { pool = \"pg\", write.exponential = \"9ms\", fail = \"5%\" } }] } }]";
        for driver in ["node-postgres", "asyncpg"] {
            let timeout =
                format!("driver = \"{driver}\"\nquery_timeout = \"15ms\"\nacquire_timeout");
            let text = SHOP
                .replace("acquire_timeout", &timeout)
                .replace("flow = [{ query = { pool = \"pg\", read = \"1ms\" } }]", flow)
                .replace("rtt = \"0ms\"", "rtt.exponential = \"1ms\"\ncpu_share = \"50%\"");
            assert!(text.contains("15ms") && text.contains("9ms") && text.contains("50%"));
            torment(&text);
        }
    }

    #[test]
    fn everything_adds_up_when_pools_do_not_notice() {
        let flow = "flow = [{ query = { pool = \"pg\", read.exponential = \"20ms\" } }]";
        for driver in [
            "{ sqlalchemy = { pre_ping = true, max_overflow = 2 } }",
            "\"sqlalchemy\"",
            "\"psycopg\"",
        ] {
            let options = format!(
                "driver = {driver}\nidle_timeout = \"400ms\"\nmax_lifetime = \"900ms\"\n\
                 acquire_timeout"
            );
            let text = SHOP
                .replace("acquire_timeout", &options)
                .replace("flow = [{ query = { pool = \"pg\", read = \"1ms\" } }]", flow)
                .replace("rtt = \"0ms\"", "rtt.exponential = \"1ms\"");
            assert!(text.contains("900ms") && text.contains("20ms"));
            torment(&text);
        }
    }

    #[test]
    fn everything_adds_up_behind_poolers() {
        for (mode, gives_up) in
            [("session", ""), ("transaction", ""), ("transaction", "query_timeout = \"12ms\"\n")]
        {
            let pooler = format!(
                "through = \"b\"\n[pooler.b]\ndatabase = \"db\"\nmode = \"{mode}\"\nsize = 3\n\
                 min = 1\nreserve = 1\nreserve_after = \"50ms\"\nwait_timeout = \"300ms\"\n\
                 idle_timeout = \"1s\"\nmax_lifetime = \"2s\"\nlogin_retry = \"20ms\"\nclients = 6\n"
            );
            let flow = "flow = [{ query = { pool = \"pg\", read.exponential = \"20ms\" } }, \
                        { transaction = { pool = \"pg\", flow = [{ wait.exponential = \"9ms\" }, \
                        { query = { pool = \"pg\", write.exponential = \"9ms\", fail = \"5%\" } }] } }]";
            let text = SHOP
                .replace(
                    "acquire_timeout = \"2s\"\n",
                    &format!("idle_timeout = \"2s\"\n{gives_up}{pooler}"),
                )
                .replace("flow = [{ query = { pool = \"pg\", read = \"1ms\" } }]", flow)
                .replace("rtt = \"0ms\"", "rtt.exponential = \"1ms\"");
            assert!(text.contains("pooler.b") && text.contains("9ms"));
            torment(&text);
        }
    }

    #[test]
    fn everything_adds_up_across_regions() {
        torment(include_str!("../../../tests/topologies/spread.toml"));
    }
}
