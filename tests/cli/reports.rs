//! Does every command write its report?

use super::{SMALL, Scratch, code, stderr, stdout};

const SWEEP: &str = r#"
version = 1
title = "Pool and load"
topology = "small.toml"
replications = 2
duration = "3s"
rank = { by = "latency_p95_s" }
[[axis]]
name = "pool"
path = "pool.pg.size"
values = [1, 2, 5]
[[axis]]
name = "rate"
path = "arrivals.rate"
values = ["50/s", "100/s"]
"#;

const CLAIMS: &str = r#"
version = 1
title = "A small shop"
document = "Spring"
[scenario.today]
topology = "small.toml"
set = ["run.duration=3s"]
[claim.S-1]
says = "200 requests a second are served"
section = "1"
claimed = 200
unit = "per-second"
measured = "of(today, throughput_per_s)"
"#;

/// A report with its figures: whole, offline, small, and each figure also a file.
fn check(home: &Scratch, folder: &str, figures: &[&str]) {
    let page = home.read(&format!("{folder}/report.html"));
    let own = page.find("<script>").expect("what draws");
    for request in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!page[..own].contains(request), "{folder}: {request}");
    }
    assert!(page.len() < 1_500_000, "{folder}: {} bytes", page.len());
    for figure in figures {
        let file = format!("{folder}/figures/{figure}.vl.json");
        assert!(home.has(&file), "no {file}");
        assert!(page.contains(&format!("data-figure=\"{figure}\"")), "{folder}: {figure}");
        let spec: serde_json::Value = serde_json::from_str(&home.read(&file)).expect("JSON");
        assert!(spec["data"]["values"].as_array().is_some_and(|it| !it.is_empty()), "{file}");
    }
}

/// The report and each figure are made again byte by byte, and a page that is not so is named.
fn is_proven(home: &Scratch, folder: &str) {
    let output = home.run(&["rerun", folder, "--quiet"]);
    let text = stdout(&output);
    assert_eq!(code(&output), 0, "{folder}: {text}{}", stderr(&output));
    assert!(text.contains("report.html") && text.contains(" figures"), "{folder}: {text}");
    // As if an earlier version had drawn another page.
    let (page, manifest) = (format!("{folder}/report.html"), format!("{folder}/manifest.toml"));
    let (mine, other) = (home.read(&page), home.read(&page).replacen("<h1", "<h2", 1));
    let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    home.write(&page, &other);
    let honest = home.read(&manifest);
    home.write(&manifest, &honest.replace(&digest(&mine), &digest(&other)));
    let output = home.run(&["rerun", folder, "--quiet"]);
    let text = stdout(&output);
    assert_eq!(code(&output), 3, "{folder}: {text}");
    assert!(text.contains("report.html differs, first in line"), "{folder}: {text}");
    home.write(&page, &mine);
    home.write(&manifest, &honest);
}

#[test]
fn every_command_writes_its_report() {
    let home = Scratch::new("reports");
    home.write("small.toml", SMALL);
    home.write("sweep.toml", SWEEP);
    home.write("claims.toml", CLAIMS);
    let well = |words: &[&str], codes: &[i32]| {
        let output = home.run(words);
        assert!(codes.contains(&code(&output)), "{words:?}: {}", stderr(&output));
    };
    well(&["sweep", "sweep.toml", "--quiet"], &[0]);
    let figures = [
        "response-latency_p95_s-pool",
        "map-latency_p95_s-pool",
        "ranking",
        "difference-latency_mean_s",
    ];
    check(&home, "output/sweep", &figures);
    is_proven(&home, "output/sweep");
    // As many points as a person would ever look at: the page stays small.
    let axis = |path: &str, to: u32| {
        format!("[[axis]]\npath = \"{path}\"\nrange = {{ from = 1, to = {to}, steps = {to} }}\n")
    };
    let head = SWEEP.split("[[axis]]").next().expect("a head").replace("\"3s\"", "\"50ms\"");
    let head = head.replace("replications = 2", "replications = 1");
    let axes = axis("pool.pg.size", 30) + &axis("service.web.instances", 30);
    home.write("many.toml", &(head + &axes));
    well(&["sweep", "many.toml", "--set", "run.warmup=0s", "--quiet"], &[0]);
    assert!(home.read("output/many/points.csv").lines().count() > 900);
    check(&home, "output/many", &[]);
    let capacity = ["capacity", "small.toml", "--slo", "p95<50ms", "--duration", "3s"];
    well(&[&capacity[..], &["--of", "rate", "--at", "120/s", "--quiet"]].concat(), &[0, 99]);
    check(&home, "output/small-capacity", &["capacity-1", "latency", "timeline-load"]);
    is_proven(&home, "output/small-capacity");
    let stress = [
        "stress",
        "small.toml",
        "--for",
        "3s",
        "--at",
        "3s",
        "--watch",
        "20s",
        "--replications",
        "2",
    ];
    well(&[&stress[..], &["--quiet"]].concat(), &[0, 99]);
    check(&home, "output/small-stress", &["course-latency", "course-failures", "latency"]);
    is_proven(&home, "output/small-stress");
    well(&["claims", "claims.toml", "--quiet"], &[0, 99]);
    check(&home, "output/claims-claims", &["beside-1"]);
    // A second run takes the place of the first, and the manifest proves it.
    well(&["claims", "claims.toml", "--quiet"], &[0, 99]);
    is_proven(&home, "output/claims-claims");
    assert!(home.read("output/claims-claims/claims.json").contains("\"verdict\""));
    assert!(home.read("output/claims-claims/report.html").contains("data-filter=\"1\""));
}
