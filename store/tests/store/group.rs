//! Many at once share one round of fsync.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

use vigie_store::{Draft, Kind, Settings};

use crate::kit::{Kit, draft, warc};
use crate::proof::faults::FaultDisk;

#[test]
fn a_burst_shares_rounds() {
    let kit = Kit::new();
    let disk = Arc::new(FaultDisk::default());
    let store = kit.open_with(Settings { disk: disk.clone(), ..Settings::default() }).expect("opens");
    store.append(draft(Kind::Heartbeat)).expect("appends");
    let before = disk.syncs();
    store.append(draft(Kind::Heartbeat)).expect("appends");
    let one = disk.syncs() - before;
    assert_eq!(one, 4, "segment, head, its folder, catalogue");

    let drafts: Vec<Draft> = (1..=200).map(|number| kit.exhibit(&store, number)).collect();
    let before = disk.syncs();
    let (sender, receiver) = channel();
    // The first round is held until all are handed in, so that the count does not depend on luck.
    let held = disk.hold();
    for draft in drafts {
        let sender = sender.clone();
        store.submit(draft, Box::new(move |result| sender.send(result).expect("listens")));
    }
    drop((held, sender));
    let receipts: Vec<_> = receiver.iter().map(|result| result.expect("appends")).collect();
    assert_eq!(receipts.len(), 200);
    let rounds = (disk.syncs() - before) / one;
    assert!(rounds <= 4, "{rounds} rounds for 200 exhibits");
    drop(store);
    assert_eq!(kit.sound().exhibits, 200);
}

#[test]
fn eight_threads_lose_and_double_nothing() {
    let kit = Kit::new();
    let store = kit.open();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (store, kit) = (&store, &kit);
            scope.spawn(move || {
                for number in 0..10 {
                    let receipt = store.append(kit.exhibit(store, thread * 100 + number)).expect("appends");
                    let row = store.row(receipt.sequence).expect("a row");
                    assert_eq!(row, format!("{{\"number\":{}}}", thread * 100 + number).into_bytes());
                }
            });
        }
    });
    drop(store);
    assert_eq!(kit.sound().exhibits, 80);
}

/// Prints the rate; the floor is far below what a release build gives.
#[test]
fn exhibits_of_80_kib_are_kept_at_a_good_rate() {
    let kit = Kit::new();
    let store = kit.open();
    let page: Vec<u8> = (0..80 * 1024u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let plain = warc(&page);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let exhibit = Draft { exhibit: Some(kit.seal(&store, &plain)), ..kit.exhibit(&store, 1) };
                    store.append(exhibit).expect("appends");
                }
            });
        }
    });
    let rate = 400.0 / start.elapsed().as_secs_f64();
    println!("{rate:.0} exhibits of 80 KiB sealed, logged and durable per second");
    assert!(rate > 20.0);
}
