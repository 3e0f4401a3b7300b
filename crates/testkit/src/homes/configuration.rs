//! The configuration of hubctl for a move between the homes.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Homes, HomesOptions, REDIRECT, Site, sql};

impl Homes {
    /// Writes `hubctl.toml` and what it names.
    pub(super) fn configure(&self, options: &HomesOptions) -> io::Result<()> {
        let key = self.path("key.txt");
        fs_err::write(&key, format!("{}\n", options.key.1))?;
        fs_err::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        let place = |chosen: Option<&Path>, name: &str| match chosen {
            Some(directory) => Ok(directory.to_owned()),
            None => fs_err::create_dir(self.path(name)).map(|()| self.path(name)),
        };
        let journal = place(options.journal.as_deref(), "journal")?.join("journal.jsonl");
        let vault = place(options.vault.as_deref(), "vault")?;
        let mut text = format!(
            "[service]\nname = \"state-hub\"\n\n[journal]\npath = {journal:?}\n\n[vault]\n\
             path = {vault:?}\nrecipients = [{:?}]\nidentities = [\"key.txt\"]\n",
            options.key.0,
        );
        for site in &self.sites {
            self.describe(site, options.pinned, &mut text)?;
        }
        self.describe_move(&options.freeze_budget, &mut text);
        fs_err::write(self.path("hubctl.toml"), text)
    }

    fn describe(&self, site: &Site, pinned: bool, text: &mut String) -> io::Result<()> {
        let (name, api) = (&site.place.name, site.api_url());
        let database = site.place.reached(&self.database);
        let _ = write!(
            text,
            "\n[sites.{name}]\ndatabase = {database:?}\napi = \"{api}/state/health\"\n"
        );
        if pinned {
            let query = "SELECT system_identifier FROM pg_control_system()";
            let system = sql::scalar(&site.place.url("postgres"), query)?;
            let _ = writeln!(text, "identity = {{ system_identifier = {system:?} }}");
        }
        let services = [("api", &site.api.path), ("sweep", &site.sweep.path)];
        let changes = site.changes.iter().map(|script| ("changes", script, "10m"));
        for (writer, script, within) in
            changes.chain(services.map(|(writer, script)| (writer, script, "5s")))
        {
            let _ = write!(text, "\n[[sites.{name}.writers]]\nname = {writer:?}\n");
            for action in ["stop", "start", "stopped"] {
                let _ = writeln!(text, "{action} = [\"sh\", {script:?}, {action:?}]");
            }
            let _ = writeln!(text, "within = {within:?}");
        }
        if self.relay.is_some() {
            let _ = write!(text, "\n[[sites.{name}.writers]]\nname = \"outbox\"\n");
            for action in ["pending", "replay"] {
                let script = self.path("outbox.sh");
                let _ = writeln!(text, "{action} = [\"sh\", {script:?}, {action:?}]");
            }
            let _ = writeln!(text, "within = \"1m\"");
        }
        let (file, key) = REDIRECT;
        let _ =
            write!(text, "\n[[sites.{name}.redirect]]\nfile = {file:?}\nset = \"{key}={api}\"\n");
        Ok(())
    }

    fn describe_move(&self, freeze_budget: &str, text: &mut String) {
        let front = self.front.url();
        let names = self.sites();
        let _ = write!(text, "\n[cutover]\nfreeze_budget = {freeze_budget:?}\n");
        if let [from, to, ..] = names.as_slice() {
            let _ = write!(text, "from = {from:?}\nto = {to:?}\n");
        }
        let _ = write!(
            text,
            "probe = {{ http = \"{front}/state/identity\", json = \"system_identifier\" }}\n\
             write_probe = {{ post = \"{front}/events\", \
             body = '{{\"agent\": \"hubctl\", \"summary\": \"{{nonce}}\"}}', \
             sql = \"SELECT count(*) FROM progress_events WHERE summary = '{{nonce}}'\" }}\n"
        );
    }
}
