//! `demo DIR`: the whole chain on a private Tor network, with every command shown as a user would
//! type it. What it leaves in DIR is documented in README; nothing it started is left running.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use jiff::Timestamp;
use vigie_tests::desk::{Desk, Network, Target};
use vigie_tests::sites::{SECOND_HAND_HOST, Sites};
use vigie_tests::tornet::{HiddenService, Options, TorNet};

type Outcome<T> = Result<T, Box<dyn Error>>;

const PURPOSE: &str = "demonstration: offers of ivory and reptile skins";

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: demo DIR (made anew)\nexample: demo target/demo");
        return ExitCode::from(2);
    };
    match demo(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(dir: &Path) -> Outcome<()> {
    let begun = Instant::now();
    if dir.exists() {
        // Only what an earlier demo made is removed.
        if !dir.join("keys").is_dir() && dir.read_dir()?.next().is_some() {
            return Err(format!("{} is not what an earlier demo left: name another folder", dir.display()).into());
        }
        std::fs::remove_dir_all(dir)?;
    }
    std::fs::create_dir_all(dir)?;
    title("A private Tor network, two onion markets, a second-hand site behind an exit");
    let sites = Sites::start()?;
    let service = |name: &str, port| HiddenService { name: name.into(), virtual_port: 80, local_port: port };
    let network = TorNet::start(
        &dir.join("network"),
        Options {
            services: vec![service("market-a", sites.market_a.port), service("market-b", sites.market_b.port)],
            dns: true,
            ..Options::default()
        },
    )?;
    println!("ready after {:.0} s", begun.elapsed().as_secs_f32());

    title("Keys of the authority, an agent and the recipients; a signed mandate");
    let mut market_b = Target::onion("market-b", &network.onion("market-b"));
    market_b.exclude.push("/account**".into());
    let targets = [
        Target::onion("market-a", &network.onion("market-a")),
        market_b,
        Target::web("second-hand", SECOND_HAND_HOST, sites.second_hand.port),
    ];
    let arti = Network { arti_toml: network.arti_toml(), ca_pem: Some(sites.ca.pem().to_owned()) };
    Desk::create(dir, &targets, &arti, Timestamp::now())?;
    // The tests spare the time; a user would not.
    let settings = std::fs::read_to_string(dir.join("vigie.toml"))?.replace("draw = false", "draw = true");
    std::fs::write(dir.join("vigie.toml"), settings)?;
    let credentials = dir.join("keys/credentials");
    std::fs::create_dir_all(&credentials)?;
    for (name, passphrase) in
        [("vigie.store", "demo store"), ("vigie.profile", "demo profile"), ("vigie.witness", "demo witness")]
    {
        std::fs::write(credentials.join(name), passphrase)?;
    }
    let shell = Shell { dir: dir.to_owned(), vigie: beside("vigie")?, witness: beside("vigie-witness")? };
    println!("passphrases of this demo lie in keys/credentials/, read as systemd credentials are\n");
    shell.run(
        "ssh-keygen",
        &[
            "-Y",
            "verify",
            "-f",
            "keys/allowed_signers",
            "-I",
            "magistrate@court.example",
            "-n",
            "vigie-mandate",
            "-s",
            "mandate.toml.sig",
        ],
        Some("mandate.toml"),
        0,
    )?;
    shell.vigie(&["mandate", "check", "mandate.toml", "--allowed-signers", "keys/allowed_signers"], 0)?;

    title("The workstation");
    shell
        .vigie(&["init", "store", "--allowed-signers", "keys/allowed_signers", "--origin", "vigie.example/demo"], 0)?;
    shell.vigie(&["mandate", "add", "mandate.toml", "--store", "store"], 0)?;
    shell.vigie(&["mandate", "revoke", "revocations.toml", "--store", "store"], 0)?;
    shell.vigie(&["profile", "new", "profile.toml", "--store", "store"], 0)?;

    title("The run (a redirect on each market leaves the mandate: refused, logged)");
    let run = Instant::now();
    shell.vigie(&["run", "--once", "--store", "store", "--purpose", PURPOSE], 3)?;
    println!("run: {:.0} s", run.elapsed().as_secs_f32());

    title("An address that the mandate does not name");
    let elsewhere = "http://pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion/";
    shell.vigie(&["capture", elsewhere, "--store", "store", "--purpose", PURPOSE], 3)?;
    if sites.elsewhere.journal.connections() != 0 {
        return Err("something was asked outside the mandate".into());
    }
    println!("the server outside the mandate was asked 0 times");

    title("What is there, and is it sound?");
    shell.vigie(&["status", "--store", "store"], 0)?;
    shell.vigie(&["verify", "--store", "store", "--identity", "keys/case.txt"], 0)?;

    title("A witness cosigns the log's head; the proof of an exhibit needs nothing else");
    std::fs::create_dir_all(dir.join("medium"))?;
    shell.witness(&["init", "witness", "--name", "witness.example"])?;
    let log = std::fs::read_to_string(dir.join("store/log.vkey"))?.trim().to_owned();
    let key = std::fs::read_to_string(dir.join("witness/witness.txt"))?;
    let key = key.lines().find_map(|line| line.strip_prefix("key ")).ok_or("the witness has no key")?.to_owned();
    shell.witness(&["trust", "witness", &log])?;
    shell.vigie(&["witness", "trust", &key, "--store", "store", "--purpose", "the custodian's machine"], 0)?;
    shell.vigie(&["witness", "export", "--to", "medium", "--store", "store"], 0)?;
    let request = std::fs::read_dir(dir.join("medium"))?.next().ok_or("no request")??.file_name();
    let request = format!("medium/{}", request.to_string_lossy());
    shell.witness(&["cosign", "witness", &request, "--to", "medium/cosigned.txt"])?;
    shell.vigie(
        &["witness", "import", "medium/cosigned.txt", "--store", "store", "--purpose", "cosigned after the run"],
        0,
    )?;
    shell.vigie(
        &["exhibit", "proof", "1", "--to", "medium/1.proof", "--entry-to", "medium/1.entry", "--store", "store"],
        0,
    )?;
    let check = ["log", "proof", "--check", "medium/1.proof", "--entry-file", "medium/1.entry"];
    shell.vigie(&[&check[..], &["--log-key", &log, "--witness", &key]].concat(), 0)?;

    title("The custodian opens one exhibit with stock age");
    std::fs::create_dir_all(dir.join("exhibits"))?;
    shell.vigie(
        &[
            "exhibit",
            "get",
            "1",
            "--sealed",
            "--to",
            "exhibits/1.age",
            "--store",
            "store",
            "--purpose",
            "for the custodian",
        ],
        0,
    )?;
    shell.run("age", &["-d", "-i", "keys/case.txt", "-o", "exhibits/1.warc.gz", "exhibits/1.age"], None, 0)?;
    shell.run(
        "sh",
        &["-c", "gzip -dc exhibits/1.warc.gz | grep -a -m 3 -E '^(WARC/1.1|WARC-Target-URI|HTTP/1.1)'"],
        None,
        0,
    )?;

    title("A folder for the court, checked as its VERIFY.txt says");
    let export = ["export", "--case", "C-2026-004", "--exhibits", "1-3", "--identity", "keys/case.txt"];
    let whole = ["--to", "court", "--store", "store", "--purpose", "file for the prosecutor"];
    shell.vigie(&[&export[..], &whole].concat(), 0)?;
    let sums = "cd court && sha256sum --check --quiet tagmanifest-sha256.txt manifest-sha256.txt && echo whole";
    shell.run("sh", &["-c", sums], None, 0)?;
    shell.run(
        "sh",
        &[
            "-c",
            "cd court/data/log/openssl && openssl pkeyutl -verify -pubin -inkey log-key.pem -rawin -in head.txt -sigfile head.sig",
        ],
        None,
        0,
    )?;
    shell.run("sh", &["-c", "head -c 600 court/data/custody.txt"], None, 0)?;

    drop(network);
    drop(sites);
    std::fs::remove_dir_all(dir.join("network"))?;
    title("What lies where");
    let at = dir.display();
    println!("{at}/store/       sealed segments, signed log, catalogue");
    println!("{at}/witness/     the witness: its key, and where it saw the log last; medium/ went between the two");
    println!("{at}/exhibits/    exhibit 1, sealed (.age) and opened (.warc.gz)");
    println!("{at}/court/       three exhibits for a court: open and sealed layer, proofs, VERIFY.txt");
    println!("{at}/keys/        keys of authority, agent, custodian: on one disk only because this is a demo");
    println!("{at}/mandate.toml with its signature; profile.toml, vigie.toml, arti.toml beside it");
    println!("all in {:.0} s; nothing that was started is running", begun.elapsed().as_secs_f32());
    Ok(())
}

fn title(text: &str) {
    println!("\n== {text}");
}

/// A program of the same build.
fn beside(name: &str) -> Outcome<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    if !program.is_file() {
        return Err(format!("{} is missing: build it first (make demo)", program.display()).into());
    }
    Ok(program)
}

struct Shell {
    dir: PathBuf,
    vigie: PathBuf,
    witness: PathBuf,
}

impl Shell {
    fn vigie(&self, args: &[&str], code: i32) -> Outcome<()> {
        let mut command = Command::new(&self.vigie);
        command.env("CREDENTIALS_DIRECTORY", self.dir.join("keys/credentials").canonicalize()?);
        command.env("VIGIE_STATE", self.dir.canonicalize()?.join("state"));
        self.show("vigie", args, None, command, code)
    }

    fn witness(&self, args: &[&str]) -> Outcome<()> {
        let mut command = Command::new(&self.witness);
        command.env("CREDENTIALS_DIRECTORY", self.dir.join("keys/credentials").canonicalize()?);
        self.show("vigie-witness", args, None, command, 0)
    }

    fn run(&self, program: &str, args: &[&str], input: Option<&str>, code: i32) -> Outcome<()> {
        self.show(program, args, input, Command::new(program), code)
    }

    fn show(&self, name: &str, args: &[&str], input: Option<&str>, mut command: Command, code: i32) -> Outcome<()> {
        let quoted: Vec<String> = args
            .iter()
            .map(|arg| if arg.contains([' ', '|', '\'']) { format!("\"{arg}\"") } else { (*arg).to_owned() })
            .collect();
        let input_shown = input.map(|file| format!(" < {file}")).unwrap_or_default();
        println!("$ {name} {}{input_shown}", quoted.join(" "));
        if let Some(file) = input {
            command.stdin(std::fs::File::open(self.dir.join(file))?);
        }
        let status =
            command.args(args).current_dir(&self.dir).env_remove("VIGIE_STORE").env_remove("VIGIE_CONFIG").status()?;
        if status.code() == Some(code) {
            if code != 0 {
                println!("(exit code {code}, as it should)");
            }
            return Ok(());
        }
        Err(format!("{name} {} ended with {status}, expected {code}", args.first().unwrap_or(&"")).into())
    }
}
