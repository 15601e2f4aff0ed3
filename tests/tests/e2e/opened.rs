//! What a recipient finds in a store: exhibits and private parts opened with the case's identity
//! by the age library, WARC records read by hand.

use std::io::Read;

use serde_json::Value;
use vigie_store::{Kind, Reader};

use crate::station::{Outcome, Station};

/// A store and an identity that opens what it sealed.
pub struct Opened {
    reader: Reader,
    identity: age::x25519::Identity,
}

/// A WARC record.
pub struct Record {
    fields: Vec<(String, String)>,
    /// Its block.
    pub block: Vec<u8>,
}

/// The records of an exhibit.
pub struct Exhibit {
    /// Its number.
    pub number: u64,
    /// In their order.
    pub records: Vec<Record>,
}

impl Station {
    /// The store as it lies on the disk now, for the holder of `keys/case.txt`.
    pub fn opened(&self) -> Outcome<Opened> {
        let text = std::fs::read_to_string(self.desk.path("keys/case.txt"))?;
        let line = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).ok_or("no identity")?;
        Ok(Opened { reader: Reader::open(&self.store())?, identity: line.parse()? })
    }

    /// Entries of a kind with what the workstation's key opens, oldest first.
    pub fn rows(&self, kind: &str) -> Outcome<Vec<Value>> {
        let log = self.json(&["log", "--rows", "--kind", kind])?;
        Ok(log.as_array().ok_or("the log is no list")?.iter().map(|entry| entry["row"].clone()).collect())
    }
}

impl Opened {
    /// Every exhibit, in order.
    pub fn exhibits(&self) -> Outcome<Vec<Exhibit>> {
        let entries: Result<Vec<_>, _> = self.reader.entries()?.collect();
        entries?.iter().filter_map(|entry| entry.exhibit).map(|number| self.exhibit(number)).collect()
    }

    /// One exhibit.
    pub fn exhibit(&self, number: u64) -> Outcome<Exhibit> {
        let (_, age) = self.reader.exhibit(number)?;
        let packed = self.open(age)?;
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut plain)?;
        Ok(Exhibit { number, records: records(&plain)? })
    }

    /// What is sealed for the recipients in each entry of a kind, oldest first.
    pub fn private(&self, kind: Kind) -> Outcome<Vec<Value>> {
        let mut found = Vec::new();
        for entry in self.reader.entries()? {
            let entry = entry?;
            if entry.kind != kind {
                continue;
            }
            let private: Value = match self.reader.private_part(entry.sequence)? {
                Some(sealed) => serde_json::from_slice(&self.open(&sealed[..])?)?,
                None => Value::Null,
            };
            found.push(private["content"].clone());
        }
        Ok(found)
    }

    fn open(&self, sealed: impl Read) -> Outcome<Vec<u8>> {
        let mut plain = Vec::new();
        let identity: &dyn age::Identity = &self.identity;
        age::Decryptor::new_buffered(std::io::BufReader::new(sealed))?
            .decrypt(std::iter::once(identity))?
            .read_to_end(&mut plain)?;
        Ok(plain)
    }
}

/// ISO 28500:2017 §4: a version line, fields, an empty line, the block, two empty lines.
fn records(bytes: &[u8]) -> Outcome<Vec<Record>> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").ok_or("a record head does not end")?;
        let head = std::str::from_utf8(&rest[..end])?;
        let mut lines = head.split("\r\n");
        if lines.next() != Some("WARC/1.1") {
            return Err(format!("no version line: {head}").into());
        }
        let fields = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect::<Option<Vec<_>>>()
            .ok_or("a field without colon")?;
        let mut record = Record { fields, block: Vec::new() };
        let length: usize = record.field("Content-Length").ok_or("no length")?.parse()?;
        let (block, after) = rest[end + 4..].split_at_checked(length).ok_or("a block ends early")?;
        record.block = block.to_vec();
        rest = after.strip_prefix(b"\r\n\r\n").ok_or("no end of record")?;
        records.push(record);
    }
    Ok(records)
}

impl Record {
    /// A field of its head.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// `WARC-Type`.
    pub fn kind(&self) -> &str {
        self.field("WARC-Type").unwrap_or_default()
    }

    /// Lines of its block (`application/warc-fields`).
    pub fn facts(&self) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(&self.block);
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Path of its address; empty when it has none.
    pub fn path(&self) -> String {
        let url = self.field("WARC-Target-URI").and_then(|url| url::Url::parse(url).ok());
        url.map(|url| url[url::Position::BeforePath..].to_owned()).unwrap_or_default()
    }
}

impl Exhibit {
    /// Records of a type.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.kind() == kind)
    }

    /// Path of the page's own address: that of the first response.
    pub fn path(&self) -> String {
        let first = self.records.iter().find(|record| matches!(record.kind(), "response" | "revisit"));
        first.map(Record::path).unwrap_or_default()
    }

    /// Facts of the page: the last metadata record.
    pub fn facts(&self) -> Vec<(String, String)> {
        self.of("metadata").last().map(Record::facts).unwrap_or_default()
    }
}
