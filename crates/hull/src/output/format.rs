//! `--format`: `table`, `table TEMPLATE`, `json`, `raw` fields by template.

use crate::failure::Failure;
use crate::output::{self, table};
use crate::template::Template;
use crate::template::value::Value;

/// One column: the field templates know it by, and its heading.
pub(crate) type Column = (&'static str, &'static str);

/// A list to print: its columns, and what they are per row.
pub(crate) struct Listing<'a> {
    /// Every field a template may use.
    pub(crate) columns: &'a [Column],
    /// The fields shown without `--format`.
    pub(crate) shown: &'a [&'a str],
    /// One map per row, with the columns' fields.
    pub(crate) rows: Vec<Value>,
}

impl Listing<'_> {
    /// Prints the list as `--format` says.
    ///
    /// # Errors
    /// A template that is wrong, or output that cannot be written.
    pub(crate) fn print(&self, format: Option<&str>) -> Result<(), Failure> {
        output::text(self.text(format)?)
    }

    fn text(&self, format: Option<&str>) -> Result<String, Failure> {
        match format.map(str::trim) {
            None | Some("" | "table") => {
                let fields: Vec<String> =
                    self.shown.iter().map(|field| format!("{{{{.{field}}}}}")).collect();
                self.table(&fields.join("\t"))
            }
            Some("json") => self.template("{{json .}}"),
            Some(format) => match format.strip_prefix("table") {
                Some(template) if template.starts_with(char::is_whitespace) => {
                    self.table(&unescape(template.trim_start()))
                }
                Some(template) if template.starts_with("\\t") => {
                    self.table(&unescape(template.trim_start_matches("\\t")))
                }
                Some(_) | None => self.template(&unescape(format)),
            },
        }
    }

    fn template(&self, text: &str) -> Result<String, Failure> {
        let template = Template::parse(text)?;
        let mut out = String::new();
        for row in &self.rows {
            out.push_str(&template.render(row)?);
            out.push('\n');
        }
        Ok(out)
    }

    fn table(&self, text: &str) -> Result<String, Failure> {
        let template = Template::parse(text)?;
        let headings = self
            .columns
            .iter()
            .map(|(field, heading)| ((*field).to_owned(), Value::text(*heading)))
            .chain([("Label".to_owned(), Value::Lookup(Vec::new()))])
            .collect();
        let mut lines = vec![template.render(&Value::Map(headings))?];
        for row in &self.rows {
            lines.push(template.render(row)?.replace('\n', " "));
        }
        Ok(table::align(&lines))
    }
}

/// `\t` and `\n` as people write them in single quotes.
fn unescape(format: &str) -> String {
    format.replace("\\t", "\t").replace("\\n", "\n")
}

/// A row of texts in the columns' order; what could harm a terminal is taken out.
pub(crate) fn row(columns: &[Column], cells: Vec<String>) -> Value {
    let entries = columns.iter().zip(cells);
    Value::Map(
        entries
            .map(|((field, _), cell)| ((*field).to_owned(), Value::Text(table::printable(&cell))))
            .collect(),
    )
}

/// Labels, to be asked for by their keys; what could harm a terminal is taken out.
pub(crate) fn lookup(labels: impl IntoIterator<Item = (String, String)>) -> Value {
    let clean = |(key, value): (String, String)| (key, table::printable(&value));
    Value::Lookup(labels.into_iter().map(clean).collect())
}

/// Prints one object as `--format` says: JSON or a template.
///
/// # Errors
/// As [`Listing::print`].
pub(crate) fn object(value: &Value, format: &str) -> Result<(), Failure> {
    let text = match format.trim() {
        "json" => "{{json .}}".to_owned(),
        format => unescape(format),
    };
    output::line(Template::parse(&text)?.render(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_format() {
        let columns: &[Column] = &[("ID", "CONTAINER ID"), ("Names", "NAMES")];
        let rows = vec![
            row(columns, vec!["abc".to_owned(), "web".to_owned()]),
            row(columns, vec!["def".to_owned(), "d\x1bb".to_owned()]),
        ];
        let listing = Listing { columns, shown: &["ID", "Names"], rows };
        for (format, want) in [
            (None, "CONTAINER ID   NAMES\nabc            web\ndef            d?b\n"),
            (Some("table {{.Names}}"), "NAMES\nweb\nd?b\n"),
            (
                Some("table {{.Names}}\\t{{.ID}}"),
                "NAMES     CONTAINER ID\nweb       abc\nd?b       def\n",
            ),
            (Some("{{.ID}}\\t{{.Names}}"), "abc\tweb\ndef\td?b\n"),
            (
                Some("json"),
                "{\"ID\":\"abc\",\"Names\":\"web\"}\n{\"ID\":\"def\",\"Names\":\"d?b\"}\n",
            ),
        ] {
            assert_eq!(listing.text(format).unwrap(), want, "{format:?}");
        }
        assert!(listing.text(Some("{{.Nope}}")).is_err());
    }
}
