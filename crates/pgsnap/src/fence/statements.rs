//! The statements that put a fence up and take it down. Nothing here asks a server.

use std::collections::{BTreeMap, BTreeSet};

use crate::comment;
use crate::error::Result;
use crate::fence::record::{DatabaseState, FenceKind, FenceRecord, RECORD, RoleName};
use crate::fence::state::{Connect, Present, READ_ONLY};
use crate::name::{quote_identifier, quote_literal};
use crate::restore::{assignment, comment_statement};

/// The place of a record or marker: a setting, which takes a superuser, or a line of the comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordPlace {
    Setting,
    Comment,
}

/// The statements of the one transaction that puts the fence up, without the rename.
///
/// `read_only` are the roles whose own setting would win over that of the database.
pub(crate) fn put_up(
    record: &FenceRecord,
    place: RecordPlace,
    read_only: &[RoleName],
) -> Vec<String> {
    let name = quote_identifier(&record.database);
    let mut statements = vec![format!("ALTER DATABASE {name} SET {READ_ONLY} TO on")];
    for role in read_only {
        let role = quote_identifier(&role.name);
        statements.push(format!("ALTER ROLE {role} IN DATABASE {name} SET {READ_ONLY} TO on"));
    }
    if record.kind == FenceKind::Hard {
        match &record.admits {
            None => statements.push(format!("ALTER DATABASE {name} CONNECTION LIMIT 0")),
            Some(role) => {
                let role = quote_identifier(&role.name);
                statements.push(format!("GRANT CONNECT ON DATABASE {name} TO {role}"));
            }
        }
        let grantees = shut_out(record);
        if !grantees.is_empty() {
            let grantees = grantees.into_iter().collect::<Vec<_>>().join(", ");
            statements.push(format!("REVOKE CONNECT ON DATABASE {name} FROM {grantees} CASCADE"));
        }
    }
    statements.push(match place {
        RecordPlace::Setting => {
            let text = quote_literal(&record.text());
            format!("ALTER DATABASE {name} SET {RECORD} TO {text}")
        }
        RecordPlace::Comment => comment_statement(&record.database, &record.in_comment()),
    });
    statements
}

/// The roles that lose the privilege CONNECT, quoted.
fn shut_out(record: &FenceRecord) -> BTreeSet<String> {
    let admitted = record.admits.as_ref().map(|role| role.oid);
    let connects = record.before.privileges.iter().filter(|grant| grant.privilege == "CONNECT");
    let grantees = connects.filter_map(|grant| match &grant.grantee {
        None => Some("PUBLIC".to_owned()),
        Some(role) if Some(role.oid) == admitted => None,
        Some(role) => Some(quote_identifier(&role.name)),
    });
    grantees.collect()
}

/// The statements that take the fence down, and the properties that are lost with their roles.
#[derive(Debug, Default)]
pub(crate) struct TakeDown {
    pub(crate) statements: Vec<String>,
    pub(crate) lost: Vec<String>,
}

/// The statements that lead from the present state to the recorded one. `roles` are the present
/// names of all roles.
pub(crate) fn take_down(
    record: &FenceRecord,
    now: &Present,
    roles: &BTreeMap<u32, String>,
) -> Result<TakeDown> {
    let name = quote_identifier(&record.database);
    let before = &record.before;
    let mut down = TakeDown::default();
    if now.name != record.database {
        let present = quote_identifier(&now.name);
        down.statements.push(format!("ALTER DATABASE {present} RENAME TO {name}"));
    }
    read_only(before, &now.state, &name, roles, &mut down)?;
    if now.state.connection_limit != before.connection_limit {
        let limit = before.connection_limit;
        down.statements.push(format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}"));
    }
    let (is, was) = (now.state.connects(), before.connects());
    connects(&is, &was, (&name, now.state.owner.oid), roles, &mut down);
    if now.state.setting(0, RECORD).is_some() {
        down.statements.push(format!("ALTER DATABASE {name} RESET {RECORD}"));
    }
    let comment = now.state.comment.as_deref();
    let own = comment.and_then(|comment| comment::without(comment, RECORD));
    if own.as_deref() != comment {
        down.statements.push(comment_statement(&record.database, &own.unwrap_or_default()));
    }
    Ok(down)
}

/// The defaults of the database and of its roles.
fn read_only(
    before: &DatabaseState,
    now: &DatabaseState,
    name: &str,
    roles: &BTreeMap<u32, String>,
    down: &mut TakeDown,
) -> Result<()> {
    let numbers = before.settings.iter().chain(&now.settings);
    let numbers = numbers.map(|settings| settings.role.as_ref().map_or(0, |role| role.oid));
    for number in numbers.collect::<BTreeSet<u32>>() {
        let (is, was) = (now.setting(number, READ_ONLY), before.setting(number, READ_ONLY));
        if is == was {
            continue;
        }
        let subject = match (number, roles.get(&number)) {
            (0, _) => format!("ALTER DATABASE {name}"),
            (_, Some(role)) => format!("ALTER ROLE {} IN DATABASE {name}", quote_identifier(role)),
            (_, None) => {
                down.lost.push(format!("{READ_ONLY} of a role that was dropped ({number})"));
                continue;
            }
        };
        down.statements.push(match was {
            Some(value) => {
                format!("{subject} SET {}", assignment(&format!("{READ_ONLY}={value}"))?)
            }
            None => format!("{subject} RESET {READ_ONLY}"),
        });
    }
    Ok(())
}

/// Grants the missing privileges, first those of the owner and then those that were passed on, and
/// revokes the others.
fn connects(
    is: &BTreeSet<Connect>,
    was: &BTreeSet<Connect>,
    (name, owner): (&str, u32),
    roles: &BTreeMap<u32, String>,
    down: &mut TakeDown,
) {
    let known = |number: &u32| roles.get(number).map(|role| quote_identifier(role));
    let grantee =
        |number: u32| if number == 0 { Some("PUBLIC".to_owned()) } else { known(&number) };
    let mut missing: Vec<Connect> = was.difference(is).copied().collect();
    let mut able: BTreeSet<u32> = is.iter().filter(|grant| grant.2).map(|grant| grant.1).collect();
    able.insert(owner);
    while let Some(at) = missing.iter().position(|grant| able.contains(&grant.0)) {
        let (grantor, to, grantable) = missing.remove(at);
        let (Some(grantor_name), Some(to_name)) = (known(&grantor), grantee(to)) else {
            down.lost.push(format!("CONNECT of a role that was dropped ({to})"));
            continue;
        };
        let option = if grantable { " WITH GRANT OPTION" } else { "" };
        let grant = format!("GRANT CONNECT ON DATABASE {name} TO {to_name}{option}");
        if grantor == owner {
            down.statements.push(grant);
        } else {
            let statements = [format!("SET LOCAL ROLE {grantor_name}"), grant, "RESET ROLE".into()];
            down.statements.extend(statements);
        }
        if grantable {
            able.insert(to);
        }
    }
    let lost =
        missing.iter().map(|grant| format!("CONNECT granted by a role that lost it ({})", grant.0));
    down.lost.extend(lost);
    for (grantor, from, grantable) in is.difference(was) {
        let Some(from_name) = grantee(*from) else { continue };
        // The same grant without its option is there before.
        if was.contains(&(*grantor, *from, !grantable)) && *grantable {
            down.statements.push(format!(
                "REVOKE GRANT OPTION FOR CONNECT ON DATABASE {name} FROM {from_name} CASCADE"
            ));
        } else if !was.contains(&(*grantor, *from, !grantable)) {
            down.statements
                .push(format!("REVOKE CONNECT ON DATABASE {name} FROM {from_name} CASCADE"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::record::fixtures::{grant, record, role};

    fn roles() -> BTreeMap<u32, String> {
        [(10, "hüb".to_owned()), (11, "app".to_owned()), (12, "ops".to_owned())].into()
    }

    #[test]
    fn a_hard_fence_shuts_out_every_grantee() {
        let statements = put_up(&record(), RecordPlace::Setting, &[role(11, "a\"pp")]);
        insta::assert_snapshot!(statements[..4].join("\n"), @r#"
        ALTER DATABASE "hub" SET default_transaction_read_only TO on
        ALTER ROLE "a""pp" IN DATABASE "hub" SET default_transaction_read_only TO on
        ALTER DATABASE "hub" CONNECTION LIMIT 0
        REVOKE CONNECT ON DATABASE "hub" FROM "hüb", PUBLIC CASCADE
        "#);
        assert!(statements[4].starts_with("ALTER DATABASE \"hub\" SET hubctl.fence TO '{"));
    }

    #[test]
    fn who_is_no_superuser_stays_admitted() {
        let mut record = record();
        record.admits = Some(role(10, "hüb"));
        let statements = put_up(&record, RecordPlace::Comment, &[]);
        assert_eq!(statements[1], "GRANT CONNECT ON DATABASE \"hub\" TO \"hüb\"");
        assert_eq!(statements[2], "REVOKE CONNECT ON DATABASE \"hub\" FROM PUBLIC CASCADE");
        assert!(statements[3].starts_with("COMMENT ON DATABASE \"hub\" IS 'first line\n"));
    }

    #[test]
    fn nothing_is_done_for_what_is_right_already() {
        let record = record();
        let now = Present { name: "hub".into(), state: record.before.clone() };
        assert!(take_down(&record, &now, &roles()).unwrap().statements.is_empty());
    }

    #[test]
    fn a_privilege_that_was_passed_on_is_passed_on_again() {
        let mut record = record();
        let (owner, app, ops) = (role(10, "hüb"), role(11, "app"), role(12, "ops"));
        let mut able = grant(&owner, Some(&app));
        able.grantable = true;
        record.before.privileges = vec![grant(&app, Some(&ops)), able];
        let mut now = Present { name: "hub".into(), state: record.before.clone() };
        now.state.privileges.clear();
        let down = take_down(&record, &now, &roles()).unwrap();
        insta::assert_snapshot!(down.statements.join("\n"), @r#"
        GRANT CONNECT ON DATABASE "hub" TO "app" WITH GRANT OPTION
        SET LOCAL ROLE "app"
        GRANT CONNECT ON DATABASE "hub" TO "ops"
        RESET ROLE
        "#);
    }

    #[test]
    fn a_dropped_role_is_named_and_not_waited_for() {
        let mut record = record();
        record.before.privileges.push(grant(&role(10, "hüb"), Some(&role(99, "gone"))));
        let mut now = Present { name: "hub".into(), state: record.before.clone() };
        now.state.privileges.pop();
        let down = take_down(&record, &now, &roles()).unwrap();
        assert!(down.statements.is_empty() && down.lost.len() == 1, "{down:?}");
    }
}
