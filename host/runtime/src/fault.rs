//! From wasmtime's errors to the kinds of fault that people treat in different ways.

use std::fmt::Write;

use hostel_event::outcome::{Fault, FaultKind};
use wasmtime::{FrameInfo, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::limiter::{Denied, Limiter};
use crate::log::cut_at;

/// Frames of a stack that are kept: the innermost tell what went wrong, and runaway recursion fills any number.
pub(crate) const FRAMES: usize = 64;
/// Bytes of a stack as text that are kept. Generic Rust names run to some hundred bytes each.
const STACK_BYTES: usize = 16 * 1024;
/// Bytes of a message that are kept, as of a reason that the guest gives.
const MESSAGE_BYTES: usize = 4096;

/// Says what kind of fault ended a guest, from the error and from what its store had refused it before.
pub(crate) fn fault(error: &wasmtime::Error, limiter: &Limiter) -> Fault {
    let trap = error.downcast_ref::<Trap>();
    let (kind, message) = if trap == Some(&Trap::Interrupt) {
        // Only the epoch check interrupts, and only once the deadline has passed.
        (FaultKind::Deadline, "the deadline passed while the handler was computing".to_owned())
    } else if let Some(exit) = error.downcast_ref::<I32Exit>() {
        (FaultKind::Exit, format!("the handler exited with code {} instead of returning", exit.0))
    } else if trap == Some(&Trap::StackOverflow) {
        (FaultKind::Stack, "the handler recursed past the end of its stack".to_owned())
    } else if error.is::<PoolConcurrencyLimitError>() {
        (FaultKind::Host, format!("no free sandbox: {}", cause(error)))
    } else if let Some(denied) = limiter.denied() {
        (FaultKind::Memory, memory(denied, limiter, trap))
    } else if let Some(trap) = trap {
        (FaultKind::Trap, trap_text(*trap))
    } else {
        (FaultKind::Contract, cause(error))
    };
    Fault { kind, message: cut_at(&message, MESSAGE_BYTES).to_owned(), stack: stack(error) }
}

fn memory(denied: Denied, limiter: &Limiter, trap: Option<&Trap>) -> String {
    let mut text = match denied {
        Denied::Memory(bytes) => {
            format!("the handler asked for {bytes} bytes of memory, more than its limit of {}", limiter.memory_limit())
        }
        Denied::Table(elements) => {
            format!("the handler asked for {elements} table elements, more than a guest may have")
        }
    };
    if let Some(trap) = trap {
        text = format!("{text}, and trapped: {}", trap_text(*trap));
    }
    text
}

fn trap_text(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

/// The error without the backtrace that wasmtime puts before it.
fn cause(error: &wasmtime::Error) -> String {
    let causes: Vec<String> =
        error.chain().map(ToString::to_string).filter(|text| !text.starts_with("error while executing at")).collect();
    causes.join(": ")
}

/// The guest's stack, innermost frame first, a line for each: `#0 module!function (+0x1f3)`.
fn stack(error: &wasmtime::Error) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    if frames.is_empty() {
        return None;
    }
    let mut text = String::new();
    for (number, frame) in frames.iter().take(FRAMES).enumerate() {
        let line = frame_text(number, frame);
        if text.len() + line.len() + 1 > STACK_BYTES {
            text.push_str("…\n");
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    text.pop();
    Some(text)
}

fn frame_text(number: usize, frame: &FrameInfo) -> String {
    let mut text = format!("#{number} {}!", frame.module().name().unwrap_or("<module>"));
    // Writing to a string cannot fail.
    let _ = match frame.func_name() {
        // The alternate form leaves out the hash, which means nothing to a reader.
        Some(name) => write!(text, "{:#}", rustc_demangle::demangle(name)),
        None => write!(text, "function[{}]", frame.func_index()),
    };
    if let Some(offset) = frame.module_offset() {
        let _ = write!(text, " (+{offset:#x})");
    }
    text
}
