//! A table whose columns are known only when it is made, as CSV and, where it is wanted, Parquet.

use std::collections::BTreeMap;

use super::folder::Content;
use super::manifest::ColumnRecord;

/// A column with what it holds.
pub struct SheetColumn {
    /// Its name.
    pub name: String,
    /// What it holds, its unit in square brackets where it has one.
    pub meaning: String,
}

impl SheetColumn {
    /// A column.
    pub fn new(name: &str, meaning: &str) -> SheetColumn {
        SheetColumn { name: name.into(), meaning: meaning.into() }
    }
}

/// A value of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Typed {
    /// Nothing.
    Nothing,
    /// A whole number.
    Count(u64),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// A text.
    Text(String),
}

impl Typed {
    /// A number, or nothing.
    pub fn optional(value: Option<f64>) -> Typed {
        value.map_or(Typed::Nothing, Typed::Number)
    }
    fn text(&self) -> String {
        match self {
            Typed::Nothing => String::new(),
            Typed::Count(count) => count.to_string(),
            // The shortest text that reads back as the same number; the same on every platform.
            Typed::Number(number) => format!("{number}"),
            Typed::Flag(flag) => flag.to_string(),
            Typed::Text(text) => text.clone(),
        }
    }
}

/// A table.
pub struct Sheet {
    /// Its name, without an ending.
    pub name: &'static str,
    /// Its columns.
    pub columns: Vec<SheetColumn>,
    /// Its rows, each with a cell for every column.
    pub rows: Vec<Vec<Typed>>,
}

impl Sheet {
    /// The table as files: CSV, and Parquet where the program was built with it.
    pub fn files(&self) -> Vec<Content> {
        super::as_written(vec![self.to_csv()])
    }

    /// The table as CSV (RFC 4180, lines ending in LF).
    pub fn to_csv(&self) -> Content {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let head = self.columns.iter().map(|column| column.name.as_str());
        writer.write_record(head).expect("memory takes everything");
        for row in &self.rows {
            let cells = row.iter().map(Typed::text);
            writer.write_record(cells).expect("rows of a table are of one length, in memory");
        }
        let bytes = writer.into_inner().expect("memory takes everything");
        Content { path: format!("{}.csv", self.name), bytes }
    }
}

/// What the columns of some tables hold, by file, for the manifest.
pub fn described(sheets: &[Sheet]) -> BTreeMap<String, Vec<ColumnRecord>> {
    let column =
        |it: &SheetColumn| ColumnRecord { name: it.name.clone(), meaning: it.meaning.clone() };
    let one =
        |sheet: &Sheet| (format!("{}.csv", sheet.name), sheet.columns.iter().map(column).collect());
    sheets.iter().map(one).collect()
}
