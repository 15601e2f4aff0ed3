//! `vigie`: see `vigie --help`.

fn main() -> std::process::ExitCode {
    vigie_agent::cli::main()
}
