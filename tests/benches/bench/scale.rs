//! `scale`: a store of very many small exhibits. What is measured runs in processes of their own, so
//! that their memory is that of the work alone.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use vigie_store::{Reader, Store};

use crate::append::{create, draft, open, passphrase, recipient};
use crate::numbers::{Table, median};
use crate::{Outcome, stop};

/// First argument of the processes that measure.
pub const COMMAND: &str = "scale-part";
/// Plaintext of an exhibit, in bytes.
const EXHIBIT_BYTES: usize = 300;
/// Exhibits handed in and not yet durable.
const WAITING: usize = 2048;
/// Look-ups and proofs of which the median is taken.
const LOOKS: u64 = 1000;

/// Builds the store, measures it, prints the theme and adds it to the table.
pub fn run(dir: &Path, exhibits: usize, table: &mut Table) -> Outcome<()> {
    let folder = dir.join("scale");
    eprintln!("bench: a store of {exhibits} exhibits");
    let started = Instant::now();
    build(&folder, exhibits)?;
    let seconds = started.elapsed().as_secs_f64();
    let (segments, catalogue) = (bytes(&folder.join("segments"))?, bytes(&folder.join("catalogue"))?);
    println!("\nscale: a store of {exhibits} exhibits of {EXHIBIT_BYTES} bytes for 2 recipients, page cache warm");
    println!("  built in {seconds:.0} s with group commit ({:.0} exhibits/s)", exhibits as f64 / seconds);
    let each = |bytes: u64| bytes as f64 / exhibits as f64;
    let overhead = each(segments) - EXHIBIT_BYTES as f64;
    println!(
        "  space for each exhibit: {:.0} bytes in segments ({overhead:.0} over its own), {:.0} in the catalogue",
        each(segments),
        each(catalogue)
    );
    let mut add = |what: &str, value: String, aim: &str| {
        println!("  {what}: {value}{}", if aim.is_empty() { String::new() } else { format!(" (aim: {aim})") });
        table.add("scale", what, value, String::new(), None, aim);
    };
    add("overhead in segments, bytes for each exhibit", format!("{overhead:.0}"), "");
    add("catalogue, bytes for each exhibit", format!("{:.0}", each(catalogue)), "");
    for part in ["store", "reader"] {
        stop::check()?;
        let output = Command::new(std::env::current_exe()?)
            .args([COMMAND, part])
            .arg(&folder)
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("measuring {part} ended with {}", output.status).into());
        }
        for line in String::from_utf8(output.stdout)?.lines() {
            let mut cells = line.split('\t');
            if let (Some(what), Some(value), Some(aim)) = (cells.next(), cells.next(), cells.next()) {
                add(what, value.to_owned(), aim);
            }
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Two threads seal, the store's own thread writes rounds of what waits.
fn build(folder: &Path, exhibits: usize) -> Outcome<()> {
    let store = create(folder)?;
    let recipients = [recipient()?, recipient()?];
    let waiting = Arc::new((Mutex::new(0usize), Condvar::new()));
    let failed = Arc::new(Mutex::new(None::<Box<dyn std::error::Error + Send + Sync>>));
    let next = AtomicUsize::new(0);
    let work = || -> Outcome<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= exhibits {
                return Ok(());
            }
            stop::check()?;
            if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(error);
            }
            let mut bytes = vec![0; EXHIBIT_BYTES];
            bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let draft = draft(&store, &recipients, number, &bytes)?;
            let (count, room) = &*waiting;
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            while *count >= WAITING {
                count = room.wait(count).unwrap_or_else(PoisonError::into_inner);
            }
            *count += 1;
            drop(count);
            let (waiting, failed) = (Arc::clone(&waiting), Arc::clone(&failed));
            store.submit(
                draft,
                Box::new(move |result| {
                    if let Err(error) = result {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.into());
                    }
                    let (count, room) = &*waiting;
                    *count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
                    room.notify_one();
                }),
            );
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    })?;
    // Waits for what was handed in last.
    drop(store);
    failed.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
}

fn bytes(folder: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        let facts = file?.metadata()?;
        bytes += if facts.is_dir() { 0 } else { facts.blocks() * 512 };
    }
    Ok(bytes)
}

/// The part of a process that measures: `store DIR` or `reader DIR`.
///
/// Prints lines of what was measured, its value, and the aim.
pub fn main(args: &[String]) -> Outcome<()> {
    let [part, dir] = args else { return Err("what to measure, and where".into()) };
    let dir = Path::new(dir);
    match part.as_str() {
        "store" => measure_store(dir),
        "reader" => measure_reader(dir),
        other => Err(format!("nothing called {other} is measured").into()),
    }
}

fn measure_store(dir: &Path) -> Outcome<()> {
    let started = Instant::now();
    let store: Store = open(dir)?;
    say("Store::open", &seconds(started), "2 s");
    say("Store::open, peak memory", &peak()?, "300 MB");
    let reader = Reader::open(dir)?;
    let size = reader.size();
    let each = |work: &mut dyn FnMut(u64) -> Outcome<()>| looks(size, work);
    say(
        "Store, an exhibit by its number",
        &each(&mut |at| store.exhibit_age(at.max(1)).map(drop).map_err(Into::into))?,
        "",
    );
    say("Store, an entry's row", &each(&mut |at| store.row(at).map(drop).map_err(Into::into))?, "");
    say(
        "Store, inclusion proof",
        &each(&mut |at| store.inclusion_proof(at, size).map(drop).map_err(Into::into))?,
        "1 ms",
    );
    say("Store, peak memory after all", &peak()?, "300 MB");
    Ok(())
}

fn measure_reader(dir: &Path) -> Outcome<()> {
    let key = vigie_store::unlock_key(dir, &passphrase())?;
    let started = Instant::now();
    let reader = Reader::open(dir)?;
    say("Reader::open", &seconds(started), "2 s");
    let started = Instant::now();
    reader.exhibit(reader.size() / 2)?;
    say("Reader, the first look-up", &seconds(started), "1 s");
    let size = reader.size();
    say(
        "Reader, an exhibit by its number",
        &looks(size, &mut |at| reader.exhibit(at.max(1)).map(drop).map_err(Into::into))?,
        "",
    );
    say("Reader, an entry's row", &looks(size, &mut |at| reader.row(at, &key).map(drop).map_err(Into::into))?, "");
    // Hashes every leaf, as the first look-up once did.
    let started = Instant::now();
    reader.inclusion_proof(size / 2)?;
    say("Reader, the first proof", &seconds(started), "");
    say(
        "Reader, inclusion proof",
        &looks(size, &mut |at| reader.inclusion_proof(at).map(drop).map_err(Into::into))?,
        "1 ms",
    );
    say("Reader, peak memory after all", &peak()?, "300 MB");
    Ok(())
}

fn say(what: &str, value: &str, aim: &str) {
    println!("{what}\t{value}\t{aim}");
}

/// The median of look-ups spread over all entries, which begin with entry 0.
fn looks(size: u64, work: &mut dyn FnMut(u64) -> Outcome<()>) -> Outcome<String> {
    let count = LOOKS.min(size - 1);
    let mut times = Vec::new();
    for look in 0..count {
        // A stride that is prime to any size here: places jump about as look-ups do.
        let at = look.wrapping_mul(2_654_435_761) % (size - 1);
        let started = Instant::now();
        work(at)?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    Ok(format!("{:.0} µs (slowest {slowest:.0})", median(times)))
}

fn seconds(since: Instant) -> String {
    format!("{:.2} s", since.elapsed().as_secs_f64())
}

/// Most memory this process had at once (proc_pid_status(5), VmHWM).
fn peak() -> Outcome<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(format!("{:.0} MB", kib as f64 * 1.024 / 1000.0))
}
