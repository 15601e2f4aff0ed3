//! Why Tor does not come up, in words that an investigator can act on, on the terminal and on record.

use vigie_tests::desk::Target;

use crate::clock::{PartsClock, faked};
use crate::ensure;
use crate::faults::unreachable;
use crate::machine::one_line;
use crate::station::{Outcome, PURPOSE, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "reasons::a_clock_that_is_days_ahead", run: |world| wrong_clock(world, "ahead", "+5d") },
        Case { name: "reasons::a_clock_that_is_days_behind", run: |world| wrong_clock(world, "behind", "-5d") },
        Case { name: "reasons::no_guard_can_be_reached", run: no_guard },
        Case { name: "reasons::a_bridge_line_that_is_wrong", run: wrong_bridge },
        Case { name: "reasons::a_directory_that_others_signed", run: others_signed },
        Case { name: "reasons::a_kept_directory_that_was_altered", run: altered },
    ]
}

/// The last failure on record.
fn recorded(station: &Station) -> Outcome<String> {
    let (kind, row) = station.entries()?.pop().ok_or("no entry")?;
    ensure!(kind == "failure" && row["kind"] == "tor-not-ready" && row["verdict"] == "unknown", "{kind} {row}");
    ensure!(station.log("session-open")?.is_empty(), "a session began");
    Ok(row["detail"].as_str().unwrap_or_default().to_owned())
}

fn wrong_clock(world: &World, way: &str, offset: &str) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::quick(world, &format!("clock-{way}"), &[Target::onion("market-a", &onion)])?;
    let clock = PartsClock::new(&station, "parts", &faked(offset)?)?;
    let url = format!("http://{onion}/offer/3");
    let args = ["capture", &url, "--purpose", PURPOSE];
    let output = clock.command(&station, &args).run()?;
    let said = format!("the clock is 5 days {way}");
    refused(&output, 1, &["Tor is not ready: ", &said, "set it right"])?;
    ensure!(recorded(&station)?.contains(&said), "{}", recorded(&station)?);
    // The same with the right clock.
    clock.right()?;
    clock.command(&station, &args).run()?.exits(0)?;
    station.sound()?;
    Ok(())
}

fn no_guard(world: &World) -> CaseResult {
    let station = Station::quick(world, "no-guard", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    unreachable(&station)?;
    station.configure("[fetch]\nbootstrap_ms = 15000")?;
    let output = station.run_once().run()?;
    refused(&output, 1, &["Tor is not ready: cannot reach any guard", "not within 15000 ms"])?;
    // Said while there is still hope, too.
    ensure!(output.errors().contains("Tor is not up yet: cannot reach any guard"), "{}", output.errors());
    ensure!(recorded(&station)?.starts_with("cannot reach any guard"), "{}", recorded(&station)?);
    Ok(())
}

fn wrong_bridge(world: &World) -> CaseResult {
    let station = Station::quick(world, "wrong-bridge", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let good = std::fs::read_to_string(station.desk.path("vigie.toml"))?;
    station.configure("[tor.bridges]\nbridges = [\"192.0.2.83:80 4352e58420e68f5e40bade74faddccd9d1349413\", \"192.0.2.84:80 nonsense\"]")?;
    let words = ["bridge line 2 of 2 in [tor.bridges] is wrong", "fingerprint"];
    let output = station.run_once().run()?;
    one_line(&output, 2, &words)?;
    ensure!(!output.errors().contains("192.0.2"), "{}", output.errors());
    ensure!(recorded(&station)?.contains(words[0]), "{}", recorded(&station)?);
    one_line(&station.vigie(&["tor", "status"]).run()?, 2, &words)?;
    std::fs::write(station.desk.path("vigie.toml"), good)?;
    station.sound()?;
    Ok(())
}

/// The network's directory is not signed by enough of the authorities that this workstation believes.
fn others_signed(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::quick(world, "others-signed", &[Target::onion("market-a", &onion)])?;
    station.configure("[fetch]\nbootstrap_ms = 30000")?;
    let path = station.desk.path("vigie.toml");
    let good = std::fs::read_to_string(&path)?;
    let believed = |strangers: usize| -> Outcome<()> {
        let mut table: toml::Table = good.parse()?;
        let ids = table["tor"]["tor_network"]["authorities"]["v3idents"].as_array_mut().ok_or("no authorities")?;
        for (number, id) in ids.iter_mut().take(strangers).enumerate() {
            *id = format!("{number:0>40}").into();
        }
        Ok(std::fs::write(&path, toml::to_string(&table)?)?)
    };
    let url = format!("http://{onion}/offer/3");
    // More than half have to have signed (dir-spec): two strangers of three are too many, three as well.
    for strangers in [3, 2] {
        believed(strangers)?;
        let output = station.capture(&url).run()?;
        refused(&output, 1, &["Tor is not ready: ", "no usable directory", "not within 30000 ms"])?;
        ensure!(recorded(&station)?.contains("no usable directory"), "{}", recorded(&station)?);
        ensure!(station.seen()?.is_empty(), "something was captured");
        station.sound()?;
    }
    // Anti-test: one stranger is outvoted, and the folders that met the others still serve.
    believed(1)?;
    station.capture(&url).run()?.exits(0)?;
    station.sound()?;
    Ok(())
}

/// What Arti keeps of the directory was altered: it is believed no more than one that comes from afar.
fn altered(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::quick(world, "altered-directory", &[Target::onion("market-a", &onion)])?;
    let url = format!("http://{onion}/offer/3");
    station.capture(&url).run()?.exits(0)?;
    let folder = station.store().join("tor/cache/dir_blobs");
    let consensuses = || -> Outcome<Vec<std::path::PathBuf>> {
        let all = std::fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        let named = all.into_iter().filter(|file| file.file_name().to_string_lossy().starts_with("con_microdesc_"));
        Ok(named.map(|file| file.path()).collect())
    };
    // Every relay an exit no more, and then none that can be read.
    let alterations: [fn(String) -> Vec<u8>; 2] =
        [|text| text.replace("\ns Exit ", "\ns ").into_bytes(), |text| text.as_bytes()[..text.len() / 2].to_vec()];
    for alter in alterations {
        let kept = consensuses()?;
        ensure!(!kept.is_empty(), "Arti keeps none in {}", folder.display());
        let mut doctored = Vec::new();
        for file in kept {
            let text = std::fs::read_to_string(&file)?;
            let other = alter(text.clone());
            ensure!(other != text.as_bytes(), "nothing was altered");
            std::fs::write(&file, &other)?;
            doctored.push(other);
        }
        let before = station.seen()?.len();
        let output = station.capture(&url).run()?.exits(0)?;
        ensure!(station.seen()?.len() == before + 1, "{}", output.errors());
        // What the record rests on is another.
        let private = station.opened()?.private(vigie_store::Kind::SessionOpen)?.pop().ok_or("no session")?;
        let sha256 = private["consensus"]["sha256"].as_str().unwrap_or_default().to_owned();
        let of = |bytes: &Vec<u8>| data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(bytes));
        ensure!(!sha256.is_empty() && doctored.iter().all(|bytes| of(bytes) != sha256), "{private}");
        station.sound()?;
    }
    Ok(())
}
