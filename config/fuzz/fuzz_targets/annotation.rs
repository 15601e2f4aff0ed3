//! The reader of partners' answers, on any bytes: what it takes has sound ids and says nothing that hides.
//!
//! ```text
//! cd config && CARGO_TARGET_DIR=../target/fuzz RUSTC_BOOTSTRAP=1 cargo fuzz run annotation
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigie_config::annotation::Annotation;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(annotation) = Annotation::parse(bytes) {
        assert!((1..=10_000).contains(&annotation.rows.len()));
        for row in &annotation.rows {
            assert_eq!(row.id.len(), 36);
            for text in [&row.taxon, &row.remark].into_iter().flatten() {
                assert!(!text.contains(char::is_control) && text.len() <= 500);
            }
        }
    }
});
