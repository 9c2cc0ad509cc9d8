//! Records in numbered slots that are used again.

use std::ops::{Index, IndexMut};

/// An arena of records, each in a slot named by a `u32`; freed slots are used again, last freed
/// first, because their memory is still warm.
///
/// Which slot a record gets depends only on the inserts and removes before it, so slots are the
/// same in every repetition of a run. A slot says nothing about the age of its record: whoever
/// keeps a slot number beyond its record's life needs an ordinal in the record to tell the two
/// apart. Builds with debug assertions refuse the use of a slot that holds no record; a free slot
/// holds defaults, which [`Slab::peek`] shows.
#[derive(Clone, Debug, Default)]
pub struct Slab<T> {
    records: Vec<T>,
    free: Vec<u32>,
    #[cfg(debug_assertions)]
    live: Vec<bool>,
}

impl<T: Default> Slab<T> {
    /// An arena without slots.
    pub fn new() -> Slab<T> {
        Slab::default()
    }
    /// Puts a record into the slot freed last, or else into a new one, and returns the slot.
    ///
    /// # Panics
    /// When 2^32 records live at once.
    #[inline]
    pub fn insert(&mut self, record: T) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.records[slot as usize] = record;
                slot
            }
            None => {
                let slot = u32::try_from(self.records.len()).expect("fewer than 2^32 records live");
                self.records.push(record);
                slot
            }
        };
        #[cfg(debug_assertions)]
        {
            self.live.resize(self.records.len(), false);
            self.live[slot as usize] = true;
        }
        slot
    }
    /// The slot that the next record will get.
    #[inline]
    pub fn next_slot(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.records.len() as u32)
    }
    /// Takes the record out and frees its slot.
    ///
    /// # Panics
    /// If there is no such slot; with debug assertions, if the slot is free.
    #[inline]
    pub fn remove(&mut self, slot: u32) -> T {
        self.check(slot);
        #[cfg(debug_assertions)]
        {
            self.live[slot as usize] = false;
        }
        self.free.push(slot);
        std::mem::take(&mut self.records[slot as usize])
    }
    /// What the slot holds, or defaults if it is free: for timers that may outlive the record that
    /// they were set for, and then find another one or none.
    #[inline]
    pub fn peek(&self, slot: u32) -> &T {
        &self.records[slot as usize]
    }
    /// How many records live.
    pub fn len(&self) -> usize {
        self.records.len() - self.free.len()
    }
    /// True when no record lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The slots that hold a record, in order; it takes as long as there are slots.
    pub fn occupied(&self) -> Vec<u32> {
        let mut holds = vec![true; self.records.len()];
        for slot in &self.free {
            holds[*slot as usize] = false;
        }
        (0..self.records.len() as u32).filter(|slot| holds[*slot as usize]).collect()
    }
    /// How many slots there are, free ones included: the most records that ever lived at once.
    pub fn capacity(&self) -> usize {
        self.records.len()
    }
}

impl<T> Slab<T> {
    #[inline(always)]
    fn check(&self, slot: u32) {
        #[cfg(debug_assertions)]
        assert!(self.live[slot as usize], "slot {slot} holds no record");
        let _ = slot;
    }
}
impl<T> Index<u32> for Slab<T> {
    type Output = T;
    #[inline(always)]
    fn index(&self, slot: u32) -> &T {
        self.check(slot);
        &self.records[slot as usize]
    }
}
impl<T> IndexMut<u32> for Slab<T> {
    #[inline(always)]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        self.check(slot);
        &mut self.records[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_freed_last_is_used_first() {
        let mut slab = Slab::new();
        let slots: Vec<u32> = (10..14).map(|record| slab.insert(record)).collect();
        assert_eq!(slots, [0, 1, 2, 3]);
        assert_eq!((slab.remove(1), slab.remove(3)), (11, 13));
        assert_eq!((slab.len(), slab.capacity()), (2, 4));
        assert_eq!((slab.insert(20), slab.insert(21), slab.insert(22)), (3, 1, 4));
        slab[1] += 100;
        assert_eq!([slab[0], slab[1], slab[2], slab[3], slab[4]], [10, 121, 12, 20, 22]);
        assert_eq!((slab.len(), slab.capacity(), slab.is_empty()), (5, 5, false));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "slot 0 holds no record")]
    fn a_slot_is_not_freed_twice() {
        let mut slab = Slab::new();
        let slot = slab.insert(1);
        slab.insert(2);
        slab.remove(slot);
        slab.remove(slot);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "slot 0 holds no record")]
    fn a_free_slot_is_not_read() {
        let mut slab = Slab::new();
        slab.insert(1);
        slab.remove(0);
        let _ = slab[0];
    }
}
