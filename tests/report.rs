//! Is the page of a result whole, safe and the same again?

use loadbearing::model::compile;
use loadbearing::report::page::{Page, REPORT, comparison_page, run_page};
use loadbearing::report::{Style, Written, compared, ran};
use loadbearing::result::{Point, Summary, compare};
use loadbearing::run::{Unwatched, replicate};
use loadbearing::topology::load;
use serde_json::Value;

const HOSTILE: &str = include_str!("browser/hostile.toml");

/// What a page is made of, for the topology and some settings over it.
fn with_page<T>(text: &str, look: impl Fn(&Point<'_>) -> T) -> T {
    let loaded = load("hostile.toml", &[], &mut |_| Ok(text.to_string()));
    let model = compile(&loaded.topology.expect("it is sound"));
    let outcomes: Vec<_> =
        (0..2).map(|replication| replicate(&model, replication, &mut Unwatched)).collect();
    let summary = Summary::new(&model, &outcomes);
    look(&Point { name: "hostile", model: &model, outcomes: &outcomes, summary: &summary })
}

fn html(page: &Page) -> String {
    let contents = page.contents();
    let report = contents.iter().find(|it| it.path == REPORT).expect("a report");
    String::from_utf8(report.bytes.clone()).expect("text")
}

#[test]
fn texts_of_a_file_stay_text() {
    let page = with_page(HOSTILE, |point| html(&run_page(point, "loadbearing run '<x>'")));
    // The parts that our own code embeds are no text of a file.
    let own = page.find("<script>").expect("what draws");
    let told = &page[..own];
    for markup in ["<script>console", "<img", "<b>bold", "<svg onload", "<!-- 1 to 2", "'<x>'"] {
        assert!(!told.contains(markup), "{markup}");
    }
    assert!(told.contains("&lt;script&gt;console.error(&#39;what&#39;)"));
}

#[test]
fn it_asks_nothing_of_the_network_and_is_small() {
    let page = with_page(HOSTILE, |point| html(&run_page(point, "again")));
    let own = page.find("<script>").expect("what draws");
    for request in ["src=\"http", "href=\"http", "@import", "url(http", "src=\"//"] {
        assert!(!page[..own].contains(request), "{request}");
    }
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
}

#[test]
fn a_comparison_of_four_large_designs_is_small_as_well() {
    // Few users, but as many components and as many steps of the timeline as the files have.
    let sets = ["users.population=500", "run.warmup=500ms", "run.duration=3s", "run.window=10ms"];
    let sets = sets.map(String::from);
    // Making phase 3 takes seconds; phase 2 twice has as much to show.
    let designs: Vec<_> = [0, 1, 2, 2]
        .into_iter()
        .enumerate()
        .map(|(place, phase)| {
            let path = format!("topologies/max-booster/phase-{phase}.toml");
            let mut read = |path: &str| {
                let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
                std::fs::read_to_string(path).map_err(|error| error.to_string())
            };
            let loaded = load(&path, &sets, &mut read);
            let model = compile(&loaded.topology.expect("it is sound"));
            let outcomes = vec![replicate(&model, 0, &mut Unwatched)];
            let summary = Summary::new(&model, &outcomes);
            (format!("{place}-{path}"), model, outcomes, summary)
        })
        .collect();
    let points: Vec<Point<'_>> = designs
        .iter()
        .map(|(name, model, outcomes, summary)| Point { name, model, outcomes, summary })
        .collect();
    let others = points[1..].iter();
    let differences: Vec<_> =
        others.map(|it| (it.name, compare(points[0].summary, it.summary))).collect();
    let page = html(&comparison_page(&points, &differences, "again"));
    assert!(page.len() > 900_000, "it has data: {} bytes", page.len());
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
}

#[test]
fn every_figure_is_a_file_too() {
    let page = with_page(HOSTILE, |point| {
        let page = run_page(point, "again");
        let names: Vec<String> = page.figures().map(|it| it.name.clone()).collect();
        let mut apart = names.clone();
        apart.sort();
        apart.dedup();
        assert_eq!(apart.len(), names.len(), "two figures of one name: {names:?}");
        let stands = |name: &str| names.iter().any(|it| it == name);
        let all =
            ["latency", "timeline-load", "timeline-latency", "time-hostile", "saturation-hostile"];
        for name in all {
            assert!(stands(name), "{name} is missing: {names:?}");
        }
        page.contents()
    });
    let files = page.iter().filter(|it| it.path.ends_with(".vl.json"));
    let mut count = 0;
    for file in files {
        let spec: Value = serde_json::from_slice(&file.bytes).expect("JSON");
        assert_eq!(spec["$schema"], loadbearing::figure::SCHEMA, "{}", file.path);
        let rows = spec["data"]["values"].as_array().expect("its data");
        assert!(!rows.is_empty(), "{}", file.path);
        count += 1;
    }
    assert!(count >= 5, "{count}");
}

#[test]
fn the_figure_of_latency_says_what_was_measured() {
    let measured = with_page(HOSTILE, |point| {
        let page = run_page(point, "again");
        let figure = page.figures().find(|it| it.name == "latency").expect("latency").clone();
        (figure, point.outcomes[0].latency.clone(), point.outcomes[1].latency.clone())
    });
    let (figure, mut all, other) = measured;
    all.merge(&other);
    let rows = figure.spec["data"]["values"].as_array().expect("rows");
    let at = |share: f64| {
        let row =
            rows.iter().find(|row| row["share"] == serde_json::json!(share)).expect("the share");
        row["latency_s"].as_f64().expect("a number")
    };
    for share in [0.05, 0.5, 0.95] {
        let expected = all.quantile(share).expect("requests").seconds();
        assert!((at(share) / expected - 1.0).abs() < 1e-4, "{share}: {} for {expected}", at(share));
    }
}

#[test]
fn the_same_result_is_the_same_page() {
    let page = || {
        with_page(HOSTILE, |point| {
            let differences = [("b", compare(point.summary, point.summary))];
            html(&comparison_page(&[*point, Point { name: "b", ..*point }], &differences, "again"))
        })
    };
    assert_eq!(page(), page());
}

#[test]
fn a_terminal_shows_the_course_and_a_pipe_does_not() {
    let text = |style| {
        with_page(HOSTILE, |point| ran(point, &Written { folder: None, again: "again" }, style))
    };
    let bars = |text: &str| text.chars().filter(|it| ('▁'..='█').contains(it)).count();
    let (plain, drawn, coloured) = (text(Style::Plain), text(Style::Drawn), text(Style::Coloured));
    assert_eq!(bars(&plain), 0, "no pictures in pipes");
    assert!(!plain.contains('\u{1b}') && !drawn.contains('\u{1b}'), "no colours unasked");
    assert!(coloured.contains("\u{1b}["));
    for shown in [&drawn, &coloured] {
        assert!(bars(shown) >= 8 && shown.contains("latency p99"), "{shown}");
    }
    assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{drawn}");
}

#[test]
fn a_comparison_on_a_terminal_shows_all_courses_on_one_scale() {
    let text = |style| {
        with_page(HOSTILE, |point| {
            let differences = [("b", compare(point.summary, point.summary))];
            let points = [*point, Point { name: "b", ..*point }];
            compared(&points, &differences, &Written { folder: None, again: "again" }, style)
        })
    };
    let bars = |text: &str| text.chars().filter(|it| ('▁'..='█').contains(it)).count();
    let (plain, drawn) = (text(Style::Plain), text(Style::Drawn));
    assert_eq!(bars(&plain), 0, "no pictures in pipes");
    assert!(drawn.contains("Over time") && drawn.contains("latency p99"), "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 100), "{drawn}");
    // Twice the same design has twice the same bars.
    let courses: Vec<String> = drawn
        .lines()
        .filter(|line| bars(line) > 0)
        .map(|line| line.chars().filter(|it| ('▁'..='█').contains(it)).collect())
        .collect();
    assert!(courses.len() >= 6 && courses.chunks(2).all(|pair| pair[0] == pair[1]), "{drawn}");
}

#[test]
fn faults_are_marked_on_timelines() {
    let text = format!(
        "{HOSTILE}\n[fault.gone]\ntarget = \"service.web\"\nwhat.slow = 3\nat = \"1s\"\nfor = \"1s\"\n"
    );
    let marked = |text: &str| {
        with_page(text, |point| {
            let page = run_page(point, "again");
            let load = page.figures().find(|it| it.name == "timeline-load").expect("it is there");
            load.spec.to_string().contains("service.web slow")
        })
    };
    assert!(marked(&text) && !marked(HOSTILE));
}
