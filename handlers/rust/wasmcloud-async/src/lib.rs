//! Has each task done by whoever answers on `tasks.work`, and publishes the result in capitals on `tasks.done`, or answers
//! with it who asked. A task of the text `reject`, `retry` or `other` is refused so. Written to
//! `wasmcloud:messaging@0.3.0` alone: nothing here knows of Hostel.

use bindings::exports::wasmcloud::messaging::handler::{BrokerMessage, Guest, HandleMessageError};
use bindings::wasmcloud::messaging::consumer;
use bindings::wasmcloud::messaging::types::Error;
use bindings::wit_stream;
use wit_bindgen::rt::async_support::StreamReader;

/// How long the work may take.
const TIMEOUT_MS: u32 = 1000;

struct Worker;

impl Guest for Worker {
    async fn handle_message(task: BrokerMessage) -> Result<(), HandleMessageError> {
        let text = task.body.collect().await;
        match &text[..] {
            b"reject" => return Err(HandleMessageError::Reject),
            b"retry" => return Err(HandleMessageError::Retry),
            b"other" => return Err(HandleMessageError::Other("not a task".to_owned())),
            _ => {}
        }
        let result =
            consumer::request("tasks.work".to_owned(), stream(text), Some(TIMEOUT_MS)).await.map_err(failed)?;
        let result = result.body.collect().await.to_ascii_uppercase();
        let subject = task.reply_to.unwrap_or_else(|| "tasks.done".to_owned());
        consumer::publish(BrokerMessage { subject, body: stream(result), reply_to: None }).await.map_err(failed)
    }
}

/// A stream of these bytes, written while it is read.
fn stream(bytes: Vec<u8>) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        // What is left is what the reader did not want.
        let _ = writer.write_all(bytes).await;
    });
    reader
}

/// What cannot be done now may go better later; what is forbidden will not.
#[expect(clippy::needless_pass_by_value, reason = "it is used as a function of what `map_err` gives")]
fn failed(error: Error) -> HandleMessageError {
    match error {
        Error::AccessDenied => HandleMessageError::Other("access denied".to_owned()),
        _ => HandleMessageError::Retry,
    }
}

#[expect(unsafe_code, reason = "generated")]
mod bindings {
    use super::Worker;

    wit_bindgen::generate!({
        path: "../../../host/runtime/wit/wasmcloud-messaging-0.3.0",
        inline: "
            package sample:worker;

            world component {
                import wasmcloud:messaging/consumer@0.3.0;
                export wasmcloud:messaging/handler@0.3.0;
            }
        ",
        world: "sample:worker/component",
        generate_all,
    });

    export!(Worker);
}
