//! `vigie status`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use vigie_store::{Kind, StoreError};

use super::verify::Vouched;
use super::{OpenArgs, clock, key, outside, reader, show, timestamp};
use crate::error::{Failing, Problem, exit};
use crate::exits::{self, TwoExits};
use crate::reach::{self, Attempt, Came, Span};
use crate::retry::Verdict;
use crate::rows::{ClockJumpRow, DescriptorRow, ExhibitRow, FailureRow, SessionRow, TimestampRow};

/// Characters of the picture of reachability on a terminal.
const COLUMNS: usize = 24;

/// What the store holds and whether anything needs attention.
#[derive(Args)]
#[command(after_help = "Example:\n  vigie status --store store\n  vigie status --store store --svg reachability.svg")]
pub struct StatusArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Also draw how the targets could be reached over time, into a new SVG file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Serialize, Default)]
struct Status {
    origin: String,
    log_size: u64,
    first: Option<String>,
    last: Option<String>,
    running: bool,
    clock: String,
    exhibits: u64,
    incomplete: u64,
    sessions: u64,
    test_network_sessions: u64,
    refusals: u64,
    failures: u64,
    witnesses: Vec<String>,
    witnessed: Option<Vouched>,
    unwitnessed: u64,
    unwitnessed_since: Option<String>,
    /// Witnesses that are trusted no more, and since which entry.
    distrusted: Vec<String>,
    /// Entries of an earlier history that are missing, who accepted it and why.
    given_up: Vec<String>,
    /// Where the newest head is kept outside the store.
    kept_outside: Option<String>,
    /// The time stamp over most entries.
    stamped: Option<Stamped>,
    /// Entries that no time stamp covers.
    unstamped: u64,
    /// Requests that no answer was taken in for.
    open_requests: Vec<String>,
    /// When the clock was last set, and by how much.
    clock_jump: Option<Jump>,
    /// The clock stands before the newest entry: nothing is written until it is set right.
    clock_behind: bool,
    targets: BTreeMap<String, Target>,
}

#[derive(Serialize)]
struct Stamped {
    entry: u64,
    size: u64,
    time: String,
    authority: String,
}

#[derive(Serialize)]
struct Jump {
    entry: u64,
    #[serde(flatten)]
    row: ClockJumpRow,
}

#[derive(Serialize, Default)]
struct Target {
    /// What the last attempt says: `answers`, `obstructed`, `down` (the service itself refused), `unknown`.
    state: &'static str,
    /// The reason by name, when the last attempt did not give the page.
    reason: Option<String>,
    exhibits: u64,
    failures: u64,
    /// Exhibits that came over plain HTTP through an exit.
    amber: u64,
    /// Exhibits whose certificate does not hold.
    invalid_certificates: u64,
    /// Exhibits whose answers through two exits agree, differ, or came through one only.
    two_exits: Agreement,
    /// Signed descriptors of the service that are kept.
    descriptors: u64,
    last_exhibit: Option<String>,
    last_failure: Option<String>,
    last_failure_kind: Option<String>,
    /// Attempts that came to the same, in a row, oldest first.
    history: Vec<Span>,
    #[serde(skip)]
    attempts: Vec<Attempt>,
}

#[derive(Serialize, Default)]
struct Agreement {
    agree: u64,
    differ: u64,
    one_answer: u64,
}

impl Agreement {
    fn add(&mut self, two_exits: &TwoExits) {
        match two_exits.verdict.as_str() {
            exits::AGREE => self.agree += 1,
            exits::DIFFER => self.differ += 1,
            _ => self.one_answer += 1,
        }
    }
}

impl Target {
    fn attempt(&mut self, time: Timestamp, came: Came, reason: String) {
        self.state = came.word();
        self.reason = (!reason.is_empty()).then(|| reason.clone());
        self.attempts.push(Attempt { time, came, reason });
    }
}

pub fn status(args: StatusArgs) -> Result<u8, Problem> {
    if let Some(file) = args.svg.as_ref().filter(|file| file.exists()) {
        return Err(Problem::input(format!("{} exists already: name another file", file.display())));
    }
    let key = key(&args.open)?;
    let reader = reader(&args.open.at.store)?;
    // Where the log is not the one that a witness saw, nothing else of it is worth showing.
    let witnessed = reader.witnessed()?;
    let mut newest = None;
    let mut status = Status {
        origin: reader.origin().to_owned(),
        log_size: reader.size(),
        running: vigie_store::is_locked(&args.open.at.store),
        witnesses: witnessed.witnesses.iter().map(ToString::to_string).collect(),
        witnessed: witnessed.newest().map(Vouched::of),
        unwitnessed: witnessed.unwitnessed,
        unwitnessed_since: witnessed.since.map(|since| since.to_string()),
        distrusted: witnessed.struck.iter().map(|(key, entry)| format!("{key} since entry {entry}")).collect(),
        given_up: reader.given_up()?.iter().map(ToString::to_string).collect(),
        kept_outside: kept_outside(&args.open.at.store)?,
        unstamped: reader.size(),
        open_requests: vigie_store::open_requests(&args.open.at.store)?,
        ..Status::default()
    };
    for entry in reader.entries()? {
        let entry = entry?;
        let time = entry.stamp.wall.to_string();
        newest = Some(entry.stamp.wall);
        status.first.get_or_insert_with(|| time.clone());
        status.last = Some(time.clone());
        let row = || reader.row(entry.sequence, &key);
        let unreadable =
            |e| Problem::unsound(format!("the row of entry {} cannot be read ({e}): run vigie verify", entry.sequence));
        match entry.kind {
            Kind::Exhibit => {
                let row: ExhibitRow = serde_json::from_slice(&row()?).map_err(unreadable)?;
                status.exhibits += 1;
                status.incomplete += u64::from(!row.complete);
                let target = status.targets.entry(row.target).or_default();
                target.exhibits += 1;
                target.amber += u64::from(row.amber);
                target.invalid_certificates += u64::from(row.tls.is_some_and(|tls| tls.invalid.is_some()));
                row.two_exits.iter().for_each(|two_exits| target.two_exits.add(two_exits));
                target.last_exhibit = Some(time);
                let came = if row.obstacle.is_some() { Came::Obstructed } else { Came::Answered };
                target.attempt(entry.stamp.wall, came, row.obstacle.unwrap_or_default());
            }
            Kind::Failure => {
                let row: FailureRow = serde_json::from_slice(&row()?).map_err(unreadable)?;
                status.failures += 1;
                let target = status.targets.entry(row.target).or_default();
                target.failures += 1;
                target.last_failure = Some(time);
                target.last_failure_kind = Some(row.kind.clone());
                // An element of a page that failed is no word on the target, but an attempt all the same.
                let down = row.verdict.as_deref() == Some(Verdict::Down.name());
                target.attempt(entry.stamp.wall, if down { Came::Down } else { Came::Unknown }, row.kind);
            }
            Kind::SessionOpen => {
                let row: SessionRow = serde_json::from_slice(&row()?).map_err(unreadable)?;
                status.sessions += 1;
                status.test_network_sessions += u64::from(row.test_network);
            }
            Kind::Refusal => status.refusals += 1,
            Kind::Descriptor => {
                if let DescriptorRow::Kept { target, .. } = serde_json::from_slice(&row()?).map_err(unreadable)? {
                    status.targets.entry(target).or_default().descriptors += 1;
                }
            }
            Kind::ClockJump => {
                let row = serde_json::from_slice(&row()?).map_err(unreadable)?;
                status.clock_jump = Some(Jump { entry: entry.sequence, row });
            }
            _ => {}
        }
    }
    for (entry, row) in timestamp::rows(&reader, &key)? {
        if let TimestampRow::Stamp { size, time, authority, .. } = row
            && status.stamped.as_ref().is_none_or(|stamped| stamped.size <= size)
        {
            status.unstamped = status.log_size.saturating_sub(size);
            status.stamped = Some(Stamped { entry, size, time, authority });
        }
    }
    for target in status.targets.values_mut() {
        target.history = reach::spans(&target.attempts);
    }
    if let Some(file) = &args.svg {
        draw(&status, file)?;
    }
    // Read last: a running session may have written meanwhile.
    let stamp = clock().stamp();
    status.clock = stamp.clock.name().to_owned();
    let behind = newest.filter(|last| stamp.wall < *last);
    status.clock_behind = behind.is_some();
    if args.json {
        show::json(&status)?;
    } else {
        text(&status)?;
    }
    match behind {
        // What `capture` and `run` would answer.
        Some(last) => Err(StoreError::ClockBehind { last, now: stamp.wall }.into()),
        None => Ok(exit::OK),
    }
}

/// From the first attempt to the last.
fn tried(status: &Status) -> Option<(Timestamp, Timestamp)> {
    let times = || status.targets.values().flat_map(|target| &target.attempts).map(|attempt| attempt.time);
    Some((times().min()?, times().max()?))
}

fn draw(status: &Status, file: &Path) -> Result<(), Problem> {
    let (from, until) = tried(status).ok_or_else(|| {
        Problem::input("nothing was asked for yet: there is nothing to draw (vigie run, vigie capture)")
    })?;
    let rows: Vec<_> =
        status.targets.iter().map(|(name, target)| (named(name).to_owned(), target.attempts.clone())).collect();
    let trying = format!("writing the drawing to {}", file.display());
    let mut drawing = std::fs::File::create_new(file).failing(&trying)?;
    std::io::Write::write_all(&mut drawing, reach::svg(&rows, from, until).as_bytes()).failing(&trying)
}

fn named(target: &str) -> &str {
    if target.is_empty() { "(none)" } else { target }
}

/// The file outside the store, when it is there.
fn kept_outside(store: &std::path::Path) -> Result<Option<String>, Problem> {
    let file = outside(store)?.map(|outside| outside.file(store)).transpose()?;
    Ok(file.filter(|file| file.exists()).map(|file| file.display().to_string()))
}

fn text(status: &Status) -> Result<(), Problem> {
    show::line(format!(
        "store       {}{}",
        status.origin,
        if status.running { " (a session is running)" } else { "" }
    ))?;
    show::line(format!(
        "log         {} entries, {} to {}",
        status.log_size,
        status.first.as_deref().unwrap_or("-"),
        status.last.as_deref().unwrap_or("-")
    ))?;
    for given_up in &status.given_up {
        show::line(format!("\u{1b}[31mMISSING\u{1b}[0m     {given_up}"))?;
    }
    for struck in &status.distrusted {
        show::line(format!("distrusted  {struck}"))?;
    }
    if let Some(vouched) = &status.witnessed {
        show::line(format!("witnessed   {vouched}"))?;
    }
    show::line(format!(
        "unwitnessed {} entries since {}: {}",
        status.unwitnessed,
        status.unwitnessed_since.as_deref().unwrap_or("-"),
        match (&status.witnessed, status.witnesses.is_empty()) {
            (None, true) => "no cosignature yet; keep `vigie checkpoint` elsewhere, or see `vigie witness`",
            _ => "`vigie witness export` asks for a cosignature",
        }
    ))?;
    show::line(match &status.kept_outside {
        Some(file) => format!("kept        its newest head, in {file}"),
        None => "kept        no head outside the store: an older copy put in its place would not be seen here".into(),
    })?;
    show::line(match &status.stamped {
        None => format!("time stamp  none: {} entries; see vigie timestamp export", status.unstamped),
        Some(Stamped { entry, size, time, authority }) => format!(
            "time stamp  entries 0 to {} existed by {time} ({authority}, entry {entry}); {} entries lie after it",
            size.saturating_sub(1),
            status.unstamped
        ),
    })?;
    if !status.open_requests.is_empty() {
        show::line(format!("            {} request(s) wait for an answer", status.open_requests.len()))?;
    }
    let behind = if status.clock_behind { ", behind the log" } else { "" };
    show::line(format!("clock       {}{behind}", status.clock))?;
    if let Some(Jump { entry, row }) = &status.clock_jump {
        show::line(format!(
            "            set {} by {:.3} s between {} and {} (entry {entry})",
            if row.moved_ms < 0 { "back" } else { "forward" },
            row.moved_ms.unsigned_abs() as f64 / 1000.0,
            row.before,
            row.after
        ))?;
    }
    show::line(format!("exhibits    {} ({} incomplete)", status.exhibits, status.incomplete))?;
    show::line(format!("refusals    {}", status.refusals))?;
    show::line(format!("failures    {}", status.failures))?;
    show::line(format!("sessions    {}", status.sessions))?;
    if status.test_network_sessions > 0 {
        show::line(format!(
            "\u{1b}[31mTEST NETWORK\u{1b}[0m in {} of {} sessions: not the public Tor network",
            status.test_network_sessions, status.sessions
        ))?;
    }
    let amber: u64 = status.targets.values().map(|target| target.amber).sum();
    if amber > 0 {
        show::line(format!(
            "\u{1b}[33mAMBER\u{1b}[0m       {amber} exhibits came over plain HTTP through an exit: anyone between could have altered them"
        ))?;
    }
    let invalid: u64 = status.targets.values().map(|target| target.invalid_certificates).sum();
    if invalid > 0 {
        show::line(format!(
            "\u{1b}[33mCERTIFICATE\u{1b}[0m {invalid} exhibits came by TLS with a certificate that does not hold"
        ))?;
    }
    let of = |count: fn(&Agreement) -> u64| status.targets.values().map(|target| count(&target.two_exits)).sum::<u64>();
    let (agree, differ, alone) = (of(|all| all.agree), of(|all| all.differ), of(|all| all.one_answer));
    if agree + differ + alone > 0 {
        show::line(format!(
            "two exits   {agree} exhibits agree, {differ} differ, {alone} have one answer only; a page may differ by itself: see vigie exhibits"
        ))?;
    }
    let time = tried(status);
    let rows: Vec<_> = status
        .targets
        .iter()
        .map(|(name, t)| {
            vec![
                named(name).to_owned(),
                t.reason.as_ref().map_or_else(|| t.state.to_owned(), |reason| format!("{}: {reason}", t.state)),
                t.exhibits.to_string(),
                t.last_exhibit.as_deref().map(to_the_second).unwrap_or_default(),
                t.failures.to_string(),
                t.last_failure_kind.clone().unwrap_or_default(),
                t.last_failure.as_deref().map(to_the_second).unwrap_or_default(),
                t.descriptors.to_string(),
                time.map(|(from, until)| reach::sparkline(&t.attempts, from, until, COLUMNS)).unwrap_or_default(),
            ]
        })
        .collect();
    let head = ["TARGET", "STATE", "EXHIBITS", "LAST", "FAILURES", "LAST KIND", "WHEN", "DESCRIPTORS", "REACHED"];
    show::table(&head, &rows)?;
    if let Some((from, until)) = time {
        show::line(format!(
            "REACHED: {from:.0} to {until:.0}; a block shows the share of attempts that were answered, x none, ! the service itself refused"
        ))?;
    }
    Ok(())
}

fn to_the_second(time: &str) -> String {
    time.get(..19).unwrap_or(time).to_owned() + "Z"
}
