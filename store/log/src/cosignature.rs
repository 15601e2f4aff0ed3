//! Cosignatures (C2SP tlog-cosignature, `cosignature/v1` with Ed25519): a witness says that at a
//! time this was the largest head of the log that it had seen, and that it goes on from every
//! head it had seen before.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::checkpoint::{Checkpoint, CheckpointError, Verifier, parse};
use crate::note::{self, COSIGNATURE, SignatureLine};

/// Latest time of a cosignature, in seconds since the Epoch: 2^63 - 1.
pub const TIME_MAX: u64 = i64::MAX as u64;

/// A witness's public key under its name: a C2SP verifier key of type 0x04.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: VerifyingKey,
}

impl WitnessKey {
    /// Of a key under the witness's name (see [`crate::checkpoint::is_origin`]).
    pub fn new(name: &str, key: VerifyingKey) -> Self {
        Self { name: name.to_owned(), key }
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256(name || LF || 0x04 || key), first four bytes.
    pub fn key_id(&self) -> [u8; 4] {
        note::key_id(&self.name, COSIGNATURE, &self.key)
    }

    /// Reads `name+hash+base64`, one line without its end.
    pub fn parse(text: &str) -> Option<Self> {
        note::parse_vkey(text, COSIGNATURE).map(|(name, key)| Self::new(name, key))
    }

    /// The time of the cosignature in a line, when the line is of this key.
    fn verify(&self, line: &SignatureLine<'_>, text: &str) -> Result<Option<u64>, CheckpointError> {
        if line.name != self.name || line.key_id != self.key_id() {
            return Ok(None);
        }
        let (time, signature) = line
            .signature
            .split_first_chunk::<8>()
            .and_then(|(time, signature)| Some((u64::from_be_bytes(*time), Signature::from_slice(signature).ok()?)))
            .ok_or(CheckpointError("a cosignature is not a time and 64 bytes"))?;
        if !(1..=TIME_MAX).contains(&time) {
            return Err(CheckpointError("a cosignature's time is none"));
        }
        self.key
            .verify_strict(message(text, time).as_bytes(), &signature)
            .map_err(|_| CheckpointError("the cosignature of a known witness does not match"))?;
        Ok(Some(time))
    }
}

impl std::fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&note::vkey(&self.name, COSIGNATURE, &self.key))
    }
}

/// A cosignature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Whose.
    pub witness: WitnessKey,
    /// When, by the witness's clock: seconds since the Epoch.
    pub time: u64,
}

/// A checkpoint with the cosignatures of known witnesses; perhaps with none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// What was signed and cosigned.
    pub checkpoint: Checkpoint,
    /// Those that hold, in the order of the lines.
    pub cosignatures: Vec<Cosignature>,
    /// The note with the lines of the log and of known witnesses alone.
    pub text: String,
}

impl Cosigned {
    /// Reads a signed note: the log's signature must hold, and so must each line of a known
    /// witness. Lines of others are left out, as C2SP signed-note asks.
    pub fn open(text: &str, log: &Verifier, known: &[WitnessKey]) -> Result<Self, CheckpointError> {
        let note = parse(text)?;
        let (checkpoint, own) = Checkpoint::open_note(&note, log)?;
        let mut kept = format!("{}\n{own}\n", note.text);
        let mut cosignatures = Vec::new();
        for line in &note.lines {
            for witness in known {
                if let Some(time) = witness.verify(line, note.text)? {
                    cosignatures.push(Cosignature { witness: witness.clone(), time });
                    kept.push_str(line.line);
                    kept.push('\n');
                    break;
                }
            }
        }
        Ok(Self { checkpoint, cosignatures, text: kept })
    }
}

/// The signature line, with its LF, of a witness over a checkpoint; `time` in seconds since the
/// Epoch, 1 to [`TIME_MAX`].
pub fn cosign(checkpoint: &Checkpoint, name: &str, key: &SigningKey, time: u64) -> String {
    let signature = key.sign(message(&checkpoint.body(), time).as_bytes()).to_bytes();
    let witness = WitnessKey::new(name, key.verifying_key());
    note::line(name, witness.key_id(), &[&time.to_be_bytes()[..], &signature].concat())
}

fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

#[cfg(test)]
mod tests;
