//! A Kubernetes service, and where it is now.
//!
//! The host of a node does not resolve names of services: its name server is not the cluster's. But
//! it reaches the cluster's name server, and addresses of services, so both are asked through the
//! SSH session itself. The address of a service that is made anew is another one, so it is asked
//! for at each connection and whenever a probe fails.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use openssh::{ForwardType, Session, Socket};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::endpoint::Endpoint;
use crate::{Error, Result};

/// A service of a cluster: `namespace/name:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.name, self.port)
    }
}

impl FromStr for Service {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (namespace, rest) = text.split_once('/')?;
            let (name, port) = rest.split_once(':')?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            (is_label(&namespace) && is_label(&name)).then_some(Self { namespace, name, port })
        };
        parse().ok_or_else(|| Error::invalid(format!("`{text}` is not NAMESPACE/NAME:PORT")))
    }
}

/// RFC 1123, as Kubernetes has it; so it is safe in a command as well.
fn is_label(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(is_allowed) && !text.starts_with('-')
}

impl TryFrom<String> for Service {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Service> for String {
    fn from(service: Service) -> Self {
        service.to_string()
    }
}

/// The name server of a cluster, as its nodes reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClusterDns {
    /// The address of the name server, by default `10.43.0.10:53`, where k3s has it.
    #[serde(default = "ClusterDns::k3s")]
    pub server: Endpoint,
    /// The suffix of the cluster's names.
    #[serde(default = "ClusterDns::cluster_local")]
    pub domain: String,
}

impl ClusterDns {
    fn k3s() -> Endpoint {
        Endpoint::tcp("10.43.0.10", 53)
    }

    fn cluster_local() -> String {
        "cluster.local".to_owned()
    }
}

impl Default for ClusterDns {
    fn default() -> Self {
        Self { server: Self::k3s(), domain: Self::cluster_local() }
    }
}

/// A service as it is reached through one session.
#[derive(Debug)]
pub(crate) struct Aim {
    pub(crate) service: Service,
    pub(crate) dns: ClusterDns,
    /// The address found by the last lookup.
    pub(crate) address: Option<IpAddr>,
}

impl Aim {
    /// Looks where the service is now, and lets the socket of the forward lead there.
    pub(crate) async fn take(
        &mut self,
        socket: &Path,
        control: &Path,
    ) -> std::result::Result<(), String> {
        let session = Session::resume_mux(control.into(), None);
        let address = self.resolve(&session, control).await?;
        if self.address == Some(address) {
            return Ok(());
        }
        let local = || Socket::UnixSocket { path: socket.into() };
        if let Some(old) = self.address.take() {
            // It may be gone with what it led to.
            let _ = session.close_port_forward(ForwardType::Local, local(), self.remote(old)).await;
        }
        session
            .request_port_forward(ForwardType::Local, local(), self.remote(address))
            .await
            .map_err(|error| format!("ssh refuses the forward to {address}: {error}"))?;
        self.address = Some(address);
        Ok(())
    }

    /// An IPv6 address goes without brackets over this protocol.
    fn remote(&self, address: IpAddr) -> Socket<'static> {
        Socket::TcpSocket { host: address.to_string().into(), port: self.service.port }
    }

    async fn resolve(
        &self,
        session: &Session,
        control: &Path,
    ) -> std::result::Result<IpAddr, String> {
        let by_dns = match self.ask_dns(session, &control.with_file_name("dns")).await {
            Ok(address) => return Ok(address),
            Err(reason) => reason,
        };
        self.ask_kubectl(session)
            .await
            .map_err(|by_kubectl| format!("{} is not found: {by_dns}; {by_kubectl}", self.service))
    }

    async fn ask_dns(
        &self,
        session: &Session,
        socket: &Path,
    ) -> std::result::Result<IpAddr, String> {
        let Endpoint::Tcp { host, port } = &self.dns.server else {
            return Err("the name server of the cluster is no port".to_owned());
        };
        let local = Socket::UnixSocket { path: socket.into() };
        let remote = Socket::TcpSocket { host: host.into(), port: *port };
        // Asking twice for the same forward is asking once.
        session
            .request_port_forward(ForwardType::Local, local, remote)
            .await
            .map_err(|error| format!("ssh refuses the forward to the name server: {error}"))?;
        let name =
            format!("{}.{}.svc.{}.", self.service.name, self.service.namespace, self.dns.domain);
        for kind in [RecordType::A, RecordType::AAAA] {
            let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
            let found = query(stream, &name, kind).await;
            if let Some(address) = found
                .map_err(|reason| format!("the name server at {} {reason}", self.dns.server))?
            {
                return Ok(address);
            }
        }
        Err(format!("the name server knows no address of {name}"))
    }

    async fn ask_kubectl(&self, session: &Session) -> std::result::Result<IpAddr, String> {
        let Service { namespace, name, .. } = &self.service;
        let get = format!("get service -n {namespace} {name} -o jsonpath='{{.spec.clusterIP}}'");
        let command = format!("kubectl {get} || k3s kubectl {get}");
        let output =
            session.raw_command(command).output().await.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.trim().parse().map_err(|_| {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            format!("kubectl there: {}", complaint.lines().last().unwrap_or("no address"))
        })
    }
}

/// One question over TCP (RFC 1035, 4.2.2: two bytes of length, then the message).
async fn query(
    mut stream: UnixStream,
    name: &str,
    kind: RecordType,
) -> std::result::Result<Option<IpAddr>, String> {
    let name = Name::from_ascii(name).map_err(|error| error.to_string())?;
    let mut question = Message::new();
    question
        .set_id(fastrand::u16(..))
        .set_message_type(MessageType::Query)
        .set_op_code(OpCode::Query)
        .set_recursion_desired(true)
        .add_query(Query::query(name, kind));
    let bytes = question.to_vec().map_err(|error| error.to_string())?;
    let length = u16::try_from(bytes.len()).map_err(|error| error.to_string())?;
    let exchange = async {
        stream.write_u16(length).await?;
        stream.write_all(&bytes).await?;
        let mut reply = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut reply).await?;
        std::io::Result::Ok(reply)
    };
    let reply = exchange.await.map_err(|_| "does not answer".to_owned())?;
    let reply = Message::from_vec(&reply).map_err(|_| "does not speak DNS".to_owned())?;
    match reply.response_code() {
        ResponseCode::NoError if reply.id() == question.id() => {}
        code => return Err(format!("says {code}")),
    }
    Ok(reply.answers().iter().find_map(|record| match record.data() {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_read_as_it_is_written() {
        let service: Service = "hub/state-hub:8000".parse().unwrap();
        assert_eq!(
            (service.namespace.as_str(), service.name.as_str(), service.port),
            ("hub", "state-hub", 8000)
        );
        assert_eq!(service.to_string(), "hub/state-hub:8000");
        for wrong in ["", "state-hub:8000", "a/b", "a/b:0", "A/b:1", "a/b;c:1", "a/-b:1", "a/b:1/2"]
        {
            assert!(wrong.parse::<Service>().is_err(), "{wrong}");
        }
    }
}
