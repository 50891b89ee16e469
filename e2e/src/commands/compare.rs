//! What came of a command beside what was expected, and what is kept of it for later rows.

use std::collections::BTreeMap;
use std::process::Output;

use anyhow::{Context, bail, ensure};

use super::rows::{Row, Stdout};

/// Texts under their names.
pub(super) struct Kept(BTreeMap<String, String>);

impl Kept {
    pub(super) fn new<const N: usize>(known: [(&str, &str); N]) -> Self {
        Self(known.map(|(name, text)| (name.to_owned(), text.to_owned())).into())
    }

    /// Puts what was kept into a text, for each `$name`.
    pub(super) fn fill(&self, text: &str) -> anyhow::Result<String> {
        let mut parts = text.split('$');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            filled += self.0.get(name).with_context(|| format!("nothing was kept as {name}"))?;
            filled += rest;
        }
        Ok(filled)
    }

    /// Fails unless all is as the row wants it.
    pub(super) fn compare(&mut self, row: &Row, output: &Output) -> anyhow::Result<()> {
        let stdout = std::str::from_utf8(&output.stdout)?;
        let stderr = std::str::from_utf8(&output.stderr)?;
        ensure!(output.status.code() == Some(row.exit), "exit {} was expected", row.exit);
        match &row.stdout {
            Stdout::Nothing => ensure!(stdout.is_empty(), "nothing was expected on stdout"),
            Stdout::Is(text) => ensure!(stdout == self.fill(text)? + "\n", "{text:?}"),
            Stdout::Ends(text) => ensure!(stdout.ends_with(&(self.fill(text)? + "\n")), "{text:?}"),
            Stdout::Keep(name) => {
                let line = stdout.strip_suffix('\n').context("no whole line")?;
                ensure!(!line.is_empty() && !line.contains(char::is_whitespace), "not one word");
                self.0.insert((*name).to_owned(), line.to_owned());
            }
            Stdout::Pairs(rows) => self.pairs(rows, stdout)?,
            Stdout::Grid(rows) => self.grid(rows, stdout)?,
        }
        for expected in row.stderr {
            self.line(expected, stderr).with_context(|| format!("on stderr: {expected}"))?;
        }
        Ok(())
    }

    fn line(&mut self, expected: &str, stderr: &str) -> anyhow::Result<()> {
        if let Some((head, name)) = expected.split_once("$=") {
            let rest =
                stderr.lines().find_map(|line| line.strip_prefix(head)).context("no line")?;
            self.0.insert(name.to_owned(), rest.to_owned());
            return Ok(());
        }
        let expected = self.fill(expected)?;
        let is_it = |line: &str| match expected.split_once('…') {
            Some((head, tail)) => line.starts_with(head) && line.ends_with(tail),
            None => line == expected,
        };
        ensure!(stderr.lines().any(is_it), "no line");
        Ok(())
    }

    /// The layout `plain` of Python's tabulate: two columns, two blanks between them.
    fn pairs(&self, rows: &[&str], stdout: &str) -> anyhow::Result<()> {
        let names = rows.iter().filter_map(|row| row.split('|').next());
        let width = names.map(str::len).max().unwrap_or_default() + 2;
        let lines: Vec<_> = stdout.lines().collect();
        ensure!(lines.len() == rows.len(), "{} lines were expected", rows.len());
        for (row, line) in rows.iter().zip(lines) {
            let (name, value) = row.split_once('|').context("no pair")?;
            let value = self.fill(value)?;
            match &*value {
                "*" => ensure!(line.starts_with(&format!("{name:width$}")) && line.len() > width),
                value => ensure!(line == format!("{name:width$}{value}").trim_end(), "{row}"),
            }
        }
        Ok(())
    }

    fn grid(&self, rows: &[&str], stdout: &str) -> anyhow::Result<()> {
        let mut found = cells(stdout)?;
        let (names, rows) = rows.split_first().context("no names")?;
        ensure!(self.fits(&found.remove(0), names)?, "{names}");
        ensure!(found.len() == rows.len(), "{} rows were expected", rows.len());
        for row in rows {
            let mut at = None;
            for (n, cells) in found.iter().enumerate() {
                at = if self.fits(cells, row)? { Some(n) } else { at };
            }
            found.swap_remove(at.with_context(|| format!("no row {row}"))?);
        }
        Ok(())
    }

    fn fits(&self, cells: &[&str], row: &str) -> anyhow::Result<bool> {
        let row = self.fill(row)?;
        let expected: Vec<_> = row.split('|').collect();
        let fits = |(cell, expected): (&&str, &&str)| match *expected {
            "*" => !cell.trim().is_empty(),
            expected => cell.trim_end() == expected,
        };
        Ok(cells.len() == expected.len() && cells.iter().zip(&expected).all(fits))
    }
}

/// The cells of the layout `pretty` of Python's tabulate, which is as wide as they are.
fn cells(grid: &str) -> anyhow::Result<Vec<Vec<&str>>> {
    let lines: Vec<_> = grid.lines().collect();
    let [rule, names, second_rule, content @ .., last_rule] = &*lines else { bail!("no grid") };
    let mut rows = Vec::new();
    for line in std::iter::once(names).chain(content) {
        let cells = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
        let cells: Vec<_> = cells.context("no borders")?.split(" | ").collect();
        let width = |cell: &&str| "-".repeat(cell.chars().count() + 2);
        let expected = format!("+{}+", cells.iter().map(width).collect::<Vec<_>>().join("+"));
        ensure!([rule, second_rule, last_rule].iter().all(|rule| **rule == expected), "{line}");
        rows.push(cells);
    }
    let is_tight = |column: usize| rows.iter().any(|row| !row[column].ends_with(' '));
    ensure!((0..rows[0].len()).all(is_tight), "a column is wider than its cells");
    Ok(rows)
}
