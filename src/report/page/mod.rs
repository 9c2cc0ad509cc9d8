//! `report.html`: a result as one page that needs nothing else, and its figures as files.
//!
//! The page is words and tables in plain HTML, figures as Vega-Lite data, and the code that draws
//! them, all in one file without a request to anywhere. Whatever comes from a file is escaped here,
//! in one place (`page/html.rs`).

mod capacity;
mod claims;
mod comparison;
mod html;
mod run;
mod stress;
mod sweep;

pub use capacity::capacity_page;
pub use claims::claims_page;
pub use comparison::comparison_page;
pub use html::escape;
pub use run::run_page;
pub use stress::stress_page;
pub use sweep::sweep_page;

use serde_json::{Map, Value, json};

use super::folder::Content;
use super::layout::Grid;
use crate::figure::Figure;

/// The file of the page.
pub const REPORT: &str = "report.html";

const STYLE: &str = include_str!("assets/page.css");
/// What draws, in the order in which it is loaded.
const SCRIPTS: [&str; 5] = [
    include_str!("vendor/vega.min.js"),
    include_str!("vendor/vega-lite.min.js"),
    include_str!("vendor/dagre.min.js"),
    include_str!("assets/diagram.js"),
    include_str!("assets/page.js"),
];

/// How a tile or a remark looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Something is not.
    Bad,
    /// Look twice.
    Doubtful,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Good => "good",
            Tone::Bad => "bad",
            Tone::Doubtful => "doubtful",
        }
    }
}

/// One of the first things that a reader sees.
pub struct Tile {
    /// What it is about.
    pub what: String,
    /// The answer.
    pub value: String,
    /// A line below it; may be empty.
    pub more: String,
    /// How it looks.
    pub tone: Tone,
}

impl Tile {
    /// A tile.
    pub fn new(what: &str, value: impl Into<String>, more: impl Into<String>, tone: Tone) -> Tile {
        Tile { what: what.into(), value: value.into(), more: more.into(), tone }
    }
}

/// A piece of a section.
pub enum Block {
    /// A figure.
    Figure(Figure),
    /// Deployments as pictures, side by side.
    Diagrams(Vec<Value>),
    /// A table.
    Table(Grid),
    /// A table of words: its columns, and rows that may be long.
    Words(Vec<&'static str>, Vec<Vec<String>>),
    /// The same, with buttons for the values of one column and a search of all.
    Filtered(Vec<&'static str>, Vec<Vec<String>>, usize),
    /// A paragraph.
    Text(String),
    /// Something that must be known.
    Warning(String),
    /// What to type.
    Code(String),
}

/// A section with its heading.
pub struct Section {
    /// Its place in links.
    pub id: &'static str,
    /// Its heading.
    pub heading: String,
    /// What it holds.
    pub blocks: Vec<Block>,
}

/// A page.
pub struct Page {
    /// What it is about.
    pub title: String,
    /// The line below the title.
    pub lead: String,
    /// The verdict.
    pub tiles: Vec<Tile>,
    /// The rest, in order; empty ones are left out.
    pub sections: Vec<Section>,
}

impl Page {
    /// The page and its figures as files.
    pub fn contents(&self) -> Vec<Content> {
        let mut contents =
            vec![Content { path: REPORT.into(), bytes: self.to_html().into_bytes() }];
        contents.extend(self.figures().map(|figure| Content {
            path: format!("figures/{}.vl.json", figure.name),
            bytes: figure.to_file().into_bytes(),
        }));
        contents
    }

    /// All figures that have something to show.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        blocks.filter_map(|block| match block {
            Block::Figure(figure) if figure.has_data() => Some(figure),
            _ => None,
        })
    }

    fn diagrams(&self) -> impl Iterator<Item = &Value> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        blocks
            .filter_map(|block| match block {
                Block::Diagrams(diagrams) => Some(diagrams),
                _ => None,
            })
            .flatten()
    }

    /// The page as text.
    pub fn to_html(&self) -> String {
        let figures: Map<String, Value> = self
            .figures()
            .map(|it| (it.name.clone(), json!({ "title": it.title, "spec": it.spec })))
            .collect();
        let diagrams: Vec<&Value> = self.diagrams().collect();
        let mut out = String::with_capacity(1 << 20);
        out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        // No request to anywhere, not even for the icon.
        out.push_str("<link rel=\"icon\" href=\"data:,\">\n");
        out.push_str(&format!(
            "<title>{}</title>\n<style>\n{STYLE}</style>\n",
            escape(&self.title)
        ));
        out.push_str(
            "</head>\n<body>\n<a class=\"skip\" href=\"#main\">To the report</a>\n<header>\n",
        );
        out.push_str(&format!("<h1>{}</h1>\n", escape(&self.title)));
        out.push_str(&format!("<p class=\"soft\">{}</p>\n", escape(&self.lead)));
        self.write_tiles(&mut out);
        self.write_links(&mut out);
        out.push_str("</header>\n<main id=\"main\">\n");
        let mut drawn = 0;
        for section in self.filled() {
            out.push_str(&format!(
                "<section id=\"{}\">\n<h2>{}</h2>\n",
                section.id,
                escape(&section.heading)
            ));
            section.blocks.iter().for_each(|block| html::block(block, &mut drawn, &mut out));
            out.push_str("</section>\n");
        }
        out.push_str(&format!(
            "</main>\n<footer>Loadbearing {}. This page needs no network.</footer>\n",
            env!("CARGO_PKG_VERSION")
        ));
        for (id, data) in [("figures", json!(figures)), ("diagrams", json!(diagrams))] {
            out.push_str(&format!(
                "<script type=\"application/json\" id=\"{id}\">{}</script>\n",
                html::json_in_script(&data)
            ));
        }
        for script in SCRIPTS {
            out.push_str(&format!("<script>{script}</script>\n"));
        }
        out.push_str("</body>\n</html>\n");
        out
    }

    fn filled(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| section.blocks.iter().any(html::shows))
    }

    fn write_tiles(&self, out: &mut String) {
        out.push_str("<div class=\"tiles\">\n");
        for tile in &self.tiles {
            out.push_str(&format!(
                "<div class=\"tile {}\"><div class=\"what\">{}</div><div class=\"value\">{}</div>\
                 <div class=\"more\">{}</div></div>\n",
                tile.tone.class(),
                escape(&tile.what),
                escape(&tile.value),
                escape(&tile.more)
            ));
        }
        out.push_str("</div>\n");
    }

    fn write_links(&self, out: &mut String) {
        out.push_str("<nav aria-label=\"Sections\"><ul>\n");
        for section in self.filled() {
            let heading = escape(&section.heading);
            out.push_str(&format!("<li><a href=\"#{}\">{heading}</a></li>\n", section.id));
        }
        out.push_str("</ul></nav>\n");
    }
}
