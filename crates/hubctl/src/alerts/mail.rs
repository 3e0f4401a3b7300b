//! Mail through a command that takes a message on stdin, as sendmail does.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Message, ended};
use crate::settings::MailSettings;

pub(super) async fn send(mail: &MailSettings, message: &Message) -> anyhow::Result<()> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &mail.command])
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let text = written(&mail.to, message);
    ended(async move {
        // What the command says of itself when it does not read is worth more than that it did not.
        let _ = stdin.write_all(text.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await
    })
    .await
}

/// A message of RFC 5322. Nothing in a header may begin another.
fn written(to: &str, message: &Message) -> String {
    let line = |text: &str| text.replace(|c: char| c.is_control() || !c.is_ascii(), " ");
    format!(
        "To: {}\nSubject: hubctl: {} failed on {}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\n\n{}\n\nat {}\n",
        line(to),
        line(&message.what),
        line(&message.host),
        message.text,
        message.at
    )
}
