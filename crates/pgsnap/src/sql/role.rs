//! The places in a dump's statements that name a role.
//!
//! `pg_dump` names roles in few forms, all known here. A statement that must name one and is of
//! none of them is not understood, and then nothing is guessed: a privilege given to the wrong role
//! is worse than a refusal.

use std::collections::BTreeSet;
use std::ops::Range;

use super::token::{Token, TokenKind, tokens};
use crate::error::{Error, Result};
use crate::name::quote_identifier;

/// The use of roles in a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoleUse {
    /// `ALTER … OWNER TO role`.
    Owner,
    /// `GRANT`, `REVOKE`, `ALTER DEFAULT PRIVILEGES`, and the authorization around them.
    Privilege,
    /// `CREATE POLICY … TO role`, `CREATE USER MAPPING FOR role`: a part of an object.
    Part,
}

/// Returns the use of roles in a statement, if any.
pub(crate) fn role_use(statement: &str) -> Option<RoleUse> {
    let starts = |prefix: &str| statement.starts_with(prefix);
    if starts("GRANT ")
        || starts("REVOKE ")
        || starts("ALTER DEFAULT PRIVILEGES ")
        || is_authorization(statement)
    {
        Some(RoleUse::Privilege)
    } else if starts("CREATE POLICY ") || starts("CREATE USER MAPPING ") {
        Some(RoleUse::Part)
    } else if starts("ALTER ")
        && statement.contains(" OWNER TO ")
        && owner(&tokens(statement)).is_some()
    {
        Some(RoleUse::Owner)
    } else {
        None
    }
}

/// Returns true if a statement changes in whose name the next ones run, which only a superuser may.
pub(crate) fn is_authorization(statement: &str) -> bool {
    statement.starts_with("SET SESSION AUTHORIZATION ")
        || statement.starts_with("RESET SESSION AUTHORIZATION")
}

/// The names of the roles of a statement; `PUBLIC` and the like are none.
///
/// # Errors
/// [`Error::UnexpectedDdl`] for a statement that must name roles and does not in any known way.
pub(crate) fn roles(statement: &str) -> Result<BTreeSet<String>> {
    Ok(places(statement)?.into_iter().map(|(_, name)| name).collect())
}

/// The statement with every role replaced by what `new_name` says.
///
/// # Errors
/// As for [`roles`].
pub(crate) fn with_roles(
    statement: &str,
    new_name: impl Fn(&str) -> Option<String>,
) -> Result<String> {
    let mut text = statement.to_owned();
    for (range, name) in places(statement)?.into_iter().rev() {
        if let Some(new) = new_name(&name) {
            text.replace_range(range, &quote_identifier(&new));
        }
    }
    Ok(text)
}

/// The statement with all roles in quotes, and those of a policy in the order of their names:
/// PostgreSQL keeps them in the order of their OIDs, which differs from server to server.
///
/// # Errors
/// As for [`roles`].
pub(crate) fn with_canonical_roles(statement: &str) -> Result<String> {
    let places = places(statement)?;
    if role_use(statement) != Some(RoleUse::Part) || places.len() < 2 {
        return with_roles(statement, |role| Some(role.to_owned()));
    }
    let range = places[0].0.start..places[places.len() - 1].0.end;
    let names: BTreeSet<String> =
        places.into_iter().map(|(_, name)| quote_identifier(&name)).collect();
    let mut text = statement.to_owned();
    text.replace_range(range, &names.into_iter().collect::<Vec<_>>().join(", "));
    Ok(text)
}

type Place = (Range<usize>, String);

fn places(statement: &str) -> Result<Vec<Place>> {
    let Some(role_use) = role_use(statement) else {
        return Ok(Vec::new());
    };
    let tokens = tokens(statement);
    let found = match role_use {
        RoleUse::Owner => owner(&tokens).map(|token| vec![token]),
        RoleUse::Privilege => privilege(&tokens),
        RoleUse::Part => part(&tokens),
    };
    let found = found.ok_or_else(|| Error::UnexpectedDdl {
        what: format!("no role was found in `{}`", super::label(statement)),
    })?;
    Ok(found.into_iter().filter_map(|token| Some((token.range(), role_name(token)?))).collect())
}

/// A role's name. `PUBLIC` is everybody, however it is spelt, and the other words are whoever runs
/// the statement.
fn role_name(token: &Token<'_>) -> Option<String> {
    let name = token.identifier()?;
    let is_word = token.kind == TokenKind::Word;
    let is_nobody = name == "public"
        || is_word
            && ["current_user", "session_user", "current_role", "default"].contains(&name.as_str());
    (!is_nobody).then_some(name)
}

fn can_be_role(token: &Token<'_>) -> bool {
    token.identifier().is_some()
}

/// `ALTER … OWNER TO role;`: the words stand at the very end.
fn owner<'a, 't>(tokens: &'a [Token<'t>]) -> Option<&'a Token<'t>> {
    match tokens {
        [first, .., owner, to, role, end]
            if first.is("ALTER")
                && owner.is("OWNER")
                && to.is("TO")
                && end.is_symbol(";")
                && can_be_role(role) =>
        {
            Some(role)
        }
        _ => None,
    }
}

/// All roles of a statement about privileges.
fn privilege<'a, 't>(tokens: &'a [Token<'t>]) -> Option<Vec<&'a Token<'t>>> {
    if tokens.first()?.is("RESET") {
        return Some(Vec::new());
    }
    if tokens.first()?.is("SET") {
        return match tokens {
            [_, _, _, role, end] if can_be_role(role) && end.is_symbol(";") => Some(vec![role]),
            _ => None,
        };
    }
    let mut found = Vec::new();
    let mut rest = tokens;
    if rest.first()?.is("ALTER") {
        let [_, _, _, for_, role_, role, after @ ..] = rest else {
            return None;
        };
        if !for_.is("FOR") || !role_.is("ROLE") || !can_be_role(role) {
            return None;
        }
        found.push(role);
        rest = after;
        // The privileges end at an unquoted GRANT or REVOKE; a schema of that name would be in quotes.
        let start = rest.iter().position(|token| token.is("GRANT") || token.is("REVOKE"))?;
        rest = &rest[start..];
    }
    // TO and FROM are reserved: unquoted, and outside of the arguments of a routine, they are what they say.
    let word = if rest.first()?.is("GRANT") { "TO" } else { "FROM" };
    let start = rest.iter().position(|token| token.depth == 0 && token.is(word))?;
    let (grantees, after) = list(&rest[start + 1..])?;
    found.extend(grantees);
    found.extend(ending(after)?);
    Some(found)
}

/// Parses what may follow the list of roles: options, and `GRANTED BY role`.
fn ending<'a, 't>(tokens: &'a [Token<'t>]) -> Option<Option<&'a Token<'t>>> {
    let mut rest = tokens;
    if let [with, grant, option, after @ ..] = rest
        && with.is("WITH")
        && grant.is("GRANT")
        && option.is("OPTION")
    {
        rest = after;
    }
    let mut grantor = None;
    if let [granted, by, role, after @ ..] = rest
        && granted.is("GRANTED")
        && by.is("BY")
        && can_be_role(role)
    {
        grantor = Some(role);
        rest = after;
    }
    if let [word, after @ ..] = rest
        && (word.is("CASCADE") || word.is("RESTRICT"))
    {
        rest = after;
    }
    matches!(rest, [end] if end.is_symbol(";")).then_some(grantor)
}

/// Roles separated by commas, and what comes after them.
fn list<'a, 't>(tokens: &'a [Token<'t>]) -> Option<(Vec<&'a Token<'t>>, &'a [Token<'t>])> {
    let mut found = Vec::new();
    let mut rest = tokens;
    loop {
        let (role, after) = rest.split_first()?;
        if !can_be_role(role) {
            return None;
        }
        found.push(role);
        rest = after;
        match rest.first() {
            Some(comma) if comma.is_symbol(",") => rest = &rest[1..],
            _ => return Some((found, rest)),
        }
    }
}

/// The roles of a policy or of a user mapping.
fn part<'a, 't>(tokens: &'a [Token<'t>]) -> Option<Vec<&'a Token<'t>>> {
    if tokens.get(1)?.is("USER") {
        let [_, _, _, for_, role, server, ..] = tokens else {
            return None;
        };
        return (for_.is("FOR") && server.is("SERVER") && can_be_role(role)).then(|| vec![role]);
    }
    let is_top = |word: &'static str| move |token: &&Token<'_>| token.depth == 0 && token.is(word);
    // Without roles a policy is for everybody. The words after the roles are reserved, too.
    let Some(to) = tokens.iter().position(|token| is_top("TO")(&token)) else {
        return Some(Vec::new());
    };
    let (found, rest) = list(&tokens[to + 1..])?;
    let next = rest.first()?;
    (next.is("USING") || next.is("WITH") || next.is_symbol(";")).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(statement: &str) -> String {
        with_roles(statement, |role| (role == "old" || role == "Old One").then(|| "new".to_owned()))
            .unwrap()
    }

    #[test]
    fn every_form_of_a_dump_is_mapped_and_nothing_else_is() {
        for (statement, expected) in [
            ("ALTER TABLE public.old OWNER TO old;", "ALTER TABLE public.old OWNER TO \"new\";"),
            (
                "ALTER FUNCTION public.f(old text) OWNER TO \"Old One\";",
                "ALTER FUNCTION public.f(old text) OWNER TO \"new\";",
            ),
            (
                "ALTER TABLE \"a OWNER TO old;\" OWNER TO old;",
                "ALTER TABLE \"a OWNER TO old;\" OWNER TO \"new\";",
            ),
            (
                "GRANT SELECT ON TABLE public.old TO old WITH GRANT OPTION;",
                "GRANT SELECT ON TABLE public.old TO \"new\" WITH GRANT OPTION;",
            ),
            (
                "GRANT ALL ON FUNCTION public.f(\"to\" old) TO old GRANTED BY \"Old One\";",
                "GRANT ALL ON FUNCTION public.f(\"to\" old) TO \"new\" GRANTED BY \"new\";",
            ),
            (
                "GRANT SELECT(old) ON TABLE public.\" TO old\" TO PUBLIC;",
                "GRANT SELECT(old) ON TABLE public.\" TO old\" TO PUBLIC;",
            ),
            (
                "REVOKE GRANT OPTION FOR ALL ON SCHEMA old FROM old CASCADE;",
                "REVOKE GRANT OPTION FOR ALL ON SCHEMA old FROM \"new\" CASCADE;",
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE old IN SCHEMA old GRANT SELECT ON TABLES  TO \"Old One\";",
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"new\" IN SCHEMA old GRANT SELECT ON TABLES  TO \"new\";",
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE old REVOKE ALL ON FUNCTIONS  FROM PUBLIC;",
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"new\" REVOKE ALL ON FUNCTIONS  FROM PUBLIC;",
            ),
            ("SET SESSION AUTHORIZATION old;", "SET SESSION AUTHORIZATION \"new\";"),
            ("RESET SESSION AUTHORIZATION;", "RESET SESSION AUTHORIZATION;"),
            (
                "CREATE POLICY old ON public.old FOR SELECT TO other, old USING ((a = 'old'::text));",
                "CREATE POLICY old ON public.old FOR SELECT TO other, \"new\" USING ((a = 'old'::text));",
            ),
            (
                "CREATE POLICY p ON public.old USING (old);",
                "CREATE POLICY p ON public.old USING (old);",
            ),
            (
                "CREATE USER MAPPING FOR old SERVER old OPTIONS (\n    \"user\" 'old'\n);",
                "CREATE USER MAPPING FOR \"new\" SERVER old OPTIONS (\n    \"user\" 'old'\n);",
            ),
            (
                "CREATE USER MAPPING FOR public SERVER s;",
                "CREATE USER MAPPING FOR public SERVER s;",
            ),
            (
                "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$GRANT old TO old;$$;",
                "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$GRANT old TO old;$$;",
            ),
            (
                "COMMENT ON TABLE t IS 'ALTER OWNER TO old';",
                "COMMENT ON TABLE t IS 'ALTER OWNER TO old';",
            ),
        ] {
            assert_eq!(mapped(statement), expected);
        }
    }

    #[test]
    fn a_statement_that_is_not_understood_is_refused() {
        for statement in [
            "GRANT SELECT ON TABLE t;",
            "GRANT SELECT ON TABLE t TO a WITH SURPRISE;",
            "GRANT SELECT ON TABLE t TO 'a';",
            "REVOKE ALL ON TABLE t FROM a, ;",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO a;",
            "SET SESSION AUTHORIZATION 'a';",
            "CREATE USER MAPPING IF NOT EXISTS FOR a SERVER s;",
            "CREATE POLICY p ON t TO a FOR SELECT;",
        ] {
            assert!(roles(statement).is_err(), "{statement}");
        }
    }

    #[test]
    fn roles_of_a_policy_have_one_order() {
        let canonical = |roles: &str| {
            with_canonical_roles(&format!("CREATE POLICY p ON t TO {roles} USING (a);")).unwrap()
        };
        assert_eq!(canonical("b, \"A\", b"), canonical("\"A\", b"));
        assert_eq!(canonical("a"), "CREATE POLICY p ON t TO \"a\" USING (a);");
    }

    #[test]
    fn roles_are_collected_without_those_that_are_none() {
        let found =
            roles("GRANT ALL ON TABLE t TO PUBLIC, \"A b\", c GRANTED BY CURRENT_USER;").unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["A b", "c"]);
        assert!(roles("CREATE TABLE t ();").unwrap().is_empty());
    }
}
