//! Segments: append-only files of frames. Reading here trusts nothing that it has not checked.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::catalogue::Place;
use crate::entry::Entry;
use crate::error::{StoreError, Trying};
use crate::files::Layout;
use crate::frame::{FOOTER_BYTES, Footer, HEADER_BYTES, Header, Sum, Summer, digest};
use crate::local::Context;

/// Length of a segment's header in bytes.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 44;
const MAGIC: [u8; 8] = *b"vigieSG1";
/// Read at once when a frame is looked at: header and entry are mostly in it.
const LOOK_BYTES: usize = 2048;
/// Read at once where frames are small, and how small that is.
const WINDOW_BYTES: usize = 64 * 1024;
/// See [`WINDOW_BYTES`].
const SMALL_FRAME_BYTES: u64 = 16 * 1024;
/// Piece in which parts are streamed.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;

/// The file of a segment.
pub(crate) fn path(layout: &Layout, index: u64) -> PathBuf {
    layout.segments().join(format!("{index:08}.seg"))
}

/// A segment's header: magic, store id, index, sequence of its first frame, CRC32C.
pub(crate) fn header(layout: &Layout, index: u64, first: u64) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..24].copy_from_slice(&layout.facts.id);
    bytes[24..32].copy_from_slice(&index.to_be_bytes());
    bytes[32..40].copy_from_slice(&first.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[..40]);
    bytes[40..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Indexes of the segments that exist, ascending.
pub(crate) fn list(layout: &Layout) -> Result<Vec<u64>, StoreError> {
    let trying = || format!("listing {}", layout.segments().display());
    let mut found = Vec::new();
    for file in std::fs::read_dir(layout.segments()).trying(trying)? {
        let name = file.trying(trying)?.file_name();
        let index = name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|name| name.parse().ok());
        match index {
            Some(index) if path(layout, index).file_name() == Some(&name) => found.push(index),
            _ => return Err(StoreError::damaged("segments/ holds a file that is no segment")),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// An open segment.
pub(crate) struct Segment {
    pub index: u64,
    pub file: File,
    pub len: u64,
}

impl Segment {
    /// Opens a segment; `None` when it does not exist.
    pub fn open(layout: &Layout, index: u64) -> Result<Option<Self>, StoreError> {
        let path = path(layout, index);
        let trying = || format!("opening {}", path.display());
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.trying(trying)?,
        };
        let len = file.metadata().trying(trying)?.len();
        Ok(Some(Self { index, file, len }))
    }

    /// The header is the one that was written for a segment beginning with frame `first`.
    pub fn begins_with(&self, layout: &Layout, first: u64) -> Result<bool, StoreError> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        if self.len < SEGMENT_HEADER_BYTES {
            return Ok(false);
        }
        self.read(&mut bytes, 0)?;
        Ok(bytes == header(layout, self.index, first))
    }

    pub fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
        self.file.read_exact_at(bytes, offset).trying(|| format!("reading segment {} at {offset}", self.index))
    }

    /// The bytes `at..at + len`, as a stream.
    pub fn stream(&self, at: u64, len: u64) -> Result<PartReader, StoreError> {
        let file = self.file.try_clone().trying(|| format!("reading segment {}", self.index))?;
        Ok(PartReader { file, at, end: at + len })
    }
}

/// Part of a segment as a stream.
pub(crate) struct PartReader {
    file: File,
    at: u64,
    end: u64,
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..left], self.at)?;
        if read == 0 && left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        Ok(read)
    }
}

/// A frame whose header, entry and footer were read and agree.
pub(crate) struct Frame {
    pub place: Place,
    pub header: Header,
    pub header_bytes: [u8; HEADER_BYTES],
    pub entry: Entry,
    pub entry_bytes: Vec<u8>,
    pub footer: Footer,
    pub footer_bytes: [u8; FOOTER_BYTES],
}

/// Why bytes are not a frame.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Reading failed.
    Io(StoreError),
    /// The bytes end within the frame.
    Short,
    /// The bytes are not a frame that was written here.
    Broken(&'static str),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Io(error)
    }
}

impl Frame {
    /// Reads the frame at an offset, all but its three parts.
    pub fn read(segment: &Segment, offset: u64) -> Result<Self, Fault> {
        let left = segment.len.saturating_sub(offset);
        if left < HEADER_BYTES as u64 {
            return Err(Fault::Short);
        }
        let mut look = vec![0; LOOK_BYTES.min(left as usize)];
        segment.read(&mut look, offset)?;
        let mut header_bytes = [0; HEADER_BYTES];
        header_bytes.copy_from_slice(&look[..HEADER_BYTES]);
        let header = Header::parse(&header_bytes).ok_or(Fault::Broken("header"))?;
        if header.frame_len() > left {
            return Err(Fault::Short);
        }
        let entry_end = HEADER_BYTES + header.entry_len as usize;
        if look.len() < entry_end {
            look.resize(entry_end, 0);
            segment.read(&mut look[HEADER_BYTES..], offset + HEADER_BYTES as u64)?;
        }
        look.truncate(entry_end);
        let entry_bytes = look.split_off(HEADER_BYTES);
        let mut footer_bytes = [0; FOOTER_BYTES];
        segment.read(&mut footer_bytes, offset + header.footer_at())?;
        let footer = Footer::parse(&footer_bytes, &header_bytes, &entry_bytes).ok_or(Fault::Broken("footer"))?;
        let entry = Entry::parse(&entry_bytes).map_err(|_| Fault::Broken("entry"))?;
        let frame = Self {
            place: Place { segment: segment.index, offset },
            header,
            header_bytes,
            entry,
            entry_bytes,
            footer,
            footer_bytes,
        };
        frame.agrees().then_some(frame).ok_or(Fault::Broken("agreement of header, entry and footer"))
    }

    /// Header, entry and footer say the same.
    fn agrees(&self) -> bool {
        let says = |blob: &Option<crate::entry::Blob>, len: u64, sum: &Sum| match blob {
            Some(blob) => blob.len == len && blob.sha256 == sum.sha256 && len > 0,
            None => len == 0 && *sum == Sum::of(&[]),
        };
        self.entry.sequence == self.header.sequence
            && says(&self.entry.age, self.header.exhibit_len, &self.footer.exhibit)
            && says(&self.entry.private, self.header.private_len.into(), &self.footer.private)
    }

    /// Digest of the frame, which the next entry names.
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.header_bytes, &self.entry_bytes, &self.footer_bytes)
    }

    /// Where the next frame begins.
    pub fn end(&self) -> u64 {
        self.place.offset + self.header.frame_len()
    }

    pub fn exhibit(&self, segment: &Segment) -> Result<PartReader, StoreError> {
        segment.stream(self.place.offset + self.header.exhibit_at(), self.header.exhibit_len)
    }

    pub fn private(&self, segment: &Segment) -> Result<Vec<u8>, StoreError> {
        self.part(segment, self.header.private_at(), self.header.private_len)
    }

    pub fn local(&self, segment: &Segment) -> Result<Vec<u8>, StoreError> {
        self.part(segment, self.header.local_at(), self.header.local_len)
    }

    fn part(&self, segment: &Segment, at: u64, len: u32) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; len as usize];
        segment.read(&mut bytes, self.place.offset + at)?;
        Ok(bytes)
    }

    /// Whether the byte at this distance from the frame's first is zero.
    pub fn is_zero_at(&self, segment: &Segment, at: u64) -> Result<bool, StoreError> {
        let mut byte = [1];
        segment.read(&mut byte, self.place.offset + at)?;
        Ok(byte == [0])
    }

    /// Whether exhibit and private part are zeros throughout, as an erasure leaves them.
    pub fn is_erased(&self, segment: &Segment, buffer: &mut Vec<u8>) -> Result<bool, StoreError> {
        buffer.resize(PIECE_BYTES, 0);
        let (from, to) = (self.header.exhibit_at(), self.header.local_at());
        let mut stream = segment.stream(self.place.offset + from, to - from)?;
        loop {
            let read = stream.read(buffer).trying(|| format!("reading segment {}", segment.index))?;
            if read == 0 {
                return Ok(to > from);
            }
            if buffer[..read].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
    }

    /// Which parts do not hash to what the footer says; streams the exhibit once.
    pub fn damaged_parts(&self, segment: &Segment, buffer: &mut Vec<u8>) -> Result<Vec<&'static str>, StoreError> {
        buffer.resize(PIECE_BYTES, 0);
        let mut damaged = Vec::new();
        let mut summer = Summer::default();
        let mut stream = self.exhibit(segment)?;
        loop {
            let read = stream.read(buffer).trying(|| format!("reading segment {}", segment.index))?;
            if read == 0 {
                break;
            }
            summer.update(&buffer[..read]);
        }
        if summer.finish() != self.footer.exhibit {
            damaged.push("exhibit");
        }
        if Sum::of(&self.private(segment)?) != self.footer.private {
            damaged.push("private part");
        }
        if Sum::of(&self.local(segment)?) != self.footer.local {
            damaged.push("local part");
        }
        Ok(damaged)
    }

    /// What the local part is bound to.
    pub fn context(&self) -> Context<'_> {
        Context {
            header: &self.header_bytes,
            entry: &self.entry_bytes,
            exhibit: &self.footer.exhibit.sha256,
            private: &self.footer.private.sha256,
        }
    }
}

/// Goes from frame to frame and from segment to segment, checking that each follows the last.
pub(crate) struct Walker<'a> {
    layout: &'a Layout,
    pub segment: Option<Segment>,
    /// Where the next frame is expected.
    pub next: Place,
    /// Its sequence number.
    pub sequence: u64,
    /// Digest of the frame before it.
    pub previous: [u8; 32],
    /// Number of the last exhibit.
    pub exhibits: u64,
}

impl<'a> Walker<'a> {
    /// From the first frame.
    pub fn new(layout: &'a Layout) -> Self {
        Self::at(layout, Place { segment: 0, offset: 0 }, 0, [0; 32], 0)
    }

    /// From the frame `sequence` at a place; offset 0 stands for the segment's first.
    pub fn at(layout: &'a Layout, next: Place, sequence: u64, previous: [u8; 32], exhibits: u64) -> Self {
        Self { layout, segment: None, next, sequence, previous, exhibits }
    }

    /// The next frame; `None` at the end of the last segment. After a fault, the walker stands
    /// where the fault is.
    pub fn step(&mut self) -> Result<Option<Frame>, Fault> {
        if self.segment.is_none() {
            self.segment = Segment::open(self.layout, self.next.segment)?;
        }
        let segment = loop {
            let Some(segment) = &self.segment else { return Ok(None) };
            if self.next.offset == 0 {
                if !segment.begins_with(self.layout, self.sequence)? {
                    return Err(Fault::Broken("segment header"));
                }
                self.next.offset = SEGMENT_HEADER_BYTES;
            }
            if self.next.offset != segment.len {
                break segment;
            }
            // The end of this segment: the next one goes on, or nothing does.
            let Some(following) = Segment::open(self.layout, segment.index + 1)? else { return Ok(None) };
            if segment.len == SEGMENT_HEADER_BYTES {
                // Only the last segment may be without a frame: none is begun behind such a one.
                self.next.offset = 0;
                return Err(Fault::Broken("segment, which is empty although another follows it"));
            }
            self.next = Place { segment: following.index, offset: 0 };
            self.segment = Some(following);
        };
        let frame = Frame::read(segment, self.next.offset)?;
        if frame.entry.sequence != self.sequence {
            return Err(Fault::Broken("sequence number"));
        }
        if frame.entry.previous != self.previous {
            return Err(Fault::Broken("chain (it does not name the frame before it)"));
        }
        if frame.entry.exhibit.is_some_and(|number| number != self.exhibits + 1) {
            return Err(Fault::Broken("exhibit number"));
        }
        self.pass(&frame);
        Ok(Some(frame))
    }

    /// Stands behind a frame.
    pub fn pass(&mut self, frame: &Frame) {
        self.next = Place { segment: frame.place.segment, offset: frame.end() };
        self.sequence = frame.entry.sequence + 1;
        self.previous = frame.digest();
        self.exhibits = frame.entry.exhibit.unwrap_or(self.exhibits);
    }
}

/// A segment's frames by their headers alone: fast, and believed by nobody who has not read the frame.
pub(crate) struct Headers {
    /// Sequence number of its first frame, as its own header says.
    pub first: u64,
    /// Where each frame begins, and whether it has an exhibit.
    pub frames: Vec<(u64, bool)>,
    /// Why there are no more, unless the segment ends there.
    pub fault: Option<Fault>,
}

impl Headers {
    /// Reads those of one segment.
    ///
    /// # Errors
    /// The segment is not there, or its own header is not that of a segment of this store.
    pub fn read(layout: &Layout, index: u64) -> Result<Self, Fault> {
        let segment = Segment::open(layout, index)?.ok_or(Fault::Short)?;
        if segment.len < SEGMENT_HEADER_BYTES {
            return Err(Fault::Short);
        }
        let mut own = [0; SEGMENT_HEADER_BYTES as usize];
        segment.read(&mut own, 0)?;
        let mut first = [0; 8];
        first.copy_from_slice(&own[32..40]);
        let first = u64::from_be_bytes(first);
        if own != header(layout, index, first) {
            return Err(Fault::Broken("segment header"));
        }
        let mut headers = Self { first, frames: Vec::new(), fault: None };
        headers.fault = headers.frames(&segment).err();
        Ok(headers)
    }

    fn frames(&mut self, segment: &Segment) -> Result<(), Fault> {
        let mut offset = SEGMENT_HEADER_BYTES;
        // Bytes of the segment from `from` on: small frames are met many at once.
        let (mut window, mut from) = (Vec::new(), 0);
        let mut len = 0;
        while offset < segment.len {
            let left = segment.len - offset;
            if left < HEADER_BYTES as u64 {
                return Err(Fault::Short);
            }
            if offset + HEADER_BYTES as u64 > from + window.len() as u64 {
                let many = if len <= SMALL_FRAME_BYTES { WINDOW_BYTES } else { HEADER_BYTES };
                window.resize(many.min(usize::try_from(left).unwrap_or(many)), 0);
                segment.read(&mut window, offset)?;
                from = offset;
            }
            let at = usize::try_from(offset - from).unwrap_or_default();
            let mut bytes = [0; HEADER_BYTES];
            bytes.copy_from_slice(window.get(at..at + HEADER_BYTES).ok_or(Fault::Short)?);
            let header = Header::parse(&bytes).ok_or(Fault::Broken("header"))?;
            if header.frame_len() > left {
                return Err(Fault::Short);
            }
            if header.sequence != self.first + self.frames.len() as u64 {
                return Err(Fault::Broken("sequence number"));
            }
            self.frames.push((offset, header.exhibit_len > 0));
            len = header.frame_len();
            offset += len;
        }
        Ok(())
    }
}
