//! A time-stamping authority made of `openssl`: certificates, answers, and its own verdict.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use vigie_time::{Request, Root};

/// Policies of the authority.
pub const POLICY: &str = "1.2.3.4.1";
pub const OTHER_POLICY: &str = "1.2.3.4.5";
/// What time-stamping certificates say.
pub const GOOD_USAGE: &str =
    "keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage=critical,timeStamping\n";
const CONFIG: &str = "
[req]
distinguished_name = none
prompt = no
[none]
[ca]
default_ca = own
[own]
new_certs_dir = .
database = index.txt
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
countryName = optional
organizationName = optional
commonName = supplied
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
";

/// A folder with a root authority.
pub struct Authority {
    pub dir: TempDir,
}

/// How an answer is made.
pub struct Reply<'a> {
    pub signer: &'a str,
    pub digest: &'a str,
    pub binding: &'a str,
    pub policy: &'a str,
    pub precision: u8,
    pub chain: Option<&'a str>,
}

impl Default for Reply<'_> {
    fn default() -> Self {
        Self { signer: "tsa", digest: "sha256", binding: "sha256", policy: POLICY, precision: 0, chain: None }
    }
}

impl Authority {
    /// A root `root.pem` and an RSA time-stamping certificate `tsa.pem` under it.
    pub fn new() -> Self {
        let authority = Self { dir: tempfile::tempdir().expect("a folder") };
        authority.write("openssl.cnf", CONFIG.as_bytes());
        authority.write("index.txt", b"");
        authority.root("root", "rsa:2048");
        authority.certificate("tsa", "rsa:2048", "root", GOOD_USAGE);
        authority
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn run(&self, args: &[&str]) -> bool {
        let output = Command::new("openssl").args(args).current_dir(self.dir.path()).output().expect("openssl runs");
        if !output.status.success() && std::env::var_os("TSA_TALK").is_some() {
            eprintln!("openssl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    }

    fn must(&self, args: &[&str]) {
        assert!(self.run(args), "openssl {}", args.join(" "));
    }

    fn key(&self, name: &str, kind: &str) {
        let (algorithm, option) = match kind.split_once(':') {
            Some(("rsa", bits)) => ("RSA", format!("rsa_keygen_bits:{bits}")),
            _ => ("EC", format!("ec_paramgen_curve:{kind}")),
        };
        let out = format!("{name}.key");
        self.must(&["genpkey", "-algorithm", algorithm, "-pkeyopt", &option, "-out", &out]);
    }

    /// A self-signed root.
    pub fn root(&self, name: &str, kind: &str) {
        self.key(name, kind);
        let (key, out, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/O=Tests/CN={name}"));
        let args = ["-config", "openssl.cnf", "-extensions", "root", "-days", "3650", "-sha256"];
        self.must(&[&["req", "-x509", "-new", "-key", &key, "-subj", &subject, "-out", &out][..], &args].concat());
    }

    /// A certificate with extensions, valid for a day from now.
    pub fn certificate(&self, name: &str, kind: &str, issuer: &str, extensions: &str) {
        let now = jiff::Timestamp::now();
        let until = now + jiff::SignedDuration::from_hours(24);
        self.certificate_until(name, kind, issuer, extensions, (now - jiff::SignedDuration::from_hours(1), until));
    }

    /// A certificate with extensions and dates.
    pub fn certificate_until(
        &self,
        name: &str,
        kind: &str,
        issuer: &str,
        extensions: &str,
        dates: (jiff::Timestamp, jiff::Timestamp),
    ) {
        self.key(name, kind);
        self.certify(name, issuer, extensions, "sha256", dates);
    }

    /// As [`Self::certificate_until`], for a key that is there.
    pub fn certify(
        &self,
        name: &str,
        issuer: &str,
        extensions: &str,
        digest: &str,
        dates: (jiff::Timestamp, jiff::Timestamp),
    ) {
        let (key, out, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/C=BE/O=Tests/CN={name}"));
        let request = format!("{name}.csr");
        self.must(&["req", "-new", "-config", "openssl.cnf", "-key", &key, "-subj", &subject, "-out", &request]);
        self.write("extensions.cnf", extensions.as_bytes());
        let date = |t: jiff::Timestamp| t.strftime("%Y%m%d%H%M%SZ").to_string();
        let (from, until) = (date(dates.0), date(dates.1));
        let (issuer_cert, issuer_key) = (format!("{issuer}.pem"), format!("{issuer}.key"));
        self.must(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "openssl.cnf",
            "-in",
            &request,
            "-out",
            &out,
            "-cert",
            &issuer_cert,
            "-keyfile",
            &issuer_key,
            "-extfile",
            "extensions.cnf",
            "-md",
            digest,
            "-startdate",
            &from,
            "-enddate",
            &until,
        ]);
    }

    pub fn roots(&self, names: &[&str]) -> Vec<Root> {
        names.iter().map(|name| Root::parse(&self.read(&format!("{name}.pem"))).expect("a root")).collect()
    }

    /// Certificates of a PEM file, DER.
    pub fn der(&self, name: &str) -> Vec<Vec<u8>> {
        vigie_time::pem_certificates(&self.read(&format!("{name}.pem"))).expect("PEM")
    }

    /// The authority's answer to a request.
    pub fn reply(&self, request: &Request, how: &Reply<'_>) -> Vec<u8> {
        let Reply { signer, digest, binding, policy, precision, chain } = how;
        self.write("q.tsq", &request.encode());
        self.write("serial", b"01\n");
        self.write(
            "tsa.cnf",
            format!(
                "[tsa]\ndefault_tsa = own\n[own]\ndir = .\nserial = serial\nsigner_digest = {digest}\n\
                 default_policy = {policy}\nother_policies = {OTHER_POLICY}\ndigests = sha1, sha256, sha384, sha512\n\
                 accuracy = secs:1, millisecs:500, microsecs:100\nordering = yes\ntsa_name = yes\n\
                 ess_cert_id_chain = no\ness_cert_id_alg = {binding}\nclock_precision_digits = {precision}\n"
            )
            .as_bytes(),
        );
        let (cert, key) = (format!("{signer}.pem"), format!("{signer}.key"));
        let mut args = vec![
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-queryfile",
            "q.tsq",
            "-signer",
            &cert,
            "-inkey",
            &key,
            "-out",
            "r.tsr",
        ];
        let chain = chain.map(|name| format!("{name}.pem"));
        if let Some(chain) = &chain {
            args.extend(["-chain", chain]);
        }
        self.must(&args);
        self.read("r.tsr")
    }

    /// What an authority of other ways would answer: the statement of a good answer, signed anew by
    /// any certificate, `openssl cms` options as given (`-cades` binds the certificate).
    pub fn forge(&self, good: &[u8], signer: &str, options: &[&str]) -> Vec<u8> {
        self.write("good.tsr", good);
        self.must(&["ts", "-reply", "-in", "good.tsr", "-token_out", "-out", "good.token"]);
        self.must(&["cms", "-verify", "-noverify", "-inform", "DER", "-in", "good.token", "-out", "tstinfo.der"]);
        self.forge_over("tstinfo.der", signer, options)
    }

    /// As [`Self::forge`], over a file with a statement.
    pub fn forge_over(&self, statement: &str, signer: &str, options: &[&str]) -> Vec<u8> {
        let (cert, key) = (format!("{signer}.pem"), format!("{signer}.key"));
        let mut args = vec![
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-econtent_type",
            "1.2.840.113549.1.9.16.1.4",
            "-in",
            statement,
            "-signer",
            &cert,
            "-inkey",
            &key,
            "-outform",
            "DER",
            "-out",
            "forged.token",
        ];
        args.extend(options);
        self.must(&args);
        wrap(&self.read("forged.token"))
    }

    /// Whether `openssl ts -verify` takes it, at a time, by request and by file.
    pub fn openssl_takes(&self, response: &[u8], request: &Request, root: &str, untrusted: &Path, at: i64) -> bool {
        self.write("checked.tsr", response);
        self.write("checked.tsq", &request.encode());
        let (root, at, untrusted) = (format!("{root}.pem"), at.to_string(), untrusted.display().to_string());
        self.run(&[
            "ts",
            "-verify",
            "-queryfile",
            "checked.tsq",
            "-in",
            "checked.tsr",
            "-CAfile",
            &root,
            "-untrusted",
            &untrusted,
            "-attime",
            &at,
        ])
    }
}

/// A granting response around a token.
pub fn wrap(token: &[u8]) -> Vec<u8> {
    let body = [&[0x30, 3, 2, 1, 0][..], token].concat();
    let length = u16::try_from(body.len()).expect("short").to_be_bytes();
    [&[0x30, 0x82, length[0], length[1]][..], &body].concat()
}
