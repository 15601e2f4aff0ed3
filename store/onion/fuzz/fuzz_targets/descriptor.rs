//! The reader and the judge of descriptors, on any bytes.
//!
//! ```text
//! cd store/onion && mkdir -p fuzz/corpus/descriptor && cp tests/data/ctor.descriptor fuzz/corpus/descriptor/
//! CARGO_TARGET_DIR=../../target/fuzz RUSTC_BOOTSTRAP=1 cargo fuzz run descriptor
//! ```
#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vigie_onion::{Descriptor, Period};

const GENUINE: &[u8] = include_bytes!("../../tests/data/ctor.descriptor");

static FACTS: LazyLock<(String, Period, Timestamp)> = LazyLock::new(|| {
    let facts: Value = serde_json::from_str(include_str!("../../tests/data/ctor.json")).expect("JSON");
    let number = |name: &str| facts["period"][name].as_u64().expect("a number");
    let period = Period {
        number: number("number"),
        length_minutes: number("length_minutes") as u32,
        offset_seconds: number("offset_seconds") as u32,
    };
    let text = |name: &str| facts[name].as_str().expect("text");
    let found = (text("onion").to_owned(), period, text("fetched").parse().expect("a time"));
    let judged = Descriptor::parse(GENUINE).and_then(|read| read.check(&found.0, &found.1, found.2));
    assert!(judged.is_ok(), "the genuine one holds");
    found
});

fuzz_target!(|data: &[u8]| {
    let (onion, period, at) = &*FACTS;
    let Ok(descriptor) = Descriptor::parse(data) else { return };
    // Nobody here has the key: only the genuine text may hold.
    assert!(descriptor.check(onion, period, *at).is_err() || data == GENUINE);
});
