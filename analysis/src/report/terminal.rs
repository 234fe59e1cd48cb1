//! The headline numbers on the terminal.

use crate::report::Table;
use crate::report::sections::headline;
use crate::study::Study;

/// Short heads for narrow screens, in the order of the headline table.
const HEADS: [&str; 15] = [
    "N",
    "setting",
    "events",
    "delivered",
    "once",
    "t50",
    "t90",
    "t99",
    "t100",
    "dg/s",
    "B/s",
    "dg/event",
    "B/event",
    "crashes",
    "false",
];

/// The headline table in columns of text, with a line that explains the units.
#[must_use]
pub fn render(study: &Study) -> String {
    let mut table = headline(study);
    table.head = HEADS.map(str::to_owned).to_vec();
    format!(
        "{}times: median over events, ms; dg, B: datagrams and bytes sent per node; crashes: found by every survivor; \
         false: living nodes declared dead\n",
        columns(&table)
    )
}

/// The table with aligned columns.
fn columns(table: &Table) -> String {
    let wide = |text: &str| text.chars().count();
    let widths: Vec<usize> = (0..table.head.len())
        .map(|place| {
            table.rows.iter().map(|row| wide(&row[place])).chain([wide(&table.head[place])]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(place, cell)| {
                let pad = " ".repeat(widths[place] - wide(cell));
                if table.numeric(place) { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
            })
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut out = line(&table.head);
    table.rows.iter().for_each(|row| out.push_str(&line(row)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_flush_right() {
        let mut table = Table::new(&["N", "setting"]);
        table.row(vec!["8".into(), "a".into()]);
        table.row(vec!["128".into(), "longer".into()]);
        assert_eq!(columns(&table), "  N  setting\n  8  a\n128  longer\n");
    }
}
