//! A fence around a database: its record, and the properties that the database had before.

mod lifted;
mod record;
mod state;

pub(crate) use lifted::{Lifted, Properties};
pub use record::{DatabaseState, FENCE_FORMAT, FenceKind, FenceRecord, Grant, RoleName, Settings};
