//! libpq's password file: `host:port:database:user:password`, the first line that fits counts.

use std::io;
use std::path::Path;

use secrecy::SecretString;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::private_file;

/// The password for this database, if the file has a line for it.
///
/// # Errors
/// [`Error::File`] and [`Error::Exposed`]: libpq would go on without a password.
pub(crate) fn find(path: &Path, database: &Database) -> Result<Option<SecretString>> {
    let text = String::from_utf8(private_file::read(path)?).map_err(|_| {
        let reason = "it is not UTF-8 text";
        Error::file(path, io::Error::new(io::ErrorKind::InvalidData, reason))
    })?;
    let (host, port) = (host(database), database.port().to_string());
    let wanted = [&host, &port, database.name(), database.user()];
    Ok(look_up(&text, wanted).map(SecretString::from))
}

/// libpq writes `localhost` for the default socket directory, and other directories as they are.
fn host(database: &Database) -> String {
    match database.host().as_str() {
        "/var/run/postgresql" | "/run/postgresql" | "/tmp" => "localhost".to_owned(),
        other => other.to_owned(),
    }
}

fn look_up(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let [host, port, name, user, password, ..] = fields.as_slice() else {
            return None;
        };
        let fits = |field: &String, wanted: &str| field == "*" || field == wanted;
        let all = [host, port, name, user]
            .into_iter()
            .zip(wanted)
            .all(|(field, wanted)| fits(field, wanted));
        all.then(|| password.clone())
    })
}

/// Splits at colons; a backslash takes the next character as it is.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is always a last field");
        match character {
            '\\' => field.extend(characters.next()),
            ':' => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# comment:*:*:*:no\nother:*:*:*:no\n127.0.0.1:5432:state_hub:hub:a\\:b\\\\c\n*:*:*:*:late\n";
        let find = |wanted| look_up(text, wanted);
        assert_eq!(find(["127.0.0.1", "5432", "state_hub", "hub"]).as_deref(), Some("a:b\\c"));
        assert_eq!(find(["127.0.0.1", "5433", "state_hub", "hub"]).as_deref(), Some("late"));
        assert_eq!(look_up("h:1:d:u", ["h", "1", "d", "u"]), None);
        let address = ["::1", "5432", "d", "u"];
        assert_eq!(look_up("\\:\\:1:*:*:*:p", address).as_deref(), Some("p"));
    }
}
