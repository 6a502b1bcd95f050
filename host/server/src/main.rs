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
use std::time::Duration;

use tikv_jemallocator::Jemalloc;

use cli::{Arguments, Command};

/// An event's memory is taken on one thread and given back on another, in pieces of every size. The C library's
/// allocator spends a fifth of the host's time on that (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How long the process waits at its end for calls to the system that nobody waits for any more: a file on a disk that does
/// not answer must not keep it. What it finishes in good order was waited for before. Arbitrary.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Arguments { connection, command } = Arguments::parse();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let exit = runtime.block_on(async {
                match command {
                    Command::Serve(arguments) => serve::run(arguments).await,
                    Command::Client(command) => cli::run(connection, command).await,
                }
            });
            runtime.shutdown_timeout(PATIENCE);
            exit
        }
        Err(error) => {
            cli::output::talk(&format!("error: cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}
