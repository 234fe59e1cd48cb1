//! The report's chapter on time against the number of nodes: figures, fits, what they can tell, and the prediction.

use event_log::protocol::FanoutLaw;

use crate::fit::{CAVEAT, Conclusion};
use crate::metrics::times::{SHARE_NAMES, Summary};
use crate::plot::PlotError;
use crate::plot::scaling::{Panel, Scaling, SettingLine, settings};
use crate::plot::spread::events_in_words;
use crate::report::format::{NONE, interval, ms, or_none, significant};
use crate::report::{Block, Table};
use crate::study::{SettingStudy, Study};

/// What each of the four shares is called in a sentence.
const SHARE_WORDS: [&str; 4] = ["50 %", "90 %", "99 %", "100 %"];

fn points(study: &Study, setting: &SettingStudy, share: usize) -> Vec<(u32, Summary)> {
    setting
        .runs
        .iter()
        .filter_map(|place| {
            Some((study.experiment.runs[*place].key.size, *study.metrics[*place].times.summary.get(share)?))
        })
        .collect()
}

/// Builds the chapter.
///
/// # Errors
/// When a figure cannot be drawn.
pub fn growth(study: &Study, blocks: &mut Vec<Block>) -> Result<(), PlotError> {
    blocks.push(Block::Heading(2, "Time against the number of nodes".to_owned()));
    if study.settings.is_empty() {
        blocks.push(Block::Text("There are no events in the log, so there are no times.".to_owned()));
        return Ok(());
    }
    blocks.push(Block::Text(format!("How to read the fits. {CAVEAT}")));
    for setting in &study.settings {
        blocks.push(Block::Heading(3, format!("Growth, setting \"{}\"", setting.name)));
        let note = prediction_note(setting);
        if setting.runs.len() > 1 {
            let panels: Vec<Panel> = (0..4)
                .map(|share| Panel {
                    title: format!("time to inform {} ({})", SHARE_WORDS[share], SHARE_NAMES[share]),
                    points: points(study, setting, share),
                    fits: setting.fits[share].clone(),
                    theory: setting.prediction.as_ref().map_or_else(
                        |_| Vec::new(),
                        |prediction| prediction.sizes.iter().map(|size| (size.size, size.medians_ms[share])).collect(),
                    ),
                })
                .collect();
            let name = format!("scaling-{}", setting.slug);
            let events = events_in_words(setting.runs.iter().map(|place| study.metrics[*place].curves.len()));
            let figure =
                Scaling { name: &name, setting: &setting.name, panels: &panels, events: &events, theory_note: &note }
                    .figure()?;
            blocks.push(Block::Figure(figure));
        }
        blocks.push(Block::Table(times_table(study, setting)));
        verdicts(setting, blocks);
        prediction(setting, &note, blocks);
    }
    if study.settings.len() > 1 {
        blocks.push(Block::Heading(3, "All settings".to_owned()));
        for share in [2, 3] {
            let lines: Vec<SettingLine> =
                study.settings.iter().map(|setting| (setting.name.clone(), points(study, setting, share))).collect();
            let name = format!("settings-{}", SHARE_NAMES[share]);
            blocks.push(Block::Figure(settings(&name, SHARE_WORDS[share], &lines)?));
        }
    }
    Ok(())
}

fn times_table(study: &Study, setting: &SettingStudy) -> Table {
    let mut head = vec!["N".to_owned(), "events".to_owned()];
    for name in SHARE_NAMES {
        head.extend([format!("{name} ms"), "95 % interval".to_owned()]);
    }
    head.push("never reached 100 %".to_owned());
    let mut table = Table { head, rows: Vec::new() };
    for place in &setting.runs {
        let (run, times) = (&study.experiment.runs[*place], &study.metrics[*place].times);
        let mut row = vec![run.key.size.to_string(), times.events.len().to_string()];
        for summary in &times.summary {
            row.extend([ms(summary.median), interval(summary.interval)]);
        }
        row.push(or_none(times.summary.last(), |summary| summary.censored.to_string()));
        table.row(row);
    }
    table
}

fn verdicts(setting: &SettingStudy, blocks: &mut Vec<Block>) {
    let mut table =
        Table::new(&["share", "law", "a ms", "95 % interval", "b ms", "95 % interval", "χ²", "AIC against the other"]);
    let mut reasons: Vec<String> = Vec::new();
    for (share, fits) in setting.fits.iter().enumerate() {
        match fits {
            Ok(fits) => {
                for (fit, sign) in [(&fits.log, -1.0), (&fits.loglog, 1.0)] {
                    table.row(vec![
                        SHARE_NAMES[share].to_owned(),
                        fit.law.formula().to_owned(),
                        significant(fit.line.a),
                        interval(fit.a),
                        significant(fit.line.b),
                        interval(fit.b),
                        significant(fit.line.chi2),
                        significant(sign * fits.delta_aic),
                    ]);
                }
                let mut text = format!("{}: {}", SHARE_NAMES[share], fits.verdict());
                if !fits.left_out.is_empty() {
                    let sizes: Vec<String> = fits.left_out.iter().map(ToString::to_string).collect();
                    text.push_str(&format!(
                        " Left out (fewer than three events, or a median that was never reached): N = {}.",
                        sizes.join(", ")
                    ));
                }
                reasons.push(text);
            }
            Err(reason) => reasons.push(format!("{}: {reason}", SHARE_NAMES[share])),
        }
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    // The same reason for all four shares is said once.
    let mut said: Vec<String> = setting.fits.iter().filter_map(|fits| fits.as_ref().err().cloned()).collect();
    said.dedup();
    if said.len() == 1 && setting.fits.iter().all(Result::is_err) {
        blocks.push(Block::Text(said.remove(0)));
    } else {
        blocks.push(Block::Text("What these sizes can and cannot tell apart:".to_owned()));
        blocks.push(Block::List(reasons));
    }
}

fn prediction_note(setting: &SettingStudy) -> String {
    match &setting.prediction {
        Err(reason) => reason.clone(),
        Ok(prediction) => {
            let model = &prediction.model;
            let slope = or_none(prediction.doubling_ms, |doubling| {
                format!(
                    " Without probes its growth phase takes {} ms per doubling of N (eigenvalue equation in analysis/src/theory/phases.rs).",
                    significant(doubling)
                )
            });
            format!(
                "Rings: {} with random phases simulated node by node, no fitted parameter: fan-out {}, interval {} ms, loss {} %, one-way \
                 latency {} ms, a probe per node every {} ms, an event told by a node as often as the protocol says, all from the plan. It does \
                 not know processing time.{}",
                model.how.name(),
                FanoutLaw(model.fanout),
                significant(model.interval_ms),
                significant(model.loss * 100.0),
                significant(model.latency_ms()),
                or_none(model.probes, |probes| significant(probes.period_ms)),
                if slope == NONE { String::new() } else { slope }
            )
        }
    }
}

fn prediction(setting: &SettingStudy, note: &str, blocks: &mut Vec<Block>) {
    let Ok(prediction) = &setting.prediction else {
        blocks.push(Block::Text(note.to_owned()));
        return;
    };
    let mut head = vec!["N".to_owned()];
    for name in SHARE_NAMES {
        head.extend([format!("{name} predicted ms"), "p-value".to_owned()]);
    }
    let mut table = Table { head, rows: Vec::new() };
    for size in &prediction.sizes {
        let mut row = vec![size.size.to_string()];
        for (median, (_, p)) in size.medians_ms.iter().zip(&size.tests) {
            row.extend([ms(*median), if *p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }]);
        }
        table.row(row);
    }
    blocks.push(Block::Text(format!(
        "Theory beside the fit. {note} The p-values are of Kolmogorov and Smirnov's test of the measured times against the simulated ones: a \
         small one says that the cluster does something that the model does not."
    )));
    blocks.push(Block::Table(table));
}

/// How the prediction without fitted parameters fares at the largest size, in one sentence.
#[must_use]
pub fn agreement(setting: &SettingStudy) -> String {
    let Some(size) = setting.prediction.as_ref().ok().and_then(|prediction| prediction.sizes.last()) else {
        return String::new();
    };
    let (_, p) = size.tests[2];
    let p = if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") };
    format!(
        " Theory without fitted parameters has a median t99 of {} ms at N = {} ({p}).",
        ms(size.medians_ms[2]),
        size.size
    )
}

/// What the times to reach 99 % say about the law, in one sentence. (The last node's time has the wider spread, and in small
/// clusters is the same.)
#[must_use]
pub fn law(setting: &SettingStudy) -> String {
    match setting.fits.get(2) {
        Some(Ok(fits)) => {
            let (first, last) = fits.range();
            let sizes = format!("N = {first} to {last}");
            match fits.conclusion() {
                Conclusion::TwoSizes => "Two sizes cannot compare laws of growth.".to_owned(),
                Conclusion::CannotTell => format!("{sizes} cannot tell log N from log log N (t99)."),
                Conclusion::TooClose => format!("On {sizes} log N and log log N fit t99 about equally well."),
                Conclusion::Prefers(law) => {
                    format!("On {sizes} t99 fits {} better (AIC by {:.1}).", law.name(), fits.delta_aic.abs())
                }
            }
        }
        Some(Err(reason)) => reason.clone(),
        None => String::new(),
    }
}
