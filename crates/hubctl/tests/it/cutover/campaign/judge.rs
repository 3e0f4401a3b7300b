//! The judge of a round: nothing lost, one primary, and nothing left over that is not named.

use std::process::Command;

use super::super::scene::Scene;
use crate::support::Run;

/// Judges the service at the site that is its primary now.
pub(super) fn judge(scene: &mut Scene, primary: &str, told: &str) {
    scene.observer().wait_at(primary).unwrap_or_else(|error| panic!("{told}: {error}"));
    assert_eq!(scene.homes.writable(), [primary], "{told}: writable");
    for arguments in [&["status"][..], &["journal", "verify"]] {
        let run = run(&mut scene.command(arguments));
        assert_eq!(run.code, Some(0), "{told}: {arguments:?}\n{}{}", run.stdout, run.stderr);
    }
    for site in scene.homes.sites() {
        let unnamed = unnamed(scene, &site);
        assert!(unnamed.is_empty(), "{told}: at {site}, nothing names {unnamed:?}");
    }
    let verdict = scene.judge(primary);
    assert!(verdict.is_clean(), "{told}\n{verdict}");
}

/// The databases at a site that neither `site show` nor `clean` names, besides the service's own.
fn unnamed(scene: &Scene, site: &str) -> Vec<String> {
    let said = [&["site", "show", site][..], &["clean", site]].map(|arguments| {
        let run = run(&mut scene.command(arguments));
        run.stdout + &run.stderr
    });
    let names = scene.homes.databases(site).unwrap().into_iter();
    let others = names.filter(|name| *name != scene.homes.database());
    others.filter(|name| !said.iter().any(|said| said.contains(name.as_str()))).collect()
}

fn run(command: &mut Command) -> Run {
    Run::of(&command.output().unwrap())
}
