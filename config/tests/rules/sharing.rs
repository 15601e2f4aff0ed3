//! What may be shared with whom, and what partners answer.

use proptest::prelude::*;
use ssh_key::PrivateKey;
use vigie_config::annotation::Annotation;
use vigie_config::mandate::MandateError;
use vigie_config::sharing::{Column, Format, NAMESPACE, SharingRefusal, Tlp, permit};

use crate::bench::{MANDATE, at, authority, key, now, public, sign, verify};

fn clause() -> String {
    format!(
        "producer = \"Customs, Göteborg\"\n\n[[sharing.with]]\npartner = \"fund\"\nname = \"Wildlife fund, 象牙\"\n\
         formats = [\"xlsx\", \"csv\"]\ntlp = \"amber\"\nsellers = \"token\"\nwithout = [\"price\"]\n\
         until = 2026-12-24\nannotation_key = \"{}\"\n",
        public(&key(40))
    )
}

fn mandate(clause: &str) -> Result<vigie_config::mandate::Mandate, MandateError> {
    verify(&format!("{MANDATE}{clause}"))
}

#[test]
fn a_clause_permits_what_it_names_and_no_more() {
    let mandate = mandate(&clause()).unwrap();
    assert_eq!(mandate.producer(), "Customs, Göteborg");
    let (terms, tlp) = permit(&mandate, "fund", Format::Xlsx, None, now()).unwrap();
    assert_eq!((terms.name(), tlp, terms.seller_tokens()), ("Wildlife fund, 象牙", Tlp::Amber, true));
    assert_eq!((terms.without(), terms.photos()), (&[Column::Price][..], false));
    let refused = |partner, format, tlp, when| permit(&mandate, partner, format, tlp, at(when)).unwrap_err().code();
    let then = "2026-11-24T12:00:00Z";
    assert_eq!(refused("Fund", Format::Xlsx, None, then), "not-a-partner");
    // The older list names partners and permits nothing.
    assert_eq!(refused("wildlife fund", Format::Xlsx, None, then), "not-a-partner");
    assert_eq!(refused("fund", Format::Misp, None, then), "sharing-format");
    assert_eq!(refused("fund", Format::Csv, Some(Tlp::Green), then), "sharing-tlp");
    assert_eq!(refused("fund", Format::Csv, None, "2026-12-25T00:00:00Z"), "sharing-ended");
    for (mark, name) in [(Tlp::Amber, "amber"), (Tlp::AmberStrict, "TLP:AMBER+STRICT"), (Tlp::Red, "Red")] {
        assert_eq!(Tlp::parse(name), Some(mark));
        assert_eq!(permit(&mandate, "fund", Format::Csv, Some(mark), at("2026-12-24T23:59:59Z")).unwrap().1, mark);
    }
    assert_eq!(Tlp::parse("white"), None, "of TLP 1.0");
}

#[test]
fn each_fault_of_a_clause_is_refused_with_its_line() {
    let faults = [
        ("partner = \"fund\"", "partner = \"the fund\"", "a partner's id has 1 to 64"),
        ("name = \"Wildlife", "name = \"\\u202eWildlife", "invisible"),
        ("[\"xlsx\", \"csv\"]", "[]", "formats must not be empty"),
        ("[\"xlsx\", \"csv\"]", "[\"xlsx\", \"pdf\"]", "unknown variant `pdf`"),
        ("[\"xlsx\", \"csv\"]", "[\"xlsx\", \"xlsx\"]", "names this twice"),
        ("tlp = \"amber\"", "tlp = \"white\"", "tlp must be"),
        ("sellers = \"token\"", "sellers = \"clear\"", "sellers must be"),
        ("without = [\"price\"]", "without = [\"seller\"]", "unknown variant `seller`"),
        ("without = [\"price\"]", "without = [\"id\"]", "without their id"),
        ("until = 2026-12-24", "until = 2026-12-24T00:00:00Z", "YYYY-MM-DD"),
        ("annotation_key = \"ssh", "annotation_key = \"xsh", "no OpenSSH public key"),
        ("sellers =", "seller =", "unknown field `seller`"),
    ];
    for (from, to, reason) in faults {
        let text = clause().replacen(from, to, 1);
        assert_ne!(text, clause(), "{from}");
        let Err(MandateError::Document(complaint)) = mandate(&text) else { panic!("{to} is taken") };
        assert!(complaint.reason.contains(reason), "{to}: {complaint}");
        let expected = format!("{MANDATE}{text}").lines().position(|line| line.contains(to)).unwrap() + 1;
        assert_eq!(complaint.line, expected, "{to}: {complaint}");
    }
    let twice = format!("{0}{1}", clause(), clause().split_once("\n\n").unwrap().1);
    let Err(MandateError::Document(complaint)) = mandate(&twice) else { panic!("two clauses of one partner") };
    assert!(complaint.reason.contains("two clauses"), "{complaint}");
}

fn answer() -> String {
    format!(
        "format = \"vigie.annotation/1\"\nshare = \"{id}\"\nsha256 = \"{hash}\"\npartner = \"fund\"\n\n[[rows]]\n\
         id = \"{id}\"\nvalidated = true\nconfidence = \"high\"\ntaxon = \"Loxodonta africana\"\nremark = \"Schreger lines\"\n",
        id = "6f0b6c9e-51f3-4d5e-9d55-0d1f2f7a6b11",
        hash = "ab".repeat(32)
    )
}

#[test]
fn an_answer_counts_by_the_partner_s_key_alone() {
    let mandate = mandate(&clause()).unwrap();
    let terms = mandate.terms("fund").unwrap();
    let text = answer();
    let check = |signer: PrivateKey, namespace, text: &str| {
        terms.check_annotation(text.as_bytes(), &sign(&signer, namespace, answer().as_bytes()), now())
    };
    check(key(40), NAMESPACE, &text).unwrap();
    let why =
        |result: Result<_, SharingRefusal>| result.map(|_: vigie_config::signers::Signer| ()).unwrap_err().to_string();
    assert!(why(check(authority(), NAMESPACE, &text)).contains("not the partner's key"));
    assert!(why(check(key(40), "vigie-mandate", &text)).contains("namespace"));
    assert!(why(check(key(40), NAMESPACE, &text.replace("high", "low"))).contains("altered"));
    let without = clause().lines().filter(|line| !line.starts_with("annotation")).collect::<Vec<_>>().join("\n");
    let mandate = self::mandate(&without).unwrap();
    let checked = mandate.terms("fund").unwrap().check_annotation(b"", b"", now());
    assert!(checked.unwrap_err().to_string().contains("names no key"));
}

#[test]
fn each_fault_of_an_answer_is_refused_with_its_line() {
    assert_eq!(Annotation::parse(answer().as_bytes()).unwrap().rows[0].remark.as_deref(), Some("Schreger lines"));
    let faults = [
        ("annotation/1", "annotation/2", "format must be"),
        ("share = \"6f0b", "share = \"6F0B", "expected an id"),
        ("sha256 = \"ab", "sha256 = \"AB", "64 lower-case"),
        ("partner = \"fund\"", "partner = \"a b\"", "a partner's id"),
        ("\"high\"", "\"sure\"", "unknown variant"),
        ("Schreger", "\\u001b[2J", "one line"),
        ("validated = true", "validated = \"yes\"", "expected a boolean"),
        ("remark", "note", "unknown field"),
    ];
    for (from, to, reason) in faults {
        let text = answer().replacen(from, to, 1);
        let complaint = Annotation::parse(text.as_bytes()).unwrap_err();
        assert!(complaint.reason.contains(reason), "{to}: {complaint}");
        assert_eq!(complaint.line, text.lines().position(|line| line.contains(to)).unwrap() + 1, "{to}");
    }
    let row = answer().split_once("\n\n").unwrap().1.to_owned();
    assert!(Annotation::parse(format!("{}{row}", answer()).as_bytes()).unwrap_err().reason.contains("twice"));
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Annotation::parse(&bytes);
    }

    #[test]
    fn an_answer_with_something_else_in_it_is_read_or_refused(at in 0usize..300, with in "\\PC{0,8}") {
        let mut text = answer();
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.insert_str(at, &with);
        if let Ok(annotation) = Annotation::parse(text.as_bytes()) {
            prop_assert_eq!(annotation.rows.len(), 1);
        }
    }
}
