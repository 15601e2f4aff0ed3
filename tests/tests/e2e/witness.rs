//! Witnesses.
use crate::world::Case;
/// Cases.
pub fn cases() -> Vec<Case> {
    Vec::new()
}
