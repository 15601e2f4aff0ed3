//! Clocks that were set between two entries.

use super::VerifyReport;
use crate::clock::Stamp;
use crate::entry::Entry;
use crate::kind::Kind;

/// Most jumps told one by one.
const TOLD: u64 = 20;

/// Compares the clocks of each entry with those of the one before.
#[derive(Default)]
pub(super) struct Clocks {
    before: Option<Stamp>,
    jumps: u64,
}

impl Clocks {
    pub fn entry(&mut self, entry: &Entry, report: &mut VerifyReport) {
        let moved = self.before.as_ref().and_then(|before| before.jump_to(&entry.stamp));
        self.before = Some(entry.stamp.clone());
        let Some(moved) = moved else { return };
        self.jumps += 1;
        if self.jumps > TOLD {
            return;
        }
        let way = if moved < 0 { "back" } else { "forward" };
        let seconds = moved.unsigned_abs() as f64 / 1e9;
        let unsaid = if entry.kind == Kind::ClockJump { "" } else { ", which no entry says" };
        report
            .notes
            .push(format!("entry {}: the clock was set {way} by {seconds:.3} s before it{unsaid}", entry.sequence));
    }

    pub fn end(self, report: &mut VerifyReport) {
        if self.jumps > TOLD {
            report.notes.push(format!("the clock was set {} further times", self.jumps - TOLD));
        }
    }
}
