//! `-v` says something that is not said without it, whatever the command.

use crate::support::Home;

#[test]
fn verbose_says_more_of_every_command() {
    let home = Home::new();
    home.append(
        "[targets.disk]\nfolder = \"disk\"\n[retention]\ndaily = 1\n\
         [gates.room]\ncondition = \"disk\"\npath = \"/\"\nfree = \"1KB\"\n",
    );
    fs_err::create_dir(home.path("disk")).unwrap();
    home.backup();
    for (arguments, said) in [
        (&["backup"][..], "begin: backup of "),
        (&["backups"], "vault"),
        (&["verify", "--full"], "backup 20"),
        (&["drill"], "begin: drill of "),
        (
            &["restore", "--to", "workstation", "--database", "verbose_copy", "--execute"],
            "begin: restore of ",
        ),
        (&["diff", "workstation", "latest"], "site workstation"),
        (&["push"], "target disk"),
        (&["pull", "disk"], "target disk"),
        (&["prune"], "vault"),
        (&["fresh"], "vault"),
        (&["gates", "room"], "gate room"),
        (&["doctor"], "site workstation"),
        (&["journal", "verify"], "configuration"),
        (&["clean", "workstation"], "site workstation"),
        (&["rekey", "latest"], "vault"),
    ] {
        let quiet = home.hubctl(arguments);
        let loud = home.hubctl(&[arguments, &["-v"]].concat());
        assert!(loud.stderr.contains(" INFO "), "{arguments:?}\n{}", loud.stderr);
        loud.says(said).says("hubctl.toml");
        assert!(!quiet.stderr.contains(" INFO "), "{arguments:?}\n{}", quiet.stderr);
    }
}
