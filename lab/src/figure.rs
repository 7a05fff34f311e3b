//! One figure: what was measured, how sure that is, what was promised, and whether it was kept.
//!
//! Knows nothing of how anything is measured.

/// What was promised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// So much, or less.
    AtMost(f64),
    /// So much, or more.
    AtLeast(f64),
    /// Nothing: shown because it explains another figure.
    None,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it is of.
    pub what: String,
    /// Unit of everything in it; empty for a ratio.
    pub unit: &'static str,
    /// The value.
    pub measured: f64,
    /// Its 95 % interval, where it is known.
    pub interval: Option<(f64, f64)>,
    /// What was promised.
    pub goal: Goal,
    /// What stands beside it: a rival's value in the same run.
    pub beside: String,
}

impl Figure {
    /// A single value without an interval.
    pub fn plain(what: impl Into<String>, measured: f64, unit: &'static str, goal: Goal) -> Self {
        Self { what: what.into(), unit, measured, interval: None, goal, beside: String::new() }
    }

    /// The same, with what stands beside it.
    #[must_use]
    pub fn beside(self, beside: impl Into<String>) -> Self {
        Self { beside: beside.into(), ..self }
    }

    /// Whether the promise was kept: by the whole interval where there is one, so that luck does not count. `None` without a promise.
    pub fn met(&self) -> Option<bool> {
        let (low, high) = self.interval.unwrap_or((self.measured, self.measured));
        match self.goal {
            Goal::AtMost(most) => Some(high <= most),
            Goal::AtLeast(least) => Some(low >= least),
            Goal::None => None,
        }
    }

    /// The row as it is printed.
    pub fn row(&self) -> String {
        let Self { what, unit, measured, .. } = self;
        let goal = match self.goal {
            Goal::AtMost(most) => format!("<= {most} {unit}"),
            Goal::AtLeast(least) => format!(">= {least} {unit}"),
            Goal::None => String::new(),
        };
        let verdict = match self.met() {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        let interval = self.interval.map_or_else(String::new, |(low, high)| format!("{low:.3} .. {high:.3}"));
        let measured = format!("{measured:.3} {unit}");
        format!("{what:52} {measured:>14} {interval:>18} {goal:>12}  {verdict:7}  {}", self.beside)
            .trim_end()
            .to_owned()
    }

    /// The line above the rows.
    pub fn heading() -> String {
        format!("{:52} {:>14} {:>18} {:>12}", "figure", "measured", "95 % interval", "goal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(interval: Option<(f64, f64)>, goal: Goal) -> Figure {
        Figure { what: "ratio".to_owned(), unit: "", measured: 0.99, interval, goal, beside: String::new() }
    }

    #[test]
    fn a_promise_is_kept_by_the_whole_interval() {
        assert_eq!(ratio(None, Goal::AtLeast(0.98)).met(), Some(true));
        assert_eq!(ratio(Some((0.981, 1.0)), Goal::AtLeast(0.98)).met(), Some(true));
        assert_eq!(ratio(Some((0.979, 1.0)), Goal::AtLeast(0.98)).met(), Some(false), "it may be less");
        assert_eq!(ratio(Some((0.98, 1.02)), Goal::AtMost(1.0)).met(), Some(false), "it may be more");
        assert_eq!(ratio(Some((0.98, 1.0)), Goal::AtMost(1.0)).met(), Some(true));
        assert_eq!(ratio(None, Goal::None).met(), None);
    }

    #[test]
    fn what_is_not_met_is_said() {
        let row = ratio(Some((0.979, 1.001)), Goal::AtLeast(0.98)).row();
        assert!(row.ends_with("NOT MET") && row.contains(">= 0.98") && row.contains("0.979 .. 1.001"), "{row}");
        let row = ratio(None, Goal::None).row();
        assert!(row.ends_with("0.990"), "{row}");
    }
}
