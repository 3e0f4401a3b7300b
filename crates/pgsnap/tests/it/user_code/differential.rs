//! Random schemas whose functions reach across tables, restored in every way: always the same
//! database.

use std::fmt::Write as _;

use pgsnap::Database;

use super::{restored_everywhere, value};
use crate::server::Server;

/// A generator of the usual linear congruential kind: the same schemas every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Plain tables of any name and size, and tables that look up plain ones or those before them by
/// name, as `pg_dump` needs it.
fn schema(dice: &mut Dice) -> String {
    let mut sql = String::from("CREATE EXTENSION amcheck;\n");
    let mut known = Vec::new();
    for n in 0..3 {
        let name = format!("{}{n}", ["a", "m", "z"][dice.roll(3) as usize]);
        let rows = [40, 400, 4000][dice.roll(3) as usize];
        write!(
            sql,
            "CREATE TABLE {name}(id int PRIMARY KEY, v text, filler text); INSERT INTO {name} SELECT i, 'v' || i, repeat('x', 100) FROM generate_series(1, {rows}) i;
             CREATE FUNCTION has_{name}(i int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT EXISTS (SELECT FROM public.{name} WHERE id = i)';
             CREATE FUNCTION v_{name}(i int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT v FROM public.{name} WHERE id = i); END';
             CREATE DOMAIN d_{name} AS int CHECK (has_{name}(VALUE));\n"
        )
        .unwrap();
        known.push(name);
    }
    for n in 0..4 {
        let name = format!("t{n}");
        let seen = |dice: &mut Dice| known[dice.roll(known.len() as u64) as usize].clone();
        let (check, domain, generated, index) = (seen(dice), seen(dice), seen(dice), seen(dice));
        let kind = |dice: &mut Dice, text: String| {
            if dice.roll(2) == 0 { text } else { String::new() }
        };
        let check = kind(dice, format!(", CHECK (has_{check}(id))"));
        let domain = kind(dice, format!(", d d_{domain} DEFAULT 7"));
        let generated =
            kind(dice, format!(", g text GENERATED ALWAYS AS (v_{generated}(id)) STORED"));
        write!(
            sql,
            "CREATE TABLE {name}(id int PRIMARY KEY, v text{check}{domain}{generated}); INSERT INTO {name}(id, v) SELECT i, 'v' || i FROM generate_series(1, 30) i;
             CREATE UNIQUE INDEX {name}_v ON {name} (v_{index}(id)); CREATE INDEX {name}_p ON {name} (v) WHERE has_{index}(id);
             CREATE FUNCTION has_{name}(i int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT EXISTS (SELECT FROM public.{name} WHERE id = i)';
             CREATE FUNCTION v_{name}(i int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT v FROM public.{name} WHERE id = i';
             CREATE DOMAIN d_{name} AS int CHECK (has_{name}(VALUE));\n"
        )
        .unwrap();
        known.push(name);
    }
    sql
}

/// Every column of every table, generated ones too, as text.
async fn contents(database: &Database) -> String {
    let tables = value(
        database,
        "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    .await;
    let mut all = String::new();
    for table in tables.split(' ') {
        let query = format!("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM {table} t");
        writeln!(all, "{table} {}", value(database, &query).await).unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn random_schemas_with_functions_across_tables_are_restored_as_they_were() {
    const CHECK: &str = "SELECT count(bt_index_check(c.oid, true)) FROM pg_class c WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace";
    let server = Server::start().await;
    for seed in 1..=4 {
        let sql = schema(&mut Dice(seed));
        let source = server.with_sql(&format!("hub{seed}"), &sql).await;
        let (expected, indexes) = (contents(&source).await, value(&source, CHECK).await);
        for database in restored_everywhere(&server, &source).await {
            assert_eq!(contents(&database).await, expected, "{database}\n{sql}");
            assert_eq!(value(&database, CHECK).await, indexes, "{database}\n{sql}");
        }
    }
}
