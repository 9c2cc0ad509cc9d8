//! What a shard of Amazon Kinesis takes and gives (Amazon Kinesis Data Streams Developer Guide, "Quotas and
//! limits"): so many records and so many bytes a second are put; so many reads a second are made by all who
//! share it, and when they have read more bytes than it gives in a second, nobody reads before it would have
//! given them ("if a call to GetRecords returns 10 MB, subsequent calls made within the next 5 seconds throw").
//! AWS does not say over what time it counts: here a second's worth may come at once.

use crate::units::{Duration, Time};

/// What may come at once, as time at the rate.
const BURST: Duration = Duration::secs(1);

/// The limits of a shard, each as the time that one of it takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// Of a record that is put.
    pub record: Duration,
    /// Of a byte that is put (s).
    pub byte_s: f64,
    /// Of a read.
    pub read: Duration,
    /// Of a byte that is read (s).
    pub read_byte_s: f64,
}

impl Limits {
    /// How much of the shard's time a record takes of so many bytes.
    pub fn cost(&self, bytes: u64) -> Duration {
        self.record.max(Duration::from_secs_f64(bytes as f64 * self.byte_s))
    }
}

/// One shard: when all that came would have come at each of its rates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Throughput {
    records: Time,
    bytes: Time,
    reads: Time,
    /// When it will have given what was read of it.
    given: Time,
    /// When what it has taken will have taken all of its time, one after the other.
    taken: Time,
    /// It is taken up, until somebody says that it is free.
    occupied: bool,
}

/// Whether one more fits in; says when all would have come then.
fn fits(due: Time, now: Time, cost: Duration) -> Option<Time> {
    let then = due.max(now) + cost;
    (then.since(now) <= BURST).then_some(then)
}

impl Throughput {
    /// Whether a record of so many bytes is taken.
    pub fn put(&mut self, now: Time, bytes: u64, limits: &Limits) -> bool {
        let cost = Duration::from_secs_f64(bytes as f64 * limits.byte_s);
        let (records, bytes) =
            (fits(self.records, now, limits.record), fits(self.bytes, now, cost));
        if let (Some(records), Some(bytes)) = (records, bytes) {
            (self.records, self.bytes) = (records, bytes);
        }
        records.is_some() && bytes.is_some()
    }
    /// What was taken takes so much of its time. Says until when, if it had nothing before.
    pub fn occupy(&mut self, now: Time, cost: Duration) -> Option<Time> {
        let idle = !std::mem::replace(&mut self.occupied, true);
        self.taken = self.taken.max(now) + cost;
        idle.then_some(self.taken)
    }
    /// Whether it is free by now; if not, until when it is taken up.
    pub fn frees(&mut self, now: Time) -> Result<(), Time> {
        self.occupied = self.taken > now;
        if self.occupied { Err(self.taken) } else { Ok(()) }
    }
    /// Whether somebody may read.
    pub fn read(&mut self, now: Time, limits: &Limits) -> bool {
        let again = fits(self.reads, now, limits.read);
        let owes = self.given.max(now).since(now) > BURST;
        if let (Some(again), false) = (again, owes) {
            self.reads = again;
        }
        again.is_some() && !owes
    }
    /// So many bytes have been read.
    pub fn gave(&mut self, now: Time, bytes: u64, limits: &Limits) {
        self.given =
            self.given.max(now) + Duration::from_secs_f64(bytes as f64 * limits.read_byte_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        record: Duration::millis(1),
        byte_s: 1e-6,
        read: Duration::millis(200),
        read_byte_s: 0.5e-6,
    };
    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::millis(ms)
    }

    #[test]
    fn a_second_of_records_or_bytes_comes_at_once_and_then_what_the_rate_gives() {
        let mut shard = Throughput::default();
        let mut taken = |now, bytes| (0..).take_while(|_| shard.put(now, bytes, &LIMITS)).count();
        assert_eq!(taken(at(0), 100), 1_000);
        assert_eq!(taken(at(500), 100), 500);
        assert_eq!(taken(at(5_000), 10_000), 100, "a megabyte");
        assert_eq!(taken(at(5_050), 10_000), 5);
        assert_eq!(
            (LIMITS.cost(100), LIMITS.cost(10_000)),
            (Duration::millis(1), Duration::millis(10))
        );
    }

    #[test]
    fn what_comes_as_it_would_be_free_takes_it_up_further() {
        let mut shard = Throughput::default();
        let second = Duration::secs(1);
        assert_eq!(shard.occupy(at(0), second), Some(at(1_000)));
        assert_eq!(shard.occupy(at(1_000), second), None, "nobody has said that it is free");
        assert_eq!(shard.frees(at(1_000)), Err(at(2_000)));
        assert_eq!(shard.frees(at(2_000)), Ok(()));
        assert_eq!(shard.occupy(at(2_000), second), Some(at(3_000)));
    }

    #[test]
    fn five_read_at_once_and_nobody_while_it_owes_more_than_a_second() {
        let mut shard = Throughput::default();
        let read =
            |shard: &mut Throughput, now| (0..9).take_while(|_| shard.read(now, &LIMITS)).count();
        assert_eq!((read(&mut shard, at(0)), read(&mut shard, at(199))), (5, 0));
        assert_eq!(read(&mut shard, at(200)), 1);
        shard.gave(at(10_000), 10_000_000, &LIMITS);
        assert_eq!((read(&mut shard, at(13_999)), read(&mut shard, at(14_001))), (0, 5));
    }
}
