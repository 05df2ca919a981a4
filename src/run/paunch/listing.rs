//! paunch's list of containers, in the forms that its options name [pure].

use serde_json::{Map, Value};

use super::super::labels::CONFIG_ID;
use super::super::python;
use crate::engine::container::ContainerFacts;

/// Names of the columns.
const COLUMNS: [&str; 5] = ["config", "container", "image", "command", "status"];

/// Form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// Values with commas between them.
    Csv,
    /// JSON, on several lines.
    Json,
    /// JSON on one line.
    JsonLine,
    /// A table in a frame.
    Table,
    /// Values with blanks between them.
    Value,
    /// YAML.
    Yaml,
}

impl ListFormat {
    /// The form of this name; a table without one.
    pub fn named(name: Option<&str>, is_one_line: bool) -> ListFormat {
        match name {
            Some("csv") => ListFormat::Csv,
            Some("json") if is_one_line => ListFormat::JsonLine,
            Some("json") => ListFormat::Json,
            Some("value") => ListFormat::Value,
            Some("yaml") => ListFormat::Yaml,
            _ => ListFormat::Table,
        }
    }
}

/// What a list shows, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListOptions {
    /// Form of it.
    pub format: ListFormat,
    /// Columns; none for all.
    pub columns: Vec<String>,
    /// Columns that it is sorted by, the first before the others.
    pub sort: Vec<String>,
    /// True for the largest first.
    pub descending: bool,
    /// True when a table without rows is printed.
    pub print_empty: bool,
}

/// A line of a list, in the order of the columns.
pub type ListRow = [String; 5];

/// The line of a container.
pub fn row(facts: &ContainerFacts) -> ListRow {
    [
        facts.spec.labels.get(CONFIG_ID).cloned().unwrap_or_default(),
        facts.name.clone(),
        facts.spec.image.clone(),
        facts.spec.command.join(" "),
        facts.status.to_string(),
    ]
}

/// The whole list.
///
/// # Errors
/// There is no column of a name that is asked for.
pub fn list(mut rows: Vec<ListRow>, options: &ListOptions) -> Result<String, String> {
    let place = |name: &String| COLUMNS.iter().position(|column| column == name);
    for by in options.sort.iter().rev().filter_map(|name| place(&name.to_lowercase())) {
        rows.sort_by(|one, other| one[by].cmp(&other[by]));
        if options.descending {
            rows.reverse();
        }
    }
    let shown: Vec<usize> = match options.columns.as_slice() {
        [] => (0..COLUMNS.len()).collect(),
        named => {
            // In the order of the columns, whatever that of the options.
            let shown: Vec<usize> =
                (0..COLUMNS.len()).filter(|at| named.iter().any(|name| COLUMNS[*at] == name)).collect();
            if shown.is_empty() {
                return Err(format!("there is no column {}: {}", named.join(", "), COLUMNS.join(", ")));
            }
            shown
        }
    };
    let heading: Vec<&str> = shown.iter().map(|at| COLUMNS[*at]).collect();
    let cells: Vec<Vec<&str>> =
        rows.iter().map(|row| shown.iter().map(|at| row[*at].as_str()).collect()).collect();
    Ok(match options.format {
        ListFormat::Csv => csv(&heading, &cells),
        ListFormat::Json => indented(&objects(&heading, &cells)) + "\n",
        ListFormat::JsonLine => python::json(&objects(&heading, &cells)) + "\n",
        ListFormat::Table if cells.is_empty() && !options.print_empty => "\n".to_string(),
        ListFormat::Table => table(&heading, &cells),
        ListFormat::Value => lines(cells.iter().map(|row| row.join(" "))),
        ListFormat::Yaml => {
            let mut objects = objects(&heading, &cells);
            objects.sort_all_objects();
            serde_yaml::to_string(&objects).unwrap_or_default()
        }
    })
}

fn indented(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn objects(heading: &[&str], rows: &[Vec<&str>]) -> Value {
    let object = |row: &Vec<&str>| {
        let pairs = heading.iter().zip(row).map(|(name, value)| (name.to_string(), Value::from(*value)));
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    rows.iter().map(object).collect()
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

fn csv(heading: &[&str], rows: &[Vec<&str>]) -> String {
    let quoted = |text: &&str| format!("\"{}\"", text.replace('"', "\"\""));
    let line = |row: &[&str]| row.iter().map(quoted).collect::<Vec<_>>().join(",");
    lines(std::iter::once(line(heading)).chain(rows.iter().map(|row| line(row))))
}

fn table(heading: &[&str], rows: &[Vec<&str>]) -> String {
    let width = |at: usize| {
        let all = rows.iter().map(|row| row[at]).chain([heading[at]]);
        all.flat_map(str::lines).map(|text| text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let frame = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
    let frame = format!("+{frame}+");
    let line = |row: &[&str]| {
        // A cell of several lines makes its row as high.
        let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
        let part = |at: usize| {
            let cells = row.iter().zip(&widths);
            let cells =
                cells.map(|(cell, width)| format!(" {:width$} ", cell.lines().nth(at).unwrap_or_default()));
            format!("|{}|", cells.collect::<Vec<_>>().join("|"))
        };
        (0..height).map(part).collect::<Vec<_>>().join("\n")
    };
    let body = rows.iter().map(|row| line(row));
    lines([frame.clone(), line(heading), frame.clone()].into_iter().chain(body).chain([frame]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: ListFormat, columns: &[&str], sort: &[&str]) -> String {
        let rows = [["1", "b", "x", "say \"a\"", "running"], ["1", "a", "x:1", "", "exited"]];
        let rows = rows.map(|row| row.map(String::from)).to_vec();
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let options = ListOptions {
            format,
            columns: texts(columns),
            sort: texts(sort),
            descending: false,
            print_empty: false,
        };
        list(rows, &options).expect("a list")
    }

    #[test]
    fn a_table_has_a_frame() {
        let expected = "\
+--------+-----------+-------+---------+---------+
| config | container | image | command | status  |
+--------+-----------+-------+---------+---------+
| 1      | a         | x:1   |         | exited  |
| 1      | b         | x     | say \"a\" | running |
+--------+-----------+-------+---------+---------+
";
        assert_eq!(shown(ListFormat::Table, &[], &["Container"]), expected);
    }

    #[test]
    fn other_forms_are_for_programs() {
        let two = ["command", "container"];
        assert_eq!(
            shown(ListFormat::Csv, &two, &[]),
            "\"container\",\"command\"\n\"b\",\"say \"\"a\"\"\"\n\"a\",\"\"\n"
        );
        assert_eq!(shown(ListFormat::Value, &two, &[]), "b say \"a\"\na \n");
        assert_eq!(
            shown(ListFormat::JsonLine, &["status"], &[]),
            r#"[{"status": "running"}, {"status": "exited"}]"#.to_string() + "\n"
        );
        assert_eq!(
            shown(ListFormat::Yaml, &["image", "config"], &[]),
            "- config: '1'\n  image: x\n- config: '1'\n  image: x:1\n"
        );
    }

    #[test]
    fn an_empty_table_is_a_line_and_an_unknown_column_an_error() {
        let options = |columns: &[&str], print_empty| ListOptions {
            format: ListFormat::Table,
            columns: columns.iter().map(ToString::to_string).collect(),
            sort: Vec::new(),
            descending: false,
            print_empty,
        };
        assert_eq!(list(Vec::new(), &options(&[], false)), Ok("\n".to_string()));
        assert_eq!(
            list(Vec::new(), &options(&["image"], true)),
            Ok("+-------+\n| image |\n+-------+\n+-------+\n".to_string())
        );
        assert!(list(Vec::new(), &options(&["size"], false)).is_err());
    }
}
