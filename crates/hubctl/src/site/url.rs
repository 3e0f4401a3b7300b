//! Words that are or may be connection URLs, and the passwords in them.

use pgsnap::ConnectionParameters;

use crate::failure::Refusal;

/// Returns true if a word is a connection URL or string, and not a name.
pub(crate) fn is_url(word: &str) -> bool {
    word.contains("://") || word.contains('=')
}

/// Returns true if a word holds a password where connection URLs have it, also where their scheme
/// was forgotten or misspelt.
pub(crate) fn holds_password(word: &str) -> bool {
    if word.to_ascii_lowercase().contains("password=") {
        return true;
    }
    if let Some((_, rest)) = word.split_once("://") {
        return is_in_credentials(rest)
            || ConnectionParameters::parse(word)
                .is_ok_and(|parameters| parameters.get("password").is_some());
    }
    // A sentence is no URL.
    if word.contains(char::is_whitespace) {
        return ConnectionParameters::parse(word)
            .is_ok_and(|parameters| parameters.get("password").is_some());
    }
    let after_scheme = word.split_once("postgres").and_then(|(_, rest)| rest.split_once(':'));
    [Some(word), after_scheme.map(|(_, rest)| rest)]
        .into_iter()
        .flatten()
        .map(|rest| rest.trim_start_matches('/'))
        .any(|rest| is_in_credentials(rest.split('/').next().unwrap_or_default()))
}

/// Returns true if what follows a scheme begins with `USER:PASSWORD@`. The password may have any
/// character in it.
fn is_in_credentials(rest: &str) -> bool {
    let location = rest.split('?').next().unwrap_or_default();
    let credentials = location.rsplit_once('@').or_else(|| rest.rsplit_once('@'));
    let password = credentials
        .filter(|(credentials, _)| !credentials.starts_with('['))
        .and_then(|(credentials, _)| credentials.split_once(':'))
        .filter(|(user, _)| !user.contains('?'))
        .map(|(_, password)| password);
    password.is_some_and(|password| {
        let behind_port = password.trim_start_matches(|c: char| c.is_ascii_digit());
        // Without a user, a port follows the first colon, and the `@` belongs to a name behind it.
        let is_port = behind_port.len() < password.len() && behind_port.starts_with(['/', '?']);
        !password.is_empty() && !is_port
    })
}

/// A password in a URL ends up in shell histories, process lists and backups of `/etc`.
pub(crate) fn refuse_password(word: &str, place: &str) -> Result<(), Refusal> {
    if !holds_password(word) {
        return Ok(());
    }
    let hint = "leave it out of the URL, change it if others could see it, and give it by password_file, password_command, PGPASSWORD or ~/.pgpass";
    let start = if is_url(word) { "" } else { "start the URL with postgresql://, " };
    Err(Refusal::usage(format!("a connection URL {place} holds a password"))
        .hint(format!("{start}{hint}")))
}

/// A word as it may be repeated: of what may be a URL, the part behind the credentials.
pub(super) fn shown(word: &str) -> String {
    match word.rsplit_once('@') {
        Some((credentials, place)) if credentials.contains(':') => format!("…@{place}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_found_wherever_it_hides() {
        for word in [
            "postgresql://hub:s3cret@127.0.0.1/state_hub",
            "postgresql://hub@127.0.0.1/state_hub?password=s3cret",
            "postgresql://hub@127.0.0.1/state_hub?pass%77ord=s3cret",
            "postgresql://hub@127.0.0.1/state_hub?sslpassword=s3cret",
            "host=127.0.0.1 user=hub password=s3cret",
            "host=127.0.0.1 user=hub password = s3cret",
            "postgresql://hub:s3cret@[broken/state_hub?password=x",
            "postgresql://hub:s3cret@[::1]:5432/state_hub",
            "postgresql://hub:s3/cret@127.0.0.1/state_hub",
            "postgresql://hub:s3?cret@127.0.0.1/state_hub",
            "postgresql://hub:s3@cret@127.0.0.1/state_hub",
            "postgresql://hub@server:s3cret@127.0.0.1/state_hub",
            "postgres+asyncpg://hub:s3cret@127.0.0.1/state_hub",
            "jdbc:postgresql://hub:s3cret@127.0.0.1/state_hub",
            "https://hub:s3cret@cloud.example/dav",
        ] {
            assert!(holds_password(word), "{word}");
        }
        for word in [
            "postgresql://hub@127.0.0.1/state_hub",
            "postgresql://hub:@127.0.0.1/state_hub",
            "postgresql:///state_hub?host=/run/postgresql&user=hub",
            "postgresql://127.0.0.1:5432/state@hub",
            "postgresql://127.0.0.1:5432?application_name=a@b",
            "postgresql://127.0.0.1/state_hub?application_name=a:b@c",
            "postgresql://[::1]:5432/state@hub",
        ] {
            assert!(!holds_password(word), "{word}");
        }
    }

    #[test]
    fn a_password_in_a_url_without_its_scheme_is_found() {
        for word in [
            "hub:s3cret@127.0.0.1/state_hub",
            "hub:s3cret@127.0.0.1:5432/state_hub?sslmode=require",
            "hub:s3cret@127.0.0.1",
            "hub:1234@127.0.0.1/state_hub",
            "postgres:s3cret@127.0.0.1/state_hub",
            "postgres:/hub:s3cret@127.0.0.1/state_hub",
            "postgresql:hub:s3cret@127.0.0.1/state_hub",
            "//hub:s3cret@127.0.0.1/state_hub",
            "hub@server:s3cret@127.0.0.1/state_hub",
            "--to=hub:s3cret@127.0.0.1/state_hub",
            "--to=postgres:/hub:s3cret@127.0.0.1/state_hub",
        ] {
            assert!(holds_password(word), "{word}");
        }
        for word in [
            "workstation",
            "latest",
            "disk:latest",
            "disk:20261130T220300Z",
            "backup.example:/srv/vault",
            "hub@backup.example:/srv/vault",
            "hub@backup.example:vault",
            "hub@127.0.0.1/state_hub",
            "127.0.0.1:5432/state@hub",
            "/srv/a:b/c@d",
            "2026-11-30 22:03 for me@example.com",
            "age1qqq",
        ] {
            assert!(!holds_password(word), "{word}");
        }
    }

    #[test]
    fn a_refusal_repeats_no_password_and_names_the_missing_scheme() {
        let refusal = refuse_password("hub:s3cret@127.0.0.1/d", "of the test").unwrap_err();
        assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
        assert!(format!("{refusal:?}").contains("start the URL with postgresql://"));
        let refusal = refuse_password("postgresql://hub:s3cret@127.0.0.1/d", "x").unwrap_err();
        assert!(!format!("{refusal:?}").contains("start the URL"));
        assert_eq!(shown("hub:s3/cret@127.0.0.1/d"), "…@127.0.0.1/d");
        assert_eq!(shown("hub@127.0.0.1/d"), "hub@127.0.0.1/d");
    }
}
