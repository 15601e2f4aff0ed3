//! `vigie-verify`: see `vigie-verify --help`.

fn main() -> std::process::ExitCode {
    vigie_verify::cli::main()
}
