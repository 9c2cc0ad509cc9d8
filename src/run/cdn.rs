//! The edges of content delivery networks.

use super::cdn_shield::REFRESHES;
use super::event::Kind;
use super::meter::Counter;
use super::task::{ASKS_SHIELD, NONE, OK, Role, SHIELD_HAS, State, Task, flag};
use super::world::World;
use crate::component::cache::{
    CacheStore, Flight, Key, KeysetConfig, KeysetTraffic, Lookup, SingleFlight, Ttl,
};
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model;
use crate::model::UnitKind;
use crate::model::ids::CdnId;
use crate::model::tape::{Op, Pc};
use crate::units::{Duration, Time};

/// A content delivery network while it runs.
pub struct CdnState {
    pub(super) pops: Vec<CacheStore>,
    /// Of points of presence, and after them of shields.
    pub(super) flights: SingleFlight<u32>,
    /// What its shields have.
    pub(super) shields: Vec<CacheStore>,
    /// By shield and key: when it left the origin.
    pub(super) left_origin: Vec<Time>,
    /// By point of presence and key: until when another answer is waited for that nobody waits for.
    pub(super) refreshing: Vec<Time>,
    /// By task: when an edge has asked for it last, where that was not as the request came.
    asked: Vec<Asked>,
    /// By point of presence and key: when an answer was fetched last, where stale ones are given.
    pub(super) fetched: Vec<Time>,
    /// By point of presence and key: the last failure; empty before the first.
    failed: Vec<Failed>,
}

/// A failure of the origin that an edge keeps.
#[derive(Clone, Copy, Default)]
struct Failed {
    /// Until when.
    until: Time,
    /// Which, and the status code that was chosen for it, or 0.
    status: u8,
    answered: u16,
}

/// What an edge asks its origin for, not as the request came.
#[derive(Clone, Copy, Default)]
struct Asked {
    /// Since when.
    at: Time,
    /// Whose request it is: the slot may have had another tenant.
    ordinal: u32,
    /// Which attempt it is; 0 for none.
    attempt: u32,
}

/// In the owner's epoch of an attempt: its edge waits for it no longer.
pub(super) const GIVEN_UP: u16 = u16::MAX;

impl<Q: PendingEvents> World<'_, Q> {
    /// Edges in the state that the run starts from.
    pub fn build_cdns(&mut self) {
        for (id, spec) in self.model.cdns.enumerate() {
            self.at(Time::ZERO + spec.origin_timeout, Kind::Origins, id.0);
            let pops = (0..spec.pops).map(|pop| self.new_edge(spec, pop)).collect();
            let count = spec.pops as usize * self.model.keys[spec.keys].count as usize;
            let ages =
                !spec.stale.is_zero() || !spec.revalidate.is_zero() || spec.not_modified > 0.0;
            let fetched = vec![Time::NEVER; if ages { count } else { 0 }];
            let flights = SingleFlight::new();
            let (asked, failed) = (Vec::new(), Vec::new());
            let (shields, left_origin) = self.new_shields(spec);
            let refreshing = Vec::new();
            self.cdns.push(CdnState {
                pops,
                flights,
                shields,
                left_origin,
                refreshing,
                asked,
                fetched,
                failed,
            });
        }
    }

    fn new_edge(&self, spec: &model::Cdn, pop: u32) -> CacheStore {
        let keys = &self.model.keys[spec.keys];
        let mut store = self.cold_edge(spec);
        if self.model.plan.warm_caches {
            let traffic = KeysetTraffic {
                rate_per_s: spec.rate_per_s / f64::from(spec.pops),
                ttl: Ttl::of(spec.ttl, false),
            };
            let mut draws = self.key.named("cdn").named(&spec.name).draw(u64::from(pop));
            let probability = |key: Key| match &keys.sampler {
                Some(sampler) => sampler.probability(key.rank),
                None => 1.0 / f64::from(keys.count),
            };
            store.warm(Time::ZERO, &[traffic], probability, &mut || draws.next_u64());
        }
        store
    }

    /// An edge that has nothing.
    pub(super) fn cold_edge(&self, spec: &model::Cdn) -> CacheStore {
        let keys = &self.model.keys[spec.keys];
        let keyset = KeysetConfig { count: keys.count, size_bytes: u64::from(keys.size_bytes) };
        CacheStore::new(spec.store, &[keyset])
    }

    /// A request reaches a CDN's edge: answered there, sent on to the service, or made to wait for
    /// an answer that is under way already.
    pub fn edge(&mut self, task: u32) {
        if self.tasks[task].has(flag::EDGE_MISS) {
            if self.tasks[task].pending & (ASKS_SHIELD | SHIELD_HAS) != 0 {
                return self.at_shield(task);
            }
            if self.tasks[task].owner_epoch == GIVEN_UP {
                self.observer.late += 1;
                return self.end_task(task);
            }
            return self.answer_passes_edge(task);
        }
        let Op::Edge { cdn, key, hit } = self.op_at(task) else {
            unreachable!("a task reaches an edge where its tape says so")
        };
        let spec = &self.model.cdns[cdn];
        let key = Key { keyset: 0, rank: self.rank_of(task, spec.keys, key) };
        let pop = self.tasks[task].user % spec.pops;
        self.count(spec.station, Counter::Arrivals);
        let condition = self.condition(UnitKind::Cdn, cdn.0);
        if condition.down || self.stumbles(condition.errors) {
            self.count(spec.station, Counter::Errors);
            let why = if condition.down { Failure::Refused } else { Failure::UpstreamError };
            return self.fail(task, why);
        }
        if self.cdns[cdn].pops[pop as usize].get(self.now, key) == Lookup::Hit {
            self.count(spec.station, Counter::Hits);
            self.tasks[task].pc = hit;
            return self.advance_away(task);
        }
        if !spec.revalidate.is_zero() && self.gives_stale(task, (cdn, pop, key), hit) {
            return;
        }
        if !self.cdns[cdn].failed.is_empty() && self.knows_failure(task, cdn, pop, key, hit) {
            return;
        }
        self.count(spec.station, Counter::Misses);
        if spec.collapse && self.cdns[cdn].flights.begin(pop, key, task) == Flight::Join {
            self.count(spec.station, Counter::Joined);
            let record = &mut self.tasks[task];
            (record.state, record.since) = (State::Joined, self.now);
            return;
        }
        if !self.cdns[cdn].asked.is_empty() {
            self.note_asked(task, cdn, 0);
        }
        match spec.shield {
            Some(shield) => self.ask_shield(task, shield),
            None => self.forward_to_origin(task, cdn),
        }
    }

    /// A request goes on from its edge to the service behind it.
    pub(super) fn forward_to_origin(&mut self, task: u32, cdn: CdnId) {
        let edge = self.way_to_edge(task, cdn) + self.way_to_shield(task, cdn);
        let record = &mut self.tasks[task];
        record.state = State::Away;
        record.flags |= flag::EDGE_MISS;
        record.pc.0 += 1;
        let Op::Enter { service, .. } = self.op_at(task) else {
            unreachable!("behind an edge stands a service")
        };
        // The edge lies on the user's way to the service.
        let whole = self.way_to_user(task, self.model.services[service].region);
        let passage = self.passage_of_user(task, service);
        let limit = self.model.cdns[cdn].connect_timeout;
        if passage.late > limit {
            // Its connections are not answered, one attempt after the other.
            self.count(self.model.cdns[cdn].station, Counter::TimedOut);
            self.travel(task, limit);
            self.tasks[task].status = Failure::UpstreamTimeout as u8;
            return self.at_task(self.now + limit, Kind::Edge, task);
        }
        // The shield, too.
        let rest = Duration(whole.0.saturating_sub(edge.0)) + passage.late;
        self.travel(task, rest);
        self.tasks[task].since = self.now;
        self.at_task(self.now + rest, Kind::Land, task);
    }

    /// One way between a user and the edge of a CDN.
    pub fn way_to_edge(&self, task: u32, cdn: CdnId) -> Duration {
        self.way_to_edge_of(&self.tasks[task], cdn)
    }

    fn way_to_edge_of(&self, record: &Task, cdn: CdnId) -> Duration {
        let law = self.model.cdns[cdn].edge;
        let way = self.model.draw_law(law, record.stream, 0xed6e).half();
        self.condition(UnitKind::Cdn, cdn.0).stretch(way)
    }

    /// Everything at the edges of a CDN is forgotten.
    pub(super) fn purge_cdn(&mut self, cdn: CdnId) {
        let spec = &self.model.cdns[cdn];
        for pop in 0..spec.pops as usize {
            self.cdns[cdn].pops[pop] = self.cold_edge(spec);
        }
        self.cdns[cdn].fetched.fill(Time::NEVER);
        self.cdns[cdn].failed.clear();
        for shield in 0..self.cdns[cdn].shields.len() {
            self.cdns[cdn].shields[shield] = self.cold_edge(spec);
        }
    }

    /// The CDN in front of the operation that an attempt is at.
    #[inline(always)]
    pub fn cdn_of_operation(&self, attempt: &Task) -> Option<CdnId> {
        if self.model.cdns.is_empty() {
            return None;
        }
        cdn_of(&self.model.tape, self.model.operations[attempt.operation()].entry)
    }

    /// An answer passes its CDN's edge on the way to the user.
    fn answer_passes_edge(&mut self, task: u32) {
        let cdn = self.cdn_of_operation(&self.tasks[task]).expect("it has missed at its edge");
        let record = &mut self.tasks[task];
        let silent = record.status != OK && Failure::ALL[record.status as usize].is_silence();
        if silent && record.answered == 0 {
            record.answered = 502; // CloudFront: it could not connect to the origin
        }
        if self.is_refresher(task) {
            return self.refreshed(task, cdn);
        }
        self.fill_edge(task);
        self.tasks[task].flags &= !flag::EDGE_MISS;
        let way = self.way_to_edge(task, cdn);
        self.travel(task, way);
        self.at_task(self.now + way, Kind::Respond, task);
    }

    /// The edge keeps an answer, and answers all who waited for it there; so does the shield behind it.
    fn fill_edge(&mut self, task: u32) {
        let record = self.tasks[task];
        let entry = self.model.operations[record.operation()].entry;
        let Op::Edge { cdn, key, hit } = self.model.tape[entry.0 as usize] else {
            unreachable!("only operations behind a CDN miss at its edge")
        };
        let spec = &self.model.cdns[cdn];
        let key = Key { keyset: 0, rank: self.rank_of(task, spec.keys, key) };
        let kept = self.may_be_kept(&record, cdn);
        self.fill_pop(task, (cdn, key, hit), kept, self.now);
        if spec.shield.is_some() {
            self.fill_shield(task, &record, (cdn, key, hit), kept);
        }
    }

    /// Whether an answer may be cached.
    pub(super) fn may_be_kept(&self, record: &Task, cdn: CdnId) -> bool {
        let share = self.model.cdns[cdn].uncacheable;
        share == 0.0 || !record.stream.draw(0xed6e_0000).chance(share)
    }

    /// A point of presence has an answer, which left the origin at that time.
    pub(super) fn fill_pop(
        &mut self,
        task: u32,
        (cdn, key, hit): (CdnId, Key, Pc),
        kept: bool,
        left: Time,
    ) {
        let spec = &self.model.cdns[cdn];
        let record = self.tasks[task];
        let pop = record.user % spec.pops;
        if record.status != OK && !spec.error_ttl.is_zero() {
            self.keep_failure(task, cdn, pop, key);
        }
        let stale = self.answer_stale(task, (cdn, pop, key), kept, left);
        let record = self.tasks[task];
        if record.status == OK && kept && !stale {
            self.store_at_edge(&record, (cdn, pop, key), left);
        }
        if !spec.collapse {
            return;
        }
        let mut joined = Vec::new();
        self.cdns[cdn].flights.finish(pop, key, |other| joined.push(other));
        if record.status == OK && !kept {
            return self.one_after_another(cdn, pop, key, joined);
        }
        for other in joined {
            self.joined(other, spec.station);
            let waiter = &mut self.tasks[other];
            (waiter.pc, waiter.status, waiter.answered) = (hit, record.status, record.answered);
            self.advance_away(other);
        }
    }

    /// An answer is kept for what is left of its time.
    pub(super) fn store_at_edge(
        &mut self,
        record: &Task,
        (cdn, pop, key): (CdnId, u32, Key),
        left: Time,
    ) {
        let spec = &self.model.cdns[cdn];
        let age = self.now.since(left);
        let ttl = spec.ttl.map(|ttl| Duration(ttl.0.saturating_sub(age.0)));
        let mut draws = record.stream.draw(0xed6e_f111);
        let store = &mut self.cdns[cdn].pops[pop as usize];
        store.set(self.now, key, Ttl::of(ttl, false), &mut || draws.next_u64());
        self.count(spec.station, Counter::Writes);
    }

    /// The origin has failed, but the edge still has an answer that is not too old: that is given.
    fn answer_stale(
        &mut self,
        task: u32,
        (cdn, pop, key): (CdnId, u32, Key),
        kept: bool,
        left: Time,
    ) -> bool {
        let place = self.place_at_edge(cdn, pop, key);
        let Some(fetched) = self.cdns[cdn].fetched.get_mut(place) else { return false };
        let record = &mut self.tasks[task];
        if record.status == OK {
            if kept {
                *fetched = left;
            }
            return false;
        }
        let wrong = is_failure_of_origin(record);
        if !wrong || !self.has_stale_at_edge(cdn, place) {
            return false;
        }
        let record = &mut self.tasks[task];
        (record.status, record.answered) = (OK, 0);
        self.count(self.model.cdns[cdn].station, Counter::StaleReads);
        true
    }

    /// Whether an edge has an answer whose time is over, but not for too long.
    fn has_stale_at_edge(&self, cdn: CdnId, place: usize) -> bool {
        let spec = &self.model.cdns[cdn];
        let fresh = spec.ttl.unwrap_or(Duration::FOREVER);
        let Some(fetched) = self.cdns[cdn].fetched.get(place) else { return false };
        let most = fresh.0.saturating_add(spec.stale.0);
        *fetched != Time::NEVER && self.now.since(*fetched).0 <= most
    }

    pub(super) fn place_at_edge(&self, cdn: CdnId, pop: u32, key: Key) -> usize {
        let count = self.model.keys[self.model.cdns[cdn].keys].count as usize;
        pop as usize * count + key.rank as usize
    }

    /// The origin has failed: the edge does not ask it again for a while (CloudFront, error caching
    /// minimum TTL).
    #[cold]
    fn keep_failure(&mut self, task: u32, cdn: CdnId, pop: u32, key: Key) {
        let record = self.tasks[task];
        if !is_kept(&record) || !self.model.operations[record.operation()].idempotent {
            return;
        }
        let spec = &self.model.cdns[cdn];
        let until = self.now + spec.error_ttl;
        let place = self.place_at_edge(cdn, pop, key);
        let all = spec.pops as usize * self.model.keys[spec.keys].count as usize;
        let failed = &mut self.cdns[cdn].failed;
        failed.resize(all, Failed::default());
        failed[place] = Failed { until, status: record.status, answered: record.answered };
    }

    /// An edge that has nothing fresh may know that its origin fails: it says so, or gives what it has.
    #[cold]
    fn knows_failure(&mut self, task: u32, cdn: CdnId, pop: u32, key: Key, hit: Pc) -> bool {
        let place = self.place_at_edge(cdn, pop, key);
        let known = self.cdns[cdn].failed[place];
        if known.until <= self.now {
            return false;
        }
        let station = self.model.cdns[cdn].station;
        self.tasks[task].answered = known.answered;
        let failed = Task { status: known.status, ..self.tasks[task] };
        if is_failure_of_origin(&failed) && self.has_stale_at_edge(cdn, place) {
            self.count(station, Counter::StaleReads);
            let record = &mut self.tasks[task];
            (record.pc, record.answered) = (hit, 0);
            self.advance_away(task);
        } else {
            self.count(station, Counter::Errors);
            self.fail(task, Failure::ALL[known.status as usize]);
        }
        true
    }

    /// Whether an edge waits for the answer to a request whose user has gone: it may have others who wait
    /// for the same.
    pub(super) fn edge_waits_for(&self, record: &Task) -> bool {
        record.role == Role::Attempt
            && record.has(flag::EDGE_MISS)
            && record.owner == NONE
            && record.owner_epoch != GIVEN_UP
    }

    /// Sends an answer to the user from an edge, or from a balancer that has nobody to ask.
    pub fn answer_from_edge(&mut self, task: u32, bytes: f64) {
        if let Op::Enter { service, .. } = self.op_at(task) {
            return self.send_home(task, self.model.services[service].region, self.now);
        }
        let cdn = self.cdn_of_operation(&self.tasks[task]);
        let way = self.way_to_edge(task, cdn.expect("outside of services only edges answer"));
        let way = way + self.body_takes(task, bytes, crate::model::ids::RegionId(0));
        self.travel(task, way);
        self.tasks[task].state = State::Away;
        self.at_task(self.now + way, Kind::Respond, task);
    }
}

/// Origins that do not answer.
impl<Q: PendingEvents> World<'_, Q> {
    /// An edge asks for a task's request now; 0 is as it came.
    pub(super) fn note_asked(&mut self, task: u32, cdn: CdnId, attempt: u32) {
        self.note_asked_at(task, cdn, (self.now, attempt));
    }

    fn note_asked_at(&mut self, task: u32, cdn: CdnId, (at, attempt): (Time, u32)) {
        let asked = Asked { at, ordinal: self.tasks[task].ordinal, attempt };
        let all = &mut self.cdns[cdn].asked;
        if all.len() <= task as usize {
            all.resize(task as usize + 1, Asked::default());
        }
        all[task as usize] = asked;
    }

    /// When an edge has asked its origin for a task's request, and for which time, as long as it waits.
    fn asked_at(&self, task: u32, record: &Task, cdn: CdnId) -> Option<(Time, u32)> {
        let waits = record.role == Role::Attempt
            && (record.owner != NONE
                || self.edge_waits_for(record) && record.owner_epoch != REFRESHES)
            && record.has(flag::EDGE_MISS)
            && record.worker != NONE
            && self.cdn_of_operation(record) == Some(cdn);
        if !waits {
            return None;
        }
        let asked = self.cdns[cdn].asked.get(task as usize);
        if let Some(asked) = asked.filter(|it| it.attempt > 0 && it.ordinal == record.ordinal) {
            return Some((asked.at, asked.attempt));
        }
        // Of a user who has gone, it was written down as they went.
        if record.owner == NONE {
            return None;
        }
        let way = self.way_to_edge_of(record, cdn);
        let region = self.model.services[self.service_of_worker(record.worker)].region;
        let set_up = self.set_up_took(record, region);
        Some((self.journeys[record.owner].started + way + set_up, 1))
    }

    /// A user goes whose request their edge has sent on: it goes on waiting, for as long as it would have.
    #[inline]
    pub(super) fn edge_goes_on(&mut self, task: u32) {
        if !self.tasks[task].has(flag::EDGE_MISS) {
            return;
        }
        let record = *self.tasks.peek(task);
        let Some(cdn) = self.cdn_of_operation(&record) else { return };
        let asked = self.asked_at(task, &record, cdn).unwrap_or((self.now, 1));
        self.note_asked_at(task, cdn, asked);
    }

    /// Looks for requests that origins will have kept for too long before the next look.
    pub(super) fn sweep_edges(&mut self, cdn: CdnId) {
        let timeout = self.model.cdns[cdn].origin_timeout;
        self.at(self.now + timeout, Kind::Origins, cdn.0);
        for slot in 0..self.tasks.capacity() as u32 {
            let record = *self.tasks.peek(slot);
            if record.state == State::Free {
                continue;
            }
            let due = self.asked_at(slot, &record, cdn).map(|(at, _)| at + timeout);
            if let Some(due) = due.filter(|due| *due > self.now) {
                self.at_task(due, Kind::Upstream, slot);
            }
        }
    }

    /// Whether a task's origin has taken too long just now. Its edge then asks once more, or answers.
    pub(super) fn origin_is_late(&mut self, task: u32) -> bool {
        let record = *self.tasks.peek(task);
        if !record.has(flag::EDGE_MISS) || record.role != Role::Attempt {
            return false;
        }
        let Some(cdn) = self.cdn_of_operation(&record) else { return false };
        let timeout = self.model.cdns[cdn].origin_timeout;
        let Some((_, attempt)) =
            self.asked_at(task, &record, cdn).filter(|(at, _)| *at + timeout == self.now)
        else {
            return false;
        };
        let station = self.model.cdns[cdn].station;
        self.count(station, Counter::TimedOut);
        let wanted = record.owner != NONE || self.others_wait(task, cdn);
        let again = wanted && attempt < self.model.cdns[cdn].attempts && self.may_be_repeated(task);
        let messenger = self.new_task(Task { leases: Default::default(), permit: 0, ..record });
        if Q::TELLS {
            self.tell_split(task, messenger);
        }
        let behind = &mut self.tasks[task];
        (behind.owner, behind.row, behind.owner_epoch) = (NONE, NONE, GIVEN_UP);
        let mut fresh = true;
        if record.owner != NONE {
            self.journeys[record.owner].task = messenger;
            if record.row != NONE {
                let so_far = self.now.since(self.journeys[record.owner].intended);
                self.attribution.lose(record.row, station, so_far);
            }
            fresh = self.journeys[record.owner].fresh;
        }
        let operation = record.operation();
        let entry = self.model.operations[operation].entry;
        let edge = &mut self.tasks[messenger];
        edge.begin_anew(entry, fresh);
        edge.worker = NONE;
        if again {
            self.note_asked(messenger, cdn, attempt + 1);
            self.forward_to_origin(messenger, cdn);
        } else {
            edge.status = Failure::UpstreamTimeout as u8;
            self.answer_passes_edge(messenger);
        }
        true
    }
}

/// The status code of a failed answer of an origin.
fn code_of(record: &Task) -> u16 {
    match record.answered {
        0 => Failure::ALL[record.status as usize].status(),
        chosen => chosen,
    }
}

/// Whether an origin fails, so that CloudFront gives what it has in place of its answer.
fn is_failure_of_origin(record: &Task) -> bool {
    code_of(record) >= 500
}

/// Whether CloudFront keeps a failed answer that has no header which says for how long (developer guide,
/// HTTPStatusCodes; custom-error-pages-expiration has 410 as well).
fn is_kept(record: &Task) -> bool {
    matches!(code_of(record), 404 | 410 | 414 | 500..=504)
}

/// The CDN that an operation's flow begins at, if it does.
pub fn cdn_of(tape: &[Op], entry: Pc) -> Option<CdnId> {
    match tape[entry.0 as usize] {
        Op::Edge { cdn, .. } => Some(cdn),
        _ => None,
    }
}
