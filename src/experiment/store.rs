//! Finished runs on disk, in chunks that are there whole or not at all.
//!
//! A run is known by the digest of its model, its seed and the number of its replication; a chunk is
//! a CSV of some runs, named by the digest of what it holds. It is written beside its place, reaches
//! the disk, and is renamed: neither a kill nor a full disk nor a loss of power leaves half of one.
//! Its last line is the digest of the others, so that a disk that lies is found out. Whoever asks
//! for more points or replications later finds the earlier ones here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::columns::{Column, Row};
use super::prepare::Notes;
use crate::run::Ended;

/// Which run it is, whatever asked for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunKey {
    /// The digest of its model.
    pub model: Arc<str>,
    /// The root of its random numbers.
    pub seed: u64,
    /// The number of its replication.
    pub replication: u32,
}

/// Finished runs by what they are. What is folded shares them: a sweep may have millions.
pub type Rows = BTreeMap<RunKey, Arc<Row>>;

/// A folder of chunks.
pub struct Store {
    folder: PathBuf,
}

/// What a store holds.
#[derive(Default)]
pub struct Held {
    /// The runs that have all columns that are wanted.
    pub rows: Rows,
    /// How many chunks are whole.
    pub chunks: usize,
    /// Chunks that are not what they were when they were written; they are passed over.
    pub damaged: Vec<PathBuf>,
}

/// What is known of every run, before its metrics; with what it is.
pub const FIXED: [(&str, &str); 10] = [
    ("model", "digest of the engine and of the model"),
    ("seed", "root of the random numbers"),
    ("replication", "number of the replication, from 0"),
    ("ended", "completed, event_limit, memory_limit or interrupted"),
    ("measured_s", "measured simulated time [s]"),
    ("events", "events of the run [count]"),
    ("grows", "requests in flight or a job queue grow without end"),
    ("collapsed", "most requests fail, more come than end, or a limit ended the run"),
    ("broken", "checks of the self-audit that are broken [count]"),
    ("digest", "digest of every request"),
];

const TRAILER: &str = "#blake3=";

/// How files say how a run ended.
pub fn ended_word(ended: Ended) -> &'static str {
    match ended {
        Ended::Completed => "completed",
        Ended::EventLimit => "event_limit",
        Ended::MemoryLimit => "memory_limit",
        Ended::Interrupted => "interrupted",
    }
}

fn ended(word: &str) -> Option<Ended> {
    [Ended::Completed, Ended::EventLimit, Ended::MemoryLimit, Ended::Interrupted]
        .into_iter()
        .find(|it| ended_word(*it) == word)
}

/// The name of a chunk of some runs with some columns.
pub fn chunk_name<'a>(columns: &[Column], runs: impl Iterator<Item = &'a RunKey>) -> String {
    let mut hash = blake3::Hasher::new();
    for column in columns {
        hash.update(column.name.as_bytes());
        hash.update(b"\n");
    }
    for RunKey { model, seed, replication } in runs {
        hash.update(format!("{model} {seed} {replication}\n").as_bytes());
    }
    hash.finalize().to_hex()[..32].to_string()
}

impl Store {
    /// The store in a folder, which is made.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(folder: &Path) -> io::Result<Store> {
        fs::create_dir_all(folder.join("chunks"))?;
        fs::create_dir_all(folder.join("notes"))?;
        Ok(Store { folder: folder.into() })
    }

    /// Where a chunk is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join("chunks").join(format!("{name}.csv"))
    }

    /// Whether a chunk is there, and whole.
    pub fn has(&self, name: &str) -> bool {
        fs::read_to_string(self.path(name)).is_ok_and(|text| whole(&text).is_some())
    }

    /// Publishes a chunk: afterwards it is there, whole.
    ///
    /// # Errors
    /// If the disk refuses; then it is not there, and nothing else is left behind.
    pub fn publish(&self, columns: &[Column], runs: &[(RunKey, Row)]) -> io::Result<String> {
        let name = chunk_name(columns, runs.iter().map(|(key, _)| key));
        let text = chunk(columns, runs);
        put(&self.path(&name), text.as_bytes())?;
        Ok(name)
    }

    /// All runs that have certain columns.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn read(&self, columns: &[Column]) -> io::Result<Held> {
        let mut held = Held::default();
        let entries = fs::read_dir(self.folder.join("chunks"))?;
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.map(|it| it.path())).collect::<io::Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|it| it == "csv"));
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path).unwrap_or_default();
            match whole(&text).and_then(|body| parse(body, columns)) {
                Some(rows) => {
                    held.chunks += 1;
                    held.rows.extend(rows.into_iter().map(|(key, row)| (key, Arc::new(row))));
                }
                None => held.damaged.push(path),
            }
        }
        Ok(held)
    }
}

impl Notes for Store {
    fn note(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join("notes").join(name)).ok()
    }
    fn keep(&self, name: &str, text: &str) {
        // Not kept, it is found again.
        let _ = put(&self.folder.join("notes").join(name), text.as_bytes());
    }
}

/// Nothing is kept.
pub struct NoNotes;
impl Notes for NoNotes {
    fn note(&self, _: &str) -> Option<String> {
        None
    }
    fn keep(&self, _: &str, _: &str) {}
}

/// Writes a file whole or not at all.
pub fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().unwrap_or(Path::new("."));
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let partial = folder.join(format!(".partial-{}-{number}", std::process::id()));
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    if let Ok(handle) = File::open(folder) {
        // Makes the rename durable; not every file system lets a folder be synchronised.
        let _ = handle.sync_all();
    }
    Ok(())
}

fn optional(value: Option<f64>) -> String {
    value.map(|value| format!("{value}")).unwrap_or_default()
}

/// A chunk as text.
fn chunk(columns: &[Column], runs: &[(RunKey, Row)]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let has_error = |column: &&Column| column.metric.has_series();
    let mut head: Vec<String> = FIXED.iter().map(|(name, _)| name.to_string()).collect();
    head.extend(columns.iter().map(|column| column.name.clone()));
    for column in columns.iter().filter(has_error) {
        head.push(format!("{}!error", column.name));
        head.push(format!("{}!degrees", column.name));
    }
    writer.write_record(&head).expect("memory takes everything");
    for (key, row) in runs {
        let mut cells = vec![
            key.model.to_string(),
            key.seed.to_string(),
            key.replication.to_string(),
            ended_word(row.ended).to_string(),
            format!("{}", row.measured_s),
            row.events.to_string(),
            row.grows.to_string(),
            row.collapsed.to_string(),
            row.broken.to_string(),
            format!("{:016x}", row.digest),
        ];
        cells.extend(row.values.iter().map(|value| optional(*value)));
        for (index, column) in columns.iter().enumerate() {
            if has_error(&column) {
                let error = row.error(index);
                cells.push(optional(error.map(|(error, _)| error)));
                cells.push(optional(error.map(|(_, degrees)| degrees)));
            }
        }
        writer.write_record(&cells).expect("rows are of one length, in memory");
    }
    let bytes = writer.into_inner().expect("memory takes everything");
    let body = String::from_utf8(bytes).expect("it was made of texts");
    let digest = blake3::hash(body.as_bytes()).to_hex();
    format!("{body}{TRAILER}{digest}\n")
}

/// The body of a chunk, if its last line is its digest.
fn whole(text: &str) -> Option<&str> {
    let at = text.rfind(TRAILER)?;
    let (body, trailer) = text.split_at(at);
    let digest = trailer.strip_prefix(TRAILER)?.strip_suffix('\n')?;
    (blake3::hash(body.as_bytes()).to_hex().as_str() == digest).then_some(body)
}

/// The runs of a chunk, if it has all columns; [`None`] if it is no chunk.
fn parse(body: &str, columns: &[Column]) -> Option<Vec<(RunKey, Row)>> {
    let mut reader = csv::Reader::from_reader(body.as_bytes());
    let head = reader.headers().ok()?.clone();
    let place = |name: &str| head.iter().position(|it| it == name);
    let fixed: Vec<usize> = FIXED.iter().map(|(name, _)| place(name)).collect::<Option<_>>()?;
    let wanted: Option<Vec<usize>> = columns.iter().map(|column| place(&column.name)).collect();
    // Runs that were asked for less are of no use here, and no damage.
    let Some(wanted) = wanted else { return Some(Vec::new()) };
    let errors: Vec<Option<(usize, usize)>> = columns
        .iter()
        .map(|column| {
            place(&format!("{}!error", column.name)).zip(place(&format!("{}!degrees", column.name)))
        })
        .collect();
    let mut rows: Vec<(RunKey, Row)> = Vec::new();
    for record in reader.records() {
        let record = record.ok()?;
        let text = |index: usize| record.get(fixed[index]);
        let number = |index: usize| -> Option<Option<f64>> {
            match record.get(index)? {
                "" => Some(None),
                text => text.parse().ok().map(Some),
            }
        };
        // Runs of one model stand together, and share its name.
        let last = rows.last().map(|(key, _)| &key.model);
        let key = RunKey {
            model: match last {
                Some(last) if &**last == text(0)? => last.clone(),
                _ => text(0)?.into(),
            },
            seed: text(1)?.parse().ok()?,
            replication: text(2)?.parse().ok()?,
        };
        let error = |(column, at): (usize, &Option<(usize, usize)>)| {
            let (error, degrees) = at.and_then(|(e, d)| number(e)?.zip(number(d)?))?;
            Some((column as u32, error, degrees))
        };
        let row = Row {
            ended: ended(text(3)?)?,
            measured_s: text(4)?.parse().ok()?,
            events: text(5)?.parse().ok()?,
            grows: text(6)?.parse().ok()?,
            collapsed: text(7)?.parse().ok()?,
            broken: text(8)?.parse().ok()?,
            digest: u64::from_str_radix(text(9)?, 16).ok()?,
            values: wanted.iter().map(|index| number(*index)).collect::<Option<_>>()?,
            errors: errors.iter().enumerate().filter_map(error).collect(),
        };
        rows.push((key, row));
    }
    Some(rows)
}
