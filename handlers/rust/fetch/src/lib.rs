//! Sends the HTTP request that an event asks for and publishes the answer on `fetch.answered`, with the header `Status`.
//!
//! The body is the URL. The header `Method` asks for another than GET, the header `Send` gives a body to be sent.

use hostel::Message;
use hostel::http::{self, Request};

/// Where answers are published.
const ANSWERED: &str = "fetch.answered";

/// Handles one request.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let method = event.header("Method").unwrap_or_else(|| "GET".to_owned());
    let request = Request::new(&method, event.text()?.trim()).body(event.header("Send").unwrap_or_default());
    let answer = http::send(request)?;
    let status = answer.status();
    if status >= 500 {
        return Err(hostel::retry(format!("the server answered {status}")));
    }
    let message = Message::new(answer.body()).header("Status", status.to_string()).id(format!("answer-{}", event.id()));
    hostel::publish_message(ANSWERED, message)?;
    hostel::info!("answered {status} with {} bytes", answer.body().len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use hostel::http::Response;
    use hostel::testing::{Event, Host};

    const URL: &str = "https://example.com/x";

    #[test]
    fn an_answer_is_published() {
        let event = Event::new("fetch.asked").id("e-1").header("Method", "POST").header("Send", "data").body(URL);
        let run = Host::new().respond(URL, Response::new(404, "nothing")).run(super::handle, event);
        assert_eq!(run.result, Ok(()));
        assert_eq!((run.requests[0].method(), run.published[0].header("Status")), ("POST", Some("404")));
        assert_eq!(run.published[0].body, b"nothing");
    }

    #[test]
    fn a_failing_server_is_asked_again_later() {
        let event = Event::new("fetch.asked").body(URL);
        let run = Host::new().respond(URL, Response::new(503, "")).run(super::handle, event);
        assert_eq!(run.result, Err(hostel::retry("the server answered 503")));
    }
}
