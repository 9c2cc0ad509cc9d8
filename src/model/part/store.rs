//! Object storage.

use crate::model::Model;
use crate::model::ids::*;
use crate::model::tape::Draw;
use crate::units::Duration;

/// An object store.
#[derive(Clone, Debug)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// As measured.
    pub station: StationId,
    /// Requests that write, of one prefix (1/s).
    pub put_rate: f64,
    /// Requests that read, of one prefix (1/s).
    pub get_rate: f64,
    /// Prefixes.
    pub prefixes: u32,
    /// When a slow prefix is split.
    pub split_after: Option<Duration>,
    /// Time of a PUT, its transfer aside.
    pub put: LawId,
    /// Time to the first byte.
    pub get: LawId,
    /// Attempts at a request.
    pub attempts: u32,
}

/// A request of an object store in a flow.
#[derive(Clone, Copy, Debug)]
pub struct StoreUse {
    /// Of which.
    pub store: StoreId,
    /// It writes.
    pub write: bool,
    /// Size of the object.
    pub bytes: Draw,
    /// Parts side by side.
    pub parts: u32,
    /// What one of them carries (bytes/s).
    pub bytes_per_s: f64,
}

impl StoreUse {
    /// Requests that it is made of: a multipart upload is begun and completed.
    pub fn requests(&self) -> u32 {
        if self.write && self.parts > 1 { self.parts + 2 } else { self.parts }
    }
    /// In words.
    pub fn describe(&self, model: &Model) -> String {
        let verb = if self.write { "put to" } else { "get from" };
        format!("{verb} store.{}", model.stores[self.store].name)
    }
    /// Mean time of a request that is taken (s).
    pub fn mean_s(&self, model: &Model) -> f64 {
        let store = &model.stores[self.store];
        let first = if self.write { store.put } else { store.get };
        model.laws[first].mean + model.laws[self.bytes.law].mean / self.bytes_per_s
    }
    /// How long the transfer of an object takes, part by part side by side; all parts share the line.
    pub fn transfer(&self, bytes: f64) -> Duration {
        Duration::from_secs_f64(bytes / self.bytes_per_s)
    }
}
