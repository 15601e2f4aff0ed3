//! A MISP event (MISP core format, draft-dulaunoy-misp-core-format): one object for each row.

use serde_json::{Value, json};
use vigie_config::sharing::{Column, Tlp};

use crate::{Row, Share, ShareError, derived};

/// Template of our object. MISP has none for offers of wildlife; a template that is not installed is shown as given.
const TEMPLATE: &str = "6f0b6c9e-51f3-4d5e-9d55-0d1f2f7a6b11";
/// Distribution of an event or attribute: that organisation alone, the community, all; or as what it belongs to.
const ORGANISATION: &str = "0";
/// See [`ORGANISATION`].
const COMMUNITY: &str = "1";
/// See [`ORGANISATION`].
const ALL: &str = "3";
/// See [`ORGANISATION`].
const INHERITED: &str = "5";

/// Writes the event.
///
/// # Errors
/// [`ShareError::Json`], which sound rows never give.
pub fn write(share: &Share) -> Result<Vec<u8>, ShareError> {
    let seconds = share.created.as_second().to_string();
    let objects: Vec<Value> = share.rows.iter().map(|row| object(share, row, &seconds)).collect();
    let event = json!({"Event": {
        "uuid": share.id.to_string(),
        "info": format!("{} offers observed online ({})", share.rows.len(), share.tlp),
        "date": share.created.strftime("%Y-%m-%d").to_string(),
        "timestamp": seconds,
        "threat_level_id": "4",
        "analysis": "1",
        "distribution": distribution(share.tlp),
        "published": false,
        "Orgc": {"name": share.producer, "uuid": derived(b"producer", share.producer.as_bytes()).to_string()},
        "Tag": [{"name": format!("tlp:{}", share.tlp.name())}],
        "Object": objects,
    }});
    Ok(serde_json::to_vec_pretty(&event)?)
}

/// The circle of the mark, as MISP hands events on by itself: whoever receives TLP:AMBER or stricter decides on each
/// further step, so MISP must take none.
fn distribution(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => ALL,
        Tlp::Green => COMMUNITY,
        Tlp::Amber | Tlp::AmberStrict | Tlp::Red => ORGANISATION,
    }
}

fn object(share: &Share, row: &Row, seconds: &str) -> Value {
    let attributes: Vec<Value> = Column::ALL
        .into_iter()
        .filter(|column| !row.value(*column).is_empty())
        .map(|column| attribute(row, column, seconds))
        .collect();
    json!({
        "uuid": row.id.to_string(),
        "name": "wildlife-offer",
        "meta-category": "misc",
        "description": "An offer observed online, without persons",
        "template_uuid": TEMPLATE,
        "template_version": "1",
        "timestamp": seconds,
        "distribution": INHERITED,
        "comment": share.tlp.to_string(),
        "Attribute": attributes,
    })
}

fn attribute(row: &Row, column: Column, seconds: &str) -> Value {
    let value = row.value(column);
    let (kind, value) = match column {
        Column::FirstSeen | Column::LastSeen => ("datetime", format!("{value}T00:00:00.000000+0000")),
        Column::Quantity | Column::Price => ("float", value.to_owned()),
        Column::Validated => ("boolean", if value == "yes" { "1" } else { "0" }.to_owned()),
        _ => ("text", value.to_owned()),
    };
    json!({
        "uuid": derived(row.id.as_bytes(), column.name().as_bytes()).to_string(),
        "object_relation": column.name(),
        "type": kind,
        "category": "Other",
        "value": value,
        "to_ids": false,
        // Only sellers are to be counted across rows; that two offers come from Belgium means nothing.
        "disable_correlation": column != Column::SellerToken,
        "distribution": INHERITED,
        "timestamp": seconds,
    })
}
