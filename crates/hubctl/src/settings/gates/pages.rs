//! The pages of `docs/gates` say what the code does: of every condition, its members, their
//! defaults, and what is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ::gates::{Gate, Read, Rule};
use serde_json::{Map, Value, json};

use super::{ProgramQuestion, gates};
use crate::settings::source::Source;
use crate::settings::{BaseDirectory, Overrides, Settings};

const MEMBERS: &str = "| member | type | default | meaning |";
const READS: &str = "| verb | resource | which |";
const CHAPTERS: [&str; 4] =
    ["## Answers", "## What it does not believe", "## What it does not prove", "## When it fails"];

type Table = Map<String, Value>;

/// The page of a condition.
struct Page {
    name: String,
    text: String,
}

impl Page {
    fn all() -> Vec<Self> {
        let mut pages: Vec<Self> = fs_err::read_dir(directory())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README.md")
            .map(|name| Self {
                text: fs_err::read_to_string(directory().join(&name)).unwrap(),
                name: name.strip_suffix(".md").unwrap().to_owned(),
            })
            .collect();
        pages.sort_by(|a, b| a.name.cmp(&b.name));
        pages
    }

    /// The tables of its examples, which ask nothing but this condition.
    fn examples(&self) -> Vec<Table> {
        let text = blocks(&self.text, "toml").join("\n");
        let file: BTreeMap<String, BTreeMap<String, Table>> = toml::from_str(&text).unwrap();
        let examples: Vec<Table> = file["gates"].values().cloned().collect();
        for example in &examples {
            assert_eq!(example["condition"], json!(self.name));
        }
        examples
    }

    /// The rows of the table with this head, cell by cell.
    fn rows(&self, head: &str) -> Vec<Vec<&str>> {
        let after = self.text.lines().skip_while(|line| *line != head).skip(2);
        after
            .take_while(|line| line.starts_with('|'))
            .map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
            .collect()
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gates")
}

fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    let after = text.split(&begin).skip(1);
    after.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

/// Words in backquotes.
fn quoted(text: &str) -> BTreeSet<String> {
    let words = text.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

fn parse(table: Table) -> Result<Gate, String> {
    let tables = [("x".to_owned(), table)].into();
    let mut problems = Vec::new();
    let gates = gates(tables, &BaseDirectory::default(), &mut problems);
    match problems.first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(gates.get("x").unwrap().clone()),
    }
}

fn without(table: &Table, member: &str) -> Table {
    let mut table = table.clone();
    table.remove(member);
    table
}

/// Returns the members or conditions that serde expects instead of an unknown one.
fn expected(mut table: Table, member: &str) -> BTreeSet<String> {
    table.insert(member.to_owned(), json!("?"));
    let error = parse(table).unwrap_err();
    quoted(error.split_once("expected").unwrap().1)
}

/// The members of a condition as they are understood, with their defaults.
fn members(gate: &Gate) -> Value {
    let value = serde_json::to_value(gate).unwrap();
    value.get("about").unwrap_or(&value).clone()
}

/// Verbs and resources, as RBAC has them.
fn asked(table: &Table) -> BTreeSet<(String, String)> {
    let gate = parse(table.clone()).unwrap();
    let Rule::Condition(condition) = gate.rule else {
        panic!("{table:?}");
    };
    let right = |read| match read {
        Read::List { kind, .. } => Some(("list", kind.resource())),
        Read::Object { kind, .. } => Some(("get", kind.resource())),
        Read::Version { .. } => Some(("get", "/version".to_owned())),
        _ => None,
    };
    let rights = condition.reads().into_iter().filter_map(right);
    rights.map(|(verb, resource)| (verb.to_owned(), resource)).collect()
}

#[test]
fn every_condition_has_its_page_and_every_page_its_condition() {
    let mut conditions = expected(Table::new(), "condition");
    assert!(conditions.remove("program"), "{conditions:?}");
    conditions.extend(ProgramQuestion::NAMES.map(str::to_owned));
    let pages: BTreeSet<String> = Page::all().into_iter().map(|page| page.name).collect();
    assert_eq!(pages, conditions);
}

#[test]
fn every_page_has_the_same_chapters_and_examples_that_are_understood() {
    for page in Page::all() {
        let name = &page.name;
        assert!(page.text.starts_with(&format!("# Gate: {name}\n")));
        let chapters = page.text.lines().filter(|line| line.starts_with("## "));
        assert_eq!(chapters.collect::<Vec<_>>(), CHAPTERS, "{name}");
        let lines = page.text.lines().count();
        assert!((25..=60).contains(&lines), "{name} has {lines} lines");
        let examples = blocks(&page.text, "toml");
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let path = PathBuf::from("/etc/hubctl/hubctl.toml");
            let source =
                Source::parse(example, &path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let settings = Settings::merge(source, Overrides::default())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(settings.gates.iter().next().is_some(), "{name}");
        }
    }
}

#[test]
fn members_and_their_defaults_are_those_of_the_code() {
    for page in Page::all() {
        let (name, examples, rows) = (&page.name, page.examples(), page.rows(MEMBERS));
        let documented: BTreeSet<String> = rows.iter().flat_map(|row| quoted(row[0])).collect();
        assert_eq!(documented, expected(examples[0].clone(), "?"), "{name}");
        for row in rows {
            let (member, default) = (row[0].trim_matches('`'), row[2]);
            let without = examples.iter().map(|example| without(example, member));
            let parsed: Vec<_> = without.map(parse).collect();
            if default == "required" {
                let missing = format!("`{member}` is missing");
                for parsed in parsed {
                    let error = parsed.expect_err(member);
                    assert!(error.contains(&missing), "{name}: {error}");
                }
                continue;
            }
            let mut understood = parsed.iter().flatten().map(members).peekable();
            assert!(understood.peek().is_some(), "{name}: {member}: {parsed:?}");
            for members in understood {
                let found = members.get(member).filter(|value| !value.is_null());
                let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
                match default.strip_prefix('`') {
                    Some(value) => assert_eq!(
                        found.map(text).as_deref(),
                        value.strip_suffix('`'),
                        "{name}: {member}"
                    ),
                    None if default == "none" => assert_eq!(found, None, "{name}: {member}"),
                    // It depends on the rest of the configuration.
                    None => {}
                }
            }
        }
    }
}

#[test]
fn rights_are_those_that_are_needed() {
    let mut all = BTreeSet::new();
    for page in Page::all() {
        let rows = page.rows(READS).into_iter();
        let documented: BTreeSet<_> = rows
            .map(|row| [row[0], row[1]].map(|cell| cell.trim_matches('`').to_owned()))
            .map(|[verb, resource]| (verb, resource))
            .collect();
        let needed: BTreeSet<_> = page.examples().iter().flat_map(asked).collect();
        assert_eq!(documented, needed, "{}", page.name);
        all.extend(needed);
    }
    // Everybody may read it, and it is no resource.
    assert!(all.remove(&("get".to_owned(), "/version".to_owned())));
    let index = fs_err::read_to_string(directory().join("README.md")).unwrap();
    let role: Value = serde_saphyr::from_str(blocks(&index, "yaml")[0]).unwrap();
    let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let [group] = &texts(&rule["apiGroups"])[..] else {
            panic!("{rule}");
        };
        for resource in texts(&rule["resources"]) {
            let resource = format!("{resource}.{group}");
            let resource = resource.trim_end_matches('.');
            for verb in texts(&rule["verbs"]) {
                granted.insert((verb, resource.to_owned()));
            }
        }
    }
    assert_eq!(granted, all);
}

#[test]
fn the_index_has_every_page_in_its_group() {
    let index = fs_err::read_to_string(directory().join("README.md")).unwrap();
    let (_, of_a_cluster) = index.split_once("## Of a cluster").unwrap();
    let (of_a_cluster, of_anything) = of_a_cluster.split_once("## Of anything").unwrap();
    for page in Page::all() {
        let row = format!("| [`{0}`]({0}.md) | ", page.name);
        let asks_a_cluster = !asked(&page.examples()[0]).is_empty();
        assert_eq!(
            (of_a_cluster.contains(&row), of_anything.contains(&row)),
            (asks_a_cluster, !asks_a_cluster),
            "{}",
            page.name
        );
    }
}
