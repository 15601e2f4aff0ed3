//! The words of a one-page alert. The page itself is drawn by the report.

use serde::Serialize;
use vigie_config::sharing::Column;

use crate::Share;

/// Content of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Mark, to stand at head and foot of the page (TLP 2.0, section 3).
    pub tlp: String,
    /// Title.
    pub title: String,
    /// Day.
    pub date: String,
    /// For whom.
    pub partner: String,
    /// Name and value of each field that leaves, a list for each row.
    pub rows: Vec<Vec<(&'static str, String)>>,
}

impl Alert {
    /// Of a share's rows: every field that leaves, and no other.
    pub fn of(share: &Share) -> Self {
        let fields = |row: &crate::Row| {
            let named = Column::ALL.iter().map(|column| (column.name(), row.value(*column).to_owned()));
            named.filter(|(_, value)| !value.is_empty()).collect()
        };
        Self {
            tlp: share.tlp.to_string(),
            title: format!("{} offers observed online", share.rows.len()),
            date: share.created.strftime("%Y-%m-%d").to_string(),
            partner: share.partner.clone(),
            rows: share.rows.iter().map(fields).collect(),
        }
    }
}
