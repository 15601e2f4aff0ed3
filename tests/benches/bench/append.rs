//! `append`: durable appends of sealed exhibits against durable inserts of plain blobs by SQLite and
//! redb.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use redb::TableDefinition;
use rusqlite::Connection;
use secrecy::SecretString;
use vigie_store::clock::{Clock, ClockStatus, Stamp};
use vigie_store::{Commitment, Draft, Kind, NewStore, Private, Recipient, Sealer, Store, StoreEvents};

use crate::numbers::{Table, median};
use crate::{Outcome, stop};

/// Sizes of exhibits, in bytes.
const SIZES: [usize; 2] = [4 << 10, 80 << 10];
/// Its library does not tell its release.
const REDB: &str = "4.6";
const BLOBS: TableDefinition<'_, u64, (&str, &[u8])> = TableDefinition::new("exhibit");
/// Threads, and how many times the appends of one thread they do together.
const THREADS: [(usize, usize); 2] = [(1, 1), (16, 8)];

/// Measures both in turn, prints the theme and adds it to the table.
pub fn run(dir: &Path, rounds: usize, appends: usize, table: &mut Table) -> Outcome<()> {
    println!("\nappend: durable appends per second, medians of {rounds} rounds in turn, same directory");
    println!("  Vigie: every exhibit is sealed by its thread with age for 2 recipients, every entry is hashed into");
    println!("  the log, its private part sealed for the same 2, the log's head signed; threads share rounds of fsync");
    println!(
        "  SQLite {} (bundled): plain blobs, WAL, synchronous=FULL, a transaction per append; threads share one \
         connection, which beats lock retries",
        rusqlite::version()
    );
    println!("  redb {REDB}: plain blobs, a write transaction per append with Durability::Immediate (the default)");
    for size in SIZES {
        for (threads, factor) in THREADS {
            let count = (appends * factor).next_multiple_of(threads);
            let what = format!("{} KiB, {threads} thread(s)", size >> 10);
            eprintln!("bench: {count} appends of {what}");
            let (mut ours, mut sqlites, mut redbs) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                ours.push(in_folder(&dir.join("append"), |dir| vigie(dir, size, threads, count))?);
                sqlites.push(in_folder(&dir.join("append"), |dir| sqlite(dir, size, threads, count))?);
                redbs.push(in_folder(&dir.join("append"), |dir| redb(dir, size, threads, count))?);
            }
            let [ours, sqlites, redbs] = [ours, sqlites, redbs].map(median);
            println!("  {what}: Vigie {ours:.0}/s; SQLite {sqlites:.0}/s; redb {redbs:.0}/s");
            for (peer, theirs) in [("SQLite", sqlites), ("redb", redbs)] {
                let what = format!("appends/s vs {peer}, {what}");
                table.add("append", &what, format!("{ours:.0}"), format!("{theirs:.0}"), Some(ours / theirs), "");
            }
        }
    }
    Ok(())
}

/// Runs something in a new folder and removes it.
fn in_folder<T>(dir: &Path, run: impl FnOnce(&Path) -> Outcome<T>) -> Outcome<T> {
    std::fs::create_dir(dir)?;
    let result = run(dir);
    std::fs::remove_dir_all(dir)?;
    result
}

/// Appends per second of `threads` threads that each do their share of `count`.
fn timed(
    threads: usize,
    count: usize,
    size: usize,
    append: impl Fn(usize, &[u8]) -> Outcome<()> + Sync,
) -> Outcome<f64> {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
    let (append, bytes) = (&append, &bytes);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    for number in (thread..count).step_by(threads) {
                        stop::check()?;
                        append(number, bytes)?;
                    }
                    Outcome::Ok(())
                })
            })
            .collect();
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    })?;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

fn vigie(dir: &Path, size: usize, threads: usize, count: usize) -> Outcome<f64> {
    let store = create(&dir.join("store"))?;
    let recipients = [recipient()?, recipient()?];
    timed(threads, count, size, |number, bytes| {
        store.append(draft(&store, &recipients, number, bytes)?)?;
        Ok(())
    })
}

/// A new store, open.
pub(crate) fn create(folder: &Path) -> Outcome<Store> {
    let new = NewStore {
        origin: "vigie.example/bench".into(),
        allowed_signers: b"magistrate@court.example ssh-ed25519 AAAA\n".to_vec(),
        passphrase: passphrase(),
        // Stretching the passphrase is not measured.
        scrypt_log_n: Some(1),
    };
    Store::create(folder, new, clock()?)?;
    open(folder)
}

/// A store of [`create`], opened again.
pub(crate) fn open(folder: &Path) -> Outcome<Store> {
    let key = vigie_store::unlock_key(folder, &passphrase())?;
    Ok(Store::open(folder, key, clock()?, &Silent)?)
}

pub(crate) fn passphrase() -> SecretString {
    SecretString::from("bench")
}

fn clock() -> Outcome<Arc<WallClock>> {
    Ok(Arc::new(WallClock { boot_id: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")? }))
}

/// An exhibit of these bytes, sealed.
pub(crate) fn draft(store: &Store, recipients: &[Recipient], number: usize, bytes: &[u8]) -> Outcome<Draft> {
    let mut sealer = Sealer::create(store.spool_dir(), recipients)?;
    sealer.write_all(bytes)?;
    let url = format!("http://market.example/item/{number}");
    Ok(Draft {
        kind: Kind::Exhibit,
        mandate: Some([0xAB; 32]),
        session: Some([0xCD; 16]),
        exhibit: Some(sealer.finish()?),
        commitments: vec![Commitment { name: "url", value: url.clone().into_bytes() }],
        private: Some(Private {
            recipients: recipients.to_vec(),
            json: serde_json::json!({"url": url}).to_string().into_bytes(),
        }),
        row: serde_json::json!({"number": number}).to_string().into_bytes(),
        url_row: None,
        state: Vec::new(),
    })
}

fn sqlite(dir: &Path, size: usize, threads: usize, count: usize) -> Outcome<f64> {
    let connection = Connection::open(dir.join("exhibits.sqlite"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection
        .execute_batch("CREATE TABLE exhibit (number INTEGER PRIMARY KEY, url TEXT NOT NULL, body BLOB NOT NULL)")?;
    let connection = Mutex::new(connection);
    timed(threads, count, size, |number, bytes| {
        let url = format!("http://market.example/item/{number}");
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        // Outside of a BEGIN, a statement is a transaction of its own.
        connection.prepare_cached("INSERT INTO exhibit (number, url, body) VALUES (?1, ?2, ?3)")?.execute((
            number as i64,
            url,
            bytes,
        ))?;
        Ok(())
    })
}

fn redb(dir: &Path, size: usize, threads: usize, count: usize) -> Outcome<f64> {
    let database = redb::Database::create(dir.join("exhibits.redb"))?;
    timed(threads, count, size, |number, bytes| {
        let url = format!("http://market.example/item/{number}");
        // One writer at a time: the others wait in here.
        let transaction = database.begin_write()?;
        transaction.open_table(BLOBS)?.insert(number as u64, (url.as_str(), bytes))?;
        transaction.commit()?;
        Ok(())
    })
}

pub(crate) fn recipient() -> Outcome<Recipient> {
    Ok(age::x25519::Identity::generate().to_public().to_string().parse()?)
}

struct WallClock {
    boot_id: String,
}

impl Clock for WallClock {
    fn stamp(&self) -> Stamp {
        let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Stamp {
            wall: Timestamp::now(),
            monotonic_ns: (since_boot.tv_sec as u64)
                .wrapping_mul(1_000_000_000)
                .wrapping_add(since_boot.tv_nsec as u64),
            boot_id: self.boot_id.clone(),
            clock: ClockStatus::Unknown,
        }
    }
}

struct Silent;

impl StoreEvents for Silent {
    fn event(&self, _: &str) {}
}
