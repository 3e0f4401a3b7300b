//! Operations on the vault and its targets.

use std::sync::Arc;

use hubctl::Exit;
use hubctl::ops::{
    self, AlertOrder, BackupsOrder, FreshOrder, FreshReport, ImportOrder, InitOrder, Ops,
    PruneOrder, PullOrder, PushOrder, RekeyOrder,
};
use hubctl::settings::{Overrides, Settings};

use super::{Heard, json, settings};
use crate::support::{Home, block_on};

#[test]
fn backups_are_copied_listed_pruned_and_fetched_without_a_command() {
    let home = Home::new();
    fs_err::create_dir(home.path("disk")).unwrap();
    home.append("[targets.disk]\nfolder = \"disk\"\n[retention]\nlast = 1\n");
    let old = home.backup();
    let heard = Arc::new(Heard::default());
    let ops = Ops::new(settings(&home)).with_console(heard.clone());

    let pushed = block_on(ops::push(&ops, PushOrder::default())).unwrap();
    assert_eq!(pushed.exit(), Exit::Yes);
    assert_eq!((pushed.targets.len(), pushed.targets[0].proven), (1, 1));
    let same_disk = "disk is on the same file system as the vault";
    assert!(heard.warnings().iter().any(|warning| warning.starts_with(same_disk)));
    assert_eq!(home.journal("push").len(), 1);
    let listed = ops::backups(&ops, BackupsOrder::default()).unwrap();
    assert_eq!(listed.backups[0].copies[0].target, "disk");

    home.backup();
    let plan = ops::prune(&ops, PruneOrder::default()).unwrap();
    assert_eq!((plan.executed, plan.removed, plan.decisions.len()), (false, 1, 2));
    assert!(old.exists());
    let done = ops::prune(&ops, PruneOrder { execute: true, ..PruneOrder::default() }).unwrap();
    assert!(done.executed && done.decisions.iter().any(|each| each.removed) && !old.exists());

    let order = || PullOrder { target: "disk".to_owned(), ..PullOrder::default() };
    let pulled = block_on(ops::pull(&ops, order())).unwrap();
    assert_eq!((&pulled.fetched, pulled.here), (&pushed.targets[0].copied, 0));
    assert_eq!(json(&block_on(ops::pull(&ops, order())).unwrap())["here"], 1);

    let listed = ops::backups(&ops, BackupsOrder::default()).unwrap();
    assert!(listed.backups.len() == 2 && listed.backups.iter().all(|b| b.state == "verified"));
    let there = ops::backups(&ops, BackupsOrder { target: Some("disk".to_owned()) }).unwrap();
    assert_eq!(there.backups.len(), 1);
}

#[test]
fn freshness_counts_by_the_clock_of_the_caller() {
    let home = Home::new();
    home.backup();
    let ops = Ops::new(settings(&home));
    let metrics = home.path("hub.prom");
    let order = || FreshOrder { metrics: Some(metrics.clone()), ..FreshOrder::default() };
    let is_fresh = |report: &FreshReport, name: &str| {
        report.parts.iter().find(|part| part.part == name).unwrap().fresh
    };
    let today = ops::fresh(&ops, order()).unwrap();
    assert!(is_fresh(&today, "verified") && !is_fresh(&today, "drilled"));
    assert_eq!(today.exit(), Exit::No);
    assert!(fs_err::read_to_string(&metrics).unwrap().contains("hubctl_vault_up"));
    let late = ops.with_clock(|| jiff::Timestamp::now() + jiff::SignedDuration::from_hours(30));
    assert!(!is_fresh(&ops::fresh(&late, order()).unwrap(), "verified"));
}

#[test]
fn backups_are_sealed_for_another_key_without_a_command() {
    let home = Home::new();
    home.backup();
    let added = home.generate_key("added.txt");
    let key = home.generate_key("key-2.txt");
    home.configure(
        &format!(
            "recipients = [\"{key}\", \"{added}\"]\nidentities = [\"key.txt\", \"key-2.txt\"]\n"
        ),
        "",
    );
    let ops = Ops::new(settings(&home));
    let keys = ops::check_keys(&ops).unwrap();
    let here: Vec<bool> = keys.recipients.iter().map(|recipient| recipient.here).collect();
    assert_eq!(here, [true, false]);
    assert!(keys.backups[0].opens && keys.backups[0].absent.len() == 1);

    let plan = block_on(ops::rekey(&ops, RekeyOrder::default())).unwrap();
    assert!(!plan.executed && plan.backups.len() == 1 && plan.backups[0].new_id.is_none());
    let order = RekeyOrder { execute: true, ..RekeyOrder::default() };
    let done = block_on(ops::rekey(&ops, order)).unwrap();
    assert!(done.is_done() && done.backups[0].new_id.is_some());
    let again = block_on(ops::rekey(&ops, RekeyOrder::default())).unwrap();
    assert!(again.backups.is_empty());
}

#[test]
fn a_file_of_the_vault_is_imported_without_a_command() {
    let home = Home::new();
    let taken = home.backup();
    fs_err::create_dir(home.path("old")).unwrap();
    let name = "hub-20260301T020000Z.sql.gz.age";
    fs_err::rename(&taken, home.path("old").join(name)).unwrap();
    let ops = Ops::new(settings(&home));
    let order = |execute| ImportOrder { directory: home.path("old"), execute };
    let plan = block_on(ops::import(&ops, order(false))).unwrap();
    assert_eq!((plan.files.len(), &plan.files[0].id), (1, &None));
    let done = block_on(ops::import(&ops, order(true))).unwrap();
    assert_eq!(done.files[0].id.as_deref(), Some("20260301T020000Z"));
    assert!(block_on(ops::import(&ops, order(true))).unwrap().files[0].there);
}

#[test]
fn an_alert_is_sent_without_a_command() {
    let home = Home::new();
    let ops = Ops::new(settings(&home));
    let order = || AlertOrder { what: "a drill".to_owned() };
    assert!(block_on(ops::alert(&ops, order())).is_err());
    let told = home.path("told");
    let command = format!("echo $HUBCTL_FAILED_UNIT > {}", told.display());
    home.append(&format!("[alerts]\ncommand = \"{command}\"\n"));
    let report = block_on(ops::alert(&Ops::new(settings(&home)), order())).unwrap();
    assert_eq!((report.told.len(), &report.told[0].error), (1, &None));
    assert_eq!(fs_err::read_to_string(told).unwrap(), "a drill\n");
}

#[test]
fn a_first_configuration_is_written_once_and_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let order = InitOrder {
        config: directory.path().join("hubctl.toml"),
        service: "state-hub".to_owned(),
        database: "postgresql://hub@127.0.0.1:5432/state_hub".to_owned(),
        generate_key: Some(directory.path().join("key.txt")),
        ..InitOrder::default()
    };
    let report = ops::init(order.clone()).unwrap();
    assert_eq!((report.recipients.len(), report.vault.is_none()), (1, true));
    Settings::load(Some(&order.config), Overrides::default()).unwrap();
    assert!(ops::init(order).is_err());
}
