//! Descriptors that hold and that do not, by our check and by the one in Python.

mod kit;

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use kit::{Making, PERIOD, Sample, Secret, inside, samples};
use proptest::prelude::*;
use vigie_onion::{CHECK_SCRIPT, Descriptor, DescriptorError, Onion, OnionError, Period};

fn judge(sample: &Sample) -> Result<vigie_onion::Proof, DescriptorError> {
    let at = Timestamp::from_second(sample.at).expect("a time");
    Descriptor::parse(&sample.text)?.check(&sample.onion, &sample.period, at)
}

#[test]
fn what_holds_and_what_does_not() {
    for sample in samples() {
        let judged = judge(&sample);
        assert_eq!(judged.is_ok(), sample.holds, "{}: {judged:?}", sample.what);
    }
}

/// The reason given is the one that was built in.
#[test]
fn each_link_has_its_own_word() {
    let found = |what: &str| judge(samples().iter().find(|sample| sample.what == what).expect("a sample"));
    use DescriptorError as E;
    assert_eq!(found("another onion"), Err(E::OtherKey));
    assert_eq!(found("another period"), Err(E::OtherKey));
    assert_eq!(found("another length of the period, at the same time"), Err(E::OtherKey));
    assert_eq!(found("a chain of its own, without the onion's key"), Err(E::OtherKey));
    assert_eq!(found("the right key named, signed by another"), Err(E::NotCertified));
    assert_eq!(found("signed by the key itself, not the blinded one"), Err(E::NotCertified));
    assert!(matches!(found("a certificate that expired"), Err(E::Expired { .. })));
    assert_eq!(found("a signature without the prefix"), Err(E::NotSigned));
    assert_eq!(found("another revision"), Err(E::NotSigned));
    assert_eq!(found("an address with a wrong checksum"), Err(E::Onion(OnionError::Checksum)));
    assert!(matches!(found("before the period"), Err(E::Time { .. })));
    assert!(matches!(found("long after the period"), Err(E::Time { .. })));
}

#[test]
fn a_proof_says_what_it_rests_on() {
    let good = Making::new(1);
    let text = good.make();
    let descriptor = Descriptor::parse(&text).expect("a descriptor");
    let at = Timestamp::from_second(inside(&PERIOD)).expect("a time");
    let proof = descriptor.check(&good.service.onion(), &PERIOD, at).expect("it holds");
    assert_eq!(proof.blinded_key, good.service.blinded(&PERIOD).public());
    assert_eq!((proof.revision, proof.lifetime_minutes), (42, 180));
    assert_eq!(proof.certified_until.as_second(), i64::from(good.expires_hours) * 3600);
    assert_eq!(descriptor.sha256().len(), 64);
}

fn python() -> Command {
    let mut python = Command::new("python3");
    python.arg("-B").arg("-I").arg("-");
    python
}

/// Asks the script; `None` when it neither says yes nor no.
fn script(folder: &Path, arguments: &[String]) -> Option<(bool, String)> {
    use std::io::Write;
    let mut command = python();
    command.args(arguments).current_dir(folder);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("python3 runs");
    child.stdin.take().expect("piped").write_all(CHECK_SCRIPT.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) if said.starts_with("HOLDS") => Some((true, said)),
        Some(1) if said.starts_with("DOES NOT HOLD: ") => Some((false, said)),
        _ => None,
    }
}

fn arguments(sample: &Sample) -> Vec<String> {
    let Period { number, length_minutes, offset_seconds } = sample.period;
    let at = Timestamp::from_second(sample.at).expect("a time").to_string();
    vec![
        "descriptor".into(),
        sample.onion.clone(),
        number.to_string(),
        length_minutes.to_string(),
        offset_seconds.to_string(),
        at,
    ]
}

/// Other code, in another language, comes to the same on each.
#[test]
fn python_says_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    for sample in samples() {
        std::fs::write(folder.path().join("descriptor"), &sample.text).expect("written");
        let (holds, said) = script(folder.path(), &arguments(&sample)).expect(sample.what);
        assert_eq!(holds, sample.holds, "{}: {said}", sample.what);
    }
    // An opened private part.
    let good = samples().remove(0);
    let blinded = data_encoding::HEXLOWER.encode(&judge(&good).expect("it holds").blinded_key);
    let sum = Descriptor::parse(&good.text).expect("a descriptor").sha256();
    let content = serde_json::json!({
        "onion": good.onion, "descriptor": data_encoding::BASE64.encode(&good.text), "sha256": sum,
        "period": {"number": PERIOD.number, "length_minutes": 1440, "offset_seconds": 43200},
        "blinded_key": blinded, "fetched": Timestamp::from_second(good.at).expect("a time").to_string(),
    });
    for (field, value, holds) in [
        ("format", "vigie.private/1".into(), true),
        ("sha256", "00".into(), false),
        ("blinded_key", "00".into(), false),
        ("period", 5.into(), false),
        ("fetched", "yesterday".into(), false),
        ("onion", serde_json::Value::Null, false),
    ] {
        let mut content = content.clone();
        content[field] = value;
        let part = serde_json::json!({"content": content}).to_string();
        std::fs::write(folder.path().join("part.json"), part).expect("written");
        let (found, said) = script(folder.path(), &["part.json".into()]).expect(field);
        assert_eq!(found, holds, "{field}: {said}");
    }
}

/// What C tor made on a private network.
#[test]
fn descriptors_of_c_tor_hold() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let facts = std::fs::read_to_string(data.join("ctor.json")).expect("facts");
    let facts: serde_json::Value = serde_json::from_str(&facts).expect("JSON");
    let number = |name: &str| facts["period"][name].as_u64().expect("a number");
    let sample = Sample {
        what: "of C tor",
        text: std::fs::read(data.join("ctor.descriptor")).expect("a descriptor"),
        onion: facts["onion"].as_str().expect("an address").into(),
        period: Period {
            number: number("number"),
            length_minutes: u32::try_from(number("length_minutes")).expect("minutes"),
            offset_seconds: u32::try_from(number("offset_seconds")).expect("seconds"),
        },
        at: facts["fetched"].as_str().expect("a time").parse::<Timestamp>().expect("a time").as_second(),
        holds: true,
    };
    let proof = judge(&sample).expect("it holds");
    assert_eq!(data_encoding::HEXLOWER.encode(&proof.blinded_key), facts["blinded_key"].as_str().expect("a key"));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("descriptor"), &sample.text).expect("written");
    assert!(script(folder.path(), &arguments(&sample)).expect("a verdict").0);
    let later = Period { number: sample.period.number + 1, ..sample.period };
    let at = later.range().expect("a period").start;
    assert_eq!(judge(&Sample { period: later, at, ..sample }), Err(DescriptorError::OtherKey));
}

#[test]
fn addresses() {
    let one = Secret::new(1).onion();
    assert_eq!(Onion::parse(&one).expect("an address").key(), &Secret::new(1).public());
    assert_eq!(format!("{:?}", Onion::parse(&one)), "Ok(Onion(…))", "no name where it is not asked for");
    assert_eq!(Onion::parse(&one.to_uppercase()), Err(OnionError::Form));
    assert_eq!(Onion::parse(one.trim_end_matches(".onion")), Err(OnionError::Form));
    assert_eq!(Onion::parse(&one[1..]), Err(OnionError::Form));
    // The neutral element, a point of order 8, and one that is mixed with it: checksums that hold.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
    let mixed = curve25519_dalek::edwards::CompressedEdwardsY(Secret::new(1).public()).decompress().expect("a point");
    for key in [neutral, torsion.compress().0, (mixed + torsion).compress().0, [0xff; 32]] {
        assert_eq!(Onion::parse(&Onion::address(&key)), Err(OnionError::Key));
    }
}

#[test]
fn periods_that_no_network_has() {
    for period in [
        Period { length_minutes: 0, ..PERIOD },
        Period { length_minutes: 14_401, ..PERIOD },
        Period { offset_seconds: 12 * 86_400 + 1, ..PERIOD },
        Period { number: u64::MAX, ..PERIOD },
        Period { number: u64::MAX / 86_400, ..PERIOD },
    ] {
        assert_eq!(period.range(), None, "{period:?}");
    }
    // 2016-04-13T12:00:00Z (rend-spec-v3, "Time periods": the example's period is 16903).
    let known = Period { number: 16_903, ..PERIOD };
    let at = |text: &str| text.parse::<Timestamp>().expect("a time").as_second();
    assert_eq!(known.range(), Some(at("2016-04-12T12:00:00Z")..at("2016-04-13T12:00:00Z")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Hostile bytes never do more than be refused.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Descriptor::parse(&bytes).is_err());
    }

    /// Any one changed byte of a good one is refused: by the reader, or by a signature.
    #[test]
    fn any_change(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let making = Making::new(1);
        let mut text = making.make();
        let at = at.index(text.len());
        prop_assume!(text[at] != to);
        text[at] = to;
        let time = Timestamp::from_second(inside(&PERIOD)).expect("a time");
        let judged = Descriptor::parse(&text).and_then(|read| read.check(&making.service.onion(), &PERIOD, time));
        prop_assert!(judged.is_err());
    }

    /// Cut, doubled, with lines put in: never a panic, never a proof.
    #[test]
    fn any_splice(from in any::<prop::sample::Index>(), length in 0usize..400, with in "[ -~\n]{0,40}") {
        let making = Making::new(1);
        let text = making.make();
        let from = from.index(text.len());
        let until = (from + length).min(text.len());
        let spliced = [&text[..from], with.as_bytes(), &text[until..]].concat();
        prop_assume!(spliced != text);
        let time = Timestamp::from_second(inside(&PERIOD)).expect("a time");
        let judged = Descriptor::parse(&spliced).and_then(|read| read.check(&making.service.onion(), &PERIOD, time));
        prop_assert!(judged.is_err());
    }

    /// Whatever the key and the period, what its holder signs holds, for that period alone.
    #[test]
    fn any_key(seed in any::<u8>(), number in 1u64..40_000, length in 1u32..14_400, offset in 0u32..1_000_000) {
        let period = Period { number, length_minutes: length, offset_seconds: offset };
        let making = Making::new(seed).in_period(period);
        let text = making.make();
        let read = Descriptor::parse(&text).expect("a descriptor");
        let time = Timestamp::from_second(period.range().expect("a period").start).expect("a time");
        prop_assert!(read.check(&making.service.onion(), &period, time).is_ok());
        let other = Period { number: number + 1, ..period };
        let time = Timestamp::from_second(other.range().expect("a period").start).expect("a time");
        prop_assert_eq!(read.check(&making.service.onion(), &other, time), Err(DescriptorError::OtherKey));
    }

    /// An address with any other character is another address, or none.
    #[test]
    fn any_address(at in 0usize..56, to in "[a-z2-7]") {
        let one = Secret::new(1).onion();
        prop_assume!(one[at..=at] != to);
        let other = format!("{}{to}{}", &one[..at], &one[at + 1..]);
        prop_assert!(Onion::parse(&other).is_err() || other != one);
        prop_assert!(Onion::parse(&other).map_or(true, |read| read.key() != &Secret::new(1).public()));
    }
}
