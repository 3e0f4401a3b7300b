//! The options of the libraries, as flags of this program.

use pgsnap::Obstacle;

/// Words of the libraries' remedies, and the same on a command line; longer ones first.
const FLAGS: [(&str, &str); 13] = [
    ("without `owners` and `privileges`", "--no-owner and --no-acl"),
    ("without `owners`", "with --no-owner"),
    ("without `privileges`", "with --no-acl"),
    ("without `tablespaces`", "with --no-tablespaces"),
    ("`create_roles`", "--create-roles"),
    ("`role_map`", "--role-map"),
    ("`Extent::SchemaOnly`", "--schema-only"),
    ("`into_existing`", "--into-existing"),
    ("`schemas`", "--schema"),
    ("`jobs`", "--jobs"),
    ("under another name", "under another name with --database"),
    ("copy to another name", "copy to another name with --database"),
    ("name another database", "name another one with --database"),
];

/// Returns a remedy of a library with the flags of this program.
pub(crate) fn in_flags(remedy: &str) -> String {
    FLAGS.iter().fold(remedy.to_owned(), |text, (option, flag)| text.replace(option, flag))
}

/// Names the flags of this program in the remedies of a plan.
pub(crate) fn name_flags(obstacles: &mut [Obstacle]) {
    for obstacle in obstacles {
        obstacle.remedy = in_flags(&obstacle.remedy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_of_the_library_name_flags_here() {
        for (remedy, here) in [
            (
                "create them: X Or restore with `create_roles`, `role_map` or without `owners` and `privileges`",
                "create them: X Or restore with --create-roles, --role-map or --no-owner and --no-acl",
            ),
            (
                "restore without `owners`, with `role_map`, or as a superuser",
                "restore with --no-owner, with --role-map, or as a superuser",
            ),
            (
                "stop the service that uses it, or restore under another name",
                "stop the service that uses it, or restore under another name with --database",
            ),
            ("make room on the server's disk", "make room on the server's disk"),
        ] {
            assert_eq!(in_flags(remedy), here);
        }
    }
}
