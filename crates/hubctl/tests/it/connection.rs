//! Sources that libpq would look up: services, variables, certificates.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Home, Run, sql, tcp_url, url};

const PASSWORD: &str = "canary-of-the-service";

/// A service of this name for the home's database, through loopback.
fn write_service(home: &Home, file: &str, role: &str, more: &str) {
    sql("postgres", &format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{PASSWORD}'"));
    let url = tcp_url(role, &home.database);
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap();
    let text = format!(
        "# services\n[other]\nhost=other.example\n\n[hub]\nhost=127.0.0.1\nport={port}\nuser={role}\ndbname={}\n{more}",
        home.database
    );
    home.secret(file, &text);
}

fn doctor(home: &Home, word: &str, variables: &[(&str, &str)]) -> Run {
    let mut command = home.command(&["doctor", word]);
    command.envs(variables.iter().copied());
    Run::of(&command.output().unwrap())
}

#[test]
fn a_service_is_found_and_what_the_url_says_wins() {
    let home = Home::new();
    write_service(&home, ".pg_service.conf", "of_service", &format!("password={PASSWORD}\n"));
    let run = doctor(&home, "service=hub", &[]);
    run.shows(&home.database);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    // The service wins over variables, and the URL over the service.
    let run = doctor(
        &home,
        "service=hub",
        &[("PGHOST", "192.0.2.1"), ("PGHOSTADDR", "192.0.2.1"), ("PGUSER", "nobody")],
    );
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let run = doctor(&home, "service=hub user=somebody_else", &[]);
    assert_eq!(run.code, Some(3));
    run.shows("somebody_else");
    // A password that others may read is none.
    let path = home.path(".pg_service.conf");
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = home.expect(2, &["backup", "service=hub"]);
    run.says("may be read by others").says("chmod 600");
    assert!(!run.stderr.contains(PASSWORD));
}

#[test]
fn a_service_that_is_nowhere_is_named_with_the_files() {
    let home = Home::new();
    write_service(&home, "services", "of_no_service", "");
    let run = home.expect(2, &["backup", "service=missing&x"]);
    run.says("there is no service `missing&x`");
    let mut command = home.command(&["backup", "service=missing"]);
    let services = home.path("services").display().to_string();
    let run = Run::of(&command.env("PGSERVICEFILE", &services).output().unwrap());
    assert_eq!(run.code, Some(2));
    run.says("there is no service `missing`").says(&services);
}

#[test]
fn variables_fill_in_what_the_url_leaves_out() {
    let home = Home::new();
    let socket = url(&home.database);
    let directory = socket.split("host=").nth(1).unwrap().split('&').next().unwrap();
    let port = socket.split("port=").nth(1).unwrap().split('&').next().unwrap();
    let here = [("PGHOST", directory), ("PGPORT", port), ("PGUSER", "postgres")];
    let bare = format!("postgresql:///{}", home.database);
    let run = doctor(&home, &bare, &here);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);

    // Without any site they name the database, and this is what a backup takes.
    fs_err::remove_file(home.path("hubctl.toml")).unwrap();
    let mut command = home.command(&[
        "backup",
        "--vault",
        "vault",
        "--passphrase-file",
        "word",
        "--service",
        "x",
    ]);
    home.secret("word", "a passphrase for tests");
    command.envs(here).env("PGDATABASE", &home.database);
    let run = Run::of(&command.output().unwrap());
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    let run = home.expect(2, &["backup", "--vault", "vault"]);
    run.says("no database was named").says("PGSERVICE");
}

#[test]
fn several_hosts_and_what_cannot_be_kept_are_refused() {
    let home = Home::new();
    for (word, variables, said) in [
        ("postgresql://hub@a,b/x", &[][..], "exactly one host"),
        ("postgresql://hub@/x", &[("PGHOST", "a,b")], "exactly one host"),
        (
            "postgresql://hub@127.0.0.1/x",
            &[("PGREQUIREAUTH", "kerberos")],
            "require_auth names none of",
        ),
        ("postgresql://hub@127.0.0.1/x", &[("PGSSLMODE", "verify-full")], "needs sslrootcert"),
    ] {
        let mut command = home.command(&["backup", word]);
        let run = Run::of(&command.envs(variables.iter().copied()).output().unwrap());
        assert_eq!(run.code, Some(2), "{word}: {}", run.stderr);
        run.says(said);
    }
}

#[test]
fn certificates_that_lie_about_do_not_ask_for_encryption() {
    let home = Home::new();
    fs_err::create_dir(home.path(".postgresql")).unwrap();
    home.secret(".postgresql/root.crt", "no certificate");
    sql("postgres", &format!("CREATE ROLE of_certificates LOGIN SUPERUSER PASSWORD '{PASSWORD}'"));
    let source = tcp_url("of_certificates", &home.database);
    let password = ("PGPASSWORD", PASSWORD);
    assert_eq!(doctor(&home, &source, &[password]).code, Some(0));
    // Where it is asked for, they count.
    let run = doctor(&home, &source, &[password, ("PGSSLMODE", "require")]);
    run.shows("root.crt: there is no certificate in it");
    let run = doctor(&home, &source, &[password, ("PGSSLMODE", "prefer")]);
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
}
