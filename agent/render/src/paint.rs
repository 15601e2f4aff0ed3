//! From a laid out page to PNG, in bands, so that a tall page takes no more memory than a short one.

use std::ops::Range;

use anyrender::recording::RenderCommand;
use anyrender::{ImageRenderer, PaintScene, Scene};
use anyrender_vello_cpu::VelloCpuImageRenderer;
use blitz_dom::BaseDocument;
use blitz_dom::util::Color;
use vello_cpu::Level;
use vello_cpu::kurbo::{Affine, Point, Rect, Shape};
use vello_cpu::peniko::Fill;
use vigie_wire::draw::{CannotDraw, Tile};
use vigie_wire::limits::PICTURE_BYTES;

use crate::{PAGE_HEIGHT, TILE_HEIGHT, WIDTH, WINDOW_HEIGHT, Warnings};

/// Height of a band, in pixels: a tile's is a multiple of it. The painter takes up to 65,535.
const BAND: u32 = 4_096;
/// From how many pixels beyond the window on a page is said to be wider.
const WIDER: f32 = 2.0;

/// What of the processor the painter uses: its result may depend on it.
pub fn simd() -> String {
    let level = format!("{:?}", Level::try_detect().unwrap_or(Level::baseline()));
    level.split('(').next().unwrap_or_default().to_owned()
}

/// Paints the page: its tiles and its height.
pub fn paint(document: &mut BaseDocument, warnings: &mut Warnings) -> Result<(Vec<Tile>, u32), CannotDraw> {
    let (width, full) = document.try_root_element().map_or((0.0, 0.0), |root| {
        let (layout, over) = (root.final_layout(), root.scrollable_overflow());
        (
            layout.size.width.max(layout.scrollable_overflow_rect.right).max(over.x1 as f32),
            layout.size.height.max(layout.scrollable_overflow_rect.bottom).max(over.y1 as f32),
        )
    });
    // A size that is no number is taken for none.
    let full = (full.ceil().max(0.0) as u32).max(WINDOW_HEIGHT);
    if width > WIDTH as f32 + WIDER {
        warnings.add(&format!("the page is {} pixels wide: what lies beyond {WIDTH} is not drawn", width.ceil()));
    }
    let height = full.min(PAGE_HEIGHT);
    if height < full {
        warnings.add(&format!("the page is {full} pixels high: what lies below {height} is not drawn"));
    }
    let mut scene = Scene::new();
    blitz_paint::paint_scene(&mut scene, document, 1.0, WIDTH, height, 0, 0);
    let reaches = scene.commands.iter().map(reach).collect();
    let mut painter =
        Painter { scene, reaches, renderer: VelloCpuImageRenderer::new(WIDTH, BAND), size: BAND, rgba: Vec::new() };
    let (mut tiles, mut top, mut bytes) = (Vec::new(), 0, 0);
    while top < height {
        let tile = painter.tile(top, TILE_HEIGHT.min(height - top), PICTURE_BYTES - bytes)?;
        bytes += tile.png.len();
        top += tile.height;
        tiles.push(tile);
    }
    Ok((tiles, full))
}

/// From where to where on the page a command may draw, in pixels; `None` for one that holds for those after it.
fn reach(command: &RenderCommand) -> Option<Range<f64>> {
    let (transform, shape) = match command {
        RenderCommand::PushLayer(_) | RenderCommand::PushClipLayer(_) | RenderCommand::PopLayer => return None,
        RenderCommand::Fill(fill) => (fill.transform, fill.shape.bounding_box()),
        RenderCommand::Stroke(stroke) => {
            // Corners may reach further than the line is wide.
            let beyond = stroke.style.width * stroke.style.miter_limit.max(1.0);
            (stroke.transform, stroke.shape.bounding_box().inflate(beyond, beyond))
        }
        RenderCommand::GlyphRun(run) => {
            // No glyph of a text font reaches further from its line.
            let beyond = 3.0 * f64::from(run.font_size);
            let points = run.glyphs.iter().map(|glyph| Point::new(glyph.x.into(), glyph.y.into()));
            let rect = points.map(|at| Rect::from_center_size(at, (0.0, 0.0))).reduce(|all, one| all.union(one));
            (run.transform, rect.unwrap_or_default().inflate(beyond, beyond))
        }
        RenderCommand::BoxShadow(shadow) => {
            let beyond = 4.0 * shadow.std_dev + shadow.radius;
            (shadow.transform, shadow.rect.inflate(beyond, beyond))
        }
    };
    let shape = transform.transform_rect_bbox(shape).inflate(2.0, 2.0);
    // What cannot be told is drawn everywhere.
    if shape.y0.is_nan() || shape.y1.is_nan() { None } else { Some(shape.y0..shape.y1) }
}

struct Painter {
    scene: Scene,
    /// Of each command.
    reaches: Vec<Option<Range<f64>>>,
    renderer: VelloCpuImageRenderer,
    /// Height of the renderer's picture.
    size: u32,
    rgba: Vec<u8>,
}

impl Painter {
    fn tile(&mut self, top: u32, height: u32, most: usize) -> Result<Tile, CannotDraw> {
        let failed = |error: png::EncodingError| CannotDraw::Failed(error.to_string());
        let mut out = Limited { bytes: Vec::new(), most };
        let written = (|| {
            let mut encoder = png::Encoder::new(&mut out, WIDTH, height);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_depth(png::BitDepth::Eight);
            encoder.set_compression(png::Compression::Fast);
            let mut writer = encoder.write_header()?;
            let mut rows = writer.stream_writer()?;
            let mut rgb = vec![0; WIDTH as usize * 3];
            let mut at = 0;
            while at < height {
                let band = BAND.min(height - at);
                self.band(top + at, band);
                for row in self.rgba.chunks_exact(WIDTH as usize * 4) {
                    for (to, from) in rgb.chunks_exact_mut(3).zip(row.chunks_exact(4)) {
                        to.copy_from_slice(&from[..3]);
                    }
                    std::io::Write::write_all(&mut rows, &rgb)?;
                }
                at += band;
            }
            rows.finish()?;
            writer.finish()
        })();
        if out.most < out.bytes.len() {
            return Err(CannotDraw::Size { most: PICTURE_BYTES as u32 });
        }
        written.map_err(failed)?;
        Ok(Tile { top, height, png: out.bytes.into() })
    }

    /// Paints a band on white.
    fn band(&mut self, top: u32, height: u32) {
        if self.size != height {
            self.renderer.resize(WIDTH, height);
            self.size = height;
        }
        self.renderer.reset();
        let (from, to) = (f64::from(top), f64::from(top + height));
        let mut scene = Scene::new();
        scene.commands = (self.scene.commands.iter().zip(&self.reaches))
            .filter(|(_, reach)| reach.as_ref().is_none_or(|reach| reach.start < to && reach.end > from))
            .map(|(command, _)| command.clone())
            .collect();
        let paper = Rect::new(0.0, 0.0, WIDTH.into(), height.into());
        self.renderer.render_to_vec(
            |painter| {
                painter.fill(Fill::NonZero, Affine::IDENTITY, Color::WHITE, None, &paper);
                painter.append_scene(scene, Affine::translate((0.0, -f64::from(top))));
            },
            &mut self.rgba,
        );
    }
}

/// Takes bytes up to a limit, and one write beyond it.
struct Limited {
    bytes: Vec<u8>,
    most: usize,
}

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > self.most { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
