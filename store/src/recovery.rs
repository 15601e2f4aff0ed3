//! Opening a store after any end: what the signed head covers must be there; what lies beyond it
//! is adopted when this workstation's key shows that it wrote it, else set aside; a catalogue
//! that is behind or broken is brought up from the segments.

use std::io::{self, Read};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::Timestamp;

use crate::catalogue::{Catalogue, Changes, Place};
use crate::checkpoint::Checkpoint;
use crate::clock::Stamp;
use crate::disk::Disk;
use crate::error::{StoreError, Trying};
use crate::files::Layout;
use crate::keys::{WorkstationKey, random};
use crate::ledger::{Ledger, Taken};
use crate::local::LocalCipher;
use crate::segment::{self, Fault, Frame, SEGMENT_HEADER_BYTES, Segment, Walker};
use crate::settings::StoreEvents;

/// Frames of a rebuild that go into one batch of the catalogue.
const REBUILD_BATCH: u64 = 1000;

/// A store that is ready to be written.
pub(crate) struct Recovered {
    pub catalogue: Catalogue,
    pub ledger: Ledger,
    /// To be committed with the next round.
    pub changes: Changes,
    /// Frames beyond the signed size that were taken in.
    pub adopted: u64,
    /// Bytes beyond them that were set aside.
    pub torn_bytes: u64,
    /// Why the catalogue was rebuilt, when it was.
    pub rebuilt: Option<String>,
}

/// Brings catalogue and ledger to the end of what can be proven.
pub(crate) fn recover(
    layout: &Layout,
    key: &WorkstationKey,
    local: &LocalCipher,
    head: &Checkpoint,
    now: Timestamp,
    disk: &Arc<dyn Disk>,
    events: &dyn StoreEvents,
) -> Result<Recovered, StoreError> {
    if layout.checkpoint_part().exists() {
        let _ = disk.remove(&layout.checkpoint_part());
    }
    let (mut recovered, mut walker) = match from_catalogue(layout, key, local, head, disk, events) {
        // What an unsealed node of the log says may be wrong where the evidence is right: only a
        // reading of the segments from the first frame on can say which.
        Err(StoreError::Catalogue { .. }) => {
            layout.mark(&layout.catalogue_damaged(), disk.as_ref())?;
            from_catalogue(layout, key, local, head, disk, events)?
        }
        other => other?,
    };
    // A clock that is behind could not log what follows: nothing is moved under it.
    if let Some(last) = recovered.ledger.last.filter(|last| now < *last) {
        return Err(StoreError::ClockBehind { last, now });
    }
    let signed = recovered.ledger.segment;
    recovered.beyond(layout, local, &mut walker, disk)?;
    recovered.settle(layout, signed, &walker, disk.as_ref())?;
    Ok(recovered)
}

/// Brings the catalogue, or a new one, up to the signed head.
fn from_catalogue<'a>(
    layout: &'a Layout,
    key: &WorkstationKey,
    local: &LocalCipher,
    head: &Checkpoint,
    disk: &Arc<dyn Disk>,
    events: &dyn StoreEvents,
) -> Result<(Recovered, Walker<'a>), StoreError> {
    let known = if layout.catalogue_damaged().exists() {
        Err(StoreError::Catalogue { why: "it was found damaged before".into() })
    } else {
        Catalogue::open(layout, key, Arc::clone(disk)).and_then(|catalogue| known(layout, catalogue, head))
    };
    let (catalogue, ledger, rebuilt) = match known {
        Ok((catalogue, ledger)) => (catalogue, ledger, None),
        Err(StoreError::Catalogue { why }) => {
            // Nothing of evidence lies in it. Run state does, and is lost: pages are visited again.
            // The marker goes when the rebuild is in the log: a stop before that begins it anew.
            layout.mark(&layout.catalogue_damaged(), disk.as_ref())?;
            if layout.catalogue().exists() {
                layout.set_aside(&layout.catalogue(), "catalogue", disk.as_ref())?;
            }
            let catalogue = Catalogue::open(layout, key, Arc::clone(disk))?;
            (catalogue, Ledger::empty(), Some(why))
        }
        Err(other) => return Err(other),
    };
    let from_the_first = rebuilt.is_some() || ledger.tree.size() == 0;
    let mut recovered =
        Recovered { catalogue, ledger, changes: Changes::default(), adopted: 0, torn_bytes: 0, rebuilt };
    let walker = recovered.up_to(layout, local, head, events).map_err(|error| match error {
        StoreError::Damaged { what } if !from_the_first => StoreError::Catalogue { why: what },
        other => other,
    })?;
    Ok((recovered, walker))
}

/// A catalogue that agrees with the signed head as far as it goes, and the ledger it holds.
fn known(layout: &Layout, catalogue: Catalogue, head: &Checkpoint) -> Result<(Catalogue, Ledger), StoreError> {
    let Some(cursor) = catalogue.cursor()? else {
        // New, or lost whole: fill it from the segments like any that is behind. Only the second
        // is worth saying.
        if head.size > 0 {
            return Err(StoreError::Catalogue { why: "it was empty".into() });
        }
        return Ok((catalogue, Ledger::empty()));
    };
    if cursor.size > head.size {
        return Err(StoreError::RolledBack { signed: head.size, committed: cursor.size });
    }
    let mut ledger = Ledger::restore(&catalogue, &cursor)?;
    if cursor.size == head.size && ledger.tree.root() != head.root {
        return Err(StoreError::Catalogue { why: "its log differs from the signed head".into() });
    }
    ledger.stamp = present(layout, &catalogue, &ledger)?;
    Ok((catalogue, ledger))
}

/// Every segment that the catalogue knows is there at its length, and the last frame is the one
/// it names; gives the clocks at that one. What lies inside is for `verify`.
fn present(layout: &Layout, catalogue: &Catalogue, ledger: &Ledger) -> Result<Option<Stamp>, StoreError> {
    let size = ledger.tree.size();
    let Some(last) = size.checked_sub(1) else { return Ok(None) };
    for index in 0..=ledger.segment {
        let len = if index == ledger.segment { Some(ledger.end) } else { catalogue.segment_len(index)? };
        let segment = Segment::open(layout, index)?;
        let whole = match (&segment, len) {
            (Some(segment), Some(len)) if index == ledger.segment => segment.len >= len,
            (Some(segment), Some(len)) => segment.len == len,
            _ => false,
        };
        if !whole {
            return Err(StoreError::Missing { signed: size, found: count(layout) });
        }
    }
    let record = catalogue.record(last)?.ok_or_else(|| catalogue.damaged("the last record"))?;
    let found = Segment::open(layout, record.place.segment)?
        .and_then(|segment| Frame::read(&segment, record.place.offset).ok())
        .filter(|frame| frame.digest() == ledger.previous);
    match found {
        Some(frame) => Ok(Some(frame.entry.stamp)),
        None => Err(StoreError::Missing { signed: size, found: count(layout) }),
    }
}

/// Whole frames from the first on.
fn count(layout: &Layout) -> u64 {
    let mut walker = Walker::new(layout);
    while let Ok(Some(_)) = walker.step() {}
    walker.sequence
}

impl Recovered {
    /// Takes in what the signed head covers and the catalogue lacks.
    fn up_to<'a>(
        &mut self,
        layout: &'a Layout,
        local: &LocalCipher,
        head: &Checkpoint,
        events: &dyn StoreEvents,
    ) -> Result<Walker<'a>, StoreError> {
        let place = Place { segment: self.ledger.segment, offset: self.ledger.end };
        let mut walker = Walker::at(layout, place, self.ledger.tree.size(), self.ledger.previous, self.ledger.exhibits);
        while walker.sequence < head.size {
            let frame = match walker.step() {
                Ok(Some(frame)) => frame,
                Ok(None) | Err(Fault::Short) => {
                    return Err(StoreError::Missing { signed: head.size, found: walker.sequence });
                }
                Err(Fault::Io(error)) => return Err(error),
                Err(Fault::Broken(what)) => {
                    return Err(StoreError::damaged(format!("entry {}: {what}", walker.sequence)));
                }
            };
            if !self.take(local, &walker, &frame)? {
                return Err(StoreError::damaged(format!(
                    "entry {}: its local part was not sealed by this workstation",
                    frame.entry.sequence
                )));
            }
            if walker.sequence.is_multiple_of(REBUILD_BATCH) && walker.sequence < head.size {
                self.keep()?;
                if self.rebuilt.is_some() {
                    events.rebuilding(walker.sequence, head.size);
                }
            }
        }
        if self.ledger.tree.root() != head.root {
            return Err(StoreError::damaged("the entries on disk are not those that the signed head covers"));
        }
        self.keep()?;
        Ok(walker)
    }

    /// Adopts or sets aside what lies beyond the signed size.
    fn beyond(
        &mut self,
        layout: &Layout,
        local: &LocalCipher,
        walker: &mut Walker<'_>,
        disk: &Arc<dyn Disk>,
    ) -> Result<(), StoreError> {
        let mut buffer = Vec::new();
        loop {
            let frame = match walker.step() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(Fault::Io(error)) => return Err(error),
                Err(Fault::Short | Fault::Broken(_)) => return self.tear(layout, walker.next, disk.as_ref()),
            };
            let Some(segment) = &walker.segment else { return Ok(()) };
            let whole = frame.damaged_parts(segment, &mut buffer)?.is_empty();
            if !whole || !self.take(local, walker, &frame)? {
                return self.tear(layout, frame.place, disk.as_ref());
            }
            if self.adopted == 0 {
                layout.mark(&layout.recovery_pending(), disk.as_ref())?;
            }
            self.adopted += 1;
        }
    }

    /// What is adopted must be as durable as what is signed: its writer may have stopped before
    /// it synced. A segment that was begun and holds no frame yet is gone on with.
    fn settle(&mut self, layout: &Layout, signed: u64, walker: &Walker<'_>, disk: &dyn Disk) -> Result<(), StoreError> {
        let begun = walker.next.segment > self.ledger.segment && walker.next.offset == SEGMENT_HEADER_BYTES;
        if begun && self.torn_bytes == 0 {
            self.catalogue.add_segment(&mut self.changes, self.ledger.segment, self.ledger.end);
            (self.ledger.segment, self.ledger.end) = (walker.next.segment, walker.next.offset);
        }
        if begun || self.adopted > 0 {
            for index in signed..=self.ledger.segment {
                if let Some(segment) = Segment::open(layout, index)? {
                    disk.sync(&segment.file).trying(|| format!("syncing segment {index}"))?;
                }
            }
            disk.sync_folder(&layout.segments()).trying(|| "making segments/ durable".into())?;
        }
        Ok(())
    }

    /// Takes a frame in when its local part authenticates.
    fn take(&mut self, local: &LocalCipher, walker: &Walker<'_>, frame: &Frame) -> Result<bool, StoreError> {
        let Some(segment) = &walker.segment else { return Ok(false) };
        let Some(plain) = local.open(&frame.context(), &frame.local(segment)?) else { return Ok(false) };
        let taken = Taken {
            place: frame.place,
            end: frame.end(),
            digest: frame.digest(),
            entry: &frame.entry,
            entry_bytes: &frame.entry_bytes,
            local: &plain,
        };
        self.ledger.take(&self.catalogue, &mut self.changes, &taken)?;
        Ok(true)
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        let mut changes = std::mem::take(&mut self.changes);
        self.catalogue.set_cursor(&mut changes, &self.ledger.cursor())?;
        self.catalogue.commit(changes)
    }

    /// Moves everything from `at` on to `torn/`. Later segments first: a stop in the middle
    /// leaves less of the same tail, which the next open finds again.
    fn tear(&mut self, layout: &Layout, at: Place, disk: &dyn Disk) -> Result<(), StoreError> {
        layout.mark(&layout.recovery_pending(), disk)?;
        for index in segment::list(layout)?.into_iter().rev().filter(|index| *index > at.segment) {
            self.torn_bytes += Segment::open(layout, index)?.map_or(0, |segment| segment.len);
            layout.set_aside(&segment::path(layout, index), &format!("segment-{index:08}"), disk)?;
        }
        let path = segment::path(layout, at.segment);
        if at.offset < SEGMENT_HEADER_BYTES {
            // Not even its header is whole: it is created anew with the next frame.
            self.torn_bytes += Segment::open(layout, at.segment)?.map_or(0, |segment| segment.len);
            layout.set_aside(&path, &format!("segment-{:08}", at.segment), disk)?;
        } else {
            self.torn_bytes += cut(layout, at, disk)?;
            if at.segment != self.ledger.segment {
                self.catalogue.add_segment(&mut self.changes, self.ledger.segment, self.ledger.end);
                (self.ledger.segment, self.ledger.end) = (at.segment, at.offset);
            }
        }
        disk.sync_folder(&layout.segments()).trying(|| "making segments/ durable".into())
    }
}

/// Copies the tail of a segment to `torn/`, then cuts it off; gives its length.
fn cut(layout: &Layout, at: Place, disk: &dyn Disk) -> Result<u64, StoreError> {
    let path = segment::path(layout, at.segment);
    let trying = || format!("setting aside the torn end of {}", path.display());
    let file = std::fs::File::options().read(true).write(true).open(&path).trying(trying)?;
    let len = file.metadata().trying(trying)?.len().saturating_sub(at.offset);
    if len == 0 {
        return Ok(0);
    }
    let name = format!("segment-{:08}-from-{}-{}", at.segment, at.offset, HEXLOWER.encode(&random::<4>()?));
    let copy = disk.create(&layout.torn().join(name)).trying(trying)?;
    let Some(segment) = Segment::open(layout, at.segment)? else { return Ok(0) };
    let mut tail = segment.stream(at.offset, len)?;
    let mut buffer = vec![0; segment::PIECE_BYTES];
    let mut done = 0;
    loop {
        let read = match tail.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).trying(trying),
        };
        disk.write_at(&copy, &buffer[..read], done).trying(trying)?;
        done += read as u64;
    }
    disk.sync(&copy).trying(trying)?;
    disk.sync_folder(&layout.torn()).trying(trying)?;
    disk.truncate(&file, at.offset).trying(trying)?;
    disk.sync(&file).trying(trying)?;
    Ok(len)
}
