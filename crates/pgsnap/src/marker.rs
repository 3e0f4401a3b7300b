//! The marker of a database: its claim about which site is primary. Specified in
//! `docs/formats/marker.md`; this module is the only one that knows its text.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;

use crate::comment;
use crate::error::{Error, Result};
use crate::fence::RecordPlace;
use crate::name::{quote_identifier, quote_literal};
use crate::restore::comment_statement;

/// The setting of a database that holds its marker; also the word that begins the line in its
/// comment, where the role may not make settings of its own.
pub(crate) const SETTING: &str = "hubctl.epoch";

const VERSION: &str = "v1";

/// Stands for itself in a value; everything else is percent-encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':');

/// The role of a database among those of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MarkerRole {
    /// The service writes here.
    Primary,
    /// The service has moved on, and never writes here again.
    Retired,
}

impl MarkerRole {
    fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for MarkerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The claim of a database about which site is primary.
///
/// It stands in the setting `hubctl.epoch` of the database, or in a line of its comment where it
/// was written by a role that is no superuser. Of two claims, the one with the higher epoch counts.
/// No dump, copy or restore carries it along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Marker {
    /// The number of the claim. Each change of the primary has a higher one.
    pub epoch: u64,
    /// The role of the database.
    pub role: MarkerRole,
    /// The site of the database.
    pub site: String,
    /// The run that made the claim.
    pub run: String,
    /// `system_identifier` of the cluster, where the role could read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<String>,
    /// The OID of the database; 0 before the marker is written.
    pub database_oid: u32,
    /// The time it was written, by the server's clock (RFC 3339, UTC); empty before.
    pub at: String,
}

impl Marker {
    /// A marker that is to be written. Its database and time are filled in then.
    pub fn new(
        epoch: u64,
        role: MarkerRole,
        site: impl Into<String>,
        run: impl Into<String>,
    ) -> Self {
        Self {
            epoch,
            role,
            site: site.into(),
            run: run.into(),
            system_identifier: None,
            database_oid: 0,
            at: String::new(),
        }
    }

    /// Returns whether the marker was written for the database with this OID. One of another
    /// database came here with a copy and is stale.
    pub(crate) fn is_of(&self, system_identifier: Option<&str>, database_oid: u32) -> bool {
        let differs = match (self.system_identifier.as_deref(), system_identifier) {
            (Some(there), Some(here)) => there != here,
            _ => false,
        };
        self.database_oid == database_oid && !differs
    }

    /// The marker of the database with this OID, from its settings and its comment. Of two, its own
    /// counts before a stale one, and the higher epoch before the lower.
    pub(crate) fn find(
        settings: &[String],
        text: Option<&str>,
        system_identifier: Option<&str>,
        database_oid: u32,
    ) -> Result<Option<Self>> {
        let set = |text: &String| Some(text.strip_prefix(SETTING)?.strip_prefix('=')?.to_owned());
        let commented = text.and_then(|text| comment::value(text, SETTING)).map(str::to_owned);
        let texts = commented.into_iter().chain(settings.iter().filter_map(set));
        let markers = texts.map(|text| text.parse()).collect::<Result<Vec<Self>>>()?;
        let rank = |marker: &Self| (marker.is_of(system_identifier, database_oid), marker.epoch);
        Ok(markers.into_iter().max_by_key(rank))
    }

    /// The statements that give the marker to a database, which has this comment.
    pub(crate) fn write(
        &self,
        database: &str,
        place: RecordPlace,
        text: Option<&str>,
    ) -> Vec<String> {
        let (name, value) = (quote_identifier(database), self.to_string());
        match place {
            RecordPlace::Comment => {
                let text = comment::with(text, SETTING, &value);
                vec![comment_statement(database, &text)]
            }
            RecordPlace::Setting => {
                let set =
                    format!("ALTER DATABASE {name} SET {SETTING} TO {}", quote_literal(&value));
                let stale = text.filter(|text| comment::value(text, SETTING).is_some());
                let own = stale.map(|text| comment::without(text, SETTING).unwrap_or_default());
                let cleared = own.map(|own| comment_statement(database, &own));
                std::iter::once(set).chain(cleared).collect()
            }
        }
    }
}

/// Prints the stored text: one line of ASCII.
impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |text| utf8_percent_encode(text, ENCODED);
        write!(f, "{VERSION} epoch={} role={}", self.epoch, self.role.word())?;
        write!(f, " site={} run={}", encoded(&self.site), encoded(&self.run))?;
        if let Some(system_identifier) = &self.system_identifier {
            write!(f, " sysid={}", encoded(system_identifier))?;
        }
        write!(f, " dboid={} at={}", self.database_oid, encoded(&self.at))
    }
}

/// Reads the stored text, and nothing that [`Marker`] would not print.
impl FromStr for Marker {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let version = text.split(' ').next().unwrap_or_default();
        if version != VERSION {
            let version = version.escape_debug();
            return Err(unusable(format!("it has version {version:.20}, this program reads v1")));
        }
        let marker = parse(text).filter(|marker| marker.to_string() == text);
        marker.ok_or_else(|| unusable(format!("`{:.200}` is none", text.escape_debug())))
    }
}

fn parse(text: &str) -> Option<Marker> {
    let mut fields = text.split(' ').skip(1).peekable();
    let mut field = |name: &str| {
        let value = fields.next_if(|field| field.starts_with(name))?.strip_prefix(name)?;
        let decoded = percent_decode_str(value.strip_prefix('=')?).decode_utf8().ok()?;
        Some(decoded.into_owned())
    };
    Some(Marker {
        epoch: field("epoch")?.parse().ok()?,
        role: match field("role")?.as_str() {
            "primary" => MarkerRole::Primary,
            "retired" => MarkerRole::Retired,
            _ => return None,
        },
        site: field("site")?,
        run: field("run")?,
        system_identifier: field("sysid"),
        database_oid: field("dboid")?.parse().ok()?,
        at: field("at")?,
    })
}

fn unusable(reason: String) -> Error {
    Error::Marker { reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marker() -> Marker {
        Marker {
            system_identifier: Some("7714297671072149340".into()),
            database_oid: 16384,
            at: "2026-11-21T16:12:00.482913Z".into(),
            ..Marker::new(7, MarkerRole::Primary, "new home", "20261121161200ab12")
        }
    }

    #[test]
    fn the_text_is_as_documented() {
        let text = "v1 epoch=7 role=primary site=new%20home run=20261121161200ab12 \
                    sysid=7714297671072149340 dboid=16384 at=2026-11-21T16:12:00.482913Z";
        assert_eq!(marker().to_string(), text);
        assert_eq!(text.parse::<Marker>().unwrap(), marker());
    }

    #[test]
    fn only_what_is_printed_is_read() {
        let text = marker().to_string();
        for (from, to) in [
            ("v1 ", "v2 "),
            ("v1 ", "v1  "),
            ("epoch=7", "epoch=07"),
            ("epoch=7", "epoch=+7"),
            ("epoch=7", "epoch=99999999999999999999"),
            ("epoch=7 ", ""),
            ("role=primary", "role=standby"),
            ("new%20home", "new%2"),
            ("new%20home", "new%6bhome"),
            ("new%20home", "%FF"),
            ("new%20home", "new'home"),
            ("at=", "more=1 at="),
            ("Z", "Z\n"),
            ("Z", "Z more=1"),
            ("dboid=16384 at", "at"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text);
            let error = other.parse::<Marker>().unwrap_err();
            assert!(matches!(error, Error::Marker { .. }) && error.hint().is_some(), "{other}");
        }
        assert!("".parse::<Marker>().is_err());
    }

    #[test]
    fn an_own_marker_counts_before_a_stale_one_and_the_higher_epoch_before_the_lower() {
        let (own, mut stale, mut later) = (marker(), marker(), marker());
        (stale.epoch, stale.database_oid, later.epoch) = (9, 16385, 8);
        let find = |set: &Marker, commented: &Marker| {
            let comment = format!("ours\n{SETTING}={commented}");
            let settings = [format!("{SETTING}={set}")];
            Marker::find(&settings, Some(&comment), Some("7714297671072149340"), 16384).unwrap()
        };
        assert_eq!(find(&own, &stale), Some(own.clone()));
        assert_eq!(find(&stale, &own), Some(own.clone()));
        assert_eq!(find(&own, &later), Some(later.clone()));
        assert_eq!(Marker::find(&[], None, None, 16384).unwrap(), None);
        assert!(Marker::find(&[format!("{SETTING}=v9")], None, None, 16384).is_err());
    }

    #[test]
    fn a_marker_of_another_server_is_not_of_this_database() {
        assert!(marker().is_of(Some("7714297671072149340"), 16384));
        assert!(marker().is_of(None, 16384), "this role may not ask");
        assert!(!marker().is_of(Some("1"), 16384) && !marker().is_of(None, 16385));
    }

    #[test]
    fn a_new_place_takes_the_line_out_of_the_comment() {
        let text = marker().write("hub", RecordPlace::Comment, Some("ours"));
        assert_eq!(
            text[0],
            format!("COMMENT ON DATABASE \"hub\" IS 'ours\n{SETTING}={}'", marker())
        );
        let comment = format!("ours\n{SETTING}={}", marker());
        let statements = marker().write("hub", RecordPlace::Setting, Some(&comment));
        assert!(statements[0].starts_with("ALTER DATABASE \"hub\" SET hubctl.epoch TO 'v1 "));
        assert_eq!(statements[1..], ["COMMENT ON DATABASE \"hub\" IS 'ours'"]);
        assert_eq!(marker().write("hub", RecordPlace::Setting, Some("ours")).len(), 1);
    }

    proptest! {
        #[test]
        fn every_marker_comes_back(
            epoch in any::<u64>(), retired in any::<bool>(), site in any::<String>(), run in any::<String>(),
            system_identifier in any::<Option<String>>(), database_oid in any::<u32>(), at in any::<String>(),
        ) {
            let role = if retired { MarkerRole::Retired } else { MarkerRole::Primary };
            let marker = Marker { epoch, role, site, run, system_identifier, database_oid, at };
            let text = marker.to_string();
            prop_assert!(text.is_ascii() && !text.contains(['\n', '\'', '"', '\\']), "{}", text);
            prop_assert_eq!(text.parse::<Marker>().unwrap(), marker);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(v1 )?[ -~]{0,80}") {
            if let Ok(marker) = text.parse::<Marker>() {
                prop_assert_eq!(marker.to_string(), text);
            }
        }
    }
}
