//! Certificates, the key of service accounts, and the kubeconfigs that hold them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::io::Write as _;
use std::path::Path;

use super::layout::Layout;
use super::plan::Plan;

/// The user with all rights, in the kubeconfig that `up` names.
pub(super) const ADMIN: &str = "admin";
const MASTERS: &str = "system:masters";

/// Writes everything that authenticates somebody.
pub(super) fn write(layout: &Layout, plan: &Plan) -> anyhow::Result<()> {
    let authority = Authority::new()?;
    write_private(&layout.pki("ca.crt"), &authority.certificate)?;
    write_private(&layout.pki("ca.key"), &authority.issuer.key().serialize_pem())?;

    let accounts = KeyPair::generate()?;
    write_private(&layout.pki("service-accounts.key"), &accounts.serialize_pem())?;
    write_private(&layout.pki("service-accounts.pub"), &accounts.public_key_pem())?;

    let names = [
        plan.node(1).to_string(),
        plan.api_service().to_string(),
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        "kubernetes.default.svc.cluster.local".to_owned(),
    ];
    authority.issue(None, "kube-apiserver", &names)?.write(layout, "apiserver")?;
    let to_kubelet = authority.issue(Some(MASTERS), "kube-apiserver-kubelet-client", &[])?;
    to_kubelet.write(layout, "apiserver-kubelet")?;

    let users = [
        (ADMIN, Some(MASTERS), "admin"),
        ("controller-manager", None, "system:kube-controller-manager"),
        ("scheduler", None, "system:kube-scheduler"),
        ("kube-proxy", None, "system:kube-proxy"),
        ("coredns", None, "coredns"),
        ("local-provisioner", None, "local-provisioner"),
    ];
    for (file, organization, name) in users {
        let credentials = authority.issue(organization, name, &[])?;
        write_kubeconfig(layout, plan, file, &authority.certificate, &credentials)?;
    }
    for node in plan.each_node() {
        let name = format!("node{node}");
        let names = [plan.node(node).to_string(), name.clone()];
        let user = format!("system:node:{name}");
        let credentials = authority.issue(Some("system:nodes"), &user, &names)?;
        // A kubelet serves with what it authenticates with.
        credentials.write(layout, &name)?;
        write_kubeconfig(layout, plan, &name, &authority.certificate, &credentials)?;
    }
    Ok(())
}

struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

struct Credentials {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "hubctl-test-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let certificate = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { certificate, issuer })
    }

    fn issue(
        &self,
        organization: Option<&str>,
        name: &str,
        hosts: &[String],
    ) -> anyhow::Result<Credentials> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(organization) = organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(Credentials {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl Credentials {
    fn write(&self, layout: &Layout, name: &str) -> anyhow::Result<()> {
        write_private(&layout.pki(&format!("{name}.crt")), &self.certificate)?;
        write_private(&layout.pki(&format!("{name}.key")), &self.key)
    }
}

/// Everything is inside, so that a copy of the file works anywhere on this machine.
fn write_kubeconfig(
    layout: &Layout,
    plan: &Plan,
    user: &str,
    authority: &str,
    credentials: &Credentials,
) -> anyhow::Result<()> {
    let [authority, certificate, key] = [authority, &credentials.certificate, &credentials.key]
        .map(|pem| BASE64_STANDARD.encode(pem));
    let server = plan.node(1);
    let text = format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters: [{{name: test, cluster: {{server: \"https://{server}:6443\", certificate-authority-data: {authority}}}}}]\n\
         users: [{{name: {user}, user: {{client-certificate-data: {certificate}, client-key-data: {key}}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: {user}}}}}]\n\
         current-context: test\n"
    );
    write_private(&layout.kubeconfig(user), &text)
}

fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn every_user_has_a_kubeconfig_that_only_its_owner_reads() {
        let place = tempfile::tempdir().unwrap();
        let layout = Layout::at(&place.path().join("c")).unwrap();
        let plan = Plan::new(2).unwrap();
        layout.make(plan.each_node()).unwrap();
        write(&layout, &plan).unwrap();

        let admin = layout.kubeconfig(ADMIN);
        let mode = fs_err::metadata(&admin).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs_err::read_to_string(&admin).unwrap();
        assert!(text.contains("server: \"https://198.18.0.11:6443\""), "{text}");
        assert!(layout.kubeconfig("node2").is_file() && !layout.kubeconfig("node3").exists());
        let key = fs_err::read_to_string(layout.pki("service-accounts.pub")).unwrap();
        assert!(key.starts_with("-----BEGIN PUBLIC KEY-----"));
    }
}
