//! Over how many hops events travelled.

use plotters::element::Circle;
use plotters::prelude::LineSeries;
use plotters::style::{Color, RGBColor};

use crate::metrics::paths::Paths;
use crate::plot::style::{Area, Axis, Drawn, Mark, chart, legend, sequential, stroke, titled};
use crate::plot::{Figure, PlotError};

/// A setting's figure: the share of deliveries at each number of hops, one line per size.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn figure(name: &str, setting: &str, runs: &[(u32, &Paths)]) -> Result<Figure, PlotError> {
    let caption = format!(
        "Number of hops from the origin over which a node first learnt of an event, setting \"{setting}\": share of all first \
         deliveries at each size."
    );
    let alt = format!("Histogram of hop counts, {setting}");
    Figure::draw(name.to_owned(), alt, caption, (1600, 820), |area| paint(area, setting, runs))
}

fn paint(area: &Area<'_>, setting: &str, runs: &[(u32, &Paths)]) -> Drawn {
    let rest = titled(area, "Hops from the origin to the learner", &format!("setting: {setting} · first deliveries"))?;
    let entries: Vec<(String, RGBColor, Mark)> = runs
        .iter()
        .enumerate()
        .map(|(rank, (size, _))| (format!("N = {size}"), sequential(rank, runs.len()), Mark::Line(5)))
        .collect();
    let rest = legend(&rest, &entries)?;
    let longest = runs.iter().filter_map(|(_, paths)| paths.hops_max()).max().unwrap_or(1);
    let share =
        |paths: &Paths, hops: u32| paths.hops.get(&hops).copied().unwrap_or(0) as f64 / paths.total().max(1) as f64;
    let top = runs.iter().flat_map(|(_, paths)| (1..=longest).map(|hops| share(paths, hops))).fold(0.05, f64::max);
    let whole = |value: &f64| if value.fract().abs() < 1e-9 { format!("{value:.0}") } else { String::new() };
    let percent = |share: &f64| format!("{:.0} %", share * 100.0);
    let mut chart = chart(
        &rest,
        &Axis {
            range: 0.5..f64::from(longest) + 0.5,
            title: "hops",
            label: &whole,
            labels: (longest as usize + 1).min(20),
        },
        &Axis { range: 0.0..top * 1.08, title: "first deliveries", label: &percent, labels: 6 },
    )?;
    for (rank, (_, paths)) in runs.iter().enumerate() {
        let color = sequential(rank, runs.len());
        let line: Vec<(f64, f64)> = (1..=longest).map(|hops| (f64::from(hops), share(paths, hops))).collect();
        chart.draw_series(LineSeries::new(line.clone(), stroke(color, 4)))?;
        chart.draw_series(line.into_iter().map(|point| Circle::new(point, 7, color.filled())))?;
    }
    Ok(())
}
