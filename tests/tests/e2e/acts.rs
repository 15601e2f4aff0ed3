//! Acts of people in the log: signed by whom the mandate names, for this store and this time.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use vigie_store::{Commitment, Draft, Kind, Store};
use vigie_tests::desk::{AGENT, Target};

use crate::ensure;
use crate::machine::Wall;
use crate::station::{Outcome, STORE_PASSPHRASE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "acts::whoever_holds_the_store_key_cannot_act_for_an_agent", run: forged }]
}

/// An act that somebody puts into the log with the store's key alone.
struct Forged {
    kind: Kind,
    /// Statement, from the honest one.
    change: fn(&str) -> String,
    /// File of the key that signs.
    key: &'static str,
    /// What verification says; empty when nothing is wrong with it.
    said: &'static str,
}

fn forged(world: &World) -> CaseResult {
    let station = Station::quick(world, "forged-acts", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    station.sound()?;
    let same: fn(&str) -> String = str::to_owned;
    let attempts = [
        Forged { kind: Kind::Read, change: same, key: "keys/agent", said: "" },
        Forged { kind: Kind::Read, change: same, key: "keys/authority", said: "nobody whom the mandate names" },
        Forged { kind: Kind::Export, change: same, key: "keys/agent", said: "an act of another kind" },
        Forged {
            kind: Kind::Read,
            change: |text| text.replace("origin ", "origin x"),
            key: "keys/agent",
            said: "another store",
        },
        Forged {
            kind: Kind::Read,
            change: |text| text.replace("sha256:", "sha256:0"),
            key: "keys/agent",
            said: "another mandate",
        },
        Forged {
            kind: Kind::Read,
            change: |text| text.replace(&format!("agent {AGENT}"), "agent A-99"),
            key: "keys/agent",
            said: "nobody whom the mandate names",
        },
        Forged { kind: Kind::Read, change: |text| at(text, -2), key: "keys/agent", said: "another time" },
        Forged { kind: Kind::Read, change: |text| at(text, 2), key: "keys/agent", said: "another time" },
        Forged { kind: Kind::Read, change: |text| at(text, -8000), key: "keys/agent", said: "not habilitated" },
    ];
    for (number, attempt) in attempts.iter().enumerate() {
        let entry = put(&station, attempt, &format!("forged-{number}"))?;
        let output = station.vigie(&["verify", "--unlocked", "--json"]).run()?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let problems = report["problems"].as_array().ok_or("no list")?;
        let of_this: Vec<&str> = problems
            .iter()
            .filter_map(|problem| problem.as_str())
            .filter(|problem| problem.starts_with(&format!("entry {entry}:")))
            .collect();
        let fits = match attempt.said {
            "" => of_this.is_empty() && output.code() == Some(0),
            said => of_this.iter().any(|problem| problem.contains(said)) && output.code() == Some(5),
        };
        ensure!(fits, "attempt {number}: {of_this:?}, {:?}", output.code());
    }
    Ok(())
}

/// The statement, some hours off.
fn at(text: &str, hours: i64) -> String {
    let time = Timestamp::now() + SignedDuration::from_hours(hours);
    let lines = text
        .lines()
        .map(|line| if line.starts_with("time ") { format!("time {time}\n") } else { line.to_owned() + "\n" });
    lines.collect()
}

/// Puts an act into the log; gives its entry.
fn put(station: &Station, attempt: &Forged, name: &str) -> Outcome<u64> {
    let key = vigie_store::unlock_key(&station.store(), &SecretString::from(STORE_PASSPHRASE))?;
    let store = Store::open(&station.store(), key, Arc::new(Wall), &Quiet)?;
    let document = std::fs::read(station.desk.path("mandate.toml"))?;
    let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&document).into();
    let honest = format!(
        "vigie read\ntime {}\norigin {}\nmandate M-2026-017 sha256:{}\ncase C\nagent {AGENT}\npurpose x\nexhibit 1\n",
        Timestamp::now(),
        store.origin(),
        data_encoding::HEXLOWER.encode(&digest),
    );
    let file = station.desk.path(name);
    std::fs::write(&file, (attempt.change)(&honest))?;
    let signature = station.desk.sign(&file, "vigie-act", &station.desk.path(attempt.key))?;
    let (statement, signature) = (std::fs::read_to_string(&file)?, std::fs::read_to_string(signature)?);
    let commitments = vec![
        Commitment { name: "agent-statement", value: statement.clone().into_bytes() },
        Commitment { name: "agent-signature", value: signature.clone().into_bytes() },
    ];
    let row = serde_json::json!({"act": {"statement": statement, "signature": signature}});
    let receipt = store.append(Draft {
        kind: attempt.kind,
        mandate: Some(digest),
        session: None,
        exhibit: None,
        commitments,
        private: None,
        row: serde_json::to_vec(&row)?,
        url_row: None,
        state: Vec::new(),
    })?;
    Ok(receipt.sequence)
}

struct Quiet;

impl vigie_store::StoreEvents for Quiet {
    fn event(&self, _: &str) {}
}
