//! What it was measured on.

/// Prints the machine and the build.
pub fn print() {
    let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |n| n.to_string());
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let build = if cfg!(debug_assertions) { "debug: the numbers mean nothing" } else { "release" };
    println!(
        "machine: {cores} cores, {}, Linux {}; build: {build}",
        cpu.as_deref().unwrap_or("unknown processor"),
        kernel.trim()
    );
    // Whatever else runs takes processor time from all peers, but not evenly.
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before the bench, 1 minute: {}", load.split(' ').next().unwrap_or("unknown"));
}
