//! Settings of the database and of roles in it that this server cannot take: a locale that it
//! lacks, a time zone that its tables have given up. Nothing depends on them, so they are named in
//! the plan and left out.

use super::Preflight;
use crate::error::{Error, Result};
use crate::restore::without_fence;

impl Preflight<'_> {
    pub(super) async fn check_settings(&mut self) -> Result<()> {
        if !self.selection.is_whole() {
            return Ok(());
        }
        let (source, fence) = without_fence(&self.manifest.source)?;
        self.plan.warnings.extend(fence.map(|note| note.to_string()));
        let own = source.settings.iter().map(|setting| (setting, None));
        let of_roles = source.role_settings.iter();
        let of_roles = of_roles.map(|setting| (&setting.setting, Some(&setting.role)));
        for (setting, role) in own.chain(of_roles) {
            let Some(reason) = self.refusal(setting).await? else {
                continue;
            };
            let whose = role.map_or_else(String::new, |role| format!(" of role {role}"));
            self.plan.warning(format!(
                "the server refuses the setting {setting}{whose}, which is left out: {reason}"
            ));
        }
        Ok(())
    }

    /// The server's objection to a value, tried out in a transaction of its own. That a setting may
    /// not be changed now, or by this role, says nothing about its value.
    async fn refusal(&self, setting: &str) -> Result<Option<String>> {
        const QUERY: &str = "SELECT pg_catalog.set_config($1, $2, true)";
        const INVALID_VALUE: &str = "22023";
        const UNKNOWN_NAME: &str = "42704";
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Error::damaged("a setting of the database has no value"));
        };
        let session = &self.server.session;
        match session.row("trying the settings", QUERY, &[&name, &value]).await {
            Err(Error::Server { code, message, .. })
                if [INVALID_VALUE, UNKNOWN_NAME].contains(&code.as_str()) =>
            {
                Ok(Some(message))
            }
            Ok(_) | Err(Error::Server { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
