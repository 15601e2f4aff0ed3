//! Medians and the final table.

/// The middle value; of an even count, the mean of the two in the middle. 0 when there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Bytes as MiB.
pub fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// All results, one a line.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 6]>,
}

impl Table {
    /// Adds a comparison. `ratio` is Vigie's figure over its peer's; `aim` says what is wanted.
    pub fn add(&mut self, theme: &str, what: &str, vigie: String, peer: String, ratio: Option<f64>, aim: &str) {
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x"));
        self.rows.push([theme.to_owned(), what.to_owned(), vigie, peer, ratio, aim.to_owned()]);
    }

    /// Prints the table.
    pub fn print(&self) {
        let titles = ["THEME", "WHAT", "VIGIE", "PEER", "RATIO", "AIM"].map(str::to_owned);
        let lines: Vec<&[String; 6]> = std::iter::once(&titles).chain(&self.rows).collect();
        let widths: [usize; 6] =
            std::array::from_fn(|i| lines.iter().map(|line| line[i].chars().count()).max().unwrap_or(0));
        println!();
        for line in lines {
            let cells: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            println!("{}", cells.join("  ").trim_end());
        }
    }
}
