//! Kinds of files that are opened and refused, for every way of opening.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use regularfile::Options;

use crate::support::{LIMIT, Place, refusal};

const WAYS: [(&str, Options); 5] = [
    ("read", Options::read()),
    ("in place", Options::read().in_place()),
    ("update", Options::update().or_create()),
    ("append", Options::append().or_create()),
    ("trusted", Options::read().trusted()),
];

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let place = Place::new();
    let (_listener, socket) = place.socket("socket");
    let others = [
        (place.pipe("pipe"), "a pipe"),
        (socket, "a socket"),
        ("/dev/null".into(), "a character device"),
        (place.directory("directory", 0o700), "a directory"),
    ];
    for (path, kind) in others {
        for (way, options) in &WAYS {
            let expected = format!("{} is {kind}, not a regular file", path.display());
            assert_eq!(refusal(options.open(&path)), expected, "{way}");
        }
    }
}

#[test]
fn a_link_is_followed_only_for_reading() {
    let place = Place::new();
    let file = place.file("file", "victim");
    let link = place.link("link", &file);
    let (dangling, pipe) = (place.link("dangling", place.path("new")), place.pipe("pipe"));
    assert_eq!(regularfile::read(&link, LIMIT).unwrap(), b"victim");
    assert_eq!(Options::read().trusted().to_string(&link, LIMIT).unwrap(), "victim");
    let through = Options::append().or_create().through_links();
    through.open(&link).unwrap().write_all(b"!").unwrap();
    assert_eq!(fs_err::read(&file).unwrap(), b"victim!");
    // What a link leads to is looked at as well.
    assert!(refusal(regularfile::open(place.link("to pipe", pipe))).contains("is a pipe"));
    for options in
        [Options::read().in_place(), Options::update().or_create(), Options::append().or_create()]
    {
        for link in [&link, &dangling] {
            assert!(refusal(options.open(link)).contains("is a symbolic link"));
        }
    }
    assert!(!place.path("new").exists());
}

#[test]
fn a_missing_file_is_missing_unless_it_is_made() {
    let place = Place::new();
    let path = place.path("new");
    for options in [Options::read().or_create(), Options::update(), Options::append()] {
        let error = options.open(&path).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().contains("new"), "{error}");
    }
    let mut file = Options::update().or_create().open(&path).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    file.write_all(b"one").unwrap();
    let mut file = Options::append().or_create().open(&path).unwrap();
    file.write_all(b" two").unwrap();
    let mut text = String::new();
    let mut file = Options::update().open(&path).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one two");
}

#[test]
fn a_new_file_is_new_and_has_its_mode() {
    let place = Place::new();
    let path = place.path("new");
    let options = Options::new_file().mode(0o400);
    options.open(&path).unwrap().write_all(b"one").unwrap();
    let mode = fs_err::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    regularfile::create(place.path("created"), "one").unwrap();
    assert!(regularfile::create(place.path("created"), "two").is_err());
    assert_eq!(fs_err::read(place.path("created")).unwrap(), b"one");
    for taken in [path, place.link("dangling", "nowhere"), place.pipe("pipe")] {
        let error = options.open(taken).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    }
    assert!(!place.path("nowhere").exists());
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let place = Place::new();
    assert_eq!(regularfile::read(place.file("fits", "0123456789abcdef"), LIMIT).unwrap().len(), 16);
    let large = place.path("large");
    fs_err::File::create(&large).unwrap().set_len(6 << 30).unwrap();
    assert!(
        refusal(regularfile::read(&large, LIMIT))
            .ends_with("larger than 16 bytes, which no such file should be")
    );
    // `/proc` tells no length.
    assert!(refusal(regularfile::read("/proc/self/status", LIMIT)).contains("larger than"));
}

#[test]
fn a_text_that_is_none_is_not_repeated() {
    let place = Place::new();
    let path = place.path("binary");
    fs_err::write(&path, b"secret\xff").unwrap();
    let error = regularfile::read_to_string(&path, LIMIT).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is not UTF-8 text", path.display()));
}
