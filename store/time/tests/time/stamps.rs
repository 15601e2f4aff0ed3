use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use vigie_time::{Request, Root, Stamp, StampError};

use crate::kit::{Authority, GOOD_USAGE, OTHER_POLICY, POLICY, Reply, wrap};

const FILE: &[u8] = b"vigie.example/desk-1\n7\nroot\n";

fn request() -> Request {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("random bytes");
    Request::over(FILE, random, None).expect("a request")
}

/// Vigie's verdict, after comparing it with that of openssl at the stamp's time.
#[track_caller]
fn judged(authority: &Authority, response: &[u8], request: &Request, root: &str) -> Result<Stamp, StampError> {
    let verdict = Stamp::check(response, request, &authority.roots(&[root]), &[]);
    if let Ok(stamp) = &verdict {
        authority.write("chain.pem", vigie_time::pem_encode(stamp.chain.iter().map(Vec::as_slice)).as_bytes());
        let path = authority.path("chain.pem");
        assert!(
            authority.openssl_takes(response, request, root, &path, stamp.time.as_second()),
            "openssl does not take what Vigie takes"
        );
    }
    verdict
}

/// A stamp of long ago, as an archive keeps it; `openssl` is not needed for it.
#[test]
fn a_kept_stamp_still_holds() {
    let root = Root::parse(include_bytes!("../data/root.pem")).expect("a root");
    let request = Request::parse(include_bytes!("../data/stamped.tsq")).expect("a request as openssl makes it");
    let head = include_bytes!("../data/stamped.checkpoint");
    assert_eq!(request, Request { sha256: Sha256::digest(head).into(), nonce: 0x4f2b_84ba_ac2a_22ed, policy: None });
    let response = include_bytes!("../data/stamped.tsr");
    let stamp = Stamp::check(response, &request, &[root], &[]).expect("holds");
    assert_eq!((stamp.time.to_string().as_str(), stamp.serial.as_str()), ("2026-11-24T11:12:31.918Z", "02"));
}

#[test]
fn a_good_stamp_says_when_by_whom_and_under_what() {
    let authority = Authority::new();
    let request = request();
    let before = Timestamp::now() - SignedDuration::from_secs(1);
    let response = authority.reply(&request, &Reply::default());
    let stamp = judged(&authority, &response, &request, "root").expect("it is good");
    assert!(stamp.time >= before && stamp.time <= Timestamp::now(), "{}", stamp.time);
    assert_eq!(stamp.accuracy.map(|accuracy| accuracy.micros), Some(1_500_100));
    assert_eq!((stamp.policy.as_str(), stamp.serial.as_str()), (POLICY, "02"));
    assert_eq!((stamp.authority.as_str(), stamp.root.as_str()), ("CN=tsa,O=Tests,C=BE", "CN=root,O=Tests"));
    assert_eq!(stamp.chain, authority.der("tsa"));
    assert_eq!(stamp.root_sha256, authority.roots(&["root"])[0].sha256());
    assert_eq!(Stamp::dangerously_peek(&response), Some((request.sha256, Some(request.nonce))));
}

#[test]
fn keys_digests_and_fractions_that_authorities_use() {
    let authority = Authority::new();
    authority.root("ec-root", "P-384");
    for (key, root) in [("P-256", "ec-root"), ("P-384", "root"), ("P-521", "ec-root"), ("rsa:3072", "ec-root")] {
        let name = format!("tsa-{}", key.replace(':', "-"));
        authority.certificate(&name, key, root, GOOD_USAGE);
        for digest in ["sha256", "sha384", "sha512"] {
            let request = request();
            let how = Reply { signer: &name, digest, binding: digest, precision: 3, ..Reply::default() };
            let response = authority.reply(&request, &how);
            let stamp = judged(&authority, &response, &request, root);
            let stamp = stamp.unwrap_or_else(|e| panic!("{key} {digest}: {e}"));
            assert!(stamp.time.subsec_nanosecond() % 1_000_000 == 0, "{}", stamp.time);
        }
    }
    let request = request();
    let good = authority.reply(&request, &Reply::default());
    let pss = authority.forge(
        &good,
        "tsa",
        &["-cades", "-md", "sha256", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:32"],
    );
    // `openssl ts` reads tokens as PKCS #7, which knows no PSS: it is no judge of this one.
    Stamp::check(&pss, &request, &authority.roots(&["root"]), &[]).expect("PSS");
}

#[test]
fn an_intermediate_authority_stands_between() {
    let authority = Authority::new();
    authority.certificate(
        "middle",
        "P-256",
        "root",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n",
    );
    authority.certificate("deep", "rsa:2048", "middle", GOOD_USAGE);
    let request = request();
    let without = authority.reply(&request, &Reply { signer: "deep", ..Reply::default() });
    let refused = judged(&authority, &without, &request, "root");
    assert!(matches!(refused, Err(StampError::Chain(_))), "{refused:?}");
    let stamp = Stamp::check(&without, &request, &authority.roots(&["root"]), &authority.der("middle")).expect("given");
    assert_eq!(stamp.chain, [authority.der("deep"), authority.der("middle")].concat());
    let whole = authority.reply(&request, &Reply { signer: "deep", chain: Some("middle"), ..Reply::default() });
    assert_eq!(judged(&authority, &whole, &request, "root").expect("within").chain, stamp.chain);
    // What stands between but may not issue.
    for (name, extensions) in [
        ("no-signer", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n"),
        ("no-authority", "basicConstraints=critical,CA:FALSE\n"),
    ] {
        authority.certificate(name, "P-256", "root", extensions);
        authority.certificate("below", "P-256", name, GOOD_USAGE);
        let response = authority.reply(&request, &Reply { signer: "below", chain: Some(name), ..Reply::default() });
        let refused = judged(&authority, &response, &request, "root");
        assert!(matches!(refused, Err(StampError::Chain(_))), "{name}: {refused:?}");
    }
}

#[test]
fn what_does_not_answer_the_request_is_refused() {
    let authority = Authority::new();
    let asked = request();
    let response = authority.reply(&asked, &Reply::default());
    let roots = authority.roots(&["root"]);
    let check = |request: &Request| Stamp::check(&response, request, &roots, &[]);
    let another_nonce = Request { nonce: asked.nonce ^ 1, ..asked.clone() };
    assert_eq!(check(&another_nonce), Err(StampError::Nonce));
    let another_file = Request { sha256: [7; 32], ..asked.clone() };
    assert_eq!(check(&another_file), Err(StampError::Imprint));
    let another_policy = Request { policy: Some(OTHER_POLICY.into()), ..asked.clone() };
    assert_eq!(check(&another_policy), Err(StampError::Policy(POLICY.into())));
    let granted = authority.reply(&another_policy, &Reply::default());
    assert_eq!(judged(&authority, &granted, &another_policy, "root").expect("as asked").policy, OTHER_POLICY);
    // An authority says no to what it does not do.
    let unknown = Request { policy: Some("1.2.3.4.99".into()), ..asked.clone() };
    let denied = authority.reply(&unknown, &Reply::default());
    let refused = Stamp::check(&denied, &unknown, &roots, &[]);
    assert!(matches!(&refused, Err(StampError::NotGranted { status: 2, words }) if !words.is_empty()), "{refused:?}");
    // A token for a SHA-1 imprint of the same file.
    authority.write("file", FILE);
    let sha1 = std::process::Command::new("openssl")
        .args(["ts", "-query", "-data", "file", "-sha1", "-cert", "-out", "q1.tsq"])
        .current_dir(authority.dir.path())
        .output()
        .expect("openssl runs");
    assert!(sha1.status.success());
    assert!(Request::parse(&authority.read("q1.tsq")).is_err(), "no request of ours");
}

#[test]
fn certificates_that_may_not_stamp_are_refused() {
    let authority = Authority::new();
    let request = request();
    let good = authority.reply(&request, &Reply::default());
    let now = Timestamp::now();
    let hours = SignedDuration::from_hours;
    let day = (now - hours(1), now + hours(24));
    let cases = [
        ("no-usage", "keyUsage=critical,digitalSignature\n", day),
        ("not-critical", "keyUsage=critical,digitalSignature\nextendedKeyUsage=timeStamping\n", day),
        ("another", "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,codeSigning\n", day),
        ("two", "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping,codeSigning\n", day),
        ("any", "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,anyExtendedKeyUsage\n", day),
        ("key-usage", "keyUsage=critical,digitalSignature,keyAgreement\nextendedKeyUsage=critical,timeStamping\n", day),
        ("authority", "basicConstraints=critical,CA:TRUE\nextendedKeyUsage=critical,timeStamping\n", day),
        ("expired", GOOD_USAGE, (now - hours(48), now - hours(24))),
        ("not-yet", GOOD_USAGE, (now + hours(24), now + hours(48))),
    ];
    for (name, extensions, dates) in cases {
        authority.certificate_until(name, "P-256", "root", extensions, dates);
        let response = authority.forge(&good, name, &["-cades", "-md", "sha256"]);
        let refused = judged(&authority, &response, &request, "root");
        assert!(matches!(refused, Err(StampError::Certificate(_) | StampError::Chain(_))), "{name}: {refused:?}");
    }
    // The way of making them is not what is refused.
    let response = authority.forge(&good, "tsa", &["-cades", "-md", "sha256"]);
    judged(&authority, &response, &request, "root").expect("the same by a good certificate");
    // Short keys, old digests.
    authority.certificate("short", "rsa:1024", "root", GOOD_USAGE);
    let response = authority.forge(&good, "short", &["-cades", "-md", "sha256"]);
    let refused = judged(&authority, &response, &request, "root");
    assert!(matches!(refused, Err(StampError::Signature(_))), "{refused:?}");
    let response = authority.forge(&good, "tsa", &["-cades", "-md", "sha1"]);
    let refused = judged(&authority, &response, &request, "root");
    assert!(matches!(refused, Err(StampError::Signature(_))), "{refused:?}");
    authority.key_and_old_certificate();
    let response = authority.forge(&good, "old", &["-cades", "-md", "sha256"]);
    let refused = judged(&authority, &response, &request, "root");
    assert!(matches!(refused, Err(StampError::Chain(_))), "{refused:?}");
}

impl Authority {
    /// A certificate that its root signed over SHA-1.
    fn key_and_old_certificate(&self) {
        let now = Timestamp::now();
        let day = (now - SignedDuration::from_hours(1), now + SignedDuration::from_hours(24));
        self.certificate("old", "P-256", "root", GOOD_USAGE);
        self.certify("old", "root", GOOD_USAGE, "sha1", day);
    }
}

#[test]
fn a_certificate_that_is_not_bound_is_refused() {
    let authority = Authority::new();
    let request = request();
    let by_sha1 = authority.reply(&request, &Reply { binding: "sha1", ..Reply::default() });
    let refused = judged(&authority, &by_sha1, &request, "root");
    assert!(matches!(refused, Err(StampError::Certificate(why)) if why.contains("ESSCertIDv2")), "{refused:?}");
    let good = authority.reply(&request, &Reply::default());
    let unbound = authority.forge(&good, "tsa", &["-md", "sha256"]);
    let refused = judged(&authority, &unbound, &request, "root");
    assert!(matches!(refused, Err(StampError::Certificate(why)) if why.contains("ESSCertIDv2")), "{refused:?}");
    // Another certificate for the same key and name: what was signed still binds the first.
    let name = "tsa";
    let first = authority.der(name).concat();
    let now = Timestamp::now();
    authority.certify(
        name,
        "root",
        GOOD_USAGE,
        "sha256",
        (now - SignedDuration::from_hours(2), now + SignedDuration::from_hours(9)),
    );
    let second = authority.der(name).concat();
    assert_ne!(first, second);
    let refused = Stamp::check(&replace(&good, &first, &second), &request, &authority.roots(&["root"]), &[]);
    assert!(refused.is_err(), "{refused:?}");
}

/// Replaces bytes of the same length.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it is there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn only_fixed_roots_count() {
    let authority = Authority::new();
    authority.root("stranger", "rsa:2048");
    let request = request();
    let response = authority.reply(&request, &Reply::default());
    let refused = judged(&authority, &response, &request, "stranger");
    assert!(matches!(&refused, Err(StampError::Chain(why)) if why.contains("no chain")), "{refused:?}");
    assert!(Stamp::check(&response, &request, &[], &[]).is_err(), "no root at all");
    let both = authority.roots(&["stranger", "root"]);
    assert_eq!(Stamp::check(&response, &request, &both, &[]).expect("one of two").root, "CN=root,O=Tests");
    // What is no root.
    let not = |bytes: &[u8]| Root::parse(bytes).expect_err("no root").to_string();
    assert!(not(&authority.read("tsa.pem")).contains("basic constraints"), "{}", not(&authority.read("tsa.pem")));
    authority.certificate("middle", "P-256", "root", "basicConstraints=critical,CA:TRUE\n");
    assert!(not(&authority.read("middle.pem")).contains("another authority"));
    let twice = [authority.read("root.pem"), authority.read("root.pem")].concat();
    assert!(not(&twice).contains("exactly one"));
    assert!(not(b"root").contains("cannot be read"));
    let mut der = authority.der("root").concat();
    assert!(Root::parse(&der).is_ok(), "DER");
    *der.last_mut().expect("not empty") ^= 1;
    assert!(not(&der).contains("own key"));
}

#[test]
fn a_stamp_outlives_its_certificate() {
    let authority = Authority::new();
    let now = Timestamp::now();
    let dates = (now - SignedDuration::from_hours(1), now + SignedDuration::from_secs(3));
    authority.certificate_until("brief", "P-256", "root", GOOD_USAGE, dates);
    let request = request();
    let response = authority.reply(&request, &Reply { signer: "brief", ..Reply::default() });
    while Timestamp::now() <= dates.1 + SignedDuration::from_secs(1) {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let stamp = judged(&authority, &response, &request, "root").expect("judged at its own time");
    let (path, later) = (authority.path("brief.pem"), Timestamp::now().as_second());
    assert!(!authority.openssl_takes(&response, &request, "root", &path, later), "by now it has expired");
    assert!(authority.openssl_takes(&response, &request, "root", &path, stamp.time.as_second()));
}

/// Every byte of a response, changed in eight ways: what is still taken says the same. (openssl is
/// stricter with some bytes under no signature, such as the list of digests, and laxer with others.)
#[test]
fn no_changed_byte_changes_what_is_said() {
    let authority = Authority::new();
    authority.certificate("small", "P-256", "root", GOOD_USAGE);
    let request = request();
    let roots = authority.roots(&["root"]);
    let good = authority.reply(&request, &Reply { signer: "small", chain: Some("root"), ..Reply::default() });
    let forged = authority.forge(&good, "small", &["-cades", "-md", "sha384"]);
    let (mut taken, mut tried) = (0, 0);
    for response in [good, forged] {
        let whole = Stamp::check(&response, &request, &roots, &[]).expect("whole");
        for at in 0..response.len() {
            for bit in 0..8 {
                let mut changed = response.clone();
                changed[at] ^= 1 << bit;
                tried += 1;
                // What is under no signature may be anything; what is said may not.
                if let Ok(stamp) = Stamp::check(&changed, &request, &roots, &[]) {
                    assert_eq!(stamp, whole, "byte {at}, bit {bit}");
                    taken += 1;
                }
            }
        }
        for len in 0..response.len() {
            assert!(Stamp::check(&response[..len], &request, &roots, &[]).is_err(), "cut to {len}");
        }
        assert!(Stamp::check(&[&response[..], &[0]].concat(), &request, &roots, &[]).is_err(), "something behind it");
    }
    // A fifth: the copy of the root that comes along, which counts for nothing.
    println!("{tried} changed responses, {taken} still taken");
    assert!(taken * 4 < tried, "{taken} of {tried} changed responses are taken");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Nothing makes the reader panic, and noise is never a stamp.
    #[test]
    fn noise_is_no_stamp(bytes in proptest::collection::vec(any::<u8>(), 0..600), tag in any::<bool>()) {
        let request = Request::over(FILE, [1; 8], None).expect("a request");
        let bytes = if tag { wrap(&bytes) } else { bytes };
        prop_assert!(Stamp::check(&bytes, &request, &[], &[]).is_err());
        let _ = Stamp::dangerously_peek(&bytes);
        let _ = Root::parse(&bytes);
        let _ = Request::parse(&bytes);
    }
}

/// Pieces of a good response put together anew, cut and doubled: no panic, no stamp.
#[test]
fn rearranged_pieces_are_no_stamp() {
    let authority = Authority::new();
    let request = request();
    let good = authority.reply(&request, &Reply::default());
    let roots = authority.roots(&["root"]);
    let whole = Stamp::check(&good, &request, &roots, &[]).expect("whole");
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 3000, ..ProptestConfig::default() });
    let edits = proptest::collection::vec(
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0u8..4),
        1..5,
    );
    runner
        .run(&edits, |edits| {
            let mut bytes = good.clone();
            for (from, to, value, kind) in edits {
                if bytes.is_empty() {
                    break;
                }
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let (low, high) = (from.min(to), from.max(to));
                match kind {
                    0 => bytes[from] = value,
                    1 => drop(bytes.drain(low..high)),
                    2 => {
                        let piece = bytes[low..high].to_vec();
                        let at = low / 2;
                        bytes.splice(at..at, piece);
                    }
                    _ => bytes.insert(from, value),
                }
            }
            if bytes != good
                && let Ok(stamp) = Stamp::check(&bytes, &request, &roots, &[])
            {
                prop_assert_eq!(&stamp, &whole);
                prop_assert!(judged(&authority, &bytes, &request, "root").is_ok());
            }
            Ok(())
        })
        .expect("no piece is a stamp");
}
