//! The way an event took from host to host, in a header of its message.

use std::borrow::Cow;

use hostel_event::headers::HeaderError;
use hostel_event::message::{Event, ROUTE_HEADER};

/// The most bytes of a route that a reason repeats.
const SHOWN: usize = 1024;

/// Why an event does not go on to another host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RouteError {
    /// It has been at too many.
    #[error("the event has left {hosts} hosts already, and {limit} is the limit; it goes in a circle: {route}")]
    TooFar { hosts: usize, limit: usize, route: String },
    /// Its headers leave no room for the route.
    #[error("cannot add this host to header `{ROUTE_HEADER}`: {0}")]
    NoRoom(HeaderError),
}

/// The event as it leaves this host.
pub(super) fn leave(event: &Event, host: &str, limit: usize) -> Result<Event, RouteError> {
    let before = route(event);
    let hosts = before.split(',').filter(|host| !host.trim().is_empty()).count();
    if hosts >= limit {
        let route = before.chars().take(SHOWN).collect();
        return Err(RouteError::TooFar { hosts, limit, route });
    }
    let mut event = event.clone();
    let route = if hosts == 0 { host.to_owned() } else { format!("{before}, {host}") };
    event.message.headers.remove(ROUTE_HEADER);
    event.message.headers.append(ROUTE_HEADER, &route).map_err(RouteError::NoRoom)?;
    Ok(event)
}

/// What the header says; several of the name are one list.
fn route(event: &Event) -> Cow<'_, str> {
    let mut values = event
        .message
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(ROUTE_HEADER))
        .map(|(_, value)| value);
    let Some(first) = values.next() else { return Cow::Borrowed("") };
    values.fold(Cow::Borrowed(first), |all, value| Cow::Owned(format!("{all}, {value}")))
}

#[cfg(test)]
mod tests {
    use crate::conformance::event;

    use super::*;

    #[test]
    fn each_host_adds_itself_until_the_limit() {
        let mut travelling = Event::clone(&event("1", "a"));
        for (host, expected) in [("a", "a"), ("b", "a, b"), ("a", "a, b, a")] {
            travelling = leave(&travelling, host, 3).unwrap();
            assert_eq!(travelling.message.headers.get(ROUTE_HEADER), Some(expected));
        }
        let error = leave(&travelling, "b", 3).unwrap_err();
        let expected = "the event has left 3 hosts already, and 3 is the limit; it goes in a circle: a, b, a";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_route_in_several_headers_counts_whole() {
        let mut scattered = Event::clone(&event("1", "a"));
        for value in ["a", "", "b,c"] {
            scattered.message.headers.append("hostel-route", value).unwrap();
        }
        assert!(matches!(leave(&scattered, "d", 3), Err(RouteError::TooFar { hosts: 3, .. })));
        let left = leave(&scattered, "d", 4).unwrap();
        let values: Vec<(&str, &str)> = left.message.headers.iter().collect();
        assert_eq!(values, [(ROUTE_HEADER, "a, , b,c, d")]);
    }

    #[test]
    fn an_event_without_room_for_the_header_is_not_sent_without_it() {
        let mut full = Event::clone(&event("1", "a"));
        for _ in 0..128 {
            full.message.headers.append("x", "").unwrap();
        }
        assert!(matches!(leave(&full, "a", 16), Err(RouteError::NoRoom(HeaderError::TooMany))));
    }
}
