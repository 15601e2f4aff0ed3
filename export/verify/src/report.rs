//! What was found, in words.

use serde::Serialize;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It holds.
    Green,
    /// It holds as far as can be seen here; the reader has something to compare or to weigh.
    Amber,
    /// It does not hold.
    Red,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name, the same in every version: `log.root`.
    pub name: &'static str,
    /// Weight.
    pub status: Status,
    /// One sentence.
    pub said: String,
}

/// All findings.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In the order in which they were made.
    pub findings: Vec<Finding>,
    /// What was not, or could not be, checked.
    pub not_checked: Vec<String>,
    /// Name of the bundle, as it says itself.
    pub bundle: Option<String>,
    /// Fingerprint of the head in it, hex.
    pub fingerprint: Option<String>,
}

/// Most faults of one name that are told one by one.
const TOLD: usize = 20;

impl Report {
    /// The worst of all.
    pub fn verdict(&self) -> Status {
        self.findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Red)
    }

    pub(crate) fn add(&mut self, name: &'static str, status: Status, said: impl Into<String>) {
        let told = self.findings.iter().filter(|one| one.name == name && one.status == status).count();
        if told > TOLD {
            return;
        }
        let said = if told == TOLD { "and more of this kind".to_owned() } else { plain(&said.into()) };
        self.findings.push(Finding { name, status, said });
    }

    pub(crate) fn green(&mut self, name: &'static str, said: impl Into<String>) {
        self.add(name, Status::Green, said);
    }

    pub(crate) fn amber(&mut self, name: &'static str, said: impl Into<String>) {
        self.add(name, Status::Amber, said);
    }

    pub(crate) fn red(&mut self, name: &'static str, said: impl Into<String>) {
        self.add(name, Status::Red, said);
    }

    /// Green when nothing of this name is red yet.
    pub(crate) fn holds(&mut self, name: &'static str, said: impl Into<String>) {
        if !self.findings.iter().any(|one| one.name == name && one.status == Status::Red) {
            self.green(name, said);
        }
    }

    pub(crate) fn limit(&mut self, said: impl Into<String>) {
        self.not_checked.push(plain(&said.into()));
    }

    pub(crate) fn limits(&mut self) {
        for said in [
            "the sealed layer was not opened: whoever has a recipient's key can hold it against the log's commitments (data/VERIFY.txt)",
            "custody, sessions and gaps are what the workstation says of entries of the log; the log binds number, time and kind of each, not these words",
            "no bundle shows that a site told the truth, nor that the workstation's clock was right beyond time stamps and consensus",
        ] {
            self.limit(said);
        }
    }
}

/// Words of a stranger's file must not steer a terminal.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() || ('\u{202a}'..='\u{2069}').contains(&c) { '\u{fffd}' } else { c };
    text.chars().take(600).map(shown).collect()
}
