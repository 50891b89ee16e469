//! The seeds of the fuzz targets, and whatever a fuzzer has found: each file is run again.

use std::path::Path;

use anyhow::{Context, ensure};
use tollgate_e2e::fuzz::{self, Gateway};

/// Runs a target over the files of its folder.
fn replay(target: &str, mut run: impl FnMut(&[u8])) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    ensure!(files.len() >= 10, "{}: {} files", folder.display(), files.len());
    for file in files {
        // A failed assertion shows the bytes.
        run(&std::fs::read(&file)?);
    }
    Ok(())
}

#[test]
fn seeds_of_envelope() -> anyhow::Result<()> {
    replay("envelope", fuzz::envelope)
}

#[test]
fn seeds_of_jwt() -> anyhow::Result<()> {
    replay("jwt", fuzz::jwt)
}

#[test]
fn seeds_of_key() -> anyhow::Result<()> {
    replay("key", fuzz::key)
}

#[test]
fn seeds_of_frame() -> anyhow::Result<()> {
    let gateway = Gateway::start()?;
    replay("frame", |bytes| fuzz::frame(&gateway, bytes))
}

#[test]
fn seeds_of_head() -> anyhow::Result<()> {
    let gateway = Gateway::start()?;
    replay("head", |bytes| fuzz::head(&gateway, bytes))
}

#[test]
fn every_target_has_its_seeds() -> anyhow::Result<()> {
    let folder = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name);
    let names = |name| {
        let entries = std::fs::read_dir(folder(name))?.map(|entry| Ok(entry?.path()));
        let stem = |path: &Path| path.file_stem().map(std::ffi::OsStr::to_owned);
        let mut names: Vec<_> =
            entries.map(|path| path.map(|path| stem(&path))).collect::<std::io::Result<_>>()?;
        names.sort();
        std::io::Result::Ok(names)
    };
    assert_eq!(names("fuzz_targets")?, names("seeds")?);
    Ok(())
}
