//! Documents signed once by OpenSSH stay valid in every later version of Vigie.

use std::process::{Command, Stdio};

use vigie_config::mandate::SignedMandate;
use vigie_config::revocation::SignedRevocation;
use vigie_config::signers::AllowedSigners;

use crate::bench::{MANDATE, PRINCIPAL, now};

const SIGNERS: &[u8] = include_bytes!("../data/allowed_signers");
const SIGNATURE: &[u8] = include_bytes!("../data/mandate.toml.sig");
const LIST: &[u8] = include_bytes!("../data/revocations.toml");
const LIST_SIGNATURE: &[u8] = include_bytes!("../data/revocations.toml.sig");

#[test]
fn format_1_holds() {
    let signers = AllowedSigners::parse(SIGNERS).unwrap();
    let mandate = SignedMandate::new(MANDATE.as_bytes().to_vec(), SIGNATURE.to_vec()).verify(&signers, now()).unwrap();
    let list = SignedRevocation::new(LIST.to_vec(), LIST_SIGNATURE.to_vec()).verify(&signers, now()).unwrap();
    assert!(list.check(&mandate, now()).is_ok());
}

#[test]
fn ssh_keygen_says_so_too() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    for (document, namespace) in [("mandate.toml", "vigie-mandate"), ("revocations.toml", "vigie-revocation")] {
        let input = std::fs::File::open(format!("{folder}/{document}")).unwrap();
        let status = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-I", PRINCIPAL, "-n", namespace, "-O", "verify-time=20261124100000Z"])
            .args(["-f", &format!("{folder}/allowed_signers"), "-s", &format!("{folder}/{document}.sig")])
            .stdin(input)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{document}");
    }
}
