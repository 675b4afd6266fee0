//! `cargo xtask`: the library beside this file, as a program.

fn main() -> std::process::ExitCode {
    xtask::main()
}
