//! Writing a file as a whole.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use crate::support::{Place, refusal, set_mode};

#[test]
fn a_file_is_replaced_and_keeps_its_mode() {
    let place = Place::new();
    let path = place.path("file");
    regularfile::replace(&path, "one").unwrap();
    set_mode(&path, 0o640);
    let other = place.path("other name");
    fs_err::hard_link(&path, &other).unwrap();
    regularfile::replace(&path, "two").unwrap();
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "two");
    let mode = fs_err::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    // A second name of the old file is another file now.
    assert_eq!(fs_err::read_to_string(&other).unwrap(), "one");
}

#[test]
fn root_leaves_a_file_to_its_owner_and_group() {
    if !rustix::process::geteuid().is_root() {
        return testkit::skip("only root may give files away");
    }
    let place = Place::new();
    let path = place.file("file", "one");
    chown(&path, Some(4321), Some(1234)).unwrap();
    set_mode(&path, 0o2640);
    regularfile::replace(&path, "two").unwrap();
    let found = fs_err::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (4321, 1234, 0o2640));
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "two");
}

#[test]
fn what_a_planted_link_leads_to_is_left_alone() {
    let place = Place::new();
    let victim = place.file("victim", "kept");
    for (name, target) in [("link", &victim), ("dangling", &place.path("new"))] {
        let link = place.link(name, target);
        assert!(refusal(regularfile::replace(&link, "planted")).contains("is a symbolic link"));
    }
    let pipe = place.pipe("pipe");
    assert!(refusal(regularfile::replace(&pipe, "planted")).contains("is a pipe"));
    assert_eq!(fs_err::read_to_string(&victim).unwrap(), "kept");
    let mut names: Vec<_> = fs_err::read_dir(place.path(""))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["dangling", "link", "pipe", "victim"]);
}

#[test]
fn only_a_directory_is_synced_as_one() {
    let place = Place::new();
    regularfile::sync_directory(place.path("")).unwrap();
    for path in [place.pipe("pipe"), place.path("missing")] {
        let error = regularfile::sync_directory(&path).unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
}
