//! `hostel`: one binary that is the host and the command line for it.

mod access;
mod admin;
mod answer;
mod author;
mod body;
mod bundle;
mod cli;
mod clock;
mod compose;
mod config;
mod deploy;
mod follow;
mod ingress;
mod keep;
mod listener;
mod network;
mod observe;
mod private;
mod provision;
mod query;
mod secrets;
mod serve;
mod stamp;
mod telemetry;
mod tenants;
mod tls;
mod view;

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

use cli::{Arguments, Command};

/// An event's memory is taken on one thread and given back on another, in pieces of every size. The C library's
/// allocator spends a fifth of the host's time on that (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let Arguments { connection, command } = Arguments::parse();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(async {
            match command {
                Command::Serve(arguments) => serve::run(arguments).await,
                Command::Client(command) => cli::run(connection, command).await,
            }
        }),
        Err(error) => {
            cli::output::talk(&format!("error: cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}
