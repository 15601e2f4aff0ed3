//! A TrueType font made at run time (OpenType 1.9, chapter "Font file"): every capital letter is
//! the same square. Small, whole, and nobody's work.

/// Design units per em.
const EM: i16 = 1000;
/// Glyphs: the missing one and the square; both are the same outline.
const GLYPHS: u16 = 2;

/// The font file.
pub(super) fn squares() -> Vec<u8> {
    let glyph = glyph();
    let glyph_len = u32::try_from(glyph.len()).expect("the outline has some dozen bytes");
    let mut tables: Vec<(&[u8; 4], Vec<u8>)> = vec![
        (b"OS/2", os2()),
        (b"cmap", cmap()),
        (b"glyf", glyph),
        (b"head", head()),
        (b"hhea", words(&[1, 0, EM, 0, 0, EM, 0, 0, EM, 1, 0, 0, 0, 0, 0, 0, 0, GLYPHS as i16])),
        (b"hmtx", words(&[EM, 0, EM, 0])),
        // Both glyphs share one outline: the first is empty, the second is it (long offsets).
        (b"loca", [0_u32, 0, glyph_len].iter().flat_map(|o| o.to_be_bytes()).collect()),
        (b"maxp", words(&[1, 0, GLYPHS as i16, 4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])),
        (b"name", name()),
        (b"post", [&0x0003_0000_u32.to_be_bytes()[..], &[0; 28]].concat()),
    ];
    let mut font = assemble(&tables);
    // `checkSumAdjustment` makes the sum of the whole file a fixed number ("head" table).
    let adjustment = 0xb1b0_afba_u32.wrapping_sub(checksum(&font));
    if let Some((_, head)) = tables.iter_mut().find(|(tag, _)| *tag == b"head") {
        head[8..12].copy_from_slice(&adjustment.to_be_bytes());
    }
    // The directory keeps the sum that "head" has with a zero there.
    let directory = font[..12 + 16 * tables.len()].to_vec();
    font = assemble(&tables);
    font[..directory.len()].copy_from_slice(&directory);
    font
}

fn assemble(tables: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let count = tables.len() as u16;
    let power = count.ilog2();
    let range = (1_u16 << power) * 16;
    let mut directory = 0x0001_0000_u32.to_be_bytes().to_vec();
    for word in [count, range, power as u16, count * 16 - range] {
        directory.extend_from_slice(&word.to_be_bytes());
    }
    let mut data = Vec::new();
    for (tag, table) in tables {
        let offset = 12 + 16 * tables.len() + data.len();
        directory.extend_from_slice(*tag);
        for word in [checksum(table), offset as u32, table.len() as u32] {
            directory.extend_from_slice(&word.to_be_bytes());
        }
        data.extend_from_slice(table);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    directory.extend_from_slice(&data);
    directory
}

/// Sum of big-endian words, the last one filled with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.chunks(4).fold(0_u32, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u32::from_be_bytes(word))
    })
}

fn words(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// One contour of four points on the curve.
fn glyph() -> Vec<u8> {
    let mut glyph = words(&[1, 100, 0, 900, 800, 3, 0]);
    glyph.extend_from_slice(&[1, 1, 1, 1]); // All on the curve, 16-bit deltas.
    glyph.extend_from_slice(&words(&[100, 0, 800, 0]));
    glyph.extend_from_slice(&words(&[0, 800, 0, -800]));
    glyph
}

fn head() -> Vec<u8> {
    let mut head = Vec::new();
    head.extend_from_slice(&0x0001_0000_u32.to_be_bytes());
    head.extend_from_slice(&0x0001_0000_u32.to_be_bytes());
    head.extend_from_slice(&[0; 4]); // checkSumAdjustment
    head.extend_from_slice(&0x5f0f_3cf5_u32.to_be_bytes());
    head.extend_from_slice(&words(&[0b1011, EM]));
    head.extend_from_slice(&[0; 16]); // Created, modified: 1904.
    // Bounds, style, smallest size, direction, long offsets in "loca", glyph data format.
    head.extend_from_slice(&words(&[100, 0, 900, 800, 0, 8, 2, 1, 0]));
    head
}

/// Format 4: U+0041 … U+005A are glyph 1 (through an array, since all are the same glyph).
fn cmap() -> Vec<u8> {
    let (first, last) = (0x41_i16, 0x5a_i16);
    let letters = last - first + 1;
    let length = 16 + 8 * 2 + 2 * letters;
    let mut cmap = words(&[0, 1, 3, 1, 0, 12]);
    cmap.extend_from_slice(&words(&[4, length, 0, 4, 4, 1, 0, last, -1, 0, first, -1, 0, 1, 4, 0]));
    cmap.extend_from_slice(&words(&vec![1; letters as usize]));
    cmap
}

fn os2() -> Vec<u8> {
    let mut os2 = words(&[4, EM, 400, 5, 0, 650, 600, 0, 75, 650, 600, 0, 350, 50, 300, 0]);
    os2.extend_from_slice(&[0; 10]); // PANOSE: any.
    os2.extend_from_slice(&[0, 0, 0, 1]); // Basic Latin.
    os2.extend_from_slice(&[0; 12]);
    os2.extend_from_slice(b"NONE");
    os2.extend_from_slice(&words(&[0x40, 0x41, 0x5a, 800, 0, 200, 900, 200]));
    os2.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
    os2.extend_from_slice(&words(&[500, 800, 0, 0x20, 0]));
    os2
}

fn name() -> Vec<u8> {
    let text: Vec<u8> = "Squares".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut name = words(&[0, 1, 6 + 12, 3, 1, 0x409, 1, text.len() as i16, 0]);
    name.extend_from_slice(&text);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_sums_up_as_the_format_asks() {
        let font = squares();
        assert_eq!(checksum(&font), 0xb1b0_afba);
        for (table, len) in [(head(), 54), (os2(), 96), (cmap(), 12 + 16 + 16 + 52)] {
            assert_eq!(table.len(), len);
        }
        assert_eq!(font.len() % 4, 0);
    }
}
