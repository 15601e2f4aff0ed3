//! Key files against the entries that say what lies there.

use sha2::{Digest, Sha256};

use super::VerifyReport;
use crate::entry::Entry;
use crate::files::{Layout, read_small};
use crate::kind::Kind;
use crate::passphrase::KEY;

/// The newest entry about the store's own key.
#[derive(Default)]
pub(super) struct Passphrases(Option<(u64, [u8; 32])>);

impl Passphrases {
    /// An entry went by.
    pub fn entry(&mut self, entry: &Entry) {
        let digest = entry.digests.iter().find(|(name, _)| name == KEY).map(|(_, digest)| *digest);
        if let (Kind::Passphrase, Some(digest)) = (entry.kind, digest) {
            self.0 = Some((entry.sequence, digest));
        }
    }

    /// All went by. A key file that is gone was wiped; another one opens with another passphrase, which
    /// touches no evidence.
    pub fn end(self, layout: &Layout, report: &mut VerifyReport) {
        let Some((entry, digest)) = self.0 else { return };
        let other = |bytes: Vec<u8>| Sha256::digest(bytes).as_slice() != digest;
        if read_small(&layout.wrapped_key()).is_ok_and(other) {
            report.notes.push(format!(
                "key.age is not the file of entry {entry}, which says that the passphrase was changed: the change was stopped half-way, or another key file was put there; change it again (vigie passphrase)"
            ));
        }
    }
}
