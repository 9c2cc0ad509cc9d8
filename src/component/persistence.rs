//! When Redis writes its data to disk, and how long that keeps it from its commands: rdb.c and
//! server.c (`serverCron`: save points), aof.c (`flushAppendOnlyFile` with `appendfsync everysec`).

use crate::units::{Duration, TICKS_PER_SECOND, Time};

/// `save <seconds> <changes>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavePoint {
    /// More than so many whole seconds since the last snapshot.
    pub seconds: u64,
    /// And so many changes since then.
    pub changes: u64,
}

/// The snapshots of a node: a child process writes what its parent held when it was forked.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    changes: u64,
    /// When the last one was done (s).
    last_s: u64,
    /// The child at work: when it will be done, and the changes that it has in it.
    child: Option<(Time, u64)>,
}

impl Snapshots {
    /// Something has been changed.
    pub fn changed(&mut self) {
        self.changes += 1;
    }

    /// What `serverCron` does: whether a child is forked now. There is one at a time.
    pub fn look(&mut self, now: Time, points: &[SavePoint]) -> bool {
        let now_s = now.0 / TICKS_PER_SECOND;
        if let Some((done, changes)) = self.child {
            if now < done {
                return false;
            }
            (self.child, self.last_s) = (None, now_s);
            self.changes -= changes;
        }
        let since_s = now_s - self.last_s;
        points.iter().any(|point| self.changes >= point.changes && since_s > point.seconds)
    }

    /// A child has been forked, and will be done then.
    pub fn forked(&mut self, done: Time) {
        self.child = Some((done, self.changes));
    }
}

/// For so long a write waits for an fsync before it blocks the server (aof.c: 2000 ms).
const POSTPONED_MOST: Duration = Duration::secs(2);
/// So often an fsync is begun, if there was anything to write.
const FSYNC_EVERY: Duration = Duration::secs(1);

/// The append-only file of a node, with an fsync in the background every second.
#[derive(Clone, Debug, Default)]
pub struct AppendOnly {
    /// What is written while an fsync runs has been put off since then.
    postponed: Option<Time>,
    /// When the last fsync was begun, and will be done.
    synced: Option<(Time, Time)>,
    /// There is something to write.
    dirty: bool,
}

impl AppendOnly {
    /// Something has been changed.
    pub fn changed(&mut self) {
        self.dirty = true;
    }

    /// What is to be written is written, or put off; for how long that blocks the server. `fsync` is
    /// how long a next one takes.
    pub fn flush(&mut self, now: Time, fsync: impl FnOnce() -> Duration) -> Duration {
        if !self.dirty {
            return Duration::ZERO;
        }
        let mut blocked = Duration::ZERO;
        if let Some((_, done)) = self.synced.filter(|(_, done)| now < *done) {
            let since = *self.postponed.get_or_insert(now);
            if now.since(since) < POSTPONED_MOST {
                return Duration::ZERO;
            }
            blocked = done.since(now);
        }
        (self.postponed, self.dirty) = (None, false);
        let at = now + blocked;
        if self.synced.is_none_or(|(begun, _)| at.since(begun) >= FSYNC_EVERY) {
            self.synced = Some((at, at + fsync()));
        }
        blocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    #[test]
    fn a_save_point_needs_its_changes_and_more_than_its_seconds() {
        let points =
            [SavePoint { seconds: 60, changes: 1 }, SavePoint { seconds: 2, changes: 100 }];
        let mut node = Snapshots::default();
        assert!(!node.look(at(100_000), &points), "nothing has changed");
        node.changed();
        assert!(!node.look(at(60_900), &points) && node.look(at(61_000), &points));
        let mut node = Snapshots::default();
        (0..100).for_each(|_| node.changed());
        assert!(!node.look(at(2_900), &points) && node.look(at(3_000), &points));
        // What is changed while the child writes is for the next one, which does not come before.
        node.forked(at(10_000));
        (0..99).for_each(|_| node.changed());
        assert!(!node.look(at(9_900), &points), "one at a time");
        assert!(!node.look(at(10_000), &points) && !node.look(at(69_000), &points));
        node.changed();
        assert!(node.look(at(69_000), &points));
    }

    #[test]
    fn an_fsync_of_more_than_two_seconds_blocks_what_is_to_be_written() {
        let mut file = AppendOnly::default();
        let mut flush = |millis: u64, fsync_ms: u64| {
            file.changed();
            file.flush(at(millis), || Duration::millis(fsync_ms)).0 / Duration::millis(1).0
        };
        assert_eq!(flush(0, 900), 0);
        assert_eq!([flush(500, 9), flush(1_000, 3_500)], [0, 0], "begun every second");
        // Put off from 1.1 s on, and blocked at 3.1 s until 4.5 s, when the next one begins.
        assert_eq!([flush(1_100, 9), flush(3_000, 9), flush(3_100, 50)], [0, 0, 1_400]);
        assert_eq!([flush(4_500, 9), flush(4_600, 9), flush(5_500, 9)], [0; 3]);
        let mut idle = AppendOnly::default();
        assert!(idle.flush(at(0), || unreachable!("nothing is written")).is_zero());
    }
}
