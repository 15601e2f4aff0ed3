#[allow(dead_code, reason = "it makes more than is asked of it here")]
#[path = "../../../../store/onion/tests/onion/kit.rs"]
mod onion;

use super::*;

fn config(tor: &str) -> NetConfig {
    NetConfig {
        tor: tor.parse().expect("TOML"),
        state_dir: "/var/lib/vigie/~/${HOME}/state".into(),
        cache_dir: "/var/lib/vigie/cache".into(),
        tls_extra_roots: Vec::new(),
    }
}

fn client(tor: &str) -> Result<TorClientConfig, NetError> {
    read(&completed(&config(tor))?)
}

fn on(tor: &str) -> Network {
    network(&client(tor).expect("a configuration")).expect("a network")
}

const FALLBACK: &str = "[[tor_network.fallback_caches]]
rsa_identity = \"23D15D965BC35114467363C165C4F724B64B4F66\"
ed_identity = \"iV+xV5kuGWpJ4Y6DvPjzQDn2iKPhaFwVpFvDAfhtaPg\"
orports = [\"127.0.0.1:9001\"]\n";

#[test]
fn what_is_left_open_is_completed() {
    let table = completed(&config("")).expect("completed");
    let at = |path: &str| {
        path.split('.').try_fold(&toml::Value::Table(table.clone()), |value, name| value.get(name)).cloned()
    };
    assert_eq!(at("storage.keystore.primary.kind"), Some("ephemeral".into()));
    assert_eq!(at("vanguards.mode"), Some("full".into()));
    assert_eq!(at("system.memory.max"), Some(QUEUE_BYTES.into()));
    // Nothing in a path is a variable.
    assert_eq!(at("storage.state_dir.literal"), Some("/var/lib/vigie/~/${HOME}/state".into()));
    let client = client("").expect("a configuration");
    assert_eq!(client.dir_mgr_config().expect("directories").cache_dir, Path::new("/var/lib/vigie/cache"));
}

#[test]
fn what_is_said_stays_and_what_is_not_to_be_said_is_refused() {
    let vanguards = |tor: &str| -> String {
        let client = client(tor).expect("a configuration");
        let vanguards: &VanguardConfig = client.as_ref();
        vanguards.mode().to_string()
    };
    assert_eq!(vanguards(""), "full");
    assert_eq!(vanguards("[vanguards]\nmode = \"lite\""), "lite");
    assert_eq!(vanguards("[vanguards]\nmode = \"disabled\""), "disabled");
    // The word of the configuration is not what is in force.
    assert_eq!(vanguards("[vanguards]\nmode = \"auto\""), "lite");
    let memory = completed(&config("[system.memory]\nmax = 300000000")).expect("completed");
    assert_eq!(memory["system"]["memory"]["max"], 300_000_000.into());
    assert!(client("[storage.keystore.primary]\nkind = \"ephemeral\"").is_ok());
    for (tor, word) in [
        ("[storage.keystore.primary]\nkind = \"native\"", "kind"),
        ("[storage]\nstate_dir = \"/elsewhere\"", "state_dir"),
        ("[storage]\ncache_dir = \"/elsewhere\"", "cache_dir"),
        ("storage = 3", "storage"),
        ("vanguards = \"full\"", "vanguards"),
    ] {
        let refused = client(tor).map(drop).expect_err(tor).to_string();
        assert!(refused.contains(word), "{tor}: {refused}");
    }
}

#[test]
fn what_arti_does_not_know_is_refused() {
    for (tor, key) in [
        ("[vanguard]\nmode = \"full\"", "vanguard"),
        ("[vanguards]\nmoed = \"full\"", "vanguards.moed"),
        ("[tor_network]\nauthority = 3", "tor_network.authority"),
        ("[path_rules]\nlong_lived_port = [22]", "path_rules.long_lived_port"),
        ("[proxy]\nsocks_listen = 9150", "proxy"),
        ("unknown = true", "unknown"),
    ] {
        let refused = client(tor).map(drop).expect_err(tor).to_string();
        assert!(refused.contains(key), "{tor}: {refused}");
    }
    for wrong in ["[vanguards]\nmode = \"fulll\"", "[path_rules]\nipv4_subnet_family_prefix = \"x\""] {
        assert!(client(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_public_network_is_told_from_any_other() {
    let public = on("");
    assert!(public.public);
    assert_eq!(public.authorities.len(), 9);
    assert!(
        public.authorities.is_sorted()
            && public.authorities.contains(&"F533C81CEF0BC0267857C99B2F471ADF249FA232".into())
    );
    // Options that choose no network.
    for tor in [
        "[path_rules]\nreachable_addrs = [\"*:443\"]",
        "[address_filter]\nallow_onion_addrs = true",
        "[bridges]\nenabled = true\nbridges = [\"192.0.2.83:80 4352e58420e68f5e40bade74faddccd9d1349413\"]",
        "[vanguards]\nmode = \"lite\"",
        "[tor_network]",
        "[override_net_params]",
    ] {
        assert_eq!(on(tor), public, "{tor}");
    }
    // Anything that might.
    for tor in [
        FALLBACK.to_owned(),
        format!("{FALLBACK}[tor_network.authorities]\nv3idents = [\"23D15D965BC35114467363C165C4F724B64B4F66\"]"),
        "[tor_network]\nfallback_caches = []".into(),
        "[tor_network.authorities]\nuploads = []".into(),
        "[tor_network.authorities]\ndownloads = [[\"127.0.0.1:7000\"]]".into(),
        "[tor_network.authorities]\nvotes = []".into(),
        "[override_net_params]\nhsdir_interval = 8".into(),
        "[override_net_params]\ncbtmintimeout = 5000".into(),
    ] {
        assert!(!on(&tor).public, "{tor}");
    }
}

/// The digest is over the authorities in force, however they are written.
#[test]
fn authorities_are_those_in_force() {
    let written = |ids: &str| on(&format!("{FALLBACK}[tor_network.authorities]\nv3idents = [{ids}]")).authorities;
    let one = "23D15D965BC35114467363C165C4F724B64B4F66";
    let two = "0232AF901C31A04EE9848595AF9BB7620D4C5B2E";
    assert_eq!(written(&format!("\"{one}\", \"{}\"", two.to_lowercase())), [two, one]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_starts_without_touching_the_network() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let config = NetConfig {
        tor: "[storage.permissions]\ndangerously_trust_everyone = true".parse().expect("TOML"),
        state_dir: folder.path().join("a/state"),
        cache_dir: folder.path().join("a/cache"),
        tls_extra_roots: Vec::new(),
    };
    let tor = Tor::start(&config).expect("a client");
    for made in [&config.state_dir, &config.cache_dir] {
        assert_eq!(made.metadata().expect("a folder").permissions().mode() & 0o777, 0o700);
    }
    let facts = tor.facts(&Trust::new(&[]).expect("anchors"));
    assert!(facts.public && facts.authorities == 9 && facts.vanguards == "full");
    let lines: String = tor.network.authorities.iter().map(|id| format!("{id}\n")).collect();
    assert_eq!(facts.authorities_sha256, data_encoding::HEXLOWER.encode(&Sha256::digest(lines)));
    let lock = include_str!("../../../../Cargo.lock");
    assert!(lock.contains(&format!("name = \"arti-client\"\nversion = \"{}\"", facts.arti_version)));

    let (one, two) = (CircuitKey([1; 32]), CircuitKey([2; 32]));
    let token = tor.token(one);
    assert_eq!(tor.token(one), token);
    assert_ne!(tor.token(two), token);
    // A circuit that answers nothing is left for another, and that one not at once.
    let now = Instant::now();
    assert!(tor.leave(one, now));
    let fresh = tor.token(one);
    assert_ne!(fresh, token);
    assert!(!tor.leave(one, now + LEAVE - Duration::from_millis(1)) && tor.token(one) == fresh);
    assert!(tor.leave(one, now + LEAVE) && tor.token(one) != fresh);
    let token = tor.token(one);
    tor.retire(one);
    assert_ne!(tor.token(one), token, "a retired key has no way back to its circuits");
    assert_eq!(tor.tokens.lock().expect("tokens").len(), 2);

    // Not bootstrapped: each dial says so, and nothing was resolved or asked.
    let host = format!("{}.onion", "a".repeat(56));
    for (host, kind) in [(host.as_str(), FailureKind::OutOfScope), ("shop.example", FailureKind::TorNotReady)] {
        let scope = Scope { host: host.into(), port: 80, transport: vigie_wire::net::Transport::Plain };
        let Err(failure) = tor.dial(one, &scope, &[]).await.stream else { panic!("a stream") };
        assert_eq!(failure.kind, kind, "{}", failure.detail);
        assert!(!failure.detail.contains(host));
    }
}

#[test]
fn each_layer_has_its_kind() {
    use FailureKind as F;
    for (kind, onion, exit) in [
        (ErrorKind::BootstrapRequired, F::TorNotReady, F::TorNotReady),
        (ErrorKind::ClockSkew, F::TorNotReady, F::TorNotReady),
        (ErrorKind::TorDirectoryUnusable, F::TorNotReady, F::TorNotReady),
        (ErrorKind::OnionServiceNotFound, F::DescriptorNotFound, F::DescriptorNotFound),
        (ErrorKind::OnionServiceProtocolViolation, F::DescriptorInvalid, F::DescriptorInvalid),
        (ErrorKind::OnionServiceMissingClientAuth, F::ClientKeyNeeded, F::ClientKeyNeeded),
        (ErrorKind::OnionServiceWrongClientAuth, F::ClientKeyNeeded, F::ClientKeyNeeded),
        (ErrorKind::TorNetworkTimeout, F::Timeout, F::Timeout),
        (ErrorKind::RemoteNetworkTimeout, F::Timeout, F::Timeout),
        (ErrorKind::RemoteConnectionRefused, F::StreamRefused, F::StreamRefused),
        (ErrorKind::RemoteStreamClosed, F::StreamRefused, F::ExitFailed),
        (ErrorKind::RemoteStreamError, F::StreamRefused, F::ExitFailed),
        (ErrorKind::ExitPolicyRejected, F::StreamRefused, F::ExitFailed),
        (ErrorKind::NoExit, F::ExitFailed, F::ExitFailed),
        (ErrorKind::RemoteHostNotFound, F::StreamRefused, F::NameNotFound),
        (ErrorKind::RemoteHostResolutionFailed, F::StreamRefused, F::NameNotFound),
        (ErrorKind::InvalidStreamTarget, F::OutOfScope, F::OutOfScope),
        (ErrorKind::CircuitCollapse, F::Other, F::Other),
    ] {
        assert_eq!((kind_layer(kind, true), kind_layer(kind, false)), (onion, exit), "{kind:?}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("above")]
struct Above(#[source] ConnError);

/// Arti's kinds call a failed introduction and a failed rendezvous the same; the causes do not.
#[test]
fn the_step_that_failed_is_found_among_the_causes() {
    let found = |error| layer(&Above(error), ErrorKind::OnionServiceConnectionFailed);
    assert_eq!(found(ConnError::NoUsableHsDirs), FailureKind::NotAskedAgain);
    assert_eq!(found(ConnError::NoUsableIntroPoints), FailureKind::DescriptorInvalid);
    assert_eq!(found(ConnError::NoHsDirs), FailureKind::TorNotReady);
    assert_eq!(found(ConnError::InvalidHsId), FailureKind::Rendezvous, "by the kind, when the cause says nothing");
    let introduction = FailedAttemptError::IntroductionTimeout { intro_index: 0.into() };
    assert_eq!(attempt_layer(&introduction), Some((2, FailureKind::Introduction)));
    let status = |status| FailedAttemptError::IntroductionFailed { status, intro_index: 0.into() };
    let gone = attempt_layer(&status(IntroduceAckStatus::NOT_RECOGNIZED));
    assert_eq!(gone, Some((3, FailureKind::IntroductionRefused)));
    assert_eq!(attempt_layer(&status(IntroduceAckStatus::CANT_RELAY)), Some((2, FailureKind::Introduction)));
}

/// Tor's own reader comes to the same on each sample, but for what it does not ask.
#[test]
fn descriptors_are_judged_as_tor_does() {
    use tor_checkable::{SelfSigned, Timebound};
    use tor_hscrypto::pk::{HsBlindId, HsId, HsIdKey};
    use tor_hscrypto::time::TimePeriod;
    use tor_netdoc::doc::hsdesc::HsDesc;
    // Rules of ours: the moment of the fetch, the specification's lifetimes, one signer in a certificate.
    let ours_alone =
        ["before the period", "long after the period", "a lifetime beyond the rule", "two keys that signed"];
    for sample in onion::samples() {
        let at = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(sample.at).expect("a time"));
        let period =
            TimePeriod::from_parts(sample.period.length_minutes, sample.period.number, sample.period.offset_seconds);
        let theirs = || {
            let key = HsIdKey::try_from(sample.onion.parse::<HsId>().ok()?).ok()?;
            let blinded: HsBlindId = key.compute_blinded_key(period).ok()?.0.id();
            if let Ok(own) = vigie_onion::Onion::parse(&sample.onion) {
                assert_eq!(&sample.period.blinded_key(&own), AsRef::<[u8; 32]>::as_ref(&blinded), "{}", sample.what);
            }
            let text = std::str::from_utf8(&sample.text).ok()?;
            let read = HsDesc::parse(text, &blinded).ok()?.check_signature().ok()?;
            read.if_valid_at(&at).ok()
        };
        let (ours, theirs) = (sample.holds, theirs().is_some());
        assert!(ours == theirs || ours_alone.contains(&sample.what), "{}: {ours}, Tor says {theirs}", sample.what);
        assert!(theirs || !ours, "{}: we are never laxer", sample.what);
    }
}

/// Of several directories' answers the one that says most about the service counts.
#[test]
fn what_directories_answer() {
    use tor_dirclient::RequestError as E;
    let kind = |error| descriptor::answered(&error).kind;
    assert_eq!(kind(E::HttpStatus(404, "no".into())), FailureKind::DescriptorNotFound);
    assert_eq!(kind(E::HttpStatus(503, "busy".into())), FailureKind::DirectoryUnreachable);
    assert_eq!(kind(E::DirTimeout), FailureKind::DirectoryUnreachable);
    assert_eq!(kind(E::ResponseTooLong(9)), FailureKind::DescriptorInvalid);
    let order = [
        FailureKind::Timeout,
        FailureKind::DirectoryUnreachable,
        FailureKind::DescriptorNotFound,
        FailureKind::DescriptorInvalid,
        FailureKind::ClientKeyNeeded,
    ];
    assert!(order.windows(2).all(|pair| descriptor::rank(pair[0]) < descriptor::rank(pair[1])));
    assert_eq!(descriptor_layer(&DescriptorErrorDetail::Timeout), Some(FailureKind::DirectoryUnreachable));
    let missing = DescriptorErrorDetail::Directory(E::HttpStatus(404, "no".into()));
    assert_eq!(descriptor_layer(&missing), Some(FailureKind::DescriptorNotFound));
    let locked = DescriptorErrorDetail::Descriptor(HsDescError::MissingDecryptionKey);
    assert_eq!(descriptor_layer(&locked), Some(FailureKind::ClientKeyNeeded));
}
