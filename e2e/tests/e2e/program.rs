//! The programs that tests start as they are: beside this very test, where cargo puts it when it builds all
//! tests. When it builds those of this package alone it leaves there what was, or nothing, and no
//! test may pass or fail by the code of yesterday.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Where the program of a package is; an error if it is not what the sources make.
pub(crate) fn built(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let built = test.parent().and_then(Path::parent).context("no folder")?;
    let program = built.join(name);
    check(&program).with_context(|| format!("run `cargo build -p {name}`, or all tests"))?;
    Ok(program)
}

/// Refuses a program that is older than one of the files that it was made of, which `cargo build`
/// writes down beside it; `cargo test` does not, and makes the program with all tests.
fn check(program: &Path) -> anyhow::Result<()> {
    let built = program.metadata().and_then(|it| it.modified());
    let built = built.with_context(|| program.display().to_string())?;
    let Ok(rule) = read_to_string(program.with_extension("d")) else { return Ok(()) };
    let (_, sources) = rule.split_once(": ").context("no rule of make")?;
    // A space in a path has a backslash before it.
    for source in sources.trim_end().replace("\\ ", "\0").split(' ') {
        let source = PathBuf::from(source.replace('\0', " "));
        // One that was moved has changed what names it.
        let Ok(changed) = source.metadata().and_then(|it| it.modified()) else { continue };
        ensure!(changed <= built, "{} is older than {}", program.display(), source.display());
    }
    Ok(())
}

#[test]
fn a_program_that_is_older_than_its_sources_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str, age: u64| {
        std::fs::write(path(name), text).unwrap();
        let file = std::fs::File::options().write(true).open(path(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(age)).unwrap();
    };
    let check = || check(&path("program")).map_err(|error| format!("{error:#}"));
    let places = [path("program"), path("a file.rs"), path("other.rs")];
    let [program, spaced, other] = places.map(|it| it.display().to_string().replace(' ', "\\ "));
    assert!(check().unwrap_err().contains("program"), "nothing was built");
    write("program", "", 3);
    assert_eq!(check(), Ok(()), "by `cargo test`");
    write("program.d", &format!("{program}: {spaced} {other}\n"), 1);
    write("a file.rs", "", 2);
    write("other.rs", "", 3);
    assert_eq!(check(), Ok(()));
    write("a file.rs", "", 4);
    assert!(check().unwrap_err().contains("is older than"), "a source has changed");
    std::fs::remove_file(path("a file.rs")).unwrap();
    assert_eq!(check(), Ok(()), "a source was moved");
}
