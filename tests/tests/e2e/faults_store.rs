//! A store that is in use, damaged, put back or stopped in mid-write: said plainly, never papered
//! over, and whatever is still whole stays readable.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::ensure;
use crate::machine::{Mounts, PATIENCE, one_line};
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "faults_store::one_writer_many_readers", run: one_writer },
        Case { name: "faults_store::damage_is_named_and_refused", run: damage },
        Case { name: "faults_store::what_is_lost_but_can_be_rebuilt", run: rebuilt },
        Case { name: "faults_store::a_disk_that_cannot_be_written", run: read_only },
    ]
}

fn one_writer(world: &World) -> CaseResult {
    let bulk = Target::onion("bulk", &world.net.onion("bulk"));
    let station = Station::paced(world, "one-writer", &[bulk])?;
    let second =
        station.desk.mandate(&[Target::onion("market-b", &world.net.onion("market-b"))], jiff::Timestamp::now())?;
    station.desk.write_mandate("second.toml", &second.with("id", "M-2026-018"))?;
    let mut run = station.run_once().spawn()?;
    station.seen_during(&mut run, 3)?;
    // Whoever would write is told so, and nothing else happens.
    let page = format!("http://{}/page/1", world.net.onion("bulk"));
    for command in [
        station.run_once(),
        station.capture(&page),
        station.vigie(&["mandate", "add", "second.toml"]),
        station.vigie(&["profile", "new", "profile.toml"]),
        station.vigie(&["exhibit", "get", "1", "--sealed", "--to", "out.age", "--purpose", "a look"]),
    ] {
        let output = command.run()?;
        one_line(&output, 1, &["store is in use by another vigie process", "wait for it or stop it"])?;
    }
    ensure!(!station.desk.path("out.age").exists(), "a copy without an entry");
    // Whoever reads is not kept waiting, and sees a store that is sound.
    for args in [&["status"][..], &["exhibits"], &["log"], &["log", "--rows"], &["verify"], &["checkpoint"]] {
        ensure!(!run.has_ended(), "the run ended too early: {}", run.stderr_so_far());
        let output = station.vigie(args).run()?.success()?;
        ensure!(output.errors().is_empty() && !output.stdout.is_empty(), "{args:?}: {}", output.errors());
    }
    let status = station.json(&["status"])?;
    ensure!(status["running"] == true && status["sessions"] == 1, "{status}");
    ensure!(station.json(&["verify"])?["sound"] == true, "in mid-run");
    run.signal(Signal::TERM);
    let ended = run.wait(PATIENCE)?.exits(130)?;
    ensure!(
        !ended.errors().replace("vigie: the run ended early: signal", "").contains("vigie:"),
        "nobody disturbed it: {}",
        ended.errors()
    );
    ensure!(station.json(&["status"])?["running"] == false, "it is over");
    ensure!(station.log("mandate-imported")?.len() == 1, "somebody wrote");
    station.vigie(&["mandate", "add", "second.toml"]).run()?.success()?;
    station.sound()?;
    Ok(())
}

/// A store with three exhibits, and copies of it to damage.
struct Copies<'w> {
    station: Station,
    world: &'w World,
    made: std::cell::Cell<u32>,
}

impl<'w> Copies<'w> {
    fn new(world: &'w World, case: &str) -> Outcome<Self> {
        let station = Station::quick(world, case, &[Target::onion("market-a", &world.net.onion("market-a"))])?;
        let copies = Self { station, world, made: std::cell::Cell::new(0) };
        for number in 1..=3 {
            copies.capture(number).run()?.exits(0)?;
        }
        copies.station.sound()?;
        Ok(copies)
    }

    fn capture(&self, number: u32) -> Command {
        self.station.capture(&format!("http://{}/offer/{number}", self.world.net.onion("market-a")))
    }

    /// A new copy of the store; gives its name in the desk.
    fn copy(&self) -> Outcome<String> {
        self.made.set(self.made.get() + 1);
        let name = format!("copy-{}", self.made.get());
        Command::new("cp").args(["-a", "store"]).arg(&name).dir(self.station.desk.dir()).run()?.success()?;
        Ok(name)
    }

    fn path(&self, store: &str) -> PathBuf {
        self.station.desk.path(store)
    }

    fn segment(&self, store: &str) -> PathBuf {
        let folder = self.path(store).join("segments");
        let mut found: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        found.sort();
        found.pop().unwrap_or(folder)
    }

    fn at(&self, store: &str, args: &[&str]) -> Command {
        self.station.vigie(args).env("VIGIE_STORE", store)
    }

    /// `vigie verify` finds problems that say all these words, and ends with 5.
    fn unsound(&self, store: &str, words: &[&str]) -> Outcome<Value> {
        let output = self.at(store, &["verify", "--json"]).run()?.exits(5)?;
        let told: Value = serde_json::from_slice(&output.stdout)?;
        let problems = told["problems"].to_string();
        ensure!(told["sound"] == false && words.iter().all(|word| problems.contains(word)), "{words:?}: {told}");
        let text = self.at(store, &["verify"]).run()?.exits(5)?.text();
        ensure!(text.contains("DAMAGE ") && text.contains("UNSOUND: ") && !text.contains("\nSOUND"), "{text}");
        Ok(told)
    }

    /// `vigie run` and `vigie capture` refuse in one line, and leave everything as it is.
    fn refused(&self, store: &str, words: &[&str]) -> CaseResult {
        let before = std::fs::read(self.path(store).join("checkpoint")).ok();
        for command in [self.station.run_once(), self.capture(4)] {
            one_line(&command.env("VIGIE_STORE", store).run()?, 5, words)?;
        }
        ensure!(std::fs::read(self.path(store).join("checkpoint")).ok() == before, "the head moved");
        Ok(())
    }
}

/// Byte places of each frame, from its magic: the last one is the newest entry.
fn frames(segment: &[u8]) -> Vec<usize> {
    // FORMAT.md: a frame begins with this magic.
    let magic = b"vigieFR1";
    (0..segment.len().saturating_sub(magic.len())).filter(|at| segment[*at..].starts_with(magic)).collect()
}

fn flip(path: &Path, at: usize) -> CaseResult {
    let mut bytes = std::fs::read(path)?;
    *bytes.get_mut(at).ok_or("beyond the end")? ^= 0x10;
    std::fs::write(path, bytes)?;
    Ok(())
}

fn damage(world: &World) -> CaseResult {
    let copies = Copies::new(world, "damage")?;
    let whole = std::fs::read(copies.segment("store"))?;
    let places = frames(&whole);
    let entries = copies.station.entries()?.len();
    ensure!(places.len() == entries, "{} frames, {entries} entries", places.len());
    let last = (entries - 1).to_string();

    // A segment without its end.
    let store = copies.copy()?;
    std::fs::write(copies.segment(&store), &whole[..whole.len() - 40])?;
    copies.unsound(&store, &[&format!("entry {last}: ")])?;
    copies.refused(&store, &["ALARM", &format!("the signed head covers {entries} entries")])?;
    // What is whole can still be read.
    ensure!(copies.at(&store, &["log", "--last", "2"]).run()?.code() == Some(5), "a list that is not whole is no list");

    // A segment that is gone.
    let store = copies.copy()?;
    std::fs::remove_file(copies.segment(&store))?;
    copies.unsound(&store, &[&format!("{entries} entries")])?;
    copies.refused(&store, &["ALARM", &format!("the signed head covers {entries} entries"), "only 0 are there"])?;

    // One bit, in each entry's frame: verify names that entry and no other.
    let end = whole.len();
    let ends = places.iter().skip(1).chain([&end]);
    for (entry, (start, end)) in places.iter().zip(ends).enumerate() {
        let store = copies.copy()?;
        flip(&copies.segment(&store), start + (end - start) * 2 / 3)?;
        let told = copies.unsound(&store, &[&format!("\"entry {entry}: ")])?;
        let problems = told["problems"].as_array().ok_or("no list")?;
        let others = problems.iter().filter(|p| p.as_str().is_some_and(|p| p.starts_with("entry ")));
        let named: Vec<_> =
            others.filter(|p| !p.as_str().is_some_and(|p| p.starts_with(&format!("entry {entry}: ")))).collect();
        ensure!(named.is_empty(), "entry {entry} was altered: {named:?}");
        std::fs::remove_dir_all(copies.path(&store))?;
    }
    // Beginning and end of the log are looked at by every opening.
    for (frame, words) in [(0, "entry 0"), (entries - 1, "ALARM")] {
        let store = copies.copy()?;
        flip(&copies.segment(&store), places[frame] + 70)?;
        copies.refused(&store, &[words])?;
    }

    // Heads: another log's, an older one, none.
    copies.station.init_quickly("other", "vigie.example/other")?;
    let store = copies.copy()?;
    std::fs::copy(copies.path("other").join("checkpoint"), copies.path(&store).join("checkpoint"))?;
    copies.unsound(&store, &["the signed head"])?;
    copies.refused(&store, &["the signed head", "vigie verify"])?;
    let store = copies.copy()?;
    std::fs::remove_file(copies.path(&store).join("checkpoint"))?;
    copies.unsound(&store, &["the signed head (checkpoint) is missing"])?;
    copies.refused(&store, &["the signed head (checkpoint) is missing"])?;
    let older = copies.copy()?;
    copies.capture(5).run()?.exits(0)?;
    let store = copies.copy()?;
    std::fs::copy(copies.path(&older).join("checkpoint"), copies.path(&store).join("checkpoint"))?;
    copies.refused(&store, &["ALARM", "an older checkpoint was put back"])?;

    // Files that entry 0 binds.
    let store = copies.copy()?;
    let signers = copies.path(&store).join("allowed_signers");
    std::fs::write(&signers, [&std::fs::read(&signers)?[..], b"# a comment\n"].concat())?;
    copies.unsound(&store, &["allowed-signers"])?;
    copies.refused(&store, &["allowed-signers is not what entry 0"])?;

    copies.station.sound()?;
    Ok(())
}

fn rebuilt(world: &World) -> CaseResult {
    let copies = Copies::new(world, "rebuilt")?;
    let seen = copies.station.seen()?;
    let sound = |store: &str| -> Outcome<Value> {
        let output = copies.at(store, &["verify", "--json", "--unlocked", "--identity", "keys/case.txt"]).run()?;
        Ok(serde_json::from_slice(&output.success()?.stdout)?)
    };
    let goes_on = |store: &str, kind: &str, said: &str| -> CaseResult {
        let output = copies.capture(4).env("VIGIE_STORE", store).run()?.exits(0)?;
        ensure!(output.errors().contains(said), "{store} does not say {said:?}: {}", output.errors());
        let log: Value =
            serde_json::from_slice(&copies.at(store, &["log", "--json", "--kind", kind]).run()?.success()?.stdout)?;
        ensure!(log.as_array().is_some_and(|log| log.len() == 1), "{kind}: {log}");
        let listed: Value =
            serde_json::from_slice(&copies.at(store, &["exhibits", "--json"]).run()?.success()?.stdout)?;
        let listed = listed.as_array().ok_or("no list")?;
        ensure!(listed.len() == 4, "{} exhibits", listed.len());
        ensure!(listed.iter().zip(&seen).all(|(now, then)| now["age_sha256"] == then.1.as_str()), "others than before");
        ensure!(sound(store)?["opened"] == 4, "unsound");
        // Once: the next opening has nothing to say.
        let next = copies.capture(5).env("VIGIE_STORE", store).run()?.exits(0)?;
        ensure!(!next.errors().contains("store: "), "{}", next.errors());
        Ok(())
    };
    // The catalogue is gone, or is rubbish.
    let store = copies.copy()?;
    std::fs::remove_dir_all(copies.path(&store).join("catalogue"))?;
    goes_on(&store, "rebuild", "the catalogue was rebuilt from the segments")?;
    let store = copies.copy()?;
    for entry in std::fs::read_dir(copies.path(&store).join("catalogue"))? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::write(&path, b"rubbish".repeat(1000))?;
        }
    }
    goes_on(&store, "rebuild", "the catalogue was rebuilt from the segments")?;
    // The machine stopped in the middle of a write: the tail is set aside, not deleted.
    let store = copies.copy()?;
    let segment = copies.segment(&store);
    let whole = std::fs::read(&segment)?;
    let places = frames(&whole);
    let torn = &whole[places[places.len() - 2]..places[places.len() - 2] + 500];
    std::fs::write(&segment, [&whole[..], torn].concat())?;
    let note = copies.at(&store, &["verify", "--json"]).run()?.success()?.text();
    ensure!(note.contains("500 bytes lie beyond the signed head"), "{note}");
    goes_on(&store, "recovery", "500 torn bytes set aside in torn/")?;
    let kept: Vec<_> = std::fs::read_dir(copies.path(&store).join("torn"))?.flatten().map(|e| e.path()).collect();
    ensure!(kept.len() == 1 && std::fs::read(&kept[0])? == torn, "{kept:?}");
    Ok(())
}

fn read_only(world: &World) -> CaseResult {
    const NAME: &str = "faults_store::a_disk_that_cannot_be_written";
    let copies = Copies::new(world, "read-only")?;
    let store = copies.path("store").display().to_string();
    let script = format!("mount --bind '{store}' '{store}' && mount -o remount,ro,bind '{store}'");
    let Some(mounts) = Mounts::new(NAME, &script)? else { return Ok(()) };
    let dir = copies.station.desk.dir();
    for command in
        [copies.station.run_once(), copies.capture(4), copies.station.vigie(&["mandate", "revoke", "revocations.toml"])]
    {
        one_line(&mounts.enter(command, dir).run()?, 1, &["store/lock", "Read-only file system"])?;
    }
    // Reading needs no writing.
    for args in [&["status"][..], &["exhibits"], &["log", "--rows"], &["checkpoint"], &["verify", "--unlocked"]] {
        mounts.enter(copies.station.vigie(args), dir).run()?.success()?;
    }
    ensure!(copies.station.seen()?.len() == 3, "something changed");
    // Where it can be written again, all goes on.
    copies.capture(4).run()?.exits(0)?;
    copies.station.sound()?;
    Ok(())
}
