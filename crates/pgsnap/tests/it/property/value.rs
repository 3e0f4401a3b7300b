//! Random values: the edges of every type, and texts that break parsers.

use testkit::Dice;

/// A type and its values as SQL: what a column can be, and what can be in it.
#[derive(Clone)]
pub(super) struct Type {
    /// As in a column definition.
    pub(super) name: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// Texts of every sort, up to this many characters.
    Text(usize),
    /// One of these texts, cast to the type.
    OneOf(Vec<String>),
    Array(Box<Type>),
    Row(Vec<Type>),
}

const TEXTS: [&str; 22] = [
    "",
    " ",
    "plain",
    "\\.",
    "\\N",
    "\\",
    "\\\\",
    "a\tb",
    "a\nb",
    "\n\\.\n",
    "a\r\nb",
    "\u{8}\u{b}\u{c}",
    "it's",
    "\"quoted\"",
    "{a,\"b\",NULL}",
    "(1,\"x\")",
    "grüße, 日本語, 🦀",
    "\u{1}\u{7f}\u{80}\u{feff}",
    "$$ ; $1 %s :name",
    "-- comment; /* */",
    "NULL",
    "COPY t FROM stdin;",
];

/// Names of types, and values as the server reads them.
const SCALARS: [(&str, &[&str]); 37] = [
    ("smallint", &["0", "-32768", "32767"]),
    ("integer", &["0", "-2147483648", "2147483647", "42"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807", "1"]),
    (
        "numeric",
        &[
            "0",
            "NaN",
            "Infinity",
            "-0.000000000000000000001",
            "1e200",
            "12345678901234567890.0987654321",
        ],
    ),
    ("numeric(20,5)", &["0.00001", "-123456789012345.54321", "NaN"]),
    ("real", &["NaN", "Infinity", "-Infinity", "-0", "1e-38", "3.4028235e38", "0.1"]),
    (
        "double precision",
        &["NaN", "Infinity", "-0", "2.2250738585072014e-308", "1.7976931348623157e308", "0.1"],
    ),
    ("boolean", &["t", "f"]),
    ("bytea", &["\\x", "\\x00", "\\xdeadbeef5c2e0a", "abc"]),
    ("date", &["infinity", "-infinity", "0001-01-01 BC", "5874897-12-31", "2024-02-29"]),
    ("time", &["00:00", "24:00:00", "23:59:59.999999"]),
    ("timetz", &["00:00+15:59", "24:00:00-15:59", "12:00:00.000001+00"]),
    (
        "timestamp",
        &["infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "2024-02-29 12:00"],
    ),
    ("timestamptz(3)", &["-infinity", "2024-03-31 01:30:00+01", "1970-01-01 00:00:00.001 UTC"]),
    (
        "interval",
        &["0", "-178000000 years", "1 mon -1 day +00:00:00.000001", "1 year 2 mons -3 days"],
    ),
    ("uuid", &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
    ("json", &["{\"b\": 1,  \"a\": \"\\n\\u0041\", \"b\": 2}", "null", "\"\\\\\"", "[1e400]"]),
    ("jsonb", &["{\"b\": 1, \"a\": \"\\n\\\\.\\t\"}", "null", "[]", "1e300", "\"🦀\""]),
    ("jsonpath", &["$.a[*] ? (@ > 1)", "strict $"]),
    ("xml", &["<a b=\"c\">&amp;</a>", "text only", "<?x y?><z/>"]),
    ("inet", &["0.0.0.0/0", "::1", "192.0.2.10/24", "2001:db8::ff/64"]),
    ("cidr", &["192.0.2.0/24", "::/0"]),
    ("macaddr8", &["00:00:00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff:ff:ff"]),
    ("bit(5)", &["00000", "10101"]),
    ("bit varying", &["", "1", "0101010101010101"]),
    ("point", &["(0,-0)", "(Infinity,NaN)", "(1e-300,0.1)"]),
    ("path", &["[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"]),
    ("circle", &["<(0.1,0.2),3>"]),
    ("tsvector", &["", "'a':1A 'it''s':2 'back\\\\slash':3"]),
    ("tsquery", &["'a' & !'b' <-> 'c':*A"]),
    ("int4range", &["empty", "(,)", "[1,5)", "[-2147483648,2147483647)"]),
    ("numrange", &["[0.1,0.10]", "(,NaN)", "empty"]),
    ("tstzrange", &["[-infinity,infinity]", "[2024-01-01,)"]),
    ("int8multirange", &["{}", "{[1,2),[5,9)}", "{(,)}"]),
    ("name", &["x", "Quoted Name"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"]),
    ("oid", &["0", "4294967295"]),
];

impl Type {
    /// A type that the server brings along, or an array of one.
    pub(super) fn random(dice: &mut Dice) -> Self {
        let scalar = match dice.below(4) {
            0 => Self::text(dice),
            _ => {
                let (name, values) = *dice.pick(&SCALARS);
                Self::one_of(name, values.iter().map(ToString::to_string).collect())
            }
        };
        if dice.one_in(5) { Self::array(scalar) } else { scalar }
    }

    fn text(dice: &mut Dice) -> Self {
        let (name, longest) = *dice.pick(&[
            ("text", 1000),
            ("text COLLATE \"C\"", 1000),
            ("varchar(12)", 12),
            ("varchar", 200),
            ("char(9)", 9),
        ]);
        Self { name: name.into(), kind: Kind::Text(longest) }
    }

    pub(super) fn one_of(name: impl Into<String>, values: Vec<String>) -> Self {
        Self { name: name.into(), kind: Kind::OneOf(values) }
    }

    pub(super) fn array(element: Self) -> Self {
        let name = match element.name.strip_suffix(" COLLATE \"C\"") {
            Some(plain) => format!("{plain}[]"),
            None => format!("{}[]", element.name),
        };
        let kind = Kind::Array(Box::new(element));
        Self { name, kind }
    }

    pub(super) fn row(name: String, fields: Vec<Self>) -> Self {
        Self { name, kind: Kind::Row(fields) }
    }

    /// The same values under the name of a domain.
    pub(super) fn renamed(&self, name: String) -> Self {
        Self { name, kind: self.kind.clone() }
    }

    /// An expression of this type.
    pub(super) fn value(&self, dice: &mut Dice) -> String {
        if dice.one_in(8) {
            return "NULL".into();
        }
        let name = self.name.replace(" COLLATE \"C\"", "");
        match &self.kind {
            Kind::Text(longest) => format!("{}::{name}", text(dice, *longest)),
            Kind::OneOf(values) => format!("{}::{name}", literal(dice.pick::<String>(values))),
            Kind::Array(element) => array(dice, element, &name),
            Kind::Row(fields) => {
                let values: Vec<String> = fields.iter().map(|field| field.value(dice)).collect();
                format!("ROW({})::{name}", values.join(", "))
            }
        }
    }
}

fn array(dice: &mut Dice, element: &Type, name: &str) -> String {
    let row = |dice: &mut Dice, length: usize| {
        let values: Vec<String> = (0..length).map(|_| element.value(dice)).collect();
        format!("[{}]", values.join(", "))
    };
    let length = dice.below(4);
    let values = row(dice, length);
    match dice.below(4) {
        0 if length > 0 => format!("ARRAY[{values}, {}]::{name}", row(dice, length)),
        _ => format!("ARRAY{values}::{name}"),
    }
}

/// An expression for a text; some are so long that they are kept in TOAST.
fn text(dice: &mut Dice, longest: usize) -> String {
    if longest >= 1000 && dice.one_in(20) {
        let series = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n";
        return (*dice.pick(&[format!("({series})"), "repeat(E'\\\\.\\n\\t', 50000)".into()]))
            .clone();
    }
    let mut text = String::new();
    for _ in 0..1 + dice.below(3) {
        text.push_str(dice.pick::<&str>(&TEXTS));
        if dice.one_in(3) {
            text.extend((0..dice.below(5)).filter_map(|_| random_character(dice)));
        }
    }
    literal(&text.chars().take(longest).collect::<String>())
}

fn random_character(dice: &mut Dice) -> Option<char> {
    let code = u32::try_from(dice.below(0x0011_0000)).expect("a code point");
    char::from_u32(code).filter(|character| *character != '\0')
}

pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
