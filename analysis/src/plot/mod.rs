//! Pictures, drawn once as SVG and rasterised to PNG from the same SVG.
//!
//! Canvases are twice as large as they are shown, since the SVG backend rounds to whole pixels.

pub mod hops;
pub mod peers;
pub mod raster;
pub mod scaling;
pub mod spread;
pub mod style;

use std::fs;
use std::io;
use std::path::Path;

use thiserror::Error;

/// A picture that could not be made.
#[derive(Debug, Error)]
pub enum PlotError {
    /// The drawing library refused.
    #[error("figure {name}: cannot be drawn: {message}")]
    Draw {
        /// The figure.
        name: String,
        /// What the library says.
        message: String,
    },
    /// The SVG could not be turned into pixels.
    #[error("figure {name}: cannot be rasterised: {message}")]
    Raster {
        /// The figure.
        name: String,
        /// What the library says.
        message: String,
    },
    /// The files could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// File name without extension; letters, digits and `-`.
    pub name: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
    /// What the reader should know to read it.
    pub caption: String,
    /// The SVG document.
    pub svg: String,
}

impl Figure {
    /// Draws a figure on a canvas of `size` pixels.
    ///
    /// # Errors
    /// [`PlotError::Draw`].
    pub fn draw(
        name: String,
        alt: String,
        caption: String,
        size: (u32, u32),
        paint: impl FnOnce(&style::Area<'_>) -> style::Drawn,
    ) -> Result<Self, PlotError> {
        let mut svg = String::new();
        let drawn = style::canvas(&mut svg, size, paint);
        match drawn {
            Ok(()) => Ok(Self { name, alt, caption, svg }),
            Err(error) => Err(PlotError::Draw { name, message: error.to_string() }),
        }
    }

    /// Writes `NAME.svg` and `NAME.png` into `folder`.
    ///
    /// # Errors
    /// [`PlotError::Raster`], [`PlotError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), PlotError> {
        let png = raster::png(&self.svg).map_err(|message| PlotError::Raster { name: self.name.clone(), message })?;
        let put = |extension: &str, bytes: &[u8]| {
            let path = folder.join(format!("{}.{extension}", self.name));
            fs::write(&path, bytes).map_err(|source| PlotError::Io { path: path.display().to_string(), source })
        };
        put("svg", self.svg.as_bytes())?;
        put("png", &png)
    }
}

/// `text` as a part of a file name: small letters and digits, everything else one `-`.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "setting".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_harmless_file_name() {
        for (text, expected) in [
            ("no faults", "no-faults"),
            ("../../etc", "etc"),
            ("Loss 10 %", "loss-10"),
            ("÷", "setting"),
            ("a--b", "a-b"),
        ] {
            assert_eq!(slug(text), expected);
        }
    }
}
