//! `vigie-witness`: see `vigie-witness --help`.

fn main() -> std::process::ExitCode {
    vigie_witness::cli::main()
}
