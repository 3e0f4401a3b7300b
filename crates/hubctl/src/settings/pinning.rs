//! Writing the identity of a site into the configuration. Nothing else in the file changes.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

use super::IdentityTable;
use super::source;
use crate::failure::Refusal;

/// Writes the identity of a site into this file, durably. Through a symbolic link, the file that it
/// leads to is replaced.
pub(crate) fn pin(path: &Path, site: &str, identity: &IdentityTable) -> anyhow::Result<()> {
    let text = source::read(path)?;
    let path = fs_err::canonicalize(path)?;
    let owner = fs_err::metadata(&path)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(by_hand(
            &format!("{} belongs to another user (uid {owner})", path.display()),
            site,
            identity,
        )
        .into());
    }
    let pinned = pinned(&text, site, identity).ok_or_else(|| {
        let fact = format!("{} cannot be edited without changing more", path.display());
        by_hand(&fact, site, identity)
    })?;
    if pinned != text {
        regularfile::replace(&path, pinned)?;
    }
    Ok(())
}

fn by_hand(fact: &str, site: &str, identity: &IdentityTable) -> Refusal {
    let line = inline(identity);
    Refusal::usage(fact).hint(format!("write into [sites.{site}]: identity = {line}"))
}

/// The text with this identity; `None` if it cannot be written there, or the rest would not mean
/// the same.
fn pinned(text: &str, site: &str, identity: &IdentityTable) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let sites = document.get_mut("sites")?.as_table_like_mut()?;
    let table = sites.get_mut(site)?.as_table_like_mut()?;
    match table.get_mut(IDENTITY).and_then(Item::as_table_like_mut) {
        Some(present) => update(present, identity),
        None => drop(table.insert(IDENTITY, Item::Value(Value::InlineTable(inline(identity))))),
    }
    let line_ends = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let pinned = document.to_string().replace("\r\n", "\n").replace('\n', line_ends);
    let (mut before, mut after) = (values(text)?, values(&pinned)?);
    let written = take_identity(&mut after, site)?;
    take_identity(&mut before, site);
    (before == after && written == toml::Value::try_from(identity).ok()?).then_some(pinned)
}

const IDENTITY: &str = "identity";
const SYSTEM_IDENTIFIER: &str = "system_identifier";
const DATABASE_OID: &str = "database_oid";

fn values(text: &str) -> Option<toml::Table> {
    toml::from_str(text).ok()
}

fn take_identity(tables: &mut toml::Table, site: &str) -> Option<toml::Value> {
    tables.get_mut("sites")?.get_mut(site)?.as_table_mut()?.remove(IDENTITY)
}

fn inline(identity: &IdentityTable) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert(SYSTEM_IDENTIFIER, identity.system_identifier.as_str().into());
    if let Some(oid) = identity.database_oid {
        table.insert(DATABASE_OID, i64::from(oid).into());
    }
    table
}

/// Writes the values into a table that is there, and keeps the comments beside them.
fn update(table: &mut dyn TableLike, identity: &IdentityTable) {
    set(table, SYSTEM_IDENTIFIER, identity.system_identifier.as_str().into());
    match identity.database_oid {
        Some(oid) => set(table, DATABASE_OID, i64::from(oid).into()),
        None => drop(table.remove(DATABASE_OID)),
    }
}

fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key) {
        Some(Item::Value(present)) => {
            *value.decor_mut() = present.decor().clone();
            *present = value;
        }
        _ => drop(table.insert(key, Item::Value(value))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use fs_err::os::unix::fs::symlink;

    use super::*;
    use crate::settings::{Overrides, Settings};

    fn identity(oid: Option<u32>) -> IdentityTable {
        IdentityTable { system_identifier: "7123456789012345678".into(), database_oid: oid }
    }

    #[test]
    fn the_line_is_added_behind_the_keys_of_its_site() {
        let text = "# Our sites\n[sites.a]  # here\ndatabase = 'x'\n\n# who writes\n[[sites.a.writers]]\nname = \"api\"\n\n[sites.b]\ndatabase = \"y\"\n";
        insta::assert_snapshot!(pinned(text, "a", &identity(Some(16384))).unwrap(), @r#"
        # Our sites
        [sites.a]  # here
        database = 'x'
        identity = { system_identifier = "7123456789012345678", database_oid = 16384 }

        # who writes
        [[sites.a.writers]]
        name = "api"

        [sites.b]
        database = "y"
        "#);
        assert_eq!(pinned(text, "c", &identity(None)), None);
    }

    #[test]
    fn an_identity_is_replaced_where_it_stands() {
        for (text, expected) in [
            (
                "[sites.a]\nidentity = { system_identifier = '1', database_oid = 2 } # pinned\ndatabase = 'x'\n",
                "[sites.a]\nidentity = { system_identifier = \"7123456789012345678\"} # pinned\ndatabase = 'x'\n",
            ),
            (
                "[sites.a.identity]\nsystem_identifier = '1' # old\n[sites.a]\ndatabase = 'x'\n",
                "[sites.a.identity]\nsystem_identifier = \"7123456789012345678\" # old\n[sites.a]\ndatabase = 'x'\n",
            ),
        ] {
            let written = pinned(text, "a", &identity(None)).unwrap();
            assert_eq!(written.replace(" }", "}"), expected.replace(" }", "}"));
        }
    }

    #[test]
    fn every_form_of_a_site_is_edited_and_every_other_line_stays() {
        let forms = [
            "[sites.a]\ndatabase = 'x'",
            "[sites]\na = { database = 'x' }\n",
            "sites.a.database = 'x'\n[vault]\npath = 'v'\n",
            "sites = { a = { database = 'x' }, b = { database = 'y' } }\n",
            "[sites]\na.database = 'x'\nb.database = 'y'\n",
            "[\"sites\".\"a\"]\r\ndatabase = 'x'\r\n# end\r\n",
            "\u{feff}[sites.a]\ndatabase = 'x'\n",
            "[sites.a]\ndatabase = '''\nx'''\n[sites.a.identity]\ndatabase_oid = 3\nsystem_identifier = '4'\n",
        ];
        for text in forms {
            for oid in [None, Some(u32::MAX)] {
                let once = pinned(text, "a", &identity(oid)).expect(text);
                assert_eq!(pinned(&once, "a", &identity(oid)).as_deref(), Some(once.as_str()));
                let kept = text.lines().filter(|line| !line.contains("a = {"));
                let kept =
                    kept.filter(|line| !line.contains("oid") && !line.contains("identifier"));
                for line in kept {
                    let line = line.trim_start_matches('\u{feff}');
                    assert!(once.contains(line), "{line} is gone: {once}");
                }
                assert_eq!(once.contains('\r'), text.contains('\r'), "{once:?}");
            }
        }
    }

    #[test]
    fn a_link_stays_a_link_and_the_mode_stays() {
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("dotfile.toml"), home.path().join("hubctl.toml"));
        fs_err::write(&file, "[sites.a]\ndatabase = 'host=h'\n").unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink("dotfile.toml", &link).unwrap();
        for oid in [Some(5), None] {
            pin(&link, "a", &identity(oid)).unwrap();
            let settings = Settings::load(Some(&link), Overrides::default()).unwrap();
            assert_eq!(settings.sites["a"].identity, Some(identity(oid)));
        }
        assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs_err::read_dir(home.path()).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn a_file_that_cannot_be_edited_stays_and_the_line_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("hubctl.toml");
        fs_err::write(&file, "[vault]\npath = 'v'\n").unwrap();
        let error = pin(&file, "a", &identity(Some(5))).unwrap_err();
        let hint = crate::failure::Failure::of(&error).hint.unwrap();
        assert!(hint.contains("identity = { system_identifier = \"7"), "{hint}");
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "[vault]\npath = 'v'\n");
    }
}
