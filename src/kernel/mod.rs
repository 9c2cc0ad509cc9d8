//! The clockwork: pending events in their one order, slots for records, shared processors.
//!
//! Generic machinery that knows time and nothing of the web. Each part keeps beside it a slow and
//! obvious twin that its tests, and a whole run, can be held against.

mod dense;
mod event;
mod event_list;
mod machine;
mod processor_sharing;
mod slab;

pub use dense::{Dense, Id};
pub use event::{Event, PendingEvents, ReferenceEventList};
pub use event_list::EventList;
pub use machine::{MachineCores, Rank, RankedCores, Start, Turn};
pub use processor_sharing::{Crowding, ProcessorSharing, UNCROWDED};
pub use slab::Slab;
