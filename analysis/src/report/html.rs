//! The report as one self-contained HTML page: no script, no network, pictures inlined.

use std::fmt::Write as _;

use crate::plot::slug;
use crate::report::{Block, Report, Table};

/// Writes `report` as an HTML page.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>{}</h1>\n",
        escape(&report.title),
        escape(&report.title)
    );
    let anchors = anchors(report);
    let first = report.blocks.iter().position(|block| matches!(block, Block::Heading(2, _))).unwrap_or(0);
    for (place, block) in report.blocks.iter().enumerate() {
        if place == first {
            contents(&mut out, report, &anchors);
        }
        render_block(&mut out, block, anchors[place].as_deref());
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// The id of each heading, by the place of its block; distinct.
fn anchors(report: &Report) -> Vec<Option<String>> {
    let mut used: Vec<String> = Vec::new();
    let mut anchor = |text: &str| {
        let base = slug(text);
        let mut id = base.clone();
        let mut number = 2;
        while used.contains(&id) {
            id = format!("{base}-{number}");
            number += 1;
        }
        used.push(id.clone());
        id
    };
    report
        .blocks
        .iter()
        .map(|block| if let Block::Heading(_, text) = block { Some(anchor(text)) } else { None })
        .collect()
}

fn contents(out: &mut String, report: &Report, anchors: &[Option<String>]) {
    out.push_str("<nav aria-label=\"Contents\"><ul>\n");
    for (block, anchor) in report.blocks.iter().zip(anchors) {
        if let (Block::Heading(2, text), Some(anchor)) = (block, anchor) {
            let _ = writeln!(out, "<li><a href=\"#{anchor}\">{}</a></li>", escape(text));
        }
    }
    out.push_str("</ul></nav>\n");
}

fn render_block(out: &mut String, block: &Block, anchor: Option<&str>) {
    let _ = match block {
        Block::Heading(level, text) => {
            writeln!(out, "<h{level} id=\"{}\">{}</h{level}>", anchor.unwrap_or(""), escape(text))
        }
        Block::Text(text) => writeln!(out, "<p>{}</p>", escape(text)),
        Block::Warning(text) => writeln!(out, "<p class=\"warning\"><strong>Warning.</strong> {}</p>", escape(text)),
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
            writeln!(out, "<ul>\n{items}</ul>")
        }
        Block::Table(table) => {
            render_table(out, table);
            Ok(())
        }
        Block::Figure(figure) => writeln!(
            out,
            "<figure role=\"img\" aria-label=\"{}\">\n{}<figcaption>{}</figcaption>\n</figure>",
            escape(&figure.alt),
            figure.svg,
            escape(&figure.caption)
        ),
    };
}

fn render_table(out: &mut String, table: &Table) {
    let short = |place: usize| table.rows.iter().all(|row| row[place].chars().count() <= SHORT);
    let class = |place: usize| match (table.numeric(place), short(place)) {
        (true, _) => " class=\"n\"",
        (false, true) => " class=\"s\"",
        (false, false) => "",
    };
    let cells = |row: &[String], tag: &str| -> String {
        row.iter().enumerate().map(|(place, cell)| format!("<{tag}{}>{}</{tag}>", class(place), escape(cell))).collect()
    };
    let _ =
        writeln!(out, "<div class=\"scroll\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>", cells(&table.head, "th"));
    for row in &table.rows {
        let _ = writeln!(out, "<tr>{}</tr>", cells(row, "td"));
    }
    out.push_str("</tbody></table></div>\n");
}

/// Takes the meaning from the characters that HTML would interpret, in text and in attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Columns whose cells are all at most so long do not break their lines.
const SHORT: usize = 24;

const STYLE: &str = "
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #222; font: 17px/1.55 Georgia, 'Times New Roman', serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.5rem 5rem; }
p, li, figcaption { max-width: 44rem; }
h1, h2, h3, table, nav, figcaption { font-family: 'DejaVu Sans', Verdana, Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .75rem; padding-top: .75rem; border-top: 1px solid #ddd; }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
nav { font-size: .85rem; margin: 2rem 0 0; }
nav ul { margin: 0; padding: 0; list-style: none; columns: 2 18rem; }
nav li { margin: .15rem 0; }
a { color: #0072b2; }
.scroll { overflow-x: auto; margin: 1rem 0 1.5rem; }
table { border-collapse: collapse; font-size: .78rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .55rem; text-align: left; vertical-align: top; border-bottom: 1px solid #e6e6e6; }
th { border-bottom: 2px solid #888; font-weight: 600; vertical-align: bottom; }
th.n, td.n { text-align: right; }
td.n, td.s { white-space: nowrap; }
th { max-width: 6.5rem; }
tbody tr:hover { background: #f6f8fa; }
figure { margin: 1.5rem 0 2.5rem; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: .8rem; color: #555; margin-top: .5rem; }
.warning { border-left: 4px solid #d55e00; background: #fdf3ec; padding: .6rem 1rem; }
@media print { nav { display: none; } figure, table { break-inside: avoid; } }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_plan_says_becomes_markup() {
        let report = Report {
            title: "<script>x</script>".into(),
            blocks: vec![Block::Heading(2, "a & b".into()), Block::Text("\"q\" <b>".into())],
        };
        let page = render(&report);
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        assert!(page.contains("&lt;script&gt;x&lt;/script&gt;") && page.contains("a &amp; b"));
    }

    #[test]
    fn equal_headings_get_distinct_anchors_and_level_two_stands_in_the_contents() {
        let heading = |level, text: &str| Block::Heading(level, text.to_owned());
        let page =
            render(&Report { title: "t".into(), blocks: vec![heading(2, "A"), heading(3, "b"), heading(2, "A")] });
        assert!(page.contains("<h2 id=\"a\">") && page.contains("<h2 id=\"a-2\">"));
        assert!(page.contains("href=\"#a-2\"") && !page.contains("href=\"#b\""));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = render(&Report { title: "t".into(), blocks: vec![] });
        for outside in ["http://", "https://", "<link", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
