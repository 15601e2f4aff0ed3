//! Acts about witnesses: one that is struck off, and one about another file than it binds.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;
use vigie_store::{Commitment, Draft, Kind, Reader, Store, StoreEvents};

use crate::ensure;
use crate::machine::{Wall, one_line};
use crate::station::STORE_PASSPHRASE;
use crate::witness::Desk;
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "witness::one_that_is_struck_off_counts_for_what_it_said_before", run: struck_off },
        Case { name: "witness::an_act_about_another_file_is_found", run: swapped },
    ]
}

fn struck_off(world: &World) -> CaseResult {
    let desk = Desk::new(world, "struck-off")?;
    let station = &desk.station;
    desk.acquainted()?;
    desk.import(&desk.cosigned("1.txt")?)?.success()?;
    let later = desk.cosigned("2.txt")?;
    one_line(&desk.act(&["witness", "distrust", "nobody.example"]).run()?, 2, &["trusts no witness nobody.example"])?;
    let said = desk.act(&["witness", "distrust", "witness.example"]).run()?.success()?.text();
    ensure!(said.contains("trusted no more"), "{said}");
    one_line(&desk.act(&["witness", "distrust", "witness.example"]).run()?, 2, &["struck off already"])?;
    // Nothing of it is taken in or asked for any more; its name is trusted under no key.
    one_line(&desk.import(&later)?, 2, &["trusts no witness"])?;
    one_line(&station.vigie(&["witness", "export", "--to", "medium"]).run()?, 2, &["trusts no witness"])?;
    one_line(&desk.act(&["witness", "trust", &desk.witness]).run()?, 2, &["struck off by entry"])?;
    let made = desk.witness(&["init", "again", "--name", "witness.example"]).run()?.success()?.text();
    let key = made.trim_end().rsplit(' ').next().ok_or("no key")?.to_owned();
    one_line(&desk.act(&["witness", "trust", &key]).run()?, 2, &["struck off by entry", "under another key"])?;
    // What it said before stays as it was, and is said to be so.
    let report = station.sound()?;
    ensure!(report["witnessed"]["cosignatures"][0]["witness"] == "witness.example", "{report}");
    ensure!(report["notes"].to_string().contains("trusted no more since entry"), "{report}");
    let status = desk.status()?;
    ensure!(
        status["witnesses"] == serde_json::json!([]) && status["distrusted"].to_string().contains("witness.example"),
        "{status}"
    );
    let rows = station.rows("witness")?;
    ensure!(rows.last().is_some_and(|row| row["what"] == "distrusted"), "{rows:?}");
    Ok(())
}

struct Quiet;

impl StoreEvents for Quiet {
    fn event(&self, _: &str) {}
}

/// Somebody who holds the store's key binds another file to an act than the agent signed for: the
/// signature holds, and the file is a sound one of this log.
fn swapped(world: &World) -> CaseResult {
    let desk = Desk::new(world, "swapped")?;
    let station = &desk.station;
    desk.acquainted()?;
    let first = desk.cosigned("1.txt")?;
    desk.import(&first)?.success()?;
    station.sound()?;
    // A second head, bound by an entry whose row and statement are those about the first.
    station.capture(&world.onion_url(&world.sites.market_a, "/offer/1")).run()?.exits(0)?;
    let second = std::fs::read_to_string(station.desk.path(&desk.cosigned("2.txt")?))?;
    let key = vigie_store::unlock_key(&station.store(), &SecretString::from(STORE_PASSPHRASE))?;
    let store = Store::open(&station.store(), key, Arc::new(Wall), &Quiet)?;
    let entry = store.rows(Kind::Witness)?.pop().ok_or("no entry")?;
    let row: Value = serde_json::from_slice(&entry.1)?;
    let mandate = Reader::open(&station.store())?.entry(entry.0)?.mandate;
    let text = |name: &str| row["act"][name].as_str().unwrap_or_default().as_bytes().to_vec();
    let commitment = |name: &'static str, value| Commitment { name, value };
    let draft = Draft {
        kind: Kind::Witness,
        mandate,
        session: None,
        exhibit: None,
        commitments: vec![
            commitment("agent-statement", text("statement")),
            commitment("agent-signature", text("signature")),
        ],
        private: None,
        row: entry.1,
        url_row: None,
        state: Vec::new(),
    };
    let checked = store.check_cosigned(&second)?;
    let forged = store.take_cosigned(&checked, draft)?.sequence;
    drop(store);
    let checked = station.vigie(&["verify", "--quiet", "--unlocked"]).run()?.exits(5)?.text();
    let told = format!("entry {forged}: the agent signed for another head than the file that it binds");
    ensure!(checked.contains(&told), "{checked}");
    Ok(())
}
