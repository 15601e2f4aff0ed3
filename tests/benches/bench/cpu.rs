//! `cpu`: processor time per page, beyond what fetching alone takes.

use crate::numbers::{Table, median};
use crate::record::Rounds;
use crate::world::Round;

/// Prints the theme and adds it to the table.
pub fn report(rounds: &Rounds, pages: usize, table: &mut Table) {
    let cost = |rounds: &[Round]| median(rounds.iter().map(|round| round.cpu_s)) * 1000.0;
    let (vigie, bare) = (cost(&rounds.vigie), cost(&rounds.bare));
    println!(
        "\ncpu: user and system time of the process per page of 80 KB, over {pages} pages, medians of {} rounds",
        rounds.vigie.len()
    );
    println!("  from the first page's request (bootstrap, unlocking and the index excluded) to the process's end");
    println!("  {}", rounds.disturbance());
    println!("  Vigie {vigie:.2} ms; bare Arti + hyper {bare:.2} ms");
    println!("  Vigie's own part (recording, reading, sealing, logging): {:.2} ms", vigie - bare);
    let (mine, peer) = (format!("{vigie:.2}"), format!("{bare:.2}"));
    table.add("cpu", "ms per page vs bare Arti + hyper", mine, peer, Some(vigie / bare), "");
    table.add("cpu", "ms per page, Vigie's own part", format!("{:.2}", vigie - bare), String::new(), None, "");
}
