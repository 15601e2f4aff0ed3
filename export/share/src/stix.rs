//! A STIX 2.1 bundle (OASIS standard, 10 June 2021): who shares, the mark, a report, and each row as an object of a
//! type of its own, brought in by an extension definition (section 7.3).

use serde_json::{Map, Value, json};
use vigie_config::sharing::{Column, Tlp};

use crate::{Row, Share, ShareError, derived};

/// Our extension and type of object.
const EXTENSION: &str = "extension-definition--0c2a3dd1-1ec2-4d0a-8e6c-5f7f6cf7a1d4";
const TYPE: &str = "wildlife-offer";
/// OASIS' extension for TLP 2.0, and when its markings were made.
const TLP_EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";
const TLP_CREATED: &str = "2022-10-01T00:00:00.000Z";
/// `created` of what keeps its id from share to share: it must not change with a new version (section 3.6), and the
/// true one would tell when somebody worked.
const CREATED: &str = "2026-01-01T00:00:00.000Z";

/// Writes the bundle.
///
/// # Errors
/// [`ShareError::Json`], which sound rows never give.
pub fn write(share: &Share) -> Result<Vec<u8>, ShareError> {
    let now = share.created.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    let identity = format!("identity--{}", derived(b"producer", share.producer.as_bytes()));
    let marking = marking(share.tlp);
    let common = |kind: &str, id: String| {
        let mut object = Map::new();
        // Who shares and the extension stay as they are; a report is new each time.
        let (created, modified) = match kind {
            TYPE => (CREATED, now.as_str()),
            "report" => (now.as_str(), now.as_str()),
            _ => (CREATED, CREATED),
        };
        for (name, value) in [("type", kind), ("spec_version", "2.1"), ("created", created), ("modified", modified)] {
            object.insert(name.to_owned(), value.into());
        }
        object.insert("id".to_owned(), id.into());
        object.insert("object_marking_refs".to_owned(), json!([format!("marking-definition--{marking}")]));
        object
    };
    let with = |mut object: Map<String, Value>, more: Value| {
        if let Value::Object(more) = more {
            object.extend(more);
        }
        Value::Object(object)
    };
    let mut objects = vec![
        json!({
            "type": "marking-definition", "spec_version": "2.1", "id": format!("marking-definition--{marking}"),
            "created": TLP_CREATED, "name": share.tlp.to_string(),
            "extensions": {TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": share.tlp.name()}},
        }),
        with(
            common("identity", identity.clone()),
            json!({"name": share.producer, "identity_class": "organization", "sectors": ["government"]}),
        ),
        with(
            common("extension-definition", EXTENSION.to_owned()),
            json!({
                "created_by_ref": identity, "name": "Offers of wildlife observed online",
                "description": "Brings in objects of type wildlife-offer: one offer each, without persons", "version": "1.0.0",
                "schema": schema(), "extension_types": ["new-sdo"],
            }),
        ),
    ];
    let rows: Vec<Value> = share
        .rows
        .iter()
        .map(|row| with(common(TYPE, format!("{TYPE}--{}", row.id)), fields(row, &identity)))
        .collect();
    if !rows.is_empty() {
        let refs: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
        objects.push(with(
            common("report", format!("report--{}", derived(share.id.as_bytes(), b"report"))),
            json!({
                "created_by_ref": identity, "name": format!("{} offers observed online", rows.len()),
                "report_types": ["observed-data"], "published": now, "object_refs": refs,
            }),
        ));
    }
    objects.extend(rows);
    let bundle = json!({"type": "bundle", "id": format!("bundle--{}", share.id), "objects": objects});
    Ok(serde_json::to_vec_pretty(&bundle)?)
}

fn fields(row: &Row, identity: &str) -> Value {
    let mut object = Map::new();
    object.insert("created_by_ref".into(), identity.into());
    object.insert("extensions".into(), json!({EXTENSION: {"extension_type": "new-sdo"}}));
    for column in Column::ALL {
        let value = row.value(column);
        let value: Value = match column {
            Column::Id => continue,
            _ if value.is_empty() => continue,
            Column::FirstSeen | Column::LastSeen => format!("{value}T00:00:00.000Z").into(),
            Column::Validated => (value == "yes").into(),
            _ => value.into(),
        };
        object.insert(column.name().to_owned(), value);
    }
    Value::Object(object)
}

/// What the properties mean: the normative text that the standard asks for.
fn schema() -> String {
    let names: Vec<&str> =
        Column::ALL.iter().filter(|column| **column != Column::Id).map(|column| column.name()).collect();
    format!(
        "An object of type {TYPE} is an offer observed online, without persons. Properties, all optional: {}. first_seen \
         and last_seen are timestamps at the begin of their day (UTC); validated is a boolean; quantity and price are \
         decimal numbers as strings; eu_annex is A to D of Regulation (EC) 338/97; cites_appendix I to III; cites_term \
         and unit are codes of the CITES Trade Database, with NO for a number of specimens; countries are ISO 3166-1 \
         alpha-2; currency ISO 4217 or BTC, ETH, LTC, XMR; seller_token is one value for one seller and one recipient.",
        names.join(", ")
    )
}

/// OASIS' own identifiers of the TLP 2.0 markings.
fn marking(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "94868c89-83c2-464b-929b-a1a8aa3c8487",
        Tlp::Green => "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
        Tlp::Amber => "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
        Tlp::AmberStrict => "939a9414-2ddd-4d32-a0cd-375ea402b003",
        Tlp::Red => "e828b379-4e03-4974-9ac4-e53a884c97c1",
    }
}
