//! Each sample site through C tor's SOCKS port.

use vigie_tests::desk::{Desk, Network, Target};
use vigie_tests::sites::{bulk, hostile};

use crate::ensure;
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "sites::two_markets_answer_as_onions", run: two_markets_answer_as_onions },
        Case { name: "sites::pictures_and_fonts_are_what_they_say", run: pictures_and_fonts_are_what_they_say },
        Case { name: "sites::tags_redirects_and_login_work", run: tags_redirects_and_login_work },
        Case { name: "sites::second_hand_by_tls_through_an_exit", run: second_hand_by_tls_through_an_exit },
        Case { name: "sites::hostile_misbehaves", run: hostile_misbehaves },
        Case { name: "sites::bulk_pages_are_whole", run: bulk_pages_are_whole },
        Case { name: "sites::a_desk_for_this_network", run: a_desk_for_this_network },
    ]
}

fn two_markets_answer_as_onions(world: &World) -> CaseResult {
    for (site, words) in [
        (&world.sites.market_a, ["Blue Bazaar", "Carved ivory figure", "<table"]),
        (&world.sites.market_b, ["Le Grand Comptoir", "ivoire", "class=card"]),
    ] {
        let output = world.curl(&world.onion_url(site, "/"), &[])?.success()?;
        for word in words {
            ensure!(output.text().contains(word), "{} has no `{word}`: {}", site.name, output.text());
        }
        let vendor = world.curl(&world.onion_url(site, "/vendor/quartz"), &[])?.success()?.text();
        ensure!(vendor.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{vendor}");
        let onion = world.net.onion(site.name);
        let asked =
            site.journal.heads().iter().any(|head| {
                head.starts_with(format!("GET / HTTP/1.1\r\nHost: {onion}\r\nUser-Agent: curl/").as_bytes())
            });
        ensure!(asked, "the head is remembered byte for byte");
    }
    // The codings, as stock decoders see them. Debian's curl knows all of them.
    for (site, path, coding) in [
        (&world.sites.market_a, "/", "gzip"),
        (&world.sites.market_b, "/", "br"),
        (&world.sites.market_b, "/offer/10", "br"),
        (&world.sites.market_b, "/login", "zstd"),
    ] {
        let header = format!("Accept-Encoding: {coding}");
        let output = world.curl(&world.onion_url(site, path), &["--compressed", "-i", "-H", &header])?.success()?;
        let text = output.text();
        ensure!(text.contains(&format!("content-encoding: {coding}")) && text.contains("</html>"), "{path}: {text}");
    }
    Ok(())
}

fn pictures_and_fonts_are_what_they_say(world: &World) -> CaseResult {
    for (site, path, start) in [
        (&world.sites.market_a, "/picture/3.png", &b"\x89PNG\r\n\x1a\n"[..]),
        (&world.sites.market_b, "/picture/3.jpg", &b"\xff\xd8\xff\xe0"[..]),
        (&world.sites.market_a, "/face.ttf", &b"\0\x01\0\0"[..]),
    ] {
        let output = world.curl(&world.onion_url(site, path), &[])?.success()?;
        ensure!(output.stdout.starts_with(start), "{path} begins otherwise");
    }
    Ok(())
}

fn tags_redirects_and_login_work(world: &World) -> CaseResult {
    let site = &world.sites.market_a;
    let head = |path: &str, more: &[&str]| -> Result<String, Box<dyn std::error::Error>> {
        let more = [&["-D", "-", "-o", "/dev/null"], more].concat();
        Ok(world.curl(&world.onion_url(site, path), &more)?.success()?.text())
    };
    let first = head("/style.css", &[])?;
    let tag = first.lines().find_map(|l| l.strip_prefix("etag: ")).ok_or("no ETag")?.trim();
    let again = head("/style.css", &["-H", &format!("If-None-Match: {tag}")])?;
    ensure!(again.starts_with("HTTP/1.1 304"), "{again}");
    ensure!(head("/latest", &[])?.contains("location: /offer/0"), "a redirect inside");
    let away = head("/partner", &[])?;
    ensure!(away.contains("location: http://elsewhere.test:"), "a redirect that leaves: {away}");
    let login = head("/login", &["--data", "user=heron&password=x&captcha=owl&token=a81f"])?;
    ensure!(login.contains("set-cookie: session="), "{login}");
    ensure!(head("/account", &["-H", "Cookie: session=5f2d9c"])?.starts_with("HTTP/1.1 200"), "logged in");
    ensure!(head("/account", &[])?.starts_with("HTTP/1.1 303"), "not logged in");
    Ok(())
}

fn second_hand_by_tls_through_an_exit(world: &World) -> CaseResult {
    let ca = world.dir("ca")?.join("ca.pem");
    std::fs::write(&ca, world.sites.ca.pem())?;
    let ca = ca.to_str().ok_or("the path is not UTF-8")?;
    let url = world.sites.second_hand_url("/");
    let page = world.curl(&url, &["--cacert", ca])?.success()?.text();
    ensure!(page.contains("La Brocante") && page.contains("Peau de python"), "{page}");
    ensure!(world.net.dns_queries().iter().any(|n| n == "brocante.test"), "the exit asked our name server");
    // 60: the certificate is not trusted.
    let stranger = world.curl(&url, &[])?;
    ensure!(stranger.code() == Some(60), "without the authority: {:?}", stranger.code());
    let expired = url.replace(&world.sites.second_hand.port.to_string(), &world.sites.expired_tls.port.to_string());
    let expired = world.curl(&expired, &["--cacert", ca])?;
    ensure!(expired.code() == Some(60), "expired: {:?} {}", expired.code(), expired.errors());
    Ok(())
}

fn hostile_misbehaves(world: &World) -> CaseResult {
    let site = &world.sites.hostile;
    let index = world.curl(&world.onion_url(site, "/"), &[])?.success()?.text();
    for case in hostile::CASES {
        ensure!(index.contains(&format!("\"{}\"", case.path)), "{} is not listed", case.path);
    }
    // curl(1): 18 = partial file, 28 = time out, 52 = empty reply, 56 = receiving failed,
    // 8 = weird server reply, 47 = too many redirects, 63 = larger than allowed.
    for (path, more, codes) in [
        ("/drip", &["--max-time", "4"][..], &[28][..]),
        ("/drip-head", &["--max-time", "4"], &[28]),
        ("/silent", &["--max-time", "4"], &[28]),
        ("/hang-up", &[], &[52]),
        ("/endless-headers", &["--max-time", "20"], &[56, 100]),
        ("/endless-body", &["--max-filesize", "3000000", "--max-time", "4"], &[63, 28]),
        ("/endless-chunks", &["--max-filesize", "3000000", "--max-time", "4"], &[63, 28]),
        ("/length-too-long", &[], &[18]),
        ("/length-too-short", &[], &[0]),
        ("/broken-chunks", &[], &[56]),
        ("/chunks-cut", &[], &[18]),
        ("/http09", &[], &[1]),
        ("/nested", &[], &[0]),
        ("/redirect/loop", &["-L", "--max-redirs", "6"], &[47]),
        ("/redirect/circle", &["-L", "--max-redirs", "6"], &[47]),
        ("/redirect/endless/0", &["-L", "--max-redirs", "6"], &[47]),
    ] {
        let output = world.curl(&world.onion_url(site, path), more)?;
        let code = output.code().unwrap_or(-1);
        ensure!(codes.contains(&code), "{path}: curl ended with {code}: {}", output.errors());
    }
    Ok(())
}

fn bulk_pages_are_whole(world: &World) -> CaseResult {
    let page = world.curl(&world.onion_url(&world.sites.bulk, "/page/999"), &[])?.success()?;
    ensure!(page.stdout == bulk::page(999), "{} bytes came", page.stdout.len());
    Ok(())
}

/// What the desk writes for this network is complete and parses.
fn a_desk_for_this_network(world: &World) -> CaseResult {
    let targets = [
        Target::onion("market-a", &world.net.onion("market-a")),
        Target::web("brocante", vigie_tests::sites::SECOND_HAND_HOST, world.sites.second_hand.port),
    ];
    let network = Network { arti_toml: world.net.arti_toml(), ca_pem: Some(world.sites.ca.pem()) };
    let desk = Desk::create(&world.dir("desk")?, &targets, &network, jiff::Timestamp::now())?;
    for name in
        ["mandate.toml.sig", "revocations.toml.sig", "profile.toml", "ca.pem", "keys/agent.pub", "keys/review.txt"]
    {
        ensure!(desk.path(name).exists(), "{name} is missing");
    }
    let vigie: toml::Table = std::fs::read_to_string(desk.path("vigie.toml"))?.parse()?;
    ensure!(vigie["tor"]["override_net_params"]["hsdir_interval"].as_integer() == Some(8), "{vigie:?}");
    Ok(())
}
