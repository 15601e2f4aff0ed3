//! Who can open what is recorded: age X25519 recipients, told apart from anything else.

use toml::Spanned;

use super::Recipients;
use super::document::RecipientsTable;
use super::values::{Checked, date};
use crate::document::Source;

/// Three different keys: case, escrow and, while it lasts, review.
pub(super) fn recipients(source: &Source<'_>, table: &RecipientsTable) -> Checked<Recipients> {
    let key = |text: &Spanned<String>| {
        if age_recipient(text.get_ref()) {
            Ok(text.get_ref().clone())
        } else {
            Err(source.at(text, "not an age X25519 recipient (age1…): make one with age-keygen"))
        }
    };
    let case = key(&table.case)?;
    let escrow = key(&table.escrow)?;
    if case == escrow {
        return Err(source.at(&table.escrow, "case and escrow are the same key: escrow must be another"));
    }
    let review = match &table.review {
        None => None,
        Some(review) => {
            let found = key(&review.key)?;
            if found == case || found == escrow {
                return Err(source.at(&review.key, "the review key must be a key of its own, so that it can end"));
            }
            Some((found, date(source, &review.until)?))
        }
    };
    Ok(Recipients { case, escrow, review })
}

/// Bech32 (BIP 173) with the prefix `age` over 32 bytes (age-encryption.org/v1).
fn age_recipient(text: &str) -> bool {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let Some(data) = text.strip_prefix("age1") else {
        return false;
    };
    let values: Option<Vec<u8>> =
        data.bytes().map(|b| ALPHABET.iter().position(|&a| a == b).and_then(|at| u8::try_from(at).ok())).collect();
    // 52 symbols of 5 bits carry 256 bits and 4 bits of padding, which are zero; 6 are checksum.
    let Some(values) = values.filter(|values| values.len() == 58 && values[51] & 0b1111 == 0) else {
        return false;
    };
    let expanded = b"age".iter().map(|b| b >> 5).chain([0]).chain(b"age".iter().map(|b| b & 31)).chain(values);
    let checksum = expanded.fold(1u32, |state, value| {
        const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
        let top = state >> 25;
        let next = ((state & 0x01ff_ffff) << 5) ^ u32::from(value);
        GENERATOR.iter().enumerate().fold(
            next,
            |next, (bit, generator)| {
                if top >> bit & 1 == 1 { next ^ generator } else { next }
            },
        )
    });
    checksum == 1
}
