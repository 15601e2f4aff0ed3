//! Pages that want the renderer's time, memory or life.

use proptest::prelude::*;
use vigie_render::{ELEMENTS, PAGE_HEIGHT, TEXT, WIDTH};
use vigie_wire::draw::CannotDraw;
use vigie_wire::limits::PICTURE_BYTES;

use crate::kit::{draw, order, plain_png, try_draw, warned, with};

#[test]
fn a_million_elements() {
    let error = try_draw(order("<p>x".repeat(1_000_000))).unwrap_err();
    assert!(matches!(error, CannotDraw::Elements { most: ELEMENTS, .. }), "{error}");
    let text = "x ".repeat(TEXT as usize / 2 + 10);
    assert!(matches!(try_draw(order(format!("<p>{text}"))), Err(CannotDraw::Text { most: TEXT, .. })));
}

#[test]
fn what_is_nested_deep() {
    for open in ["<table><tr><td>", "<div>", "<div style=display:flex>", "<div style=display:grid>", "<b>", "<ul><li>"]
    {
        let picture = draw(order(format!("{}deep", open.repeat(2_000))));
        assert!(warned(&picture, "nested very deep"), "{open}: {:?}", picture.warnings);
    }
    // As deep as an honest page is drawn as it is.
    let picture = draw(order(format!("{}deep", "<div style=display:flex>".repeat(60))));
    assert!(picture.warnings.is_empty());
}

#[test]
fn sizes_beyond_measure() {
    for style in
        ["height:1e9px", "height:1e38px;width:1e38px", "margin-top:-1e38px", "transform:scale(1e30)", "font-size:1e9px"]
    {
        let picture = draw(order(format!("<div style='{style};border:1px solid red'>x</div>")));
        let drawn: u32 = picture.tiles.iter().map(|tile| tile.height).sum();
        assert!(drawn <= PAGE_HEIGHT && picture.width == WIDTH, "{style}: {drawn}");
        assert_eq!(drawn < picture.height, warned(&picture, "pixels high: what lies below"), "{style}");
    }
    let cells = format!("<table>{}</table>", "<tr><td colspan=99999 rowspan=99999>x".repeat(20));
    // Whatever comes of it, it ends.
    let _ = try_draw(order(cells));
    let _ = try_draw(order("<div style='display:grid;grid-template-columns:repeat(1000000,1px)'><p>x</div>"));
}

#[test]
fn drawings_and_fonts_are_left_alone() {
    let svg = format!("<svg width=50 height=50>{}</svg><p>after", "<g><use href=#a /><use href=#a />".repeat(5_000));
    let picture = draw(order(svg));
    assert!(warned(&picture, "1 drawing(s) inside the page (SVG) not drawn"), "{:?}", picture.warnings);
    let page = with(order("<img src=/a.svg>"), "a.svg", "image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>");
    assert!(warned(&draw(page), "a.svg: SVG is not drawn"));
    let fonts: String = (0..300).map(|n| format!("@font-face{{font-family:f{n};src:url(/f{n}.ttf)}}")).collect();
    let mut page = order(format!("<style>{fonts} p{{font-family:f7}}</style><p>text"));
    for number in 0..300 {
        page = with(page, &format!("f{number}.ttf"), "application/octet-stream", *b"\0\x01\0\0\xff\xff\xff\xff");
    }
    let picture = draw(page);
    assert!(warned(&picture, "300 font(s) of the page itself not used"), "{:?}", picture.warnings);
}

#[test]
fn pictures_that_unpack_to_much() {
    // 16,000 x 16,000 of one colour: a few hundred kilobytes of file.
    let mut bomb = Vec::new();
    let mut encoder = png::Encoder::new(&mut bomb, 16_000, 16_000);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![0; 2_000 * 16_000]).unwrap();
    writer.finish().unwrap();
    let picture = draw(with(order("<img src=/a.png><p style='background:url(/a.png)'>x"), "a.png", "image/png", bomb));
    assert!(warned(&picture, "a.png: 16000 x 16000 pixels are too many"), "{:?}", picture.warnings);
    // Many that are sound, each.
    let mut page = order((0..20).map(|n| format!("<img src=/{n}.png width=9 height=9>")).collect::<String>());
    for number in 0..20 {
        page = with(page, &format!("{number}.png"), "image/png", plain_png(1_400, 1_400, [number, 0, 0]));
    }
    let picture = draw(page);
    assert!(warned(&picture, "the page's pictures have more than 24000000 pixels"), "{:?}", picture.warnings);
    // One that is large is drawn from a copy; one that lies about its size is a box.
    let page = with(order("<img src=/a.png width=50>"), "a.png", "image/png", plain_png(3_000, 2_000, [1, 2, 3]));
    assert!(warned(&draw(page), "1 picture(s) of more than 2,000,000 pixels drawn from a smaller copy"));
    let cut = plain_png(500, 500, [1, 2, 3])[..60].to_vec();
    assert!(warned(&draw(with(order("<img src=/a.png>"), "a.png", "image/png", cut)), "a.png: it cannot be read"));
}

#[test]
fn stylesheets_without_end() {
    let page = with(
        order("<link rel=stylesheet href=/a.css><p>x"),
        "a.css",
        "text/css",
        "@import '/a.css?1'; @import '/a.css';",
    );
    assert!(warned(&draw(page), "a.css?1: not recorded"));
    let css = ".a b:nth-child(2n+1) > c{color:red}\n".repeat(70_000);
    let page = with(order("<link rel=stylesheet href=/a.css><p>x"), "a.css", "text/css", css);
    assert!(warned(&draw(page), "stylesheet(s) left out: more than 2 MiB in all"));
    let doubling: String = (0..40).map(|n| format!(":root{{--a{}:var(--a{n}) var(--a{n})}}", n + 1)).collect();
    let _ = draw(order(format!("<style>:root{{--a0:aaaaaaaa}}{doubling}p{{font-family:var(--a40)}}</style><p>x")));
}

#[test]
fn a_picture_has_a_largest_size() {
    // Noise as a background, over and over: nothing of it compresses.
    let mut state = 7u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 1_280, 1_500);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&(0..1_280 * 1_500 * 3).map(|_| noise()).collect::<Vec<_>>()).unwrap();
    writer.finish().unwrap();
    let page = order("<body style='margin:0'><div style='height:16000px;background:url(/n.png)'>");
    let error = try_draw(with(page, "n.png", "image/png", png)).unwrap_err();
    assert_eq!(error, CannotDraw::Size { most: PICTURE_BYTES as u32 });
}

const PIECES: [&str; 40] = [
    "<table>",
    "<tr>",
    "<td colspan=3>",
    "</table>",
    "<div style='float:left'>",
    "<div style='display:flex'>",
    "</div>",
    "<select>",
    "<option>",
    "</select>",
    "<details>",
    "<summary>",
    "</details>",
    "<img src=/a.png>",
    "<img>",
    "<svg>",
    "<math>",
    "</svg>",
    "<style>p{display:grid}</style>",
    "<style>",
    "*{position:absolute;inset:0}",
    "</style>",
    "<input type=checkbox>",
    "<textarea>",
    "</textarea>",
    "<p>",
    "<b>",
    "</b>",
    "<a href=x>",
    "text \u{301}\u{202e} é",
    "<br>",
    "<title>",
    "<li>",
    "<frameset>",
    "<frame src=x>",
    "<iframe>",
    "<template>",
    "<body background=x>",
    "<div style='columns:3;position:fixed'>",
    "<ruby><rt>",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A page of any pieces in any order gives a picture within the limits, the same each time.
    #[test]
    fn any_pieces(places in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let html: String = places.iter().map(|place| PIECES[*place]).collect();
        let page = || with(order(html.clone()), "a.png", "image/png", plain_png(3, 3, [9, 9, 9]));
        match try_draw(page()) {
            Ok(picture) => {
                prop_assert!(picture.tiles.iter().map(|tile| tile.height).sum::<u32>() <= PAGE_HEIGHT);
                prop_assert!(try_draw(page()) == Ok(picture));
            }
            Err(error) => prop_assert!(false, "{error}: {html}"),
        }
    }

    /// Any bytes as a page, a stylesheet and a picture.
    #[test]
    fn any_bytes(page in proptest::collection::vec(any::<u8>(), 0..600), sheet in proptest::collection::vec(any::<u8>(), 0..300), image in proptest::collection::vec(any::<u8>(), 0..300)) {
        let html = [&b"<link rel=stylesheet href=/a.css><img src=/a.png>"[..], &page].concat();
        let image = [&b"\x89PNG\r\n\x1a\n"[..], &image].concat();
        let order = with(with(order(html), "a.css", "text/css", sheet), "a.png", "image/png", image);
        let drawn = try_draw(order);
        prop_assert!(!matches!(drawn, Err(CannotDraw::Failed(_))), "{drawn:?}");
    }
}
