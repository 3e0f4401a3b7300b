//! `hubctl init`.

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::environment as env;
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::site::check;

/// Write a commented hubctl.toml, and a key on request
///
/// Nothing that exists is overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hubctl init
  hubctl init --service state-hub --database postgresql://hub@127.0.0.1:5432/state_hub \\
              --vault /opt/backup/state-hub --generate-key
  hubctl init --config /etc/hubctl/hubctl.toml")]
pub(crate) struct InitArgs {
    /// Name of the service
    #[arg(long, value_name = "NAME", default_value = "state-hub")]
    service: String,
    /// Connection URL of the first site, without a password
    #[arg(long, value_name = "URL", default_value = "postgresql://hub@127.0.0.1:5432/state_hub")]
    database: String,
    /// Directory of the backups; made with mode 0700 if this is given and it does not exist
    #[arg(long, value_name = "DIR")]
    vault: Option<PathBuf>,
    /// Also seal for this public key (can be repeated)
    #[arg(long = "recipient", value_name = "R")]
    recipients: Vec<String>,
    /// Generate an age key with mode 0600 and seal for it [default: ~/.config/hubctl/key.txt]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    generate_key: Option<Option<PathBuf>>,
}

#[derive(Debug, Serialize)]
struct Written {
    config: String,
    vault: Option<String>,
    key: Option<String>,
    recipients: Vec<String>,
}

pub(crate) fn run(context: &Context, args: InitArgs) -> anyhow::Result<Exit> {
    check(&args.database)?;
    let mut checked = backup::Recipients::new();
    for recipient in &args.recipients {
        checked.add(recipient)?;
    }
    let path = context.config.clone().unwrap_or_else(|| PathBuf::from("hubctl.toml"));
    if path.exists() {
        return Err(Refusal::usage(format!("{} exists already", path.display()))
            .hint("write to another file with --config")
            .into());
    }
    let key_file = args.generate_key.clone().map(key_file).transpose()?;
    if let Some(path) = key_file.as_deref().filter(|path| path.exists()) {
        return Err(exists(path).into());
    }
    let vault = args.vault.as_deref().map(make_vault).transpose()?;
    let key = key_file.as_deref().map(generate_key).transpose()?;
    let recipients: Vec<String> =
        key.iter().map(|key| key.public.clone()).chain(args.recipients.clone()).collect();
    let text =
        template(&args, vault.as_deref(), key.as_ref().map(|key| key.path.as_path()), &recipients);
    write_new(&path, &text, 0o644)?;
    if let Some(key) = &key {
        context.printer.say(format_args!(
            "the private key is in {}; keep a copy elsewhere: without it no backup opens",
            key.path.display()
        ));
    }
    context.printer.say("edit the file, then run `hubctl doctor`");
    let show = |path: &Path| path.display().to_string();
    let written = Written {
        config: show(&path),
        vault: vault.as_deref().map(show),
        key: key.map(|key| show(&key.path)),
        recipients,
    };
    context.printer.result("hubctl.init.v1", &written, || written.config.clone())?;
    Ok(Exit::Yes)
}

/// The named file, or the usual one beside the user's configuration.
fn key_file(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path);
    }
    let home = env::config_home().ok_or_else(|| {
        Refusal::usage("there is no home directory to keep the key in")
            .hint("name a file: --generate-key FILE")
    })?;
    Ok(home.join("hubctl").join("key.txt"))
}

fn exists(path: &Path) -> Refusal {
    Refusal::usage(format!("{} exists already", path.display()))
        .hint("name another file; existing files are never overwritten")
}

fn make_vault(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("the vault {} could not be made", path.display()))?;
    }
    Ok(fs_err::canonicalize(path)?)
}

/// A key on disk, and its public half.
pub(crate) struct Key {
    pub(crate) path: PathBuf,
    pub(crate) public: String,
}

/// Makes an X25519 identity in the form of `age-keygen`.
pub(crate) fn generate_key(path: &Path) -> anyhow::Result<Key> {
    let identity = age::x25519::Identity::generate();
    let public = identity.to_public().to_string();
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("the folder {} could not be made", directory.display()))?;
    }
    let text = format!(
        "# created: {:.0}\n# public key: {public}\n{}\n",
        jiff::Timestamp::now(),
        identity.to_string().expose_secret()
    );
    write_new(path, &text, 0o600)?;
    Ok(Key { path: std::path::absolute(path)?, public })
}

/// Writes a file that must not exist, durably.
fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut file = match regularfile::Options::new_file().mode(mode).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(exists(path).into());
        }
        Err(error) => return Err(error.into()),
    };
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

fn template(
    args: &InitArgs,
    vault: Option<&Path>,
    key: Option<&Path>,
    recipients: &[String],
) -> String {
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let path = |path: Option<&Path>, default: &str| {
        quote(&path.map_or_else(|| default.to_owned(), |path| path.display().to_string()))
    };
    let list = |items: &[String]| {
        items.iter().map(|item| format!("    {},\n", quote(item))).collect::<String>()
    };
    format!(
        include_str!("init/hubctl.toml.in"),
        service = quote(&args.service),
        database = quote(&args.database),
        vault = path(vault, &format!("/opt/backup/{}", args.service)),
        recipients = list(recipients),
        identity = path(key, "~/.config/sops/age/keys.txt"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Overrides, Settings};

    #[test]
    fn a_key_is_private_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/key.txt");
        let key = generate_key(&path).unwrap();
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let identities = backup::Identities::load(&path).unwrap();
        assert_eq!(identities.fingerprints().next().unwrap().text, key.public);
        assert!(generate_key(&path).is_err());
    }

    #[test]
    fn every_example_in_a_comment_is_understood() {
        let args = InitArgs {
            service: "state-hub".to_owned(),
            database: "postgresql://hub@127.0.0.1:5432/state_hub".to_owned(),
            vault: None,
            recipients: Vec::new(),
            generate_key: None,
        };
        let text = template(&args, None, None, &["age1a".to_owned()]);
        let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let is_example = |line: &str| {
            line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| is_word(key))
        };
        let uncommented = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(example) if is_example(example) => example,
            _ => line,
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hubctl.toml");
        fs_err::write(&path, uncommented.collect::<Vec<_>>().join("\n")).unwrap();
        let settings = Settings::load(Some(&path), Overrides::default()).unwrap();
        let gates: Vec<&str> = settings.gates.iter().map(|(name, _)| name).collect();
        assert_eq!(gates, ["drilled", "three-nodes"]);
        assert!(settings.clusters.contains_key("home") && settings.tunnels.contains_key("hub"));
        assert!(settings.targets.contains_key("disk") && settings.alerts.tells_anybody());
    }
}
