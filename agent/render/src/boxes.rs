//! Boxes in place of what is not drawn.

/// Size of a box where the page gives none, in pixels.
const SIZE: (u32, u32) = (180, 60);
/// Smallest side on which words can be read, in pixels.
const READABLE: u32 = 24;
/// Largest side that a page can give a box, in pixels.
const MOST: u32 = 4_000;

/// The style of a box, and whether words fit in it. `own` is the element's style.
pub fn style(width: Option<&str>, height: Option<&str>, own: Option<&str>) -> (String, bool) {
    let pixels = |value: Option<&str>| {
        let value = value?.trim();
        value
            .strip_suffix("px")
            .unwrap_or(value)
            .parse::<f32>()
            .ok()
            .filter(|n| *n >= 0.0)
            .map(|n| (n as u32).min(MOST))
    };
    let given = (pixels(width), pixels(height));
    let (width, height) = match given {
        (Some(width), Some(height)) => (width, height),
        (Some(width), None) => (width, width.min(SIZE.1)),
        (None, Some(height)) => (height.max(SIZE.0), height),
        (None, None) => SIZE,
    };
    let style = format!(
        "display:inline-block;box-sizing:border-box;width:{width}px;height:{height}px;{}overflow:hidden;\
         background:#eeeeee;border:1px solid #888888;color:#222222;font:11px/13px 'Vigie Sans';\
         text-align:left;white-space:normal;word-break:break-all;",
        own.map(|own| format!("{own};")).unwrap_or_default()
    );
    (style, width >= READABLE && height >= READABLE / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |width, height| {
            let (style, words) = style(width, height, None);
            let value = |name: &str| {
                let rest = &style[style.find(&format!(";{name}:")).unwrap() + name.len() + 2..];
                rest[..rest.find("px").unwrap()].parse::<u32>().unwrap()
            };
            (value("width"), value("height"), words)
        };
        assert_eq!(size(None, None), (180, 60, true));
        assert_eq!(size(Some("320"), Some(" 200px ")), (320, 200, true));
        assert_eq!(size(Some("16"), Some("16")), (16, 16, false));
        assert_eq!(size(Some("1"), Some("1")), (1, 1, false));
        assert_eq!(size(Some("99999999"), Some("-5")), (4_000, 60, true));
        assert_eq!(size(Some("100%"), Some("NaN")), (180, 60, true));
        let (style, _) = style(None, None, Some("float:left"));
        assert!(style.contains("float:left;overflow"));
    }
}
