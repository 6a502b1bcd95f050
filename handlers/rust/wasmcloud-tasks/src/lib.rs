//! Has each task done by whoever answers on `tasks.work`, and publishes the result on `tasks.done`. Written to
//! `wasmcloud:messaging@0.2.0` alone: nothing here knows of Hostel.

use bindings::exports::wasmcloud::messaging::handler::{BrokerMessage, Guest};
use bindings::wasmcloud::messaging::consumer;

/// How long the work may take.
const TIMEOUT_MS: u32 = 1000;

struct Tasks;

impl Guest for Tasks {
    fn handle_message(task: BrokerMessage) -> Result<(), String> {
        let result = consumer::request("tasks.work", &task.body, TIMEOUT_MS)?;
        consumer::publish(&BrokerMessage {
            subject: "tasks.done".to_owned(),
            body: result.body,
            reply_to: Some("tasks.doubts".to_owned()),
        })
    }
}

#[expect(unsafe_code, reason = "generated")]
mod bindings {
    use super::Tasks;

    wit_bindgen::generate!({
        path: "../../../host/runtime/wit/wasmcloud-messaging-0.2.0",
        inline: "
            package sample:tasks;

            world component {
                import wasmcloud:messaging/consumer@0.2.0;
                export wasmcloud:messaging/handler@0.2.0;
            }
        ",
        world: "sample:tasks/component",
        generate_all,
    });

    export!(Tasks);
}
