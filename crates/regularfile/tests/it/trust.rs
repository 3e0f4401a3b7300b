//! Owners and modes of files, of directories and of links on the way.

use std::path::Path;

use regularfile::Options;
use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};
use rustix::process::geteuid;

use crate::support::{LIMIT, Place, refusal, set_mode};

const TRUSTED: Options = Options::read().trusted();
const PRIVATE: Options = Options::read().private();

#[test]
fn a_file_that_others_may_change_is_refused() {
    let place = Place::new();
    let path = place.file("file", "text");
    for mode in [0o600, 0o644, 0o444] {
        set_mode(&path, mode);
        assert_eq!(TRUSTED.to_string(&path, LIMIT).unwrap(), "text");
    }
    set_mode(&path, 0o646);
    let expected = format!("{} may be changed by others (mode 646)", path.display());
    assert_eq!(refusal(TRUSTED.open(&path)), expected);
    assert_eq!(regularfile::read(&path, LIMIT).unwrap(), b"text");
}

#[test]
fn a_directory_above_that_others_may_change_is_refused() {
    let place = Place::new();
    let outer = place.directory("outer", 0o777);
    place.directory("outer/inner", 0o700);
    let file = place.file("outer/inner/file", "text");
    let expected = format!("{} may be changed by others (mode 777)", outer.display());
    assert_eq!(refusal(TRUSTED.open(&file)), expected);
    // The way counts, not only where it ends.
    fs_err::create_dir(place.path("good")).unwrap();
    let good = place.file("good/file", "text");
    place.link("outer/link", &good);
    let link = place.link("link", place.path("outer/link"));
    assert_eq!(refusal(TRUSTED.open(link)), expected);
    // As the mounts of Kubernetes: only owners rename in it.
    set_mode(&outer, 0o1777);
    assert_eq!(TRUSTED.to_string(&file, LIMIT).unwrap(), "text");
    let dotted = place.path("outer/inner/../../good/../link");
    assert_eq!(TRUSTED.to_string(dotted, LIMIT).unwrap(), "text");
}

#[test]
fn a_mount_of_kubernetes_is_trusted() {
    let place = Place::new();
    let mount = place.directory("mount", 0o1777);
    fs_err::create_dir(mount.join("..2026_12_01")).unwrap();
    place.file("mount/..2026_12_01/password", "secret");
    place.link("mount/..data", "..2026_12_01");
    let password = place.link("mount/password", "..data/password");
    assert_eq!(PRIVATE.to_string(&password, LIMIT).unwrap(), "secret");
}

#[test]
fn a_group_with_the_number_of_the_user_is_the_users_own() {
    let place = Place::new();
    let path = place.file("file", "text");
    let user = geteuid();
    let own = Gid::from_raw(user.as_raw());
    if chownat(CWD, &path, None, Some(own), AtFlags::empty()).is_err() {
        return testkit::not_applicable(
            "this user may not give a file to a group of its own number",
        );
    }
    set_mode(&path, 0o664);
    assert_eq!(TRUSTED.to_string(&path, LIMIT).unwrap(), "text");
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let place = Place::new();
    let path = place.file("file", "text");
    assert_eq!(PRIVATE.to_string(&path, LIMIT).unwrap(), "text");
    for mode in [0o640, 0o604, 0o644] {
        set_mode(&path, mode);
        let expected = format!("{} may be read by others (mode {mode:o})", path.display());
        assert_eq!(refusal(PRIVATE.open(&path)), expected);
    }
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    let place = Place::new();
    let path = place.file("file", "text");
    if !give(&path, 64_320) {
        return testkit::not_applicable("only root can give a file to somebody else");
    }
    let expected =
        format!("{} belongs to user 64320, neither to this user nor to root", path.display());
    assert_eq!(refusal(TRUSTED.open(&path)), expected);
    // Root may use what is wholly another user's, such as the journal of a service.
    let for_root = Options::read().trusted_for_root();
    assert_eq!(for_root.to_string(&path, LIMIT).unwrap(), "text");
    assert_eq!(PRIVATE.to_string(&path, LIMIT).unwrap(), "text");
    // But not where a third one could replace it.
    let directory = place.directory("directory", 0o755);
    let inner = place.file("directory/file", "text");
    assert!(give(&inner, 64_320) && give(&directory, 64_321));
    assert!(refusal(for_root.open(&inner)).contains("directory belongs to user 64321"));
    // A link in a sticky directory is whose it is.
    place.directory("sticky", 0o1777);
    let target = place.file("target", "text");
    let link = place.link("sticky/link", target);
    assert_eq!(TRUSTED.to_string(&link, LIMIT).unwrap(), "text");
    assert!(give(&link, 64_320));
    assert!(refusal(TRUSTED.open(&link)).contains("link belongs to user 64320"));
}

/// Makes it another user's, which only root can.
fn give(path: &Path, user: u32) -> bool {
    let owner = Some(Uid::from_raw(user));
    chownat(CWD, path, owner, None, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
