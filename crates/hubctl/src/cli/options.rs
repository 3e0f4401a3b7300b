//! Options that several commands share, and what they set.

use std::path::PathBuf;

use clap::Args;

use crate::settings::Overrides;

/// Which vault.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VaultOptions {
    /// Directory of the backups
    #[arg(long, value_name = "DIR")]
    pub(crate) vault: Option<PathBuf>,
    /// Service name; prefix of its backup files
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
}

/// Options for recipients.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RecipientOptions {
    /// Seal for this public key: age1…, ssh-ed25519 … or ssh-rsa … (can be repeated)
    #[arg(long = "recipient", value_name = "R")]
    pub(crate) recipients: Vec<String>,
    /// Seal for every public key in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) recipients_file: Option<PathBuf>,
    /// Seal with a passphrase instead of the configured public keys (prompts unless
    /// --passphrase-file is set)
    #[arg(long, conflicts_with_all = ["recipients", "recipients_file"])]
    pub(crate) passphrase: bool,
}

/// Options for identities.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct IdentityOptions {
    /// Open backups with the private keys in this file (can be repeated)
    #[arg(long = "identity", value_name = "FILE")]
    pub(crate) identities: Vec<PathBuf>,
    /// Open passphrase-sealed backups and encrypted key files with the passphrase in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Options for database passwords.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PasswordOptions {
    /// Read the database password from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Read the database password from this shell command
    #[arg(long, value_name = "COMMAND", conflicts_with = "password_file")]
    pub(crate) password_command: Option<String>,
    /// Look the database password up in this file instead of ~/.pgpass
    #[arg(long, value_name = "FILE", conflicts_with_all = ["password_file", "password_command"])]
    pub(crate) passfile: Option<PathBuf>,
}

/// Options for the journal.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct JournalOptions {
    /// Record in this journal
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
}

/// Options of a command about sealed backups without a database.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SealedOptions {
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    recipients: RecipientOptions,
    #[command(flatten)]
    identities: IdentityOptions,
    #[command(flatten)]
    journal: JournalOptions,
}

impl SealedOptions {
    /// Returns the overrides that they set.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides::default()
            .vault(&self.vault)
            .recipients(&self.recipients)
            .identities(&self.identities)
            .journal(&self.journal)
    }
}

impl Overrides {
    pub(crate) fn vault(mut self, options: &VaultOptions) -> Self {
        (self.vault, self.service) = (options.vault.clone(), options.service.clone());
        self
    }

    pub(crate) fn recipients(mut self, options: &RecipientOptions) -> Self {
        (self.recipients, self.recipients_file) =
            (options.recipients.clone(), options.recipients_file.clone());
        self.passphrase = options.passphrase;
        self
    }

    pub(crate) fn identities(mut self, options: &IdentityOptions) -> Self {
        self.identities.clone_from(&options.identities);
        self.passphrase_file.clone_from(&options.passphrase_file);
        self
    }

    pub(crate) fn passwords(mut self, options: &PasswordOptions) -> Self {
        self.password_file.clone_from(&options.password_file);
        self.password_command.clone_from(&options.password_command);
        self.passfile.clone_from(&options.passfile);
        self
    }

    pub(crate) fn journal(mut self, options: &JournalOptions) -> Self {
        self.journal.clone_from(&options.journal);
        self
    }
}
