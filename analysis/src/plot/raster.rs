//! SVG to PNG.
//!
//! The fonts are in the program (subsets of DejaVu Sans, see `fonts/LICENSE`), so a PNG looks the same on a machine without
//! any font.

use std::sync::Arc;

use resvg::{tiny_skia, usvg};

const REGULAR: &[u8] = include_bytes!("../../fonts/DejaVuSans-subset.ttf");
const BOLD: &[u8] = include_bytes!("../../fonts/DejaVuSans-Bold-subset.ttf");

/// Renders `svg` at its own size on its own background and encodes it.
///
/// # Errors
/// What the renderer or the encoder says.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_source(usvg::fontdb::Source::Binary(Arc::new(REGULAR)));
    fonts.load_font_source(usvg::fontdb::Source::Binary(Arc::new(BOLD)));
    fonts.set_sans_serif_family("DejaVu Sans");
    let options =
        usvg::Options { font_family: "DejaVu Sans".to_owned(), fontdb: Arc::new(fonts), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let size = tree.size().to_int_size();
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| format!("{} × {} pixels do not fit into memory", size.width(), size.height()))?;
    resvg::render(&tree, tiny_skia::Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dark pixels in a white picture with `text` in the middle.
    fn ink(text: &str) -> usize {
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"60\"><rect width=\"200\" height=\"60\" fill=\"#fff\"/>\
             <text x=\"10\" y=\"40\" font-family=\"DejaVu Sans, sans-serif\" font-size=\"30\">{text}</text></svg>"
        );
        let png = png(&svg).expect("a picture");
        let pixels = tiny_skia::Pixmap::decode_png(&png).expect("a PNG");
        assert_eq!((pixels.width(), pixels.height()), (200, 60));
        pixels.pixels().iter().filter(|pixel| pixel.red() < 128).count()
    }

    #[test]
    fn text_is_drawn_with_the_fonts_in_the_program() {
        assert_eq!(ink(""), 0);
        let (one, two) = (ink("H"), ink("HH"));
        assert!(one > 50 && two > one * 3 / 2, "{one} {two}");
    }

    #[test]
    fn every_sign_that_the_figures_use_is_in_the_subset() {
        for sign in "µ·×±≤≥≈–—−%²[]→χ".chars() {
            assert!(ink(&sign.to_string()) > 5, "{sign:?} has no picture in the font subset");
        }
    }

    #[test]
    fn what_is_no_svg_is_refused() {
        assert!(png("<p>").is_err());
    }
}
