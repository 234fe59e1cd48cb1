//! The report: one list of blocks, written as a self-contained HTML page and as Markdown beside the plots.

pub mod comparison;
pub mod faults;
pub mod format;
pub mod growth;
pub mod html;
pub mod markdown;
pub mod sections;
pub mod terminal;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::export;
use crate::plot::{Figure, PlotError};
use crate::study::Study;

/// A report in the making.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Headline.
    pub title: String,
    /// Its contents, in order.
    pub blocks: Vec<Block>,
}

/// A part of a report. Texts are plain; the writers escape them.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A heading of this level (2 or 3).
    Heading(u8, String),
    /// A paragraph.
    Text(String),
    /// Something that must not be overlooked.
    Warning(String),
    /// A list.
    List(Vec<String>),
    /// A table.
    Table(Table),
    /// A picture.
    Figure(Figure),
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Column heads.
    pub head: Vec<String>,
    /// Cells, as many in a row as there are heads.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When it has another number of cells than the head.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.head.len(), "a row must have a cell for every head {:?}", self.head);
        self.rows.push(cells);
    }

    /// Whether every cell of column `place` is a number, perhaps with a unit or another number ("3 of 4"), so that it is set
    /// flush right.
    #[must_use]
    pub fn numeric(&self, place: usize) -> bool {
        let number = |cell: &str| {
            let words = cell.split_whitespace().filter(|word| word.contains(char::is_alphabetic)).count();
            let begins = cell.starts_with(|c: char| c.is_ascii_digit() || "+−<∞".contains(c));
            cell.is_empty() || cell == format::NONE || cell == format::NEVER || (begins && words < 2)
        };
        !self.rows.is_empty() && self.rows.iter().all(|row| number(&row[place]))
    }
}

/// A report that could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A picture.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A CSV file.
    #[error("{path}: {source}")]
    Csv {
        /// Which.
        path: String,
        /// Why.
        source: csv::Error,
    },
}

/// Writes everything about `study` into `folder`: `report.html`, `report.md`, `plots/`, `curves.csv`, `times.csv`. Gives back
/// the path of the HTML page. What an earlier analysis left there is written over; its plots are removed first.
///
/// # Errors
/// [`ReportError`].
pub fn write(study: &Study, folder: &Path) -> Result<PathBuf, ReportError> {
    let page = write_pages(&sections::report(study)?, folder, "report")?;
    for (name, export) in
        [("curves.csv", export::curves as fn(&Study, &Path) -> Result<(), csv::Error>), ("times.csv", export::times)]
    {
        let path = folder.join(name);
        export(study, &path).map_err(|source| ReportError::Csv { path: path.display().to_string(), source })?;
    }
    Ok(page)
}

/// Writes `report` as `STEM.html` and `STEM.md` with its pictures in `plots/`, from which older ones are removed.
pub(crate) fn write_pages(report: &Report, folder: &Path, stem: &str) -> Result<PathBuf, ReportError> {
    let plots = folder.join("plots");
    let io = |path: &Path, source| ReportError::Io { path: path.display().to_string(), source };
    fs::create_dir_all(&plots).map_err(|source| io(&plots, source))?;
    remove_old(&plots).map_err(|source| io(&plots, source))?;
    for block in &report.blocks {
        if let Block::Figure(figure) = block {
            figure.write(&plots)?;
        }
    }
    let put = |extension: &str, text: String| {
        let path = folder.join(format!("{stem}.{extension}"));
        fs::write(&path, text).map_err(|source| io(&path, source)).map(|()| path)
    };
    put("md", markdown::render(report))?;
    put("html", html::render(report))
}

/// Removes the pictures of an earlier analysis, and nothing else.
fn remove_old(plots: &Path) -> io::Result<()> {
    for entry in fs::read_dir(plots)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "svg" || extension == "png") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_numbers_is_told_from_one_of_words() {
        let numeric = |cells: &[&str]| {
            let rows = cells.iter().map(|cell| vec![(*cell).to_owned()]).collect();
            Table { head: vec![String::new()], rows }.numeric(0)
        };
        assert!(numeric(&["1", "−2.5", "–", "not reached", "<0.001", "3 of 4", "2.4 MB", ""]));
        assert!(!numeric(&["1", "two"]));
        assert!(!numeric(&["12 datagrams were dropped"]));
        assert!(!numeric(&["[1, 2]"]));
        assert!(!numeric(&[]));
    }
}
