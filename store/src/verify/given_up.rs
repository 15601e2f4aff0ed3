//! Entries that two persons accepted to be missing: what an entry of kind `restore-accepted` binds must
//! count, and the log must have gone on from where the paper says.

use super::Check;
use crate::files::read_small;

impl Check<'_> {
    /// Judges every such entry, at the end of the log.
    pub(super) fn given_up(&mut self) {
        let said = std::mem::take(&mut self.heads.given_up);
        let signers = read_small(&self.layout.allowed_signers()).unwrap_or_default();
        let Some(log) = self.heads.log.clone() else { return };
        for (entry, judged) in said.judge(self.layout, &log, &signers) {
            let (given_up, paper) = match judged {
                Ok(judged) => judged,
                Err(why) => {
                    self.report
                        .problem(Some(entry), format!("the loss of entries that it accepts does not count: {why}"));
                    continue;
                }
            };
            let root_at = |size: u64| self.heads.held.get(&size).copied();
            if root_at(paper.goes_on_from.size) != Some(paper.goes_on_from.root) {
                let size = paper.goes_on_from.size;
                self.report
                    .problem(Some(entry), format!("its paper names other {size} entries than those of this log"));
            } else if root_at(given_up.size) == Some(given_up.root) {
                self.report.problem(Some(entry), "it gives up a head that the log holds");
            } else {
                self.report.notes.push(given_up.to_string());
                self.report.given_up.push(given_up);
            }
        }
    }
}
