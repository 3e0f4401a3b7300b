//! Golden cases: help, usage errors, configuration. `TRYCMD=overwrite` writes them anew.

#[test]
fn every_case_says_what_it_always_said() {
    let cases = trycmd::TestCases::new();
    // Nothing of the machine may show up in a case.
    cases
        .env("HOME", "/nonexistent")
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .env("XDG_CONFIG_HOME", "/nonexistent/config");
    cases.case("tests/cmd/*.trycmd").case("tests/cmd/*.toml");
}
