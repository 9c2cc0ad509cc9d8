//! Processors shared by all jobs at once: how a CPU with a time-slicing scheduler serves.

use crate::units::{Duration, Time};

/// An egalitarian processor-sharing station: `c` cores that all jobs present share equally.
///
/// With `n` jobs present each runs at the rate `r(n) = capacity(n) / n` (core-seconds a second),
/// where
///
/// ```text
/// capacity(n) = min(n, c) / (1 + sigma (m - 1) + kappa m (m - 1)),   m = max(1, n - c + 1)
/// ```
///
/// This is the universal scalability law (N. J. Gunther, *Guerrilla Capacity Planning*, Springer
/// 2007: `C(N) = N / (1 + sigma (N - 1) + kappa N (N - 1))`) with its two penalties, contention
/// `sigma` for what must be done one at a time and coherency `kappa` for what every pair must agree
/// on, counted over `m` instead of over all `N`: one job that runs and all those beyond `c` that
/// want its core. The reasons: a job's work is stated as what it needs on a station that is not
/// crowded, so up to `c` jobs each run at rate 1 exactly; how far `c` cores speed up `c` jobs is
/// already in `min(n, c)`, and to apply the law from the second job on would charge it twice.
/// Beyond `c` jobs, switches between jobs and lock holders that lost their core cost time that
/// grows with the crowd. As `min(n, c)` no longer grows there, a penalty makes throughput fall with
/// every further job, in the end like 1/n by `sigma` and like 1/n^2 by `kappa`, as that of an
/// overloaded database does.
/// `sigma = kappa = 0` is plain processor sharing.
///
/// A third penalty, `most (m - 1) / (m - 1 + half)`, is what a job pays for finding its core's caches full of
/// what others have left there: the more have run meanwhile, the less is left of its own, and when nothing
/// is, a larger crowd costs no more (D. Thiebaut and H. S. Stone, *Footprints in the cache*, ACM TOCS 5, 1987:
/// what a process must reload saturates in what ran between). See [`Crowding`].
///
/// The virtual time `V` advances at the rate `r(n)`, so a job that arrives at `V` with work `w`
/// departs when the clock shows `V + w`, whoever comes or goes in between: one heap keyed by
/// virtual finish serves all changes of rate. `V` is an integer in units of 2^-32 ticks, advanced
/// by a rate in units of 2^-63, and begins again at 0 whenever the station empties. At rate 1 it is
/// exact, and no sum loses digits however long a busy period lasts. Jobs that finish together
/// depart in order of arrival.
///
/// Every verb takes the present; time must not run backwards.
#[derive(Clone, Debug)]
pub struct ProcessorSharing {
    cores: f64,
    crowding: Crowding,
    /// When the virtual clock was last brought up to date.
    clock: Time,
    /// The virtual clock [2^-32 ticks].
    virtual_now: u128,
    /// Its rate r(n) [2^-63].
    rate: u64,
    /// Jobs by (virtual finish, arrival), a binary heap with the first at the root.
    jobs: Vec<Job>,
    /// Arrivals since the station was last empty.
    arrivals: u64,
    /// Its cores [1/1000].
    cores_milli: u64,
}

/// What jobs beyond the cores cost.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Crowding {
    /// Contention: for each of them.
    pub sigma: f64,
    /// Coherency: for each pair.
    pub kappa: f64,
    /// What a crowd without end costs by filling caches.
    pub most: f64,
    /// So many cost half of that.
    pub half: f64,
}

/// They cost nothing.
pub const UNCROWDED: Crowding = Crowding { sigma: 0.0, kappa: 0.0, most: 0.0, half: 1.0 };

impl Crowding {
    /// How many times as much work everything is with `m` jobs that want one core.
    fn penalty(&self, m: f64) -> f64 {
        let others = m - 1.0;
        let shared = 1.0 + (self.sigma + self.kappa * m) * others;
        if self.most == 0.0 { shared } else { shared + self.most * others / (others + self.half) }
    }
}

/// A job in service; compares as (virtual finish, arrival).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Job {
    finish: u128,
    arrival: u64,
    job: u32,
}

/// Bits of a virtual time behind the point.
const FRACTION_BITS: u32 = 32;
/// Bits of a rate behind the point.
const RATE_BITS: u32 = 63;
const FULL_RATE: u64 = 1 << RATE_BITS;

/// How far the virtual clock advances in a length of time.
#[inline(always)]
fn advance(length: u64, rate: u64) -> u128 {
    (length as u128 * rate as u128) >> (RATE_BITS - FRACTION_BITS)
}

impl ProcessorSharing {
    /// An empty station with `cores` >= 0 cores (fractions allowed: a CPU limit of 0.5), contention
    /// `sigma` >= 0 and coherency `kappa` >= 0.
    pub fn new(cores: f64, sigma: f64, kappa: f64) -> ProcessorSharing {
        ProcessorSharing::crowded(cores, Crowding { sigma, kappa, ..UNCROWDED })
    }

    /// The same, where a crowd also costs by filling caches.
    pub fn crowded(cores: f64, crowding: Crowding) -> ProcessorSharing {
        assert!(cores >= 0.0 && cores.is_finite(), "cores are a number, and not negative");
        let Crowding { sigma, kappa, most, half } = crowding;
        assert!(sigma >= 0.0 && kappa >= 0.0 && most >= 0.0, "penalties are not negative");
        assert!(half > 0.0, "half of a crowd is somebody");
        ProcessorSharing {
            cores,
            crowding,
            clock: Time::ZERO,
            virtual_now: 0,
            rate: FULL_RATE,
            jobs: Vec::new(),
            arrivals: 0,
            cores_milli: (cores * 1000.0) as u64,
        }
    }

    /// A job arrives with its work: the time it needs alone on a core.
    pub fn add(&mut self, now: Time, work: Duration, job: u32) {
        self.advance_to(now);
        let finish = self.virtual_now + ((work.0 as u128) << FRACTION_BITS);
        self.jobs.push(Job { finish, arrival: self.arrivals, job });
        self.arrivals += 1;
        self.sift_up(self.jobs.len() - 1);
        self.set_rate();
    }

    /// A job is cancelled: its work left, rounded up to a tick; `None` if it is not here.
    ///
    /// Looks through all jobs: cancelling a running job is rare.
    pub fn remove(&mut self, now: Time, job: u32) -> Option<Duration> {
        self.advance_to(now);
        let index = self.jobs.iter().position(|entry| entry.job == job)?;
        let left = self.jobs[index].finish.saturating_sub(self.virtual_now);
        self.remove_at(index);
        Some(Duration(left.div_ceil(1 << FRACTION_BITS) as u64))
    }

    /// The work that is left of a job, rounded up to a tick; `None` if it is not here. Looks through all jobs.
    pub fn left(&mut self, now: Time, job: u32) -> Option<Duration> {
        self.advance_to(now);
        let found = self.jobs.iter().find(|entry| entry.job == job)?;
        let left = found.finish.saturating_sub(self.virtual_now);
        Some(Duration(left.div_ceil(1 << FRACTION_BITS) as u64))
    }

    /// When the next job departs if nothing else happens, rounded up to a tick and never before the
    /// last change; `None` when the station is empty, stalled, or needs longer than time lasts.
    ///
    /// Holds until the next `add`, `remove`, `depart` or `set_cores` and must be asked again after
    /// it.
    pub fn next_departure(&self) -> Option<Time> {
        let left = self.jobs.first()?.finish.saturating_sub(self.virtual_now);
        if left == 0 {
            return Some(self.clock);
        }
        if self.rate == 0 {
            return None;
        }
        let wait = if self.rate == FULL_RATE {
            left.div_ceil(1 << FRACTION_BITS)
        } else {
            self.shortest_wait(left)
        };
        let ticks = u64::try_from(wait).ok()?.checked_add(self.clock.0)?;
        Some(Time(ticks))
    }

    /// The first tick at which the virtual clock has advanced by `left`: a float's guess, set right
    /// in integers so that a departure asked for at that tick always finds its job finished.
    fn shortest_wait(&self, left: u128) -> u128 {
        let scale = (1u64 << (RATE_BITS - FRACTION_BITS)) as f64;
        let guess = left as f64 * scale / self.rate as f64;
        if guess >= u64::MAX as f64 {
            return u128::MAX;
        }
        let mut wait = guess as u64;
        while wait > 0 && advance(wait - 1, self.rate) >= left {
            wait -= 1;
        }
        while advance(wait, self.rate) < left {
            wait += 1;
        }
        wait as u128
    }

    /// Takes out a job that has finished by `now`, the earliest first and ties in order of arrival;
    /// `None` when no more has. To be called until it says so.
    pub fn depart(&mut self, now: Time) -> Option<u32> {
        self.advance_to(now);
        let first = *self.jobs.first()?;
        if first.finish > self.virtual_now {
            return None;
        }
        self.remove_at(0);
        Some(first.job)
    }

    /// The number of cores changes: throttling, or a neighbour's noise. Zero stalls all jobs.
    pub fn set_cores(&mut self, now: Time, cores: f64) {
        assert!(cores >= 0.0 && cores.is_finite(), "cores are a number, and not negative");
        self.advance_to(now);
        self.cores = cores;
        self.cores_milli = (cores * 1000.0) as u64;
        self.set_rate();
    }

    /// How many jobs are in service.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }
    /// True when no job is in service.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
    /// Cores that are busy at present: min(n, c).
    pub fn busy_cores(&self) -> f64 {
        self.cores.min(self.jobs.len() as f64)
    }
    /// Cores in all.
    pub fn cores(&self) -> f64 {
        self.cores
    }
    /// Work done per second at present, capacity(n) (core-seconds a second).
    pub fn capacity(&self) -> f64 {
        let meeting = (self.jobs.len() as f64 - self.cores + 1.0).max(1.0);
        self.busy_cores() / self.crowding.penalty(meeting)
    }
    /// How many times slower than alone every job runs at present, 1/r(n): 1 up to `c` jobs,
    /// infinite on a stalled station.
    pub fn dilation(&self) -> f64 {
        if self.jobs.is_empty() { 1.0 } else { self.jobs.len() as f64 / self.capacity() }
    }
    /// The same in thousandths: integers, so that sums over stations and windows are exact.
    #[inline(always)]
    pub fn busy_milli(&self) -> u64 {
        self.cores_milli.min(1000 * self.jobs.len() as u64)
    }

    #[inline(always)]
    fn advance_to(&mut self, now: Time) {
        if !self.jobs.is_empty() && now != self.clock {
            self.virtual_now += advance(now.since(self.clock).0, self.rate);
        }
        self.clock = now;
    }

    /// After every change of n or c.
    fn set_rate(&mut self) {
        let count = self.jobs.len() as f64;
        self.rate = if count <= self.cores {
            FULL_RATE
        } else {
            (self.capacity() / count * FULL_RATE as f64) as u64
        };
    }

    fn remove_at(&mut self, index: usize) {
        self.jobs.swap_remove(index);
        if index < self.jobs.len() {
            self.sift_down(index);
            if index > 0 {
                self.sift_up(index);
            }
        }
        if self.jobs.is_empty() {
            self.virtual_now = 0;
            self.arrivals = 0;
        }
        self.set_rate();
    }

    /// Moves a job towards the root; those that it passes move into its place, one write each.
    fn sift_up(&mut self, mut index: usize) {
        let jobs = &mut self.jobs[..];
        let job = jobs[index];
        while index > 0 {
            let parent = (index - 1) / 2;
            if jobs[parent] <= job {
                break;
            }
            jobs[index] = jobs[parent];
            index = parent;
        }
        jobs[index] = job;
    }

    /// Moves a job towards the leaves, as [`ProcessorSharing::sift_up`] does towards the root.
    fn sift_down(&mut self, mut index: usize) {
        let jobs = &mut self.jobs[..];
        let job = jobs[index];
        while let Some(left) = jobs.get(2 * index + 1) {
            let mut child = 2 * index + 1;
            if jobs.get(child + 1).is_some_and(|right| right < left) {
                child += 1;
            }
            if job <= jobs[child] {
                break;
            }
            jobs[index] = jobs[child];
            index = child;
        }
        jobs[index] = job;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Draws(u64);

    impl Draws {
        fn bits(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
        fn uniform(&mut self) -> f64 {
            ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }
        fn exponential(&mut self, mean_s: f64) -> Duration {
            Duration::from_secs_f64(-mean_s * libm::log(self.uniform()))
        }
    }

    #[test]
    fn caches_cost_no_more_than_all_and_fit_what_was_measured() {
        // PostgreSQL 15 on two cores, reads of 0.75 ms: CPU time of its processes per read, over that of one.
        let crowding = Crowding { sigma: 0.000_42, kappa: 0.0, most: 0.55, half: 63.0 };
        for (clients, measured) in [(32, 1.19), (100, 1.38), (300, 1.58), (600, 1.75)] {
            let mut station = ProcessorSharing::crowded(2.0, crowding);
            (0..clients).for_each(|job| station.add(Time::ZERO, Duration::millis(1), job));
            let found = 2.0 / station.capacity();
            assert!((found - measured).abs() < 0.005, "{clients}: {found}");
        }
        let caches = Crowding { sigma: 0.0, ..crowding };
        assert!((caches.penalty(64.0) - 1.275).abs() < 1e-12, "half of it");
        assert!(caches.penalty(1e9) < 1.55);
    }

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::millis(millis)
    }

    /// Mean sojourn of M/G/1-PS at a load, with its standard error by 50 batches (s).
    fn mean_sojourn(
        seed: u64,
        load: f64,
        mut work: impl FnMut(&mut Draws) -> Duration,
    ) -> (f64, f64) {
        const BATCHES: usize = 50;
        const BATCH: usize = 8_000;
        let mut draws = Draws(seed);
        let mut station = ProcessorSharing::new(1.0, 0.0, 0.0);
        let mut arrived: Vec<Time> = Vec::new();
        let mut sums_s = [0.0; BATCHES];
        let mut next_arrival = Time::ZERO;
        let mut departed = 0;
        while departed < BATCH * BATCHES {
            match station.next_departure() {
                Some(departure) if departure <= next_arrival => {
                    let job = station.depart(departure).expect("a job is done when it is due");
                    let sojourn = departure.since(arrived[job as usize]);
                    sums_s[departed / BATCH] += sojourn.seconds();
                    departed += 1;
                }
                _ => {
                    station.add(next_arrival, work(&mut draws), arrived.len() as u32);
                    arrived.push(next_arrival);
                    next_arrival = next_arrival + draws.exponential(0.01 / load);
                }
            }
        }
        let means = sums_s.map(|sum_s| sum_s / BATCH as f64);
        let mean = means.iter().sum::<f64>() / BATCHES as f64;
        let squares: f64 = means.iter().map(|m| (m - mean) * (m - mean)).sum();
        (mean, (squares / (BATCHES * (BATCHES - 1)) as f64).sqrt())
    }

    #[test]
    fn the_mean_sojourn_depends_on_the_mean_work_alone() {
        // M/G/1-PS: E[T] = E[S] / (1 - rho), whatever the law of S (Sakata, Noguchi and Oizumi,
        // Operations Research 19, 1971). Here E[S] is always 10 ms.
        type Law = fn(&mut Draws) -> Duration;
        let laws: [Law; 3] = [
            |_| Duration::millis(10),
            |draws| draws.exponential(0.01),
            // One in ten jobs takes 50 ms on average, the others 50/9 ms: squared variation 4.6.
            |draws| {
                let long = draws.uniform() < 0.1;
                draws.exponential(if long { 0.05 } else { 0.05 / 9.0 })
            },
        ];
        for (seed, law) in (1..).zip(laws) {
            let (mean_s, error_s) = mean_sojourn(seed, 0.6, law);
            let expected_s = 0.01 / (1.0 - 0.6);
            let z = |theory_s: f64| ((mean_s - theory_s) / error_s).abs();
            assert!(z(expected_s) < 3.5, "law {seed}: z = {}", z(expected_s));
            // Teeth: the same bound refuses a theory that is 5 % off.
            assert!(
                z(1.05 * expected_s) > 3.5 && z(0.95 * expected_s) > 3.5,
                "law {seed}: {error_s}"
            );
        }
    }

    #[test]
    fn up_to_c_jobs_run_at_full_speed_to_the_tick() {
        let mut draws = Draws(5);
        let mut station = ProcessorSharing::new(3.0, 0.3, 0.1);
        let mut due: Vec<(Time, u32)> = Vec::new();
        let mut now = Time::ZERO;
        // Crowded first, so that the virtual clock stands at a fraction.
        (0..4).for_each(|job| station.add(now, Duration(10_000_019 + job as u64), job));
        now = now + Duration(1_000_003);
        assert!(station.remove(now, 0).is_some());
        for job in 1..4 {
            let left = station.clone().remove(now, job).unwrap();
            due.push((now + left, job));
        }
        for job in 4..20_000 {
            due.sort();
            let (departure, first) = due.remove(0);
            assert_eq!(station.next_departure(), Some(departure));
            now = departure;
            assert_eq!(station.depart(now), Some(first));
            assert_eq!(station.dilation(), 1.0);
            let work = draws.exponential(0.01);
            station.add(now, work, job);
            due.push((now + work, job));
        }
    }

    #[test]
    fn equal_jobs_finish_together_in_order_of_arrival() {
        let mut station = ProcessorSharing::new(2.0, 0.0, 0.0);
        for job in [8, 3, 5, 1, 9, 2, 7] {
            station.add(at(0), Duration::millis(20), job);
        }
        // Seven jobs of 20 ms on two cores: all are done at 70 ms.
        let done = station.next_departure().unwrap();
        assert!(done >= at(70) && done <= at(70) + Duration(1), "{done:?}");
        assert_eq!(station.depart(Time(done.0 - 2)), None);
        let order: Vec<u32> = std::iter::from_fn(|| station.depart(done)).collect();
        assert_eq!(order, [8, 3, 5, 1, 9, 2, 7]);
        assert!(station.is_empty() && station.next_departure().is_none());
    }

    #[test]
    fn a_cancelled_job_leaves_the_others_right() {
        let mut station = ProcessorSharing::new(1.0, 0.0, 0.0);
        for (job, work) in [(1, 10), (2, 20), (3, 40), (4, 80)] {
            station.add(at(0), Duration::millis(work), job);
        }
        // At 20 ms each of the four has had 5 ms.
        assert_eq!(station.remove(at(20), 2), Some(Duration::millis(15)));
        assert_eq!(station.remove(at(20), 2), None);
        // Job 1 has 5 ms left, among three.
        assert!(station.next_departure().unwrap().since(at(35)) <= Duration(1));
        assert_eq!(station.depart(Time(at(35).0 + 1)), Some(1));
        // Job 3 has 30 ms left, among two; then job 4 alone has 40 ms.
        assert!(station.next_departure().unwrap().since(at(95)) <= Duration(2));
        assert_eq!(station.depart(Time(at(95).0 + 2)), Some(3));
        assert!(station.next_departure().unwrap().since(at(135)) <= Duration(3));
    }

    #[test]
    fn busy_cores_are_the_lesser_of_jobs_and_cores() {
        let mut station = ProcessorSharing::new(1.5, 0.2, 0.0);
        assert_eq!((station.busy_cores(), station.busy_milli()), (0.0, 0));
        station.add(at(10), Duration::millis(500), 1);
        assert_eq!((station.busy_cores(), station.busy_milli()), (1.0, 1000));
        station.add(at(20), Duration::millis(500), 2);
        assert_eq!((station.busy_cores(), station.busy_milli()), (1.5, 1500));
        station.set_cores(at(50), 0.25);
        assert_eq!((station.busy_cores(), station.busy_milli()), (0.25, 250));
    }

    #[test]
    fn a_stalled_station_goes_on_where_it_stood() {
        let mut station = ProcessorSharing::new(1.0, 0.0, 0.0);
        station.add(at(0), Duration::millis(10), 1);
        station.set_cores(at(4), 0.0);
        assert_eq!((station.next_departure(), station.dilation()), (None, f64::INFINITY));
        station.set_cores(at(1_000), 1.0);
        assert_eq!(station.next_departure(), Some(at(1_006)));
    }

    #[test]
    fn crowding_costs_capacity_only_beyond_c_jobs() {
        let (cores, sigma, kappa) = (4.0, 0.05, 0.002);
        let mut station = ProcessorSharing::new(cores, sigma, kappa);
        let mut plain = ProcessorSharing::new(cores, 0.0, 0.0);
        let mut best = 0.0f64;
        for job in 0..200 {
            station.add(at(0), Duration::secs(1), job);
            plain.add(at(0), Duration::secs(1), job);
            let (count, meeting) = (job as f64 + 1.0, (job as f64 - 2.0).max(1.0));
            let law = count.min(cores)
                / (1.0 + sigma * (meeting - 1.0) + kappa * meeting * (meeting - 1.0));
            assert!((station.capacity() / law - 1.0).abs() < 1e-12);
            assert!((station.dilation() * law / count - 1.0).abs() < 1e-12);
            assert_eq!(plain.capacity(), count.min(cores));
            best = best.max(station.capacity());
        }
        // Retrograde: 200 jobs get less done than the best few.
        assert!(best == cores && station.capacity() < 0.05 * best);
        // And the departures follow: 200 equal jobs of 1 s take 200 s / capacity.
        let expected_s = 200.0 / station.capacity();
        let departure_s = station.next_departure().unwrap().seconds();
        assert!((departure_s / expected_s - 1.0).abs() < 1e-12);
    }

    /// The slow and obvious twin: every job's remaining work, reduced step by step.
    struct Twin {
        cores: f64,
        clock: Time,
        /// Job and work left (ticks).
        jobs: Vec<(u32, f64)>,
    }

    impl Twin {
        fn rate(&self) -> f64 {
            let count = self.jobs.len() as f64;
            let meeting = (count - self.cores + 1.0).max(1.0);
            let penalty = 1.0 + 0.1 * (meeting - 1.0) + 0.01 * meeting * (meeting - 1.0);
            count.min(self.cores) / penalty / count
        }
        fn advance_to(&mut self, now: Time) {
            let done = (now.0 - self.clock.0) as f64 * self.rate();
            self.jobs.iter_mut().for_each(|(_, left)| *left -= done);
            self.clock = now;
        }
        fn next_departure(&self) -> Option<f64> {
            let least = self.jobs.iter().map(|&(_, left)| left).min_by(f64::total_cmp)?;
            Some(self.clock.0 as f64 + least / self.rate())
        }
    }

    #[test]
    fn the_station_agrees_with_its_slow_twin_within_two_ticks() {
        let mut draws = Draws(6);
        for _ in 0..40 {
            let mut station = ProcessorSharing::new(2.5, 0.1, 0.01);
            let mut twin = Twin { cores: 2.5, clock: Time::ZERO, jobs: Vec::new() };
            let (mut now, mut departures) = (Time::ZERO, 0);
            for job in 0..400 {
                let until = now + draws.exponential(0.01);
                while let Some(departure) = station.next_departure().filter(|&d| d <= until) {
                    let expected = twin.next_departure().unwrap();
                    assert!(
                        (departure.0 as f64 - expected).abs() <= 2.0,
                        "{departure:?} {expected}"
                    );
                    now = departure;
                    twin.advance_to(now);
                    let gone = station.depart(now).expect("a job is done when it is due");
                    twin.jobs.retain(|&(other, _)| other != gone);
                    departures += 1;
                }
                now = until;
                twin.advance_to(now);
                match draws.bits() % 8 {
                    0 if !twin.jobs.is_empty() => {
                        let index = draws.bits() as usize % twin.jobs.len();
                        let (other, left) = twin.jobs.remove(index);
                        let removed = station.remove(now, other).unwrap();
                        assert!((removed.0 as f64 - left).abs() <= 2.0, "{removed:?} {left}");
                    }
                    1 => {
                        twin.cores = [0.5, 1.0, 2.5, 4.0][draws.bits() as usize % 4];
                        station.set_cores(now, twin.cores);
                    }
                    _ => {
                        let work = draws.exponential(0.005);
                        twin.jobs.push((job, work.0 as f64));
                        station.add(now, work, job);
                    }
                }
                assert_eq!(station.len(), twin.jobs.len());
            }
            assert!(departures > 150, "{departures} departures");
        }
    }
}
