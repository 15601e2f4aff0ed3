//! Messages on a stream socket: a length in bytes (four, little-endian), then the message in
//! postcard's format (<https://postcard.jamesmunns.com/wire-format>).
//!
//! The reader takes bytes as they come and never believes a length: what it sets aside grows with
//! what has arrived, and a length beyond the receiver's limit ends the conversation.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

/// Why a message was not made or not understood. After this nothing further on the same socket
/// can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is longer than the receiver allows.
    #[error("a message is longer than {0} bytes")]
    TooLong(usize),
    /// Its bytes are no such message, or more than one.
    #[error("a message is not what it should be")]
    Malformed,
}

/// Length of the length.
const PREFIX: usize = 4;

/// A message as it goes over the socket.
pub fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    encode_within(message, limit, 0)
}

/// As [`encode`], in one piece of memory as long as the message has at most `capacity` bytes: whoever wipes
/// what comes out has wiped it all.
pub fn encode_within<T: Serialize>(message: &T, limit: usize, capacity: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::with_capacity(PREFIX + capacity);
    bytes.resize(PREFIX, 0);
    let mut bytes = postcard::to_extend(message, bytes).map_err(|_| FrameError::Malformed)?;
    let length = bytes.len() - PREFIX;
    match u32::try_from(length) {
        Ok(prefix) if length <= limit => bytes[..PREFIX].copy_from_slice(&prefix.to_le_bytes()),
        _ => return Err(FrameError::TooLong(limit)),
    }
    Ok(bytes)
}

/// Bytes that came and the messages in them.
pub struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
    limit: usize,
    wipes: bool,
}

impl Inbox {
    /// An empty one that takes messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), taken: 0, limit, wipes: false }
    }

    /// As [`Self::new`]; what was taken is overwritten. For conversations in which secrets cross.
    pub fn wiping(limit: usize) -> Self {
        // Room for the largest secret, so that it is not left behind where the memory grew from.
        Self { bytes: Vec::with_capacity(crate::limits::CLIENT_KEYS_BYTES), taken: 0, limit, wipes: true }
    }

    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message; `None` when more bytes are needed.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let rest = &self.bytes[self.taken..];
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_le_bytes(*prefix) as usize;
        if length > self.limit {
            return Err(FrameError::TooLong(self.limit));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let (message, surplus) = postcard::take_from_bytes(body).map_err(|_| FrameError::Malformed)?;
        if !surplus.is_empty() {
            return Err(FrameError::Malformed);
        }
        let end = self.taken + PREFIX + length;
        if self.wipes {
            self.bytes[self.taken..end].zeroize();
        }
        self.taken = end;
        Ok(Some(message))
    }

    /// Nothing of a message has come yet.
    pub fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_length_is_not_believed() {
        let mut inbox = Inbox::new(1000);
        inbox.push(&1001u32.to_le_bytes());
        assert_eq!(inbox.take::<String>(), Err(FrameError::TooLong(1000)));
        let mut inbox = Inbox::new(usize::MAX);
        inbox.push(&u32::MAX.to_le_bytes());
        assert_eq!(inbox.take::<String>(), Ok(None));
        assert!(inbox.bytes.capacity() < 100);
        assert_eq!(encode(&"1234567890", 10), Err(FrameError::TooLong(10)));
    }

    #[test]
    fn what_was_taken_is_overwritten_where_secrets_cross() {
        for (mut inbox, wiped) in [(Inbox::wiping(100), true), (Inbox::new(100), false)] {
            inbox.push(&encode(&"canary", 100).unwrap());
            assert_eq!(inbox.take::<String>(), Ok(Some("canary".to_owned())));
            assert_eq!(inbox.bytes.iter().all(|byte| *byte == 0), wiped);
        }
        let bytes = encode_within(&"canary", 100, 100).unwrap();
        assert_eq!(bytes.capacity(), 104);
        assert_eq!(bytes, encode(&"canary", 100).unwrap());
    }

    #[test]
    fn nothing_may_follow_a_message_in_its_frame() {
        let mut bytes = encode(&7u8, 10).unwrap();
        bytes[0] += 1;
        bytes.push(0);
        let mut inbox = Inbox::new(10);
        inbox.push(&bytes);
        assert_eq!(inbox.take::<u8>(), Err(FrameError::Malformed));
    }

    proptest! {
        /// However the bytes are cut, the same messages come out, in order.
        #[test]
        fn cuts_do_not_matter(messages in proptest::collection::vec(".{0,40}", 0..12), cuts in proptest::collection::vec(1usize..50, 1..40)) {
            let bytes: Vec<u8> = messages.iter().flat_map(|m| encode(m, 1000).unwrap()).collect();
            let mut inbox = Inbox::new(1000);
            let (mut out, mut rest, mut turn) = (Vec::<String>::new(), &bytes[..], 0);
            while !rest.is_empty() {
                let cut = cuts[turn % cuts.len()].min(rest.len());
                turn += 1;
                inbox.push(&rest[..cut]);
                rest = &rest[cut..];
                while let Some(message) = inbox.take().unwrap() {
                    out.push(message);
                }
            }
            prop_assert!(inbox.is_empty());
            prop_assert_eq!(out, messages);
        }

        /// Hostile bytes give an error or nothing, and never more memory than came.
        #[test]
        fn hostile_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut inbox = Inbox::new(500);
            inbox.push(&bytes);
            while let Ok(Some(_)) = inbox.take::<crate::control::FromNet>() {}
            let mut inbox = Inbox::new(500);
            inbox.push(&bytes);
            while let Ok(Some(_)) = inbox.take::<crate::control::FromWorker<crate::control::FromParse>>() {}
            let mut inbox = Inbox::new(500);
            inbox.push(&bytes);
            while let Ok(Some(_)) = inbox.take::<crate::control::FromWorker<crate::control::FromDraw>>() {}
        }
    }
}
