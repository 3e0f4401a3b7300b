//! The surroundings of `hubctl demo`: servers to throw away, a database in use, keys and a
//! configuration; and an SSH server for the demo of a forward.

mod agents;
mod scene;
mod sshd;
mod writer;

pub(crate) use self::agents::Seen;
pub(crate) use self::scene::Scene;
pub(crate) use self::sshd::{Sshd, free_port};
pub(crate) use self::writer::Writer;
