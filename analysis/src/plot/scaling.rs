//! Times against N: the medians with their intervals, both reference curves with their coefficients, and the prediction.

use plotters::element::{Circle, PathElement, Text};
use plotters::prelude::{DashedLineSeries, LineSeries};
use plotters::style::{Color, RGBColor};

use crate::fit::{Comparison, Fitted, Law};
use crate::metrics::times::Summary;
use crate::plot::style::{
    Area, Axis, Chart, Drawn, GREY, INK, MIDDLE_LEFT, Mark, TOP_LEFT, chart, draw_mark, legend, plain, qualitative,
    stroke, text_style, titled,
};
use crate::plot::{Figure, PlotError};

/// One panel: one share of the nodes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Headline: "time to inform 50 %".
    pub title: String,
    /// Size and summary of each run.
    pub points: Vec<(u32, Summary)>,
    /// Fits, or why there are none.
    pub fits: Result<Comparison, String>,
    /// Size and predicted median, milliseconds.
    pub theory: Vec<(u32, f64)>,
}

/// A setting's figure: four panels.
#[derive(Debug, Clone)]
pub struct Scaling<'a> {
    /// File name.
    pub name: &'a str,
    /// Name of the setting.
    pub setting: &'a str,
    /// The panels.
    pub panels: &'a [Panel],
    /// Events per size, in words.
    pub events: &'a str,
    /// What is said about the prediction below the figure.
    pub theory_note: &'a str,
}

const LOG: RGBColor = crate::plot::style::QUALITATIVE[0];
const LOGLOG: RGBColor = crate::plot::style::QUALITATIVE[1];
const THEORY: RGBColor = crate::plot::style::QUALITATIVE[2];

impl Scaling<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// [`PlotError::Draw`].
    pub fn figure(&self) -> Result<Figure, PlotError> {
        let caption = format!(
            "Time to inform 50, 90, 99 and 100 % of the nodes against N, setting \"{}\": median over events with its 95 % bootstrap \
             interval; weighted least-squares fits of a + b·log2 N (solid) and a + b·log2 log2 N (dashed) with 95 % intervals of the \
             coefficients. {}",
            self.setting, self.theory_note
        );
        let alt = format!("Times against N with fitted reference curves, {}", self.setting);
        Figure::draw(self.name.to_owned(), alt, caption, (1800, 1640), |area| self.paint(area))
    }

    fn paint(&self, area: &Area<'_>) -> Drawn {
        let rest = titled(
            area,
            "Time to inform a share of the nodes against N",
            &format!("setting: {} · {} events per size", self.setting, self.events),
        )?;
        let mut entries = vec![("median over events, 95 % interval".to_owned(), INK, Mark::Point)];
        if self.panels.iter().any(|panel| panel.fits.is_ok()) {
            entries.push(("fit in log N".to_owned(), LOG, Mark::Line(4)));
            entries.push(("fit in log log N".to_owned(), LOGLOG, Mark::Dashed));
        }
        if self.panels.iter().any(|panel| !panel.theory.is_empty()) {
            entries.push(("theory, no fitted parameter".to_owned(), THEORY, Mark::Ring));
        }
        let rest = legend(&rest, &entries)?;
        for (place, panel) in rest.split_evenly((2, 2)).iter().zip(self.panels) {
            panel.paint(place)?;
        }
        Ok(())
    }
}

impl Panel {
    fn paint(&self, area: &Area<'_>) -> Drawn {
        area.draw(&Text::new(self.title.clone(), (30, 14), text_style(27.0, INK, true, TOP_LEFT)))?;
        match &self.fits {
            Ok(fits) => {
                label(area, 62, &fits.log, LOG, Mark::Line(4))?;
                label(area, 92, &fits.loglog, LOGLOG, Mark::Dashed)?;
            }
            Err(_) => {
                area.draw(&Text::new("no fit, see the text", (30, 52), text_style(21.0, GREY, false, TOP_LEFT)))?;
            }
        }
        let rest = area.split_vertically(108).1;
        let shown: Vec<&(u32, Summary)> =
            self.points.iter().filter(|(_, summary)| summary.median.is_finite()).collect();
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else { return Ok(()) };
        let sizes: Vec<f64> = self.points.iter().map(|(size, _)| f64::from(*size).log2()).collect();
        let tops = shown.iter().map(|(_, s)| if s.interval.high.is_finite() { s.interval.high } else { s.median });
        let top = tops.chain(self.theory.iter().map(|(_, time)| *time)).fold(1.0, f64::max);
        let range = f64::from(first.0).log2() - 0.35..f64::from(last.0).log2() + 0.35;
        // Only measured sizes get a label: the axis is linear in log2 N and its marks are drawn below.
        let blank = |_: &f64| String::new();
        let mut chart = chart(
            &rest,
            &Axis { range: range.clone(), title: "number of nodes N (log scale)", label: &blank, labels: 0 },
            &Axis { range: 0.0..top * 1.08, title: "time (ms)", label: &plain, labels: 7 },
        )?;
        self.ticks(&rest, &chart, &sizes)?;
        if let Ok(fits) = &self.fits {
            let curve = |fit: Fitted| {
                let (low, high) = (range.start + 0.15, range.end - 0.15);
                // Few corners: a whole-pixel canvas shows each one. A line has none.
                let corners = if fit.law == Law::Log { 1 } else { 16 };
                (0..=corners)
                    .map(move |step| low + (high - low) * f64::from(step) / f64::from(corners))
                    .map(move |x| (x, fit.at(2f64.powf(x))))
                    .filter(|(_, y)| *y >= 0.0)
            };
            chart.draw_series(LineSeries::new(curve(fits.log), stroke(LOG, 4)))?;
            chart.draw_series(DashedLineSeries::new(curve(fits.loglog), 12, 8, stroke(LOGLOG, 4)))?;
        }
        for (size, time) in &self.theory {
            chart.draw_series([Circle::new((f64::from(*size).log2(), *time), 10, stroke(THEORY, 4))])?;
        }
        for (size, summary) in shown {
            let x = f64::from(*size).log2();
            let high = summary.interval.high.min(top * 1.08);
            chart.draw_series([PathElement::new(vec![(x, summary.interval.low), (x, high)], stroke(INK, 3))])?;
            chart.draw_series([Circle::new((x, summary.median), 7, INK.filled())])?;
        }
        Ok(())
    }

    fn ticks(&self, area: &Area<'_>, chart: &Chart<'_, '_>, sizes: &[f64]) -> Drawn {
        let (left, top) = area.get_base_pixel();
        let mut free = i32::MIN;
        for (x, (size, _)) in sizes.iter().zip(&self.points) {
            let (px, py) = chart.backend_coord(&(*x, 0.0));
            let (px, py) = (px - left, py - top);
            area.draw(&PathElement::new(vec![(px, py), (px, py + 8)], stroke(GREY, 2)))?;
            let half = crate::plot::style::width(&size.to_string(), 22.0) / 2;
            if px - half > free {
                area.draw(&Text::new(
                    size.to_string(),
                    (px, py + 12),
                    text_style(22.0, INK, false, crate::plot::style::TOP_CENTER),
                ))?;
                free = px + half + 8;
            }
        }
        Ok(())
    }
}

fn label(area: &Area<'_>, y: i32, fit: &Fitted, color: RGBColor, mark: Mark) -> Drawn {
    draw_mark(area, (30, y), color, mark)?;
    let variable = match fit.law {
        Law::Log => "log2 N",
        Law::LogLog => "log2 log2 N",
    };
    let text = format!(
        "t = {:.0} [{:.0}, {:.0}] + {:.1} [{:.1}, {:.1}] · {variable} ms",
        fit.line.a, fit.a.low, fit.a.high, fit.line.b, fit.b.low, fit.b.high
    )
    .replace("-0 ", "0 ")
    .replace("[-0,", "[0,")
    .replace("-0]", "0]")
    .replace('-', "−");
    area.draw(&Text::new(text, (92, y), text_style(21.0, INK, false, MIDDLE_LEFT)))
}

/// One line per setting: name, and size with summary of each run.
pub type SettingLine = (String, Vec<(u32, Summary)>);

/// All settings side by side: the medians of one share against N.
///
/// # Errors
/// [`PlotError::Draw`].
pub fn settings(name: &str, share: &str, lines: &[SettingLine]) -> Result<Figure, PlotError> {
    let caption = format!(
        "Median time to inform {share} of the nodes against N for every setting, with 95 % bootstrap intervals. A median that was never \
         reached is left out."
    );
    let alt = format!("Median time to inform {share} of the nodes against N for every setting");
    Figure::draw(name.to_owned(), alt, caption, (1600, 1000), |area| {
        let rest = titled(
            area,
            &format!("Time to inform {share} of the nodes, by setting"),
            "median over events, 95 % interval",
        )?;
        let entries: Vec<(String, RGBColor, Mark)> =
            lines.iter().enumerate().map(|(i, (name, _))| (name.clone(), qualitative(i), Mark::Line(5))).collect();
        let rest = legend(&rest, &entries)?;
        let mut sizes: Vec<u32> = lines.iter().flat_map(|(_, points)| points.iter().map(|(size, _)| *size)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return Ok(()) };
        let finite = |summary: &&(u32, Summary)| summary.1.median.is_finite();
        let top = lines
            .iter()
            .flat_map(|(_, points)| points.iter().filter(finite))
            .map(|(_, s)| if s.interval.high.is_finite() { s.interval.high } else { s.median })
            .fold(1.0, f64::max);
        let blank = |_: &f64| String::new();
        let range = f64::from(*first).log2() - 0.35..f64::from(*last).log2() + 0.35;
        let mut chart = chart(
            &rest,
            &Axis { range, title: "number of nodes N (log scale)", label: &blank, labels: 0 },
            &Axis { range: 0.0..top * 1.08, title: "time (ms)", label: &plain, labels: 8 },
        )?;
        let panel = Panel {
            title: String::new(),
            points: sizes.iter().filter_map(|size| Some((*size, lines.iter().find_map(|l| l.1.first())?.1))).collect(),
            fits: Err(String::new()),
            theory: Vec::new(),
        };
        let places: Vec<f64> = sizes.iter().map(|size| f64::from(*size).log2()).collect();
        panel.ticks(&rest, &chart, &places)?;
        for (index, (_, points)) in lines.iter().enumerate() {
            // Side by side, so that intervals at one size do not hide each other.
            let shift = (index as f64 - (lines.len() - 1) as f64 / 2.0) * 0.06;
            let color = qualitative(index);
            let place = |size: u32| f64::from(size).log2() + shift;
            let shown: Vec<&(u32, Summary)> = points.iter().filter(finite).collect();
            chart.draw_series(LineSeries::new(shown.iter().map(|(n, s)| (place(*n), s.median)), stroke(color, 4)))?;
            for (size, summary) in shown {
                let ends =
                    vec![(place(*size), summary.interval.low), (place(*size), summary.interval.high.min(top * 1.08))];
                chart.draw_series([PathElement::new(ends, stroke(color, 3))])?;
                chart.draw_series([Circle::new((place(*size), summary.median), 7, color.filled())])?;
            }
        }
        Ok(())
    })
}
