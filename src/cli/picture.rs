//! `--picture`: designs over time as one SVG file.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use loadbearing::figure::{Board, Panel};
use loadbearing::report::{Point, picture};

use super::Failure;

/// What is drawn over time, and where it goes.
#[derive(Args)]
#[command(next_help_heading = "Picture")]
pub struct Drawing {
    /// Draws the course over the measured time into one SVG file
    #[arg(long, value_name = "FILE.svg")]
    picture: Option<PathBuf>,
    /// What it shows, one strip each: served, failed, latency_p95, pool.pg.waiting, service.web.held,
    /// database.main.connections ... [default: served, latency_p95, failed]
    #[arg(long = "panel", value_name = "METRIC", value_parser = Panel::parse, requires = "picture")]
    panels: Vec<Panel>,
    /// Its heading [default: the title of the first file]
    #[arg(long, value_name = "TEXT", requires = "picture")]
    heading: Option<String>,
}

impl Drawing {
    /// Draws, if a picture is wanted.
    pub fn draw(&self, points: &[Point<'_>]) -> Result<(), Failure> {
        let Some(path) = &self.picture else { return Ok(()) };
        let usual = ["served", "latency_p95", "failed"];
        let panels = match self.panels.as_slice() {
            [] => usual.iter().flat_map(|it| Panel::parse(it)).collect(),
            said => said.to_vec(),
        };
        let first = points.first().map_or("", |it| match it.summary.title.as_str() {
            "" => it.name,
            title => title,
        });
        let heading = self.heading.as_deref().unwrap_or(first);
        let board = Board::new(heading, points, &panels).map_err(Failure::Usage)?;
        fs::write(path, picture(&board))
            .map_err(|error| Failure::Failed(format!("cannot write `{}`: {error}", path.display())))
    }
}
