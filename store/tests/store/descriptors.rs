//! Signed descriptors beside exhibits: what holds, what was forged, and which exhibits they belong to.

use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vigie_onion::Period;
use vigie_store::{Commitment, Draft, Kind, Private, Store};

use crate::kit::{Kit, draft};
use crate::onion::{Making, Secret};

/// The clock of the tests stands in this one.
const PERIOD: Period = Period { number: 20_717, length_minutes: 1_440, offset_seconds: 43_200 };
/// When the kit's clock begins, in seconds.
const NOW: i64 = 1_790_000_000;

/// The content of a good entry.
fn content(text: &[u8], period: &Period) -> Value {
    let at = |second| Timestamp::from_second(second).expect("a time").to_string();
    let service = Secret::new(1);
    json!({
        "what": "kept", "target": "market-a", "onion": service.onion(),
        "descriptor": BASE64.encode(text), "sha256": HEXLOWER.encode(&Sha256::digest(text)),
        "period": {"number": period.number, "length_minutes": period.length_minutes,
            "offset_seconds": period.offset_seconds},
        "blinded_key": HEXLOWER.encode(&service.blinded(period).public()),
        "fetched": at(NOW), "consensus_valid_after": at(NOW - 1_800),
    })
}

fn entry(kit: &Kit, content: &Value) -> Draft {
    let text = |name: &str| content[name].as_str().unwrap_or_default().to_owned();
    Draft {
        private: Some(Private { recipients: kit.recipients(), json: content.to_string().into_bytes() }),
        commitments: vec![
            Commitment { name: "onion", value: text("onion").into_bytes() },
            Commitment { name: "descriptor", value: HEXLOWER.decode(text("sha256").as_bytes()).unwrap_or_default() },
        ],
        ..draft(Kind::Descriptor)
    }
}

/// An exhibit of a page of the service, in a session.
fn page(kit: &Kit, store: &Store, host: &str, session: u8) -> Draft {
    let json = json!({"url": format!("http://{host}/offer/1")}).to_string().into_bytes();
    Draft {
        private: Some(Private { recipients: kit.recipients(), json }),
        session: Some([session; 16]),
        ..kit.exhibit(store, 1)
    }
}

fn without_url(draft: Draft) -> Draft {
    Draft { commitments: Vec::new(), ..draft }
}

#[test]
fn exhibits_and_the_descriptor_beside_them() {
    let kit = Kit::new();
    let store = kit.open();
    let (own, other) = (Secret::new(1).onion(), Secret::new(2).onion());
    let good = Making::new(1).in_period(PERIOD).make();
    for draft in [
        without_url(page(&kit, &store, &own, 0xCD)),
        entry(&kit, &content(&good, &PERIOD)),
        without_url(page(&kit, &store, &own, 0xCD)),
        // Another service, another session, the clear web.
        without_url(page(&kit, &store, &other, 0xCD)),
        without_url(page(&kit, &store, &own, 0xCE)),
        without_url(page(&kit, &store, "shop.example", 0xCD)),
        entry(&kit, &json!({"what": "missing", "onion": other, "kind": "timeout", "sha256": ""})),
    ] {
        store.append(draft).expect("appends");
    }
    drop(store);
    let report = kit.sound();
    let [kept] = &report.descriptors[..] else { panic!("one: {:?}", report.descriptors) };
    assert_eq!((kept.entry, kept.onion.as_str(), kept.target.as_str()), (2, own.as_str(), "market-a"));
    assert_eq!(kept.exhibits, [1, 2], "those of the same service in the same session");
    assert_eq!(kept.session, "cd".repeat(16));
    assert_eq!(
        (kept.from.to_string(), kept.until.to_string()),
        ("2026-09-21T12:00:00Z".into(), "2026-09-22T12:00:00Z".into())
    );
    let note = "2 exhibits of onion services have no signed descriptor beside them (1 entries say why)";
    assert!(report.notes.iter().any(|said| said == note), "{:?}", report.notes);
    // Nobody is told anything who cannot look.
    assert!(kit.verify_with(true, false).descriptors.is_empty());
}

/// Everything that does not hold is a problem of its entry.
#[test]
fn what_was_forged_or_does_not_fit() {
    let good = Making::new(1).in_period(PERIOD).make();
    let made = |change: &dyn Fn(&mut Making)| {
        let mut making = Making::new(1).in_period(PERIOD);
        change(&mut making);
        content(&making.make(), &PERIOD)
    };
    let changed = |name: &str, value: Value| {
        let mut content = content(&good, &PERIOD);
        content[name] = value;
        content
    };
    let next = Period { number: PERIOD.number + 1, ..PERIOD };
    let before = |days| Period { number: PERIOD.number - days, ..PERIOD };
    let earlier = |days| content(&Making::new(1).in_period(before(days)).make(), &before(days));
    let cases = [
        ("a chain of its own", made(&|m| m.service = Secret::new(2)), "another key"),
        ("signed by another", made(&|m| m.certifier = Some(Secret::new(3))), "did not sign its certificate"),
        ("another onion", changed("onion", Secret::new(2).onion().into()), "another key"),
        ("another period", content(&good, &next), "not within its time period"),
        ("a genuine one of the day before", earlier(1), "not the one of the consensus"),
        ("a genuine one of two days before", earlier(2), "not within its time period"),
        ("another digest", changed("sha256", "00".repeat(32).into()), "not the one that was committed to"),
        ("another key", changed("blinded_key", "00".repeat(32).into()), "another key"),
        ("fetched before", changed("fetched", "2026-09-21T13:00:00Z".into()), "does not fit the entry's time"),
        ("fetched after", changed("fetched", "2026-09-21T15:00:00Z".into()), "does not fit the entry's time"),
        (
            "another consensus",
            changed("consensus_valid_after", "2026-09-21T11:00:00Z".into()),
            "not the one of the consensus",
        ),
        (
            "a consensus of later",
            changed("consensus_valid_after", "2026-09-21T14:30:00Z".into()),
            "not the one of the consensus",
        ),
        ("no period", changed("period", Value::Null), "no time period"),
        ("no descriptor", changed("descriptor", "".into()), "can be read"),
        ("no what", changed("descriptor", 5.into()), "can be read"),
    ];
    let kit = Kit::new();
    let store = kit.open();
    for (_, content, _) in &cases {
        store.append(entry(&kit, content)).expect("appends");
    }
    // The good text, committed to as another.
    let content = content(&good, &PERIOD);
    let mut swapped = entry(&kit, &content);
    swapped.commitments[0].value = Secret::new(2).onion().into_bytes();
    store.append(swapped).expect("appends");
    drop(store);
    let report = kit.verify();
    assert!(report.descriptors.is_empty());
    for (place, (what, _, words)) in cases.iter().enumerate() {
        let entry = place as u64 + 1;
        let found: Vec<_> = report.problems.iter().filter(|problem| problem.entry == Some(entry)).collect();
        assert!(found.len() == 1 && found[0].what.contains(words), "{what}: {found:?}");
    }
    let last = report.problems.last().expect("a problem");
    assert!(last.what.contains("of another service"), "{last}");
    assert_eq!(report.problems.len(), cases.len() + 1);
}
