//! Golden cases: help, usage errors, configuration. `TRYCMD=overwrite` writes them anew.

#[test]
fn every_case_says_what_it_always_said() {
    // Where none is found, none fails.
    let files = fs_err::read_dir("tests/cmd").unwrap();
    let is_case = |path: std::path::PathBuf| {
        let extension = path.extension();
        extension.is_some_and(|extension| extension == "trycmd" || extension == "toml")
    };
    let found = files.filter(|file| is_case(file.as_ref().unwrap().path()));
    let found = found.count();
    assert!(found >= 4, "only {found} cases");
    let cases = trycmd::TestCases::new();
    // Nothing of the machine may show up in a case.
    cases
        .env("HOME", "/nonexistent")
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .env("XDG_CONFIG_HOME", "/nonexistent/config");
    cases.case("tests/cmd/*.trycmd").case("tests/cmd/*.toml");
}
