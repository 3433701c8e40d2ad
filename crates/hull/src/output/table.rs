//! Aligned columns as Go's tabwriter makes them for Docker's tables. Pure.

use unicode_width::UnicodeWidthStr as _;

/// The least width of a column, with the space behind it.
const WIDTH_MIN: usize = 10;
/// The space between columns.
const PADDING: usize = 3;

/// Aligns rows whose cells are separated by tabs; the last cell of a row is not padded.
pub(crate) fn align(rows: &[String]) -> String {
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.split('\t').collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        for (column, cell) in row.iter().take(row.len().saturating_sub(1)).enumerate() {
            let width = (cell.width() + PADDING).max(WIDTH_MIN);
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                let missing = widths.get(column).map_or(0, |width| width - cell.width());
                out.push_str(&" ".repeat(missing));
            }
        }
        out.push('\n');
    }
    out
}

/// A text as it may stand in a terminal: what could move the cursor, or turn the direction of what
/// follows, becomes `?`.
///
/// Names and commands come from images and other users; they must not write our screen.
pub(crate) fn printable(text: &str) -> String {
    // Unicode's directional formatting characters (UAX #9).
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = ["ID\tNAME\tX".to_owned(), "1234567890\té\t".to_owned()];
        assert_eq!(align(&rows), "ID           NAME      X\n1234567890   é         \n");
        assert_eq!(align(&[]), "");
        assert_eq!(align(&["a".to_owned(), "b\tc".to_owned()]), "a\nb         c\n");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\tc"), "a?[2Jb?c");
        assert_eq!(printable("a\u{202e}b\u{9b}31m\u{e9}"), "a?b?31m\u{e9}");
    }
}
