//! Random schemas with random rows, as statements. Some of them a server may refuse.

use testkit::Dice;

use super::value::{Type, literal};

/// Returns the statements that make a whole database, in order.
pub(super) fn statements(seed: u64) -> Vec<String> {
    let mut generator = Generator {
        dice: Dice::new(seed),
        out: Vec::new(),
        names: 0,
        schemas: vec!["public".into()],
        types: Vec::new(),
        keyed: Vec::new(),
    };
    generator.schemas();
    generator.types();
    for _ in 0..3 + generator.dice.below(5) {
        generator.table();
    }
    generator.others();
    generator.out
}

const NAMES: [&str; 18] = [
    "plain",
    "Upper Case",
    "quo\"te",
    "apo'strophe",
    "back\\slash",
    "select",
    "ünïcödé 🦀",
    "$dollar$",
    "semi;colon",
    "new\nline",
    "tab\there",
    "%s",
    ":colon",
    "-- dash",
    "\\.",
    "dotted.name",
    "a name of nearly sixty-three bytes, as long as they may be",
    "(parentheses)",
];

struct Generator {
    dice: Dice,
    out: Vec<String>,
    names: usize,
    /// Quoted.
    schemas: Vec<String>,
    types: Vec<Type>,
    /// Tables whose primary key is the column `id`.
    keyed: Vec<String>,
}

struct Column {
    /// Quoted.
    name: String,
    of: Type,
}

impl Generator {
    fn push(&mut self, statement: impl Into<String>) {
        self.out.push(statement.into());
    }

    /// A quoted name that is not used yet.
    fn name(&mut self) -> String {
        self.names += 1;
        let base = if self.dice.one_in(2) { *self.dice.pick(&NAMES) } else { "x" };
        quoted(&format!("{base}{}", self.names))
    }

    fn qualified(&mut self) -> String {
        let schema = self.dice.pick(&self.schemas).clone();
        format!("{schema}.{}", self.name())
    }

    fn schemas(&mut self) {
        for _ in 0..self.dice.below(3) {
            let name = self.name();
            self.push(format!("CREATE SCHEMA {name}"));
            self.schemas.push(name);
        }
    }

    fn types(&mut self) {
        for _ in 0..self.dice.below(5) {
            let name = self.qualified();
            let made = match self.dice.below(4) {
                0 => self.enumeration(name),
                1 => self.composite(name),
                2 => self.domain(name),
                _ => self.range(name),
            };
            self.types.push(made);
        }
    }

    fn enumeration(&mut self, name: String) -> Type {
        let labels: Vec<String> =
            (0..1 + self.dice.below(6)).map(|n| format!("{}{n}", self.dice.pick(&NAMES))).collect();
        let list: Vec<String> = labels.iter().map(|label| literal(label)).collect();
        self.push(format!("CREATE TYPE {name} AS ENUM ({})", list.join(", ")));
        Type::one_of(name, labels)
    }

    fn composite(&mut self, name: String) -> Type {
        let fields: Vec<Type> = (0..1 + self.dice.below(4)).map(|_| self.column_type()).collect();
        let list: Vec<String> =
            fields.iter().map(|field| format!("{} {}", self.name(), field.name)).collect();
        self.push(format!("CREATE TYPE {name} AS ({})", list.join(", ")));
        Type::row(name, fields)
    }

    fn domain(&mut self, name: String) -> Type {
        let base = Type::random(&mut self.dice);
        let constraint = *self.dice.pick(&[
            "",
            " CHECK (VALUE IS NOT NULL OR true)",
            " CONSTRAINT \"a check\" CHECK (VALUE::text <> 'never')",
        ]);
        self.push(format!("CREATE DOMAIN {name} AS {}{constraint}", base.name));
        base.renamed(name)
    }

    fn range(&mut self, name: String) -> Type {
        self.push(format!("CREATE TYPE {name} AS RANGE (subtype = text, collation = \"C\")"));
        let values = ["empty", "(,)", "[a,b)", "[\"it\"\"s\",zz]", "[\"\\\\.\",\"]\"]"];
        Type::one_of(name, values.map(String::from).into())
    }

    fn column_type(&mut self) -> Type {
        if self.types.is_empty() || self.dice.one_in(3) {
            return Type::random(&mut self.dice);
        }
        let own = self.dice.pick(&self.types).clone();
        if self.dice.one_in(4) { Type::array(own) } else { own }
    }

    fn columns(&mut self) -> Vec<Column> {
        (0..self.dice.below(7))
            .map(|_| Column { name: self.name(), of: self.column_type() })
            .collect()
    }

    fn table(&mut self) {
        match self.dice.below(10) {
            0 => self.table_without_columns(),
            1..=3 => self.partitioned(),
            4 => self.inherited(),
            _ => self.plain(),
        }
    }

    fn table_without_columns(&mut self) {
        let table = self.qualified();
        self.push(format!("CREATE TABLE {table} ()"));
        for _ in 0..self.dice.below(5) {
            self.push(format!("INSERT INTO {table} DEFAULT VALUES"));
        }
    }

    fn plain(&mut self) {
        let table = self.qualified();
        let columns = self.columns();
        let unlogged = if self.dice.one_in(6) { "UNLOGGED " } else { "" };
        let id = *self.dice.pick(&[
            "id integer PRIMARY KEY",
            "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            "id bigint GENERATED BY DEFAULT AS IDENTITY (START 7 INCREMENT 3) PRIMARY KEY",
            "id serial PRIMARY KEY",
            "id integer",
        ]);
        let mut definitions = vec![id.to_owned()];
        if self.dice.one_in(3) {
            definitions.push("twice bigint GENERATED ALWAYS AS (id * 2) STORED".into());
        }
        for column in &columns {
            definitions.push(self.definition(column));
        }
        // In the middle of the others, so that numbers of columns and positions in a row differ.
        let at = self.dice.below(definitions.len() + 1);
        let gone = self.dice.one_in(3);
        if gone {
            definitions.insert(at, "gone text DEFAULT 'gone'".into());
        }
        self.push(format!("CREATE {unlogged}TABLE {table} ({})", definitions.join(", ")));
        self.rows(&table, &columns, id.contains("ALWAYS"));
        if gone {
            self.push(format!("ALTER TABLE {table} DROP COLUMN gone"));
            self.rows(&table, &columns, id.contains("ALWAYS"));
        }
        if self.dice.one_in(3) {
            self.push(format!("DELETE FROM {table} WHERE id % 3 = 0"));
        }
        if id.contains("PRIMARY KEY") && unlogged.is_empty() {
            self.keyed.push(table.clone());
        }
        self.indexes(&table, &columns);
        self.foreign_key(&table);
    }

    fn definition(&mut self, column: &Column) -> String {
        let mut text = format!("{} {}", column.name, column.of.name);
        if self.dice.one_in(4) {
            text.push_str(&format!(" DEFAULT {}", column.of.value(&mut self.dice)));
        }
        if self.dice.one_in(6) {
            text.push_str(&format!(
                " CHECK ({} IS NULL OR {}::text <> 'never')",
                column.name, column.name
            ));
        }
        text
    }

    fn rows(&mut self, table: &str, columns: &[Column], overriding: bool) {
        let names: Vec<&str> = std::iter::once("id")
            .chain(columns.iter().map(|column| column.name.as_str()))
            .collect();
        let clause = if overriding { " OVERRIDING SYSTEM VALUE" } else { "" };
        let count = *self.dice.pick(&[0, 1, 3, 10, 40]);
        let base = self.dice.below(1000) * 100;
        for row in 0..count {
            let mut values = vec![(base + row).to_string()];
            values.extend(columns.iter().map(|column| column.of.value(&mut self.dice)));
            self.push(format!(
                "INSERT INTO {table} ({}){clause} VALUES ({})",
                names.join(", "),
                values.join(", ")
            ));
        }
        if self.dice.one_in(8) {
            // Nulls in place of defaults, which may be long.
            let nulls = ", NULL".repeat(columns.len());
            self.push(format!(
                "INSERT INTO {table} ({}){clause} SELECT n{nulls} FROM generate_series(1000000, 1003000) n",
                names.join(", ")
            ));
        }
    }

    fn partitioned(&mut self) {
        let root = self.qualified();
        let columns = self.columns();
        let definitions: Vec<String> = std::iter::once("id integer NOT NULL".to_owned())
            .chain(columns.iter().map(|column| self.definition(column)))
            .collect();
        let strategy = *self.dice.pick(&["LIST ((id % 3))", "RANGE (id)", "HASH (id)"]);
        self.push(format!(
            "CREATE TABLE {root} ({}) PARTITION BY {strategy}",
            definitions.join(", ")
        ));
        for number in 0..3 {
            let bounds = match strategy.as_bytes()[0] {
                b'L' => format!("FOR VALUES IN ({number})"),
                b'R' if number == 2 => "DEFAULT".to_owned(),
                b'R' => {
                    format!("FOR VALUES FROM ({}) TO ({})", number * 30_000, (number + 1) * 30_000)
                }
                _ => format!("FOR VALUES WITH (MODULUS 3, REMAINDER {number})"),
            };
            let part = self.qualified();
            if self.dice.one_in(4) {
                let leaf = self.qualified();
                self.push(format!(
                    "CREATE TABLE {part} PARTITION OF {root} {bounds} PARTITION BY HASH (id)"
                ));
                self.push(format!("CREATE TABLE {leaf} PARTITION OF {part} FOR VALUES WITH (MODULUS 1, REMAINDER 0)"));
            } else {
                self.push(format!("CREATE TABLE {part} PARTITION OF {root} {bounds}"));
            }
        }
        if !strategy.starts_with("LIST") && self.dice.one_in(2) {
            self.push(format!("ALTER TABLE {root} ADD PRIMARY KEY (id)"));
            self.keyed.push(root.clone());
        }
        self.rows(&root, &columns, false);
        self.indexes(&root, &columns);
        self.foreign_key(&root);
    }

    fn inherited(&mut self) {
        let (parent, child) = (self.qualified(), self.qualified());
        let (columns, own) = (self.columns(), self.columns());
        let definitions: Vec<String> = std::iter::once("id integer".to_owned())
            .chain(columns.iter().map(|column| self.definition(column)))
            .collect();
        self.push(format!("CREATE TABLE {parent} ({})", definitions.join(", ")));
        let definitions: Vec<String> = own.iter().map(|column| self.definition(column)).collect();
        self.push(format!("CREATE TABLE {child} ({}) INHERITS ({parent})", definitions.join(", ")));
        self.rows(&parent, &columns, false);
        let all: Vec<Column> = columns.into_iter().chain(own).collect();
        self.rows(&child, &all, false);
    }

    fn indexes(&mut self, table: &str, columns: &[Column]) {
        for column in columns {
            let (name, index) = (&column.name, self.name());
            let statement = match self.dice.below(8) {
                // Long values do not fit into a B-tree: their hash does.
                0 => format!("CREATE INDEX {index} ON {table} (md5({name}::text))"),
                1 => format!(
                    "CREATE INDEX {index} ON {table} (id DESC NULLS LAST) INCLUDE (id) WHERE {name} IS NOT NULL"
                ),
                2 => format!("CREATE INDEX {index} ON {table} USING hash (id)"),
                3 => format!(
                    "CREATE INDEX {index} ON {table} USING brin (id) WITH (pages_per_range = 4)"
                ),
                4 => format!(
                    "CREATE STATISTICS {}.{index} ON id, {name} FROM {table}",
                    self.schemas[0]
                ),
                5 => format!(
                    "COMMENT ON COLUMN {table}.{name} IS {}",
                    literal(NAMES[self.names % NAMES.len()])
                ),
                _ => continue,
            };
            self.push(statement);
        }
    }

    fn foreign_key(&mut self, table: &str) {
        if self.keyed.is_empty() || !self.dice.one_in(2) {
            return;
        }
        let (referred, name) = (self.dice.pick(&self.keyed).clone(), self.name());
        let options = *self.dice.pick(&[
            "",
            " ON DELETE CASCADE",
            " DEFERRABLE INITIALLY DEFERRED",
            " NOT VALID",
        ]);
        self.push(format!("ALTER TABLE {table} ADD COLUMN refers bigint"));
        self.push(format!(
            "UPDATE {table} SET refers = (SELECT min(id) FROM {referred}) WHERE id % 2 = 0"
        ));
        self.push(format!(
            "ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (refers) REFERENCES {referred} (id){options}"
        ));
    }

    fn others(&mut self) {
        for _ in 0..self.dice.below(3) {
            let name = self.qualified();
            let options =
                *self.dice.pick(&["", " AS smallint INCREMENT -1 CYCLE", " MINVALUE 5 CACHE 10"]);
            self.push(format!("CREATE SEQUENCE {name}{options}"));
            if self.dice.one_in(2) {
                self.push(format!("SELECT nextval({})", literal(&name)));
            }
        }
        if let Some(table) = self.keyed.first().cloned() {
            let (view, materialised) = (self.qualified(), self.qualified());
            self.push(format!("CREATE VIEW {view} AS SELECT * FROM {table}"));
            self.push(format!(
                "CREATE MATERIALIZED VIEW {materialised} AS SELECT count(*) AS n FROM {view}"
            ));
        }
        for _ in 0..self.dice.below(3) {
            let content =
                *self.dice.pick(&["''", "'\\x00ff'", "decode(repeat('5c2e0a', 50000), 'hex')"]);
            self.push(format!("SELECT lo_from_bytea(0, {content}::bytea)"));
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
