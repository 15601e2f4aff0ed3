//! The export as CASE/UCO says it (<https://caseontology.org>): an investigation, what was done to each exhibit,
//! and files with their digests, in JSON-LD.

use data_encoding::HEXUPPER;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Order;
use super::pieces::Pieces;

/// A name that is the same for the same thing of the same export (RFC 9562 section 5.8, from SHA-256).
fn id(bundle: &str, what: &str, kind: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("vigie:{bundle}/{what}").as_bytes()).into();
    let uuid = Uuid::new_v8(digest.first_chunk().copied().unwrap_or_default());
    format!("kb:{kind}-{uuid}")
}

fn typed(kind: &str, value: impl ToString) -> Value {
    json!({"@type": format!("xsd:{kind}"), "@value": value.to_string()})
}

fn file(id: &str, name: &str, bytes: u64, mime: &str, sha256: &str) -> Value {
    json!({
        "@id": id,
        "@type": "uco-observable:ObservableObject",
        "uco-core:hasFacet": [
            {"@id": format!("{id}-file"), "@type": "uco-observable:FileFacet", "uco-observable:fileName": name,
                "uco-observable:sizeInBytes": typed("integer", bytes)},
            {"@id": format!("{id}-content"), "@type": "uco-observable:ContentDataFacet",
                "uco-observable:mimeType": mime,
                "uco-observable:sizeInBytes": typed("integer", bytes),
                "uco-observable:hash": [{"@id": format!("{id}-hash"), "@type": "uco-types:Hash",
                    "uco-types:hashMethod": {"@type": "uco-vocabulary:HashNameVocab", "@value": "SHA256"},
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
            &sealed,
            &format!("exhibit-{number:06}.age"),
            age.len,
            "application/octet-stream",
            &HEXUPPER.encode(&age.sha256),
        ));
        let mut results = vec![json!({"@id": sealed})];
        objects.push(json!({"@id": sealed}));
        if let Some(one) = pieces.exhibits.get(&number) {
            let name = format!("exhibit-{number:06}.warc.gz");
            graph.push(file(&open, &name, one.bytes, "application/warc", &one.sha256));
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
            "uco-vocabulary": "https://ontology.unifiedcyberontology.org/uco/vocabulary/",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@graph": graph,
    })
}
