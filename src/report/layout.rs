//! Plain tables in columns, with colour where the terminal shows it.

/// Columns of text on a screen.
pub const WIDTH: usize = 100;

/// The first column is at least this wide, so that tables below one another line up.
const FIRST: usize = 20;

/// Whether text may have colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// For a terminal.
    Coloured,
    /// For a terminal whose user wants no colours (`NO_COLOR`): pictures, but plain.
    Drawn,
    /// For files and pipes: neither colours nor pictures.
    Plain,
}

/// How a piece of text looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Look {
    #[default]
    Usual,
    Bold,
    Dim,
    Good,
    Bad,
    Doubtful,
}

impl Style {
    /// The text in its look (ECMA-48 escapes).
    pub(super) fn paint(self, text: &str, look: Look) -> String {
        let code = match look {
            Look::Usual => return text.into(),
            _ if self != Style::Coloured || text.trim().is_empty() => return text.into(),
            Look::Bold => "1",
            Look::Dim => "2",
            Look::Good => "32",
            Look::Bad => "1;31",
            Look::Doubtful => "33",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A cell of a grid.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    pub fn new(text: impl Into<String>, look: Look) -> Cell {
        Cell { text: text.into(), look }
    }
    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// How it looks.
    pub fn look(&self) -> Look {
        self.look
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::new(text, Look::Usual)
    }
}
impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::new(text, Look::Usual)
    }
}

/// A table: the first column to the left, the others to the right, two spaces between.
pub struct Grid {
    rows: Vec<Vec<Cell>>,
    left: usize,
}

impl Grid {
    /// A table with a title above its first column, and the names of the others.
    pub fn new(title: &str, columns: &[&str]) -> Grid {
        let mut head = vec![Cell::new(title, Look::Bold)];
        head.extend(columns.iter().map(|name| Cell::new(*name, Look::Dim)));
        Grid { rows: vec![head], left: 1 }
    }
    /// The first so many columns stand to the left.
    pub fn left(mut self, columns: usize) -> Grid {
        self.left = columns;
        self
    }
    /// One more row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut cells: Vec<Cell> = cells.into_iter().collect();
        if let Some(first) = cells.first_mut() {
            first.text.insert_str(0, "  ");
        }
        self.rows.push(cells);
    }
    /// Its rows, the head first; what belongs to a row above it begins with more spaces.
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }
    /// How many columns stand to the left.
    pub fn left_columns(&self) -> usize {
        self.left
    }
    /// Nothing but the head.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
    /// The table as text, a line for each row.
    pub fn render(&self, style: Style) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let least = if column == 0 { FIRST } else { 0 };
            cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0).max(least)
        };
        let widths: Vec<usize> = (0..columns).map(width_of).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let space = " ".repeat(widths[column] - cell.text.chars().count());
                let painted = style.paint(&cell.text, cell.look);
                let gap = if column > 0 { "  " } else { "" };
                line.push_str(gap);
                match column < self.left {
                    true => line.push_str(&(painted + &space)),
                    false => line.push_str(&(space + &painted)),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Text broken at spaces so that it fits, later lines indented.
pub fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_colours() {
        let mut grid = Grid::new("Latency", &["mean"]);
        grid.row([Cell::from("ok"), Cell::new("12.3 ms", Look::Bad)]);
        assert_eq!(
            grid.render(Style::Plain),
            "Latency                  mean\n  ok                  12.3 ms\n"
        );
        let coloured = grid.render(Style::Coloured);
        assert!(coloured.contains("\u{1b}[1;31m12.3 ms\u{1b}[0m"));
    }

    #[test]
    fn long_text_is_broken_and_indented() {
        let text = wrap(&"word ".repeat(30), 4);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("    word")));
    }
}
