//! Figures for pages: lines and bars as SVG, readable in light and in dark.

use std::fmt::Write as _;

use crate::claims::{Counted, Picture, show};

pub(super) const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;
/// Room at the left, at the top, at the right and at the bottom of what is drawn.
const ROOM: (f64, f64, f64, f64) = (92.0, 44.0, 20.0, 56.0);
/// Colours that the colour-blind can tell apart (Okabe and Ito 2008); what is claimed is grey.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];
const GREY: &str = "#767676";

/// A picture as SVG.
pub fn svg(picture: &Picture) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>",
        escaped(&picture.title)
    );
    match picture.is_bars {
        true => bars(picture, &mut out),
        false => lines(picture, &mut out),
    }
    out.push_str("</svg>\n");
    out
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#1a1a1a\">{}</text>",
        escaped(words)
    );
}

/// A step of an axis: 1, 2 or 5 times a power of ten, about a fifth of the way.
fn step(most: f64) -> f64 {
    let rough = most / 5.0;
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps.into_iter().map(|it| it * power).find(|it| *it >= rough).unwrap_or(rough)
}

fn finite(picture: &Picture) -> impl Iterator<Item = (f64, f64)> + '_ {
    let points = picture.lines.iter().flat_map(|line| line.points.iter().copied());
    points.filter(|(x, y)| x.is_finite() && y.is_finite())
}

/// Values upwards: the greatest of the axis, and where a value stands.
pub(super) struct Scale {
    pub most: f64,
    pub step: f64,
}

impl Scale {
    pub fn of(greatest: f64) -> Scale {
        let greatest = if greatest > 0.0 { greatest } else { 1.0 };
        let step = step(greatest);
        Scale { most: (greatest / step).ceil() * step, step }
    }
    pub fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        (0..=(self.most / self.step).round() as u32).map(|it| f64::from(it) * self.step)
    }
}

fn lines(picture: &Picture, out: &mut String) {
    let (left, top, right, bottom) = ROOM;
    let (wide, high) = (WIDTH - left - right, HEIGHT - top - bottom);
    let upwards = Scale::of(finite(picture).map(|it| it.1).fold(0.0, f64::max));
    let last = finite(picture).map(|it| it.0).fold(0.0, f64::max).max(1e-9);
    let place = |x: f64, y: f64| (left + x / last * wide, top + high - y / upwards.most * high);
    text(out, (8.0, 20.0), "start", &picture.upwards);
    for tick in upwards.ticks() {
        let (_, y) = place(0.0, tick);
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>",
            left + wide
        );
        text(out, (left - 8.0, y + 4.0), "end", &label(tick, picture.unit));
    }
    let across: Vec<(f64, String)> = match picture.ticks.is_empty() {
        false => picture.ticks.iter().enumerate().map(|(at, it)| (at as f64, it.clone())).collect(),
        true => {
            let scale = Scale::of(last);
            scale
                .ticks()
                .filter(|it| *it <= last)
                .map(|it| (it, label(it, Counted::Count)))
                .collect()
        }
    };
    for (x, words) in across {
        text(out, (place(x, 0.0).0, top + high + 18.0), "middle", &words);
    }
    text(out, (left + wide / 2.0, HEIGHT - 10.0), "middle", &picture.across);
    for (index, line) in picture.lines.iter().enumerate() {
        let (colour, dash) = look(index, line.claimed);
        let known = line.points.iter().filter(|it| it.1.is_finite());
        let path: Vec<String> = known
            .clone()
            .map(|(x, y)| place(*x, *y))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            path.join(" ")
        );
        if !picture.ticks.is_empty() && !line.claimed {
            for (x, y) in known.map(|(x, y)| place(*x, *y)) {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
                );
            }
        }
        legend(out, index, &line.name, colour, dash);
    }
}

fn look(index: usize, claimed: bool) -> (&'static str, &'static str) {
    match claimed {
        true => (GREY, " stroke-dasharray=\"6 4\""),
        false => (COLOURS[index % COLOURS.len()], ""),
    }
}

fn legend(out: &mut String, index: usize, name: &str, colour: &str, dash: &str) {
    let (x, y) = (WIDTH - 20.0, 18.0 + 16.0 * index as f64);
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" \
         stroke-width=\"3\"{dash}/>",
        x - 24.0
    );
    text(out, (x - 30.0, y + 4.0), "end", name);
}

fn bars(picture: &Picture, out: &mut String) {
    let left = 250.0;
    let wide = WIDTH - left - 130.0;
    let greatest = finite(picture).map(|it| it.1).fold(0.0, f64::max).max(1e-12);
    text(out, (8.0, 20.0), "start", &picture.upwards);
    let room = (HEIGHT - 60.0) / picture.lines.len().max(1) as f64;
    for (index, line) in picture.lines.iter().enumerate() {
        let value = line.points.first().map_or(0.0, |it| it.1);
        let known = if value.is_finite() { value } else { 0.0 };
        let y = 44.0 + room * index as f64;
        let colour = if line.claimed { GREY } else { COLOURS[index % COLOURS.len()] };
        let length = (known / greatest * wide).max(1.0);
        text(out, (left - 10.0, y + room / 2.0), "end", &line.name);
        let _ = writeln!(
            out,
            "<rect x=\"{left}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            y + room * 0.2,
            room * 0.6
        );
        text(
            out,
            (left + length + 8.0, y + room / 2.0 + 4.0),
            "start",
            &label(value, picture.unit),
        );
    }
}

fn label(value: f64, unit: Counted) -> String {
    show(value, unit).trim_end_matches(" users").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Drawn;

    fn picture(is_bars: bool, values: &[f64]) -> Picture {
        let points = values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect();
        Picture {
            name: "a".into(),
            claim: "A-1".into(),
            title: "<b> & \"c\"".into(),
            rank: 1,
            across: "x".into(),
            ticks: Vec::new(),
            upwards: "y".into(),
            unit: Counted::Count,
            is_bars,
            lines: vec![Drawn { name: "it".into(), claimed: false, points }],
        }
    }

    #[test]
    fn what_comes_from_files_is_escaped_and_what_is_not_finite_is_left_out() {
        for is_bars in [false, true] {
            let text = svg(&picture(is_bars, &[1.0, f64::NAN, 3.0]));
            assert!(text.contains("&lt;b&gt; &amp; &quot;c&quot;") && !text.contains("<b>"));
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert!(text.ends_with("</svg>\n"));
        }
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([step(10.0), step(7.0), step(0.9), step(23_000.0)], [2.0, 2.0, 0.2, 5_000.0]);
    }
}
