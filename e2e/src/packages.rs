//! Published packages of others, installed once for a target folder as their users install them.
//!
//! In: the folder that cargo keeps for tests, and names. Out: where they are. A package that cannot
//! be had fails the test, which says what to install.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

/// The TypeScript client, and the WebSocket that its users bring where Node has none.
pub const TYPESCRIPT: &[&str] = &["@trustgraph/client", "ws"];

/// The interpreter of a virtual environment with the newest release of a package of `PyPI`, and
/// with what the package forgets to ask for.
pub fn python(cache: &str, package: &str, undeclared: Option<&str>) -> anyhow::Result<PathBuf> {
    let needs = "python3 (3.10 or newer) with venv, and PyPI or a mirror of it (PIP_INDEX_URL)";
    let folder = install(cache, package, |folder| {
        let venv = folder.join("venv");
        let pip = ["-m", "pip", "install", "--quiet", package];
        run(needs, Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        run(needs, Command::new(venv.join("bin/python")).args(pip).args(undeclared)).map(drop)
    })?;
    Ok(folder.join("venv/bin/python"))
}

/// A folder whose scripts find the newest releases of these packages of npm.
pub fn node(cache: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let needs = "node (18 or newer) with npm, and npm's registry or a mirror of it";
    install(cache, &packages.join("+").replace('/', "-"), |folder| {
        // Without one, npm looks for a project in the folders above.
        std::fs::write(folder.join("package.json"), "{}")?;
        let npm = ["install", "--no-audit", "--no-fund"];
        run(needs, Command::new("npm").args(npm).args(packages).current_dir(folder)).map(drop)
    })
}

/// What a command prints that must succeed.
pub fn run(needs: &str, command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output();
    let said = match &output {
        Ok(output) if output.status.success() => return Ok(output.stdout.clone()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    bail!("this test needs {needs}; {command:?} said: {said}")
}

/// The folder of that name, made once.
fn install(
    cache: &str,
    name: &str,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let folder = Path::new(cache).join(name);
    std::fs::create_dir_all(&folder)?;
    // Other tests, and other processes, want the same one.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    // Written last: what is there without it is half made.
    let mark = folder.join("made");
    if !mark.exists() {
        make(&folder)?;
        File::create(mark)?;
    }
    Ok(folder)
}
