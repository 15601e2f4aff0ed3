//! The check of a bundle without Vigie: a program of its own, and a page that a browser opens from the disk.

use std::path::Path;

use vigie_tests::process::Command;

use crate::ensure;
use crate::station::Outcome;
use crate::time::stamp;
use crate::tsa::Authority;
use crate::witness::Desk;
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "verified::a_bundle_is_sound_and_what_was_done_to_it_is_seen", run: matrix }]
}

/// A bundle with a cosigned head and a time stamp, and what its station knows.
fn bundle(world: &World, name: &str) -> Outcome<Desk> {
    let desk = Desk::new(world, name)?;
    let station = &desk.station;
    std::fs::write(station.desk.path("listed.txt"), "nordwind\n")?;
    let run = station.run_once().run()?;
    ensure!(matches!(run.code(), Some(0 | 3)), "{:?} {}", run.code(), run.errors());
    desk.acquainted()?;
    let cosigned = desk.cosigned("1.txt")?;
    desk.import(&cosigned)?.success()?;
    let authority = Authority::new();
    let root = authority.path("root.pem").display().to_string();
    station.vigie(&["timestamp", "trust", &root]).run()?.success()?;
    let answer = stamp(station, &authority, "stamps")?;
    station.vigie(&["timestamp", "import", &answer]).run()?.success()?;
    let args = [
        "export",
        "--case",
        "C-2026-004",
        "--purpose",
        "file for the prosecutor",
        "--exhibits",
        "all",
        "--identity",
        "keys/case.txt",
        "--redact",
        "listed.txt",
        "--to",
        "bundle",
    ];
    station.vigie(&args).run()?.success()?;
    Ok(desk)
}

fn matrix(world: &World) -> CaseResult {
    let desk = bundle(world, "verified")?;
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verified");
    let _ = std::fs::remove_dir_all(&kept);
    std::fs::create_dir_all(&kept)?;
    Command::new("cp").arg("-r").arg(desk.station.desk.path("bundle")).arg(&kept).run()?.success()?;
    Ok(())
}
