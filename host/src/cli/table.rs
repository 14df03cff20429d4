//! Tables with aligned columns.

use super::screen::{Paint, Tone};

/// Rows of cells under a head. The last column is not filled up.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    /// For numbers.
    Right,
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Table {
    pub(super) fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Table { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// One cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn render(&self, paint: Paint) -> String {
        let head: Vec<Cell> =
            self.columns.iter().map(|(name, _)| Cell::from(*name).tone(Tone::Head)).collect();
        let lines = || std::iter::once(&head).chain(&self.rows);
        let width =
            |column: usize| lines().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for row in lines() {
            for (at, cell) in row.iter().enumerate() {
                let (last, align) = (at + 1 == self.columns.len(), self.columns[at].1);
                let room = " ".repeat(widths[at] - cell.width());
                let shown = paint.on(cell.tone, &cell.text);
                match align {
                    Align::Left if last => text.push_str(&shown),
                    Align::Left => text.push_str(&(shown + &room)),
                    Align::Right => text.push_str(&(room + &shown)),
                }
                text.push_str(if last { "\n" } else { "  " });
            }
        }
        text
    }
}

impl Cell {
    pub(super) fn tone(mut self, tone: Tone) -> Cell {
        self.tone = tone;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        let text = if text.is_empty() { "-" } else { text };
        Cell { text: text.to_owned(), tone: Tone::Plain }
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Cell {
        Cell::from(text.as_str())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::from(text.as_str())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::from(number.to_string())
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Cell {
        u64::from(number).into()
    }
}

/// What is not there.
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or_else(|| Cell::from(""), Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new([("NAME", Align::Left), ("N", Align::Right), ("WHY", Align::Left)]);
        table.row(["größe".into(), 7_u64.into(), "".into()]);
        table.row(["a".into(), 1_000_u64.into(), "long enough".into()]);
        assert_eq!(
            table.render(Paint(false)),
            "NAME      N  WHY\ngröße     7  -\na      1000  long enough\n"
        );
    }

    #[test]
    fn colours_do_not_count() {
        let mut table = Table::new([("A", Align::Left), ("B", Align::Left)]);
        table.row([Cell::from("up").tone(Tone::Good), "x".into()]);
        assert_eq!(table.render(Paint(true)), "\x1b[1mA\x1b[0m   \x1b[1mB\x1b[0m\n\x1b[32mup\x1b[0m  x\n");
    }
}
