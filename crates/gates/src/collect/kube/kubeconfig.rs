//! A kubeconfig and the files that it names, read here: kube would wait for pipes, and read
//! whatever there is.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo,
    NamedCluster, NamedContext,
};
use regularfile::Options;
use serde_json::{Value, json};

use super::{Pace, credentials};
use crate::Hash;
use crate::evidence::{Absence, redact};

/// No kubeconfig is larger, nor any file that one names.
const LARGEST: u64 = 16 << 20;
/// A token in a file is replaced from time to time.
const TOKEN_LASTS: SignedDuration = SignedDuration::from_mins(5);

/// A context of a kubeconfig, with its cluster and its user.
pub(super) struct Chosen {
    context: Context,
    cluster: Cluster,
    user: AuthInfo,
    /// The base of relative paths.
    directory: PathBuf,
}

impl Chosen {
    /// Reads the kubeconfig. Whoever may change it may run commands, so that only its owner and
    /// root may.
    pub(super) fn read(path: &Path, context: &str) -> Result<Self, Absence> {
        let refused = |reason: String| {
            let path = path.display();
            Absence::failed(format!("the kubeconfig {path} cannot be read: {reason}"))
        };
        let trusted = Options::read().trusted_for_root();
        let text = trusted.to_string(path, LARGEST).map_err(|error| refused(error.to_string()))?;
        let text = text.trim_start_matches('\u{feff}');
        let kubeconfig = Kubeconfig::from_yaml(text).map_err(|error| refused(reason(&error)))?;
        let missing = |what: &str, name: &str| refused(format!("it has no {what} `{name}`"));
        let contexts = kubeconfig.contexts.into_iter();
        let context = contexts
            .filter(|named| named.name == context)
            .find_map(|named| named.context)
            .ok_or_else(|| missing("context", context))?;
        let clusters = kubeconfig.clusters.into_iter();
        let cluster = clusters
            .filter(|named| named.name == context.cluster)
            .find_map(|named| named.cluster)
            .ok_or_else(|| missing("cluster", &context.cluster))?;
        // Without a user, or with one that is not there, nobody in particular asks: so does kubectl.
        let users = kubeconfig.auth_infos.into_iter();
        let user = users
            .filter(|named| Some(&named.name) == context.user.as_ref())
            .find_map(|named| named.auth_info)
            .unwrap_or_default();
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { context, cluster, user, directory })
    }

    /// Returns the address and the user, without secrets.
    pub(super) fn shown(&self) -> Value {
        let Cluster { server, insecure_skip_tls_verify, proxy_url, tls_server_name, .. } =
            &self.cluster;
        let address = |url: &Option<String>| url.as_deref().map(redact::url);
        let authority = self.authority().map(|pem| Some(Hash::of(&pem?).to_string()));
        let program = self.user.exec.as_ref().map(|exec| {
            let mut words: Vec<String> = exec.command.iter().cloned().collect();
            words.extend(exec.args.iter().flatten().cloned());
            redact::without_secrets(&words)
        });
        json!({
            "server": address(server),
            "server_name": tls_server_name,
            "proxy": address(proxy_url),
            "is_unchecked": insecure_skip_tls_verify.unwrap_or_default(),
            "authority_sha256": authority.unwrap_or_else(|error| Some(format!("not read: {error}"))),
            "user": self.context.user,
            "as": self.user.impersonate,
            "as_groups": self.user.impersonate_groups,
            "program": program,
        })
    }

    /// Returns kube's configuration and the expiry of its credentials. A program that issues
    /// credentials runs here.
    pub(super) async fn config(
        mut self,
        pace: Pace,
    ) -> Result<(Config, Option<Timestamp>), Absence> {
        let authority = self.authority()?;
        self.cluster.certificate_authority_data = authority.map(|pem| STANDARD.encode(pem));
        self.cluster.certificate_authority = None;
        let until = self.load_credentials(pace).await?;
        let context = "chosen".to_owned();
        let options = KubeConfigOptions {
            context: Some(context.clone()),
            cluster: Some(self.context.cluster.clone()),
            user: self.context.user.clone(),
        };
        let kubeconfig = Kubeconfig {
            clusters: vec![NamedCluster {
                name: self.context.cluster.clone(),
                cluster: Some(self.cluster),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: self.context.user.clone().unwrap_or_default(),
                auth_info: Some(self.user),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: context,
                context: Some(self.context),
                ..NamedContext::default()
            }],
            ..Kubeconfig::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Ok((config.map_err(Absence::failed)?, until))
    }

    /// Replaces the names of files and programs by what they hold and issue.
    async fn load_credentials(&mut self, pace: Pace) -> Result<Option<Timestamp>, Absence> {
        let provider = self.user.auth_provider.as_ref();
        if provider.is_some_and(|provider| provider.config.contains_key("cmd-path")) {
            return Err(Absence::failed(
                "the user of the context runs a command by `auth-provider`, which kubectl no longer supports either: use `exec`",
            ));
        }
        let certificate = self.user.client_certificate.take();
        if let (Some(file), None) = (certificate, &self.user.client_certificate_data) {
            self.user.client_certificate_data = Some(STANDARD.encode(self.file(&file)?));
        }
        let key = self.user.client_key.take();
        if let (Some(file), None) = (key, &self.user.client_key_data) {
            self.user.client_key_data = Some(STANDARD.encode(self.file(&file)?).into());
        }
        // What kube takes first, it takes alone.
        let (file, program) = (self.user.token_file.take(), self.user.exec.take());
        let has_password = self.user.username.is_some() && self.user.password.is_some();
        if self.user.auth_provider.is_some() || has_password || self.user.token.is_some() {
            return Ok(None);
        }
        if let Some(file) = file {
            let token = String::from_utf8(self.file(&file)?)
                .map_err(|_| Absence::failed(format!("the token in {file} is no text")))?;
            self.user.token = Some(token.trim().to_owned().into());
            return Ok(Some(Timestamp::now() + TOKEN_LASTS));
        }
        let Some(program) = program else {
            return Ok(None);
        };
        let issued = credentials::issued_by(&program, &self.cluster, &self.directory, pace).await?;
        self.user.token = issued.token.map(Into::into);
        if let (Some(certificate), Some(key)) = (issued.certificate, issued.key) {
            self.user.client_certificate_data = Some(STANDARD.encode(certificate));
            self.user.client_key_data = Some(STANDARD.encode(key).into());
        }
        Ok(issued.until)
    }

    /// The certificates that are believed, as PEM; nothing where those of the system are.
    fn authority(&self) -> Result<Option<Vec<u8>>, Absence> {
        match (&self.cluster.certificate_authority_data, &self.cluster.certificate_authority) {
            (Some(data), _) => {
                let invalid = "`certificate-authority-data` is not base64";
                let pem = STANDARD.decode(data).map_err(|_| Absence::failed(invalid))?;
                Ok(Some(pem))
            }
            (None, Some(file)) => self.file(file).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn file(&self, name: &str) -> Result<Vec<u8>, Absence> {
        let trusted = Options::read().trusted_for_root();
        let read = trusted.to_vec(self.directory.join(name), LARGEST);
        read.map_err(|error| {
            Absence::failed(format!("a file that the kubeconfig names cannot be read: {error}"))
        })
    }
}

/// Returns the fault and its line, without any text of the file: it may be a token.
fn reason(error: &KubeconfigError) -> String {
    let place = match error {
        KubeconfigError::Parse(error) => error.location(),
        _ => None,
    };
    place.map_or_else(
        || "it is not a kubeconfig".to_owned(),
        |place| format!("it is not a kubeconfig (line {})", place.line()),
    )
}
