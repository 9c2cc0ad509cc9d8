//! What `check` says of a sound file.

use super::{Scratch, code, stderr, stdout};

/// A loop that is full at 100 requests a second.
const FULL: &str = "version = 1\n[operation.a]\nflow = [{ cpu = '10ms' }]\n";

#[test]
fn check_warns_of_a_load_that_cannot_be_carried() {
    let home = Scratch::new("overload");
    let said = |more: &str| {
        home.write("full.toml", &format!("{FULL}{more}"));
        let output = home.run(&["check", "full.toml"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(stdout(&output).contains("sound"), "it may be meant");
        stderr(&output)
    };
    let of = |rate: &str| format!("[arrivals]\nrate = '{rate}'\n[service.web]\n");
    let far = said(&of("10_000/s"));
    assert!(far.contains("warning[overload]: `service.web` cannot carry this load"), "{far}");
    assert!(far.contains("full at 100/s, and 10,000/s are offered"), "{far}");
    assert!(far.contains("full.toml:6:"), "at the service: {far}");
    assert!(said(&of("100/s")).contains("overload"));
    assert_eq!(said(&of("99/s")), "");
    // Three instances carry 250 a second, and so does one that may become three.
    assert_eq!(said(&format!("{}instances = 3\n", of("250/s"))), "");
    let grows = "autoscale = { min = 1, max = 3 }\n";
    assert_eq!(said(&format!("{}{grows}", of("250/s"))), "");
    assert!(said(&format!("{}{grows}", of("350/s"))).contains("full at 300/s"));
    // Users who wait for their answers ask no faster than those come.
    assert_eq!(said("[users]\npopulation = 10_000\nthink = '1s'\n[service.web]\n"), "");
}
