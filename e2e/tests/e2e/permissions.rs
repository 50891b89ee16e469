//! Who may do what, as clients see it: every operation of IAM is asked by everybody, about
//! everything that makes a difference, over HTTP and over a socket.
//!
//! What came out is `docs/PERMISSIONS.md`, compared cell by cell; `UPDATE_EXPECT=1` writes it
//! again. A reviewer reads that page beside the rules; this test only says that it is true.

mod page;
mod cast;
mod forms;
mod form;
mod cell;

use std::collections::BTreeSet;

use expect_test::expect_file;
use tokio::sync::OnceCell;
use tollgate_proto::iam::known_operations;

use cast::Cast;
use cell::{Cell, Role};
use form::{Form, Target};
use forms::{NOT_OFFERED, SECTIONS};

/// A line of the matrix.
struct Line {
    section: &'static str,
    form: &'static Form,
    target: Target,
    cells: Vec<(Role, Cell)>,
}

/// Every line. They are probed once, for all tests of this file.
async fn matrix() -> anyhow::Result<&'static [Line]> {
    static MATRIX: OnceCell<Vec<Line>> = OnceCell::const_new();
    Ok(MATRIX.get_or_try_init(probe_all).await?)
}

async fn probe_all() -> anyhow::Result<Vec<Line>> {
    let mut cast = Cast::assemble().await?;
    let mut lines = Vec::new();
    for (section, forms) in SECTIONS {
        for form in *forms {
            for target in form.targets {
                let mut cells = Vec::new();
                for role in Role::ALL {
                    if let Some(cell) = cast.probe(*role, form, *target).await? {
                        cells.push((*role, cell));
                    }
                }
                lines.push(Line { section, form, target: *target, cells });
            }
        }
    }
    Ok(lines)
}

#[tokio::test]
async fn the_permission_matrix_is_as_written() -> anyhow::Result<()> {
    expect_file!["../../../docs/PERMISSIONS.md"].assert_eq(&page::write(matrix().await?));
    Ok(())
}

#[tokio::test]
async fn every_operation_is_seen_allowed_and_refused() -> anyhow::Result<()> {
    let lines = matrix().await?;
    let mut lacking = Vec::new();
    for operation in known_operations() {
        let of_it = lines.iter().filter(|line| line.form.operation == *operation);
        let cells: Vec<_> = of_it.flat_map(|line| &line.cells).collect();
        if NOT_OFFERED.contains(operation) {
            for (role, cell) in cells {
                let expect = if role.is_somebody() { "not-supported" } else { "401" };
                assert!(cell.is(expect), "{operation} answers {role:?}: {cell}");
            }
            continue;
        }
        if !cells.iter().any(|(_, cell)| cell.is_allowed()) {
            lacking.push(format!("{operation} is nowhere allowed"));
        }
        if !cells.iter().any(|(_, cell)| cell.is_refused()) {
            lacking.push(format!("{operation} is nowhere refused"));
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
    Ok(())
}

#[tokio::test]
async fn every_operation_has_lines_of_its_own() -> anyhow::Result<()> {
    let known: BTreeSet<_> = known_operations().iter().copied().collect();
    let lines: BTreeSet<_> = matrix().await?.iter().map(|line| line.form.operation).collect();
    assert_eq!(known, lines);
    Ok(())
}

#[test]
fn every_operation_that_is_offered_is_documented() {
    let page = include_str!("../../../docs/IAM.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for operation in known_operations().iter().filter(|name| !NOT_OFFERED.contains(name)) {
        let name = format!("`{operation}`");
        let is_there = rows.iter().any(|row| {
            row.split('|').nth(1).is_some_and(|names| names.split(", ").any(|it| it.trim() == name))
        });
        assert!(is_there, "docs/IAM.md has no row for {operation}");
    }
}
