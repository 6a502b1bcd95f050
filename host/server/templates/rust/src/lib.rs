//! Greets whoever an event names.

use serde::Deserialize;

/// What an event carries.
#[derive(Deserialize)]
struct Greeting {
    name: String,
}

/// Handles one event. A body that is not the JSON expected is rejected, with the reason.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let greeting: Greeting = event.json()?;
    hostel::info!("hello, {}", greeting.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use hostel::testing;

    use super::handle;

    #[test]
    fn greets_by_name() {
        let run = testing::run(handle, testing::Event::new("{{topic}}").body(r#"{"name": "Ada"}"#));
        assert_eq!(run.result, Ok(()));
        assert_eq!(run.logs[0].text, "hello, Ada");
    }

    #[test]
    fn rejects_what_names_nobody() {
        let run = testing::run(handle, testing::Event::new("{{topic}}").body("{}"));
        assert!(run.result.unwrap_err().to_string().contains("missing field `name`"));
    }
}
