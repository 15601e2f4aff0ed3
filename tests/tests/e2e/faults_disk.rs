//! A store on a disk that is too small: nothing acknowledged is lost, the line says what to do, and
//! with room again the run goes on where it stopped.

use rustix::process::Signal;
use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::ensure;
use crate::machine::{Mounts, PATIENCE, one_line, until};
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: LOW, run: low_space },
        Case { name: FULL, run: full },
        Case { name: FILLED, run: filled_in_mid_run },
        Case { name: SPOOL, run: no_room_for_a_response },
    ]
}

const LOW: &str = "faults_disk::low_space_refuses_exhibits";
const FULL: &str = "faults_disk::a_full_disk_refuses_everything_new";
const FILLED: &str = "faults_disk::a_disk_that_fills_in_mid_run";
const SPOOL: &str = "faults_disk::no_room_for_a_response_under_way";

/// A station whose store lies on a disk of its own, seen only by the commands made here.
struct Small {
    station: Station,
    mounts: Mounts,
}

impl Small {
    fn new(world: &World, case: &str, name: &str, mib: u32, target: Target) -> Outcome<Option<Self>> {
        let station = Station::desk(world, name, &[target])?;
        let disk = station.desk.path("disk");
        std::fs::create_dir(&disk)?;
        // Made before the disk is mounted over its folder, then copied: only commands see the disk.
        station.pace()?;
        station.set_up_quickly("store")?;
        let desk = station.desk.dir().display();
        let script = format!(
            "mount -t tmpfs -o size={mib}m,mode=0700 none '{desk}/disk' && cp -a '{desk}/store' '{desk}/disk/store'"
        );
        Ok(Mounts::new(case, &script)?.map(|mounts| Self { station, mounts }))
    }

    fn at(&self, args: &[&str]) -> Command {
        let command = self.station.vigie(args).env("VIGIE_STORE", "disk/store").env("VIGIE_CONFIG", "vigie.toml");
        self.mounts.enter(command, self.station.desk.dir())
    }

    fn run_once(&self) -> Command {
        self.at(&["run", "--once", "--purpose", "a small disk", "--json"])
    }

    fn json(&self, args: &[&str]) -> Outcome<Value> {
        Ok(serde_json::from_slice(&self.at(&[args, &["--json"]].concat()).run()?.success()?.stdout)?)
    }

    fn digests(&self) -> Outcome<Vec<String>> {
        let listed = self.json(&["exhibits"])?;
        let digest = |e: &Value| e["age_sha256"].as_str().unwrap_or_default().to_owned();
        Ok(listed.as_array().ok_or("no list")?.iter().map(digest).collect())
    }

    /// Sound, every exhibit opens, and those seen before are still the first.
    fn nothing_lost(&self, seen: &[String]) -> Outcome<Vec<String>> {
        let sound = self.json(&["verify", "--unlocked", "--identity", "keys/case.txt"])?;
        let now = self.digests()?;
        ensure!(sound["sound"] == true && sound["opened"] == now.len(), "{sound}");
        ensure!(now.starts_with(seen), "{} of {} exhibits are there", now.len(), seen.len());
        Ok(now)
    }

    fn shell(&self, script: &str) -> CaseResult {
        self.mounts.shell(&format!("cd '{}/disk' && {script}", self.station.desk.dir().display()))?;
        Ok(())
    }

    /// The disk grows; the run that stopped is finished. Every page was recorded once.
    fn finish(&self, seen: &[String], pages: usize) -> CaseResult {
        self.shell("mount -o remount,size=200m .")?;
        let output = self.run_once().run()?.exits(0)?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let now = self.nothing_lost(seen)?;
        ensure!(now.len() == pages, "{} pages of {pages}: {report}", now.len());
        Ok(())
    }
}

/// Of 1,000 pages, those whose number begins with these digits, and the list itself.
fn bulk(world: &World, digits: &[u8]) -> (Target, usize) {
    let include = digits.iter().map(|digit| format!("/page/{digit}**")).chain(["/".to_owned()]).collect();
    (Target { include, ..Target::onion("bulk", &world.net.onion("bulk")) }, digits.len() * 111 + 1)
}

const LINE: [&str; 3] = ["the run ended early", "% of the disk is free and exhibits need 5 %", "make room, then go on"];

fn low_space(world: &World) -> CaseResult {
    let (target, pages) = bulk(world, &[1, 2, 3, 4]);
    let Some(small) = Small::new(world, LOW, "low-space", 16, target)? else { return Ok(()) };
    let run = small.run_once().run()?;
    crate::station::refused(&run, 1, &LINE)?;
    let report: Value = serde_json::from_slice(&run.stdout)?;
    let seen = small.nothing_lost(&[])?;
    ensure!(report["exhibits"] == seen.len() && seen.len() > 20 && seen.len() < pages, "{report}");
    ensure!(report["given_up"] == 0 && report["incomplete"] == 0 && report["exit_code"] == 1, "{report}");
    // The session still ends in order, and says why.
    let closed = small.json(&["log", "--rows", "--kind", "session-close"])?;
    ensure!(closed[0]["row"]["end"].as_str().is_some_and(|end| end.contains("exhibits need 5 %")), "{closed}");
    // The next one has what the store kept in reserve; the one after it has no room at all, and what
    // is no exhibit still has its place.
    crate::station::refused(&small.run_once().run()?, 1, &LINE)?;
    let seen = small.nothing_lost(&seen)?;
    let run = small.run_once().run()?;
    crate::station::refused(&run, 1, &LINE)?;
    let report: Value = serde_json::from_slice(&run.stdout)?;
    ensure!(report["exhibits"] == 0 && small.nothing_lost(&seen)?.len() == seen.len(), "{report}");
    small.at(&["mandate", "revoke", "revocations.toml"]).run()?.success()?;
    small.finish(&seen, pages)
}

fn full(world: &World) -> CaseResult {
    let (target, pages) = bulk(world, &[4]);
    let Some(small) = Small::new(world, FULL, "full-disk", 32, target)? else { return Ok(()) };
    // What the store keeps in reserve is for the entry that says so.
    small.shell("cat /dev/zero > fill 2>/dev/null || true; test $(stat -f -c %a .) = 0")?;
    small.at(&["mandate", "revoke", "revocations.toml"]).run()?.success()?;
    ensure!(small.json(&["log", "--kind", "mandate-revoked"])?.as_array().is_some_and(|l| l.len() == 2), "not logged");
    small.shell("cat /dev/zero >> fill 2>/dev/null || true; test $(stat -f -c %a .) = 0")?;
    one_line(&small.run_once().run()?, 1, &["No space left on device"])?;
    for args in [&["mandate", "revoke", "revocations.toml"][..], &["capture", "http://x.test/", "--purpose", "full"]] {
        one_line(&small.at(args).run()?, 1, &["No space left on device"])?;
    }
    // Reading needs no room.
    for args in [&["status"][..], &["log"], &["checkpoint"], &["exhibits"]] {
        small.at(args).run()?.success()?;
    }
    let seen = small.nothing_lost(&[])?;
    small.shell("rm fill")?;
    small.finish(&seen, pages)
}

fn filled_in_mid_run(world: &World) -> CaseResult {
    let (target, pages) = bulk(world, &[5, 6]);
    let Some(small) = Small::new(world, FILLED, "filled-disk", 64, target)? else { return Ok(()) };
    let mut run = small.run_once().spawn()?;
    let seen = until("some exhibits", || {
        let seen = small.digests()?;
        ensure!(!run.has_ended(), "it ended early: {}", run.stderr_so_far());
        Ok((seen.len() >= 20).then_some(seen))
    })?;
    // The reserve is the store's own: what fills the disk here finds it taken.
    small.shell("cat /dev/zero > fill 2>/dev/null || true")?;
    let ended = until("the end of the run", || Ok(run.has_ended().then_some(())));
    if ended.is_err() {
        run.signal(Signal::KILL);
    }
    let output = run.wait(PATIENCE)?;
    ended?;
    let full = ["the store stopped after a failed write", "exhibits need 5 %"];
    ensure!(full.iter().any(|words| output.errors().contains(words)), "{}", output.errors());
    crate::station::refused(&output, 1, &[])?;
    let seen = small.nothing_lost(&seen)?;
    ensure!(seen.len() < pages, "too late");
    small.shell("rm fill")?;
    small.finish(&seen, pages)
}

fn no_room_for_a_response(world: &World) -> CaseResult {
    // 10 MB on the wire, which no memory holds: spooled to the store's disk.
    let page = vec!["/gzip-bomb".to_owned()];
    let onion = world.net.onion("hostile");
    let target = Target { entry: page.clone(), include: page, ..Target::onion("hostile", &onion) };
    let Some(small) = Small::new(world, SPOOL, "no-spool", 16, target)? else { return Ok(()) };
    // Enough for exhibits, too little for that response.
    small.shell("cat /dev/zero > fill 2>/dev/null || true; truncate -s -2M fill")?;
    let run = small.run_once().run()?;
    crate::station::refused(&run, 1, &["the run ended early: spooling a response", "see to the disk, then run again"])?;
    let report: Value = serde_json::from_slice(&run.stdout)?;
    // The far side is not blamed, and the page is not given up.
    ensure!(report["exhibits"] == 0 && report["given_up"] == 0, "{report}");
    let status = small.json(&["status"])?;
    ensure!(status["failures"] == 0 && status["sessions"] == 1, "{status}");
    small.shell("rm fill && mount -o remount,size=100m .")?;
    let run = small.run_once().run()?;
    ensure!(run.code() == Some(0) || run.code() == Some(4), "{:?}: {}", run.code(), run.errors());
    ensure!(small.nothing_lost(&[])?.len() == 1, "the page is recorded once there is room");
    Ok(())
}
