//! Pages drawn: pages per second and peak memory, against headless Chromium on the same pages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vigie_tests::sites::bulk;
use vigie_wire::draw::ToDrawPage;
use vigie_wire::parse::Document;

use crate::numbers::{Table, median};
use crate::{Outcome, stop};

/// First argument under which this binary draws pages itself, so that its memory is its own.
pub const COMMAND: &str = "draw-pages";
/// Pages drawn by each in a round: Chromium is started for each of them, as it is for a recorder's.
const PAGES: usize = 20;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Draws the pages of a folder, one after the other.
pub fn main(args: &[String]) -> Outcome<()> {
    let [folder] = args else { return Err("which folder?".into()) };
    for number in 0..PAGES {
        let body = std::fs::read(page(Path::new(folder), number))?;
        let page = Document {
            url: "http://bulk.test/".into(),
            content_type: Some("text/html; charset=utf-8".into()),
            content_encoding: None,
            headers: Vec::new(),
            decoded_bytes: u32::try_from(body.len())?,
            body: body.into(),
            cut: false,
        };
        let picture = vigie_render::draw(&ToDrawPage { page, elements: Vec::new() })?;
        std::fs::write(Path::new(folder).join(format!("{number}.png")), &picture.tiles[0].png)?;
    }
    Ok(())
}

fn page(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.html"))
}

/// Measures and reports.
pub fn run(dir: &Path, rounds: usize, table: &mut Table) -> Outcome<()> {
    println!("\npictures: {PAGES} pages of 80 KB a round, medians of {rounds} rounds");
    let folder = dir.join("pictures");
    std::fs::create_dir_all(&folder)?;
    for number in 0..PAGES {
        std::fs::write(page(&folder, number), bulk::page(number))?;
    }
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    });
    if chromium.is_none() {
        eprintln!("pictures: no chromium here: Vigie's own numbers alone");
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        stop::check()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(COMMAND).arg(&folder);
        ours.push(measured(&mut [command])?);
        if let Some(chromium) = chromium {
            let mut commands: Vec<Command> = (0..PAGES).map(|number| screenshot(chromium, &folder, number)).collect();
            theirs.push(measured(&mut commands)?);
        }
    }
    let middle = |all: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| median(all.iter().map(of));
    for (what, of, aim) in [
        ("pages drawn a second", (|one: &(f64, f64)| one.0) as fn(&(f64, f64)) -> f64, ">= 5x"),
        ("memory at most, MiB", |one| one.1, "<= 100 MiB"),
    ] {
        let (vigie, peer) = (middle(&ours, of), middle(&theirs, of));
        let (shown, ratio) = match chromium {
            Some(_) => (format!("{peer:.1} (Chromium)"), Some(vigie / peer)),
            None => ("no Chromium here".to_owned(), None),
        };
        println!("{what}: {vigie:.1}, {shown}");
        table.add("pictures", what, format!("{vigie:.1}"), shown, ratio, aim);
    }
    Ok(())
}

fn screenshot(chromium: &str, folder: &Path, number: usize) -> Command {
    let mut command = Command::new(chromium);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,3000"]);
    command.arg(format!("--screenshot={}", folder.join(format!("{number}-c.png")).display()));
    command.arg(format!("file://{}", page(folder, number).display()));
    command
}

/// Pages per second and peak of resident memory, children included, in MiB.
fn measured(commands: &mut [Command]) -> Outcome<(f64, f64)> {
    let (start, mut peak) = (Instant::now(), 0);
    for command in commands {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let status = loop {
            peak = peak.max(resident(child.id()));
            if let Some(status) = child.try_wait()? {
                break status;
            }
            std::thread::sleep(LOOK);
        };
        if !status.success() {
            return Err(format!("{:?} ended with {status}", command.get_program()).into());
        }
    }
    Ok((PAGES as f64 / start.elapsed().as_secs_f64(), peak as f64 / 1024.0))
}

/// Resident memory of a process and all below it, in KiB; what several share counts for each.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let own = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let below = children.split_whitespace().filter_map(|child| child.parse().ok()).map(resident);
    own.unwrap_or(0) + below.sum::<u64>()
}
