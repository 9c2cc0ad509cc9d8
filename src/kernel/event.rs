//! Events, their one order, and the simplest set of them.

use crate::units::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A pending event: when, of what kind, and for whom, in one 16-byte integer.
///
/// The high 64 bits are the time, the low 64 bits the key: kind (6 bits), ordinal (31), slot (27),
/// from the most significant down. One integer compare is the whole order: time first, ties by the
/// key. The key is *canonical*: it says what the event is and not when it was scheduled, so results
/// stay the same when a shortcut schedules the same events in another sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Event(pub u128);

const ORDINAL_BITS: u32 = 31;
const SLOT_BITS: u32 = 27;
const _: () = assert!(size_of::<Event>() == 16);

impl Event {
    /// Bits of a kind.
    pub const KIND_BITS: u32 = 6;
    /// Later than every event.
    pub(super) const LAST: Event = Event(u128::MAX);

    /// The event of a `kind` (below 2^6) at a time, for the record in `slot` (below 2^27) whose
    /// canonical number is `ordinal` (below 2^31).
    #[inline(always)]
    pub fn new(at: Time, kind: u8, ordinal: u32, slot: u32) -> Event {
        debug_assert!(kind < 1 << Event::KIND_BITS, "kind {kind} has 6 bits");
        debug_assert!(ordinal < 1 << ORDINAL_BITS, "ordinal {ordinal} has 31 bits");
        debug_assert!(slot < 1 << SLOT_BITS, "slot {slot} has 27 bits");
        let key = (kind as u64) << (ORDINAL_BITS + SLOT_BITS)
            | (ordinal as u64) << SLOT_BITS
            | slot as u64;
        Event::from_parts(at.0, key)
    }
    /// When it happens.
    #[inline(always)]
    pub fn at(self) -> Time {
        Time(self.ticks())
    }
    /// What happens, below 2^6.
    #[inline(always)]
    pub fn kind(self) -> u8 {
        (self.key() >> (ORDINAL_BITS + SLOT_BITS)) as u8
    }
    /// The canonical number of whom it happens to, below 2^31.
    #[inline(always)]
    pub fn ordinal(self) -> u32 {
        (self.key() >> SLOT_BITS) as u32 & ((1 << ORDINAL_BITS) - 1)
    }
    /// Where the record of whom it happens to lies, below 2^27.
    #[inline(always)]
    pub fn slot(self) -> u32 {
        self.key() as u32 & ((1 << SLOT_BITS) - 1)
    }
    #[inline(always)]
    pub(super) fn from_parts(ticks: u64, key: u64) -> Event {
        Event((ticks as u128) << 64 | key as u128)
    }
    #[inline(always)]
    pub(super) fn ticks(self) -> u64 {
        (self.0 >> 64) as u64
    }
    #[inline(always)]
    pub(super) fn key(self) -> u64 {
        self.0 as u64
    }
}

/// A set of pending events that gives them back in order.
///
/// Every implementation gives exactly the same events in the same order, so a run must have the
/// same digest on either of them. Equal events (all 128 bits) may be in the set more than once.
pub trait PendingEvents: Default {
    /// Whether runs on this list can tell the stories of requests. Asked when the program is
    /// compiled: where the answer is no, listening costs nothing.
    const TELLS: bool = false;
    /// Adds an event, at any time: also earlier than one that was popped.
    fn push(&mut self, event: Event);
    /// Takes the earliest event out.
    fn pop(&mut self) -> Option<Event>;
    /// The earliest event, left in place. Mutable, because looking may sort.
    fn peek(&mut self) -> Option<Event>;
    /// How many events are pending.
    fn len(&self) -> usize;
    /// True when nothing is pending.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Forgets all events and keeps the memory.
    fn clear(&mut self);
}

/// The simple reference: the binary heap of the standard library.
///
/// About 1.5 times slower than [`EventList`](super::EventList) with ten events pending, 2.5 times
/// with ten thousand, and 9 times with a million (`benches/event_list.rs`).
#[derive(Clone, Debug, Default)]
pub struct ReferenceEventList(BinaryHeap<Reverse<Event>>);

impl ReferenceEventList {
    /// An empty set.
    pub fn new() -> ReferenceEventList {
        ReferenceEventList::default()
    }
}
impl PendingEvents for ReferenceEventList {
    const TELLS: bool = true;
    #[inline]
    fn push(&mut self, event: Event) {
        self.0.push(Reverse(event));
    }
    #[inline]
    fn pop(&mut self) -> Option<Event> {
        self.0.pop().map(|Reverse(event)| event)
    }
    #[inline]
    fn peek(&mut self) -> Option<Event> {
        self.0.peek().map(|&Reverse(event)| event)
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_parts_and_orders_by_them() {
        let event = Event::new(Time(7), 63, (1 << 31) - 1, (1 << 27) - 1);
        assert_eq!((event.at(), event.kind()), (Time(7), 63));
        assert_eq!((event.ordinal(), event.slot()), ((1 << 31) - 1, (1 << 27) - 1));
        let ascending = [
            Event::new(Time(1), 9, 9, 9),
            Event::new(Time(2), 0, 9, 9),
            Event::new(Time(2), 1, 0, 9),
            Event::new(Time(2), 1, 1, 0),
            Event::new(Time(2), 1, 1, 1),
        ];
        assert!(ascending.is_sorted());
    }
}
