//! The program `stigg-import`. Everything is in the library; see `stigg_import::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stigg_import::cli::main()
}
