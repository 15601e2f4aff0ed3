//! Whether every act in the log was done by somebody whom its mandate names. The store checks that
//! signatures hold; who may sign is written in the mandates, which lie in the log as well.

use std::collections::HashMap;

use serde::Deserialize;
use vigie_config::mandate::{Mandate, SignedMandate};
use vigie_config::signers::AllowedSigners;
use vigie_store::{Kind, Reader};

use crate::act;
use crate::error::Problem;
use crate::rows::{MandateRow, SignedAct};

/// Any row with an act.
#[derive(Deserialize)]
struct Row {
    act: SignedAct,
}

/// Entries whose act is not what it must be, and why; needs a reader with the workstation's key.
pub fn acts(reader: &Reader) -> Result<Vec<(u64, String)>, Problem> {
    let signers = AllowedSigners::parse(&reader.allowed_signers()?)
        .map_err(|e| Problem::unsound(format!("reading the store's allowed signers: {e}")))?;
    let mut faults = Vec::new();
    let mut mandates: HashMap<[u8; 32], Mandate> = HashMap::new();
    for (entry, row) in reader.rows(Kind::MandateImported)? {
        let mandate = serde_json::from_slice::<MandateRow>(&row).map_err(|e| e.to_string()).and_then(|row| {
            SignedMandate::new(row.document.into_bytes(), row.signature.into_bytes())
                .verify_at_any_time(&signers)
                .map_err(|e| e.to_string())
        });
        match mandate {
            Ok(mandate) => {
                mandates.insert(mandate.digest().0, mandate);
            }
            Err(why) => faults.push((entry, format!("its mandate does not hold: {why}"))),
        }
    }
    for kind in Kind::all().filter(|kind| kind.is_signed_act()) {
        for (sequence, row) in reader.rows(kind)? {
            let entry = reader.entry(sequence)?;
            let Ok(Row { act }) = serde_json::from_slice(&row) else {
                faults.push((sequence, "its row holds no signed act".to_owned()));
                continue;
            };
            let mandate = entry.mandate.and_then(|digest| mandates.get(&digest));
            faults
                .extend(act::faults(&entry, reader.origin(), mandate, &act).into_iter().map(|fault| (sequence, fault)));
        }
    }
    faults.sort();
    Ok(faults)
}
