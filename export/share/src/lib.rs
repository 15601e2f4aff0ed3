//! What leaves for partners: rows without persons, and the forms that their tools read. Pure: values in,
//! bytes out; no file, no clock, no store. What of a finding leaves, and why not, is decided in one place
//! ([`row`]), before any writer sees it.

pub mod alert;
pub mod codes;
pub mod csv;
pub mod misp;
pub mod offer;
pub mod row;
pub mod stix;
pub mod xlsx;

use jiff::Timestamp;
use vigie_config::sharing::{Format, Tlp};

pub use row::{Policy, Preview, Row};

/// A share: its rows, and what stands above them.
#[derive(Clone, Debug)]
pub struct Share {
    /// Random-looking id of the share, a UUID; the same rows given again have another.
    pub id: uuid::Uuid,
    /// Who shares, as the mandate lets them be called.
    pub producer: String,
    /// To whom.
    pub partner: String,
    /// Mark.
    pub tlp: Tlp,
    /// When; by the day, since an hour tells when somebody worked.
    pub created: Timestamp,
    /// Rows, in the order of their ids.
    pub rows: Vec<Row>,
}

/// Why a share cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The spreadsheet.
    #[error("writing the spreadsheet: {0}")]
    Xlsx(#[from] rust_xlsxwriter::XlsxError),
    /// The JSON document.
    #[error("writing JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Written elsewhere.
    #[error("the form {0} is not a table of findings")]
    NotATable(&'static str),
}

/// Writes a share. The same share gives the same bytes.
///
/// # Errors
/// [`ShareError`]; of sound rows only for [`Format::Alert`], which the report draws.
pub fn write(share: &Share, format: Format) -> Result<Vec<u8>, ShareError> {
    match format {
        Format::Csv => Ok(csv::write(share)),
        Format::Xlsx => xlsx::write(share),
        Format::Misp => misp::write(share),
        Format::Stix => stix::write(share),
        Format::Alert => Err(ShareError::NotATable(Format::Alert.name())),
    }
}

/// A UUID made of what it names: version 4 by its form, its bits a digest.
fn derived(of: &[u8], name: &[u8]) -> uuid::Uuid {
    use sha2::{Digest, Sha256};
    let digest =
        Sha256::new().chain_update((of.len() as u64).to_be_bytes()).chain_update(of).chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows for a partner.
    pub(crate) fn share(tlp: Tlp) -> Share {
        let policy = row::tests::policy("fund", true, &[]);
        Share {
            id: derived(b"share", b"1"),
            producer: "Customs, Göteborg".into(),
            partner: "Wildlife fund".into(),
            tlp,
            created: "2026-11-24T20:00:00Z".parse().unwrap(),
            rows: (1..4).map(|entry| policy.row(&row::tests::finding(entry))).collect(),
        }
    }

    #[test]
    fn every_form_is_the_same_again_and_the_mark_stands_in_it() {
        for tlp in Tlp::ALL {
            for format in [Format::Csv, Format::Misp, Format::Stix] {
                let bytes = write(&share(tlp), format).unwrap();
                assert_eq!(bytes, write(&share(tlp), format).unwrap());
                assert!(String::from_utf8(bytes).unwrap().contains(&tlp.to_string()), "{format:?}");
            }
            assert!(write(&share(tlp), Format::Alert).is_err());
            assert_eq!(alert::Alert::of(&share(tlp)).rows.len(), 3);
        }
    }

    #[test]
    fn ids_differ_by_name_and_by_what_they_are_of() {
        assert_ne!(derived(b"a", b"bc"), derived(b"ab", b"c"));
        assert_ne!(derived(b"a", b"b"), derived(b"a", b"c"));
    }
}
