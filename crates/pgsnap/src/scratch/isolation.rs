//! A scratch server without a network: in a network namespace of its own, where the kernel gives
//! one to this user.

use std::path::Path;
use std::process::{Command, Stdio};

use super::user::ServerUser;

/// util-linux: a user namespace, which asks for no privilege, and in it a network that leads
/// nowhere.
const UNSHARE: [&str; 4] = ["unshare", "--user", "--map-current-user", "--net"];

/// Returns true if a program of this user can have a network namespace of its own here.
pub(super) fn is_possible(user: Option<ServerUser>) -> bool {
    let mut command = Command::new(UNSHARE[0]);
    command.args(&UNSHARE[1..]).args(["--", "true"]);
    ServerUser::apply(user, &mut command);
    command
        .current_dir(Path::new("/"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command that runs `program` without a network.
pub(super) fn without_network(program: &str) -> Command {
    let mut command = Command::new(UNSHARE[0]);
    command.args(&UNSHARE[1..]).args(["--", program]);
    command
}
