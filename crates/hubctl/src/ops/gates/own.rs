//! Answers of hubctl itself, to questions about backups, tunnels and rows.

use std::pin::Pin;

use anyhow::Context as _;
use gates::{Absence, Respondent, Subject, Verdict};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::ops::tunnel::SupervisorPaths;
use crate::ops::{self, CompareDepth, Ops, blocking, equality};
use crate::settings::ProgramQuestion;

/// Asks the vault, the supervisor of tunnels, and databases.
pub(super) struct Answers {
    ops: Ops,
}

impl Answers {
    pub(super) fn new(ops: Ops) -> Self {
        Self { ops }
    }

    async fn verdict(&self, question: &str, about: &Value) -> anyhow::Result<Verdict> {
        let asked = ProgramQuestion::of(question, about)
            .with_context(|| format!("hubctl does not know the question `{question}`"))?;
        match asked {
            ProgramQuestion::BackupFresh(asked) => {
                let ops = self.ops.clone();
                blocking(move || ops::fresh_verdict(&ops, asked.max_age, asked.drilled)).await
            }
            ProgramQuestion::TunnelUp(asked) => self.tunnel(&asked.tunnel).await,
            ProgramQuestion::CensusEqual(asked) => {
                let sides = (asked.a.as_str(), asked.b.as_str());
                let depth = if asked.counts { CompareDepth::Counts } else { CompareDepth::Content };
                equality(&self.ops, sides, depth).await
            }
        }
    }

    async fn tunnel(&self, name: &str) -> anyhow::Result<Verdict> {
        let paths = SupervisorPaths::of(self.ops.settings())?;
        let mut client = match tunnel::Client::connect(&paths.runtime).await {
            Ok(client) => client,
            Err(tunnel::Error::NotRunning { .. }) => {
                return Ok(Verdict::fail("no supervisor keeps tunnels")
                    .with_hint("start it with `hubctl tunnel up`"));
            }
            Err(error) => return Err(error.into()),
        };
        let overview = client.status().await?;
        let Some(status) = overview.tunnels.iter().find(|tunnel| tunnel.name == name) else {
            return Ok(Verdict::fail(format!("the tunnel {name} was not started"))
                .with_hint(format!("start it with `hubctl tunnel up {name}`")));
        };
        let identities: Vec<_> = status.forwards.iter().map(|forward| &forward.identity).collect();
        let verdict = if status.is_up() {
            Verdict::pass(format!("the tunnel {name} is up, and its probe was answered"))
        } else if status.has_failed() {
            Verdict::fail(format!("the tunnel {name} has failed"))
                .with_hint(format!(
                    "`hubctl tunnel status` says why; `hubctl tunnel restart {name}` begins anew"
                ))
                .terminal()
        } else {
            Verdict::waiting(format!("the tunnel {name} is not up yet"))
        };
        Ok(verdict
            .about(Subject::named("tunnel", name))
            .with_evidence(json!({ "identities": identities })))
    }
}

impl Respondent for Answers {
    fn answer<'a>(
        &'a self,
        question: &'a str,
        about: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Absence>> + Send + 'a>> {
        Box::pin(async move {
            let verdict = self.verdict(question, about).await.map_err(|error| {
                let failure = Failure::of(&error);
                let causes = failure.causes.iter().map(|cause| format!(": {cause}"));
                Absence::failed(failure.message + &causes.collect::<String>())
            })?;
            serde_json::to_value(verdict).map_err(Absence::failed)
        })
    }
}
