//! The properties that a fenced database gives to its backup: those it had before.
//!
//! A fence is of one place and one time. A backup that carried it along would restore, years later,
//! a database that refuses its clients.

use crate::comment;
use crate::error::Result;
use crate::fence::record::{DatabaseState, FenceRecord, Settings};
use crate::fence::state::{CONNECT, READ_ONLY};
use crate::manifest::{DatabasePrivilege, RoleSetting, Source};
use crate::marker::{Marker, MarkerRole};

/// Begins the names of settings that belong to one place of a database and never travel.
pub(crate) const LOCAL: &str = "hubctl.";

/// The properties of a database that a fence changes.
pub(crate) struct Properties<'a> {
    pub(crate) database: &'a mut String,
    pub(crate) database_oid: u32,
    pub(crate) owner: &'a str,
    pub(crate) comment: &'a mut Option<String>,
    pub(crate) settings: &'a mut Vec<String>,
    pub(crate) role_settings: &'a mut Vec<RoleSetting>,
    pub(crate) connection_limit: &'a mut i32,
    pub(crate) privileges: &'a mut Option<Vec<DatabasePrivilege>>,
}

/// The result of taking a fence off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lifted {
    /// Nothing: there was no fence.
    Nothing,
    /// The recorded state took the place of the fence.
    Recorded(Box<FenceRecord>),
    /// These parts of a fence whose record is missing. They are what any fence adds; what it
    /// replaced is not known.
    Guessed(Vec<&'static str>),
}

impl<'a> Properties<'a> {
    pub(crate) fn of(source: &'a mut Source) -> Self {
        Self {
            database: &mut source.database,
            database_oid: source.database_oid,
            owner: &source.owner,
            comment: &mut source.comment,
            settings: &mut source.settings,
            role_settings: &mut source.role_settings,
            connection_limit: &mut source.connection_limit,
            privileges: &mut source.privileges,
        }
    }

    /// Takes the fence off, and every setting and line of the comment that does not travel.
    pub(crate) fn lift(mut self) -> Result<Lifted> {
        let comment = self.comment.as_deref();
        let record = FenceRecord::find(self.settings, comment, self.database_oid)?;
        let is_by_hand = record.is_none() && self.is_fenced_by_hand();
        let lifted = match record {
            Some(record) => {
                self.become_recorded(&record);
                Lifted::Recorded(Box::new(record))
            }
            None if is_by_hand => Lifted::Guessed(self.leave_out()),
            None => Lifted::Nothing,
        };
        self.settings.retain(|setting| !setting.starts_with(LOCAL));
        self.role_settings.retain(|setting| !setting.setting.starts_with(LOCAL));
        *self.comment = self.comment.as_deref().and_then(comment::own);
        Ok(lifted)
    }

    /// Returns whether the database looks fenced and says that it once was at a site of ours. The
    /// properties of a primary are those that its clients need.
    fn is_fenced_by_hand(&self) -> bool {
        let is_read_only =
            self.settings.iter().any(|setting| *setting == format!("{READ_ONLY}=on"));
        let mut marks =
            self.settings.iter().filter(|setting| setting.starts_with(LOCAL)).peekable();
        let has_mark = marks.peek().is_some();
        let is_primary = marks.any(|mark| {
            let value = mark.split_once('=').map_or("", |(_, value)| value);
            value.parse().is_ok_and(|marker: Marker| marker.role == MarkerRole::Primary)
        });
        is_read_only && has_mark && !is_primary
    }

    /// Takes from the record what a fence changes, and nothing else: it may stand in a comment,
    /// which the owner can write, and a restore must not give him settings that are for superusers.
    fn become_recorded(&mut self, record: &FenceRecord) {
        let before = &record.before;
        if record.fits(self.database) {
            self.database.clone_from(&record.database);
        }
        *self.connection_limit = before.connection_limit;
        self.restore_connect(before);
        let prefix = format!("{READ_ONLY}=");
        self.settings.retain(|setting| !setting.starts_with(&prefix));
        self.role_settings.retain(|setting| !setting.setting.starts_with(&prefix));
        for Settings { role, values } in &before.settings {
            let values = values.iter().filter(|value| value.starts_with(&prefix)).cloned();
            match role {
                None => self.settings.extend(values),
                Some(role) => self
                    .role_settings
                    .extend(values.map(|setting| RoleSetting { role: role.name.clone(), setting })),
            }
        }
        self.role_settings.sort_by(|a, b| (&a.role, &a.setting).cmp(&(&b.role, &b.setting)));
    }

    fn restore_connect(&mut self, before: &DatabaseState) {
        let Some(privileges) = &mut *self.privileges else {
            return;
        };
        let of_record = |is_connect: bool| {
            let grants = before.privileges.iter();
            let grants = grants.filter(move |grant| (grant.privilege == CONNECT) == is_connect);
            grants.map(|grant| DatabasePrivilege {
                grantee: grant.grantee.as_ref().map(|role| role.name.clone()),
                privilege: grant.privilege.clone(),
                grantable: grant.grantable,
            })
        };
        privileges.retain(|privilege| privilege.privilege != CONNECT);
        let is_as_before = of_record(false).all(|privilege| privileges.contains(&privilege))
            && privileges.len() == of_record(false).count();
        privileges.extend(of_record(true));
        privileges.sort_by(|a, b| (&a.grantee, &a.privilege).cmp(&(&b.grantee, &b.privilege)));
        if before.privileges_are_default && is_as_before {
            *self.privileges = None;
        }
    }

    fn leave_out(&mut self) -> Vec<&'static str> {
        let mut parts = Vec::new();
        let read_only = format!("{READ_ONLY}=on");
        let before = self.settings.len() + self.role_settings.len();
        self.settings.retain(|setting| *setting != read_only);
        self.role_settings.retain(|setting| setting.setting != read_only);
        if self.settings.len() + self.role_settings.len() < before {
            parts.push("the read-only default");
        }
        if *self.connection_limit == 0 {
            *self.connection_limit = -1;
            parts.push("the connection limit 0");
        }
        let owner = Some(self.owner);
        if let Some(privileges) = self.privileges {
            let admits = |privilege: &DatabasePrivilege| {
                privilege.privilege == CONNECT && privilege.grantee.as_deref() != owner
            };
            if !privileges.iter().any(admits) {
                let privilege = CONNECT.to_owned();
                privileges.push(DatabasePrivilege { grantee: None, privilege, grantable: false });
                parts.push("the revoked CONNECT, which PUBLIC has by default");
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::record::{RECORD, fixtures::record};

    struct Fixture {
        database: String,
        comment: Option<String>,
        settings: Vec<String>,
        role_settings: Vec<RoleSetting>,
        connection_limit: i32,
        privileges: Option<Vec<DatabasePrivilege>>,
    }

    impl Fixture {
        fn fenced(marker: &str) -> Self {
            Self {
                database: "hub__frozen_20261121161200ab12".into(),
                comment: None,
                settings: ["work_mem=9MB", "default_transaction_read_only=on", marker]
                    .map(str::to_owned)
                    .into(),
                role_settings: vec![RoleSetting {
                    role: "app".into(),
                    setting: "default_transaction_read_only=on".into(),
                }],
                connection_limit: 0,
                privileges: Some(Vec::new()),
            }
        }

        fn lift(&mut self) -> Result<Lifted> {
            Properties {
                database: &mut self.database,
                database_oid: 16384,
                owner: "hub",
                comment: &mut self.comment,
                settings: &mut self.settings,
                role_settings: &mut self.role_settings,
                connection_limit: &mut self.connection_limit,
                privileges: &mut self.privileges,
            }
            .lift()
        }
    }

    #[test]
    fn the_recorded_state_takes_the_place_of_the_fence() {
        let mut fixture = Fixture::fenced(&format!("{RECORD}={}", record().text()));
        assert_eq!(fixture.lift().unwrap(), Lifted::Recorded(Box::new(record())));
        assert_eq!((fixture.database.as_str(), fixture.connection_limit), ("hub", 7));
        assert_eq!(fixture.settings, ["work_mem=9MB"]);
        assert!(fixture.role_settings.is_empty());
        assert_eq!(fixture.privileges.unwrap().len(), 2);
    }

    #[test]
    fn a_forged_record_brings_no_settings_along() {
        let mut forged = record();
        forged.before.settings[0].values.push("session_preload_libraries=evil".into());
        (forged.database, forged.frozen) = ("precious".into(), Some("hub".into()));
        let mut fixture = Fixture::fenced("app.x=1");
        fixture.database = "hub".into();
        fixture.comment = Some(format!("{RECORD}={}", forged.text()));
        fixture.lift().unwrap();
        assert_eq!(fixture.settings, ["work_mem=9MB", "app.x=1"]);
        assert_eq!((fixture.database.as_str(), fixture.comment), ("hub", None));
    }

    #[test]
    fn built_in_privileges_stay_built_in() {
        let mut record = record();
        record.before.privileges_are_default = true;
        let mut fixture = Fixture::fenced(&format!("{RECORD}={}", record.text()));
        fixture.lift().unwrap();
        assert_eq!(fixture.privileges, None);
    }

    #[test]
    fn a_fence_without_its_record_is_left_out_part_by_part() {
        let mut fixture = Fixture::fenced("hubctl.epoch=v1 epoch=7");
        let Lifted::Guessed(parts) = fixture.lift().unwrap() else { panic!("no fence was seen") };
        assert_eq!(parts.len(), 3, "{parts:?}");
        assert_eq!(fixture.settings, ["work_mem=9MB"]);
        assert_eq!(fixture.connection_limit, -1);
        assert_eq!(fixture.privileges.unwrap()[0].grantee, None);
    }

    #[test]
    fn a_database_without_a_marker_keeps_what_looks_like_a_fence() {
        let mut fixture = Fixture::fenced("hubctl.epoch=x");
        fixture.settings.pop();
        assert_eq!(fixture.lift().unwrap(), Lifted::Nothing);
        assert_eq!((fixture.settings.len(), fixture.connection_limit), (2, 0));
        assert_eq!(fixture.privileges, Some(Vec::new()));
    }

    #[test]
    fn a_primary_keeps_what_looks_like_a_fence() {
        let marker = Marker::new(7, MarkerRole::Primary, "home", "20261121161200ab12");
        let mut fixture = Fixture::fenced(&format!("hubctl.epoch={marker}"));
        assert_eq!(fixture.lift().unwrap(), Lifted::Nothing);
        assert_eq!(fixture.settings, ["work_mem=9MB", "default_transaction_read_only=on"]);
        assert_eq!((fixture.connection_limit, fixture.privileges), (0, Some(Vec::new())));
    }

    #[test]
    fn an_owner_who_alone_may_connect_stays_alone_beside_a_marker() {
        let marker = Marker::new(7, MarkerRole::Retired, "home", "20261121161200ab12");
        let mut fixture = Fixture::fenced(&format!("hubctl.epoch={marker}"));
        fixture.settings.remove(1);
        assert_eq!(fixture.lift().unwrap(), Lifted::Nothing);
        assert_eq!(fixture.privileges, Some(Vec::new()));
    }

    #[test]
    fn a_marker_alone_is_dropped_in_silence() {
        let mut fixture = Fixture::fenced("hubctl.epoch=x");
        (fixture.connection_limit, fixture.privileges) = (-1, None);
        fixture.settings.remove(1);
        fixture.role_settings.clear();
        assert_eq!(fixture.lift().unwrap(), Lifted::Nothing);
        assert_eq!(fixture.settings, ["work_mem=9MB"]);
    }
}
