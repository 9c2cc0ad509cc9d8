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

#[derive(Default)]
struct State {
    expected: f64,
    done: f64,
    events: u64,
    simulated_s: f64,
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
            state: Mutex::new(State::default()),
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
        self.bar.set_message(message(&state, self.started.elapsed().as_secs_f64()));
    }
}

impl Progress for Bar {
    fn expect(&self, replications: usize) {
        self.update(|state| state.expected += replications as f64);
    }
    fn advance(&self, share: f64) {
        self.update(|state| state.done += share);
    }
    fn happened(&self, events: u64, simulated_s: f64) {
        self.update(|state| {
            state.events += events;
            state.simulated_s += simulated_s;
        });
    }
}

/// `12 replications, 340 s simulated, 2.4 M events/s`.
fn message(state: &State, elapsed_s: f64) -> String {
    let mut text = format!("{:.0} replications", state.expected);
    if state.events > 0 {
        let (simulated, unit) = match state.simulated_s {
            seconds if seconds < 600.0 => (seconds, "s"),
            seconds if seconds < 36_000.0 => (seconds / 60.0, "min"),
            seconds => (seconds / 3_600.0, "h"),
        };
        let rate = state.events as f64 / elapsed_s.max(1e-3) / 1e6;
        text.push_str(&format!(", {simulated:.0} {unit} simulated, {rate:.1} M events/s"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_how_far_and_how_fast() {
        let state =
            State { expected: 5.0, events: 3_000_000, simulated_s: 720.0, ..State::default() };
        assert_eq!(message(&state, 2.0), "5 replications, 12 min simulated, 1.5 M events/s");
        assert_eq!(message(&State::default(), 1.0), "0 replications");
    }
}
