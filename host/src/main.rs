//! The program `shunt`: the daemon and its client.

use std::process::ExitCode;

/// Requests allocate small things of a few sizes, on the thread that frees them: what it is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shunt::cli::main()
}
