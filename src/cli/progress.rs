//! A bar with the time that is left, on stderr, for work of more than a second.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadbearing::experiment::Progress;

/// Work shorter than this shows no bar (s).
const PATIENCE_S: f64 = 1.0;
/// Steps of a replication.
const STEPS: f64 = 1_000.0;

/// A bar that appears when work takes long, and only on a terminal.
pub struct Bar {
    bar: ProgressBar,
    wanted: bool,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    expected: f64,
    done: f64,
    shown: bool,
}

impl Bar {
    /// A bar; `quiet` shows none.
    pub fn new(quiet: bool) -> Bar {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        let template = "{spinner} [{bar:40}] {percent:>3} %  {msg}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Bar {
            bar,
            wanted: !quiet && io::stderr().is_terminal(),
            started: Instant::now(),
            state: Mutex::new(State { expected: 0.0, done: 0.0, shown: false }),
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let Ok(mut state) = self.state.lock() else { return };
        change(&mut state);
        if !self.wanted {
            return;
        }
        if !state.shown && self.started.elapsed().as_secs_f64() > PATIENCE_S {
            state.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length((state.expected * STEPS) as u64);
        self.bar.set_position((state.done * STEPS) as u64);
        self.bar.set_message(format!("{:.0} replications", state.expected));
    }
}

impl Progress for Bar {
    fn expect(&self, replications: usize) {
        self.update(|state| state.expected += replications as f64);
    }
    fn advance(&self, share: f64) {
        self.update(|state| state.done += share);
    }
}
