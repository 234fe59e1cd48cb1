//! What all figures share: canvas, colours, type, axes, legends.

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{DashedPathElement, PathElement, Text};
use plotters::prelude::{Cartesian2d, IntoFont, Polygon};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, RGBColor, ShapeStyle, TextStyle};

/// The error type of the SVG backend.
pub type SvgError = std::io::Error;

/// A part of a canvas.
pub type Area<'a> = DrawingArea<plotters::prelude::SVGBackend<'a>, Shift>;

/// Result of drawing.
pub type Drawn = Result<(), DrawingAreaErrorKind<SvgError>>;

/// A chart with two linear axes.
pub type Chart<'a, 'b> =
    ChartContext<'a, plotters::prelude::SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Families in the order in which a viewer should look: the one the figures were measured with first.
const FAMILY: &str = "DejaVu Sans, Verdana, Arial, sans-serif";

/// The SVG backend writes sizes divided by this.
const BACKEND_SCALE: f64 = 1.24;

/// Ordinary text.
pub const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Text of less weight.
pub const GREY: RGBColor = RGBColor(0x5f, 0x5f, 0x5f);
/// Axes.
const AXIS: RGBColor = RGBColor(0x80, 0x80, 0x80);
/// Grid.
const GRID: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);

/// The qualitative palette of Okabe and Ito (2008) with a grey for its yellow, which is too light on white.
pub const QUALITATIVE: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x00, 0x00),
    RGBColor(0x7f, 0x7f, 0x7f),
];

/// Colour number `index` for things without an order.
#[must_use]
pub fn qualitative(index: usize) -> RGBColor {
    QUALITATIVE[index % QUALITATIVE.len()]
}

/// Colour of rank `index` of `count` for things with an order (sizes): viridis, its lightest part left out.
#[must_use]
pub fn sequential(index: usize, count: usize) -> RGBColor {
    const STOPS: [(u8, u8, u8); 8] = [
        (0x44, 0x01, 0x54),
        (0x46, 0x32, 0x7e),
        (0x36, 0x5c, 0x8d),
        (0x27, 0x7f, 0x8e),
        (0x1f, 0xa1, 0x87),
        (0x4a, 0xc1, 0x6d),
        (0x7f, 0xc9, 0x3c),
        (0xb5, 0xc9, 0x18),
    ];
    let place = if count < 2 { 0.4 } else { index as f64 / (count - 1) as f64 } * (STOPS.len() - 1) as f64;
    let (low, share) = ((place.floor() as usize).min(STOPS.len() - 2), place.fract());
    let share = if place >= (STOPS.len() - 1) as f64 { 1.0 } else { share };
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    let (a, b) = (STOPS[low], STOPS[low + 1]);
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// Makes a white canvas, lets `paint` draw on it and closes the document in `svg`.
///
/// # Errors
/// What the backend says.
pub fn canvas(svg: &mut String, size: (u32, u32), paint: impl FnOnce(&Area<'_>) -> Drawn) -> Drawn {
    let area = plotters::prelude::SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&plotters::style::WHITE)?;
    paint(&area)?;
    area.present()?;
    drop(area);
    *svg = lighten(svg);
    Ok(())
}

/// Says the same with less: the backend gives every shape a group opacity, for which a renderer composes a layer of the
/// canvas' size; the opacity of the one stroke or fill that the shape has looks the same and costs nothing.
fn lighten(svg: &str) -> String {
    svg.replace(" opacity=\"1\"", "")
        .replace("<polyline fill=\"none\" opacity=", "<polyline fill=\"none\" stroke-opacity=")
        .replace("<polygon opacity=", "<polygon fill-opacity=")
}

/// A text style of `pixels` height.
#[must_use]
pub fn text_style(pixels: f64, color: RGBColor, bold: bool, anchor: Pos) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    TextStyle {
        color: color.to_backend_color(),
        ..TextStyle::from((FAMILY, pixels * BACKEND_SCALE, style).into_font())
    }
    .pos(anchor)
}

/// Left end, top.
pub const TOP_LEFT: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Top };
/// Left end, middle.
pub const MIDDLE_LEFT: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Center };
/// Middle, top.
pub const TOP_CENTER: Pos = Pos { h_pos: HPos::Center, v_pos: VPos::Top };

/// Roughly how wide `text` is at `pixels` height, pixels (mean advance of DejaVu Sans).
#[must_use]
pub fn width(text: &str, pixels: f64) -> i32 {
    (text.chars().count() as f64 * pixels * 0.6).round() as i32
}

/// Writes a title and a line below it; gives back the rest of the area.
///
/// # Errors
/// What the backend says.
pub fn titled<'a>(area: &Area<'a>, title: &str, below: &str) -> Result<Area<'a>, DrawingAreaErrorKind<SvgError>> {
    area.draw(&Text::new(title.to_owned(), (30, 22), text_style(32.0, INK, true, TOP_LEFT)))?;
    area.draw(&Text::new(below.to_owned(), (30, 68), text_style(24.0, GREY, false, TOP_LEFT)))?;
    Ok(area.split_vertically(108).1)
}

/// How a line in the legend looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A solid line of this width.
    Line(u32),
    /// A dashed line.
    Dashed,
    /// A translucent band.
    Band,
    /// A filled point.
    Point,
    /// A hollow point.
    Ring,
}

/// A row (or several) of marks with names above the chart, so that no legend covers data; gives back the rest.
///
/// # Errors
/// What the backend says.
pub fn legend<'a>(
    area: &Area<'a>,
    entries: &[(String, RGBColor, Mark)],
) -> Result<Area<'a>, DrawingAreaErrorKind<SvgError>> {
    const HEIGHT: i32 = 34;
    const TYPE: f64 = 23.0;
    let right = i32::try_from(area.dim_in_pixel().0).unwrap_or(i32::MAX) - 30;
    let (mut x, mut y) = (30, 14);
    for (name, color, mark) in entries {
        let wide = 62 + width(name, TYPE) + 34;
        if x > 30 && x + wide > right {
            (x, y) = (30, y + HEIGHT);
        }
        draw_mark(area, (x, y), *color, *mark)?;
        area.draw(&Text::new(name.clone(), (x + 62, y), text_style(TYPE, INK, false, MIDDLE_LEFT)))?;
        x += wide;
    }
    Ok(area.split_vertically(u32::try_from(y + HEIGHT).unwrap_or(0)).1)
}

/// One mark of a legend, its left end at `at`.
///
/// # Errors
/// What the backend says.
pub fn draw_mark(area: &Area<'_>, (x, y): (i32, i32), color: RGBColor, mark: Mark) -> Drawn {
    let ends = vec![(x, y), (x + 50, y)];
    match mark {
        Mark::Line(thick) => area.draw(&PathElement::new(ends, stroke(color, thick))),
        Mark::Dashed => area.draw(&DashedPathElement::new(ends, 10, 7, stroke(color, 4))),
        Mark::Band => area.draw(&Polygon::new(
            vec![(x, y - 10), (x + 50, y - 10), (x + 50, y + 10), (x, y + 10)],
            color.mix(0.2).filled(),
        )),
        Mark::Point => area.draw(&plotters::element::Circle::new((x + 25, y), 8, color.filled())),
        Mark::Ring => area.draw(&plotters::element::Circle::new((x + 25, y), 9, stroke(color, 3))),
    }
}

/// A line of `thick` pixels.
#[must_use]
pub fn stroke(color: RGBColor, thick: u32) -> ShapeStyle {
    ShapeStyle { color: color.to_rgba(), filled: false, stroke_width: thick }
}

/// What an axis says.
pub struct Axis<'a> {
    /// From where to where.
    pub range: Range<f64>,
    /// Quantity and unit.
    pub title: &'a str,
    /// How a value is written.
    pub label: &'a dyn Fn(&f64) -> String,
    /// About how many labels; 0 for none, and no grid.
    pub labels: usize,
}

/// A chart with axes and a light grid in `area`.
///
/// # Errors
/// What the backend says.
pub fn chart<'a, 'b>(
    area: &'a Area<'b>,
    x: &Axis<'_>,
    y: &Axis<'_>,
) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<SvgError>> {
    let mut chart = ChartBuilder::on(area)
        .margin_right(40)
        .margin_left(12)
        .margin_bottom(10)
        .margin_top(58)
        .x_label_area_size(84)
        .y_label_area_size(104)
        .build_cartesian_2d(x.range.clone(), y.range.clone())?;
    // The vertical axis' title lies flat above its axis, where it is read without turning the head.
    area.draw(&Text::new(y.title.to_owned(), (30, 14), text_style(23.0, INK, false, TOP_LEFT)))?;
    let mut mesh = chart.configure_mesh();
    if x.labels == 0 {
        mesh.disable_x_mesh();
    }
    mesh.bold_line_style(stroke(GRID, 2))
        .light_line_style(plotters::style::TRANSPARENT)
        .axis_style(stroke(AXIS, 2))
        .label_style(text_style(22.0, INK, false, TOP_LEFT))
        .axis_desc_style(text_style(24.0, INK, false, TOP_LEFT))
        .x_desc(x.title)
        .x_labels(x.labels)
        .y_labels(y.labels)
        .x_label_formatter(x.label)
        .y_label_formatter(y.label)
        .draw()?;
    Ok(chart)
}

/// A number without needless digits.
#[must_use]
pub fn plain(value: &f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    if rounded == 0.0 { "0".to_owned() } else { format!("{rounded}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_get_distinct_colours_from_dark_to_light() {
        let colours: Vec<RGBColor> = (0..8).map(|index| sequential(index, 8)).collect();
        let light = |c: &RGBColor| 0.299 * f64::from(c.0) + 0.587 * f64::from(c.1) + 0.114 * f64::from(c.2);
        assert!(colours.windows(2).all(|pair| light(&pair[0]) + 5.0 < light(&pair[1])), "{colours:?}");
        assert_eq!(sequential(0, 1), sequential(0, 1));
    }

    #[test]
    fn numbers_are_written_without_noise() {
        assert_eq!(plain(&0.300_000_000_000_000_04), "0.3");
        assert_eq!(plain(&-0.0), "0");
        assert_eq!(plain(&250.0), "250");
    }
}
