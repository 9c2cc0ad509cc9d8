//! Object storage.

use crate::model::Model;
use crate::model::ids::*;
use crate::model::tape::{Draw, Pc};
use crate::units::Duration;

/// An object store.
#[derive(Clone, Debug)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// Where it stands. [`None`] where nothing says so.
    pub region: Option<RegionId>,
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
    /// What all of them carry together (bytes/s).
    pub shared: Option<f64>,
    /// How long a connection may be idle, where opening one begins with looking its name up.
    pub keeps: Option<Duration>,
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
    /// How it is cut.
    pub parts: Parts,
    /// Parts side by side at most.
    pub at_once: u32,
    /// What one request carries, and all of them together (bytes/s).
    pub bytes_per_s: (f64, f64),
    /// How long its URL is good.
    pub expires: Option<Duration>,
    /// Parts of what has failed are left.
    pub leaves: bool,
    /// Where on the tape its service looks the store's name up, for each connection that it opens.
    pub lookup: Option<Pc>,
}

/// How an object is cut into parts.
#[derive(Clone, Copy, Debug)]
pub enum Parts {
    /// Into so many.
    Number(u32),
    /// Into parts of so many bytes.
    Size(f64),
}

impl StoreUse {
    /// Parts of an object.
    pub fn parts_of(&self, bytes: f64) -> u32 {
        match self.parts {
            Parts::Number(number) => number,
            Parts::Size(size) => (bytes / size).ceil().max(1.0) as u32,
        }
    }
    /// Requests that it is made of: a multipart upload is begun and completed.
    pub fn requests(&self, parts: u32) -> u32 {
        if self.write && parts > 1 { parts + 2 } else { parts }
    }
    /// In words.
    pub fn describe(&self, model: &Model) -> String {
        let verb = if self.write { "put to" } else { "get from" };
        format!("{verb} store.{}", model.stores[self.store].name)
    }
    /// Mean time if all of its requests are taken (s).
    pub fn mean_s(&self, model: &Model) -> f64 {
        let store = &model.stores[self.store];
        let first = if self.write { store.put } else { store.get };
        let bytes = model.laws[self.bytes.law].mean;
        let parts = self.parts_of(bytes);
        let turns =
            f64::from(parts.div_ceil(self.at_once)) + f64::from(self.requests(parts) - parts);
        let each = self.transfer(bytes / f64::from(parts), parts).seconds();
        model.laws[first].mean * turns + each * f64::from(parts.div_ceil(self.at_once))
    }
    /// How long the bytes of an object take by themselves.
    pub fn moves(&self, bytes: f64) -> Duration {
        let (one, all) = self.bytes_per_s;
        let side_by_side = f64::from(self.parts_of(bytes).min(self.at_once));
        Duration::from_secs_f64(bytes / all.min(one * side_by_side))
    }
    /// How long the transfer of one part takes, of which so many go side by side at most.
    pub fn transfer(&self, bytes: f64, parts: u32) -> Duration {
        let (one, all) = self.bytes_per_s;
        Duration::from_secs_f64(bytes / one.min(all / f64::from(parts.min(self.at_once))))
    }
}
