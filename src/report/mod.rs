//! Summaries as files and as text for people.
//!
//! Every table is described once ([`table`]); [`manifest`] says how a result came about; [`folder`]
//! writes whole or not at all; the rest is words for the terminal.

mod believed;
mod board;
pub mod capacity;
mod claimed;
mod compared;
mod covered;
mod drawing;
mod findings;
pub mod folder;
mod layout;
pub mod manifest;
mod monitored;
pub mod page;
#[cfg(feature = "parquet")]
mod parquet;
mod ran;
pub mod sheet;
pub mod show;
mod spark;
pub mod story;
pub mod stress;
pub mod sweep;
pub mod sweep_page;
pub mod sweep_schema;
pub mod table;
mod validated;
mod validation_page;

pub use believed::believed;
pub use board::picture;
pub use claimed::claimed;
pub use compared::compared;
pub use covered::{coverage_to_json, covered};
pub use findings::{Findings, findings};
pub use layout::Style;
pub use ran::{Written, ran};
pub use validated::{Validated, block, by_run, summary, validated};
pub use validation_page::{Page, page};

pub use crate::result::Point;

use folder::Content;

/// Tables as they are written: with a twin in Parquet beside each CSV, if the program was built so.
pub fn as_written(tables: Vec<Content>) -> Vec<Content> {
    #[cfg(feature = "parquet")]
    let tables = parquet::with_twins(tables);
    tables
}
