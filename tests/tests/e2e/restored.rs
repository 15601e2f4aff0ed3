//! A store restored behind a newer head: refused, accepted by two persons, and said from then on.

use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::Output;

use crate::chain::another_implementation_reads_it;
use crate::ensure;
use crate::machine::one_line;
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "restored::two_persons_accept_what_was_lost_with_a_disk", run: accepted },
        Case { name: "restored::a_new_passphrase_is_an_act_or_at_least_an_entry", run: passphrases },
    ]
}

/// A desk whose signers know a custodian (with two keys), and a store.
fn station(world: &World, case: &str) -> Outcome<Station> {
    let station = Station::desk(world, case, &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let signers = station.desk.path("keys/allowed_signers");
    let mut text = std::fs::read_to_string(&signers)?.replace("vigie-revocation", "vigie-revocation,vigie-restore");
    for name in ["custodian", "custodian-2"] {
        let key = station.desk.stranger_key(name)?;
        let public = std::fs::read_to_string(key.with_extension("pub"))?;
        text.push_str(&format!("custodian@customs.example namespaces=\"vigie-restore\" {public}"));
    }
    std::fs::write(&signers, text)?;
    station.set_up_quickly("store")?;
    Ok(station)
}

/// Has the paper signed with these keys and hands it in.
fn accept(station: &Station, paper: &str, keys: &[&str], more: &[&str]) -> Outcome<Output> {
    let mut command = station.vigie(&["restore", "accept", paper, "--purpose", "desk 1 goes on"]).args(more);
    for key in keys {
        let file = station.desk.path(paper);
        let signature = station.desk.sign(&file, "vigie-restore", &station.desk.path(&format!("keys/{key}")))?;
        let kept = station.desk.path(&format!("{paper}-{key}.sig"));
        std::fs::rename(signature, &kept)?;
        command = command.arg("--signature").arg(kept);
    }
    Ok(command.run()?)
}

fn accepted(world: &World) -> CaseResult {
    let station = station(world, "restored")?;
    let page = |number: u8| station.capture(&world.onion_url(&world.sites.market_a, &format!("/offer/{number}")));
    page(1).run()?.exits(0)?;
    let back_up = ["backup", "copy", "--label", "disk 3", "--purpose", "weekly"];
    station.vigie(&back_up).run()?.success()?;
    let kept = station.json(&["status"])?["log_size"].as_u64().ok_or("no size")?;
    page(2).run()?.exits(0)?;
    station.vigie(&["checkpoint", "--to", "drawer.txt"]).run()?.success()?;
    let newer = station.json(&["status"])?["log_size"].as_u64().ok_or("no size")?;
    // The disk is lost.
    std::fs::remove_dir_all(station.store())?;
    let restored = station.command(&["restore", "copy", "--to", "store"]).run()?.success()?;
    ensure!(restored.errors().contains("until two persons accept"), "{}", restored.errors());
    one_line(&station.vigie(&["status"]).run()?, 5, &["ALARM", "rollback"])?;
    one_line(&page(3).run()?, 5, &["ALARM", "rollback"])?;

    let paper = |id: &str, more: &[&str]| {
        let out = format!("{id}.toml");
        let fixed = ["restore", "paper", "--id", id, "--reason", "the disk burnt", "--out", &out];
        station.vigie(&[&fixed[..], more].concat()).run()
    };
    one_line(&paper("R-0", &["--goes-on-from", "999"])?, 2, &["--goes-on-from"])?;
    let written = paper("R-1", &[])?.success()?;
    ensure!(written.text().contains(&format!("entries {kept} to {}", newer - 1)), "{}", written.text());
    one_line(&accept(&station, "R-1.toml", &["custodian"], &[])?, 3, &["R-1.toml", "two persons"])?;
    one_line(&accept(&station, "R-1.toml", &["custodian", "custodian"], &[])?, 3, &["two persons"])?;
    one_line(&accept(&station, "R-1.toml", &["custodian", "custodian-2"], &[])?, 3, &["two persons"])?;
    station.desk.stranger_key("nobody")?;
    one_line(&accept(&station, "R-1.toml", &["custodian", "nobody"], &[])?, 3, &["no allowed signer"])?;
    // A paper about another head than the one outside.
    let text = std::fs::read_to_string(station.desk.path("R-1.toml"))?;
    std::fs::write(
        station.desk.path("R-2.toml"),
        text.replacen(&format!("size = {newer}"), &format!("size = {}", newer - 1), 1),
    )?;
    one_line(&accept(&station, "R-2.toml", &["custodian", "authority"], &[])?, 3, &["another head"])?;
    // Somebody whom no mandate names as an agent takes nothing in.
    let stranger = ["--agent-key", "keys/nobody"];
    ensure!(accept(&station, "R-1.toml", &["custodian", "authority"], &stranger)?.code() == Some(3), "a stranger");
    // That was logged: by now the log may be as long as the lost one, and is another.
    one_line(&station.vigie(&["status"]).run()?, 5, &["ALARM"])?;

    let done = accept(&station, "R-1.toml", &["custodian", "authority"], &[])?.success()?;
    ensure!(done.text().contains("of an earlier history are missing"), "{}", done.text());
    let again = accept(&station, "R-1.toml", &["custodian", "authority"], &[])?.success()?;
    ensure!(again.text().contains("accepted already"), "{}", again.text());
    ensure!(station.log("restore-accepted")?.len() == 1, "one entry");
    // Plainly, from here on, with and without the key.
    let said = [
        format!("entries {kept} to {} of an earlier history are missing", newer - 1),
        "custodian@customs.example and magistrate@court.example accepted".to_owned(),
        "the disk burnt".to_owned(),
    ];
    let status = station.vigie(&["status"]).run()?.success()?.text();
    let plain = station.vigie(&["verify", "--quiet"]).run()?.exits(0)?.text();
    page(3).run()?.exits(0)?;
    let sound = station.sound()?;
    for word in &said {
        ensure!(status.contains(word), "{word}: {status}");
        ensure!(plain.contains(word), "{word}: {plain}");
        ensure!(sound["given_up"].to_string().contains(word), "{word}: {sound}");
    }
    // The newer head in somebody's drawer: still a problem, with the act named.
    let drawer = station.vigie(&["verify", "--quiet", "--heads", "drawer.txt"]).run()?.exits(5)?.text();
    ensure!(drawer.contains("DAMAGE") && said.iter().all(|word| drawer.contains(word)), "{drawer}");
    // It was kept aside; nothing else in the state folder changed its name.
    let heads = std::fs::read_dir(station.desk.path("state/heads"))?
        .map(|file| Ok(file?.file_name().to_string_lossy().into_owned()))
        .collect::<Outcome<Vec<String>>>()?;
    ensure!(heads.len() == 2 && heads.iter().any(|name| name.contains("given-up")), "{heads:?}");
    another_implementation_reads_it(&station)?;
    // What the entry binds is needed.
    let folder = station.store().join("given-up");
    let signature = std::fs::read_dir(&folder)?
        .map(|file| Ok(file?.path()))
        .collect::<Outcome<Vec<_>>>()?
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "sig"))
        .ok_or("no signature")?;
    std::fs::remove_file(signature)?;
    let spoilt = station.vigie(&["verify", "--quiet"]).run()?.exits(5)?.text();
    ensure!(spoilt.contains("does not count"), "{spoilt}");
    Ok(())
}

fn passphrases(world: &World) -> CaseResult {
    let station = station(world, "restored-passphrases")?;
    let file = station.desk.path("credentials/vigie.store");
    let change = |new: &str, more: &[&str]| -> Outcome<Output> {
        std::fs::write(station.desk.path("credentials/vigie.store.new"), new)?;
        let output = station.vigie(&[&["passphrase"], more].concat()).run()?;
        if output.code() == Some(0) {
            std::fs::write(&file, new)?;
        }
        Ok(output)
    };
    let rows = || -> Outcome<Vec<Value>> { station.rows("passphrase") };
    // Signed by the agent whose key stands in vigie.toml.
    change("second", &["--purpose", "it may have been seen"])?.success()?;
    let row = rows()?.pop().ok_or("no entry")?;
    ensure!(row["of"] == "store" && row["agent"] == "A-07" && row["purpose"] == "it may have been seen", "{row}");
    // A key that is named and may not act changes nothing.
    station.desk.stranger_key("nobody")?;
    let refused = change("third", &["--agent-key", "keys/nobody"])?;
    ensure!(refused.code() == Some(3) && rows()?.len() == 1, "{}", refused.errors());
    // Without an agent's key, or with one that no mandate names, the entry is unsigned, and there.
    for (round, key) in ["", "key = \"keys/nobody\""].into_iter().enumerate() {
        let path = station.desk.path("vigie.toml");
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, text.replace("key = \"keys/agent\"", key))?;
        change(&format!("round {round}"), &[])?.success()?;
        std::fs::write(&path, text)?;
        let row = rows()?.pop().ok_or("no entry")?;
        ensure!(rows()?.len() == 2 + round && row["agent"].is_null(), "{row}");
    }
    std::fs::write(station.desk.path("credentials/vigie.profile.new"), "pseudonym's new")?;
    station.vigie(&["profile", "passphrase"]).run()?.success()?;
    let row = rows()?.pop().ok_or("no entry")?;
    ensure!(row["of"] == "profile" && row["profile"] == "heron" && !row["agent"].is_null(), "{row}");
    // A wrong one leaves no entry.
    let count = rows()?.len();
    one_line(&station.vigie(&["profile", "passphrase"]).run()?, 6, &["passphrase"])?;
    ensure!(rows()?.len() == count, "an entry without a change");
    station.sound()?;
    another_implementation_reads_it(&station)
}
