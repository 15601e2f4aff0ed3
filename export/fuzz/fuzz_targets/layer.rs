//! Any bytes as the block of a response, a request or facts: the open layer is a sound WARC file in which no listed
//! value is found.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use vigie_export::layer::{Layer, gather};
use vigie_export::{ExportError, Kind, Reading, Secrets};
use vigie_warc::records::Record;
use vigie_warc::{WarcReader, WarcWriter, check};

struct Plain;

impl Reading for Plain {
    fn decoded(&self, codings: &str, _: Option<&str>, _: Vec<u8>) -> Result<Vec<u8>, String> {
        Err(format!("the coding {codings} is not known"))
    }

    fn text(&self, _: &str, _: Option<&str>, _: &[u8]) -> (String, String) {
        (String::new(), String::new())
    }
}

const KINDS: [(&str, &str); 4] = [
    ("response", "application/http;msgtype=response"),
    ("request", "application/http;msgtype=request"),
    ("metadata", "application/warc-fields"),
    ("resource", "image/png"),
];

fuzz_target!(|data: &[u8]| {
    let Some((&kind, block)) = data.split_first() else { return };
    let (kind, content_type) = KINDS[usize::from(kind) % KINDS.len()];
    let fields = [("WARC-Target-URI", "http://x.onion/u/blue-heron".to_owned())];
    let record = Record {
        kind,
        record_id: "<urn:uuid:00000000-0000-4000-8000-000000000001>",
        date: jiff::Timestamp::UNIX_EPOCH,
        content_type,
        fields: &fields,
    };
    let mut source = WarcWriter::new(Vec::new());
    source.record(&record, &mut &block[..], block.len() as u64, Sha256::digest(block).into()).unwrap();
    let source = source.into_inner();
    let mut secrets = Secrets::new([7; 32]);
    secrets.add(Kind::Pseudonym, "blue-heron").unwrap();
    gather(&source[..], |kind, value| secrets.add(kind, value).unwrap_or_default()).unwrap();
    secrets.prepare();
    let original = |_: u64, _: &str| Ok::<_, ExportError>(None);
    let mut out = Vec::new();
    let layer = Layer { secrets: &secrets, reading: &Plain, original: &original };
    layer.write(1, "1.warc.gz", &source[..], &mut out).unwrap();
    assert!(check(&out[..]).unwrap().iter().all(|record| record.findings.is_empty()));
    let mut reader = WarcReader::new(&out[..]);
    while let Some((head, block)) = reader
        .next(|head, block| {
            let mut bytes = Vec::new();
            block.read_to_end(&mut bytes)?;
            Ok((head.clone(), bytes))
        })
        .unwrap()
    {
        let text = String::from_utf8_lossy(&block).to_lowercase();
        assert!(!text.contains("blue-heron"), "{text}");
        assert!(head.fields.iter().all(|(_, value)| !value.contains("blue-heron")));
    }
});
