//! Time against N of two agents under the same plans.

use plotters::element::{Circle, PathElement, Text};
use plotters::prelude::LineSeries;
use plotters::style::Color;

use crate::laws::figures::label_ends;
use crate::metrics::times::Summary;
use crate::plot::style::{Axis, GREY, INK, TOP_CENTER, chart, plain, qualitative, stroke, text_style, titled};
use crate::plot::{Figure, PlotError};

/// One side under one setting.
#[derive(Debug, Clone)]
pub struct Line {
    /// Whose: 0 or 1.
    pub side: usize,
    /// The plan.
    pub plan: String,
    /// The setting.
    pub setting: String,
    /// N and the time to all, milliseconds.
    pub points: Vec<(u32, Summary)>,
}

/// Room for the names at the right ends of the lines, pixels.
const NAMES: i32 = 420;

/// Time to all against N, both axes logarithmic; a colour for each side.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn times(names: &[String; 2], lines: &[Line]) -> Result<Figure, PlotError> {
    let title = format!("Time until all nodes know: {} beside {}", names[0], names[1]);
    let caption = format!(
        "{title}, both axes logarithmic: median over events with its 95 % bootstrap interval. Settings in which half of the events never \
         reached everybody have no point."
    );
    let alt = "Time to all against N, one line per agent and setting".to_owned();
    let finite = |line: &Line| -> Vec<(u32, Summary)> {
        line.points.iter().filter(|(_, summary)| summary.median.is_finite()).copied().collect()
    };
    Figure::draw("peers".to_owned(), alt, caption, (1800, 1000), |area| {
        let rest = titled(area, &title, "same machine, same session, same plans")?;
        let all: Vec<(u32, Summary)> = lines.iter().flat_map(finite).collect();
        let mut sizes: Vec<u32> = all.iter().map(|(size, _)| *size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else { return Ok(()) };
        let x = |size: u32| f64::from(size).log2();
        let y = |ms: f64| ms.max(0.1).log10();
        let top = |summary: &Summary| {
            if summary.interval.high.is_finite() { summary.interval.high } else { summary.median }
        };
        let low = all.iter().map(|(_, summary)| y(summary.interval.low)).fold(f64::INFINITY, f64::min);
        let high = all.iter().map(|(_, summary)| y(top(summary))).fold(0.0, f64::max);
        let (_, height) = rest.dim_in_pixel();
        let (plot, right) = rest.split_horizontally(rest.dim_in_pixel().0 as i32 - NAMES);
        let blank = |_: &f64| String::new();
        let power = |value: &f64| if value.fract().abs() < 1e-9 { plain(&10_f64.powf(*value)) } else { String::new() };
        let mut chart = chart(
            &plot,
            &Axis {
                range: x(*least) - 0.2..x(*most) + 0.2,
                title: "number of nodes N (log scale)",
                label: &blank,
                labels: 0,
            },
            &Axis { range: low.floor()..high + 0.1, title: "time (ms, log scale)", label: &power, labels: 7 },
        )?;
        let (left, above) = plot.get_base_pixel();
        for size in &sizes {
            let (px, py) = chart.backend_coord(&(x(*size), low.floor()));
            let (px, py) = (px - left, py - above);
            plot.draw(&PathElement::new(vec![(px, py), (px, py + 8)], stroke(GREY, 2)))?;
            plot.draw(&Text::new(size.to_string(), (px, py + 12), text_style(22.0, INK, false, TOP_CENTER)))?;
        }
        let named: Vec<String> = lines.iter().map(|line| format!("{}, {}", names[line.side], line.setting)).collect();
        let mut ends = Vec::new();
        for (line, name) in lines.iter().zip(&named) {
            let color = qualitative(line.side);
            let points = finite(line);
            chart.draw_series(LineSeries::new(
                points.iter().map(|(size, summary)| (x(*size), y(summary.median))),
                stroke(color, 3),
            ))?;
            for (size, summary) in &points {
                let bar = vec![(x(*size), y(summary.interval.low)), (x(*size), y(top(summary)))];
                chart.draw_series([PathElement::new(bar, stroke(color, 3))])?;
                chart.draw_series([Circle::new((x(*size), y(summary.median)), 7, color.filled())])?;
            }
            if let Some((size, summary)) = points.last() {
                ends.push((chart.backend_coord(&(x(*size), y(summary.median))), name, color));
            }
        }
        label_ends(&right, &plot, ends, height as i32)
    })
}
