//! What lies inside a frame, as far as the keys at hand open it.

use std::io::{self, BufReader, Read};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, PublicKey, SshSig};

use super::Check;
use crate::draft::PLAINTEXT;
use crate::entry::Entry;
use crate::error::StoreError;
use crate::kind::Kind;
use crate::local::{Inside, Local, Opening, PrivatePart};
use crate::private::{self, Closed};
use crate::segment::{Frame, Segment};

/// Namespace of agents' signatures (PROTOCOL.sshsig).
const NAMESPACE: &str = "vigie-act";
/// Form of the entry that makes holes, in its row.
const ERASED: &str = "erased";
/// What an agent's act commits to.
pub(super) const SIGNED_ACT: [&str; 2] = ["agent-statement", "agent-signature"];

impl Check<'_> {
    pub(super) fn inside(&mut self, segment: &Segment, frame: &Frame, damaged: &[&str]) -> Result<(), StoreError> {
        let sequence = frame.entry.sequence;
        if let Some(local) = &self.local
            && !damaged.contains(&"local part")
        {
            match local.open(&frame.context(), &frame.local(segment)?) {
                Some(local) => {
                    self.report.local_parts += 1;
                    self.local_part(&frame.entry, &local);
                }
                None => self.report.problem(Some(sequence), "its local part was not sealed by this workstation"),
            }
        }
        if self.identities.is_empty() {
            return Ok(());
        }
        let private = if frame.entry.private.is_some() && !damaged.contains(&"private part") {
            self.private_part(segment, frame)?
        } else {
            None
        };
        if let Some(private) = &private {
            super::consensus::check(&frame.entry, private, &mut self.report);
            self.published.entry(&frame.entry, private, &mut self.report);
        }
        if frame.entry.exhibit.is_some() && !damaged.contains(&"exhibit") {
            let inside = private.and_then(|private| {
                let committed = private.openings.into_iter().find(|opening| opening.name == PLAINTEXT);
                Some((private.exhibit?, committed.map(|opening| opening.value)))
            });
            self.exhibit(segment, frame, inside)?;
        }
        Ok(())
    }

    /// Openings, and the agent's signature when the row has one.
    fn local_part(&mut self, entry: &Entry, local: &Local) {
        for opening in &local.openings {
            self.opening(entry, opening);
        }
        let row: serde_json::Value = serde_json::from_slice(&local.row).unwrap_or_default();
        if entry.kind == Kind::Erasure && row["form"] != ERASED {
            // A certificate alone erases nothing.
            self.erasures.retain(|(_, sequence)| *sequence != entry.sequence);
        }
        let act =
            row.get("act").and_then(|act| Some((act.get("statement")?.as_str()?, act.get("signature")?.as_str()?)));
        let Some((statement, signature)) = act else {
            if entry.commitments.iter().any(|(name, _)| name == "agent-signature") {
                self.report
                    .problem(Some(entry.sequence), "it commits to an agent's signature that its row does not hold");
            }
            return;
        };
        for (name, value) in SIGNED_ACT.into_iter().zip([statement, signature]) {
            let opening = local.openings.iter().find(|opening| opening.name == name);
            if opening.is_none_or(|opening| opening.value != value.as_bytes()) {
                self.report
                    .problem(Some(entry.sequence), format!("its row holds another {name} than the one committed to"));
            }
        }
        // A signed statement of another session, put here by someone who holds the key, is none.
        let session = statement.lines().find_map(|line| line.strip_prefix("session "));
        let own = entry.session.map(|id| HEXLOWER.encode(&id));
        if session.is_some_and(|session| Some(session) != own.as_deref()) {
            self.report.problem(Some(entry.sequence), "the agent signed for another session");
        }
        match signer(statement, signature) {
            Some(fingerprint) => *self.report.signers.entry(fingerprint).or_default() += 1,
            None => self.report.problem(Some(entry.sequence), "the agent's signature does not hold for the statement"),
        }
    }

    fn opening(&mut self, entry: &Entry, opening: &Opening) {
        let committed = entry.commitments.iter().find(|(name, _)| *name == opening.name);
        if committed.is_none_or(|(_, digest)| *digest != opening.commitment()) {
            self.report.problem(Some(entry.sequence), format!("the commitment {:?} does not open", opening.name));
        }
    }

    /// Opens the private part and every commitment with it.
    fn private_part(&mut self, segment: &Segment, frame: &Frame) -> Result<Option<PrivatePart>, StoreError> {
        let sequence = frame.entry.sequence;
        let part = match private::open(&frame.private(segment)?, self.identities.iter().map(AsRef::as_ref)) {
            Ok(part) => part,
            Err(Closed::Age(age::DecryptError::NoMatchingKeys)) => return Ok(None),
            Err(Closed::Age(error)) => {
                self.report.problem(Some(sequence), format!("its private part does not open ({error})"));
                return Ok(None);
            }
            Err(Closed::Format) => {
                self.report.problem(Some(sequence), "its private part is not of the format vigie.private/1");
                return Ok(None);
            }
        };
        self.report.private_parts += 1;
        for opening in &part.openings {
            self.opening(&frame.entry, opening);
        }
        for (name, _) in &frame.entry.commitments {
            if !part.openings.iter().any(|opening| opening.name == *name) {
                self.report.problem(Some(sequence), format!("nothing opens the commitment {name:?}"));
            }
        }
        Ok(Some(part))
    }

    /// Opens an exhibit: its digest, its commitment, and every record of the WARC file inside.
    fn exhibit(
        &mut self,
        segment: &Segment,
        frame: &Frame,
        inside: Option<(Inside, Option<Vec<u8>>)>,
    ) -> Result<(), StoreError> {
        let sequence = frame.entry.sequence;
        let sealed = BufReader::with_capacity(128 * 1024, frame.exhibit(segment)?);
        let plain =
            age::Decryptor::new_buffered(sealed).and_then(|age| age.decrypt(self.identities.iter().map(AsRef::as_ref)));
        let plain = match plain {
            Ok(plain) => plain,
            Err(age::DecryptError::NoMatchingKeys) => return Ok(()),
            Err(error) => {
                self.report.problem(Some(sequence), format!("its exhibit does not open ({error})"));
                return Ok(());
            }
        };
        let mut counted = Counted { reader: plain, sha256: Sha256::new(), len: 0 };
        match vigie_warc::check(&mut counted) {
            Ok(records) => {
                if records.is_empty() {
                    self.report.problem(Some(sequence), "its exhibit holds no WARC record");
                }
                self.report.records += records.len() as u64;
                for (place, record) in records.iter().enumerate() {
                    for finding in &record.findings {
                        self.report
                            .problem(Some(sequence), format!("WARC record {} ({}): {finding}", place + 1, record.kind));
                    }
                }
            }
            Err(error) => self.report.problem(Some(sequence), format!("its exhibit: {error}")),
        }
        // What the WARC reader left belongs to the digest too.
        if let Err(error) = io::copy(&mut counted, &mut io::sink()) {
            self.report.problem(Some(sequence), format!("its exhibit does not open to the end ({error})"));
            return Ok(());
        }
        let sha256: [u8; 32] = counted.sha256.finalize().into();
        match inside {
            Some((inside, committed))
                if committed.as_deref() == Some(&sha256) && inside.sha256 == sha256 && inside.bytes == counted.len =>
            {
                self.report.opened += 1;
            }
            Some(_) => {
                self.report.problem(Some(sequence), "its exhibit does not hold the bytes that were committed to")
            }
            None => {
                self.report.problem(Some(sequence), "its exhibit opened, but no private part says what it must hold")
            }
        }
        Ok(())
    }
}

/// Fingerprint of the key whose signature holds for the statement.
fn signer(statement: &str, signature: &str) -> Option<String> {
    let signature: SshSig = signature.parse().ok()?;
    let key = PublicKey::from(signature.public_key().clone());
    key.verify(NAMESPACE, statement.as_bytes(), &signature).ok()?;
    Some(key.fingerprint(HashAlg::Sha256).to_string())
}

/// Hashes what passes.
struct Counted<R> {
    reader: R,
    sha256: Sha256,
    len: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.sha256.update(&buffer[..read]);
        self.len += read as u64;
        Ok(read)
    }
}
