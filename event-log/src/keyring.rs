//! The file with the keys that datagrams are sealed with.
//!
//! One key a line: its id (0 to 255) and 64 hexadecimal digits. The first key seals, all of them open. `#` begins a comment. A line
//! `plain accepted` or `plain sent` tells what to do about datagrams that are not sealed, while encryption is brought in;
//! see [`gossip_core::Plain`].
//!
//! ```text
//! # openssl rand -hex 32
//! 2 9f0c…
//! 1 41b7…
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gossip_core::keyring::KEY_LEN;
use gossip_core::{Key, Keyring, KeyringError, Plain};
use thiserror::Error;

/// The longest file that is read: far more than the keys of a full keyring.
const FILE_MAX: u64 = 64 << 10;

/// What is wrong with a file of keys. No variant holds a part of a secret.
#[derive(Debug, Error)]
#[error("{}{}: {problem}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct KeyringFileError {
    file: PathBuf,
    line: Option<usize>,
    problem: Problem,
}

#[derive(Debug, Error)]
enum Problem {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("others can read it (mode {0:03o}); keys are secret: chmod 600")]
    NotPrivate(u32),
    #[error("is longer than {FILE_MAX} bytes")]
    TooLong,
    #[error("{0}")]
    Syntax(&'static str),
    #[error("{0}")]
    Keys(#[from] KeyringError),
}

/// Reads the keyring in a file, which nobody but its owner may read.
///
/// # Errors
/// What is wrong, with the line.
pub fn read(path: &Path) -> Result<Keyring, KeyringFileError> {
    let wrong = |line, problem| KeyringFileError { file: path.to_owned(), line, problem };
    let text = read_private(path).map_err(|problem| wrong(None, problem))?;
    parse(&text).map_err(|(line, problem)| wrong(line, problem))
}

fn read_private(path: &Path) -> Result<String, Problem> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Problem::NotPrivate(mode));
    }
    if metadata.size() > FILE_MAX {
        return Err(Problem::TooLong);
    }
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Result<Keyring, (Option<usize>, Problem)> {
    let mut keys = Vec::new();
    let mut plain = None;
    for (number, line) in (1..).zip(text.lines()) {
        let syntax = |problem| (Some(number), Problem::Syntax(problem));
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let Some((first, second)) = line.split_once(char::is_whitespace) else {
            return Err(syntax("a line is an id and a key, or `plain` and a word"));
        };
        let second = second.trim_start();
        if first == "plain" {
            let rule = match second {
                "refused" => Plain::Refused,
                "accepted" => Plain::Accepted,
                "sent" => Plain::Sent,
                _ => return Err(syntax("`plain` is followed by refused, accepted or sent")),
            };
            if plain.replace(rule).is_some() {
                return Err(syntax("`plain` stands here a second time"));
            }
            continue;
        }
        let id = first.parse().map_err(|_| syntax("the id of a key is a number from 0 to 255"))?;
        let secret = secret(second).ok_or_else(|| syntax("a key is 64 hexadecimal digits"))?;
        if keys.iter().any(|key: &Key| key.id() == id) {
            return Err(syntax("the id of this key was used above"));
        }
        keys.push(Key::new(id, secret));
    }
    let keyring = Keyring::new(&keys).map_err(|error| (None, error.into()))?;
    Ok(keyring.with_plain(plain.unwrap_or_default()))
}

fn secret(digits: &str) -> Option<[u8; KEY_LEN]> {
    let mut secret = [0; KEY_LEN];
    if digits.len() != 2 * KEY_LEN {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8, byte: u8) -> Key {
        Key::new(id, [byte; KEY_LEN])
    }

    #[test]
    fn a_file_of_keys_is_read_in_order() {
        let text = format!("# ours\n\n7 {}\n 200\t{}  # former\nplain accepted\n", "aB".repeat(32), "01".repeat(32));
        let expected = Keyring::new(&[key(7, 0xab), key(200, 1)]).unwrap().with_plain(Plain::Accepted);
        assert_eq!(parse(&text).unwrap(), expected);
        let text = format!("0 {}", "00".repeat(32));
        assert_eq!(parse(&text).unwrap(), Keyring::new(&[key(0, 0)]).unwrap(), "plain is refused unless it is said");
    }

    #[test]
    fn errors_name_the_line_and_never_the_secret() {
        let good = "5a".repeat(32);
        for (text, line, part) in [
            (format!("1 {good}\n2\n"), Some(2), "an id and a key"),
            (format!("\n256 {good}"), Some(2), "0 to 255"),
            (format!("1 {}", &good[1..]), Some(1), "64 hexadecimal"),
            (format!("1 {good} 5a"), Some(1), "64 hexadecimal"),
            (format!("1 {}g", &good[1..]), Some(1), "64 hexadecimal"),
            (format!("1 {}é", &good[2..]), Some(1), "64 hexadecimal"),
            (format!("1 {good}\n#\n1 {good}"), Some(3), "used above"),
            (format!("1 {good}\nplain text"), Some(2), "refused, accepted or sent"),
            (format!("plain sent\n1 {good}\nplain sent"), Some(3), "second time"),
            ("# nothing".to_owned(), None, "at least one key"),
            ((0..17).map(|id| format!("{id} {good}\n")).collect(), None, "17 keys"),
        ] {
            let (at, problem) = parse(&text).expect_err(&text);
            let problem = problem.to_string();
            assert!(at == line && problem.contains(part), "{text:?}: {at:?} {problem}");
            assert!(!problem.contains("5a5a"));
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, format!("1 {}\n", "5a".repeat(32))).unwrap();
        for (mode, refused) in [(0o644, true), (0o640, true), (0o604, true), (0o600, false), (0o400, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match read(&path) {
                Ok(_) => assert!(!refused, "mode {mode:o}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        refused && error.contains("keys: others can read") && error.contains("chmod 600"),
                        "{error}"
                    );
                }
            }
        }
        let error = read(&dir.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none: cannot be read"), "{error}");
    }
}
