//! WASI 0.2: clocks, random, the environment that the manifest sets, no arguments, no network, no folder but
//! that of its [files](super::files), standard input at its end, and standard output and error that become log lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime_wasi::WasiCtx;

use crate::capability::stdio::{Input, Output};
use crate::log::{Recorder, Stream};

/// Random bytes that a guest gets in one call. The host allocates them at once; enough for any key or nonce.
const RANDOM_LIMIT: u64 = 1024 * 1024;

/// What one store gets. `streams` is shared with every standard stream that the guest opens. All that the builder does not name is denied or empty by its defaults; the network is
/// denied by name because its defaults allow to make a socket.
pub(crate) fn context(
    environment: &BTreeMap<String, String>,
    log: &Arc<Mutex<Recorder>>,
    streams: &Arc<()>,
) -> WasiCtx {
    let variables: Vec<(&String, &String)> = environment.iter().collect();
    WasiCtx::builder()
        .envs(&variables)
        .stdin(Input::new(Arc::clone(streams)))
        .stdout(Output::new(Stream::Stdout, Arc::clone(log), Arc::clone(streams)))
        .stderr(Output::new(Stream::Stderr, Arc::clone(log), Arc::clone(streams)))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_LIMIT)
        .build()
}
