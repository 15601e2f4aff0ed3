//! Pictures made at run time: a PNG (RFC 2083) and a baseline JPEG (ITU-T T.81) of coloured
//! squares that depend on a seed.

use std::io::Write;

/// Colour of a square, red, green, blue.
fn colour(seed: u32, x: u32, y: u32) -> [u8; 3] {
    let mut state = seed.wrapping_mul(2_654_435_761) ^ (x * 73_856_093) ^ (y * 19_349_663);
    state ^= state >> 13;
    state = state.wrapping_mul(1_274_126_177);
    let [r, g, b, _] = state.to_le_bytes();
    [r / 2 + 96, g / 2 + 80, b / 2 + 64]
}

/// A PNG of `squares` × `squares` squares of 8 pixels.
pub(super) fn png(seed: u32, squares: u32) -> std::io::Result<Vec<u8>> {
    let side = squares * 8;
    let mut raw = Vec::new();
    for y in 0..side {
        raw.push(0); // Filter type: none.
        for x in 0..side {
            raw.extend_from_slice(&colour(seed, x / 8, y / 8));
        }
    }
    let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    coder.write_all(&raw)?;
    let data = coder.finish()?;

    let mut header = Vec::new();
    header.extend_from_slice(&side.to_be_bytes());
    header.extend_from_slice(&side.to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]); // 8 bits, RGB, deflate, adaptive, not interlaced.
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", data), (b"IEND", Vec::new())] {
        png.extend_from_slice(&u32::try_from(data.len()).map_err(std::io::Error::other)?.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(&data);
        png.extend_from_slice(kind);
        png.extend_from_slice(&data);
        png.extend_from_slice(&crc.sum().to_be_bytes());
    }
    Ok(png)
}

/// Code lengths of T.81 table K.3 (luminance DC): how many codes have 1, 2, … 16 bits.
const DC_LENGTHS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];

/// A JPEG of `squares` × `squares` flat squares of 8 pixels: only DC coefficients, so that each
/// block is one Huffman code, its bits and the end-of-block code.
pub(super) fn jpeg(seed: u32, squares: u16) -> Vec<u8> {
    let mut jpeg = vec![0xff, 0xd8]; // SOI
    let mut segment = |marker: u8, data: &[u8]| {
        jpeg.extend_from_slice(&[0xff, marker]);
        let len = u16::try_from(data.len() + 2).expect("a segment here has at most some hundred bytes");
        jpeg.extend_from_slice(&len.to_be_bytes());
        jpeg.extend_from_slice(data);
    };
    segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    // Quantisation: 8 for DC makes one step one grey level (the DC is 8 times the mean).
    segment(0xdb, &[&[0_u8][..], &[8; 64]].concat());
    let side = (squares * 8).to_be_bytes();
    segment(0xc0, &[8, side[0], side[1], side[0], side[1], 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    segment(0xc4, &[&[0x00][..], &DC_LENGTHS, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]].concat());
    // AC: a single code, `0`, for end of block.
    segment(0xc4, &[&[0x10_u8][..], &[1], &[0; 15], &[0]].concat());
    segment(0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 63, 0]);

    let codes = dc_codes();
    let mut bits = Bits::default();
    let mut last = [0_i32; 3];
    for y in 0..u32::from(squares) {
        for x in 0..u32::from(squares) {
            for (component, level) in ycbcr(colour(seed, x, y)).into_iter().enumerate() {
                let difference = level - last[component];
                last[component] = level;
                let size = 32 - difference.unsigned_abs().leading_zeros();
                let (code, len) = codes[size as usize];
                bits.push(code, len);
                // Negative values are written as one less in two's complement (T.81 F.1.2.1).
                let value = if difference < 0 { difference - 1 } else { difference };
                bits.push(value as u32 & ((1 << size) - 1), size);
                bits.push(0, 1);
            }
        }
    }
    jpeg.extend_from_slice(&bits.finish());
    jpeg.extend_from_slice(&[0xff, 0xd9]); // EOI
    jpeg
}

/// Level-shifted components (JFIF 1.02).
fn ycbcr([r, g, b]: [u8; 3]) -> [i32; 3] {
    let (r, g, b) = (f32::from(r), f32::from(g), f32::from(b));
    [
        (0.299 * r + 0.587 * g + 0.114 * b - 128.0).round() as i32,
        (-0.1687 * r - 0.3313 * g + 0.5 * b).round() as i32,
        (0.5 * r - 0.4187 * g - 0.0813 * b).round() as i32,
    ]
}

/// Code and length for each DC category (T.81 C.2).
fn dc_codes() -> [(u32, u32); 12] {
    let mut codes = [(0, 0); 12];
    let (mut code, mut next) = (0, 0);
    for (len, count) in (1..).zip(DC_LENGTHS) {
        for _ in 0..count {
            codes[next] = (code, len);
            next += 1;
            code += 1;
        }
        code <<= 1;
    }
    codes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u32, len: u32) {
        for shift in (0..len).rev() {
            self.held = self.held << 1 | value >> shift & 1;
            self.count += 1;
            if self.count == 8 {
                let byte = self.held as u8;
                self.bytes.push(byte);
                if byte == 0xff {
                    self.bytes.push(0); // Stuffing (T.81 B.1.1.5).
                }
                (self.held, self.count) = (0, 0);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        while self.count != 0 {
            self.push(1, 1);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_whole_and_differ() {
        let (a, b) = (png(1, 8).unwrap(), png(2, 8).unwrap());
        assert!(a.starts_with(b"\x89PNG") && a.ends_with(&[0xae, 0x42, 0x60, 0x82]));
        assert_ne!(a, b);
        let (a, b) = (jpeg(1, 8), jpeg(2, 8));
        assert!(a.starts_with(&[0xff, 0xd8]) && a.ends_with(&[0xff, 0xd9]));
        assert_ne!(a, b);
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // T.81 table K.3: category 0 is 00, 1 is 010, 6 is 1110, 11 is 111111110.
        let codes = dc_codes();
        assert_eq!((codes[0], codes[1], codes[6], codes[11]), ((0, 2), (2, 3), (14, 4), (510, 9)));
    }
}
