//! What the ingress does with the headers of a request.

/// Headers of an HTTP request that are about the request and its connection, and not about the message in it. They do
/// not become headers of the message: those of RFC 9110, section 7.6.1, those that say how the body comes, and those
/// by which a client says who it is and what it would like to read.
const OF_THE_REQUEST: [&str; 16] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header belongs to the request and does not become one of the message. `name` in lower case.
#[must_use]
pub fn belongs_to_request(name: &str) -> bool {
    OF_THE_REQUEST.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_that_looking_up_needs() {
        assert!(OF_THE_REQUEST.is_sorted());
    }

    #[test]
    fn what_is_about_the_message_is_carried() {
        for name in ["content-type", "hostel-id", "traceparent", "user-agent", "x-hub-signature-256"] {
            assert!(!belongs_to_request(name), "{name}");
        }
        for name in ["accept", "host", "upgrade", "content-length"] {
            assert!(belongs_to_request(name), "{name}");
        }
    }
}
