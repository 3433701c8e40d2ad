//! The program `hull`; everything is in the library, so tests can reach it.

fn main() -> std::process::ExitCode {
    hull::main()
}
