//! What goes into an export, and everything else that the case holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vigie_config::mandate::Mandate;
use vigie_store::{Entry, Kind, Reader, Store, WorkstationKey};

use crate::error::Problem;
use crate::retention;
use crate::rows::ExhibitRow;

/// Most numbers that a choice may name.
const MOST: usize = 1_000_000;

/// Whether an exhibit goes in, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// In it.
    Disclosed,
    /// Not asked for.
    NotChosen,
    /// Its bytes are gone, under two signatures.
    Erased,
}

/// An exhibit of the case.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// Number.
    pub number: u64,
    /// Its entry.
    pub entry: Entry,
    /// Its row.
    pub row: ExhibitRow,
    /// Whether it goes in.
    pub shown: Shown,
}

/// What goes in.
pub struct Plan {
    /// Case.
    pub case: String,
    /// Its mandates, oldest first.
    pub mandates: Vec<Mandate>,
    /// All its exhibits, by number.
    pub exhibits: BTreeMap<u64, Exhibit>,
    /// A second person has to sign.
    pub two_persons: bool,
}

impl Plan {
    /// Numbers of the exhibits that go in.
    pub fn disclosed(&self) -> impl Iterator<Item = u64> + '_ {
        self.exhibits.values().filter(|exhibit| exhibit.shown == Shown::Disclosed).map(|exhibit| exhibit.number)
    }

    /// Bytes of their sealed form.
    pub fn sealed_bytes(&self) -> u64 {
        let disclosed = self.exhibits.values().filter(|exhibit| exhibit.shown == Shown::Disclosed);
        disclosed.filter_map(|exhibit| exhibit.entry.age.as_ref().map(|age| age.len)).sum()
    }

    /// Whether the entry is of one of the case's mandates.
    pub fn holds(&self, entry: &Entry) -> bool {
        entry.mandate.is_some_and(|digest| self.mandates.iter().any(|mandate| mandate.digest().0 == digest))
    }
}

/// Which exhibits are asked for: `all`, or numbers and ranges (`1,4-9`).
///
/// # Errors
/// What is neither.
pub fn choice(text: &str) -> Result<Option<BTreeSet<u64>>, Problem> {
    if text == "all" {
        return Ok(None);
    }
    let mut chosen = BTreeSet::new();
    for part in text.split(',') {
        let wrong = || Problem::input(format!("`{part}` is no exhibit: write numbers and ranges like 1,4-9, or all"));
        let number = |text: &str| text.trim().parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(wrong);
        let (from, to) = match part.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(part)?, number(part)?),
        };
        if to < from || (to - from) as usize >= MOST {
            return Err(wrong());
        }
        chosen.extend(from..=to);
        if chosen.len() > MOST {
            return Err(wrong());
        }
    }
    Ok(Some(chosen))
}

/// Numbers as ranges: `1,4-9`.
pub fn ranges(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let text = |(from, to): &(u64, u64)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Holds what is asked for against the store.
///
/// # Errors
/// A case that is not there; an exhibit that does not exist, is of another case, or was erased.
pub fn plan(
    store: &Store,
    reader: &Reader,
    key: &WorkstationKey,
    case: &str,
    chosen: Option<&BTreeSet<u64>>,
) -> Result<Plan, Problem> {
    let cases = retention::cases(store)?;
    let known = cases.keys().cloned().collect::<Vec<_>>().join(", ");
    let Some((_, found)) = cases.into_iter().find(|(name, _)| name == case) else {
        return Err(Problem::input(format!("this store has no case {case}: it has {known}")));
    };
    let mut exhibits = BTreeMap::new();
    let mut elsewhere = BTreeSet::new();
    let digests: BTreeMap<[u8; 32], &Mandate> = found.mandates.iter().map(|one| (one.digest().0, one)).collect();
    for entry in reader.entries()? {
        let entry = entry?;
        let (Some(number), Kind::Exhibit) = (entry.exhibit, entry.kind) else { continue };
        let Some(digest) = entry.mandate.filter(|digest| digests.contains_key(digest)) else {
            elsewhere.insert(number);
            continue;
        };
        let row = serde_json::from_slice(&reader.row(entry.sequence, key)?).map_err(|e| {
            Problem::unsound(format!("the row of entry {} cannot be read ({e}): run vigie verify", entry.sequence))
        })?;
        let shown = if found.erased.contains(&digest) {
            Shown::Erased
        } else if chosen.is_none_or(|chosen| chosen.contains(&number)) {
            Shown::Disclosed
        } else {
            Shown::NotChosen
        };
        exhibits.insert(number, Exhibit { number, entry, row, shown });
    }
    for number in chosen.into_iter().flatten() {
        match exhibits.get(number).map(|exhibit| exhibit.shown) {
            Some(Shown::Erased) => {
                return Err(Problem::input(format!(
                    "exhibit {number} was erased: vigie custody {number} says when and by whom; leave it out"
                )));
            }
            Some(_) => {}
            None if elsewhere.contains(number) => {
                return Err(Problem::input(format!("exhibit {number} belongs to another case: leave it out")));
            }
            None => return Err(Problem::input(format!("there is no exhibit {number}: see vigie exhibits"))),
        }
    }
    let two_persons = found.mandates.iter().any(Mandate::two_person_release);
    Ok(Plan { case: case.to_owned(), mandates: found.mandates, exhibits, two_persons })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn choices_are_numbers_and_ranges() {
        assert_eq!(choice("all").unwrap(), None);
        assert_eq!(choice("3,1-2, 9").unwrap().unwrap().into_iter().collect::<Vec<_>>(), [1, 2, 3, 9]);
        for wrong in ["", "0", "2-1", "a", "1,", "1-", "-3", "1-99999999999", "99999999999999999999"] {
            assert!(choice(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn ranges_and_choices_are_inverse(numbers in prop::collection::btree_set(1u64..500, 1..60)) {
            let text = ranges(&numbers.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(choice(&text).unwrap().unwrap(), numbers);
        }

        #[test]
        fn any_text_is_a_choice_or_refused(text in "[0-9,\\- a]{0,20}") {
            let _ = choice(&text);
        }
    }
}
