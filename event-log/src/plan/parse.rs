//! Reading a plan file: from text to a checked [`Plan`], or to an error that names the line and speaks of the file
//! rather than of this program's types.

use std::ops::Range;
use std::path::Path;

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::{Fail, Step, check, check_backend};
use super::{Backend, Network, Plan};

/// Why a plan cannot be used. The text names the place.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a valid plan.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what would be right.
        message: String,
    },
}

impl Plan {
    /// Reads a plan file.
    ///
    /// # Errors
    /// [`PlanError`], which names file and line.
    pub fn load(path: &Path) -> Result<Self, PlanError> {
        let file = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| PlanError::Io { file: file.clone(), source })?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(&file, text),
            Err(error) => {
                let line = line_of(&bytes, error.valid_up_to());
                Err(PlanError::Invalid { file, line, message: "this is not text (UTF-8)".to_owned() })
            }
        }
    }

    /// Reads a plan from `text`; `file` is only for the error's text.
    ///
    /// # Errors
    /// [`PlanError::Invalid`].
    pub fn parse(file: &str, text: &str) -> Result<Self, PlanError> {
        let invalid = |line, message| PlanError::Invalid { file: file.to_owned(), line, message };
        let mut plan: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text.as_bytes(), span.start));
            let written = error.span().map_or("", |_| without_comment(text.lines().nth(line - 1).unwrap_or("")));
            invalid(line, worded(written, error.message()))
        })?;
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        let refused = |fail: Fail| invalid(locate(text, &fail.path), fail.message);
        resolve(&mut plan, folder).map_err(refused)?;
        check(&plan).map_err(refused)?;
        Ok(plan)
    }

    /// Whether `backend` can do all that the plan in the file at `path` asks for.
    ///
    /// # Errors
    /// The first thing that it cannot do, with its line.
    pub fn check_backend(&self, path: &Path, backend: Backend) -> Result<(), PlanError> {
        check_backend(self, backend).map_err(|fail| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let (file, line) = (path.display().to_string(), locate(&text, &fail.path));
            PlanError::Invalid { file, line, message: fail.message }
        })
    }
}

/// Reads the files that the plan names.
fn resolve(plan: &mut Plan, folder: &Path) -> Result<(), Fail> {
    let key = |key: &str| Step::Key(key.to_owned());
    let here = |network: &mut Network, mut path: Vec<Step>| {
        network.resolve(folder).map_err(|message| {
            path.extend([key("network"), key("latency")]);
            Fail { path, message: format!("network: latency: {message}") }
        })
    };
    if let Some(network) = &mut plan.network {
        here(network, Vec::new())?;
    }
    for (index, setting) in plan.settings.iter_mut().enumerate() {
        if let Some(network) = &mut setting.network {
            here(network, vec![key("setting"), Step::Index(index)])?;
        }
    }
    Ok(())
}

/// The line (from 1) of byte `offset`.
fn line_of(text: &[u8], offset: usize) -> usize {
    text[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// What stands on a line before its comment. A `#` between quotes begins none.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let comment = line.char_indices().find(|&(_, c)| {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        c == '#' && quote.is_none()
    });
    line[..comment.map_or(line.len(), |(start, _)| start)].trim()
}

/// The line of the value at `path`, or of the last step towards it that is in the file (a value that was left out and
/// has its default is where its table is). Line 1 when there is none.
fn locate(text: &str, path: &[Step]) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 1 };
    let line = |span: Range<usize>| line_of(text.as_bytes(), span.start);
    let Some((Step::Key(key), rest)) = path.split_first() else { return 1 };
    let Some((key, mut value)) = document.get_ref().get_key_value(key.as_str()) else { return 1 };
    let mut found = line(key.span());
    for step in rest {
        let next = match (step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => {
                table.get_key_value(key.as_str()).map(|(key, value)| (line(key.span()), value))
            }
            (Step::Index(index), DeValue::Array(list)) => {
                list.get(*index).map(|value: &Spanned<DeValue<'_>>| (line(value.span()), value))
            }
            _ => None,
        };
        let Some((at, next)) = next else { break };
        (found, value) = (at, next);
    }
    found
}

/// The parser's message in the words of someone who writes plans, after what the line says.
fn worded(written: &str, message: &str) -> String {
    if message == "missing field `cluster`" {
        return "the section [cluster] is missing; it says how many nodes there are: sizes = [8, 16]".to_owned();
    }
    if message == "missing field `name`" && !written.starts_with("[[") {
        return "the key `name` is missing; it stands above the first section: name = \"my-plan\"".to_owned();
    }
    let message = match message.strip_prefix("missing field ") {
        Some(key) => format!("the key {key} is missing"),
        // Only the nodes of a fault can be written as a word or as a table.
        None if message.starts_with("wanted ") => {
            "expected \"all\", { random = 4 } or { named = [\"n001\", \"n002\"] }".to_owned()
        }
        None => PLAIN.iter().fold(message.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours)),
    };
    if written.is_empty() { message } else { format!("{written}: {message}") }
}

/// What the parser calls things, and what a plan's author calls them.
const PLAIN: [(&str, &str); 12] = [
    ("unknown field", "unknown key"),
    ("unknown variant", "unknown value"),
    ("invalid type: map, expected a sequence", "expected a list: write [[…]] with double brackets"),
    ("expected a sequence", "expected a list such as [8, 16]"),
    ("expected a string", "expected a text in quotes such as \"200ms\""),
    ("expected u8", "expected a whole number from 0 to 255"),
    ("expected u16", "expected a whole number from 0 to 65535"),
    ("expected u32", "expected a whole number from 0 to 4294967295"),
    ("expected u64", "expected a whole number, not negative"),
    ("expected f64", "expected a number"),
    ("invalid type: ", ""),
    ("invalid value: ", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"x\"\n\n[cluster]\nsizes = [\n  8,\n  16,\n]\n\n[[setting]]\nname = \"a\"\n\n[[setting.fault]]\nloss = { probability = 0.1 }\nnodes = \"all\"\n\n[[setting.fault]]\nleave = {}\n\n[[setting]]\nname = \"b\"\nfault = [\n  { crash = {} },\n]\n";

    #[test]
    fn values_are_found_where_they_stand() {
        let key = |name: &str| Step::Key(name.to_owned());
        let fault = |setting, fault| vec![key("setting"), Step::Index(setting), key("fault"), Step::Index(fault)];
        let of = |setting, number, name: &str| [fault(setting, number), vec![key(name)]].concat();
        for (path, line) in [
            (vec![key("name")], 1),
            (vec![key("cluster")], 3),
            (vec![key("cluster"), key("sizes")], 4),
            (vec![key("cluster"), key("sizes"), Step::Index(1)], 6),
            (vec![key("setting"), Step::Index(0)], 9),
            (vec![key("setting"), Step::Index(0), key("name")], 10),
            (fault(0, 0), 12),
            (of(0, 0, "loss"), 13),
            (of(0, 0, "nodes"), 14),
            (fault(0, 1), 16),
            (of(0, 1, "nodes"), 16),
            (of(0, 1, "leave"), 17),
            (vec![key("setting"), Step::Index(1), key("name")], 20),
            (of(1, 0, "crash"), 22),
            (vec![key("events"), key("count")], 1),
        ] {
            assert_eq!(locate(TEXT, &path), line, "{path:?}");
        }
    }

    #[test]
    fn a_comment_is_not_quoted() {
        for (line, expected) in [
            ("a = 1 # b", "a = 1"),
            ("  a = 1", "a = 1"),
            ("# b", ""),
            ("a = \"x#y\" # b", "a = \"x#y\""),
            ("a = 'x\"' # b # c", "a = 'x\"'"),
            ("a = \"it's # 1\"", "a = \"it's # 1\""),
        ] {
            assert_eq!(without_comment(line), expected);
        }
    }

    #[test]
    fn the_line_of_an_offset_counts_from_1() {
        for (offset, line) in [(0, 1), (1, 1), (2, 2), (3, 3), (99, 3)] {
            assert_eq!(line_of(b"a\n\nb", offset), line, "offset {offset}");
        }
    }
}
