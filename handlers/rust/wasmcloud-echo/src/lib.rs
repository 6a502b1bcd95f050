//! Answers each message that asks for an answer with its own body. Written to `wasmcloud:messaging@0.2.0` alone: nothing
//! here knows of Hostel.

use bindings::exports::wasmcloud::messaging::handler::{BrokerMessage, Guest};
use bindings::wasmcloud::messaging::consumer;

struct Echo;

impl Guest for Echo {
    fn handle_message(message: BrokerMessage) -> Result<(), String> {
        let Some(subject) = message.reply_to else {
            return Err(format!("nobody waits for an answer to the message on {}", message.subject));
        };
        consumer::publish(&BrokerMessage { subject, body: message.body, reply_to: None })
    }
}

#[expect(unsafe_code, reason = "generated")]
mod bindings {
    use super::Echo;

    wit_bindgen::generate!({
        path: "../../../host/runtime/wit/wasmcloud-messaging-0.2.0",
        inline: "
            package sample:echo;

            world component {
                import wasmcloud:messaging/consumer@0.2.0;
                export wasmcloud:messaging/handler@0.2.0;
            }
        ",
        world: "sample:echo/component",
        generate_all,
    });

    export!(Echo);
}
