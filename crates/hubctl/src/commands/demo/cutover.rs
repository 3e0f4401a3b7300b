//! The end of the demo: the service moves, and moves back, while agents write.

use super::stage::Stage;
use crate::demo::{Scene, Seen};
use crate::exit::Exit;
use crate::failure::Refusal;
use crate::human;
use crate::ops::{self, CutoverOrder, RollbackOrder};
use crate::printer::Printer;

/// The service moves, and moves back, while agents write.
pub(super) async fn play(
    stage: &mut Stage,
    printer: &Printer,
    scene: &Scene,
) -> anyhow::Result<()> {
    let ops = &stage.ops();
    printer.say("\nThe agents write again, and do not stop while the service moves:");
    let before = scene.events().await?;
    let agents = scene.agents();
    agents.wait_for_commit().await;
    let plan = ops::plan_cutover(ops, CutoverOrder::default());
    stage.step("cutover", Exit::Yes, plan).await;
    let cutover = ops::cutover(ops, CutoverOrder::default());
    stage.step("cutover --execute", Exit::Yes, cutover).await;
    tell_gap(printer, &agents.wait_for_commit().await);
    printer.say("\nAnd back, with everything that was written there:");
    let rollback = ops::rollback(ops, RollbackOrder::default());
    stage.step("rollback --execute", Exit::Yes, rollback).await;
    tell_gap(printer, &agents.wait_for_commit().await);

    let seen = agents.stop().await;
    let rows = scene.events().await?.saturating_sub(before);
    // A commit whose answer was cut off may have succeeded.
    if rows < seen.committed || rows > seen.committed + seen.failed {
        let fact = format!("{} events were committed, and {rows} are there", seen.committed);
        return Err(Refusal::no(fact).into());
    }
    let committed = human::number(seen.committed);
    printer.say(format_args!(
        "\n{committed} transactions were committed meanwhile, and every one is at the workstation."
    ));
    Ok(())
}

fn tell_gap(printer: &Printer, seen: &Seen) {
    if let Some(gap) = seen.gaps.last() {
        printer.say(format_args!("\nThe agents were away for {}.", human::duration(*gap)));
    }
}
