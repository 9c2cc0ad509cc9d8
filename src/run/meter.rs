//! What is measured at each component, and where a request's time goes.

use crate::failure::FAILURES;
use crate::kernel::Dense;
use crate::model::ids::StationId;
use crate::stats::{Histogram, Level, NO_THRESHOLDS, thresholds_of_capacity};
use crate::units::{Duration, Time};

/// Busy servers are counted in thousandths, so that shared cores are integers too.
pub const MILLI: i64 = 1000;

/// Things counted at components; which of them a component has depends on its kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Counter {
    /// Came to be served.
    Arrivals,
    /// Were served.
    Served,
    /// Were turned away.
    Rejected,
    /// Waited too long.
    TimedOut,
    /// Connections opened; instances started.
    Opened,
    /// Connections closed; instances stopped.
    Closed,
    /// Connections refused by the server.
    Refused,
    /// Looked up and found.
    Hits,
    /// Looked up and not found.
    Misses,
    /// Joined somebody else's load.
    Joined,
    /// Entries evicted.
    Evicted,
    /// Entries, rows or sessions expired.
    Expired,
    /// Writes that found no memory.
    OutOfMemory,
    /// Reads.
    Reads,
    /// Writes.
    Writes,
    /// Reads that may have missed the reader's own last write.
    StaleReads,
    /// Evaluations that failed.
    Errors,
    /// Bytes carried.
    Bytes,
    /// Sum of replication lags at apply (us).
    LagMicros,
    /// Replayed writes.
    Replayed,
    /// Sessions or entries created.
    Created,
    /// Jobs tried again.
    Retried,
    /// Work done for nobody.
    Wasted,
    /// Transfers hit by loss.
    Lost,
    /// Jobs run again because their lock was lost.
    Stalled,
    /// Time without burst credits, at the baseline (us).
    ThrottledMicros,
    /// Core time above what burst credits were earned for (ms).
    SurplusMillis,
    /// Such core time that later earnings have paid back (ms).
    RepaidMillis,
    /// Sum of the replication lags that the product shows once a minute (us).
    LagShownMicros,
    /// Replication lags shown.
    LagShown,
    /// Statements that failed in a deadlock.
    Deadlocks,
    /// Queries cancelled because replay conflicted with them.
    Conflicts,
    /// Bytes answered from a cache at the edge.
    HitBytes,
    /// Values served after their time to live.
    Stale,
    /// Values loaded anew before their time to live was over.
    Early,
    /// Processes killed because they did not answer, or found no memory.
    Killed,
    /// Collections of garbage.
    Collections,
    /// Time that loops stood still for them (us).
    PausedMicros,
    /// Time that executions of a function are charged for (ms).
    BilledMillis,
    /// Workers that ended because they had answered enough.
    Recycled,
    /// Commands that a server's slow log has.
    Slow,
    /// Bytes of uploads that were begun and never completed.
    Left,
    /// Messages whose handlers have ended well.
    Handled,
    /// Messages whose handlers have failed, or died with their process.
    Unhandled,
    /// Bytes that were put into a store.
    Stored,
}

/// How many counters there are.
pub const COUNTERS: usize = 45;

impl Counter {
    /// All of them, in their order.
    pub const ALL: [Counter; COUNTERS] = [
        Counter::Arrivals,
        Counter::Served,
        Counter::Rejected,
        Counter::TimedOut,
        Counter::Opened,
        Counter::Closed,
        Counter::Refused,
        Counter::Hits,
        Counter::Misses,
        Counter::Joined,
        Counter::Evicted,
        Counter::Expired,
        Counter::OutOfMemory,
        Counter::Reads,
        Counter::Writes,
        Counter::StaleReads,
        Counter::Errors,
        Counter::Bytes,
        Counter::LagMicros,
        Counter::Replayed,
        Counter::Created,
        Counter::Retried,
        Counter::Wasted,
        Counter::Lost,
        Counter::Stalled,
        Counter::ThrottledMicros,
        Counter::SurplusMillis,
        Counter::RepaidMillis,
        Counter::LagShownMicros,
        Counter::LagShown,
        Counter::Deadlocks,
        Counter::Conflicts,
        Counter::HitBytes,
        Counter::Stale,
        Counter::Early,
        Counter::Killed,
        Counter::Collections,
        Counter::PausedMicros,
        Counter::BilledMillis,
        Counter::Recycled,
        Counter::Slow,
        Counter::Left,
        Counter::Handled,
        Counter::Unhandled,
        Counter::Stored,
    ];
    /// Its name in results.
    pub fn slug(self) -> &'static str {
        match self {
            Counter::Arrivals => "arrivals",
            Counter::Served => "served",
            Counter::Rejected => "rejected",
            Counter::TimedOut => "timed_out",
            Counter::Opened => "opened",
            Counter::Closed => "closed",
            Counter::Refused => "refused",
            Counter::Hits => "hits",
            Counter::Misses => "misses",
            Counter::Joined => "joined",
            Counter::Evicted => "evicted",
            Counter::Expired => "expired",
            Counter::OutOfMemory => "out_of_memory",
            Counter::Reads => "reads",
            Counter::Writes => "writes",
            Counter::StaleReads => "stale_reads",
            Counter::Errors => "errors",
            Counter::Bytes => "carried_bytes",
            Counter::LagMicros => "lag_sum_us",
            Counter::Replayed => "replayed",
            Counter::Created => "created",
            Counter::Retried => "retried",
            Counter::Wasted => "wasted",
            Counter::Lost => "lost",
            Counter::Stalled => "stalled",
            Counter::ThrottledMicros => "throttled_us",
            Counter::SurplusMillis => "surplus_core_ms",
            Counter::RepaidMillis => "repaid_core_ms",
            Counter::LagShownMicros => "lag_shown_sum_us",
            Counter::LagShown => "lag_shown",
            Counter::Deadlocks => "deadlocks",
            Counter::Conflicts => "conflicts",
            Counter::Stale => "stale",
            Counter::Early => "early",
            Counter::Killed => "killed",
            Counter::Collections => "collections",
            Counter::PausedMicros => "paused_us",
            Counter::BilledMillis => "billed_ms",
            Counter::Recycled => "recycled",
            Counter::Slow => "slow_commands",
            Counter::Left => "left_bytes",
            Counter::HitBytes => "hit_bytes",
            Counter::Handled => "handled",
            Counter::Unhandled => "unhandled",
            Counter::Stored => "stored_bytes",
        }
    }
}

/// What is measured at a component.
#[derive(Clone, Debug)]
pub struct Meter {
    /// Requests that wait.
    pub waiting: Level,
    /// Servers that are busy, in thousandths.
    pub busy: Level,
    /// A further level: open connections, live sessions, used bytes, running instances.
    pub held: Level,
    /// Waiting times of those who have waited, zero waits included.
    pub wait: Histogram,
    /// Everything that is counted.
    pub counters: [u64; COUNTERS],
    /// Sum of all waits that are over (ticks).
    waited: u128,
    /// Waiting times are recorded from the end of the warm-up on.
    recording: bool,
    /// What each part works, where a component has parts that cannot help one another.
    parts: Parts,
}

/// Parts of a component with a queue each: nodes of a cluster, shards, partitions.
#[derive(Clone, Debug, Default)]
struct Parts {
    /// One for each; empty where there is one part only.
    of: Vec<PartBusy>,
    /// How many of them can work at a time.
    servers: u32,
}

/// How long a part has been busy.
#[derive(Clone, Copy, Debug, Default)]
struct PartBusy {
    /// Its busy servers (thousandths), since when.
    busy: i64,
    since: Time,
    /// The area under that until then.
    area: i128,
}

impl PartBusy {
    fn area(&self, now: Time) -> i128 {
        self.area + i128::from(self.busy) * i128::from(now.since(self.since).0)
    }
}

impl Meter {
    /// A meter of a component with so many servers.
    pub fn new(capacity: f64) -> Meter {
        let servers = (capacity * MILLI as f64) as u64;
        Meter {
            waiting: Level::new(Time::ZERO, NO_THRESHOLDS),
            busy: Level::new(
                Time::ZERO,
                if servers > 0 { thresholds_of_capacity(servers) } else { NO_THRESHOLDS },
            ),
            held: Level::new(Time::ZERO, NO_THRESHOLDS),
            wait: Histogram::new(),
            counters: [0; COUNTERS],
            waited: 0,
            recording: false,
            parts: Parts::default(),
        }
    }
    /// From now on it has so many parts, of which so many can work at a time.
    pub fn divide(&mut self, parts: u32, servers: u32) {
        if parts > 1 {
            self.parts = Parts { of: vec![PartBusy::default(); parts as usize], servers };
        }
    }
    /// So many more servers of a part are busy, or fewer (thousandths); and of the whole.
    #[inline(always)]
    pub fn add_busy(&mut self, now: Time, part: u32, change: i64) {
        self.busy.add(now, change);
        if let Some(part) = self.parts.of.get_mut(part as usize) {
            (part.area, part.since) = (part.area(now), now);
            part.busy += change;
        }
    }
    /// How much more the busiest part works than the mean of those that can work at a time: 1 is even;
    /// [`None`] for what has no parts or has not worked.
    pub fn imbalance(&self, now: Time) -> Option<f64> {
        let areas = self.parts.of.iter().map(|part| part.area(now));
        let busiest = areas.clone().max()?;
        let all: i128 = areas.sum();
        (all > 0).then(|| busiest as f64 * f64::from(self.parts.servers) / all as f64)
    }
    /// Counts one.
    #[inline(always)]
    pub fn count(&mut self, counter: Counter) {
        self.counters[counter as usize] += 1;
    }
    /// Counts many.
    #[inline(always)]
    pub fn add(&mut self, counter: Counter, many: u64) {
        self.counters[counter as usize] += many;
    }
    /// Somebody begins to wait.
    #[inline(always)]
    pub fn enter(&mut self, now: Time) {
        self.waiting.add(now, 1);
    }
    /// Somebody who has waited since then waits no longer.
    #[inline(always)]
    pub fn leave(&mut self, now: Time, since: Time) {
        self.waiting.add(now, -1);
        self.waited += u128::from(now.since(since).0);
        if self.recording {
            self.wait.record(now.since(since));
        }
    }
    /// Somebody did not have to wait.
    #[inline(always)]
    pub fn pass(&mut self) {
        if self.recording {
            self.wait.record(Duration::ZERO);
        }
    }
    /// Somebody has been served among others, and it took this much longer than alone.
    #[inline(always)]
    pub fn shared(&mut self, waited: Duration) {
        if self.recording {
            self.wait.record(waited);
        }
    }
    /// The warm-up is over: counts and peaks start anew, levels go on.
    pub fn start_measuring(&mut self, now: Time) {
        self.counters = [0; COUNTERS];
        self.wait = Histogram::new();
        self.recording = true;
        for part in &mut self.parts.of {
            (part.area, part.since) = (0, now);
        }
        for level in [&mut self.waiting, &mut self.busy, &mut self.held] {
            level.reset(now);
        }
    }
    /// Little's law, exactly: the area under the number waiting is the sum of all waits, those of
    /// `still` going on included. Says by how many ticks it is broken; zero when it holds.
    pub fn little_error(&self, now: Time, still: Still) -> i128 {
        let going_on = u128::from(still.count) * u128::from(now.0) - still.since;
        self.waiting.total(now) as i128 - (self.waited + going_on) as i128
    }
}

/// Those who stand in a queue at the end: how many, and the sum of the times since when (ticks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Still {
    /// How many.
    pub count: u64,
    /// Sum of the times at which they entered (ticks).
    pub since: u128,
}

impl Still {
    /// One more.
    pub fn add(&mut self, since: Time) {
        self.count += 1;
        self.since += u128::from(since.0);
    }
}

/// Which part of its time a request spends at a component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Waiting its turn.
    Wait,
    /// Being served.
    Service,
}

/// Where the time of requests goes, component by component: for all of them, and by how slow they
/// were, so that the slowest 1 % can be told apart afterwards.
///
/// Requests are classed by latency, eight classes an octave; everything is an integer sum, so
/// replications merge exactly in any order.
#[derive(Clone, Debug, Default)]
pub struct Attribution {
    columns: usize,
    /// Rows of requests in flight.
    rows: Vec<u64>,
    free: Vec<u32>,
    /// Finished requests, by class of latency.
    classes: Vec<Class>,
}

/// Sums over the requests of a class of latency.
#[derive(Clone, Debug, Default)]
pub struct Class {
    /// How many.
    pub requests: u64,
    /// Sum of their latencies (ticks).
    pub latency: u128,
    /// Sum of their time per component, waiting and service (ticks).
    pub spent: Vec<u128>,
}

impl Attribution {
    /// For so many components.
    pub fn new(stations: usize) -> Attribution {
        Attribution { columns: stations * 2, ..Attribution::default() }
    }
    /// A row for a new request.
    pub fn open(&mut self) -> u32 {
        let row = self.free.pop().unwrap_or_else(|| {
            let row = (self.rows.len() / self.columns) as u32;
            self.rows.resize(self.rows.len() + self.columns, 0);
            row
        });
        let start = row as usize * self.columns;
        self.rows[start..start + self.columns].fill(0);
        row
    }
    /// The row is not needed any more.
    pub fn close(&mut self, row: u32) {
        self.free.push(row);
    }
    /// Time spent by the request of that row.
    #[inline(always)]
    pub fn spend(&mut self, row: u32, at: StationId, part: Part, length: Duration) {
        let column = at.0 as usize * 2 + usize::from(part == Part::Service);
        self.rows[row as usize * self.columns + column] += length.0;
    }
    /// The request of that row has lost all of its time so far: whatever it spent it on, it counts
    /// as waiting there.
    pub fn lose(&mut self, row: u32, at: StationId, so_far: Duration) {
        let start = row as usize * self.columns;
        self.rows[start..start + self.columns].fill(0);
        self.spend(row, at, Part::Wait, so_far);
    }
    /// Keeps what a row says now at that place of a list.
    pub fn keep(&self, row: u32, place: usize, kept: &mut Vec<u64>) {
        let end = (place + 1) * self.columns;
        if kept.len() < end {
            kept.resize(end, 0);
        }
        let start = row as usize * self.columns;
        kept[end - self.columns..end].copy_from_slice(&self.rows[start..start + self.columns]);
    }
    /// A row says again what was kept of it there.
    pub fn put_back(&mut self, row: u32, place: usize, kept: &[u64]) {
        let (start, from) = (row as usize * self.columns, place * self.columns);
        self.rows[start..start + self.columns].copy_from_slice(&kept[from..from + self.columns]);
    }
    /// Time that was noted in advance and has not been spent after all.
    pub fn refund(&mut self, row: u32, at: StationId, part: Part, length: Duration) {
        let column = at.0 as usize * 2 + usize::from(part == Part::Service);
        self.rows[row as usize * self.columns + column] -= length.0;
    }
    /// Adds one row to another: what a branch has spent counts for the request that waited for it.
    pub fn fold(&mut self, from: u32, into: u32) {
        for column in 0..self.columns {
            let spent = self.rows[from as usize * self.columns + column];
            self.rows[into as usize * self.columns + column] += spent;
        }
    }
    /// A request has ended: its row joins its class.
    pub fn finish(&mut self, row: u32, latency: Duration) {
        let class = class_of(latency);
        if self.classes.len() <= class {
            self.classes.resize(class + 1, Class::default());
        }
        let class = &mut self.classes[class];
        class.spent.resize(self.columns, 0);
        class.requests += 1;
        class.latency += u128::from(latency.0);
        let start = row as usize * self.columns;
        for (sum, spent) in class.spent.iter_mut().zip(&self.rows[start..start + self.columns]) {
            *sum += u128::from(*spent);
        }
    }
    /// Forgets the finished requests; those in flight go on.
    pub fn start_measuring(&mut self) {
        self.classes.clear();
    }
    /// Sums by class of latency, fastest first.
    pub fn into_classes(self) -> Vec<Class> {
        self.classes
    }
    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.rows.capacity() * 8
    }
}

/// Eight classes an octave of nanoseconds.
fn class_of(latency: Duration) -> usize {
    let nanos = (latency.0 / 1000) | 8;
    let octave = 63 - nanos.leading_zeros() as usize;
    (octave - 3) * 8 + ((nanos >> (octave - 3)) & 7) as usize
}

/// Counts of failures, by number.
pub type FailureCounts = [u64; FAILURES];

/// All meters of a run.
pub type Meters = Dense<StationId, Meter>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_match_their_numbers() {
        for (number, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, number);
        }
    }

    #[test]
    fn little_holds_to_the_tick_and_a_forgotten_leaver_breaks_it() {
        let mut meter = Meter::new(1.0);
        meter.enter(Time(10));
        meter.enter(Time(25));
        meter.leave(Time(40), Time(10));
        let mut still = Still::default();
        still.add(Time(25));
        assert_eq!(meter.little_error(Time(100), still), 0);
        assert_ne!(meter.little_error(Time(100), Still::default()), 0);
        meter.leave(Time(120), Time(26));
        assert_eq!(meter.little_error(Time(130), Still::default()), 1);
    }

    #[test]
    fn classes_grow_with_latency() {
        let classes: Vec<_> =
            [1, 10, 11, 100, 1000].map(|us| class_of(Duration::micros(us))).to_vec();
        assert!(classes.is_sorted() && classes[0] < classes[1]);
        assert_eq!(class_of(Duration::micros(16)) - class_of(Duration::micros(8)), 8);
    }

    #[test]
    fn what_a_given_up_attempt_did_is_lost() {
        let mut attribution = Attribution::new(2);
        let row = attribution.open();
        attribution.spend(row, StationId(0), Part::Service, Duration(9));
        attribution.lose(row, StationId(1), Duration(7));
        attribution.spend(row, StationId(0), Part::Wait, Duration(2));
        attribution.finish(row, Duration(9));
        assert_eq!(attribution.into_classes()[0].spent, [2, 0, 7, 0]);
    }

    #[test]
    fn branches_fold_into_their_request() {
        let mut attribution = Attribution::new(2);
        let (request, branch) = (attribution.open(), attribution.open());
        attribution.spend(request, StationId(0), Part::Wait, Duration(5));
        attribution.spend(branch, StationId(1), Part::Service, Duration(7));
        attribution.fold(branch, request);
        attribution.finish(request, Duration::micros(1));
        let classes = attribution.into_classes();
        let class = classes.last().expect("one request has ended");
        assert_eq!((class.requests, class.spent.clone()), (1, vec![5, 0, 0, 7]));
    }
}
