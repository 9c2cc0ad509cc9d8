//! Object storage: requests that are taken, or slowed down and tried again.

use super::event::Kind;
use super::meter::{Counter, Part};
use super::task::State;
use super::world::World;
use crate::component::backoff::Backoff;
use crate::component::object_store::Prefix;
use crate::failure::Failure;
use crate::kernel::PendingEvents;
use crate::model::{Store, UnitKind};
use crate::units::Duration;

/// How clients wait that were slowed down (@smithy/core 3.41.0, `THROTTLING_RETRY_DELAY_BASE` 500 ms,
/// `MAXIMUM_RETRY_DELAY` 20 s).
const BACKOFF: Backoff =
    Backoff::FullJitter { base: Duration::millis(500), cap: Duration::secs(20) };

/// The same after an error (`DEFAULT_RETRY_DELAY_BASE` 100 ms).
const AFTER_ERROR: Backoff =
    Backoff::FullJitter { base: Duration::millis(100), cap: Duration::secs(20) };

/// An object store while it runs.
pub struct StoreState {
    puts: Vec<Prefix>,
    gets: Vec<Prefix>,
}

impl StoreState {
    /// With all of its prefixes rested.
    pub fn new(spec: &Store) -> StoreState {
        let all = |rate| vec![Prefix::new(rate); spec.prefixes as usize];
        StoreState { puts: all(spec.put_rate), gets: all(spec.get_rate) }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A running callback asks a store, and hears of it later: it never goes on by itself.
    pub(super) fn ask_store(&mut self, task: u32, usage: u32) -> bool {
        let usage = self.model.store_uses[usage as usize];
        let spec = &self.model.stores[usage.store];
        let record = self.tasks[task];
        let numbers = u64::from(usage.bytes.id.0);
        let prefix = record.stream.draw(numbers ^ 0x5e_0000).below(spec.prefixes) as usize;
        let condition = self.condition(UnitKind::Store, usage.store.0);
        let errs = condition.down || self.stumbles(condition.errors);
        let state = &mut self.stores[usage.store];
        let prefixes = if usage.write { &mut state.puts } else { &mut state.gets };
        let requests = usage.requests();
        let taken = !errs && prefixes[prefix].take(self.now, requests, spec.split_after);
        let meter = &mut self.meters[spec.station];
        meter.add(Counter::Arrivals, u64::from(requests));
        let wait = if taken {
            let first = if usage.write { spec.put } else { spec.get };
            let first = self.model.draw_law(first, record.stream, usage.bytes.id.0 ^ 0x5e_0001);
            let bytes = self.model.draw_bytes(usage.bytes, record.stream);
            let count = if usage.write { Counter::Writes } else { Counter::Reads };
            meter.add(count, u64::from(requests));
            meter.add(Counter::Served, u64::from(requests));
            if !usage.write {
                meter.add(Counter::Bytes, bytes as u64);
            }
            let record = &mut self.tasks[task];
            (record.pc.0, record.pending) = (record.pc.0 + 1, 0);
            let took = condition.stretch(first + usage.transfer(bytes));
            self.spend(task, spec.station, Part::Service, took);
            took
        } else {
            let (count, why, backoff) = match errs {
                true => (Counter::Errors, Failure::UpstreamError, AFTER_ERROR),
                false => (Counter::Rejected, Failure::SlowDown, BACKOFF),
            };
            meter.add(count, u64::from(requests));
            let tried = u32::from(record.pending) + 1;
            if tried >= spec.attempts {
                if !errs {
                    meter.count(Counter::Errors);
                }
                let record = &mut self.tasks[task];
                (record.pending, record.status) = (0, why as u8);
                Duration::ZERO
            } else {
                self.tasks[task].pending += 1;
                self.meters[spec.station].count(Counter::Retried);
                let unit = record.stream.draw(numbers ^ 0x5e_0002 ^ u64::from(tried) << 32).unit();
                let pause = backoff.delay(tried, Duration::ZERO, unit);
                self.spend(task, spec.station, Part::Wait, pause);
                pause
            }
        };
        let record = &mut self.tasks[task];
        (record.state, record.since) = (State::Away, self.now);
        self.at_task(self.now + wait, Kind::Resume, task);
        false
    }
}
