//! What the tests of the drivers share, and the laws that all of them keep.

use super::*;

/// So many milliseconds after the start.
pub(super) fn ms(count: u64) -> Time {
    Time::ZERO + Duration::millis(count)
}

/// A pool of ten that waits for ever and closes nothing by itself.
pub(super) fn config(driver: Driver) -> PoolConfig {
    PoolConfig {
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
