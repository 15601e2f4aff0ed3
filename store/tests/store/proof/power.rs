//! Power loss: what a store writes is recorded, and the disk is made again as it may lie there
//! after the power went at any point: every write, cut, creation and renaming that was not synced
//! is there or not, whatever the others are, and a write may be there in some of its sectors only.
//! sled writes behind the back of [`Disk`]; its folder is copied whenever it is synced, and after
//! a loss it is any mixture of the last two copies, an older one, spoilt, or gone.

mod disk;
mod trace;

use std::path::Path;
use std::sync::Arc;

use vigie_store::{Kind, Receipt, Settings, Store, log};

use self::disk::{Deaf, Recorder};
use self::trace::{Catalogue, Trace};
use super::{Noise, Tally, folder, parallel, runs};
use crate::erasure::{MANDATE, erasure};
use crate::kit::{Kit, Quiet, copy_tree, draft};

fn settings(recorder: &Arc<Recorder>) -> Settings {
    // Small, so that segments are begun within the record.
    Settings { disk: recorder.clone(), segment_bytes: 9000, ..Settings::default() }
}

/// Records what becomes of a closed store in `dir`: it is opened, eight drafts are handed in one by
/// one and eight at once, it is closed; opened again, all its exhibits are erased and one more is
/// recorded.
fn record(kit: &Kit, dir: &Path, deaf: Deaf) -> Trace {
    // What stops left, for the opening to take away.
    for left in ["recovery.pending", "checkpoint.part"] {
        std::fs::write(dir.join(left), []).expect("writes");
    }
    let recorder = Arc::new(Recorder::new(dir, deaf));
    let store = Store::open_with(dir, kit.key.clone(), kit.clock.clone(), &Quiet, settings(&recorder)).expect("opens");
    for number in 0..6 {
        let receipt = store.append(kit.exhibit(&store, number)).expect("appends");
        recorder.acknowledged(receipt);
    }
    for _ in 0..2 {
        recorder.acknowledged(store.append(draft(Kind::Heartbeat)).expect("appends"));
    }
    let drafts: Vec<_> = (6..14).map(|number| kit.exhibit(&store, number)).collect();
    for draft in drafts {
        let recorder = recorder.clone();
        store.submit(draft, Box::new(move |result| recorder.acknowledged(result.expect("appends"))));
    }
    drop(store);
    // Opened once more, to erase what it has, and to go on.
    let store = Store::open_with(dir, kit.key.clone(), kit.clock.clone(), &Quiet, settings(&recorder)).expect("opens");
    let erasure = store.append(erasure(MANDATE, "erased")).expect("appends");
    recorder.acknowledged(erasure.clone());
    let erased = store.erase(erasure.sequence, |_, _| {}).expect("erases");
    assert_eq!(erased.exhibits, 16, "two of the base, fourteen of the record");
    recorder.acknowledged(store.append(kit.exhibit(&store, 14)).expect("appends"));
    drop(store);
    recorder.finish()
}

/// Opens a store after a loss and looks for what was acknowledged. `None` when it does not open.
fn lost(kit: &Kit, dir: &Path, receipts: &[Receipt]) -> Result<Vec<String>, String> {
    let store = Store::open(dir, kit.key.clone(), kit.clock.clone(), &Quiet).map_err(|error| error.to_string())?;
    let reader = vigie_store::Reader::open(dir).map_err(|error| error.to_string())?;
    let mut lost = Vec::new();
    for receipt in receipts {
        let sequence = receipt.sequence;
        let path = store.inclusion_proof(sequence, receipt.log_size).unwrap_or_default();
        let there = reader.entry(sequence).is_ok_and(|entry| {
            entry.age.map(|age| age.sha256) == receipt.age_sha256
                && log::verify_inclusion(&entry.leaf_hash(), sequence, receipt.log_size, &path, &receipt.root)
        });
        if !there || store.row(sequence).is_err() {
            lost.push(format!("entry {sequence}"));
        }
    }
    // An erasure that was stopped is gone on with, as `vigie retention erase` does: until then a frame
    // may be half zeros.
    for (entry, _) in store.rows(Kind::Erasure).map_err(|error| error.to_string())? {
        store.erase(entry, |_, _| {}).map_err(|error| error.to_string())?;
    }
    store.append(draft(Kind::Heartbeat)).map_err(|error| error.to_string())?;
    drop(store);
    let options = vigie_store::VerifyOptions { key: Some(kit.key.clone()), ..vigie_store::VerifyOptions::default() };
    let report = vigie_store::verify(dir, options, &Quiet).map_err(|error| error.to_string())?;
    lost.extend(report.problems.iter().map(ToString::to_string));
    Ok(lost)
}

/// One loss, and now and then a second one in the recovery from it.
fn lose(kit: &Kit, trace: &Trace, noise: &mut Noise, tally: &Tally, what: &str) {
    let first = tempfile::tempdir_in(folder()).expect("a folder");
    let dir = first.path().join("store");
    let at = noise.below(trace.len() as u64 + 1) as usize;
    let catalogue = trace.restore(&dir, at, noise);
    let receipts = trace.receipts(at);
    let mut what = format!("{what}, operation {at} of {}, catalogue {catalogue:?}", trace.len());
    let second = tempfile::tempdir_in(folder()).expect("a folder");
    let mut judged = dir.clone();
    if noise.one_in(4) {
        let recorder = Arc::new(Recorder::new(&dir, |_| false));
        let opened = Store::open_with(&dir, kit.key.clone(), kit.clock.clone(), &Quiet, settings(&recorder));
        drop(opened);
        let recovery = recorder.finish();
        let at = noise.below(recovery.len() as u64 + 1) as usize;
        judged = second.path().join("store");
        let catalogue = recovery.restore(&judged, at, noise);
        what = format!("{what}; then operation {at} of {}, catalogue {catalogue:?}", recovery.len());
    }
    tally.ran();
    match lost(kit, &judged, &receipts) {
        Ok(gone) if gone.is_empty() => {}
        Ok(gone) => tally.found(&tally.lost, &format!("{what}: {gone:?}")),
        Err(why) => tally.found(&tally.unopenable, &format!("{what}: {why}")),
    }
}

/// A closed store with something in it, without a reserve (which is of no interest here and large).
fn base() -> Kit {
    let kit = Kit::new_in(&folder());
    let store = kit.open();
    for number in 100..102 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    drop(store);
    std::fs::write(kit.dir().join("reserve"), []).expect("empties");
    kit
}

#[test]
fn power_loss_takes_nothing_acknowledged() {
    const RUNS_OF_A_TRACE: u64 = 50;
    let wanted = runs(200, 10_000);
    let tally = Tally::default();
    // Rounds form by chance: a new record now and then.
    parallel(wanted.div_ceil(RUNS_OF_A_TRACE), |batch| {
        let kit = base();
        let trace = record(&kit, &kit.dir(), |_| false);
        assert!(trace.len() > 40 && trace.receipts(trace.len()).len() == 18);
        let (removals, holes) = trace.removals_and_holes();
        assert!(removals == 2 && holes == 16, "{removals} removals, {holes} holes");
        let mut noise = Noise::new(batch);
        for run in 0..RUNS_OF_A_TRACE {
            lose(&kit, &trace, &mut noise, &tally, &format!("batch {batch}, run {run}"));
        }
    });
    tally.report("power loss: prefixes, reorderings, torn sectors, a quarter with a second loss", wanted);
}

/// Kept apart from chance: every prefix with nothing unsynced, and with all of it.
#[test]
fn power_loss_after_each_operation() {
    let kit = base();
    let trace = record(&kit, &kit.dir(), |_| false);
    let tally = Tally::default();
    let count = trace.len() as u64 + 1;
    parallel(count * 2, |run| {
        let folder = tempfile::tempdir_in(folder()).expect("a folder");
        let dir = folder.path().join("store");
        let (at, all) = ((run / 2) as usize, run % 2 == 1);
        trace.restore_plain(&dir, at, all);
        tally.ran();
        match lost(&kit, &dir, &trace.receipts(at)) {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => tally.found(&tally.lost, &format!("operation {at}, all {all}: {gone:?}")),
            Err(why) => tally.found(&tally.unopenable, &format!("operation {at}, all {all}: {why}")),
        }
    });
    tally.report("power loss after each operation, nothing or all of the unsynced kept", count * 2);
}

/// The anti-test: a disk that leaves out one sort of sync loses what was acknowledged, and that is
/// seen. So every sort is needed.
#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let sorts: [(&str, Deaf); 5] = [
        ("any", |_| true),
        ("segments", |path| path.starts_with("segments") && path.extension().is_some()),
        ("their names", |path| path == Path::new("segments")),
        ("the head", |path| path.starts_with("checkpoint.part")),
        ("its name", |path| path == Path::new("")),
    ];
    for (sort, deaf) in sorts {
        let kit = base();
        let trace = record(&kit, &kit.dir(), deaf);
        let tally = Tally::of_an_anti_test();
        let mut noise = Noise::new(1);
        for run in 0..40 {
            lose(&kit, &trace, &mut noise, &tally, &format!("{sort}, run {run}"));
        }
        assert!(tally.faults() != [0; 3], "nothing was lost without syncs of {sort}");
    }
}

/// The whole record gives the whole store.
#[test]
fn a_record_without_a_loss_is_the_store() {
    let kit = base();
    let trace = record(&kit, &kit.dir(), |_| false);
    let receipts = trace.receipts(trace.len());
    let copy = kit.folder.path().join("whole");
    assert_eq!(trace.restore_plain(&copy, trace.len(), true), Catalogue::Synced);
    assert_eq!(lost(&kit, &copy, &receipts), Ok(Vec::new()));
    let other = kit.folder.path().join("other");
    copy_tree(&kit.dir(), &other);
    assert_eq!(lost(&kit, &other, &receipts), Ok(Vec::new()));
}
