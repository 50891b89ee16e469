//! Figures become a table for people or JSON for programs, on stdout.

use std::fmt::Write as _;
use std::io::Write;

use serde_json::{Value, json};

use crate::quartiles::Quartiles;

/// What was measured, and how.
pub(crate) struct Report {
    /// Under which conditions, for people.
    pub(crate) head: String,
    /// What came out.
    pub(crate) rows: Vec<Row>,
}

/// One figure.
pub(crate) struct Row {
    /// What it is, with its unit.
    pub(crate) name: String,
    /// What each arm came to.
    pub(crate) figures: Vec<(&'static str, Quartiles)>,
    /// Medians of what was reckoned within each round.
    pub(crate) ratios: Vec<(&'static str, Quartiles)>,
}

impl Report {
    /// Prints it, in the form that the flag `--json` asks for.
    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        say(&if as_json { self.to_json().to_string() } else { self.to_text() })
    }

    fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.head);
        for Row { name, figures, ratios } in &self.rows {
            let figures: Vec<String> =
                figures.iter().map(|(arm, figure)| format!("{arm} {:.2}", figure.median)).collect();
            let _ = writeln!(text, "{name}: {}", figures.join(", "));
            for (meaning, Quartiles { low, median, high }) in ratios {
                let _ = writeln!(text, "  {meaning} = {median:.3} ({low:.3}–{high:.3})");
            }
        }
        text
    }

    fn to_json(&self) -> Value {
        let named = |figures: &[(&'static str, Quartiles)]| -> Value {
            figures.iter().map(|(name, figure)| ((*name).to_owned(), figure.to_json())).collect()
        };
        let row = |row: &Row| json!({ "name": row.name, "figures": named(&row.figures), "ratios": named(&row.ratios) });
        json!({ "run": self.head, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

/// Prints a text.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        // A reader that has gone away has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
