//! The readers of time stamps, certificates, requests and consensuses, on any bytes.
//!
//! ```text
//! cd store/time && mkdir -p fuzz/corpus/readers && (printf '\0'; cat tests/data/stamped.tsr) > fuzz/corpus/readers/stamp
//! CARGO_TARGET_DIR=../../target/fuzz RUSTC_BOOTSTRAP=1 cargo fuzz run readers
//! ```
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vigie_time::{Consensus, Request, Root, Stamp, pem_certificates, pem_encode};

const RESPONSE: &[u8] = include_bytes!("../../tests/data/stamped.tsr");

static ROOT: LazyLock<Root> =
    LazyLock::new(|| Root::parse(include_bytes!("../../tests/data/root.pem")).expect("a root"));
static REQUEST: LazyLock<Request> =
    LazyLock::new(|| Request::parse(include_bytes!("../../tests/data/stamped.tsq")).expect("a request"));
static STAMP: LazyLock<Stamp> =
    LazyLock::new(|| Stamp::check(RESPONSE, &REQUEST, std::slice::from_ref(&*ROOT), &[]).expect("a stamp"));

fuzz_target!(|data: &[u8]| {
    let Some((&how, bytes)) = data.split_first() else { return };
    match how % 4 {
        0 => stamp(bytes),
        1 => certificates(bytes),
        2 => {
            if let Ok(request) = Request::parse(bytes) {
                assert_eq!(request.encode(), bytes);
            }
        }
        _ => consensus(bytes),
    }
});

/// The authority's keys are gone: whatever is taken says what it signed once.
fn stamp(bytes: &[u8]) {
    let peeked = Stamp::dangerously_peek(bytes);
    if let Ok(stamp) = Stamp::check(bytes, &REQUEST, std::slice::from_ref(&*ROOT), &[]) {
        assert_eq!(stamp, *STAMP);
        assert_eq!(peeked, Some((REQUEST.sha256, Some(REQUEST.nonce))));
    }
}

/// Beside the good answer, as a root and as what stands between.
fn certificates(bytes: &[u8]) {
    if let Ok(root) = Root::parse(bytes) {
        let again = Root::parse(pem_encode([root.der()]).as_bytes());
        assert_eq!(again.as_ref(), Ok(&root));
        if let Ok(stamp) = Stamp::check(RESPONSE, &REQUEST, std::slice::from_ref(&root), &[]) {
            assert_eq!(stamp.time, STAMP.time);
        }
    }
    let others = pem_certificates(bytes).unwrap_or_else(|| vec![bytes.to_vec()]);
    if let Ok(stamp) = Stamp::check(RESPONSE, &REQUEST, std::slice::from_ref(&*ROOT), &others) {
        assert_eq!(stamp, *STAMP);
    }
}

/// Nobody signed any of it.
fn consensus(bytes: &[u8]) {
    if let Ok(read) = Consensus::parse(bytes) {
        let text = String::from_utf8_lossy(bytes);
        let identities: Vec<String> = read.signatures.iter().map(|signature| signature.identity.clone()).collect();
        assert!(read.check(&[&text], &identities).is_err());
    }
}
