//! The subscriber of the rows beside go-micro: logs the number of its message and whom to tell that it was handled.

/// Handles one event.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let header = |name: &str| event.header(name).unwrap_or_default();
    hostel::info!("{} {}", header("number"), header("acknowledge-to"));
    Ok(())
}
