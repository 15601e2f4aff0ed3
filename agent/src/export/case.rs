//! The export as CASE/UCO says it (<https://caseontology.org>): an investigation, what was done to each exhibit,
//! and files with their digests, in JSON-LD.

use data_encoding::HEXUPPER;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::Order;
use super::pieces::Pieces;

/// A name that is the same for the same thing of the same export: a UUID whose random bits are of SHA-256 (RFC 9562
/// section 5.4; the CASE validator knows versions up to 5).
fn id(bundle: &str, what: &str, kind: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("vigie:{bundle}/{what}").as_bytes()).into();
    let uuid = Builder::from_random_bytes(digest.first_chunk().copied().unwrap_or_default()).into_uuid();
    format!("kb:{kind}-{uuid}")
}

fn typed(kind: &str, value: impl ToString) -> Value {
    json!({"@type": format!("xsd:{kind}"), "@value": value.to_string()})
}

/// A file of the export: `what` names it among its things.
fn file(bundle: &str, what: &str, name: &str, bytes: u64, mime: &str, sha256: &str) -> Value {
    let part = |part: &str| id(bundle, &format!("{what}/{part}"), part);
    json!({
        "@id": id(bundle, what, "file"),
        "@type": "uco-observable:ObservableObject",
        "uco-core:hasFacet": [
            {"@id": part("name"), "@type": "uco-observable:FileFacet", "uco-observable:fileName": name,
                "uco-observable:sizeInBytes": typed("integer", bytes)},
            {"@id": part("content"), "@type": "uco-observable:ContentDataFacet",
                "uco-observable:mimeType": mime,
                "uco-observable:sizeInBytes": typed("integer", bytes),
                "uco-observable:hash": [{"@id": part("hash"), "@type": "uco-types:Hash",
                    "uco-types:hashMethod": "SHA256",
                    "uco-types:hashValue": typed("hexBinary", sha256.to_ascii_uppercase())}]},
        ],
    })
}

/// The document. It holds what the inventory holds, under other names.
pub fn document(order: &Order<'_>, pieces: &Pieces, bundle: &str, created: Timestamp) -> Value {
    let time = |at: Timestamp| typed("dateTime", at.strftime("%Y-%m-%dT%H:%M:%S%.fZ"));
    let (case, tool) = (id(bundle, "case", "investigation"), id(bundle, "tool", "tool"));
    let mut graph = vec![json!({
        "@id": tool,
        "@type": "uco-tool:Tool",
        "uco-core:name": "vigie",
        "uco-tool:version": env!("CARGO_PKG_VERSION"),
    })];
    let mut objects = vec![json!({"@id": tool})];
    for number in order.plan.disclosed() {
        let exhibit = &order.plan.exhibits[&number];
        let Some(age) = &exhibit.entry.age else { continue };
        let (sealed, open, act) = (
            id(bundle, &format!("sealed/{number}"), "file"),
            id(bundle, &format!("open/{number}"), "file"),
            id(bundle, &format!("capture/{number}"), "action"),
        );
        graph.push(file(
            bundle,
            &format!("sealed/{number}"),
            &format!("exhibit-{number:06}.age"),
            age.len,
            "application/octet-stream",
            &HEXUPPER.encode(&age.sha256),
        ));
        let mut results = vec![json!({"@id": sealed})];
        objects.push(json!({"@id": sealed}));
        if let Some(one) = pieces.exhibits.get(&number) {
            let name = format!("exhibit-{number:06}.warc.gz");
            graph.push(file(bundle, &format!("open/{number}"), &name, one.bytes, "application/warc", &one.sha256));
            results.push(json!({"@id": open}));
            objects.push(json!({"@id": open}));
        }
        graph.push(json!({
            "@id": act,
            "@type": "case-investigation:InvestigativeAction",
            "uco-core:name": format!("Capture of exhibit {number}, entry {} of the log", exhibit.entry.sequence),
            "uco-core:description": format!("Leaf of the log: sha256:{}",
                data_encoding::HEXLOWER.encode(&exhibit.entry.leaf_hash())),
            "uco-action:startTime": time(exhibit.entry.stamp.wall),
            "uco-action:endTime": time(exhibit.entry.stamp.wall),
            "uco-action:instrument": [{"@id": tool}],
            "uco-action:result": results,
        }));
        objects.push(json!({"@id": act}));
    }
    graph.push(json!({
        "@id": case,
        "@type": "case-investigation:Investigation",
        "uco-core:name": format!("Case {}", order.plan.case),
        "uco-core:description": format!("Export {bundle}"),
        "uco-core:objectCreatedTime": time(created),
        "uco-core:object": objects,
    }));
    json!({
        "@context": {
            "kb": format!("urn:vigie:{bundle}:"),
            "case-investigation": "https://ontology.caseontology.org/case/investigation/",
            "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
            "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
            "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
            "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
            "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@graph": graph,
    })
}
