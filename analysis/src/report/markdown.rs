//! The report as Markdown, with the plots linked.

use std::fmt::Write as _;

use crate::report::{Block, Report, Table};

/// Writes `report` as Markdown. Pictures are linked as `plots/NAME.svg`.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = format!("# {}\n", escape(&report.title));
    for block in &report.blocks {
        out.push('\n');
        match block {
            Block::Heading(level, text) => {
                let _ = writeln!(out, "{} {}", "#".repeat(usize::from(*level)), escape(text));
            }
            Block::Text(text) => {
                let _ = writeln!(out, "{}", escape(text));
            }
            Block::Warning(text) => {
                let _ = writeln!(out, "> **Warning.** {}", escape(text));
            }
            Block::List(items) => {
                for item in items {
                    let _ = writeln!(out, "- {}", escape(item));
                }
            }
            Block::Table(table) => render_table(&mut out, table),
            Block::Figure(figure) => {
                let _ = writeln!(out, "![{}](plots/{}.svg)\n", escape(&figure.alt), figure.name);
                let _ = writeln!(out, "*{}*", escape(&figure.caption));
            }
        }
    }
    out
}

fn render_table(out: &mut String, table: &Table) {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    out.push_str(&line(&table.head));
    for place in 0..table.head.len() {
        out.push_str(if table.numeric(place) { "|---:" } else { "|---" });
    }
    out.push_str("|\n");
    for row in &table.rows {
        out.push_str(&line(row));
    }
}

/// Takes the meaning from the characters that Markdown and the HTML in it would interpret.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_plan_says_becomes_markup() {
        assert_eq!(escape("a|b *c* <d> [e](f)\n# g"), "a\\|b \\*c\\* &lt;d&gt; \\[e\\](f) \\# g");
    }

    #[test]
    fn numbers_stand_flush_right() {
        let mut table = Table::new(&["name", "n"]);
        table.row(vec!["x".into(), "12".into()]);
        table.row(vec!["1y".into(), "–".into()]);
        let mut out = String::new();
        render_table(&mut out, &table);
        assert_eq!(out, "| name | n |\n|---|---:|\n| x | 12 |\n| 1y | – |\n");
    }
}
