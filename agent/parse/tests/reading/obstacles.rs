//! Pages that stand in the way of the one that was asked for, and pages that only look a little like them.

use proptest::prelude::*;
use vigie_wire::parse::Obstacle::{self, BlocksTor, Captcha, Login, NeedsJavascript, WaitingRoom};

use crate::fixture::{document, html};

fn found(page: &str) -> Vec<Obstacle> {
    html(page).obstacles
}

#[test]
fn each_kind_in_several_words() {
    for (page, obstacles) in [
        (
            "<title>Log in</title><form method=post><input name=u><input type=password name=p><button>Go</button></form>",
            &[Login][..],
        ),
        ("<h1>Connexion</h1><form><input name=nom><input name=mdp type=PASSWORD></form>", &[Login]),
        ("<p>Enter the text<form><img src=/captcha.php?x=1><input name=code></form>", &[Captcha]),
        ("<form><div class=g-recaptcha data-sitekey=x></div></form>", &[Captcha]),
        ("<div id=cf-turnstile></div>", &[Captcha]),
        ("<form><p>Prouvez que vous n'êtes pas un robot<input name=a></form>", &[Captcha]),
        ("<form><p>Ik ben geen robot <input type=checkbox name=ok></form>", &[Captcha]),
        (
            "<form method=post><input name=u><input type=password name=p><img src=c.png alt=CAPTCHA><input name=c></form>",
            &[Captcha, Login],
        ),
        ("<meta http-equiv=refresh content='10'><h1>You are in the queue</h1><p>Your position: 55", &[WaitingRoom]),
        (
            "<title>Access queue</title><p>Please wait, estimated wait 2 minutes<script src=q.js></script>",
            &[WaitingRoom],
        ),
        ("<h1>Veuillez patienter</h1><meta http-equiv=refresh content=5>", &[WaitingRoom]),
        ("<h1>Bitte warten</h1>", &[WaitingRoom]),
        (
            "<h1>Just a moment...</h1><noscript>Enable JavaScript and cookies to continue</noscript><script>x()</script>",
            &[WaitingRoom, NeedsJavascript],
        ),
        (
            "<noscript>You need to enable JavaScript to run this app.</noscript><div id=root></div><script src=a.js></script>",
            &[NeedsJavascript],
        ),
        ("<noscript>Veuillez activer JavaScript</noscript>", &[NeedsJavascript]),
        ("<div id=app></div><script src=/bundle.js></script>", &[NeedsJavascript]),
        ("<h1>Access denied</h1><p>Connections from Tor exit nodes are blocked.", &[BlocksTor]),
        ("<p>Our systems have detected unusual traffic from your network.", &[BlocksTor]),
        ("<p>Accès interdit : les connexions par proxy ou VPN sont refusées", &[BlocksTor]),
        ("<p>U bent geblokkeerd: gebruik geen VPN of anonieme proxy", &[BlocksTor]),
        // Shapes that refuse Tor: an edge server's page with its numbers, a warning with a picture and a link
        // for help, a table of reasons.
        (
            "<!doctype html><title>Attention Required!</title><div class=cf-wrapper><h1>Sorry, you have been blocked</h1>\
             <h2>You are unable to access shop.example</h2><p>This website is using a security service. The anonymity \
             network that you use was restricted.<p>Ray ID: <code>8c1f</code> Your IP: <span>192.0.2.1</span></div>",
            &[BlocksTor],
        ),
        (
            "<img src=stop.png><h1>Zugriff verweigert</h1><p>Zugriffe über Proxy, VPN oder Tor Exit sind gesperrt. \
             <a href=/hilfe>Hilfe</a>",
            &[BlocksTor],
        ),
        (
            "<table><tr><th>Código<td>1020<tr><th>Motivo<td>Acceso denegado: tráfico inusual desde su red</table>",
            &[BlocksTor],
        ),
        // Shapes that are drawn by scripts: an empty root with state in it, a frame of links to nothing but
        // styles, a word in another language.
        (
            "<title>Marktplaats</title><link rel=stylesheet href=a.css><div id=__next></div>\
             <script id=__NEXT_DATA__ type=application/json>{\"ads\":[{\"title\":\"ivory\"}]}</script>",
            &[NeedsJavascript],
        ),
        (
            "<body onload=go()><script type=module src=/assets/index-4f2a.js></script><app-root></app-root>\
             <noscript><strong>We're sorry but shop doesn't work properly without JavaScript enabled.</strong></noscript>",
            &[NeedsJavascript],
        ),
        (
            "<main><h1>Tweedehands</h1><p>Om deze site te gebruiken moet u JavaScript inschakelen.</main>",
            &[NeedsJavascript],
        ),
    ] {
        assert_eq!(found(page), obstacles, "{page}");
    }
}

/// The same words and fields on a page that shows something are no obstacle.
#[test]
fn a_page_that_was_shown_is_none() {
    let offers: String =
        (0..40).map(|i| format!("<p><a href=/offer/{i}>Lot {i}, ivory, carved, 12 cm</a></p>")).collect();
    for part in [
        "<form><input name=u><input type=password name=p></form>",
        "<form><input name=comment><img src=/captcha.png></form>",
        "<p>Please wait for our answer; you are in the queue once you paid.",
        "<noscript>Some parts need JavaScript: please enable it.</noscript><script src=a.js></script>",
        "<p>Tor browser users: proxies and VPNs are blocked at checkout.",
    ] {
        assert_eq!(found(&format!("<h1>Offers</h1>{part}{offers}")), [], "{part}");
        assert_ne!(found(part), [], "alone it is one: {part}");
    }
    for page in [
        "<h1>404</h1><p>Nothing here.",
        "<title>Shop</title><h1>Welcome</h1><p>Two lots today.<p><a href=/a>One</a>",
        "<form><input name=q></form><p>Search",
        "<p>We ship by post, not by proxy.",
        "<p>Order in line with the law.<a href=1>1</a><a href=2>2</a><a href=3>3</a><a href=4>4</a>",
        "<img src=photo.jpg><script src=zoom.js></script>",
        "",
    ] {
        assert_eq!(found(page), [], "{page}");
    }
    // Only what a reader sees counts.
    assert_eq!(
        found("<p>Two lots today.<script>var s = 'are you a robot? captcha';</script><form><input name=q></form>"),
        []
    );
}

/// Whole pages of all sorts: only the login with its puzzle and the gate are obstacles.
#[test]
fn ordinary_pages_are_none() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reading/pages");
    let mut seen = 0;
    for folder in [folder.clone(), folder.join("later")] {
        for entry in std::fs::read_dir(folder).expect("pages") {
            let path = entry.expect("a page").path();
            if path.extension().is_none_or(|end| end != "html") {
                continue;
            }
            seen += 1;
            let obstacles = vigie_parse::page(&document(std::fs::read(&path).expect("a page"))).obstacles;
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let expected: &[Obstacle] = match name.as_str() {
                "login-en.html" => &[Captcha, Login],
                "gate-en.html" => &[WaitingRoom],
                _ => &[],
            };
            assert_eq!(obstacles, expected, "{name}");
        }
    }
    assert!(seen > 30, "{seen}");
}

proptest! {
    /// Any words in any order: never a panic, and never the same obstacle twice.
    #[test]
    fn any_page(parts in prop::collection::vec("(<[a-z]{1,8}( [a-z]{1,6}=[a-z]{0,9}){0,2}>|captcha |please wait |javascript |enable |tor exit |blocked |<input type=password>|[ -~]{0,20})", 0..40)) {
        let page = html(&parts.concat());
        let mut seen = page.obstacles.clone();
        seen.dedup();
        prop_assert_eq!(seen, page.obstacles);
    }
}
