//! The lock of one table, as PostgreSQL's lock manager keeps it (PostgreSQL 15
//! `src/backend/storage/lmgr/lock.c` and `proc.c`).
//!
//! A request is granted when its mode conflicts neither with what others hold nor with what others
//! wait for before it: the queue is first come, first served, so one waiting `ACCESS EXCLUSIVE`
//! makes all later readers wait (`LockAcquireExtended`, `lock->waitMask`). Whoever already holds
//! something that a waiter's request conflicts with is put in front of that waiter (`ProcSleep`).
//! When something is released the queue is gone through in order, and everybody is granted who
//! conflicts neither with what is held nor with somebody still waiting before (`ProcLockWakeup`).

use std::collections::VecDeque;

/// The modes of a table's lock, weakest first, with the statements that take them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Mode {
    /// SELECT.
    AccessShare,
    /// SELECT FOR UPDATE.
    RowShare,
    /// INSERT, UPDATE, DELETE.
    RowExclusive,
    /// VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY.
    ShareUpdateExclusive,
    /// CREATE INDEX.
    Share,
    /// CREATE TRIGGER.
    ShareRowExclusive,
    /// REFRESH MATERIALIZED VIEW CONCURRENTLY.
    Exclusive,
    /// ALTER TABLE, TRUNCATE, plain REFRESH MATERIALIZED VIEW.
    AccessExclusive,
}

/// How many modes there are.
const MODES: usize = 8;

/// Which modes each conflicts with, as bits ("Conflicting Lock Modes", PostgreSQL 15, table 13.2).
const CONFLICTS: [u8; MODES] = [
    0b1000_0000,
    0b1100_0000,
    0b1111_0000,
    0b1111_1000,
    0b1110_1100,
    0b1111_1100,
    0b1111_1110,
    0b1111_1111,
];

impl Mode {
    /// As a set of modes.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }
    /// The modes that it conflicts with, as bits.
    pub fn conflicts(self) -> u8 {
        CONFLICTS[self as usize]
    }
}

/// Somebody who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiter {
    /// Who.
    pub owner: u32,
    /// For what.
    pub mode: Mode,
    /// What they hold already, as bits.
    own: u8,
}

/// The lock of one table on one server.
#[derive(Clone, Debug, Default)]
pub struct TableLock {
    /// How many hold each mode.
    held: [u32; MODES],
    /// Who waits, in the order in which they will be granted.
    queue: VecDeque<Waiter>,
}

impl TableLock {
    /// Asks for a mode on behalf of somebody who holds `own` (bits) already. Says whether it is
    /// granted; if not, the owner stands in the queue.
    pub fn request(&mut self, owner: u32, mode: Mode, own: u8) -> bool {
        let place = self.place(own);
        let ahead = self.queue.iter().take(place).fold(0, |bits, one| bits | one.mode.bit());
        if mode.conflicts() & (ahead | self.held_by_others(own)) == 0 {
            self.held[mode as usize] += 1;
            return true;
        }
        self.queue.insert(place, Waiter { owner, mode, own });
        false
    }

    /// Before whom a request of somebody who holds `own` stands.
    fn place(&self, own: u8) -> usize {
        let blocked = |one: &Waiter| one.mode.conflicts() & own != 0;
        self.queue.iter().position(blocked).unwrap_or(self.queue.len())
    }

    /// A mode is released. [`TableLock::grant`] is to be asked afterwards.
    ///
    /// # Panics
    /// If nobody holds it.
    pub fn release(&mut self, mode: Mode) {
        let held = &mut self.held[mode as usize];
        *held = held.checked_sub(1).expect("what is released is held");
    }

    /// The next waiter who can be granted, and now holds what they waited for; to be asked until
    /// `None`.
    pub fn grant(&mut self) -> Option<Waiter> {
        let mut ahead = 0;
        let place = self.queue.iter().position(|one| {
            let free = one.mode.conflicts() & (ahead | self.held_by_others(one.own)) == 0;
            ahead |= one.mode.bit();
            free
        })?;
        let waiter = self.queue.remove(place).expect("just found");
        self.held[waiter.mode as usize] += 1;
        Some(waiter)
    }

    /// Somebody waits no longer; says whether they did. [`TableLock::grant`] is to be asked
    /// afterwards: others may have waited for them only.
    pub fn withdraw(&mut self, owner: u32) -> bool {
        let place = self.queue.iter().position(|one| one.owner == owner);
        place.map(|place| self.queue.remove(place)).is_some()
    }

    /// Those before a waiter in the queue whose requests conflict with theirs.
    pub fn ahead_of(&self, owner: u32) -> impl Iterator<Item = u32> + '_ {
        let conflicts =
            self.queue.iter().find(|one| one.owner == owner).map_or(0, |one| one.mode.conflicts());
        let before = self.queue.iter().take_while(move |one| one.owner != owner);
        before.filter(move |one| one.mode.bit() & conflicts != 0).map(|one| one.owner)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The modes that others hold than somebody who holds `own`, as bits.
    fn held_by_others(&self, own: u8) -> u8 {
        (0..MODES).fold(0, |bits, mode| {
            let others = self.held[mode] > u32::from(own >> mode & 1);
            bits | u8::from(others) << mode
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Mode::*;
    use super::*;

    const ALL: [Mode; MODES] = [
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ];

    /// Table 13.2 of the PostgreSQL 15 manual, row by row.
    #[test]
    fn modes_conflict_as_the_manual_says() {
        let manual = [
            ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX",
            "XXXXXXXX",
        ];
        for (held, row) in ALL.into_iter().zip(manual) {
            for (wanted, cell) in ALL.into_iter().zip(row.chars()) {
                let mut lock = TableLock::default();
                assert!(lock.request(1, held, 0));
                assert_eq!(lock.request(2, wanted, 0), cell == '.', "{held:?} and {wanted:?}");
            }
        }
    }

    #[test]
    fn readers_queue_behind_a_waiting_alter_table() {
        let mut lock = TableLock::default();
        assert!(lock.request(1, AccessShare, 0), "a long SELECT");
        assert!(!lock.request(2, AccessExclusive, 0), "ALTER TABLE waits for it");
        assert!(!lock.request(3, AccessShare, 0), "and later readers for that");
        assert!(!lock.request(4, AccessShare, 0));
        assert_eq!(lock.ahead_of(4).collect::<Vec<_>>(), [2]);
        lock.release(AccessShare);
        assert_eq!(lock.grant().map(|it| it.owner), Some(2));
        assert_eq!(lock.grant(), None);
        lock.release(AccessExclusive);
        assert_eq!((lock.grant().unwrap().owner, lock.grant().unwrap().owner), (3, 4));
    }

    #[test]
    fn readers_go_on_at_once_when_the_alter_gives_up() {
        let mut lock = TableLock::default();
        lock.request(1, AccessShare, 0);
        lock.request(2, AccessExclusive, 0);
        lock.request(3, AccessShare, 0);
        assert!(lock.withdraw(2) && !lock.withdraw(2));
        assert_eq!(lock.grant().map(|it| it.owner), Some(3));
        assert_eq!(lock.waiting(), 0);
    }

    #[test]
    fn a_concurrent_refresh_lets_readers_pass_and_one_at_a_time() {
        let mut lock = TableLock::default();
        assert!(lock.request(1, Exclusive, 0));
        assert!(lock.request(2, AccessShare, 0), "readers pass");
        assert!(!lock.request(3, Exclusive, 0), "a second refresh waits");
        assert!(!lock.request(4, RowExclusive, 0), "and so do writers");
    }

    #[test]
    fn who_holds_a_lock_asks_for_more_before_those_who_wait_for_it() {
        let mut lock = TableLock::default();
        assert!(lock.request(1, AccessShare, 0));
        assert!(!lock.request(2, AccessExclusive, 0));
        // The reader becomes a writer: it does not queue behind who waits for it (no deadlock).
        assert!(lock.request(1, RowExclusive, AccessShare.bit()));
        // Its own locks are no obstacle.
        let mut lock = TableLock::default();
        assert!(lock.request(1, Share, 0));
        assert!(lock.request(1, AccessExclusive, Share.bit()));
    }
}
