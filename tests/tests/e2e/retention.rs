//! How long evidence is kept and its end: holds, certificates, and what is still about.

use jiff::Timestamp;
use vigie_tests::desk::Target;
use vigie_tests::process::Output;

use crate::chain::another_implementation_reads_it;
use crate::ensure;
use crate::machine::one_line;
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "retention::a_case_from_hold_to_erased_everywhere", run: whole_life }]
}

/// A desk whose signers know a custodian, and a store with exhibits.
fn station(world: &World) -> Outcome<Station> {
    let station = Station::desk(world, "retention", &[Target::onion("market-b", &world.net.onion("market-b"))])?;
    let signers = station.desk.path("keys/allowed_signers");
    let mut text = std::fs::read_to_string(&signers)?.replace("vigie-revocation", "vigie-revocation,vigie-retention");
    for name in ["custodian", "custodian-2"] {
        let key = station.desk.stranger_key(name)?;
        let public = std::fs::read_to_string(key.with_extension("pub"))?;
        text.push_str(&format!("custodian@customs.example namespaces=\"vigie-retention\" {public}"));
    }
    std::fs::write(&signers, text)?;
    station.set_up_quickly("store")?;
    // The site's redirect out of the mandate is refused.
    station.run_once().run()?.exits(3)?;
    Ok(station)
}

/// Writes a paper, has it signed with these keys and hands it in.
fn take(station: &Station, id: &str, kind: &str, more: &str, keys: &[&str]) -> Outcome<Output> {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let case = case_id(station)?;
    let paper = station.desk.path(&format!("{id}.toml"));
    std::fs::write(
        &paper,
        format!(
            "format = \"vigie-retention/1\"\nid = \"{id}\"\ncase = \"{case}\"\nissued = {now}\nkind = \"{kind}\"\n\
             reason = \"as ordered\"\n{more}\n"
        ),
    )?;
    let mut command = station.vigie(&["retention", "take", "--purpose", "as ordered"]).arg(&paper);
    for key in keys {
        let signature = station.desk.sign(&paper, "vigie-retention", &station.desk.path(&format!("keys/{key}")))?;
        let kept = station.desk.path(&format!("{id}-{key}.sig"));
        std::fs::rename(signature, &kept)?;
        command = command.arg("--signature").arg(kept);
    }
    Ok(command.run()?)
}

fn case_id(station: &Station) -> Outcome<String> {
    let listed = station.json(&["mandate", "list"])?;
    Ok(listed[0]["case"].as_str().ok_or("no case")?.to_owned())
}

fn erase(station: &Station, more: &[&str]) -> Outcome<Output> {
    let case = case_id(station)?;
    let fixed = ["retention", "erase", "--case", &case, "--purpose", "it has ended"];
    Ok(station.vigie(&[&fixed[..], more].concat()).run()?)
}

/// State, holds and what is outstanding, of the only case.
fn state(station: &Station) -> Outcome<(String, Vec<String>, Vec<String>)> {
    let listed = station.json(&["retention", "list"])?;
    let words = |name: &str| -> Vec<String> {
        let values = listed[0][name].as_array().cloned().unwrap_or_default();
        values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    Ok((listed[0]["state"].as_str().unwrap_or_default().to_owned(), words("holds"), words("outstanding")))
}

fn whole_life(world: &World) -> CaseResult {
    let station = station(world)?;
    let exhibits = station.seen()?.len() as u64;
    ensure!(exhibits > 5, "{exhibits} exhibits");
    ensure!(
        state(&station)? == ("kept".into(), vec![], words(&["case", "escrow", "review"])),
        "{:?}",
        state(&station)?
    );
    // A sealed copy leaves, and is one more thing to account for.
    station.open_exhibit(1)?;
    let copy = format!("copy:{}", station.log("read")?[0]["entry"]);
    ensure!(state(&station)?.2.contains(&copy), "{copy} is not tracked");

    // A hold by one person; its end by two.
    take(&station, "H-1", "hold", "", &["authority"])?.success()?;
    ensure!(state(&station)?.0 == "held" && state(&station)?.1 == ["H-1"], "{:?}", state(&station)?);
    let releases = "releases = \"H-1\"";
    one_line(&take(&station, "R-1", "release", releases, &["custodian"])?, 3, &["two persons"])?;
    one_line(&take(&station, "R-2", "release", releases, &["custodian", "custodian-2"])?, 3, &["two persons"])?;
    one_line(&take(&station, "R-3", "release", "releases = \"H-9\"", &["custodian", "authority"])?, 2, &["no hold"])?;
    // Nothing is erased under a hold, certificate or not.
    let destroyed = "destroyed = [\"case\", \"escrow\"]";
    one_line(&take(&station, "D-1", "destruction", destroyed, &["authority"])?, 3, &["two persons"])?;
    one_line(&erase(&station, &["--early"])?, 3, &["H-1"])?;
    take(&station, "R-4", "release", releases, &["custodian", "authority"])?.success()?;
    one_line(&erase(&station, &["--early"])?, 3, &["no certificate"])?;
    // Strangers sign nothing, and a paper counts once.
    station.desk.stranger_key("nobody")?;
    ensure!(take(&station, "D-2", "destruction", destroyed, &["nobody", "authority"])?.code() == Some(3), "a stranger");
    take(&station, "D-3", "destruction", destroyed, &["custodian", "authority"])?.success()?;
    one_line(&take(&station, "D-3", "destruction", destroyed, &["custodian", "authority"])?, 2, &["already"])?;
    one_line(&erase(&station, &[])?, 3, &["is kept until"])?;
    ensure!(state(&station)? == ("kept".into(), vec![], words(&["review", &copy])), "{:?}", state(&station)?);
    let before = station.sound()?;
    ensure!(before["opened"] == exhibits, "{before}");

    let done = erase(&station, &["--early"])?.success()?;
    ensure!(done.text().contains(&format!("{exhibits} exhibits")), "{}", done.text());
    ensure!(done.text().contains("not erased everywhere") && done.text().contains(&copy), "{}", done.text());
    ensure!(state(&station)?.0 == "erased here", "{:?}", state(&station)?);
    // Every entry is there, and verifies; no exhibit is.
    let after = station.sound()?;
    ensure!(after["sound"] == true && after["exhibits"] == exhibits && after["opened"] == 0, "{after}");
    another_implementation_reads_it(&station)?;
    for args in [
        &["exhibit", "open", "1", "--identity", "keys/case.txt", "--purpose", "x"][..],
        &["exhibit", "get", "1", "--sealed", "--to", "x.age", "--purpose", "x"],
    ] {
        one_line(&station.vigie(args).run()?, 2, &["was erased"])?;
    }
    let custody = station.json(&["custody", "1"])?;
    ensure!(custody.to_string().contains("its bytes are gone"), "{custody}");
    let age = b"age-encryption.org/v1";
    let left = std::fs::read(station.store().join("segments/00000000.seg"))?;
    let sealed = left.windows(age.len()).filter(|window| window == age).count();
    let entries = station.json(&["log"])?.as_array().map_or(0, Vec::len);
    ensure!(sealed < entries - usize::try_from(exhibits)?, "{sealed} age files are left, {entries} entries");
    // Done again, it changes nothing.
    erase(&station, &["--early"])?.success()?;
    ensure!(station.log("erasure")?.len() == 2, "a certificate and an erasure");

    // The rest comes back or is destroyed: only now is it said to be erased.
    let rest = format!("destroyed = [\"review\"]\nreturned = [\"{copy}\"]");
    take(&station, "D-4", "destruction", &rest, &["custodian", "authority"])?.success()?;
    ensure!(state(&station)? == ("erased".into(), vec![], vec![]), "{:?}", state(&station)?);
    station.vigie(&["store", "rebuild"]).run()?.success()?;
    ensure!(state(&station)?.0 == "erased", "after a rebuild: {:?}", state(&station)?);
    station.sound()?;
    another_implementation_reads_it(&station)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
