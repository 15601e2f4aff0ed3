//! The end of evidence: exhibits and private parts become holes, their entries stay. The hash chain
//! and the log run over entries and digests, so that what is left still verifies.

use std::fs::OpenOptions;

use crate::error::{StoreError, Trying};
use crate::kind::Kind;
use crate::reader::Reader;
use crate::segment::{self, Walker};
use crate::store::Store;

/// What an erasure did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Frames whose exhibit or private part was given up.
    pub frames: u64,
    /// Exhibits among them.
    pub exhibits: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Store {
    /// Erases what an entry of kind `erasure` says: exhibits and private parts of every entry before
    /// it that bears its mandate. Done again after a stop, it goes on where it was.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the entry is no erasure under a mandate; a disk that does not
    /// write: what was erased until then is gone, and doing it again goes on.
    pub fn erase(&self, erasure: u64, mut tell: impl FnMut(u64, u64)) -> Result<Erased, StoreError> {
        let reader = Reader::open(&self.layout.dir)?;
        let entry = reader.entry(erasure)?;
        let (Kind::Erasure, Some(mandate)) = (entry.kind, entry.mandate) else {
            return Err(StoreError::invalid(format!("entry {erasure} is no erasure under a mandate")));
        };
        let mut done = Erased::default();
        let mut walker = Walker::new(&self.layout);
        let mut file = None;
        while walker.sequence < erasure {
            let sequence = walker.sequence;
            let broken = |_| StoreError::damaged(format!("entry {sequence} is not whole"));
            let Some(frame) = walker.step().map_err(broken)? else { break };
            tell(walker.sequence, erasure);
            let (from, to) = (frame.header.exhibit_at(), frame.header.local_at());
            if frame.entry.mandate != Some(mandate) || from == to {
                continue;
            }
            let index = frame.place.segment;
            let trying = || format!("erasing entry {} in segment {index}", frame.entry.sequence);
            if file.as_ref().is_none_or(|(known, _)| *known != index) {
                let path = segment::path(&self.layout, index);
                file = Some((index, OpenOptions::new().write(true).open(path).trying(trying)?));
            }
            let Some((_, file)) = &file else { continue };
            self.disk.punch(file, frame.place.offset + from, to - from).trying(trying)?;
            self.disk.sync(file).trying(trying)?;
            done.frames += 1;
            done.exhibits += u64::from(frame.entry.exhibit.is_some());
            done.bytes += to - from;
        }
        Ok(done)
    }
}
