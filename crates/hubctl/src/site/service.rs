//! libpq's service file: connection parameters under a name.

use std::path::{Path, PathBuf};

use crate::environment;
use crate::failure::Refusal;
use crate::secret;

/// Directories in which Debian and PostgreSQL's sources keep the machine's own file.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/etc/postgresql-common", "/etc"];

/// No service file is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The parameters of a service: from `file` if that is named, else from the user's file, else the
/// machine's.
pub(super) fn find(name: &str, file: Option<&str>) -> anyhow::Result<Vec<(String, String)>> {
    let files = match file {
        Some(path) => vec![PathBuf::from(path)],
        None => usual_files(),
    };
    for path in &files {
        if let Some(parameters) = look_up(path, name)? {
            return Ok(parameters);
        }
    }
    let looked: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    Err(Refusal::usage(format!("there is no service `{name}`"))
        .hint(format!("looked for [{name}] in {}", looked.join(", ")))
        .into())
}

/// Those that are there; one that was named must be.
fn usual_files() -> Vec<PathBuf> {
    if let Some(path) = environment::get(environment::PGSERVICEFILE) {
        return vec![path.into()];
    }
    let own = environment::home().map(|home| home.join(".pg_service.conf"));
    let directories = match environment::get(environment::PGSYSCONFDIR) {
        Some(directory) => vec![PathBuf::from(directory)],
        None => SYSTEM_DIRECTORIES.map(PathBuf::from).to_vec(),
    };
    let system = directories.into_iter().map(|directory| directory.join("pg_service.conf"));
    own.into_iter().chain(system).filter(|path| path.exists()).collect()
}

fn look_up(path: &Path, name: &str) -> anyhow::Result<Option<Vec<(String, String)>>> {
    let text = regularfile::read_to_string(path, LARGEST)
        .map_err(|error| Refusal::usage(format!("the service file cannot be read: {error}")))?;
    let Some(parameters) = parse(&text, name).map_err(|line| {
        Refusal::usage(format!("line {line} of {} is no key=value", path.display()))
    })?
    else {
        return Ok(None);
    };
    if parameters.iter().any(|(keyword, _)| keyword == "password") {
        secret::require_private(path, "password")?;
    }
    Ok(Some(parameters))
}

/// The lines below `[name]`, or the number of the first that cannot be understood.
fn parse(text: &str, name: &str) -> Result<Option<Vec<(String, String)>>, usize> {
    let mut found: Option<Vec<(String, String)>> = None;
    for (number, line) in (1_usize..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match (line.strip_prefix('['), &mut found) {
            (Some(_), Some(_)) => break,
            (Some(header), None) => {
                found = (header.strip_suffix(']') == Some(name)).then(Vec::new);
            }
            (None, None) => {}
            (None, Some(parameters)) => {
                let (keyword, value) = line.split_once('=').ok_or(number)?;
                parameters.push((keyword.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# services\n[other]\nhost=a\n\n[hub]\nhost = db.example\n# a comment\nport=6543\n[last]\nx\n";

    #[test]
    fn a_service_is_what_stands_below_its_name() {
        let hub = parse(TEXT, "hub").unwrap().unwrap();
        let expected = [("host", "db.example"), ("port", "6543")];
        assert_eq!(hub, expected.map(|(keyword, value)| (keyword.to_owned(), value.to_owned())));
        assert_eq!(parse(TEXT, "none"), Ok(None));
        assert_eq!(parse(TEXT, "last"), Err(10));
    }
}
