//! The additions of libpq to a connection string: a service, variables, and certificates in the
//! home directory.
//!
//! The URL wins over the service, the service over the variables, and those over files.

use pgsnap::{ConnectionParameters, Database, TlsMode};

use super::service;
use crate::environment as env;
use crate::failure::Refusal;

/// A variable that says where a database is, if one does.
pub(super) fn variable_that_names_a_database() -> Option<&'static str> {
    [env::PGSERVICE, "PGHOST", "PGHOSTADDR", "PGDATABASE"]
        .into_iter()
        .find(|variable| env::get(variable).is_some())
}

/// Fills in what is missing.
pub(super) fn complete(parameters: &mut ConnectionParameters) -> anyhow::Result<()> {
    add_service(parameters)?;
    let variables = env::CONNECTION
        .iter()
        .filter_map(|(variable, keyword)| Some((*keyword, env::get(variable)?)));
    let (certificates, others): (Vec<_>, Vec<_>) =
        variables.partition(|(keyword, _)| is_certificate(keyword));
    add(parameters, others);
    if uses_tls(parameters)? {
        add_certificates(parameters, certificates);
    }
    Ok(())
}

fn add_service(parameters: &mut ConnectionParameters) -> anyhow::Result<()> {
    let file = parameters.remove("servicefile");
    let named = parameters.remove("service").or_else(|| env::get(env::PGSERVICE));
    let Some(name) = named else {
        return Ok(());
    };
    let found = service::find(&name, file.as_deref())?;
    if let Some((keyword, _)) = found.iter().find(|(keyword, _)| keyword == "service") {
        return Err(
            Refusal::usage(format!("the service `{name}` names a `{keyword}` itself")).into()
        );
    }
    add(parameters, found);
    Ok(())
}

/// Host and address belong together: an address from elsewhere would lead a host that was named to
/// another server.
fn add(parameters: &mut ConnectionParameters, found: Vec<(impl AsRef<str>, String)>) {
    let has_place = ["host", "hostaddr"].iter().any(|keyword| parameters.get(keyword).is_some());
    for (keyword, value) in found {
        if !(has_place && ["host", "hostaddr"].contains(&keyword.as_ref())) {
            parameters.set_default(keyword.as_ref(), value);
        }
    }
}

fn is_certificate(keyword: &str) -> bool {
    ["sslrootcert", "sslcert", "sslkey"].contains(&keyword)
}

/// Certificates that lie about ask for nothing: they are used where a connection is encrypted
/// anyway.
fn uses_tls(parameters: &ConnectionParameters) -> anyhow::Result<bool> {
    Ok(match parameters.get("sslmode") {
        Some(mode) => mode != "disable",
        None => Database::from_parameters(parameters)?.tls_mode() != TlsMode::Disable,
    })
}

/// From variables, and from `~/.postgresql` where libpq keeps them.
fn add_certificates(parameters: &mut ConnectionParameters, variables: Vec<(&'static str, String)>) {
    let directory = env::home().map(|home| home.join(".postgresql"));
    let usual = |name: &str| {
        let path = directory.as_deref().map(|directory| directory.join(name));
        path.filter(|path| path.exists()).map(|path: std::path::PathBuf| path.display().to_string())
    };
    let of_variable = |wanted: &str| {
        let mut set = variables.iter().filter(|(keyword, _)| *keyword == wanted);
        set.next().map(|(_, value)| value.clone())
    };
    let own = [("sslcert", "postgresql.crt"), ("sslkey", "postgresql.key")];
    for (keyword, name) in own {
        if let Some(path) = of_variable(keyword).or_else(|| usual(name)) {
            parameters.set_default(keyword, path);
        }
    }
    let is_optional = matches!(parameters.get("sslmode"), Some("allow" | "prefer"));
    if let Some(root) = of_variable("sslrootcert").or_else(|| usual("root.crt"))
        && !is_optional
        && parameters.set_default("sslrootcert", &root)
    {
        // As libpq: where no mode is named, the authority is verified and the name is not.
        let mode = if root == "system" { "verify-full" } else { "require" };
        parameters.set_default("sslmode", mode);
    }
}
