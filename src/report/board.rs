//! A picture of designs over time as SVG: one strip below the other, readable in light and in dark.

use std::fmt::Write as _;

use super::drawing::{Scale, WIDTH, escaped};
use super::show;
use crate::figure::{Board, Mark, Strip};
use crate::result::Unit;

/// Room at the left for numbers, and at the right.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 20.0;
/// Height of what is drawn of a strip, and of the heading above it.
const HIGH: f64 = 104.0;
const HEADING: f64 = 36.0;
/// Height of the lane of names above the first strip.
const LANE: f64 = 14.0;
/// Height of a line of the title, of the legend.
const TITLE_LINE: f64 = 21.0;
const LEGEND_LINE: f64 = 18.0;
/// Letters in a line of the title.
const TITLE_LETTERS: usize = 74;
/// Colours that the colour-blind can tell apart (Okabe and Ito 2008), on light and on dark ground.
const COLOURS: [(&str, &str); 5] = [
    ("#d55e00", "#ff8c42"),
    ("#0072b2", "#56b4e9"),
    ("#009e73", "#2fd0a2"),
    ("#b5578f", "#e59ac6"),
    ("#8a6d00", "#f0c240"),
];
/// Each line has a pattern of its own too, for those who see or print no colours.
const DASHES: [&str; 5] = ["", "7 3", "2 3", "10 3 2 3", "4 4"];

/// The picture as SVG.
pub fn picture(board: &Board) -> String {
    let title = broken(&board.title, TITLE_LETTERS);
    let top = 26.0 + TITLE_LINE * title.len() as f64;
    let wanted = board.strips.iter().any(|it| it.wanted.is_some());
    let names = board.designs.len() + usize::from(wanted);
    let lane = if board.marks.is_empty() { 0.0 } else { LANE };
    let first = top + LEGEND_LINE * names as f64 - 10.0 + lane;
    let height = first + (HEADING + HIGH) * board.strips.len() as f64 + 46.0;
    let mut out = head(board, height);
    for (number, line) in title.iter().enumerate() {
        let y = 24.0 + TITLE_LINE * number as f64;
        words(&mut out, "ink title", (14.0, y), "start", line);
    }
    for (number, name) in board.designs.iter().enumerate() {
        legend(&mut out, top + LEGEND_LINE * number as f64, number, name);
    }
    if wanted {
        let y = top + LEGEND_LINE * board.designs.len() as f64;
        let _ = writeln!(out, "<path class=\"wanted\" d=\"M14 {y:.1}h30\"/>");
        words(&mut out, "ink", (52.0, y + 4.0), "start", "wanted");
    }
    for (number, strip) in board.strips.iter().enumerate() {
        let y = first + HEADING + (HEADING + HIGH) * number as f64;
        if number == 0 && lane > 0.0 {
            board.marks.iter().for_each(|it| shaded(&mut out, board, it, (y - HEADING - lane, y)));
        }
        drawn(&mut out, board, strip, y);
    }
    across(&mut out, board, first + (HEADING + HIGH) * board.strips.len() as f64);
    named(&mut out, board, first);
    out.push_str("</svg>\n");
    out
}

fn head(board: &Board, height: f64) -> String {
    let (mut light, mut dark) = (String::new(), String::new());
    for (number, (on_light, on_dark)) in COLOURS.iter().enumerate() {
        let dash = DASHES[number];
        let _ = write!(light, ".c{number}{{stroke:{on_light};stroke-dasharray:{dash}}}");
        let _ = write!(dark, ".c{number}{{stroke:{on_dark}}}");
    }
    let light = light.replace(";stroke-dasharray:}", "}");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <style>path{{fill:none}}.line{{stroke-width:2;stroke-linejoin:round}}.card{{fill:#ffffff}}\
         .ink{{fill:#1f2328}}.faint{{fill:#57606a}}.halo{{paint-order:stroke;stroke:#ffffff;stroke-width:3px}}.title{{font-size:15px;font-weight:bold}}\
         .grid{{stroke:#d8dee4}}.axis{{stroke:#8c959f}}.mark{{fill:#8c959f;fill-opacity:.16}}\
         .bound{{stroke:#57606a;stroke-dasharray:5 4}}.wanted{{stroke:#6e7781;stroke-width:1.5;stroke-dasharray:1 3}}\
         {light}@media(prefers-color-scheme:dark){{.card{{fill:#0d1117}}.ink{{fill:#e6edf3}}.faint{{fill:#9da7b3}}.halo{{stroke:#0d1117}}\
         .grid{{stroke:#30363d}}.axis{{stroke:#6e7681}}.bound{{stroke:#9da7b3}}.wanted{{stroke:#9da7b3}}{dark}}}</style>\n\
         <rect class=\"card\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n",
        title = escaped(&board.title),
    )
}

fn words(out: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

fn legend(out: &mut String, y: f64, number: usize, name: &str) {
    let class = number % COLOURS.len();
    let _ = writeln!(out, "<path class=\"line c{class}\" d=\"M14 {y:.1}h30\"/>");
    words(out, "ink", (52.0, y + 4.0), "start", name);
}

/// Where a time stands.
fn place(board: &Board, at_s: f64) -> f64 {
    LEFT + (at_s / board.end_s.max(1e-9)).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

/// One strip, its drawn part from `top` on.
fn drawn(out: &mut String, board: &Board, strip: &Strip, top: f64) {
    let courses = || strip.lines.iter().chain(&strip.wanted).flatten().map(|it| it.1);
    let greatest = courses().chain(strip.bounds.iter().map(|it| it.0)).fold(0.0, f64::max);
    let scale = match strip.unit {
        Unit::Ratio if greatest > 0.45 => Scale { most: 1.0, step: 0.25 },
        _ => Scale::of(greatest),
    };
    let height = |value: f64| top + HIGH - (value / scale.most).clamp(0.0, 1.0) * HIGH;
    words(out, "ink", (14.0, top - 14.0), "start", &strip.heading);
    for mark in &board.marks {
        shaded(out, board, mark, (top, top + HIGH));
    }
    for tick in scale.ticks() {
        let y = height(tick);
        let class = if tick == 0.0 { "axis" } else { "grid" };
        let _ = writeln!(out, "<path class=\"{class}\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIGHT);
        words(out, "faint", (LEFT - 8.0, y + 4.0), "end", &number(tick, scale.most, strip.unit));
    }
    if let Some(wanted) = &strip.wanted {
        line(out, board, "wanted", wanted, &height);
    }
    for (number, course) in strip.lines.iter().enumerate() {
        line(out, board, &format!("line c{}", number % COLOURS.len()), course, &height);
    }
    let mut bounds: Vec<&(f64, String)> = strip.bounds.iter().collect();
    bounds.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut above = f64::NEG_INFINITY;
    for (value, text) in bounds {
        let y = height(*value);
        let _ = writeln!(out, "<path class=\"bound\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIGHT);
        // Over its line, or under it where the words of the one above stand.
        let at = if y - above < 26.0 { y + 13.0 } else { y - 4.0 };
        words(out, "faint halo", (WIDTH - RIGHT - 4.0, at), "end", text);
        above = y;
    }
}

fn line(
    out: &mut String,
    board: &Board,
    class: &str,
    course: &[(f64, f64)],
    height: &impl Fn(f64) -> f64,
) {
    let known = course.iter().filter(|it| it.1.is_finite());
    let points: Vec<String> =
        known.map(|(x, y)| format!("{:.1} {:.1}", place(board, *x), height(*y))).collect();
    if !points.is_empty() {
        let _ = writeln!(out, "<path class=\"{class}\" d=\"M{}\"/>", points.join("L"));
    }
}

fn shaded(out: &mut String, board: &Board, mark: &Mark, (top, bottom): (f64, f64)) {
    let (from, until) = (place(board, mark.from_s), place(board, mark.until_s));
    let wide = (until - from).max(1.0);
    let _ = writeln!(
        out,
        "<rect class=\"mark\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{:.1}\"/>",
        bottom - top
    );
}

/// The names of what happens, above the first strip.
fn named(out: &mut String, board: &Board, top: f64) {
    let mut free = 0.0;
    for mark in &board.marks {
        let at = place(board, mark.from_s);
        // Names that would run into one another stay away; the shading is there.
        if at >= free {
            words(out, "faint", (at + 4.0, top), "start", &mark.what);
            free = at + 3.0 + 6.4 * mark.what.chars().count() as f64;
        }
    }
}

/// The axis of time.
fn across(out: &mut String, board: &Board, bottom: f64) {
    let scale = Scale::of(board.end_s);
    for tick in scale.ticks().filter(|it| *it <= board.end_s + 1e-9) {
        let x = place(board, tick);
        let _ = writeln!(out, "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v4\"/>");
        words(out, "faint", (x, bottom + 17.0), "middle", &show::digits(tick, 3));
    }
    words(
        out,
        "faint",
        ((LEFT + WIDTH - RIGHT) / 2.0, bottom + 36.0),
        "middle",
        "measured time (s)",
    );
}

/// A number of an axis, all of them in the unit of the greatest.
fn number(tick: f64, most: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds if tick == 0.0 => "0".into(),
        Unit::Seconds if most >= 1.0 => format!("{} s", show::digits(tick, 2)),
        Unit::Seconds if most >= 1e-3 => format!("{} ms", show::digits(tick * 1e3, 2)),
        _ => show::value(tick, unit),
    }
}

/// Words in lines of so many letters.
fn broken(text: &str, letters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is a line");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > letters {
            lines.push(word.into());
        } else {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(title: &str, values: &[f64]) -> Board {
        let course: Vec<(f64, f64)> =
            values.iter().enumerate().map(|(at, it)| (at as f64, *it)).collect();
        let strip = Strip {
            heading: "latency <b>".into(),
            unit: Unit::Seconds,
            lines: vec![course.clone(), course],
            wanted: None,
            bounds: vec![(2.0, "latency_p95 < 2s".into())],
        };
        let mark = Mark { from_s: 1.0, until_s: 9.0, what: "a & b".into() };
        let designs = vec!["one".into(), "two".into()];
        Board { title: title.into(), designs, end_s: 4.0, marks: vec![mark], strips: vec![strip] }
    }

    #[test]
    fn what_comes_from_files_is_escaped_and_nothing_is_drawn_outside() {
        let text = picture(&board("<script>", &[1.0, f64::NAN, 3.0, 0.5]));
        assert!(!text.contains("<script>") && !text.contains("<b>") && !text.contains("NaN"));
        assert!(text.contains("latency_p95 &lt; 2s") && text.contains("a &amp; b"), "{text}");
        // The mark ends with the picture, at 700 of 720.
        assert!(text.contains("x=\"232.0\" y=\"") && text.contains("width=\"468.0\""), "{text}");
        assert_eq!(text.matches("class=\"line c1\"").count(), 2, "in the legend and in the strip");
    }

    #[test]
    fn long_titles_are_broken_between_words() {
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("", 7), [""]);
        assert_eq!(number(0.25, 1.0, Unit::Seconds), "0.25 s");
        assert_eq!(number(0.02, 0.1, Unit::Seconds), "20 ms");
    }
}
