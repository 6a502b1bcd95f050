//! The smallest handler: logs the event and acknowledges it.

/// Handles one event.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let bytes = event.body().len();
    hostel::info!("hello, event {} on {}, attempt {}, with {bytes} bytes", event.id(), event.topic(), event.attempt());
    Ok(())
}

#[cfg(test)]
mod tests {
    use hostel::testing;

    use super::handle;

    #[test]
    fn logs_the_event_and_acknowledges_it() {
        let run = testing::run(handle, testing::Event::new("greetings.sent").id("e-1").attempt(2).body("hi"));
        assert_eq!(run.result, Ok(()));
        let lines: Vec<_> = run.logs.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, ["hello, event e-1 on greetings.sent, attempt 2, with 2 bytes"]);
        assert!(run.published.is_empty());
    }

    #[test]
    fn takes_a_body_that_is_not_text() {
        assert_eq!(testing::run(handle, testing::Event::new("a").body([0xff, 0x00])).result, Ok(()));
    }
}
