//! The changes that lead clients to a site: a line of a file, or a command of the operator's.

mod assignments;

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use regularfile::Options;
use rustix::process::{getegid, geteuid, getgroups};

use crate::failure::{Failure, Refusal};
use crate::hook::{self, Answer, Hooked};
use crate::settings::{Assignment, ProgramCommand, RedirectTable};
use assignments::Assignments;

/// No file of assignments is larger.
const LARGEST: u64 = 1 << 20;

/// The two kinds of redirects.
enum Way<'a> {
    File(&'a Path, &'a Assignment),
    Command { lead: &'a ProgramCommand, check: &'a ProgramCommand },
}

/// Returns whether clients are led to the site of this redirect.
pub(crate) async fn is_led(redirect: &RedirectTable, of: &Hooked<'_>) -> Answer {
    let answer = match way(redirect) {
        Ok(Way::Command { check, .. }) => return hook::ask(check, redirect.within, of).await,
        Ok(Way::File(file, set)) => is_set(file, set),
        Err(refusal) => Err(refusal.into()),
    };
    match answer {
        Ok(true) => Answer::Yes,
        Ok(false) => Answer::No,
        Err(error) => Answer::Unknown(Failure::of(&error).message),
    }
}

/// Leads clients to the site of this redirect. Doing it twice changes nothing.
pub(crate) async fn lead(redirect: &RedirectTable, of: &Hooked<'_>) -> anyhow::Result<()> {
    let led = match way(redirect)? {
        Way::Command { lead, .. } => hook::act(lead, redirect.within, of).await.map_err(Into::into),
        Way::File(file, set) => write(file, set),
    };
    led.with_context(|| format!("cannot lead clients to site `{}`", of.site))
}

/// The configuration was checked when it was read.
fn way(redirect: &RedirectTable) -> Result<Way<'_>, Refusal> {
    match (&redirect.file, &redirect.set, &redirect.command, &redirect.check) {
        (Some(file), Some(set), None, None) => Ok(Way::File(file, set)),
        (None, None, Some(lead), Some(check)) => Ok(Way::Command { lead, check }),
        _ => Err(Refusal::usage("a redirect is neither file and set nor command and check")),
    }
}

/// A missing file sets nothing.
fn is_set(file: &Path, set: &Assignment) -> anyhow::Result<bool> {
    let Some((path, _)) = located(file)? else {
        return Ok(false);
    };
    let text = read(&path)?;
    Ok(understood(&path, &text)?.hold(set))
}

fn write(file: &Path, set: &Assignment) -> anyhow::Result<()> {
    let (path, text) = match located(file)? {
        Some((path, found)) => {
            require_owner(&path, &found)?;
            let text = read(&path)?;
            (path, text)
        }
        None => {
            regularfile::create(file, "")?;
            (file.to_owned(), String::new())
        }
    };
    let assignments = understood(&path, &text)?;
    if assignments.hold(set) {
        return Ok(());
    }
    regularfile::replace(&path, assignments.with(set))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The file itself, where its name is a link as in directories of dotfiles; nothing where there is
/// none yet.
fn located(file: &Path) -> anyhow::Result<Option<(PathBuf, Metadata)>> {
    match fs_err::canonicalize(file) {
        Ok(path) => {
            let found = fs_err::symlink_metadata(&path)?;
            Ok(Some((path, found)))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        Err(_) if fs_err::symlink_metadata(file).is_ok() => {
            let fact = format!("{} is a link to a file that is missing", file.display());
            Err(Refusal::usage(fact).hint("create that file, or remove the link").into())
        }
        Err(_) => Ok(None),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let options = Options::read().in_place().trusted_for_root();
    options.to_string(path, LARGEST).map_err(|error| {
        let hint = regularfile::hint(&error);
        Refusal::usage(format!("cannot edit the file: {error}")).hinted(hint).into()
    })
}

fn understood<'a>(path: &Path, text: &'a str) -> Result<Assignments<'a>, Refusal> {
    Assignments::parse(text).map_err(|line| {
        let place = path.display();
        Refusal::usage(format!("{place} has a value of several lines (line {line})"))
            .hint("keep the key in a file of its own, or redirect by command and check")
    })
}

/// A new file takes the place of the old one: its readers must be able to read that, too.
fn require_owner(path: &Path, found: &Metadata) -> Result<(), Refusal> {
    if geteuid().is_root() {
        return Ok(());
    }
    let groups = getgroups().unwrap_or_default();
    let is_member = groups.iter().chain([&getegid()]).any(|group| group.as_raw() == found.gid());
    if found.uid() == geteuid().as_raw() && is_member {
        return Ok(());
    }
    let fact =
        format!("{} belongs to another user or group, which an edit would change", path.display());
    Err(Refusal::usage(fact).hint("run hubctl as that user, or redirect by command and check"))
}

#[cfg(test)]
mod tests;
