//! The connections of one HTTP client in one process: how many there may be, which idle one is used
//! next, and who waits.
//!
//! A call over HTTP/1.1 has a connection to itself. Products differ in what they bound: all connections
//! (httpx, aiohttp), those to one host (Node.js' `http.Agent`, undici, Go), or both (OkHttp, Apache
//! HttpClient). Whoever finds no room waits in one line, and gets the first connection that may be his:
//! who waits for another host does not stand in the way (httpcore `_assign_requests_to_connections`,
//! OkHttp `Dispatcher.promoteAndExecute`, `StrictConnPool.processNextPendingRequest`, aiohttp
//! `_release_waiter`).

use std::collections::VecDeque;

use crate::units::{Duration, Time};

/// What bounds them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HttpClientConfig {
    /// In use at once.
    pub most: u32,
    /// In use at once to one host.
    pub per_host: u32,
    /// Idle at most.
    pub most_idle: usize,
    /// Idle at most to one host.
    pub idle_per_host: usize,
    /// How long an idle one is kept.
    pub keep_alive: Duration,
    /// The one that has been idle for longest is used next, not the one used last.
    pub oldest_first: bool,
    /// Idle ones count for `most`: one to another host is closed for a new one.
    pub idle_counts: bool,
    /// Idle ones are closed while all connections, those in use included, are more than `most_idle`.
    /// httpcore 1.0.9 means to count the idle ones, and counts all (`_assign_requests_to_connections`:
    /// `len([connection.is_idle() for connection in self._connections])`).
    pub surplus_of_all: bool,
    /// All calls to a host share one connection (HTTP/2): those in use are its streams.
    pub shared: bool,
}

/// The connections of one client in one process.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    hosts: Vec<Host>,
    in_use: u32,
    waiting: VecDeque<(u32, u16)>,
}

/// Those to one host.
#[derive(Clone, Debug, Default)]
struct Host {
    in_use: u32,
    /// Since when others are idle, and where they end, the one used last at the back.
    idle: VecDeque<(Time, u32)>,
    /// The one that all share.
    line: Option<Line>,
}

/// A connection that calls share.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// When it is open.
    opens: Time,
    /// When it was used last.
    last: Time,
    /// Where it ends; nowhere that is known before the first answer.
    end: u32,
}

impl Connections {
    /// None is open.
    pub fn new(hosts: u16) -> Connections {
        Connections { hosts: vec![Host::default(); usize::from(hosts)], ..Connections::default() }
    }

    /// Whether one more call to a host may have a connection.
    pub fn has_room(&self, host: u16, config: &HttpClientConfig) -> bool {
        self.in_use < config.most && self.hosts[usize::from(host)].in_use < config.per_host
    }

    /// A call waits.
    pub fn wait(&mut self, task: u32, host: u16) {
        self.waiting.push_back((task, host));
    }

    /// A call waits no longer.
    pub fn withdraw(&mut self, task: u32) {
        self.waiting.retain(|(other, _)| *other != task);
    }

    /// The next of those who wait that there is room for.
    pub fn next(&mut self, config: &HttpClientConfig) -> Option<u32> {
        let place = self.waiting.iter().position(|(_, host)| self.has_room(*host, config))?;
        self.waiting.remove(place).map(|(task, _)| task)
    }

    /// How many calls are in use, and how many wait.
    pub fn crowd(&self) -> (u32, u32) {
        (self.in_use, self.waiting.len() as u32)
    }

    /// A call gets its connection: one that is idle, since when and where it ends, or a new one. Idle ones
    /// that are older than `keep`, or than their process, are closed, as are those that end where nobody
    /// has them any more.
    pub fn lend(
        &mut self,
        host: u16,
        (now, keep, started): (Time, Duration, Time),
        config: &HttpClientConfig,
        is_open: impl Fn(Time, u32) -> bool,
    ) -> Option<(Time, u32)> {
        let own = &mut self.hosts[usize::from(host)];
        let keep = keep.min(config.keep_alive);
        if config.shared {
            let busy = own.in_use > 0;
            (own.in_use, self.in_use) = (own.in_use + 1, self.in_use + 1);
            let open = own.line.filter(|it| {
                let lasts = busy || now.since(it.last) < keep;
                lasts && it.last >= started && (it.end == u32::MAX || is_open(it.last, it.end))
            });
            let line = open.unwrap_or(Line { opens: now, last: now, end: u32::MAX });
            own.line = Some(Line { last: now, ..line });
            return open.map(|it| (now, it.end));
        }
        let gone = |(since, _): &(Time, u32)| now.since(*since) >= keep || *since < started;
        while own.idle.front().is_some_and(gone) {
            own.idle.pop_front();
        }
        (own.in_use, self.in_use) = (own.in_use + 1, self.in_use + 1);
        let mut next = || match config.oldest_first {
            true => own.idle.pop_front(),
            false => own.idle.pop_back(),
        };
        let mut idle = next();
        while idle.is_some_and(|(since, end)| !is_open(since, end)) {
            idle = next();
        }
        if idle.is_none() && config.idle_counts && config.most < u32::MAX {
            self.expire(now, config.keep_alive);
            if self.in_use as usize + self.idle() > config.most as usize {
                self.close_oldest();
            }
        }
        idle
    }

    /// The connection that all calls to a host share is open only then.
    pub fn opens_at(&mut self, host: u16, at: Time) {
        if let Some(line) = &mut self.hosts[usize::from(host)].line {
            line.opens = at;
        }
    }
    /// How long it takes until it is open.
    pub fn opens_in(&self, host: u16, now: Time) -> Duration {
        self.hosts[usize::from(host)]
            .line
            .map_or(Duration::ZERO, |it| it.opens.since(now.min(it.opens)))
    }
    /// It ends there, if nobody has said so before.
    pub fn line_ends_at(&mut self, host: u16, end: u32) {
        if let Some(line) =
            self.hosts[usize::from(host)].line.as_mut().filter(|it| it.end == u32::MAX)
        {
            line.end = end;
        }
    }
    /// Where it ends.
    pub fn line_end(&self, host: u16) -> Option<u32> {
        self.hosts[usize::from(host)].line.map(|it| it.end)
    }

    /// A call is over: its connection is idle and ends there, or it is broken and closed.
    pub fn give_back(&mut self, host: u16, now: Time, end: Option<u32>, config: &HttpClientConfig) {
        let own = &mut self.hosts[usize::from(host)];
        (own.in_use, self.in_use) = (own.in_use - 1, self.in_use - 1);
        if config.shared {
            own.line = own.line.zip(end).map(|(it, end)| Line { last: now, end, ..it });
            return;
        }
        let Some(end) = end.filter(|_| own.idle.len() < config.idle_per_host) else { return };
        own.idle.push_back((now, end));
        if config.most_idle == usize::MAX {
            return;
        }
        self.expire(now, config.keep_alive);
        let besides = if config.surplus_of_all { self.in_use as usize } else { 0 };
        let surplus = (self.idle() + besides).saturating_sub(config.most_idle);
        (0..surplus.min(self.idle())).for_each(|_| self.close_oldest());
    }

    /// Idle ones to a host that end at these and are open, and when the first of them closes: those that are
    /// older than `keep`, or than their process, are closed.
    pub fn idle_to(
        &self,
        host: u16,
        ends: std::ops::Range<u32>,
        (now, keep, started): (Time, Duration, Time),
    ) -> (u32, Option<Time>) {
        let idle = self.hosts[usize::from(host)].idle.iter();
        let open = |(since, at): &&(Time, u32)| {
            ends.contains(at) && now.since(*since) < keep && *since >= started
        };
        let mut open = idle.filter(open);
        let first = open.next();
        (u32::from(first.is_some()) + open.count() as u32, first.map(|(since, _)| *since + keep))
    }

    fn idle(&self) -> usize {
        self.hosts.iter().map(|host| host.idle.len()).sum()
    }

    fn expire(&mut self, now: Time, keep: Duration) {
        for host in &mut self.hosts {
            while host.idle.front().is_some_and(|(since, _)| now.since(*since) >= keep) {
                host.idle.pop_front();
            }
        }
    }

    /// Closes the one that has been idle for longest.
    fn close_oldest(&mut self) {
        let with_some = self.hosts.iter_mut().filter(|host| !host.idle.is_empty());
        if let Some(host) = with_some.min_by_key(|host| host.idle[0]) {
            host.idle.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: HttpClientConfig = HttpClientConfig {
        most: u32::MAX,
        per_host: u32::MAX,
        most_idle: usize::MAX,
        idle_per_host: usize::MAX,
        keep_alive: Duration::FOREVER,
        oldest_first: false,
        idle_counts: false,
        surplus_of_all: false,
        shared: false,
    };

    fn lend(of: &mut Connections, host: u16, at: u64, config: &HttpClientConfig) -> Option<u64> {
        let times = (Time(at), Duration::FOREVER, Time::ZERO);
        of.lend(host, times, config, |_, _| true).map(|(since, _)| since.0)
    }

    #[test]
    fn who_waits_for_another_host_does_not_stand_in_the_way() {
        let config = HttpClientConfig { most: 3, per_host: 2, ..FREE };
        let mut all = Connections::new(2);
        for host in [0, 0, 1] {
            assert!(all.has_room(host, &config));
            assert_eq!(lend(&mut all, host, 0, &config), None);
        }
        assert!(!all.has_room(0, &config) && !all.has_room(1, &config));
        [(10, 0), (11, 1), (12, 0)].into_iter().for_each(|(task, host)| all.wait(task, host));
        assert_eq!(all.next(&config), None);
        all.give_back(1, Time(5), Some(0), &config);
        // The first in line waits for the other host, which is full.
        assert_eq!(all.next(&config), Some(11));
        assert_eq!(lend(&mut all, 1, 5, &config), Some(5));
        all.withdraw(10);
        all.give_back(0, Time(6), Some(0), &config);
        assert_eq!((all.next(&config), all.next(&config)), (Some(12), None));
        assert_eq!(all.crowd(), (2, 0));
    }

    #[test]
    fn idle_ones_are_taken_from_one_end_and_closed_beyond_their_number() {
        let twice = |config: &HttpClientConfig| {
            let mut all = Connections::new(2);
            [0, 0, 1]
                .into_iter()
                .for_each(|host| assert_eq!(lend(&mut all, host, 0, config), None));
            [(0, 1), (0, 2), (1, 3)]
                .into_iter()
                .for_each(|(host, at)| all.give_back(host, Time(at), Some(0), config));
            [
                lend(&mut all, 0, 9, config),
                lend(&mut all, 0, 9, config),
                lend(&mut all, 1, 9, config),
            ]
        };
        let idle = Some::<u64>;
        assert_eq!(twice(&FREE), [idle(2), idle(1), idle(3)]);
        let fifo = HttpClientConfig { oldest_first: true, ..FREE };
        assert_eq!(twice(&fifo), [idle(1), idle(2), idle(3)]);
        // What comes back beyond a host's number is closed; beyond all of them the oldest.
        let one = HttpClientConfig { idle_per_host: 1, ..FREE };
        assert_eq!(twice(&one), [idle(1), None, idle(3)]);
        let two = HttpClientConfig { most_idle: 2, ..FREE };
        assert_eq!(twice(&two), [idle(2), None, idle(3)]);
        let short = HttpClientConfig { keep_alive: Duration(8), ..FREE };
        assert_eq!(twice(&short), [idle(2), None, idle(3)]);
    }

    #[test]
    fn httpcore_keeps_none_idle_while_there_are_more_than_it_would_keep() {
        let config = HttpClientConfig { most: 4, most_idle: 2, surplus_of_all: true, ..FREE };
        let mut all = Connections::new(1);
        (0..4).for_each(|_| assert_eq!(lend(&mut all, 0, 0, &config), None));
        all.give_back(0, Time(1), Some(0), &config);
        assert_eq!(lend(&mut all, 0, 2, &config), None, "who waited opens another");
        (3..7).for_each(|at| all.give_back(0, Time(at), Some(0), &config));
        let after = [7, 7, 7].map(|at| lend(&mut all, 0, at, &config));
        assert_eq!(after, [Some(6), Some(5), None]);
    }

    #[test]
    fn one_that_ends_where_nobody_has_it_is_closed() {
        let mut all = Connections::new(1);
        (0..3).for_each(|_| assert_eq!(lend(&mut all, 0, 0, &FREE), None));
        (1..4).for_each(|at| all.give_back(0, Time(at), Some(at as u32), &FREE));
        let times = (Time(9), Duration::FOREVER, Time::ZERO);
        assert_eq!(all.lend(0, times, &FREE, |_, end| end != 3), Some((Time(2), 2)));
        assert_eq!(lend(&mut all, 0, 9, &FREE), Some(1), "the third is gone");
    }

    #[test]
    fn a_new_one_takes_the_place_of_an_idle_one_to_another_host() {
        let mut all = Connections::new(2);
        let config = HttpClientConfig { most: 1, idle_counts: true, ..FREE };
        assert_eq!(lend(&mut all, 0, 0, &config), None);
        all.give_back(0, Time(1), Some(0), &config);
        assert_eq!(lend(&mut all, 1, 2, &config), None);
        all.give_back(1, Time(3), Some(0), &config);
        assert_eq!(lend(&mut all, 0, 4, &config), None, "it was closed");
        let apart = HttpClientConfig { idle_counts: false, ..config };
        all.give_back(0, Time(5), Some(0), &apart);
        assert_eq!(lend(&mut all, 1, 6, &apart), None);
        all.give_back(1, Time(7), Some(0), &apart);
        assert_eq!(lend(&mut all, 0, 8, &apart), Some(5));
    }

    #[test]
    fn calls_share_one_connection_until_it_breaks() {
        let shared = HttpClientConfig { shared: true, per_host: 3, ..FREE };
        let mut all = Connections::new(1);
        let at = |ms: u64| Time::ZERO + Duration::millis(ms);
        let lend = |all: &mut Connections, ms: u64| {
            all.lend(0, (at(ms), Duration::millis(50), Time::ZERO), &shared, |_, _| true)
        };
        assert_eq!(lend(&mut all, 0), None, "the first opens it");
        all.opens_at(0, at(20));
        assert_eq!(lend(&mut all, 5), Some((at(5), u32::MAX)));
        assert_eq!(all.opens_in(0, at(5)), Duration::millis(15));
        assert_eq!(all.opens_in(0, at(30)), Duration::ZERO);
        all.give_back(0, at(40), Some(7), &shared);
        // Another is under way, so it is not idle.
        assert_eq!(lend(&mut all, 200), Some((at(200), 7)));
        assert!(all.has_room(0, &shared) && lend(&mut all, 200).is_some());
        assert!(!all.has_room(0, &shared), "three streams");
        all.give_back(0, at(210), None, &shared);
        assert_eq!(lend(&mut all, 220), None, "it has broken");
        for _ in 0..3 {
            all.give_back(0, at(230), Some(7), &shared);
        }
        assert_eq!(lend(&mut all, 270), Some((at(270), 7)));
        all.give_back(0, at(270), Some(7), &shared);
        assert_eq!(lend(&mut all, 330), None, "idle for too long");
    }
}
