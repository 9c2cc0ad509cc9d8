//! Are real deployments predicted? The schedules of the measured runs are made anew to the request, and
//! what the engine says of them is held against what was measured.

use std::fs;
use std::path::Path;

use loadbearing::experiment::Silent;
use loadbearing::reality::schedule::{Planned, Schedule};
use loadbearing::reality::{
    Cell, Comparison, Figure, Measurements, Mode, Playback, Replayed, Way, compare, model_of,
};
use loadbearing::report::{Style, Validated, by_run, page};
use loadbearing::topology::ReadText;

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| error.to_string())
}

fn measurements() -> Measurements {
    let folder = Path::new("reality");
    Measurements::read(folder, folder).expect("measurements of the repository")
}

fn comparisons(measurements: &Measurements, way: Way, wanted: &[&str]) -> Vec<Comparison> {
    let read: ReadText<'_> = &mut read;
    let of = |cell: &&Cell| wanted.is_empty() || wanted.contains(&cell.id.as_str());
    let cells = measurements.cells.iter().filter(of);
    let mut found = Vec::new();
    for cell in cells {
        found.extend(compare(measurements, cell, way, read, &Silent).expect("predicted"));
    }
    found
}

/// The generator's arithmetic, its streams, its laws and its classes are right, or the counts of no cell
/// would come out.
#[test]
fn schedules_have_as_many_requests_of_each_class_as_were_measured() {
    let measurements = measurements();
    let mut compared = 0;
    for cell in &measurements.cells {
        let Mode::Open { .. } = cell.load.mode else { continue };
        for (place, seed) in cell.seeds.iter().enumerate() {
            let schedule = Schedule::new(cell, *seed);
            let within = |it: &&Planned| {
                let at = it.after.seconds();
                at >= cell.warm_s && at < cell.end_s
            };
            let count = |class: Option<usize>| {
                let of = |it: &&Planned| class.is_none_or(|class| it.class == class);
                schedule.requests().filter(within).filter(of).count() as u64
            };
            let run = |class: &str| {
                measurements
                    .of(&cell.id, class)
                    .find(|run| run.run == place + 1)
                    .map(|it| it.offered)
            };
            assert_eq!(Some(count(None)), run("all"), "{}, run {}", cell.id, place + 1);
            compared += 1;
            if cell.load.classes.len() > 1 {
                for (class, of) in cell.load.classes.iter().enumerate() {
                    assert_eq!(Some(count(Some(class))), run(&of.name), "{}: {}", cell.id, of.name);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 150, "{compared}");
}

/// Luck is in the seed: the run of one seed predicts the measured run of that seed, not of the others.
#[test]
fn a_replay_follows_its_own_run() {
    let measurements = measurements();
    let cell = measurements.cells.iter().find(|it| it.id == "R1-p2-rho90").expect("measured");
    let mean = |seed: u64| {
        let model = model_of(&measurements, cell, &mut read).expect("sound");
        let playback = Playback::new(model, cell, seed).expect("playable");
        let outcome =
            loadbearing::run::replicate(&playback.model, 0, &mut loadbearing::run::Unwatched);
        playback.say(cell, 1, &outcome)[0].figure(Figure::Mean).expect("answered")
    };
    let measured: Vec<f64> =
        measurements.of(&cell.id, "all").filter_map(|it| it.figure(Figure::Mean)).collect();
    let said: Vec<f64> = cell.seeds.iter().map(|seed| mean(*seed)).collect();
    // The runs differ by more than a factor of four among themselves.
    let spread = measured.iter().copied().fold(0.0, f64::max)
        / measured.iter().copied().fold(f64::MAX, f64::min);
    assert!(spread > 4.0, "{spread}");
    for (said, measured) in said.iter().zip(&measured) {
        assert!((said / measured - 1.0).abs() < 0.25, "{said} for {measured}");
    }
}

#[test]
fn every_measured_run_is_beside_its_replay() {
    let measurements = measurements();
    let found = comparisons(&measurements, Way::Replay(2), &["R5-lc-r300"]);
    let mean = found[0].figure(Figure::Mean).expect("answered");
    assert_eq!(mean.runs.iter().map(|it| it.run).collect::<Vec<u32>>(), [1, 2, 3, 4, 5]);
    let over = |of: fn(&Replayed) -> f64| mean.runs.iter().map(of).sum::<f64>() / 5.0;
    assert!((over(|it| it.simulated) / mean.simulated.mean - 1.0).abs() < 1e-9);
    let measured = mean.measured.expect("it was").mean;
    assert!((over(|it| it.measured) / measured - 1.0).abs() < 1e-9);
    let text = by_run(&Validated::new(Way::Replay(2), found.clone()), Style::Plain);
    assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("run ")).count(), 5);
}

#[test]
fn the_page_is_fresh_and_no_fewer_cells_are_predicted_than_before() {
    let measurements = measurements();
    let found = |way| Validated::new(way, comparisons(&measurements, way, &[]));
    let (replay, forecast) = (found(Way::Replay(3)), found(Way::Forecast(20)));
    let mut without = measurements.clone();
    without.map.forget_times();
    let of_another_day = |cell: &Cell| measurements.map.has_times(cell);
    let days: Vec<&str> = measurements
        .cells
        .iter()
        .filter(|it| of_another_day(it))
        .map(|it| it.id.as_str())
        .collect();
    let without = Validated::new(replay.way, comparisons(&without, replay.way, &days));
    let fresh = page(&measurements, &replay, &forecast, &without, "validation.svg")
        .expect("misses are explained");
    for (path, text) in
        [("docs/validation.md", &fresh.text), ("docs/validation.svg", &fresh.figure)]
    {
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path, text).expect("writable");
        }
        let kept = fs::read_to_string(path).unwrap_or_default();
        assert!(kept == *text, "{path} is out of date: UPDATE=1 cargo test --test reality");
    }
    let (held, cells) = replay.score();
    // Nine in ten are the goal; what misses is explained on the page. It must not become less.
    assert!(held >= 62 && cells == 70, "{held} of {cells} cells are predicted");
    let (held, cells) = replay.score_of_the_last();
    assert!(held >= 56 && cells == 56, "{held} of {cells} by their last measurements");
}

/// What a pooler is set to decides its cells: none of these is predicted with another number.
#[test]
fn a_pooler_that_is_set_otherwise_is_no_prediction() {
    let held = |set: &str, cells: &[&str]| {
        let mut measurements = measurements();
        measurements.map.always(set);
        Validated::new(Way::Replay(1), comparisons(&measurements, Way::Replay(1), cells)).score()
    };
    let lent = ["P-tx8-rho80", "P-tx8-rho95", "P-two8-rho80"];
    assert_eq!(held("pooler.pgbouncer.size=7", &lent).0, 0);
    assert_eq!(held("pooler.pgbouncer.size=8", &lent), (3, 3));
    assert_eq!(held("pooler.pgbouncer.wait_timeout=800ms", &["P-wait1s-x1.3"]).0, 0);
    assert_eq!(held("pooler.pgbouncer.clients=27", &["P-clients24-r190"]).0, 0);
    assert_eq!(held("pooler.pgbouncer.mode=transaction", &["P-session12-r150"]).0, 0);
    assert_eq!(held("pooler.pgbouncer.cpu=50us", &["P-session12-r150"]), (1, 1));
}

/// The goal has teeth: a pool that holds its connections for 4 % longer is not a prediction.
#[test]
fn a_deployment_that_is_a_little_slower_is_no_prediction() {
    let mut measurements = measurements();
    let full = ["R1-p2-rho90", "R1-p10-rho90", "R1-p10-rho95", "R3-N300", "R9-r160"];
    measurements.map.always("database.main.rtt=4ms");
    let slow = Validated::new(Way::Replay(1), comparisons(&measurements, Way::Replay(1), &full));
    assert!(!slow.holds());
    assert_eq!(slow.score().0, 0);
}

/// A cell that was measured again is counted by its last measurement, once.
#[test]
fn what_was_measured_again_counts_once() {
    let measurements = measurements();
    let both = ["R5-rr-r300", "Q-R5-rr-r300"];
    let way = Way::Replay(1);
    let found = Validated::new(way, comparisons(&measurements, way, &both));
    assert_eq!((found.score(), found.score_of_the_last()), ((1, 2), (1, 1)));
    assert!(found.holds(), "by its last measurement");
    let first = Validated::new(way, comparisons(&measurements, way, &both[..1]));
    assert_eq!((first.score(), first.score_of_the_last()), ((0, 1), (0, 1)));
    assert!(!first.holds(), "alone it is missed");
}

#[test]
fn a_cell_is_again_another_that_there_is() {
    let folder = std::env::temp_dir().join(format!("loadbearing-again-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("writable");
    let cells = fs::read_to_string("reality/quiet_params.json").expect("kept");
    fs::write(folder.join("params.json"), cells).expect("writable");
    let error =
        Measurements::read(&folder, Path::new("reality")).expect_err("R's cells are missing");
    fs::remove_dir_all(&folder).expect("ours");
    assert!(error.contains("cell `Q-R4-1w-20ms-r250`"), "{error}");
    assert!(
        error.contains("it is `R4-1w-20ms-r250` measured again, and there is no other cell"),
        "{error}"
    );
}
