//! What a witness knows of one log.

use data_encoding::BASE64;
use vigie_log::checkpoint::Verifier;
use vigie_log::tree::{Hash, Tree};

/// A log that the witness trusts, and the head of it that it cosigned last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The log's key; its name is the log's origin.
    pub key: Verifier,
    /// Entries that were cosigned; 0 when none were.
    pub size: u64,
    /// Root at that size.
    pub root: Hash,
    /// When, in seconds since the Epoch; 0 for never.
    pub time: u64,
}

impl LogState {
    pub(crate) fn new(key: Verifier) -> Self {
        Self { key, size: 0, root: Tree::default().root(), time: 0 }
    }

    pub(crate) fn encode(&self) -> String {
        format!(
            "vigie.witness-log/1\nkey {}\nsize {}\nroot {}\ntime {}\n",
            self.key,
            self.size,
            BASE64.encode(&self.root),
            self.time
        )
    }

    /// Reads a state in its one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n').skip(1);
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let state = Self {
            key: Verifier::parse(value("key")?)?,
            size: value("size")?.parse().ok()?,
            root: BASE64.decode(value("root")?.as_bytes()).ok()?.try_into().ok()?,
            time: value("time")?.parse().ok()?,
        };
        (state.encode() == text).then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "\\PC{0,80}", lines in proptest::collection::vec("(key|size|root|time) [A-Za-z0-9+/=]{0,60}", 0..6)) {
            prop_assert_eq!(LogState::parse(&text), None);
            prop_assert_eq!(LogState::parse(&format!("vigie.witness-log/1\n{}\n", lines.join("\n"))), None);
        }
    }

    #[test]
    fn a_state_has_one_spelling() {
        let key = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let mut state = LogState::new(Verifier::parse(key).expect("a key"));
        assert_eq!(LogState::parse(&state.encode()), Some(state.clone()));
        (state.size, state.root, state.time) = (12, [7; 32], 1_790_000_000);
        let text = state.encode();
        assert_eq!(LogState::parse(&text), Some(state));
        for bad in [
            text.replace("size 12", "size 012"),
            text.replace("log/1", "log/2"),
            text.replace("033de0ae", "033de0af"),
            text.replace("root Bw", "root Cw="),
            format!("{text}\n"),
            text.trim_end().to_owned(),
            text[..30].to_owned(),
            String::new(),
        ] {
            assert_eq!(LogState::parse(&bad), None, "{bad}");
        }
    }
}
