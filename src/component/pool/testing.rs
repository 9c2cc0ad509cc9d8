//! What the tests of the drivers share, and the laws that all of them keep.

use super::*;

/// So many milliseconds after the start.
pub(super) fn ms(count: u64) -> Time {
    Time::ZERO + Duration::millis(count)
}

/// A pool of ten that waits for ever and closes nothing by itself.
pub(super) fn config(driver: Driver) -> PoolConfig {
    PoolConfig {
        max_waiting: None,
        driver,
        size: 10,
        overflow: 0,
        min: 0,
        acquire_timeout: None,
        idle_timeout: None,
        max_uses: None,
        max_lifetime: None,
        lifo: false,
    }
}

/// A connection that was opened at once for a task.
pub(super) fn opened(pool: &mut Pool, now: Time, task: u32) -> Connection {
    let Acquire::Connect(connection) = pool.acquire(now, task) else { panic!("no room") };
    assert_eq!(pool.connected(now, connection), Connected::Granted { task });
    connection
}

/// A pool whose `count` connections tasks 0, 1, ... hold, and the connections.
pub(super) fn all_busy(config: PoolConfig, count: u32) -> (Pool, Vec<Connection>) {
    let mut pool = Pool::new(config);
    let held = (0..count).map(|task| opened(&mut pool, ms(0), task)).collect();
    assert_eq!((pool.total(), pool.busy(), pool.idle()), (count, count, 0));
    (pool, held)
}

/// A pool under random use, and the books that a bystander keeps of it.
struct History {
    pool: Pool,
    state: u64,
    held: Vec<Connection>,
    opening: Vec<Connection>,
    closing: u32,
    /// Woken, and not yet asking again.
    ready: Vec<u32>,
    unanswered: Vec<u32>,
}

impl History {
    fn new(driver: Driver, seed: u64) -> History {
        let mut history = History {
            pool: Pool::new(config(driver)),
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1,
            held: Vec::new(),
            opening: Vec::new(),
            closing: 0,
            ready: Vec::new(),
            unanswered: Vec::new(),
        };
        let size = 1 + history.draw(4) as u32;
        history.pool = Pool::new(PoolConfig {
            max_waiting: None,
            driver,
            size,
            overflow: if driver == Driver::Sqlalchemy { history.draw(3) as u32 } else { 0 },
            min: history.draw(size as usize + 1) as u32,
            acquire_timeout: (history.draw(3) > 0).then_some(Duration::millis(20)),
            idle_timeout: Some(Duration::millis(15)),
            max_uses: (history.draw(2) == 0).then_some(5),
            max_lifetime: (history.draw(2) == 0).then_some(Duration::millis(40)),
            lifo: history.draw(2) == 0,
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
        let place = self.unanswered.iter().position(|waiting| *waiting == task);
        self.unanswered.swap_remove(place.expect("every request is answered once"));
    }

    fn ask(&mut self, now: Time, task: u32) {
        match self.pool.acquire(now, task) {
            Acquire::Granted(connection) => {
                assert!(!self.held.contains(&connection), "lent twice");
                self.answer(task);
                self.held.push(connection);
            }
            Acquire::Connect(connection) => self.opening.push(connection),
            Acquire::Reconnect { new: connection, .. } => {
                self.closing += 1;
                self.opening.push(connection);
            }
            Acquire::TimedOut => self.answer(task),
            Acquire::Wait => {}
        }
    }

    fn served(&mut self, served: Option<Served>) {
        match served {
            Some(Served::Granted { task, connection }) => {
                self.answer(task);
                self.held.push(connection);
            }
            Some(Served::Connect { connection, .. }) => self.opening.push(connection),
            Some(Served::Woken { task }) => self.ready.push(task),
            None => {}
        }
    }

    fn released(&mut self, connection: Connection, released: Released) {
        match released {
            Released::Handed { task } | Released::Passed { task } => {
                self.answer(task);
                self.held.push(connection);
            }
            Released::Woken { task } => self.ready.push(task),
            Released::Idle => {}
            Released::Close => self.closing += 1,
        }
    }

    fn opening_ends(&mut self, now: Time) {
        let place = self.draw(self.opening.len());
        let connection = self.opening.swap_remove(place);
        if self.draw(5) == 0 {
            if let Some(failed) = self.pool.connect_failed(now, connection) {
                failed.owner.into_iter().for_each(|task| self.answer(task));
                self.served(failed.served);
            }
            return;
        }
        match self.pool.connected(now, connection) {
            Connected::Granted { task } => {
                self.answer(task);
                self.held.push(connection);
            }
            Connected::Unclaimed(released) => self.released(connection, released),
            Connected::Stale => {}
        }
    }

    fn timers(&mut self, now: Time) {
        while let Some(expired) = self.pool.expire(now) {
            match expired {
                Expired::Acquire { task } => self.answer(task),
                Expired::Woken { task } => self.ready.push(task),
                Expired::Connect { failed, .. } => {
                    failed.owner.into_iter().for_each(|task| self.answer(task));
                    self.served(failed.served);
                }
            }
        }
        while let Some(connection) = self.pool.expire_idle(now) {
            assert!(!self.held.contains(&connection), "closed under its holder");
            self.closing += 1;
        }
        while let Some(connection) = self.pool.open_more(now) {
            self.opening.push(connection);
        }
    }

    fn step(&mut self, now: Time, task: u32) {
        match self.draw(6) {
            0 | 1 => {
                self.unanswered.push(task);
                self.ask(now, task);
            }
            2 if !self.held.is_empty() => {
                let place = self.draw(self.held.len());
                let connection = self.held.swap_remove(place);
                if self.draw(8) == 0 {
                    let served = self.pool.discard(now, connection);
                    self.served(served);
                } else {
                    let released = self.pool.release(now, connection);
                    self.released(connection, released);
                }
            }
            3 if !self.opening.is_empty() => self.opening_ends(now),
            4 if !self.ready.is_empty() => {
                let task = self.ready.remove(0);
                assert!(self.pool.is_woken(task));
                self.ask(now, task);
            }
            5 if self.closing > 0 && self.pool.config().driver != Driver::Sqlalchemy => {
                self.closing -= 1;
                let served = self.pool.closed(now);
                self.served(served);
            }
            _ => {}
        }
        self.timers(now);
        let config = self.pool.config();
        assert!(self.pool.total() <= config.size + config.overflow, "more than it may have");
        assert_eq!(self.pool.busy() as usize, self.held.len());
        let owned = self.pool.waiting() as usize + self.ready.len() + self.opening.len();
        assert!(self.unanswered.len() <= owned, "somebody waits for nothing");
    }
}

#[test]
fn every_history_of_every_driver_keeps_the_books() {
    for driver in ALL {
        for seed in 0..200 {
            let mut history = History::new(*driver, seed);
            for step in 0..400 {
                history.step(ms(step), step as u32);
            }
        }
    }
}
