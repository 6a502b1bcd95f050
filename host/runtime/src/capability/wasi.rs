//! WASI 0.2: clocks, random, an empty environment, no arguments, no folder, no network, standard input at its end, and
//! standard output and error that become log lines.

use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime_wasi::WasiCtx;

use crate::capability::stdio::Output;
use crate::log::{Recorder, Stream};

/// Random bytes that a guest gets in one call. The host allocates them at once; enough for any key or nonce.
const RANDOM_LIMIT: u64 = 1024 * 1024;

/// What one invocation gets. All that the builder does not name is denied or empty by its defaults; the network is
/// denied by name because its defaults allow to make a socket.
pub(crate) fn context(log: &Arc<Mutex<Recorder>>) -> WasiCtx {
    WasiCtx::builder()
        .stdout(Output::new(Stream::Stdout, Arc::clone(log)))
        .stderr(Output::new(Stream::Stderr, Arc::clone(log)))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_LIMIT)
        .build()
}
