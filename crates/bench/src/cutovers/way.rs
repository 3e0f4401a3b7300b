//! The ways to move a service that are measured.

/// A way to move the service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Delta,
    Offline,
    /// What the operators' script does: a dump file, `psql -f`, and counts.
    Script,
    /// The same without the file.
    Pipe,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Delta, Self::Offline, Self::Script, Self::Pipe];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delta => "`hubctl cutover --mode delta`",
            Self::Offline => "`hubctl cutover --mode offline`",
            Self::Script => "`pg_dump` to a file, `psql -f`, `count(*)` of each table",
            Self::Pipe => "`pg_dump \\| psql`, `count(*)` of each table",
        }
    }

    /// What is left behind besides the database in its new home.
    pub(crate) fn proof(self) -> &'static str {
        match self {
            Self::Delta => "every row compared; a verified, encrypted backup afterwards",
            Self::Offline => "every row compared; a verified, encrypted backup",
            Self::Script => "equal counts; a dump in clear text",
            Self::Pipe => "equal counts",
        }
    }

    /// The mode of hubctl, where it makes the move.
    pub(crate) fn mode(self) -> Option<&'static str> {
        match self {
            Self::Delta => Some("delta"),
            Self::Offline => Some("offline"),
            Self::Script | Self::Pipe => None,
        }
    }

    /// The longest median that was asked for at a size, in seconds.
    pub(crate) fn target(self, megabytes: u32) -> Option<f64> {
        match (self, megabytes) {
            (Self::Delta, 100) => Some(4.0),
            (Self::Offline, 100) => Some(10.0),
            (Self::Delta, 1000) => Some(12.0),
            _ => None,
        }
    }
}
