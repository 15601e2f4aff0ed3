//! Content codings (RFC 9110 §8.4): taken off, chained, cut, lying, and bombs.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use vigie_parse::page;
use vigie_wire::limits::{DECODED_BODY_BYTES, PARSE_BODY_BYTES};
use vigie_wire::parse::{Document, Page, PageKind};

use crate::fixture::{links, typed};

const HTML: &[u8] = b"<!DOCTYPE html><title>Offers</title><a href=/offer/1>one</a>";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut out = DeflateEncoder::new(Vec::new(), Compression::default());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    {
        let mut writer = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
        writer.write_all(plain).unwrap();
    }
    out
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).unwrap()
}

fn coded(coding: &str, body: impl Into<Vec<u8>>) -> Document {
    Document {
        content_encoding: Some(coding.as_bytes().to_vec().into()),
        ..typed("text/html; charset=utf-8", body.into())
    }
}

fn warned(page: &Page, text: &str) -> bool {
    page.warnings.iter().any(|line| line.contains(text))
}

#[test]
fn every_coding_is_taken_off() {
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("gzip", gzip(HTML), "gzip"),
        ("x-gzip", gzip(HTML), "gzip"),
        ("GZip", gzip(HTML), "gzip"),
        (" gzip , ", gzip(HTML), "gzip"),
        ("identity, gzip", gzip(HTML), "gzip"),
        ("deflate", zlib(HTML), "deflate"),
        ("deflate", raw_deflate(HTML), "deflate"),
        ("br", brotli(HTML), "br"),
        ("zstd", zstd(HTML), "zstd"),
        ("gzip, br", brotli(&gzip(HTML)), "gzip, br"),
        ("zstd,deflate", zlib(&zstd(HTML)), "zstd, deflate"),
        ("br, zstd, gzip, deflate", zlib(&gzip(&zstd(&brotli(HTML)))), "br, zstd, gzip, deflate"),
        ("gzip", [gzip(&HTML[..20]), gzip(&HTML[20..])].concat(), "gzip"),
        ("zstd", [zstd(&HTML[..20]), zstd(&HTML[20..])].concat(), "zstd"),
        ("identity", HTML.to_vec(), "identity"),
        ("", HTML.to_vec(), "identity"),
    ];
    for (coding, body, from) in cases {
        let page = page(&coded(coding, body));
        assert_eq!(page.decoded_from, from, "{coding:?}");
        assert_eq!(page.title, "Offers", "{coding:?}");
        assert_eq!(links(&page), ["http://market.test/offer/1"], "{coding:?}");
        assert_eq!(page.warnings, Vec::<String>::new(), "{coding:?}");
    }
}

#[test]
fn what_is_no_coding_is_read_as_it_is() {
    let chain = ["gzip"; 5].join(",");
    for (coding, body, warning) in [
        ("gzip", HTML.to_vec(), "is not gzip"),
        ("br", HTML.to_vec(), "is not br"),
        ("zstd", HTML.to_vec(), "is not zstd"),
        ("zebra", HTML.to_vec(), "\"zebra\" is not known"),
        ("gzip, zebra", HTML.to_vec(), "is not known"),
        (&chain, HTML.to_vec(), "more than 4 content codings"),
    ] {
        let page = page(&coded(coding, body));
        assert_eq!((page.decoded_from.as_str(), page.title.as_str()), ("identity", "Offers"), "{coding}");
        assert!(warned(&page, warning), "{coding}: {:?}", page.warnings);
    }
}

/// Whatever is cut off, what came before is read, and said to be a part.
#[test]
fn a_cut_body_is_read_as_far_as_it_goes() {
    let long: Vec<u8> = (0..20_000)
        .flat_map(|n: u32| format!("<a href=/offer/{}>", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect();
    for (coding, body) in
        [("gzip", gzip(&long)), ("deflate", zlib(&long)), ("br", brotli(&long)), ("zstd", zstd(&long))]
    {
        let half = body[..body.len() / 2].to_vec();
        let page = page(&Document { cut: true, ..coded(coding, half) });
        assert!(page.links.len() > 1_000, "{coding}: {}", page.links.len());
        assert!(warned(&page, &format!("stops being {coding} after")), "{coding}: {:?}", page.warnings);
        assert!(warned(&page, "the body is not whole"));
    }
}

#[test]
fn garbage_after_the_coding_is_told() {
    let page = page(&coded("gzip", [gzip(HTML), b"garbage".to_vec()].concat()));
    assert_eq!(page.title, "Offers");
    assert!(warned(&page, "stops being gzip after"), "{:?}", page.warnings);
}

/// 10 GB of zeros in the first coding; then as much in the middle of a chain whose end is small.
#[test]
fn bombs_end_at_the_limit() {
    let zeros = vec![0u8; 16 << 20];
    // A full flush forgets the window, so that the block can stand any number of times.
    let mut block = Vec::new();
    let mut compress = flate2::Compress::new(Compression::best(), false);
    block.reserve(64 << 10);
    compress.compress_vec(&zeros, &mut block, flate2::FlushCompress::Full).unwrap();
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    (0..640).for_each(|_| bomb.extend_from_slice(&block));
    assert!(bomb.len() > PARSE_BODY_BYTES, "so big that not even all of it is read");
    let cases = [
        ("gzip", bomb.clone()),
        ("gzip", bomb[..4 << 20].to_vec()),
        ("br", brotli(&vec![0; 40 << 20])),
        ("zstd", zstd(&vec![0; 40 << 20])),
        ("deflate", zlib(&vec![0; 40 << 20])),
        ("gzip, gzip", gzip(&bomb[..6 << 20])),
        ("br, gzip", gzip(&brotli(&vec![0; 40 << 20]))),
        ("gzip, br", brotli(&gzip(&vec![0; 40 << 20]))),
        ("gzip, zstd", zstd(&gzip(&vec![0; 40 << 20]))),
        // The middle is too big, although almost nothing comes out: a frame to skip (RFC 8878 §3.1.2).
        ("zstd, deflate", zlib(&[&b"\x50\x2a\x4d\x18\x00\x00\x80\x02"[..], &[0; 40 << 20], &zstd(HTML)].concat())),
    ];
    for (coding, body) in cases {
        let page = page(&coded(coding, body));
        let said = warned(&page, &format!("decoding {coding} gives more than {DECODED_BODY_BYTES} bytes"));
        assert!(said, "{coding}: {:?}", page.warnings);
    }
}

#[test]
fn a_document_may_set_a_lower_limit_and_no_higher_one() {
    let body = [b"<title>x</title>".to_vec(), vec![b' '; 1_000]].concat();
    for (limit, whole) in [(16, false), (100, false), (1_016, true), (u32::MAX, true)] {
        for coding in ["", "gzip"] {
            let body = if coding.is_empty() { body.clone() } else { gzip(&body) };
            let page = page(&Document { decoded_bytes: limit, ..coded(coding, body) });
            assert_eq!(page.title, "x", "{limit} {coding}");
            assert_eq!(page.warnings.is_empty(), whole, "{limit} {coding}: {:?}", page.warnings);
        }
    }
    let high = Document { decoded_bytes: u32::MAX, ..coded("gzip", gzip(&vec![b' '; DECODED_BODY_BYTES + 1])) };
    assert!(warned(&page(&high), "gives more than"));
}

#[test]
fn a_longer_body_than_agreed_is_cut() {
    let body = [vec![b' '; PARSE_BODY_BYTES], b"<a href=/late>".to_vec()].concat();
    let page = page(&typed("text/html", body));
    assert_eq!(page.kind, PageKind::Html);
    assert!(page.links.is_empty() && warned(&page, "longer than"), "{:?}", page.warnings);
}

#[test]
fn no_body_is_no_broken_coding() {
    assert_eq!(page(&coded("gzip", Vec::new())).warnings, Vec::<String>::new());
}

/// Hundreds of thousands of parts that hold nothing.
#[test]
fn empty_parts_do_not_add_up() {
    for (coding, part) in [("gzip", gzip(b"")), ("zstd", zstd(b""))] {
        let count = (1 << 20) / part.len();
        let body = [part.repeat(count), if coding == "gzip" { gzip(HTML) } else { zstd(HTML) }].concat();
        assert_eq!(page(&coded(coding, body)).title, "Offers", "{coding}");
    }
}
