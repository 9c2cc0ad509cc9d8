//! The resident entries: found by key, drawn by place, kept in an order of age.

use super::Key;
use crate::units::{Duration, Time};

/// No place.
const NONE: u32 = u32::MAX;

/// One entry.
#[derive(Clone, Copy)]
pub(super) struct Resident {
    pub(super) key: Key,
    /// When it expires; `NEVER` without a TTL.
    pub(super) expires: Time,
    /// What a hit makes of its TTL; zero when hits do not renew it.
    pub(super) renews: Duration,
    /// When it was last used, on the clock of recency (s).
    pub(super) touched_s: u32,
    /// What loading it took (us), for those who reload early.
    pub(super) took_us: u32,
    older: u32,
    newer: u32,
}

impl Resident {
    pub(super) fn new(key: Key, expires: Time, renews: Duration, touched_s: u32) -> Resident {
        Resident { key, expires, renews, touched_s, took_us: 0, older: NONE, newer: NONE }
    }
    fn is_mortal(&self) -> bool {
        self.expires != Time::NEVER
    }
}

/// A dense vector of entries, so that a random one is a random place.
///
/// # Invariants
/// - `place_of[keyset][rank]` is the place plus one, zero for a key that is not resident: zeros are
///   pages that the operating system does not hand out before they are written.
/// - Entries with a TTL come first: they are `entries[..mortal]`.
/// - If `ordered`, the entries form one list from `oldest` to `newest`.
pub(super) struct Residents {
    place_of: Vec<Vec<u32>>,
    entries: Vec<Resident>,
    mortal: u32,
    ordered: bool,
    oldest: u32,
    newest: u32,
}

impl Residents {
    pub(super) fn new(counts: impl Iterator<Item = u32>, ordered: bool) -> Residents {
        Residents {
            place_of: counts.map(|count| vec![0; count as usize]).collect(),
            entries: Vec::new(),
            mortal: 0,
            ordered,
            oldest: NONE,
            newest: NONE,
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.entries.len() as u32
    }
    /// How many entries have a TTL: they are at the places `0..mortal()`.
    pub(super) fn mortal(&self) -> u32 {
        self.mortal
    }
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        self.place_of[key.keyset as usize][key.rank as usize].checked_sub(1)
    }
    pub(super) fn at(&self, place: u32) -> &Resident {
        &self.entries[place as usize]
    }
    /// To change anything but the key and whether there is a TTL.
    pub(super) fn at_mut(&mut self, place: u32) -> &mut Resident {
        &mut self.entries[place as usize]
    }
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Adds an entry whose key is not resident, as the newest.
    pub(super) fn insert(&mut self, resident: Resident) {
        let place = self.len();
        self.entries.push(resident);
        *self.place_mut(resident.key) = place + 1;
        if self.ordered {
            self.link_newest(place);
        }
        self.settle(place);
    }

    /// Replaces the entry of the same key and says where it is now; its age stays.
    pub(super) fn overwrite(&mut self, place: u32, resident: Resident) -> u32 {
        let entry = self.at_mut(place);
        *entry = Resident { older: entry.older, newer: entry.newer, ..resident };
        self.settle(place)
    }

    pub(super) fn remove(&mut self, place: u32) {
        let mut place = place;
        if place < self.mortal {
            self.mortal -= 1;
            self.swap(place, self.mortal);
            place = self.mortal;
        }
        let last = self.len() - 1;
        self.swap(place, last);
        if self.ordered {
            self.unlink(last);
        }
        *self.place_mut(self.entries[last as usize].key) = 0;
        self.entries.pop();
    }

    pub(super) fn make_newest(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.link_newest(place);
        }
    }

    pub(super) fn clear(&mut self) {
        for entry in &self.entries {
            self.place_of[entry.key.keyset as usize][entry.key.rank as usize] = 0;
        }
        self.entries.clear();
        (self.mortal, self.oldest, self.newest) = (0, NONE, NONE);
    }

    /// Moves the entry to the side of the border that its TTL calls for.
    fn settle(&mut self, place: u32) -> u32 {
        let is_mortal = self.at(place).is_mortal();
        if is_mortal && place >= self.mortal {
            self.mortal += 1;
            self.swap(place, self.mortal - 1);
            self.mortal - 1
        } else if !is_mortal && place < self.mortal {
            self.mortal -= 1;
            self.swap(place, self.mortal);
            self.mortal
        } else {
            place
        }
    }

    fn swap(&mut self, a: u32, b: u32) {
        if a == b {
            return;
        }
        self.entries.swap(a as usize, b as usize);
        for place in [a, b] {
            *self.place_mut(self.at(place).key) = place + 1;
        }
        if !self.ordered {
            return;
        }
        // The two may be neighbours: first their own links follow the move, then those around them.
        let moved = |link| match link {
            link if link == a => b,
            link if link == b => a,
            link => link,
        };
        for place in [a, b] {
            let entry = self.at_mut(place);
            (entry.older, entry.newer) = (moved(entry.older), moved(entry.newer));
        }
        for place in [a, b] {
            let Resident { older, newer, .. } = *self.at(place);
            self.set_newer(older, place);
            self.set_older(newer, place);
        }
    }

    fn link_newest(&mut self, place: u32) {
        let before = self.newest;
        let entry = self.at_mut(place);
        (entry.older, entry.newer) = (before, NONE);
        self.set_newer(before, place);
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Resident { older, newer, .. } = *self.at(place);
        self.set_newer(older, newer);
        self.set_older(newer, older);
    }

    /// Makes `newer` follow `place`, where no place stands for the head of the list.
    fn set_newer(&mut self, place: u32, newer: u32) {
        match place {
            NONE => self.oldest = newer,
            place => self.at_mut(place).newer = newer,
        }
    }
    fn set_older(&mut self, place: u32, older: u32) {
        match place {
            NONE => self.newest = older,
            place => self.at_mut(place).older = older,
        }
    }

    fn place_mut(&mut self, key: Key) -> &mut u32 {
        &mut self.place_of[key.keyset as usize][key.rank as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::splitmix;
    use super::*;

    /// The same by a plain list of (rank, mortal), oldest first.
    fn agrees(residents: &Residents, list: &[(u32, bool)]) {
        let mut place = residents.oldest;
        for &(rank, mortal) in list {
            let entry = residents.at(place);
            assert_eq!(entry.key.rank, rank);
            assert_eq!(place < residents.mortal, mortal);
            assert_eq!(residents.find(entry.key), Some(place));
            place = entry.newer;
        }
        assert_eq!(place, NONE);
        assert_eq!(residents.len() as usize, list.len());
    }

    #[test]
    fn it_does_what_a_plain_list_does() {
        let mut residents = Residents::new([12].into_iter(), true);
        let mut list: Vec<(u32, bool)> = Vec::new();
        let mut draws = splitmix(3);
        for _ in 0..20_000 {
            let (verb, rank) = (draws() >> 60, (draws() >> 32) as u32 % 12);
            let key = Key { keyset: 0, rank };
            let mortal = verb.is_multiple_of(2);
            let expires = if mortal { Time(9) } else { Time::NEVER };
            let found = list.iter().position(|entry| entry.0 == rank);
            match (found, residents.find(key)) {
                (None, None) => {
                    residents.insert(Resident::new(key, expires, Duration::ZERO, 0));
                    list.push((rank, mortal));
                }
                (Some(at), Some(place)) if verb < 5 => {
                    residents.overwrite(place, Resident::new(key, expires, Duration::ZERO, 0));
                    list[at].1 = mortal;
                }
                (Some(at), Some(place)) if verb < 10 => {
                    residents.make_newest(place);
                    let entry = list.remove(at);
                    list.push(entry);
                }
                (Some(at), Some(place)) => {
                    residents.remove(place);
                    list.remove(at);
                }
                (found, place) => panic!("{found:?} but {place:?}"),
            }
            agrees(&residents, &list);
        }
        residents.clear();
        agrees(&residents, &[]);
        assert!((0..12).all(|rank| residents.find(Key { keyset: 0, rank }).is_none()));
    }

    #[test]
    fn an_entry_is_forty_bytes() {
        assert_eq!(size_of::<Resident>(), 40);
    }
}
