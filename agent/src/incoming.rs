//! A revocation or a prosecutor's opposition that arrives while a run holds the store: the
//! command that imports it leaves it sealed in `incoming/`, and the run takes it from there
//! within a second, logs it and stops if its mandate is meant.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vigie_store::{StoreError, WorkstationKey};

use crate::error::{Failing, Problem};
use crate::mandates;
use crate::session::Session;

/// Folder inside the store.
const FOLDER: &str = "incoming";
/// What the bytes are sealed as.
const LABEL: &str = "incoming";

#[derive(Serialize, Deserialize)]
struct Letter {
    document: Vec<u8>,
    signature: Vec<u8>,
}

/// Leaves a list for the running session.
pub fn leave(store: &Path, key: &WorkstationKey, document: &[u8], signature: &[u8]) -> Result<(), Problem> {
    let letter = Letter { document: document.to_vec(), signature: signature.to_vec() };
    let bytes = serde_json::to_vec(&letter).failing("preparing the revocation list")?;
    let sealed = key.seal(LABEL, &bytes).map_err(Problem::from)?;
    let folder = store.join(FOLDER);
    let trying = "leaving the revocation list for the running session";
    std::fs::create_dir_all(&folder).failing(trying)?;
    let name = uuid::Uuid::new_v4().simple().to_string();
    let part = folder.join(format!("{name}.part"));
    std::fs::write(&part, sealed).failing(trying)?;
    std::fs::File::open(&part).and_then(|file| file.sync_all()).failing(trying)?;
    std::fs::rename(&part, folder.join(name)).failing(trying)
}

/// Lists that no run took yet.
fn waiting(store: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(store.join(FOLDER)) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_none()).collect()
}

/// Takes what waits: verified, logged, then removed. A file that does not open or verify is left
/// where it is and said, once for each look.
pub fn take(
    store: &vigie_store::Store,
    folder: &Path,
    key: &WorkstationKey,
    now: jiff::Timestamp,
) -> Vec<Result<vigie_config::revocation::Revocations, Problem>> {
    waiting(folder)
        .into_iter()
        .map(|path| {
            let sealed = std::fs::read(&path).failing("reading a revocation list that waits")?;
            let bytes = key.open(LABEL, &sealed).map_err(|_: StoreError| {
                Problem::unsound("a file in incoming/ was not left by this workstation: look into it")
            })?;
            let letter: Letter = serde_json::from_slice(&bytes).failing("reading a revocation list that waits")?;
            let (list, _) = mandates::revoke(store, letter.document, letter.signature, now)?;
            std::fs::remove_file(&path).failing("removing a revocation list that was logged")?;
            Ok(list)
        })
        .collect()
}

/// Watches for lists while a session runs.
pub(crate) async fn watch(session: Arc<Session>) {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        look(&session);
    }
}

/// Takes what waits and stops the session if its mandate is meant. Also done before the session
/// asks for anything: a list may have come while Tor was started.
pub(crate) fn look(session: &Session) {
    let folder = session.store.folder();
    if waiting(folder).is_empty() {
        return;
    }
    let now = session.now();
    for list in take(&session.store, folder, session.store.key(), now) {
        match list {
            Ok(list) => {
                let mut held = session.revocations.write().unwrap_or_else(PoisonError::into_inner);
                held.merge(list);
                if let Err(refusal) = held.check(session.powers.mandate(), now) {
                    session.stop.raise(format!("refused: {refusal}"));
                }
            }
            Err(problem) => session.stop.raise(problem.line),
        }
    }
}
