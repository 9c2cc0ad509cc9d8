//! The rules of pg-pool, each as a test; those that surprise carry the number of their trap.

use super::super::testing::{self, ms};
use super::super::{Driver, Pool};
use super::*;
use crate::units::Duration;

/// The product's own options.
fn usual() -> PoolConfig {
    let idle_timeout = Some(Duration::secs(10));
    PoolConfig { idle_timeout, ..testing::config(Driver::NodePostgres) }
}

fn pool(size: u32, acquire_timeout_ms: Option<u64>) -> Pool {
    Pool::new(PoolConfig {
        size,
        acquire_timeout: acquire_timeout_ms.map(Duration::millis),
        ..usual()
    })
}

/// A pool of `size` connections that tasks 0, 1, ... hold, and the connections.
fn all_busy(size: u32, acquire_timeout_ms: Option<u64>) -> (Pool, Vec<Connection>) {
    let acquire_timeout = acquire_timeout_ms.map(Duration::millis);
    testing::all_busy(PoolConfig { size, acquire_timeout, ..usual() }, size)
}

fn opened(pool: &mut Pool, task: u32) -> Connection {
    testing::opened(pool, ms(0), task)
}

#[test]
fn t11_waiters_are_fifo_and_wait_for_ever_by_default() {
    let (mut pool, held) = all_busy(2, None);
    for task in 10..13 {
        assert_eq!(pool.acquire(ms(1), task), Acquire::Wait);
    }
    assert_eq!((pool.waiting(), pool.next_deadline()), (3, None));
    assert_eq!(pool.expire(Time(u64::MAX - 1)), None);
    assert_eq!(pool.release(ms(2), held[1]), Released::Handed { task: 10 });
    assert_eq!(pool.release(ms(3), held[0]), Released::Handed { task: 11 });
    assert_eq!(pool.release(ms(3), held[0]), Released::Handed { task: 12 });
    assert_eq!(pool.waiting(), 0);
}

#[test]
fn t11_idle_connections_are_lifo() {
    let (mut pool, held) = all_busy(3, None);
    for index in [1, 0, 2] {
        assert_eq!(pool.release(ms(1), held[index]), Released::Idle);
    }
    for index in [2, 0, 1] {
        assert_eq!(pool.acquire(ms(2), 9), Acquire::Granted(held[index]));
    }
}

#[test]
fn t12_total_counts_opening_and_idle_connections() {
    let (mut pool, held) = all_busy(3, None);
    pool.release(ms(1), held[0]);
    pool.discard(ms(1), held[1]);
    assert_eq!(pool.acquire(ms(1), 9), Acquire::Granted(held[0]));
    pool.release(ms(2), held[0]);
    pool.release(ms(2), held[2]);
    assert_eq!((pool.total(), pool.idle(), pool.busy()), (2, 2, 0));
    assert!(matches!(pool.acquire(ms(3), 1), Acquire::Granted(_)));
    assert!(matches!(pool.acquire(ms(3), 2), Acquire::Granted(_)));
    assert!(matches!(pool.acquire(ms(3), 3), Acquire::Connect(_)));
    assert_eq!((pool.total(), pool.busy(), pool.connecting()), (3, 2, 1));
    assert_eq!(pool.acquire(ms(3), 4), Acquire::Wait);
}

#[test]
fn t12_a_guard_on_total_stays_shut_until_idle_connections_expire() {
    let (mut pool, held) = all_busy(20, None);
    for connection in held {
        pool.release(ms(5), connection);
    }
    let at_limit = |pool: &Pool| f64::from(pool.total()) >= 0.85 * 20.0;
    assert!(at_limit(&pool) && pool.busy() == 0, "full by the count, and nobody in it");
    assert_eq!(pool.next_idle_expiry(), Some(ms(10_005)));
    assert_eq!(pool.expire_idle(ms(10_004)), None);
    while pool.expire_idle(ms(10_005)).is_some() {}
    assert_eq!((pool.total(), pool.next_idle_expiry()), (0, None));
}

#[test]
fn t13_a_request_waits_for_the_connection_it_opens() {
    // Confirmed with a stub client: an opening of 50 ms is not rescued by what is idle after 5 ms.
    let mut pool = pool(10, None);
    let busy = opened(&mut pool, 0);
    let Acquire::Connect(own) = pool.acquire(ms(0), 1) else { panic!("there is room") };
    assert_eq!(pool.release(ms(5), busy), Released::Idle);
    assert_eq!((pool.idle(), pool.connecting()), (1, 1));
    assert_eq!(pool.connected(ms(50), own), Connected::Granted { task: 1 });
    assert_eq!((pool.idle(), pool.busy()), (1, 1));
}

#[test]
fn t13_a_burst_opens_as_many_as_there_is_room() {
    let mut pool = pool(20, None);
    let opened = (0..40).filter(|&task| pool.acquire(ms(0), task) != Acquire::Wait).count();
    assert_eq!((opened, pool.total(), pool.connecting(), pool.waiting()), (20, 20, 20, 20));
}

#[test]
fn t14_a_failed_query_destroys_its_connection() {
    let (mut pool, held) = all_busy(1, None);
    pool.discard(ms(1), held[0]);
    assert_eq!((pool.total(), pool.idle(), pool.busy()), (0, 0, 0));
    assert_eq!(pool.closed(ms(1)), None, "nobody waits");
    let Acquire::Connect(next) = pool.acquire(ms(2), 1) else { panic!("there is room") };
    assert_ne!(next, held[0], "the same slot, another connection");
    assert_eq!(next.slot, held[0].slot);
}

#[test]
fn t14_waiters_are_served_only_after_the_closing() {
    let (mut pool, held) = all_busy(1, None);
    assert_eq!(pool.acquire(ms(1), 7), Acquire::Wait);
    assert_eq!(pool.acquire(ms(1), 8), Acquire::Wait);
    pool.discard(ms(1), held[0]);
    assert_eq!((pool.total(), pool.waiting()), (0, 2));
    let Some(Served::Connect { task: 7, connection }) = pool.closed(ms(2)) else {
        panic!("the oldest waiter opens a connection");
    };
    assert_eq!(pool.connected(ms(3), connection), Connected::Granted { task: 7 });
    assert_eq!(pool.waiting(), 1, "one closing serves one request");
}

#[test]
fn t15_min_opens_nothing_and_only_spares_idle_connections() {
    let config = PoolConfig { size: 5, min: 2, ..usual() };
    let mut pool = Pool::new(config);
    assert_eq!(pool.total(), 0);
    let held: Vec<Connection> = (0..4).map(|task| opened(&mut pool, task)).collect();
    for (at, &connection) in held.iter().enumerate() {
        pool.release(ms(at as u64), connection);
    }
    assert_eq!(pool.expire_idle(ms(10_000)), Some(held[0]), "the one idle for longest");
    assert_eq!(pool.expire_idle(ms(10_000)), None);
    assert_eq!(pool.next_idle_expiry(), Some(ms(10_001)));
    assert_eq!(pool.expire_idle(ms(60_000)), Some(held[1]));
    assert_eq!(pool.expire_idle(ms(60_000)), None);
    assert_eq!((pool.total(), pool.next_idle_expiry()), (2, None));
}

#[test]
fn t16_a_newcomer_overtakes_the_queue_while_a_connection_closes() {
    let (mut pool, held) = all_busy(1, None);
    assert_eq!(pool.acquire(ms(1), 7), Acquire::Wait);
    pool.discard(ms(1), held[0]);
    assert!(matches!(pool.acquire(ms(2), 8), Acquire::Connect(_)), "ahead of 7");
    assert_eq!(pool.closed(ms(3)), None, "the room is taken: 7 waits on");
    assert_eq!(pool.waiting(), 1);
}

#[test]
fn a_waiter_gives_up_at_its_own_deadline() {
    let (mut pool, held) = all_busy(1, Some(100));
    pool.acquire(ms(10), 7);
    pool.acquire(ms(20), 8);
    assert_eq!(pool.next_deadline(), Some(ms(110)));
    assert_eq!(pool.expire(ms(109)), None);
    assert_eq!(pool.expire(ms(110)), Some(Expired::Acquire { task: 7 }));
    assert_eq!((pool.expire(ms(110)), pool.next_deadline()), (None, Some(ms(120))));
    assert_eq!(pool.release(ms(111), held[0]), Released::Handed { task: 8 });
    assert_eq!(pool.next_deadline(), None);
}

#[test]
fn a_slow_opening_is_cut_off_and_the_queue_served() {
    let mut pool = pool(1, Some(100));
    let Acquire::Connect(slow) = pool.acquire(ms(0), 1) else { panic!("there is room") };
    pool.acquire(ms(30), 2);
    assert_eq!(pool.next_deadline(), Some(ms(100)));
    let Some(Expired::Connect { connection, failed }) = pool.expire(ms(100)) else {
        panic!("the opening took too long");
    };
    assert_eq!((connection, failed.owner), (slow, Some(1)));
    let Some(Served::Connect { task: 2, connection: second }) = failed.served else {
        panic!("the waiter opens the next");
    };
    assert_eq!(pool.connected(ms(101), slow), Connected::Stale);
    assert_eq!(pool.connect_failed(ms(101), slow), None);
    assert_eq!(pool.connected(ms(120), second), Connected::Granted { task: 2 });
}

#[test]
fn an_owner_that_queued_keeps_the_deadline_of_its_queuing() {
    let (mut pool, held) = all_busy(1, Some(100));
    pool.acquire(ms(10), 7);
    pool.acquire(ms(70), 8);
    pool.discard(ms(1), held[0]);
    let Some(Served::Connect { task: 7, connection }) = pool.closed(ms(50)) else {
        panic!("7 opens a connection");
    };
    assert_eq!(pool.expire(ms(110)), Some(Expired::Acquire { task: 7 }));
    assert_eq!((pool.connecting(), pool.next_deadline()), (1, Some(ms(150))));
    assert_eq!(
        pool.connected(ms(120), connection),
        Connected::Unclaimed(Released::Handed { task: 8 })
    );
}

#[test]
fn an_unclaimed_connection_lies_idle_or_is_cut_off_silently() {
    let cases = [(120, true), (150, false)];
    for (at, opens) in cases {
        let (mut pool, held) = all_busy(1, Some(100));
        pool.acquire(ms(10), 7);
        pool.discard(ms(1), held[0]);
        let Some(Served::Connect { connection, .. }) = pool.closed(ms(50)) else { panic!() };
        assert_eq!(pool.expire(ms(110)), Some(Expired::Acquire { task: 7 }));
        if opens {
            let outcome = pool.connected(ms(at), connection);
            assert_eq!(outcome, Connected::Unclaimed(Released::Idle));
            assert_eq!(pool.idle(), 1);
        } else {
            let failed = ConnectFailed { owner: None, served: None };
            assert_eq!(pool.expire(ms(at)), Some(Expired::Connect { connection, failed }));
            assert_eq!(pool.total(), 0);
        }
    }
}

#[test]
fn a_refused_opening_fails_its_owner_and_the_oldest_waiter_tries() {
    let mut pool = pool(1, None);
    let Acquire::Connect(refused) = pool.acquire(ms(0), 1) else { panic!("there is room") };
    pool.acquire(ms(0), 2);
    let failed = pool.connect_failed(ms(1), refused).expect("it was opening");
    assert_eq!(failed.owner, Some(1));
    assert!(matches!(failed.served, Some(Served::Connect { task: 2, .. })));
    assert_eq!((pool.total(), pool.waiting()), (1, 0));
}

#[test]
fn worn_out_and_old_connections_are_closed() {
    let config = PoolConfig { size: 1, max_uses: Some(2), ..usual() };
    let mut pool = Pool::new(config);
    let connection = opened(&mut pool, 0);
    assert_eq!(pool.release(ms(1), connection), Released::Idle);
    assert_eq!(pool.acquire(ms(2), 1), Acquire::Granted(connection));
    assert_eq!(pool.release(ms(3), connection), Released::Close);
    assert_eq!(pool.total(), 0);

    let lifetime = Some(Duration::millis(100));
    let config = PoolConfig { size: 2, max_lifetime: lifetime, ..usual() };
    let mut pool = Pool::new(config);
    let (idle, busy) = (opened(&mut pool, 0), opened(&mut pool, 1));
    pool.release(ms(50), idle);
    assert_eq!(pool.next_idle_expiry(), Some(ms(100)));
    assert_eq!(pool.expire_idle(ms(99)), None);
    assert_eq!(pool.expire_idle(ms(100)), Some(idle));
    assert_eq!(pool.release(ms(150), busy), Released::Close);
}

#[test]
fn a_dead_server_takes_idle_connections_and_serves_nobody() {
    let (mut pool, held) = all_busy(3, None);
    pool.release(ms(1), held[2]);
    pool.release(ms(1), held[0]);
    assert_eq!(pool.sever_idle(), Some(held[2]));
    assert_eq!(pool.sever_idle(), Some(held[0]));
    assert_eq!((pool.sever_idle(), pool.total(), pool.busy()), (None, 1, 1));
}

#[test]
fn a_warm_start_is_idle_connections() {
    let mut pool = Pool::new(PoolConfig { max_uses: Some(2), ..usual() });
    pool.prefill(ms(0), 4);
    assert_eq!((pool.total(), pool.idle()), (4, 4));
    let Acquire::Granted(connection) = pool.acquire(ms(1), 0) else { panic!("it is warm") };
    assert_eq!(pool.release(ms(2), connection), Released::Idle, "its first use");
    assert_eq!(pool.next_idle_expiry(), Some(ms(10_000)));
}

/// A pool amid everything that can happen to it, and a ledger of who holds and who waits.
struct History {
    pool: Pool,
    state: u64,
    held: Vec<Connection>,
    /// What is opening, and for whom.
    opening: Vec<(Connection, Option<u32>)>,
    closing: u32,
    unanswered: Vec<u32>,
    answers: u32,
}

impl History {
    fn new(seed: u64) -> History {
        let mut history = History {
            pool: pool(1, None),
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1,
            held: Vec::new(),
            opening: Vec::new(),
            closing: 0,
            unanswered: Vec::new(),
            answers: 0,
        };
        history.pool = Pool::new(PoolConfig {
            size: 1 + history.draw(4) as u32,
            min: history.draw(3) as u32,
            acquire_timeout: Some(Duration::millis(20)),
            idle_timeout: Some(Duration::millis(15)),
            max_uses: (history.draw(2) == 0).then_some(5),
            max_lifetime: (history.draw(2) == 0).then_some(Duration::millis(40)),
            ..usual()
        });
        history
    }

    /// Xorshift: any number below `bound`.
    fn draw(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % bound as u64) as usize
    }

    fn answer(&mut self, task: u32) {
        let place = self.unanswered.iter().position(|&waiting| waiting == task);
        self.unanswered.swap_remove(place.expect("every request is answered once"));
        self.answers += 1;
    }

    fn serve(&mut self, served: Option<Served>) {
        match served {
            Some(Served::Connect { task, connection }) => {
                self.opening.push((connection, Some(task)));
            }
            Some(Served::Granted { .. }) => panic!("an idle connection beside a queue"),
            Some(other) => panic!("node-postgres never says {other:?}"),
            None => {}
        }
    }

    fn fail(&mut self, connection: Connection, failed: ConnectFailed) {
        let place = self.opening.iter().position(|&(c, _)| c == connection);
        let (_, owner) = self.opening.swap_remove(place.expect("it was opening"));
        assert_eq!(failed.owner, owner);
        owner.into_iter().for_each(|task| self.answer(task));
        self.serve(failed.served);
    }

    fn expire(&mut self, now: Time) {
        while let Some(expired) = self.pool.expire(now) {
            match expired {
                Expired::Connect { connection, failed } => self.fail(connection, failed),
                Expired::Acquire { task } => {
                    self.answer(task);
                    for (_, owner) in &mut self.opening {
                        *owner = owner.filter(|&other| other != task);
                    }
                }
                Expired::Woken { .. } => panic!("node-postgres wakes nobody"),
            }
        }
        while let Some(connection) = self.pool.expire_idle(now) {
            assert!(!self.held.contains(&connection));
            self.closing += 1;
        }
    }

    fn released(&mut self, connection: Connection, released: Released) {
        match released {
            Released::Handed { task } => {
                self.answer(task);
                self.held.push(connection);
            }
            Released::Idle => {}
            Released::Close => self.closing += 1,
            other => panic!("node-postgres never says {other:?}"),
        }
    }

    fn acquire(&mut self, now: Time, task: u32) {
        self.unanswered.push(task);
        match self.pool.acquire(now, task) {
            Acquire::Granted(connection) => {
                self.answer(task);
                self.held.push(connection);
            }
            Acquire::Connect(connection) => self.opening.push((connection, Some(task))),
            Acquire::Wait => {}
            other => panic!("node-postgres never says {other:?}"),
        }
    }

    fn open_one(&mut self, now: Time) {
        let place = self.draw(self.opening.len());
        let (connection, owner) = self.opening[place];
        if self.draw(5) == 0 {
            let failed = self.pool.connect_failed(now, connection).expect("it was opening");
            return self.fail(connection, failed);
        }
        self.opening.swap_remove(place);
        match self.pool.connected(now, connection) {
            Connected::Granted { task } => {
                assert_eq!(Some(task), owner);
                self.answer(task);
                self.held.push(connection);
            }
            Connected::Unclaimed(released) => {
                assert_eq!(owner, None);
                self.released(connection, released);
            }
            Connected::Stale => panic!("it was never cut off"),
        }
    }

    fn give_back_one(&mut self, now: Time) {
        let place = self.draw(self.held.len());
        let connection = self.held.swap_remove(place);
        if self.draw(5) == 0 {
            self.pool.discard(ms(1), connection);
            self.closing += 1;
        } else {
            let released = self.pool.release(now, connection);
            self.released(connection, released);
        }
    }

    fn step(&mut self, step: u32) {
        let now = ms(u64::from(step));
        self.expire(now);
        match self.draw(5) {
            0 | 1 => self.acquire(now, step),
            2 if !self.opening.is_empty() => self.open_one(now),
            3 if !self.held.is_empty() => self.give_back_one(now),
            4 if self.closing > 0 => {
                self.closing -= 1;
                let served = self.pool.closed(now);
                self.serve(served);
            }
            _ => {}
        }
        let pool = &self.pool;
        assert_eq!(pool.busy(), self.held.len() as u32);
        assert_eq!(pool.connecting(), self.opening.len() as u32);
        assert!(pool.total() <= pool.config().size);
        assert!(pool.idle() == 0 || pool.waiting() == 0, "nobody waits beside an idle connection");
        let bound = self.opening.iter().filter(|(_, owner)| owner.is_some()).count();
        assert_eq!(self.unanswered.len(), bound + pool.waiting() as usize);
        assert!(pool.next_deadline().is_none_or(|deadline| deadline > now));
    }
}

#[test]
fn every_history_keeps_the_books_of_the_pool() {
    for seed in 0..300 {
        let mut history = History::new(seed);
        (0..600).for_each(|step| history.step(step));
        assert!(history.answers > 50, "a history in which something happens");
    }
}
