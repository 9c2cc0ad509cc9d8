//! Values that are out of date: those whose load began before their source last changed.
//!
//! A removal (`invalidate`) or an `update` says that the source has changed. Whoever read the source before and stores
//! what was read after the removal puts the old value back (the race of deletion after writing), and
//! memories of other workers and other tiers are told nothing. Kept for the sets of keys that anything
//! removes keys of, and only to be counted.

use std::collections::BTreeMap;

use crate::component::cache::Key;
use crate::kernel::PendingEvents;
use crate::model::ids::{CacheId, KeysId};
use crate::model::tape::{Draw, DrawId};
use crate::units::Time;

use super::event::Kind;
use super::meter::Counter;
use super::task::{Task, WRITER};
use super::world::World;

/// A load under way.
#[derive(Clone, Copy)]
struct Loading {
    task: u32,
    cache: CacheId,
    key: Key,
    since: Time,
}

/// What is known of how old values are.
#[derive(Default)]
pub struct Ages {
    /// When each key was removed last, by its set and rank.
    removed: BTreeMap<(u32, u32), Time>,
    /// What stands in each store: when its load began.
    loaded: BTreeMap<(CacheId, u32, Key), Time>,
    loading: Vec<Loading>,
}

impl<Q: PendingEvents> World<'_, Q> {
    fn is_watched(&self, cache: CacheId, key: Key) -> Option<KeysId> {
        let keys = self.model.caches[cache].keysets[key.keyset as usize];
        self.model.keys[keys].removed.then_some(keys)
    }

    /// A task has not found a key, and will load it.
    pub(super) fn begins_load(&mut self, task: u32, cache: CacheId, key: Key) {
        if self.is_watched(cache, key).is_some() {
            let since = self.now;
            let loading = &mut self.ages.loading;
            loading.retain(|load| load.task != task || load.cache != cache);
            loading.push(Loading { task, cache, key, since });
        }
    }

    /// A task stores a value.
    pub(super) fn ends_load(&mut self, task: u32, place: (CacheId, u32), key: Key) {
        let (cache, store) = place;
        if self.is_watched(cache, key).is_none() {
            return;
        }
        let mine = |load: &Loading| (load.task, load.cache, load.key) == (task, cache, key);
        let found = self.ages.loading.iter().position(mine);
        let since = found.map_or(self.now, |at| self.ages.loading.swap_remove(at).since);
        self.ages.loaded.insert((cache, store, key), since);
    }

    /// A task has changed the source of a key.
    pub(super) fn changes(&mut self, task: u32, cache: CacheId, keys: KeysId, key: DrawId) {
        let key = self.key_of(task, cache, keys, key);
        self.source_changes(cache, key);
        self.tasks[task].pc.0 += 1;
    }

    /// What a cache has is written to its source later, by a task of its own.
    pub(super) fn write_behind(&mut self, task: u32, cache: CacheId, slot: u32, after: Draw) {
        let record = self.tasks[task];
        self.tasks[task].pc.0 += 1;
        let writer = self.new_task(Task {
            ordinal: record.ordinal,
            user: record.user,
            branch: WRITER,
            owner_epoch: cache.0 as u16,
            ..Task::aside(record.stream, self.model.forks[slot as usize], record.worker, self.now)
        });
        let after = self.draw(after, writer);
        self.at_task(self.now + after, Kind::Resume, writer);
    }

    /// A task is over that nobody waits for, or its process: what it should have written is lost.
    pub(super) fn lose_write(&mut self, record: &Task) {
        if record.branch == WRITER {
            let cache = CacheId(u32::from(record.owner_epoch));
            self.count(self.model.caches[cache].station, Counter::Lost);
        }
    }

    /// A key is removed: its source has changed.
    pub(super) fn source_changes(&mut self, cache: CacheId, key: Key) {
        if let Some(keys) = self.is_watched(cache, key) {
            self.ages.removed.insert((keys.0, key.rank), self.now);
        }
    }

    /// A task has found a value, which may be out of date. What it loads for a tier before this one is
    /// then as old.
    pub(super) fn finds_value(&mut self, task: u32, place: (CacheId, u32), key: Key) {
        let (cache, store) = place;
        let Some(keys) = self.is_watched(cache, key) else { return };
        let loaded = self.ages.loaded.get(&(cache, store, key)).copied().unwrap_or(Time::ZERO);
        let removed = self.ages.removed.get(&(keys.0, key.rank));
        if removed.is_some_and(|removed| loaded < *removed) {
            self.count(self.model.caches[cache].station, Counter::StaleReads);
        }
        let model = self.model;
        let same = |load: &&mut Loading| {
            load.task == task
                && load.key.rank == key.rank
                && model.caches[load.cache].keysets[load.key.keyset as usize] == keys
        };
        for load in self.ages.loading.iter_mut().filter(same) {
            load.since = load.since.min(loaded);
        }
    }
}
