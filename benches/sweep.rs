//! What a sweep costs beside its runs, and how well two threads share it.
//!
//! Rounds alternate between one thread, two threads and the bare replications, so that a noisy machine
//! slows all alike; times are those of the processor, which a busy neighbour hardly changes, and the
//! efficiency is also told by the wall, which one does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use loadbearing::experiment::Silent;
use loadbearing::experiment::file::read;
use loadbearing::experiment::findings::Findings;
use loadbearing::experiment::prepare::{Files, Prepared};
use loadbearing::experiment::store::{NoNotes, Rows, Store};
use loadbearing::experiment::sweep::on_threads;
use loadbearing::model::compile;
use loadbearing::run::{Unwatched, replicate};
use loadbearing::topology::load;

const ROUNDS: usize = 5;
const RUNS: usize = 40;

/// M/M/1 at 80 %: how long a run takes follows from its length.
fn topology(duration_s: u32) -> String {
    format!(
        "version = 1\nrun = {{ warmup = \"1s\", duration = \"{duration_s}s\", replications = 10 }}\n\
         arrivals.rate = \"80/s\"\n[service.web]\n[operation.ask]\nshare = 1\n\
         flow = [{{ cpu.exponential = \"10ms\" }}, {{ reply = \"2KB\" }}]\n"
    )
}
const EXPERIMENT: &str = "version = 1\ntopology = \"it.toml\"\n\
    [[axis]]\npath = \"arrivals.rate\"\nvalues = [\"74/s\", \"76/s\", \"78/s\", \"80/s\"]\n";

/// Processor time of all threads of this process, with the kernel's for it (s).
fn cpu_s() -> f64 {
    // Threads that have ended are accounted to the process only, in hundredths of a second.
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux accounts for processes");
    let behind = stat.rsplit(") ").next().expect("a name in brackets");
    let ticks: Vec<f64> = behind.split(' ').filter_map(|it| it.parse().ok()).collect();
    // The state, which is no number, is left out: utime and stime are fields 14 and 15.
    (ticks[10] + ticks[11]) / 100.0
}

/// A whole sweep with its store and its findings: processor time and time on the wall (s).
fn sweep(text: &str, threads: usize, folder: &Path) -> (f64, f64) {
    let _ = fs::remove_dir_all(folder);
    let disk = |path: &str| match path {
        "it.toml" => Ok(text.to_string()),
        _ => Ok(EXPERIMENT.to_string()),
    };
    let (cpu, wall) = (cpu_s(), Instant::now());
    on_threads(Some(threads), || {
        let files = Files::new(&disk);
        let experiment = read("x.toml", EXPERIMENT).experiment.expect("it is sound");
        let prepared = Prepared::new("x.toml", experiment, &[], files, &NoNotes).expect("sound");
        let store = Store::open(folder).expect("a folder for temporary files");
        let mut rows = Rows::new();
        prepared.complete(&mut rows, Some(&store), &Silent).expect("it runs");
        assert_eq!(Findings::new("x.toml", &prepared, &rows).expect("complete").runs, RUNS);
    })
    .expect("threads");
    (cpu_s() - cpu, wall.elapsed().as_secs_f64())
}

/// The same replications and nothing else (s of the processor).
fn bare(text: &str) -> f64 {
    let cpu = cpu_s();
    for rate in [74, 76, 78, 80] {
        let set = [format!("arrivals.rate={rate}/s")];
        let loaded = load("it.toml", &set, &mut |_| Ok(text.to_string()));
        let model = compile(loaded.topology.as_ref().expect("it is sound"));
        for replication in 0..10 {
            assert!(replicate(&model, replication, &mut Unwatched).events > 0);
        }
    }
    cpu_s() - cpu
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let folder: PathBuf = std::env::temp_dir().join(format!("sweep-bench-{}", std::process::id()));
    println!("medians of {ROUNDS} alternating rounds, {RUNS} runs each; ms are of the processor\n");
    println!(
        "{:>10} {:>12} {:>12} {:>12} {:>14} {:>14}",
        "a run", "bare", "sweep", "bookkeeping", "2 threads, cpu", "2 threads, wall"
    );
    for duration_s in [60, 600, 2_400] {
        let text = topology(duration_s);
        let (mut alone, mut one, mut ratio, mut cpu, mut wall) =
            (vec![], vec![], vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let bare = bare(&text);
            let (cpu_one, wall_one) = sweep(&text, 1, &folder);
            let (cpu_two, wall_two) = sweep(&text, 2, &folder);
            alone.push(bare);
            one.push(cpu_one);
            ratio.push(cpu_one / bare - 1.0);
            cpu.push(cpu_one / cpu_two);
            wall.push(wall_one / wall_two / 2.0);
        }
        let (bare, one) = (median(alone), median(one));
        println!(
            "{:>7.1} ms {:>9.0} ms {:>9.0} ms {:>10.1} % {:>14.2} {:>14.2}",
            1e3 * bare / RUNS as f64,
            1e3 * bare,
            1e3 * one,
            100.0 * median(ratio),
            median(cpu),
            median(wall),
        );
    }
    let _ = fs::remove_dir_all(&folder);
}
