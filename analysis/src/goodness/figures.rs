//! Time against N, and against load, for all strategies under one setting.

use plotters::element::{Circle, PathElement, Text};
use plotters::prelude::{DashedLineSeries, LineSeries};
use plotters::style::Color;

use super::{Cell, Quantity, firsts};
use crate::laws::figures::{label_ends, label_points};
use crate::plot::style::{
    Axis, Drawn, GREY, INK, Mark, TOP_CENTER, chart, legend, plain, qualitative, stroke, text_style, titled, width,
};
use crate::plot::{Figure, PlotError, slug};

/// Room for the names at the right ends of the lines, pixels.
const NAMES: i32 = 330;

/// t100 against N on a log scale of both: points as measured, lines as the model has them.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn times(setting: &str, cells: &[&Cell]) -> Result<Figure, PlotError> {
    let title = "Time until all nodes know";
    let caption = format!(
        "{title} against N, setting \"{setting}\", both axes logarithmic: median over events with its 95 % bootstrap interval; dashed, the \
         median of the model without fitted parameters, where there is one."
    );
    let alt = format!("Time to all against N, one line per strategy, {setting}");
    Figure::draw(format!("times-{}", slug(setting)), alt, caption, (1800, 1000), |area| {
        let rest = titled(area, title, &format!("setting: {setting}"))?;
        let rest = legend(
            &rest,
            &[
                ("real nodes, median over events, 95 % interval".to_owned(), INK, Mark::Point),
                ("simulated nodes".to_owned(), INK, Mark::Ring),
                ("model, no fitted parameter".to_owned(), INK, Mark::Dashed),
            ],
        )?;
        paint(&rest, cells)
    })
}

fn paint(rest: &crate::plot::style::Area<'_>, cells: &[&Cell]) -> Drawn {
    let all = |cell: &&Cell| cell.times.get(3).filter(|summary| summary.median.is_finite()).copied();
    let shown: Vec<(&Cell, crate::metrics::times::Summary)> =
        cells.iter().filter_map(|cell| Some((*cell, all(cell)?))).collect();
    if shown.is_empty() {
        return Ok(());
    }
    let mut sizes: Vec<u32> = shown.iter().map(|(cell, _)| cell.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let x = |size: u32| f64::from(size).log2();
    let y = |ms: f64| ms.max(0.1).log10();
    let (least, most) = shown.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), (_, summary)| {
        let top = if summary.interval.high.is_finite() { summary.interval.high } else { summary.median };
        (low.min(summary.interval.low), high.max(top))
    });
    let (low, high) = (y(least).floor(), y(most) + 0.08);
    let (_, height) = rest.dim_in_pixel();
    let (plot, names) = rest.split_horizontally(rest.dim_in_pixel().0 as i32 - NAMES);
    let blank = |_: &f64| String::new();
    let power = |value: &f64| if value.fract().abs() < 1e-9 { plain(&10_f64.powf(*value)) } else { String::new() };
    let range = x(sizes[0]) - 0.3..x(sizes[sizes.len() - 1]) + 0.3;
    let mut chart = chart(
        &plot,
        &Axis { range, title: "number of nodes N (log scale)", label: &blank, labels: 0 },
        &Axis { range: low..high, title: "time (ms, log scale)", label: &power, labels: 6 },
    )?;
    let (left, top) = plot.get_base_pixel();
    let mut free = i32::MIN;
    for size in &sizes {
        let (px, py) = chart.backend_coord(&(x(*size), low));
        let (px, py) = (px - left, py - top);
        plot.draw(&PathElement::new(vec![(px, py), (px, py + 8)], stroke(GREY, 2)))?;
        let half = width(&size.to_string(), 22.0) / 2;
        if px - half > free {
            plot.draw(&Text::new(size.to_string(), (px, py + 12), text_style(22.0, INK, false, TOP_CENTER)))?;
            free = px + half + 8;
        }
    }
    let strategies: Vec<String> =
        firsts(cells.iter().map(|cell| cell.strategy.as_str())).into_iter().map(str::to_owned).collect();
    let mut ends = Vec::new();
    for (index, strategy) in strategies.iter().enumerate() {
        let color = qualitative(index);
        let mut own: Vec<&(&Cell, crate::metrics::times::Summary)> =
            shown.iter().filter(|(cell, _)| cell.strategy == *strategy).collect();
        own.sort_unstable_by_key(|(cell, _)| cell.size);
        // Real nodes share processors and simulated ones do not: a line through both would go up and down between them.
        for simulated in [false, true] {
            let tier = own.iter().filter(|(cell, _)| cell.simulated == simulated);
            let measured = tier.clone().map(|(cell, summary)| (x(cell.size), y(summary.median)));
            chart.draw_series(LineSeries::new(measured, stroke(color, 3)))?;
            let model: Vec<(f64, f64)> = tier
                .filter_map(|(cell, _)| {
                    let tests = cell.tests.as_ref().ok()?;
                    let test = tests.iter().find(|test| test.quantity == Quantity::All)?;
                    test.model.is_finite().then(|| (x(cell.size), y(test.model)))
                })
                .collect();
            chart.draw_series(DashedLineSeries::new(model, 12, 8, stroke(color, 3)))?;
        }
        for (cell, summary) in &own {
            let top = if summary.interval.high.is_finite() { summary.interval.high } else { summary.median };
            let bar = vec![(x(cell.size), y(summary.interval.low)), (x(cell.size), y(top))];
            chart.draw_series([PathElement::new(bar, stroke(color, 3))])?;
            let style = if cell.simulated { stroke(color, 3) } else { color.filled() };
            chart.draw_series([Circle::new((x(cell.size), y(summary.median)), 7, style)])?;
        }
        if let Some((cell, summary)) = own.last() {
            ends.push((chart.backend_coord(&(x(cell.size), y(summary.median))), strategy, color));
        }
    }
    label_ends(&names, &plot, ends, height as i32)
}

/// The largest size of real nodes, of simulated ones if there are no others.
fn largest(cells: &[&Cell]) -> u32 {
    let (_, size) = cells.iter().map(|cell| (!cell.simulated, cell.size)).max().unwrap_or_default();
    size
}

/// The share of nodes that do not know against time, on a log scale: exponential decay is a straight line, and what ends doubly
/// exponentially falls off.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn uninformed(setting: &str, cells: &[&Cell]) -> Result<Figure, PlotError> {
    let size = largest(cells);
    let title = "Who does not know yet";
    let caption = format!(
        "Share of {size} nodes that do not know an event against the time since its start, on a log scale: mean over events; setting \
         \"{setting}\". A straight line is exponential decay, as of push; where the pull half tells, the share is squared in each round, and \
         the line falls off ever more steeply."
    );
    let alt = format!("Share of uninformed nodes against time, one line per strategy, {setting}");
    let strategies = firsts(cells.iter().map(|cell| cell.strategy.as_str()));
    let shown: Vec<&&Cell> = cells.iter().filter(|cell| cell.size == size && !cell.uninformed.is_empty()).collect();
    Figure::draw(format!("uninformed-{}", slug(setting)), alt, caption, (1800, 1000), |area| {
        let rest = titled(area, title, &format!("N = {size} · setting: {setting}"))?;
        let color =
            |cell: &Cell| qualitative(strategies.iter().position(|strategy| *strategy == cell.strategy).unwrap_or(0));
        let entries: Vec<_> = shown.iter().map(|cell| (cell.strategy.clone(), color(cell), Mark::Line(4))).collect();
        let plot = legend(&rest, &entries)?;
        // Less than a tenth of a node is one late event of ten and more.
        let floor = (0.1 / f64::from(size.max(1))).log10();
        let end = |cell: &Cell| {
            let above = cell.uninformed.iter().rev().find(|(_, share)| *share > 0.0 && share.log10() >= floor);
            above.map_or(1.0, |(ms, _)| *ms)
        };
        let last = shown.iter().map(|cell| end(cell)).fold(1.0, f64::max);
        let power = |value: &f64| if value.fract().abs() < 1e-9 { plain(&10_f64.powf(*value)) } else { String::new() };
        let mut chart = chart(
            &plot,
            &Axis { range: 0.0..last * 1.02, title: "time since the start (ms)", label: &plain, labels: 9 },
            &Axis { range: floor..0.05, title: "share that does not know (log scale)", label: &power, labels: 5 },
        )?;
        for cell in &shown {
            let line: Vec<(f64, f64)> = cell
                .uninformed
                .iter()
                .take_while(|(_, share)| *share > 0.0)
                .map(|(ms, share)| (*ms, share.log10()))
                .filter(|(_, share)| *share >= floor)
                .collect();
            chart.draw_series(LineSeries::new(line, stroke(color(cell), 4)))?;
        }
        Ok(())
    })
}

/// t100 against the load of the busiest node, at the largest size.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn load(setting: &str, cells: &[&Cell]) -> Result<Figure, PlotError> {
    let title = "Time against the busiest node's load";
    let size = largest(cells);
    let strategies = firsts(cells.iter().map(|cell| cell.strategy.as_str()));
    let point = |cell: &&Cell| {
        let time = cell.times.get(3).filter(|summary| summary.median.is_finite())?.median;
        let traffic = cell.traffic.as_ref()?;
        (cell.size == size).then(|| (cell.strategy.clone(), traffic.datagrams_per_second_max, time))
    };
    let points: Vec<(String, f64, f64)> = cells.iter().filter_map(point).collect();
    let caption = format!(
        "{title}: median time until all of {size} nodes know against the datagrams that the busiest node sent in a second, all its traffic \
         counted; setting \"{setting}\"."
    );
    let alt = format!("Time to all against load, a point per strategy, {setting}");
    Figure::draw(format!("load-{}", slug(setting)), alt, caption, (1800, 900), |area| {
        let rest = titled(area, title, &format!("N = {size} · setting: {setting}"))?;
        let most = points.iter().map(|point| point.1).fold(1.0, f64::max) * 1.35;
        let (low, high) =
            points.iter().fold((f64::INFINITY, 1.0_f64), |(low, high), point| (low.min(point.2), high.max(point.2)));
        let power = |value: &f64| if value.fract().abs() < 1e-9 { plain(&10_f64.powf(*value)) } else { String::new() };
        let low = if low.is_finite() { low.max(0.1).log10().floor() } else { 0.0 };
        let mut chart = chart(
            &rest,
            &Axis { range: 0.0..most, title: "datagrams per second, busiest node", label: &plain, labels: 8 },
            &Axis {
                range: low..high.log10() + 0.15,
                title: "time until all know (ms, log scale)",
                label: &power,
                labels: 6,
            },
        )?;
        let mut named = Vec::new();
        for (name, load, time) in &points {
            let color = qualitative(strategies.iter().position(|strategy| strategy == name).unwrap_or(0));
            let at = (*load, time.max(0.1).log10());
            chart.draw_series([Circle::new(at, 9, color.filled())])?;
            named.push((chart.backend_coord(&at), name.as_str(), color));
        }
        label_points(&rest, &named)
    })
}
