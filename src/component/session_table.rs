//! A table of login sessions in a database, as express-session and connect-pg-simple keep it.

use crate::units::{Duration, TICKS_PER_SECOND, Time};

/// How a session table is set up.
#[derive(Clone, Copy, Debug)]
pub struct SessionConfig {
    /// How long a session lives after it was last stored or touched; the store keeps whole seconds.
    pub ttl: Duration,
    /// Bytes of one row, its index entries included.
    pub row_bytes: u64,
}

/// The row of one session, as its holder knows it: until when it is good.
///
/// Four bytes to keep with the user; a copy made before a touch is stale and must not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    expires_s: u32,
}

impl Session {
    /// The second at the end of which it expires, for holders that keep plain numbers (s).
    pub fn expiry_s(self) -> u32 {
        self.expires_s
    }
    /// From [`Session::expiry_s`].
    pub fn from_expiry_s(expires_s: u32) -> Session {
        Session { expires_s }
    }
}

/// What a read of a session found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionRead {
    /// A session that has not expired.
    Found,
    /// None: its row has expired, and may or may not have been pruned.
    Expired,
}

/// The rows of a session table, counted by the second in which they expire.
///
/// Time must not run backwards from one call to the next.
///
/// # Model
/// The store writes `expire` as whole seconds, rounded up; a read asks for `expire >= now` and a
/// prune deletes `expire < now`, `now` rounded up as well (connect-pg-simple 10.0.0 index.js). So
/// the second of expiry is all the state a row has, and one count for each second of the TTL is
/// exact: a touch moves one row from its second to another. Reads delete nothing.
///
/// Live sessions form an M/G/∞ system: if new ones come at rate r and each lives for L on average,
/// L being the TTL without touches, there are rL of them, Poisson distributed when they come as a
/// Poisson process.
///
/// Memory: 4 bytes for each second of the TTL (2.4 MB for seven days), however many the rows. Every
/// verb is O(1) but for one step for each second of simulated time that passes.
///
/// # Invariants
/// `expiring[s % len]` is the number of live rows that expire in second `s`, for the `len` seconds
/// from `first_live_s` on; `live` is their sum.
pub struct SessionTable {
    ttl: Duration,
    row_bytes: u64,
    expiring: Vec<u32>,
    first_live_s: u32,
    live: u64,
    expired: u64,
    /// Rows that expired before this second have been deleted.
    pruned_s: u32,
    /// Rows of each second that were evicted, where any was.
    evicted: Vec<u32>,
    /// Live rows expire no earlier than this second.
    evicted_until_s: u32,
}

impl SessionTable {
    /// The default of connect-pg-simple between two prunes, before randomisation.
    pub const PRUNE_INTERVAL: Duration = Duration::secs(900);

    /// An empty table.
    pub fn new(config: SessionConfig) -> SessionTable {
        let seconds = ceil_s(Time(config.ttl.0)) as usize;
        SessionTable {
            ttl: config.ttl,
            row_bytes: config.row_bytes,
            expiring: vec![0; seconds + 1],
            first_live_s: 0,
            live: 0,
            expired: 0,
            pruned_s: 0,
            evicted: Vec::new(),
            evicted_until_s: 0,
        }
    }

    /// Adds `live` sessions whose ages are spread evenly over the TTL, as a steady stream of new
    /// sessions that nobody touches leaves them: rate × TTL of them.
    ///
    /// # Model
    /// They are counts without holders, so no row memory and nobody to touch them. The stationary
    /// law has independent uniform ages; here each second gets its expected share, so the mean path
    /// of the number live is exact and this cohort adds no variance of its own. One step for each
    /// second of the TTL. Users who hold a session at the start come from
    /// [`SessionTable::create_aged`].
    ///
    /// # Panics
    /// If the TTL is zero.
    pub fn warm(&mut self, now: Time, live: u64) {
        self.advance(now);
        let seconds = self.expiring.len() as u64 - 1;
        assert!(seconds > 0, "sessions without a TTL are not alive");
        let share =
            |second: u64| (u128::from(live) * u128::from(second) / u128::from(seconds)) as u64;
        for second in 1..=seconds {
            let at = (u64::from(self.first_live_s) + second) % self.expiring.len() as u64;
            self.expiring[at as usize] += (share(second) - share(second - 1)) as u32;
        }
        self.live += live;
    }

    /// Adds `live` sessions whose ages are exponential by `decay` (1/s), cut off at the TTL: as
    /// [`SessionTable::warm`], which is the limit of no decay.
    pub fn warm_decaying(&mut self, now: Time, live: u64, decay: f64) {
        if decay == 0.0 || live == 0 {
            return self.warm(now, live);
        }
        self.advance(now);
        let seconds = self.expiring.len() as u64 - 1;
        let reach = -libm::expm1(-decay * self.ttl.seconds());
        let step = libm::exp(-decay);
        let (mut older, mut done) = (1.0, 0);
        for second in (1..=seconds).rev() {
            older *= step;
            let until = libm::round(live as f64 * ((1.0 - older) / reach).min(1.0)) as u64;
            let until = if second == 1 { live } else { until };
            let at = (u64::from(self.first_live_s) + second) % self.expiring.len() as u64;
            self.expiring[at as usize] += (until - done) as u32;
            done = until;
            if done == live {
                break;
            }
        }
        self.live += live;
    }

    /// The second in which the first of its live sessions expires; `None` if there is none.
    pub fn first_expiry(&mut self, now: Time) -> Option<Session> {
        self.advance(now);
        if self.live == 0 {
            return None;
        }
        // Where nothing renews sessions after the first ones, seconds before this have none.
        let (first, len) = (self.first_live_s, self.expiring.len() as u32);
        let from = self.evicted_until_s.clamp(first, first + len - 1);
        let mut later = (from..first + len).chain(first..from);
        let second = later.find(|second| self.expiring[self.at(*second)] > 0)?;
        self.evicted_until_s = second.max(first);
        Some(Session { expires_s: second })
    }

    /// Evicts one of the sessions that expire in a second: which of them, nobody knows before it is
    /// looked up ([`SessionTable::is_evicted`]); they are alike.
    pub fn evict(&mut self, session: Session) {
        if self.evicted.is_empty() {
            self.evicted = vec![0; self.expiring.len()];
        }
        let at = self.at(session.expires_s);
        self.expiring[at] -= 1;
        self.live -= 1;
        self.evicted[at] += 1;
    }

    /// Whether a session in hand was one of those that were evicted: as likely as they are among all
    /// of its second.
    pub fn is_evicted(
        &mut self,
        now: Time,
        session: Session,
        unit_draw: impl FnOnce() -> f64,
    ) -> bool {
        if self.evicted.is_empty() {
            return false;
        }
        self.advance(now);
        if session.expires_s < self.first_live_s {
            return false;
        }
        let at = self.at(session.expires_s);
        let (gone, there) = (f64::from(self.evicted[at]), f64::from(self.expiring[at]));
        let is_one = gone > 0.0 && unit_draw() * (gone + there) < gone;
        self.evicted[at] -= u32::from(is_one);
        is_one
    }

    /// Loses the rows that nobody holds of one in `nodes` parts, whoever's they are: each second keeps
    /// the share of the others.
    pub fn lose_part(&mut self, now: Time, nodes: u32) {
        self.advance(now);
        let kept = |rows: u32| (u64::from(rows) * u64::from(nodes - 1) / u64::from(nodes)) as u32;
        self.expiring.iter_mut().for_each(|rows| *rows = kept(*rows));
        self.live = self.expiring.iter().map(|rows| u64::from(*rows)).sum();
        self.evicted.clear();
    }

    /// Takes out one session that expires about then, whoever's it is; nothing if there is none.
    pub fn take_near(&mut self, now: Time, session: Session) {
        self.advance(now);
        let (first, len) = (self.first_live_s, self.expiring.len() as u32);
        let wanted = session.expires_s.clamp(first, first + len - 1);
        let before = (first..=wanted).rev();
        let place = before.chain(wanted..first + len).find(|it| self.expiring[self.at(*it)] > 0);
        if let Some(second) = place.filter(|_| self.live > 0) {
            let at = self.at(second);
            self.expiring[at] -= 1;
            self.live -= 1;
        }
    }

    /// A new session.
    pub fn create(&mut self, now: Time) -> Session {
        self.insert(now, self.ttl)
    }

    /// A session that someone holds already, its age uniform over the TTL as `unit_draw` is over
    /// 0..1.
    pub fn create_aged(&mut self, now: Time, unit_draw: f64) -> Session {
        self.insert(now, self.ttl.scale(unit_draw))
    }

    /// A session that someone holds already, good for so much longer: at most the TTL.
    pub fn create_for(&mut self, now: Time, left: Duration) -> Session {
        self.insert(now, left.min(self.ttl))
    }

    /// The read at the start of a request: filters by expiry, deletes nothing.
    pub fn read(&self, now: Time, session: Session) -> SessionRead {
        if session.expires_s >= ceil_s(now) { SessionRead::Found } else { SessionRead::Expired }
    }

    /// The touch at the end of a request: renews the TTL of a row that is still there, expired or
    /// not; `None` if it was pruned meanwhile.
    pub fn touch(&mut self, now: Time, session: Session) -> Option<Session> {
        self.destroy(now, session).then(|| self.create(now))
    }

    /// The save at the end of a request (an upsert): renews the row, or writes it anew if it was
    /// pruned.
    pub fn save(&mut self, now: Time, session: Session) -> Session {
        self.destroy(now, session);
        self.create(now)
    }

    /// Deletes the row (a logout); false if it was pruned already.
    ///
    /// # Panics
    /// If there is no such row, because `session` was destroyed or touched before.
    pub fn destroy(&mut self, now: Time, session: Session) -> bool {
        const HELD: &str = "the row of a session in hand is there until it is pruned";
        self.advance(now);
        if session.expires_s < self.pruned_s {
            return false;
        }
        if session.expires_s < self.first_live_s {
            self.expired = self.expired.checked_sub(1).expect(HELD);
        } else {
            let at = self.at(session.expires_s);
            self.expiring[at] = self.expiring[at].checked_sub(1).expect(HELD);
            self.live -= 1;
        }
        true
    }

    /// Deletes the row of a session that is alive by its time; false if it was evicted, as far as one can
    /// tell.
    pub fn take(&mut self, now: Time, session: Session) -> bool {
        self.advance(now);
        if session.expires_s < self.first_live_s {
            return false;
        }
        let at = self.at(session.expires_s);
        let there = self.expiring[at] > 0;
        self.expiring[at] -= u32::from(there);
        self.live -= u64::from(there);
        there
    }

    /// Deletes every expired row in one statement, and says how many: its cost is in proportion.
    pub fn prune(&mut self, now: Time) -> u64 {
        self.advance(now);
        self.pruned_s = self.first_live_s;
        std::mem::take(&mut self.expired)
    }

    /// How long a process waits before its next prune, from one prune to the next: `interval` times
    /// a uniform factor from 0.5 to 1.5, with `unit_draw` uniform over 0..1. Each process has its
    /// own.
    pub fn prune_delay(interval: Duration, unit_draw: f64) -> Duration {
        interval.scale(0.5 + unit_draw)
    }

    /// Sessions that have not expired: what a count of rows with `expire > now` sees.
    pub fn live(&mut self, now: Time) -> u64 {
        self.advance(now);
        self.live
    }

    /// Rows in the table: the live ones and the expired ones not yet pruned.
    pub fn rows(&self) -> u64 {
        self.live + self.expired
    }

    /// Size of the table in bytes.
    pub fn bytes(&self) -> u64 {
        self.rows() * self.row_bytes
    }

    fn insert(&mut self, now: Time, life: Duration) -> Session {
        self.advance(now);
        let session = Session { expires_s: ceil_s(now + life) };
        self.evicted_until_s = self.evicted_until_s.min(session.expires_s);
        let at = self.at(session.expires_s);
        self.expiring[at] += 1;
        self.live += 1;
        session
    }

    /// Moves the rows whose second has passed from the live to the expired.
    fn advance(&mut self, now: Time) {
        let now_s = ceil_s(now);
        while self.first_live_s < now_s && (self.live > 0 || !self.evicted.is_empty()) {
            let at = self.at(self.first_live_s);
            let ended = std::mem::take(&mut self.expiring[at]);
            if let Some(evicted) = self.evicted.get_mut(at) {
                *evicted = 0;
            }
            self.live -= u64::from(ended);
            self.expired += u64::from(ended);
            self.first_live_s += 1;
        }
        self.first_live_s = self.first_live_s.max(now_s);
    }

    fn at(&self, second: u32) -> usize {
        second as usize % self.expiring.len()
    }
}

/// Whole seconds, rounded up; the 213 days of a run fit.
fn ceil_s(time: Time) -> u32 {
    time.0.div_ceil(TICKS_PER_SECOND) as u32
}

/// How the time of a statement grows with the rows of its table: a law that the user chooses.
///
/// # Model
/// t(n) = base × (1 + (times - 1) (n / rows_at)^power): `times` the base at `rows_at` rows. A
/// lookup through a B-tree hardly grows, `times` 1; a sequential scan grows with power 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct QueryLaw {
    /// The number of rows for which the growth is known.
    pub rows_at: u64,
    /// How many times the base a statement takes with that many rows, 1 or more.
    pub times: f64,
    /// How the growth bends: 1 for a straight line.
    pub power: f64,
}

impl QueryLaw {
    /// How many times the base a statement takes with so many rows.
    pub fn multiplier(&self, rows: u64) -> f64 {
        1.0 + (self.times - 1.0) * libm::pow(rows as f64 / self.rows_at as f64, self.power)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;

    fn table(ttl: Duration) -> SessionTable {
        SessionTable::new(SessionConfig { ttl, row_bytes: 850 })
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::secs(seconds)
    }

    fn unit_draws(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((mixed ^ (mixed >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }
    }

    fn exponential(mean_s: f64, draw: f64) -> Duration {
        Duration::from_secs_f64(-libm::log(draw) * mean_s)
    }

    /// The time average of live sessions over 400 TTLs of 200 s, with five new ones a second:
    /// untouched, or read and touched at exponential intervals of mean `gap_s` until one exceeds
    /// the TTL.
    fn mean_live(ttl: Duration, gap_s: Option<f64>) -> f64 {
        let mut table = table(ttl);
        let mut draw = unit_draws(1);
        let mut visits: BinaryHeap<Reverse<(Time, u32)>> = BinaryHeap::new();
        let (mut arrival, mut sum) = (Time::ZERO, 0);
        let seconds = 5_000..85_000;
        for second in 0..seconds.end {
            loop {
                let visit = visits.peek().map_or(Time::NEVER, |&Reverse((visit, _))| visit);
                let now = arrival.min(visit);
                if now >= at(second) {
                    break;
                }
                let session = if now == visit {
                    let Reverse((_, expires_s)) = visits.pop().unwrap();
                    let session = Session { expires_s };
                    match table.read(now, session) {
                        SessionRead::Found => table.touch(now, session),
                        SessionRead::Expired => None,
                    }
                } else {
                    arrival = arrival + exponential(0.2, draw());
                    Some(table.create(now))
                };
                if let (Some(session), Some(gap_s)) = (session, gap_s) {
                    visits.push(Reverse((now + exponential(gap_s, draw()), session.expires_s)));
                }
            }
            sum += if seconds.contains(&second) { table.live(at(second)) } else { 0 };
        }
        sum as f64 / (seconds.end - seconds.start) as f64
    }

    /// Little's law, L = rate × life, in an M/G/∞ system. The life without touches is the TTL plus
    /// half a second of rounding, T. With touches at rate m until a gap exceeds T it is (exp(mT) -
    /// 1)/m. Standard errors of the averages: sqrt(rate E[life^2] / duration), 1.6 and 3.4
    /// sessions; the bounds are 4.5 of them, and 3 % more TTL is out.
    #[test]
    fn live_sessions_follow_littles_law() {
        let (ttl, longer) = (Duration::secs(200), Duration::secs(206));
        let untouched = 5.0 * 200.5;
        assert!((mean_live(ttl, None) - untouched).abs() < 7.2);
        assert!((mean_live(longer, None) - untouched).abs() > 7.2);
        let touched = 5.0 * (libm::exp(200.5 / 200.0) - 1.0) * 200.0;
        let found = mean_live(ttl, Some(200.0));
        assert!((found - touched).abs() < 15.3, "{found} for {touched}");
        assert!((mean_live(longer, Some(200.0)) - touched).abs() > 15.3);
    }

    #[test]
    fn seven_days_of_ttl_hold_seven_times_the_sessions_of_one() {
        let [one, seven] = [1, 7].map(|days| {
            let mut table = table(Duration::secs(days * 86_400));
            for step in 0..10 * 864 {
                table.create(at(step * 100));
            }
            table.live(at(10 * 86_400 - 1))
        });
        assert_eq!((one, seven), (864, 7 * 864));
    }

    #[test]
    fn pruning_is_a_timer_and_reads_delete_nothing() {
        let mut table = table(Duration::secs(10));
        let early = table.create(at(0));
        let late = table.create(at(5));
        // Good to the end of its second, gone after it.
        assert_eq!(table.read(at(10), early), SessionRead::Found);
        assert_eq!(table.read(at(10) + Duration::millis(1), early), SessionRead::Expired);
        assert_eq!((table.live(at(12)), table.rows(), table.bytes()), (1, 2, 1_700));
        assert_eq!(table.prune(at(12)), 1);
        assert_eq!(table.read(at(12), late), SessionRead::Found);
        assert_eq!((table.live(at(12)), table.rows()), (1, 1));
        assert_eq!(table.prune(at(12)), 0);
    }

    #[test]
    fn a_touch_extends_and_revives_until_the_prune() {
        let mut table = table(Duration::secs(10));
        let session = table.create(at(0));
        let session = table.touch(at(8), session).expect("live");
        assert_eq!(table.read(at(18), session), SessionRead::Found);
        assert_eq!(table.live(at(30)), 0);
        let session = table.touch(at(30), session).expect("expired, not pruned");
        assert_eq!((table.live(at(40)), table.rows()), (1, 1));
        assert_eq!(table.prune(at(41)), 1);
        assert_eq!(table.touch(at(41), session), None);
        assert_eq!(table.rows(), 0);
        let session = table.save(at(42), session);
        assert_eq!((table.live(at(42)), table.destroy(at(43), session)), (1, true));
        assert_eq!(table.rows(), 0);
    }

    #[test]
    #[should_panic(expected = "the row of a session in hand")]
    fn a_session_is_destroyed_once() {
        let mut table = table(Duration::secs(10));
        let session = table.create(at(0));
        table.destroy(at(1), session);
        table.destroy(at(1), session);
    }

    /// A sleep far longer than the TTL, and seconds that share a count with earlier ones.
    #[test]
    fn nothing_is_lost_when_the_seconds_come_round() {
        let mut table = table(Duration::millis(2_500));
        let (mut created, mut pruned) = (0, 0);
        for step in 0..2_000 {
            let now = Time::ZERO + Duration::millis(step * 370 + (step / 100) * 50_000);
            table.create(now);
            created += 1;
            if step.is_multiple_of(7) {
                pruned += table.prune(now);
            }
            assert_eq!(table.rows() + pruned, created);
            assert!((1..=10).contains(&table.live(now)));
        }
    }

    #[test]
    fn a_warm_table_is_cheap_and_in_balance() {
        let mut table = table(Duration::secs(7 * 86_400));
        let live = 5_000_000;
        table.warm(at(0), live);
        assert_eq!((table.live(at(0)), table.rows()), (live, live));
        // A row is good to the end of its second: those of one second less have expired.
        let expired = |second: u64| live * (second - 1) / 604_800;
        assert_eq!(table.live(at(2 * 86_400)), live - expired(2 * 86_400));
        assert_eq!(table.rows(), live);
        assert_eq!(table.prune(at(3 * 86_400)), expired(3 * 86_400));
        assert_eq!(table.expiring.len(), 604_801);
        assert_eq!(table.live(at(8 * 86_400)), 0);
    }

    #[test]
    fn holders_at_the_start_have_uniform_ages() {
        let mut table = table(Duration::secs(1_000));
        let mut draw = unit_draws(4);
        let sessions: Vec<Session> =
            (0..10_000).map(|_| table.create_aged(at(0), draw())).collect();
        // Binomial(10,000, 1/4) has deviation 43.
        let left = table.live(at(750)) as f64;
        assert!((left - 2_500.0).abs() < 4.5 * 43.3, "{left}");
        let found = |session: &&Session| table.read(at(750), **session) == SessionRead::Found;
        assert_eq!(sessions.iter().filter(found).count() as f64, left);
    }

    #[test]
    fn processes_prune_every_half_to_one_and_a_half_intervals() {
        let delays = [0.0, 0.5, 1.0]
            .map(|unit_draw| SessionTable::prune_delay(SessionTable::PRUNE_INTERVAL, unit_draw));
        assert_eq!(delays, [450, 900, 1_350].map(Duration::secs));
    }

    #[test]
    fn rows_of_decaying_age_are_all_there_and_expire_as_they_should() {
        let mut table = table(Duration::secs(100));
        table.warm_decaying(at(0), 10_000, 0.05);
        // P(left > 80 s) = P(age < 20 s) = (1 - e^-1)/(1 - e^-5).
        let young = 10_000.0 * libm::expm1(-1.0) / libm::expm1(-5.0);
        assert_eq!(table.live(at(0)), 10_000);
        assert!((table.live(at(81)) as f64 - young).abs() < 2.0, "{}", table.live(at(81)));
        // One is taken out where there are some, the nearest before all.
        let left = table.live(at(81));
        table.take_near(at(81), Session::from_expiry_s(100));
        table.take_near(at(81), Session::from_expiry_s(5_000));
        assert_eq!(table.live(at(81)), left - 2);
        assert_eq!(table.live(at(101)), 0);
        table.take_near(at(101), Session::from_expiry_s(150));
        assert_eq!(table.live(at(101)), 0, "nothing is left to take");
    }

    #[test]
    fn a_query_law_passes_through_its_point() {
        let law = QueryLaw { rows_at: 50_000, times: 10.0, power: 2.0 };
        assert_eq!(law.multiplier(0), 1.0);
        assert_eq!(law.multiplier(50_000), 10.0);
        assert!((law.multiplier(25_000) - 3.25).abs() < 1e-12);
    }
}
