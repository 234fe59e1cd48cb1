//! The table as a figure: bytes against the difference, a line per cluster size.

use analysis::plot::style::{Axis, Mark, QUALITATIVE, chart, legend, stroke, titled};
use analysis::plot::{Figure, PlotError};
use plotters::element::Circle;
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::Color;

/// A size, and for each difference the bytes of ours and of the full state.
pub(crate) type Curve = (u32, Vec<(u32, usize, usize)>);

/// Where a difference of nothing stands on the logarithmic axis.
const NOTHING: f64 = -0.6;

pub(crate) fn figure(curves: &[Curve]) -> Result<Figure, PlotError> {
    let caption =
        "Bytes of one anti-entropy exchange against the number of members that only one of the two nodes knows."
            .to_owned();
    Figure::draw("anti-entropy".to_owned(), caption.clone(), caption, (1600, 1000), |area| {
        let rest = titled(
            area,
            "Anti-entropy costs what differs",
            "UDP payload of both directions until two nodes agree; dashed: memberlist's full state, both directions",
        )?;
        let marks =
            curves.iter().zip(QUALITATIVE).map(|((size, _), color)| (format!("N = {size}"), color, Mark::Line(4)));
        let rest = legend(&rest, &marks.collect::<Vec<_>>())?;
        let place = |d: u32| if d == 0 { NOTHING } else { f64::from(d).log10() };
        let decade = |value: &f64| {
            if (value - NOTHING).abs() < 0.01 {
                "0".to_owned()
            } else if (value - value.round()).abs() < 0.01 && *value > -0.01 {
                format!("{}", 10_u64.pow(value.round() as u32))
            } else {
                String::new()
            }
        };
        let mut chart = chart(
            &rest,
            &Axis {
                range: -0.8..4.15,
                title: "members that differ, d (log scale; leftmost: none)",
                label: &decade,
                labels: 6,
            },
            &Axis { range: 1.0..6.3, title: "bytes (log scale)", label: &decade, labels: 6 },
        )?;
        for ((_, points), color) in curves.iter().zip(QUALITATIVE) {
            let ours = points.iter().map(|&(d, bytes, _)| (place(d), (bytes as f64).log10()));
            let full = points.iter().map(|&(d, _, full)| (place(d), (full as f64).log10()));
            chart.draw_series(DashedLineSeries::new(full, 10, 8, stroke(color, 3)))?;
            chart.draw_series(LineSeries::new(ours.clone().filter(|(x, _)| *x >= 0.0), stroke(color, 4)))?;
            chart.draw_series(ours.map(|at| Circle::new(at, 7, color.filled())))?;
        }
        Ok(())
    })
}
