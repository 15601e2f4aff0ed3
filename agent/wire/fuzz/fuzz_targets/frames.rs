//! What *record* hears from a process that was taken over, cut anywhere.
//!
//! ```text
//! cd agent/wire && CARGO_TARGET_DIR=../../target/fuzz RUSTC_BOOTSTRAP=1 cargo fuzz run frames
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigie_wire::control::{FromDraw, FromNet, FromParse, FromWorker, ToNet, ToParse, ToWorker};
use vigie_wire::draw::ToDrawPage;
use vigie_wire::frame::{Inbox, encode};

const LIMIT: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((&how, bytes)) = data.split_first() else { return };
    let cut = usize::from(how >> 2).min(bytes.len());
    match how % 6 {
        0 => talk::<FromNet>(bytes, cut, |message| _ = message.check()),
        1 => talk::<FromWorker<FromParse>>(bytes, cut, done(FromParse::check)),
        2 => talk::<ToNet>(bytes, cut, |_| ()),
        3 => talk::<FromWorker<FromDraw>>(bytes, cut, done(FromDraw::check)),
        4 => talk::<ToWorker<ToDrawPage>>(bytes, cut, |_| ()),
        _ => talk::<ToWorker<ToParse>>(bytes, cut, |_| ()),
    }
});

fn done<A, E>(check: fn(&A) -> Result<(), E>) -> impl Fn(&FromWorker<A>) {
    move |message| {
        if let FromWorker::Done(answer) = message {
            let _ = check(answer);
        }
    }
}

/// However the bytes are cut, the same messages come out; what is understood can be said again.
fn talk<T: serde::de::DeserializeOwned + serde::Serialize>(bytes: &[u8], cut: usize, heard: impl Fn(&T)) {
    let whole = hear::<T>(&[bytes]);
    let pieces = hear::<T>(&[&bytes[..cut], &bytes[cut..]]);
    assert_eq!(whole.len(), pieces.len());
    for message in &whole {
        heard(message);
        let again = encode(message, usize::MAX).expect("what was heard can be said");
        assert!(hear::<T>(&[&again]).len() <= 1);
    }
}

fn hear<T: serde::de::DeserializeOwned>(pieces: &[&[u8]]) -> Vec<T> {
    let (mut inbox, mut messages) = (Inbox::new(LIMIT), Vec::new());
    for piece in pieces {
        inbox.push(piece);
        while let Ok(Some(message)) = inbox.take() {
            messages.push(message);
        }
    }
    messages
}
