//! Lines of bounded length from a byte stream: the framing of the control connection (feature `tokio`).

use crate::control::LINE_MAX;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Why there is no further line.
#[derive(Debug, Error)]
pub enum LineError {
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The other side sent a line that is longer than agreed.
    #[error("a line is longer than {0} bytes")]
    TooLong(usize),
    /// The stream ended within a line.
    #[error("the connection ended within a line, after {0} bytes of it")]
    CutOff(usize),
}

/// Reads lines of at most [`LINE_MAX`] bytes; never holds more than that in memory.
#[derive(Debug)]
pub struct LineReader<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    length_max: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(16 * 1024, input), line: Vec::new(), length_max: LINE_MAX }
    }

    /// From now on a line may have so many bytes (a stranger is granted less than an acquaintance).
    pub fn set_length_max(&mut self, bytes: usize) {
        self.length_max = bytes;
    }

    /// The next line without its newline; none at the stream's end.
    ///
    /// # Errors
    /// [`LineError`]. The reader is of no use afterwards.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, LineError> {
        self.line.clear();
        loop {
            let available = self.input.fill_buf().await?;
            if available.is_empty() {
                return if self.line.is_empty() { Ok(None) } else { Err(LineError::CutOff(self.line.len())) };
            }
            let newline = available.iter().position(|&byte| byte == b'\n');
            let part = newline.unwrap_or(available.len());
            if self.line.len() + part > self.length_max {
                return Err(LineError::TooLong(self.length_max));
            }
            self.line.extend_from_slice(&available[..part]);
            self.input.consume(part + usize::from(newline.is_some()));
            if newline.is_some() {
                return Ok(Some(&self.line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(bytes: &[u8], length_max: usize) -> (Vec<String>, Option<LineError>) {
        let mut reader = LineReader::new(bytes);
        reader.set_length_max(length_max);
        let mut lines = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(line)) => lines.push(String::from_utf8_lossy(line).into_owned()),
                Ok(None) => return (lines, None),
                Err(error) => return (lines, Some(error)),
            }
        }
    }

    #[tokio::test]
    async fn lines_come_one_by_one_and_empty_ones_count() {
        let (lines, error) = all(b"one\n\ntwo\n", 3).await;
        assert_eq!(lines, ["one", "", "two"]);
        assert!(error.is_none());
    }

    #[tokio::test]
    async fn a_line_at_the_bound_passes_and_one_byte_more_does_not() {
        let (lines, error) = all(b"12345\n123456\n1\n", 5).await;
        assert_eq!(lines, ["12345"]);
        assert!(matches!(error, Some(LineError::TooLong(5))), "{error:?}");
    }

    #[tokio::test]
    async fn an_endless_line_is_refused_before_it_is_held() {
        let (_, error) = all(&vec![b'x'; LINE_MAX + 1], LINE_MAX).await;
        assert!(matches!(error, Some(LineError::TooLong(_))), "{error:?}");
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_a_line_says_so() {
        let (lines, error) = all(b"one\ntw", 10).await;
        assert_eq!(lines, ["one"]);
        assert!(matches!(error, Some(LineError::CutOff(2))), "{error:?}");
    }
}
