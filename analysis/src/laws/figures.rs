//! Rounds against N, against load and against copies; one figure per claim.

use plotters::element::{Circle, PathElement, Text};
use plotters::prelude::{DashedLineSeries, LineSeries};
use plotters::style::{Color, RGBColor};

use super::fits::{Form, Point};
use super::study::{Growth, Study};
use crate::plot::style::{
    Area, Axis, Chart, Drawn, GREY, INK, MIDDLE_LEFT, TOP_CENTER, chart, plain, qualitative, stroke, text_style, titled,
};
use crate::plot::{Figure, PlotError};

const TYPE: f64 = 21.0;

/// Room for the names at the right ends of the lines, pixels.
const NAMES: i32 = 430;

/// Lines against N: what is plotted of each strategy, under its name.
struct Lines<'a> {
    title: &'a str,
    below: &'a str,
    /// On which an N stands at [`Form::of`].
    axis: Form,
    lines: Vec<(String, RGBColor, &'a [Point])>,
}

/// Time to all of the strategies against N on the axis of a law: who follows it is a straight line there.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn growth(studies: &[&Study], axis: Form) -> Result<Figure, PlotError> {
    let (name, straight) = match axis {
        Form::Log => ("rounds-log", "Who takes log N rounds is a straight line here; who takes fewer bends down."),
        _ => ("rounds-log-log", "Who takes log log N rounds is a straight line here; who takes log N bends up."),
    };
    let lines = Lines {
        title: "Rounds until all N nodes know",
        below: straight,
        axis,
        lines: named(studies, |study| &study.all),
    };
    let caption = format!(
        "Mean number of synchronous rounds until all N nodes know a rumor that one of them started, on an axis in {}. {straight} Bars: two \
         standard errors of the mean, mostly smaller than the points. N to 10^18 by the exact chain; strategies without one end where they \
         can be played node by node.",
        axis.name()
    );
    lines.figure(name, &caption)
}

/// Time from half to all, without and with loss.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn end_phase(studies: &[&Study]) -> Result<Figure, PlotError> {
    let below =
        "Without loss the pull half squares the uninformed share each round: log log N. Any loss makes it log N.";
    let lines = Lines {
        title: "The end phase alone: rounds from 50 % to all",
        below,
        axis: Form::LogLog,
        lines: named(studies, |study| &study.end),
    };
    lines.figure(
        "end-phase",
        &format!("Mean rounds from the moment at which half of the nodes know until all do. {below}"),
    )
}

fn named<'a>(studies: &[&'a Study], of: impl Fn(&'a Study) -> &'a Growth) -> Vec<(String, RGBColor, &'a [Point])> {
    let line =
        |(index, study): (usize, &&'a Study)| (study.series.title(), qualitative(index), of(study).points.as_slice());
    studies.iter().enumerate().map(line).filter(|(_, _, points)| !points.is_empty()).collect()
}

impl Lines<'_> {
    fn figure(&self, name: &str, caption: &str) -> Result<Figure, PlotError> {
        let alt = format!("{} against N, one line per strategy", self.title);
        Figure::draw(name.to_owned(), alt, caption.to_owned(), (1800, 1000), |area| self.paint(area))
    }

    fn paint(&self, area: &Area<'_>) -> Drawn {
        let rest = titled(area, self.title, self.below)?;
        let points = || self.lines.iter().flat_map(|(_, _, points)| points.iter());
        let least = points().map(|point| point.nodes).fold(f64::INFINITY, f64::min);
        let most = points().map(|point| point.nodes).fold(4.0, f64::max);
        let top = points().map(|point| point.mean).fold(1.0, f64::max);
        let (low, high) = (self.axis.of(least), self.axis.of(most));
        let (_, height) = rest.dim_in_pixel();
        let (plot, names) = rest.split_horizontally(rest.dim_in_pixel().0 as i32 - NAMES);
        let blank = |_: &f64| String::new();
        let x_title = format!("number of nodes N (axis linear in {})", self.axis.name());
        let pad = 0.02 * (high - low);
        let mut chart = chart(
            &plot,
            &Axis { range: low - pad..high + pad, title: &x_title, label: &blank, labels: 0 },
            &Axis { range: 0.0..top * 1.05, title: "rounds", label: &plain, labels: 9 },
        )?;
        self.ticks(&plot, &chart, least, most)?;
        let mut ends = Vec::new();
        for (name, color, points) in &self.lines {
            let place = |point: &Point| (self.axis.of(point.nodes), point.mean);
            chart.draw_series(LineSeries::new(points.iter().map(place), stroke(*color, 4)))?;
            for point in *points {
                let (x, y) = place(point);
                let error = 2.0 * point.sd / (point.runs as f64).sqrt();
                chart.draw_series([PathElement::new(
                    vec![(x, (y - error).max(0.0)), (x, y + error)],
                    stroke(*color, 2),
                )])?;
                chart.draw_series([Circle::new((x, y), 6, color.filled())])?;
            }
            if let Some(last) = points.last() {
                ends.push((chart.backend_coord(&place(last)), name, *color));
            }
        }
        label_ends(&names, &plot, ends, height as i32)
    }

    /// Decades, those apart that are near on this axis.
    fn ticks(&self, area: &Area<'_>, chart: &Chart<'_, '_>, least: f64, most: f64) -> Drawn {
        let (left, top) = area.get_base_pixel();
        let mut free = i32::MIN;
        for exponent in least.log10().ceil() as i32..=most.log10().floor() as i32 {
            let (x, y) = chart.backend_coord(&(self.axis.of(10_f64.powi(exponent)), 0.0));
            let (x, y) = (x - left, y - top);
            area.draw(&PathElement::new(vec![(x, y), (x, y + 8)], stroke(GREY, 2)))?;
            if x - 30 > free {
                area.draw(&Text::new(power_of_ten(exponent), (x, y + 12), text_style(22.0, INK, false, TOP_CENTER)))?;
                free = x + 34;
            }
        }
        Ok(())
    }
}

/// Names beside the ends of their lines, pushed apart where they would cover each other.
pub(crate) fn label_ends(
    names: &Area<'_>,
    plot: &Area<'_>,
    mut ends: Vec<((i32, i32), &String, RGBColor)>,
    height: i32,
) -> Drawn {
    const APART: i32 = 30;
    ends.sort_unstable_by_key(|((_, y), ..)| *y);
    let (_, top) = names.get_base_pixel();
    let mut places: Vec<i32> = ends.iter().map(|((_, y), ..)| y - top).collect();
    for i in 1..places.len() {
        places[i] = places[i].max(places[i - 1] + APART);
    }
    let bottom = height - 60;
    if let Some(last) = places.last_mut().filter(|last| **last > bottom) {
        *last = bottom;
    }
    for i in (1..places.len()).rev() {
        places[i - 1] = places[i - 1].min(places[i] - APART);
    }
    let (plot_left, _) = plot.get_base_pixel();
    let plot_right = plot_left + plot.dim_in_pixel().0 as i32;
    for (((x, y), name, color), place) in ends.into_iter().zip(places) {
        names.draw(&Text::new(name.clone(), (20, place), text_style(TYPE, color, true, MIDDLE_LEFT)))?;
        // A name that was pushed away, or whose line ends early, is led to.
        if plot_right - x > 80 || (y - top - place).abs() > 12 {
            let lead = vec![(0, y - top), (14, place)];
            names.draw(&PathElement::new(lead, stroke(color, 1)))?;
        }
    }
    Ok(())
}

/// Names beside their points, or as near as the other names and points allow, and then led to.
pub(crate) fn label_points(area: &Area<'_>, points: &[((i32, i32), &str, RGBColor)]) -> Drawn {
    let (left, above) = area.get_base_pixel();
    let right = area.dim_in_pixel().0 as i32 - 10;
    let place = |&((x, y), ..): &((i32, i32), &str, RGBColor)| (x - left, y - above);
    let mut taken: Vec<(i32, i32, i32)> = points.iter().map(place).map(|(x, y)| (x - 12, y, 24)).collect();
    for point in points {
        let ((x, y), (_, name, color)) = (place(point), *point);
        let wide = crate::plot::style::width(name, TYPE);
        let free = |&(label_x, label_y): &(i32, i32)| {
            !taken.iter().any(|&(other_x, other_y, other)| {
                (label_y - other_y).abs() < 25 && label_x < other_x + other && other_x < label_x + wide
            })
        };
        let around = |step: i32| [(x + 18, y - 13 * step), (x + 18, y + 13 * step), (x - 18 - wide, y - 13 * step)];
        let inside = |&(label_x, _): &(i32, i32)| label_x > 125 && label_x + wide < right;
        let mut near = (0..30).flat_map(around).filter(inside);
        let (label_x, label_y) = near.find(free).unwrap_or((x + 18, y));
        taken.push((label_x, label_y, wide));
        if (label_y - y).abs() > 13 {
            let end = if label_x > x { label_x - 4 } else { label_x + wide + 4 };
            area.draw(&PathElement::new(vec![(x, y), (end, label_y)], stroke(color, 1)))?;
        }
        area.draw(&Text::new(name.to_owned(), (label_x, label_y), text_style(TYPE, color, true, MIDDLE_LEFT)))?;
    }
    Ok(())
}

fn power_of_ten(exponent: i32) -> String {
    let digit = |digit: char| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(digit as usize - '0' as usize).unwrap_or('?');
    format!("10{}", exponent.to_string().chars().map(digit).collect::<String>())
}

/// What a strategy costs against its time, at one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// The strategy.
    pub name: String,
    /// Mean rounds to all.
    pub rounds: f64,
    /// Mean over the runs of the most that one node sent or received in one round.
    pub load: f64,
    /// Mean copies of the rumor sent, per node.
    pub copies: f64,
}

/// Which price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Price {
    /// The greatest load of one node.
    Load,
    /// Copies per node.
    Copies,
}

/// Time against price, all strategies at N nodes.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn trade_off(costs: &[Cost], nodes: f64, price: Price) -> Result<Figure, PlotError> {
    let (name, title, below, axis) = match price {
        Price::Load => (
            "trade-off-load",
            "Time against the greatest load of one node",
            "None can be below the dashed line, log N / log(1 + 2Δ): who calls Δ others and is called as often informs at most 2Δ a round.",
            "calls of the busiest node in a round, Δ (log scale)",
        ),
        Price::Copies => (
            "trade-off-copies",
            "Time against what is sent",
            "One copy per node is the least that informs everybody.",
            "copies of the rumor sent, per node (log scale)",
        ),
    };
    let value = |cost: &Cost| if price == Price::Load { cost.load } else { cost.copies };
    let caption = format!("{title} at N = {nodes:e}: mean over the runs. {below}");
    let most = costs.iter().map(value).fold(2.0, f64::max).log10() + 0.9;
    let top = costs.iter().map(|cost| cost.rounds).fold(1.0, f64::max) * 1.1;
    Figure::draw(name.to_owned(), format!("{title}, a point per strategy"), caption, (1800, 1000), |area| {
        let rest = titled(area, title, &format!("N = {} · {below}", power_of_ten(nodes.log10().round() as i32)))?;
        let power = |value: &f64| if value.fract().abs() < 1e-9 { plain(&10_f64.powf(*value)) } else { String::new() };
        let low = if price == Price::Load { -0.05 } else { -0.3 };
        let mut chart = chart(
            &rest,
            &Axis { range: low..most, title: axis, label: &power, labels: most as usize + 2 },
            &Axis { range: 0.0..top, title: "rounds until all know", label: &plain, labels: 8 },
        )?;
        if price == Price::Load {
            let bound = |step: i32| {
                let load = low + (most - low) * f64::from(step) / 100.0;
                (load, nodes.ln() / (1.0 + 2.0 * 10_f64.powf(load)).ln())
            };
            let line: Vec<(f64, f64)> = (0..=100).map(bound).filter(|(_, rounds)| *rounds <= top).collect();
            chart.draw_series(DashedLineSeries::new(line, 12, 8, stroke(GREY, 3)))?;
        }
        let mut points = Vec::new();
        for (index, cost) in costs.iter().enumerate() {
            let at = (value(cost).max(0.5).log10(), cost.rounds);
            chart.draw_series([Circle::new(at, 9, qualitative(index).filled())])?;
            points.push((chart.backend_coord(&at), cost.name.as_str(), qualitative(index)));
        }
        label_points(&rest, &points)
    })
}
