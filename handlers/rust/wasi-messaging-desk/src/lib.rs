//! A desk that tells prices. On `prices.asked` it answers who asks; on `prices.wanted` it asks on `prices.asked` itself
//! and sends what it hears on to `prices.told`. Written to `wasi:messaging@0.2.0-draft` alone: nothing here knows of
//! Hostel.

use bindings::exports::wasi::messaging::incoming_handler::{Error, Guest, Message};
use bindings::wasi::messaging::producer;
use bindings::wasi::messaging::request_reply::{self, RequestOptions};
use bindings::wasi::messaging::types::Client;

struct Desk;

impl Guest for Desk {
    fn handle(message: Message) -> Result<(), Error> {
        match message.topic().as_deref() {
            Some("prices.asked") => tell(&message),
            _ => ask(&message),
        }
    }
}

/// Answers with a price, which is the length of what is asked for.
fn tell(question: &Message) -> Result<(), Error> {
    let price = question.data().len().to_string();
    let answer = Message::new(price.as_bytes());
    answer.set_content_type("text/plain");
    answer.add_metadata("Desk", "1");
    request_reply::reply(question, answer)
}

/// Asks, and sends the answer on with what is known of who wanted it.
fn ask(wish: &Message) -> Result<(), Error> {
    let client = Client::connect("default")?;
    let options = RequestOptions::new();
    options.set_timeout_ms(1000);
    options.set_expected_replies(1);
    let answers = request_reply::request(&client, "prices.asked", wish, Some(options))?;
    for answer in answers {
        let told = Message::new(&answer.data());
        if let Some(content_type) = answer.content_type() {
            told.set_content_type(&content_type);
        }
        told.set_metadata(&wish.metadata().unwrap_or_default());
        told.remove_metadata("Secret");
        producer::send(&client, "prices.told", told)?;
    }
    client.disconnect()
}

#[expect(unsafe_code, reason = "generated")]
mod bindings {
    use super::Desk;

    wit_bindgen::generate!({
        path: "../../../host/runtime/wit/wasi-messaging-0.2.0-draft",
        inline: "
            package sample:desk;

            world component {
                import wasi:messaging/producer@0.2.0-draft;
                import wasi:messaging/request-reply@0.2.0-draft;
                export wasi:messaging/incoming-handler@0.2.0-draft;
            }
        ",
        world: "sample:desk/component",
        generate_all,
    });

    export!(Desk);
}
