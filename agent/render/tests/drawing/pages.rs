//! What a page looks like.

use vigie_render::{RENDERERS, TILE_HEIGHT, WIDTH, WINDOW_HEIGHT};
use vigie_wire::draw::CannotDraw;

use crate::kit::{at, count, document, draw, order, pixels, plain_png, try_draw, warned, with, withheld};

const RED: [u8; 3] = [220, 0, 0];
const GREEN: [u8; 3] = [0, 160, 0];
const BLUE: [u8; 3] = [0, 0, 220];
const BLACK: [u8; 3] = [0, 0, 0];
const WHITE: [u8; 3] = [255, 255, 255];

#[test]
fn text_styles_and_boxes_are_where_they_belong() {
    let html = "<!doctype html><link rel=stylesheet href=/a.css><body><h1>Carved figure</h1><div class=a></div>\
                <div style='position:absolute;left:600px;top:300px;width:50px;height:50px;background:#0000dc'></div>";
    let css = "body{margin:0} h1{margin:0;font:40px Arial} .a{width:100px;height:100px;background:#00a000}";
    let picture = draw(with(order(html), "a.css", "text/css", css));
    assert_eq!((picture.width, picture.height, picture.tiles.len()), (WIDTH, WINDOW_HEIGHT, 1));
    assert!(picture.warnings.is_empty(), "{:?}", picture.warnings);
    let (pixels, height) = pixels(&picture, 0);
    assert_eq!(height, WINDOW_HEIGHT);
    let ink = count(&pixels, (0, 0), (300, 46), BLACK);
    assert!((800..5_000).contains(&ink), "{ink}");
    assert_eq!(count(&pixels, (0, 60), (100, 60), GREEN), 6_000);
    assert_eq!(at(&pixels, 101, 100), WHITE);
    assert_eq!(count(&pixels, (600, 300), (50, 50), BLUE), 2_500);
    // Without the stylesheet it looks otherwise, and says so.
    let bare = draw(order(html));
    assert_eq!(count(&self::pixels(&bare, 0).0, (0, 60), (100, 60), GREEN), 0);
    assert!(warned(&bare, "stylesheet http://market.test/a.css: not recorded"), "{:?}", bare.warnings);
}

#[test]
fn old_attributes_count_and_a_rule_overrides_them() {
    let html = "<body bgcolor=#00a000 text=white><style>.r{color:#dc0000}</style>\
                <table border=3 cellpadding=20 bgcolor=blue><tr><td valign=top><font color=red size=7>MMMM</font>\
                <td><font color=blue class=r size=7>MMMM</font></table>";
    let (pixels, _) = pixels(&draw(order(html)), 0);
    assert_eq!(at(&pixels, 1_000, 700), GREEN);
    assert!(count(&pixels, (8, 8), (400, 90), [255, 0, 0]) > 500);
    assert!(count(&pixels, (8, 8), (400, 90), RED) > 1_000, "both words are red");
    assert!(count(&pixels, (8, 8), (400, 3), [128, 128, 128]) > 300, "a border");
}

#[test]
fn pictures_show_and_what_is_missing_is_a_box() {
    let html = "<body style='margin:0'><img src=/a.png width=100 height=100><img src=/held.png width=200 height=100>\
                <img src=/gone.png width=200 height=100 alt='ivory tusk'><img src=/404.png>";
    let page = with(order(html), "a.png", "image/png", plain_png(10, 10, RED));
    let picture = draw(withheld(page, "held.png", "withheld by the mandate, sha256:00ff, 7 bytes"));
    let (pixels, _) = pixels(&picture, 0);
    assert_eq!(count(&pixels, (1, 1), (98, 98), RED), 98 * 98);
    for left in [105, 310] {
        let (grey, ink) = ([238; 3], [34; 3]);
        assert!(count(&pixels, (left, 2), (190, 96), grey) > 12_000, "a box at {left}");
        assert!(count(&pixels, (left, 2), (190, 60), ink) > 80, "with words at {left}");
    }
    assert!(warned(&picture, "picture http://market.test/held.png: withheld by the mandate, sha256:00ff, 7 bytes"));
    assert!(warned(&picture, "picture http://market.test/gone.png: not recorded"));
}

#[test]
fn nothing_of_the_page_runs_or_is_asked_for() {
    let html = "<script>document.body.style.background='red'</script><noscript><p style='color:#00a000'>MMMMMMMM\
                </noscript><img src=x onerror=\"this.style='background:red'\"><iframe src=http://elsewhere.test/></iframe>\
                <img src=file:///etc/passwd><style>@import 'file:///etc/passwd'; body{background:url(http://elsewhere.test/)}\
                @font-face{font-family:a;src:url(/f.ttf)}</style>";
    let page = with(order(html), "f.ttf", "font/ttf", *b"\0\x01\0\0 no font");
    let picture = draw(page);
    let (pixels, _) = pixels(&picture, 0);
    assert!(count(&pixels, (0, 0), (120, 120), GREEN) > 60);
    assert_eq!(count(&pixels, (0, 0), (WIDTH, WINDOW_HEIGHT), [255, 0, 0]), 0);
    assert!(warned(&picture, "element http://elsewhere.test/: not recorded"), "{:?}", picture.warnings);
    assert!(warned(&picture, "font(s) of the page itself not used") && warned(&picture, "1 frame(s) not drawn"));
    assert!(warned(&picture, "file:///etc/passwd: not recorded"), "{:?}", picture.warnings);
}

#[test]
fn a_tall_page_goes_on_in_another_picture() {
    let html = format!(
        "<body style='margin:0'><div style='height:{}px;background:#dc0000'></div><div style='height:100px;background:#00a000'>\
         </div>",
        TILE_HEIGHT - 50
    );
    let picture = draw(order(html));
    let tiles: Vec<_> = picture.tiles.iter().map(|tile| (tile.top, tile.height)).collect();
    assert_eq!(tiles, [(0, TILE_HEIGHT), (TILE_HEIGHT, 50)]);
    assert_eq!(picture.height, TILE_HEIGHT + 50);
    let ((first, _), (second, _)) = (pixels(&picture, 0), pixels(&picture, 1));
    // Bands meet without a seam.
    assert_eq!(count(&first, (0, 4_000), (WIDTH, 200), RED), WIDTH * 200);
    assert_eq!(at(&first, 7, TILE_HEIGHT - 51), RED);
    assert_eq!(at(&first, 7, TILE_HEIGHT - 50), GREEN);
    assert_eq!(count(&second, (0, 0), (WIDTH, 50), GREEN), WIDTH * 50);
}

/// Text that crosses a band is the same as text that does not.
#[test]
fn bands_do_not_show() {
    let html = |above: u32| {
        format!(
            "<body style='margin:0'><div style='height:{above}px'></div><div style='font:40px Arial;height:200px'>Ivory é ★</div>"
        )
    };
    let (across, _) = pixels(&draw(order(html(4_080))), 0);
    let (whole, _) = pixels(&draw(order(html(3_000))), 0);
    let row = WIDTH as usize * 3;
    // Rounding may differ by a level, as it does between any two places of a page.
    let (one, other) = (&across[4_080 * row..4_160 * row], &whole[3_000 * row..3_080 * row]);
    assert!(one.iter().zip(other).all(|(a, b)| a.abs_diff(*b) <= 2));
    assert!(count(&whole, (0, 3_000), (300, 60), BLACK) > 300);
}

#[test]
fn the_same_bytes_give_the_same_picture() {
    let html = "<style>a{color:red}p{float:left;border-radius:9px;box-shadow:0 0 9px #888;background:linear-gradient(red,blue)}\
                </style><style>a{color:green}</style><link rel=stylesheet href=/a.css><link rel=stylesheet href=/b.css>"
        .to_owned()
        + &"<p><a href=/x>Ivory <i>figure</i> ελληνικά</a> <img src=/a.png>".repeat(50);
    let page = || {
        let page = with(order(html.clone()), "a.css", "text/css", "a{font-size:20px}");
        let page = with(page, "b.css", "text/css", "a{font-size:21px} p{padding:3px}");
        with(page, "a.png", "image/png", plain_png(30, 30, BLUE))
    };
    let first = draw(page());
    for _ in 0..5 {
        assert!(draw(page()) == first);
    }
    // Beside others, on threads.
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| draw(page()))).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == first));
    });
}

#[test]
fn a_picture_says_what_drew_it() {
    let facts = draw(order("<p>x")).facts;
    let all = |name: &str| facts.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect::<Vec<_>>();
    assert_eq!(all("renderer"), [format!("vigie-render {}", env!("CARGO_PKG_VERSION"))]);
    assert_eq!(all("font").len(), 10);
    assert!(all("font").iter().all(|font| font.rsplit_once("sha256:").is_some_and(|(_, digest)| digest.len() == 64)));
    assert!(!all("renderer-simd")[0].is_empty());
    // The releases are those that the workspace is built with.
    let lock: toml::Table = include_str!("../../../../Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    for (name, version) in RENDERERS {
        let found: Vec<_> =
            packages.iter().filter(|p| p["name"].as_str() == Some(name)).map(|p| p["version"].as_str()).collect();
        assert_eq!(found, [Some(version)], "{name}");
        assert!(all("renderer-part").contains(&format!("{name} {version}")));
    }
}

#[test]
fn forms_lists_and_closed_details() {
    let html = "<body style='margin:0;font:20px Arial'><select><option>one<option selected>MMMM</select>\
                <input value=MMMM><input type=checkbox checked><input type=submit value=MMMM>\
                <details><summary>s</summary>MMMMMMMM<p>MMMM</details><div id=end style='background:#dc0000;height:9px'></div>";
    let (pixels, _) = pixels(&draw(order(html)), 0);
    assert!(count(&pixels, (0, 0), (900, 40), BLACK) > 500);
    let end = (0..200).find(|y| at(&pixels, 5, *y) == RED).unwrap();
    assert!(end < 90, "what is closed takes no room: {end}");
}

#[test]
fn what_is_no_page_is_not_drawn() {
    let mut page = order("");
    page.page = document("http://market.test/a", "image/png", plain_png(1, 1, RED));
    assert_eq!(try_draw(page), Err(CannotDraw::NotHtml));
    // An empty page is a white one.
    let picture = draw(order(""));
    assert_eq!(count(&pixels(&picture, 0).0, (0, 0), (WIDTH, WINDOW_HEIGHT), WHITE), WIDTH * WINDOW_HEIGHT);
}
