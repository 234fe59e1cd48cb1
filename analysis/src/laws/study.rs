//! What each strategy's rounds come to.

use super::fits::{Fit, Form, Point, Window, fit, mistaken, out_of_sample, points, slope_ratio, windows};
use super::runs::{Quantity, Series};
use crate::stats::rng;

/// A quantity of a strategy against N.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// What.
    pub quantity: Quantity,
    /// The means.
    pub points: Vec<Point>,
    /// The laws of one term, in the order of [`Form::ALL`]; those that cannot be fitted left out.
    pub fits: Vec<(Form, Fit)>,
    /// The law of both terms, on windows that begin ever later.
    pub windows: Vec<Window>,
    /// See [`slope_ratio`].
    pub slope_ratio: Option<f64>,
    /// See [`out_of_sample`], from a million on.
    pub out_of_sample: Vec<(Form, f64)>,
    /// How often log N would be taken for log log N and the other way round.
    pub mistaken: Option<(f64, f64)>,
}

/// The largest N that laws are fitted on to predict the rest.
pub const KNOWN: f64 = 1e6;

impl Growth {
    /// Studies a quantity. The label seeds what is random.
    #[must_use]
    pub fn of(series: &Series, quantity: Quantity, seed: u64) -> Self {
        let mut rng = rng(seed, &format!("laws/{}/{}", series.title(), quantity.name()));
        let points = points(series, quantity);
        let fits: Vec<(Form, Fit)> =
            Form::ALL.into_iter().filter_map(|form| Some((form, fit(form, &points)?))).collect();
        let power = mistaken(Form::Log, Form::LogLog, &points, &mut rng).zip(mistaken(
            Form::LogLog,
            Form::Log,
            &points,
            &mut rng,
        ));
        Self {
            quantity,
            windows: windows(series, quantity, &mut rng),
            slope_ratio: slope_ratio(&points),
            out_of_sample: out_of_sample(&points, KNOWN),
            mistaken: power.filter(|_| points.len() > 2),
            fits,
            points,
        }
    }

    /// The law that Akaike's criterion prefers.
    #[must_use]
    pub fn preferred(&self) -> Option<Form> {
        self.fits.iter().min_by(|a, b| a.1.aic.total_cmp(&b.1.aic)).map(|(form, _)| *form)
    }

    /// How much worse than the best a law is by AIC.
    #[must_use]
    pub fn delta_aic(&self, form: Form) -> Option<f64> {
        let best = self.fits.iter().map(|(_, fit)| fit.aic).min_by(f64::total_cmp)?;
        self.fits.iter().find(|(other, _)| *other == form).map(|(_, fit)| fit.aic - best)
    }

    /// The law whose prediction misses least.
    #[must_use]
    pub fn predicts(&self) -> Option<(Form, f64)> {
        self.out_of_sample.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The last window, that of the largest sizes.
    #[must_use]
    pub fn last_window(&self) -> Option<&Window> {
        self.windows.last()
    }

    /// What follows, in words.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(ratio) = self.slope_ratio else { return Verdict::TooSmall };
        let falls =
            self.windows.first().zip(self.windows.last()).is_some_and(|(first, last)| last.b.0 < 0.6 * first.b.0);
        match ratio {
            ratio if ratio >= 0.8 => Verdict::Log,
            ratio if ratio < 0.5 && (falls || self.preferred() != Some(Form::Log)) => Verdict::BelowLog,
            _ => Verdict::Undecided,
        }
    }
}

/// What the sizes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The slope in log N is at 10¹⁸ what it is at 10⁵: Θ(log N).
    Log,
    /// The slope in log N falls, and goes on falling: o(log N).
    BelowLog,
    /// Neither clearly.
    Undecided,
    /// The sizes do not reach where the laws part.
    TooSmall,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Log => "grows like log N",
            Self::BelowLog => "grows more slowly than log N",
            Self::Undecided => "undecided",
            Self::TooSmall => "sizes too small to tell",
        }
    }
}

/// A strategy and its growth.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// The runs.
    pub series: Series,
    /// Rounds to all.
    pub all: Growth,
    /// Rounds to half: the growth phase.
    pub half: Growth,
    /// Rounds from half to all: the end phase.
    pub end: Growth,
}

impl Study {
    /// Studies one strategy.
    #[must_use]
    pub fn of(series: Series, seed: u64) -> Self {
        let growth = |quantity| Growth::of(&series, quantity, seed);
        Self { all: growth(Quantity::All), half: growth(Quantity::Half), end: growth(Quantity::End), series }
    }
}
