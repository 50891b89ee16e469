//! `tg install-links`: a symbolic link `tg-<command>` to this executable for every command.
//!
//! Never: anything in place of what is not such a link. All names are looked at before the first
//! is touched.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::command::{linkable, linked_name};
use crate::context::Context;

/// This command's own name.
pub(super) const NAME: &str = "install-links";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the links go: a directory of your PATH
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print {"links":[…]}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let executable = std::env::current_exe().context("cannot tell where tg is")?;
    let links = install(&args.dir, &executable)?;
    if args.json {
        return context.output.line(&serde_json::json!({ "links": links }).to_string());
    }
    for link in &links {
        context.output.line(&link.display().to_string())?;
    }
    Ok(())
}

fn install(dir: &Path, executable: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let links: Vec<_> =
        linkable().iter().map(|command| dir.join(linked_name(command.get_name()))).collect();
    for link in &links {
        if !is_free(link, executable)? {
            bail!("{} is there and no link to tg; nothing was changed", link.display());
        }
    }
    for link in &links {
        replace(link, executable).with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(links)
}

/// Nothing is there, or a link to this executable or to one of its name: tg was moved then.
fn is_free(link: &Path, executable: &Path) -> anyhow::Result<bool> {
    match fs::symlink_metadata(link) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", link.display())),
        Ok(metadata) if metadata.is_symlink() => {
            let target = fs::read_link(link)?;
            Ok(target == executable || target.file_name() == executable.file_name())
        }
        Ok(_) => Ok(false),
    }
}

/// Makes the link beside and renames it, so that the command is there at every moment.
fn replace(link: &Path, executable: &Path) -> std::io::Result<()> {
    if fs::read_link(link).is_ok_and(|target| target == executable) {
        return Ok(());
    }
    let beside = link.with_extension("new");
    symlink(executable, &beside)?;
    fs::rename(&beside, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_again_and_moved_but_nothing_else_is_touched() {
        let temp = tempfile::tempdir().unwrap();
        let (dir, tg) = (temp.path(), Path::new("/opt/tollgate/tg"));
        let links = install(dir, tg).unwrap();
        assert!(links.contains(&dir.join("tg-login")) && links.contains(&dir.join("tg-whoami")));
        assert!(!links.contains(&dir.join("tg-install-links")));
        assert!(links.iter().all(|link| fs::read_link(link).unwrap() == tg));
        assert_eq!(install(dir, tg).unwrap(), links);
        let moved = Path::new("/usr/bin/tg");
        install(dir, moved).unwrap();
        assert!(links.iter().all(|link| fs::read_link(link).unwrap() == moved));
        assert_eq!(fs::read_dir(dir).unwrap().count(), links.len());
    }

    #[test]
    fn what_is_no_such_link_stops_all_of_it() {
        let check = |occupy: fn(&Path)| {
            let temp = tempfile::tempdir().unwrap();
            occupy(&temp.path().join("tg-whoami"));
            let error = install(temp.path(), Path::new("/usr/bin/tg")).unwrap_err();
            assert!(error.to_string().contains("tg-whoami is there"), "{error}");
            assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
        };
        check(|path| fs::write(path, "#!/usr/bin/env python3").unwrap());
        check(|path| symlink("/usr/bin/true", path).unwrap());
        check(|path| fs::create_dir(path).unwrap());
    }
}
