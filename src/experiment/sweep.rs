//! Runs what an experiment wants and a store does not have yet.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rayon::prelude::*;

use super::columns::{Column, Row};
use super::findings::estimate_of;
use super::precision::enough;
use super::prepare::{Prepared, Problem};
use super::store::{Rows, RunKey, Store};
use super::{NoThreads, Progress, run_one};
use crate::model::Model;
use crate::run::Ended;

/// Finished runs go to the store at least this often (s): so much is lost at most by a kill, beside
/// the runs in flight.
const FLUSH_S: f64 = 1.0;

/// A run that is wanted: the number of its point, and of its replication.
pub type Wanted = (usize, u32);

/// Does work on so many threads; nothing for as many as there are cores.
///
/// # Errors
/// If the threads cannot be started.
pub fn on_threads<T: Send>(
    threads: Option<usize>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, NoThreads> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    Ok(pool.map_err(NoThreads)?.install(work))
}

/// How many replications there should be, where so many give an interval that is `ratio` times as wide
/// as is wanted: widths shrink as the square root of the number.
pub(super) fn more_replications(count: u32, ratio: f64, most: u32) -> u32 {
    let ratio = ratio.min(1e3);
    let enough = (f64::from(count) * ratio * ratio).min(f64::from(most));
    // A width from few runs is itself uncertain: at most twice as many at a time.
    (libm::ceil(enough) as u32).clamp(count + 1, count.max(1) * 2).min(most)
}

impl Prepared<'_> {
    /// What a run of this experiment is, whatever asks for it.
    pub fn run_key(&self, (point, replication): Wanted) -> RunKey {
        let model = self.points[point].key.clone();
        match &self.seeds {
            Some(seeds) => RunKey { model, seed: seeds[replication as usize], replication: 0 },
            None => RunKey { model, seed: self.points[point].seed, replication },
        }
    }

    /// How many replications a point wants, by what is known of it: those that it was given, and
    /// more as long as it is not precise enough. The same runs give the same answer, in whatever
    /// order and on however many machines they were made.
    pub fn replications(&self, point: usize, rows: &Rows) -> u32 {
        let first = self.points[point].replications;
        let Some(target) = &self.experiment.precision else { return first };
        let Some(column) = self.columns.iter().position(|it| it.name == target.of) else {
            return first;
        };
        let most = self.seeds.as_ref().map_or(target.most, |seeds| seeds.len() as u32);
        let row = |number| rows.get(&self.run_key((point, number))).map(|row| &**row);
        let known: Vec<&Row> = (0..most).map_while(row).collect();
        enough(first, most, target.within.0, known.len() as u32, |count| {
            let known = &known[..count as usize];
            // What is cut short, or has no value, does not become more precise by more of the same.
            let is_whole = |row: &&Row| row.ended == Ended::Completed;
            if !known.iter().all(|row| is_whole(row) && row.values[column].is_some()) {
                return None;
            }
            let found = estimate_of(&self.experiment, &self.columns[column], known, column, first);
            Some(found.relative_half_width())
        })
    }

    /// Every run that is wanted, in order.
    pub fn wanted(&self, rows: &Rows) -> Vec<Wanted> {
        let of = |point| (0..self.replications(point, rows)).map(move |number| (point, number));
        (0..self.points.len()).flat_map(of).collect()
    }

    /// Every run that is wanted and not there, in order; one that several points share, once.
    pub fn missing(&self, rows: &Rows) -> Vec<Wanted> {
        let mut seen = std::collections::BTreeSet::new();
        let is_new = |run: &Wanted| {
            let key = self.run_key(*run);
            !rows.contains_key(&key) && seen.insert(key)
        };
        self.wanted(rows).into_iter().filter(is_new).collect()
    }

    /// Runs whatever is missing, until nothing is; publishes as it goes.
    ///
    /// # Errors
    /// If a topology is not sound, or the store cannot be written.
    pub fn complete(
        &self,
        rows: &mut Rows,
        store: Option<&Store>,
        progress: &dyn Progress,
    ) -> Result<(), Problem> {
        loop {
            let missing = self.missing(rows);
            if missing.is_empty() {
                return Ok(());
            }
            let made = self.run(&missing, store, progress)?;
            rows.extend(made.into_iter().map(|(key, row)| (key, Arc::new(row))));
        }
    }

    /// Runs some runs, on all threads of the pool that this is called in.
    ///
    /// # Errors
    /// If a topology is not sound, or the store cannot be written.
    pub fn run(
        &self,
        runs: &[Wanted],
        store: Option<&Store>,
        progress: &dyn Progress,
    ) -> Result<Vec<(RunKey, Row)>, Problem> {
        progress.expect(runs.len());
        let outbox = Outbox::new(&self.columns, store);
        let done: Result<Vec<Vec<(RunKey, Row)>>, Problem> = self
            .batches(runs)
            .par_iter()
            .with_max_len(1)
            .map(|(point, numbers)| {
                let model = self.model(*point)?;
                let mut found = Vec::with_capacity(numbers.len());
                for number in numbers {
                    if outbox.failed() {
                        break;
                    }
                    let run = self.run_on(&model, (*point, *number), progress);
                    outbox.post(&run);
                    found.push(run);
                }
                Ok(found)
            })
            .collect();
        let done = done?;
        outbox.close().map_err(|error| Problem::Failed(format!("cannot keep results: {error}")))?;
        Ok(done.into_iter().flatten().collect())
    }

    /// Runs with one model behind one another where the model must be compiled for them; each alone
    /// where it is at hand.
    fn batches(&self, runs: &[Wanted]) -> Vec<(usize, Vec<u32>)> {
        if self.keeps_models() {
            return runs.iter().map(|(point, number)| (*point, vec![*number])).collect();
        }
        let mut by_point: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (point, number) in runs {
            by_point.entry(*point).or_default().push(*number);
        }
        by_point.into_iter().collect()
    }

    fn run_on(&self, model: &Model, run: Wanted, progress: &dyn Progress) -> (RunKey, Row) {
        let key = self.run_key(run);
        let outcome = if model.plan.seed == key.seed {
            run_one(model, key.replication, progress)
        } else {
            let mut model = model.clone();
            model.plan.seed = key.seed;
            run_one(&model, key.replication, progress)
        };
        let row = Row::of(model, &outcome, &self.columns);
        (key, row)
    }
}

/// Finished runs on their way to the store.
struct Outbox<'a> {
    columns: &'a [Column],
    store: Option<&'a Store>,
    waiting: Mutex<(Vec<(RunKey, Row)>, Instant)>,
    error: Mutex<Option<io::Error>>,
    has_failed: AtomicBool,
}

impl<'a> Outbox<'a> {
    fn new(columns: &'a [Column], store: Option<&'a Store>) -> Outbox<'a> {
        Outbox {
            columns,
            store,
            waiting: Mutex::new((Vec::new(), Instant::now())),
            error: Mutex::new(None),
            has_failed: AtomicBool::new(false),
        }
    }
    fn failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }
    fn post(&self, run: &(RunKey, Row)) {
        if self.store.is_none() {
            return;
        }
        let full = {
            let Ok(mut waiting) = self.waiting.lock() else { return };
            waiting.0.push(run.clone());
            if waiting.1.elapsed().as_secs_f64() < FLUSH_S {
                return;
            }
            waiting.1 = Instant::now();
            std::mem::take(&mut waiting.0)
        };
        self.publish(full);
    }
    fn publish(&self, mut runs: Vec<(RunKey, Row)>) {
        let Some(store) = self.store.filter(|_| !runs.is_empty()) else { return };
        runs.sort_by(|a, b| a.0.cmp(&b.0));
        if let Err(error) = store.publish(self.columns, &runs) {
            self.has_failed.store(true, Ordering::Relaxed);
            if let Ok(mut kept) = self.error.lock() {
                kept.get_or_insert(error);
            }
        }
    }
    fn close(self) -> io::Result<()> {
        let rest = self.waiting.lock().map(|mut it| std::mem::take(&mut it.0)).unwrap_or_default();
        self.publish(rest);
        match self.error.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }
}
