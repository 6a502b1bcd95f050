//! Aligned tables and lists of fields, as text.

use super::text;

/// A table: headings and rows, columns two blanks apart. Columns of numbers only stand to the right.
///
/// A cell's width is its number of characters, which is wrong for wide scripts and right for names.
pub(crate) fn render<const COLUMNS: usize>(headings: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let rows: Vec<[String; COLUMNS]> = rows.iter().map(|row| row.each_ref().map(|cell| text::line(cell))).collect();
    let mut columns = headings.map(|heading| (heading.chars().count(), !rows.is_empty()));
    for row in &rows {
        for ((width, numeric), cell) in columns.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
            *numeric &= !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit());
        }
    }
    let print = |cells: &[String; COLUMNS]| {
        let mut line = String::new();
        for (cell, (width, numeric)) in cells.iter().zip(columns) {
            line += &if numeric { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        }
        format!("{}\n", line.trim_end())
    };
    let head = print(&headings.map(str::to_owned));
    rows.iter().fold(head, |table, row| table + &print(row))
}

/// Names and values, a line each, the values aligned. Fields without a value are left out.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let filled = fields.iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(name, value)| format!("{name:<width$}  {}\n", text::line(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_right() {
        let rows =
            [["a".to_owned(), "5".to_owned(), "é\n".to_owned()], ["long".to_owned(), "123".to_owned(), String::new()]];
        let expected = "NAME  COUNT  REASON\na         5  é\\n\nlong    123\n";
        assert_eq!(render(["NAME", "COUNT", "REASON"], &rows), expected);
    }

    #[test]
    fn a_table_without_rows_has_its_headings() {
        assert_eq!(render(["A", "B"], &[]), "A  B\n");
    }

    #[test]
    fn fields_are_aligned_and_empty_ones_left_out() {
        let list = [("name", "hello".to_owned()), ("queue", String::new()), ("component", "x".to_owned())];
        assert_eq!(fields(&list), "name       hello\ncomponent  x\n");
    }
}
