//! Reads topology files and says what is wrong with them.

use std::fs;
use std::io;
use std::path::Path;

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind};
use loadbearing::diagnostic::{Diagnostic, Place, Severity, Source, render_plain};
use loadbearing::report::Style;
use loadbearing::topology::Loaded;

use super::{complain, style_of_stderr};

/// The text of a file, or why there is none.
pub fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let longer = format!("{path}.toml");
            match Path::new(&longer).is_file() {
                true => format!("there is no such file; did you mean `{longer}`?"),
                false => "there is no such file".into(),
            }
        }
        io::ErrorKind::IsADirectory => "it is a folder".into(),
        io::ErrorKind::InvalidData => "it is not a text in UTF-8".into(),
        _ => error.to_string(),
    })
}

/// Says all that is wrong or doubtful on stderr: drawn on a terminal, plain elsewhere.
pub fn say_diagnostics(loaded: &Loaded) {
    say(&loaded.diagnostics, &loaded.sources);
}

/// Says what is wrong or doubtful in some texts.
pub fn say(found: &[Diagnostic], sources: &[Source]) {
    match style_of_stderr() {
        Style::Plain | Style::Drawn => complain(&render_plain(found, sources)),
        Style::Coloured => found.iter().for_each(|one| match one.slug {
            "unreadable" => complain(&render_plain(std::slice::from_ref(one), sources)),
            _ => complain(&draw(one, sources)),
        }),
    }
}

/// A diagnostic with its place in the file drawn in colours.
fn draw(found: &Diagnostic, sources: &[Source]) -> String {
    let names = unique_names(sources);
    let span = |place: &Place| {
        let index = place.source.0 as usize;
        let text = sources.get(index).map_or("", |source| source.text.as_str());
        let start = place.span.start.min(text.len());
        let name = names.get(index).cloned().unwrap_or_default();
        (name, start..place.span.end.clamp(start, text.len()))
    };
    let (kind, colour) = match found.severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let config = Config::new().with_index_type(IndexType::Byte).with_char_set(CharSet::Unicode);
    let mut report = Report::build(kind, span(&found.place))
        .with_config(config)
        .with_code(found.slug)
        .with_message(&found.message)
        .with_label(Label::new(span(&found.place)).with_color(colour));
    if let Some(help) = &found.help {
        report.set_help(help);
    }
    for (place, remark) in &found.related {
        let label = Label::new(span(place)).with_message(remark).with_color(Color::Blue);
        report.add_label(label);
    }
    let texts = names.iter().cloned().zip(sources.iter().map(|source| source.text.clone()));
    let texts: Vec<(String, String)> = texts.collect();
    let mut out = Vec::new();
    match report.finish().write(ariadne::sources(texts), &mut out) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned() + "\n",
        Err(_) => render_plain(std::slice::from_ref(found), sources),
    }
}

/// Several `--set` have one name: they are told apart by their number.
fn unique_names(sources: &[Source]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for source in sources {
        let twins = names.iter().filter(|name| name.starts_with(source.name.as_str())).count();
        names.push(match twins {
            0 => source.name.clone(),
            _ => format!("{} ({})", source.name, twins + 1),
        });
    }
    names
}
