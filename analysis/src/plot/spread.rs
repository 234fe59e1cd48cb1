//! Nodes informed versus time: one figure per run with a thin curve for each event, and several runs in one figure.

use plotters::prelude::{LineSeries, Polygon};
use plotters::style::{Color, RGBColor};

use crate::curves::{Band, Curve, axis_end};
use crate::plot::style::{Area, Axis, Chart, Drawn, Mark, chart, legend, plain, qualitative, stroke, titled};
use crate::plot::{Figure, PlotError};

/// Most thin curves in one figure; more than that make one grey mass. The median and the band use all.
pub const CURVES_MAX: usize = 100;

/// Times at which a band is evaluated.
const POINTS: u32 = 400;

const SIZE: (u32, u32) = (1600, 1000);

/// One run's figure.
#[derive(Debug, Clone, Copy)]
pub struct RunSpread<'a> {
    /// File name.
    pub name: &'a str,
    /// Nodes.
    pub size: u32,
    /// Name of the setting.
    pub setting: &'a str,
    /// One curve per event.
    pub curves: &'a [Curve],
}

impl RunSpread<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// [`PlotError::Draw`].
    pub fn figure(&self) -> Result<Figure, PlotError> {
        let (end, cut) = axis_end(self.curves);
        let beyond = self.curves.iter().filter(|curve| curve.all_ms.last().is_some_and(|last| *last > end)).count();
        let mut caption = format!(
            "Nodes that know of an event, N = {}, setting \"{}\": one thin line per event, the median over {} events and the band \
             between their 10 % and 90 % quantiles. Time 0 is the event's start at its origin, which counts as informed.",
            self.size,
            self.setting,
            self.curves.len()
        );
        if self.curves.len() > CURVES_MAX {
            caption.push_str(&format!(" Only the first {CURVES_MAX} events are drawn as lines."));
        }
        if beyond > 0 {
            caption.push_str(&format!(
                " {beyond} events reached further nodes after the right end of the axis ({cut} of them nodes that were awake)."
            ));
        }
        let alt = format!("Step curves of nodes informed versus time for N = {}, {}", self.size, self.setting);
        Figure::draw(self.name.to_owned(), alt, caption, SIZE, |area| self.paint(area, end))
    }

    fn paint(&self, area: &Area<'_>, end: f64) -> Drawn {
        let color = qualitative(0);
        let top = self.curves.iter().map(|curve| curve.all_ms.len()).max().unwrap_or(1).max(self.size as usize) as f64;
        let rest = titled(
            area,
            &format!("Spread of {} events over N = {} nodes", self.curves.len(), self.size),
            &format!("setting: {}", self.setting),
        )?;
        let entries = [
            ("one event".to_owned(), crate::plot::style::GREY, Mark::Line(2)),
            ("median over events".to_owned(), color, Mark::Line(6)),
            ("10–90 % of events".to_owned(), color, Mark::Band),
        ];
        let rest = legend(&rest, &entries)?;
        let mut chart = chart(
            &rest,
            &Axis { range: 0.0..end, title: "time since the event's start (ms)", label: &plain, labels: 9 },
            &Axis { range: 0.0..top * 1.04, title: "nodes that know", label: &plain, labels: 9 },
        )?;
        let band = Band::of(self.curves, end, POINTS, |curve, at| curve.informed_at(at) as f64);
        draw_band(&mut chart, &band, color)?;
        for curve in self.curves.iter().take(CURVES_MAX) {
            let style = stroke(crate::plot::style::GREY, 2);
            let style = plotters::style::ShapeStyle { color: style.color.mix(0.35), ..style };
            chart.draw_series(LineSeries::new(steps(&curve.all_ms, end, 1.0), style))?;
        }
        draw_median(&mut chart, &band, color, 6)
    }
}

/// Several runs in one figure: all sizes of a setting, or all settings at a size.
#[derive(Debug, Clone)]
pub struct Overlay<'a> {
    /// File name.
    pub name: String,
    /// What all series share, in words.
    pub common: String,
    /// What a series is: "size" or "setting".
    pub each: &'static str,
    /// Name, colour and curves of each series.
    pub series: Vec<(String, RGBColor, &'a [Curve])>,
}

impl Overlay<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// [`PlotError::Draw`].
    pub fn figure(&self) -> Result<Figure, PlotError> {
        let end = self.series.iter().map(|(_, _, curves)| axis_end(curves).0).fold(1.0, f64::max);
        let cut = |curves: &[Curve]| {
            curves.iter().filter(|curve| curve.reached_ms.last().is_some_and(|last| *last > end)).count()
        };
        let beyond: usize = self.series.iter().map(|(_, _, curves)| cut(curves)).sum();
        let mut caption = format!(
            "Share of the nodes that know of an event versus time, {}: median over the events of each {} and the band between their 10 % and \
             90 % quantiles. Only nodes that were in the cluster and awake throughout are counted.",
            self.common, self.each
        );
        if beyond > 0 {
            caption.push_str(&format!(" {beyond} events reached their last node after the right end of the axis."));
        }
        let alt = format!("Share informed versus time for each {}, {}", self.each, self.common);
        Figure::draw(self.name.clone(), alt, caption, SIZE, |area| self.paint(area, end))
    }

    fn paint(&self, area: &Area<'_>, end: f64) -> Drawn {
        let events = events_in_words(self.series.iter().map(|(_, _, curves)| curves.len()));
        let rest = titled(
            area,
            "Share of nodes informed versus time",
            &format!("{} · {events} events per {} · line: median, band: 10–90 % of events", self.common, self.each),
        )?;
        let entries: Vec<(String, RGBColor, Mark)> =
            self.series.iter().map(|(name, color, _)| (name.clone(), *color, Mark::Line(6))).collect();
        let rest = legend(&rest, &entries)?;
        let percent = |share: &f64| format!("{:.0} %", share * 100.0);
        let mut chart = chart(
            &rest,
            &Axis { range: 0.0..end, title: "time since the event's start (ms)", label: &plain, labels: 9 },
            &Axis { range: 0.0..1.04, title: "nodes that know", label: &percent, labels: 6 },
        )?;
        let bands: Vec<(Band, RGBColor)> = self
            .series
            .iter()
            .map(|(_, color, curves)| (Band::of(curves, end, POINTS, Curve::share_at), *color))
            .collect();
        for (band, color) in &bands {
            draw_band(&mut chart, band, *color)?;
        }
        for (band, color) in &bands {
            draw_median(&mut chart, band, *color, 5)?;
        }
        Ok(())
    }
}

/// "20", or "18 to 20" where the runs differ.
#[must_use]
pub fn events_in_words(counts: impl Iterator<Item = usize> + Clone) -> String {
    let (least, most) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
    if least == most { format!("{least}") } else { format!("{least} to {most}") }
}

fn draw_band(chart: &mut Chart<'_, '_>, band: &Band, color: RGBColor) -> Drawn {
    let upper = band.at_ms.iter().copied().zip(band.high.iter().copied());
    let lower = band.at_ms.iter().copied().zip(band.low.iter().copied()).rev();
    let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
    if outline.is_empty() {
        return Ok(());
    }
    chart.draw_series([Polygon::new(outline, color.mix(0.16).filled())]).map(|_| ())
}

fn draw_median(chart: &mut Chart<'_, '_>, band: &Band, color: RGBColor, thick: u32) -> Drawn {
    let line = band.at_ms.iter().copied().zip(band.median.iter().copied());
    chart.draw_series(LineSeries::new(line, stroke(color, thick))).map(|_| ())
}

/// The corners of a step curve that rises by `height` at each of `times`, up to `end`. Times that fall on one pixel of the
/// canvas make one step.
fn steps(times: &[f64], end: f64, height: f64) -> Vec<(f64, f64)> {
    let pixel = end / f64::from(SIZE.0);
    let mut corners: Vec<(f64, f64)> = vec![(0.0, 0.0)];
    let mut level = 0.0;
    for &time in times.iter().take_while(|time| **time <= end) {
        let last = corners[corners.len() - 1];
        if time - last.0 > pixel {
            corners.push((time, level));
            corners.push((time, level + height));
        } else {
            let top = corners.len() - 1;
            corners[top].1 = level + height;
        }
        level += height;
    }
    corners.push((end, level));
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_curve_rises_where_a_node_learns_and_stays_level_between() {
        let corners = steps(&[0.0, 400.0, 900.0], 800.0, 1.0);
        assert_eq!(corners, [(0.0, 1.0), (400.0, 1.0), (400.0, 2.0), (800.0, 2.0)]);
    }

    #[test]
    fn steps_within_one_pixel_are_one_step_of_the_full_height() {
        let corners = steps(&[0.0, 400.0, 400.1, 400.2], 1600.0, 1.0);
        assert_eq!(corners, [(0.0, 1.0), (400.0, 1.0), (400.0, 4.0), (1600.0, 4.0)]);
    }
}
