//! Counts the orders of each customer and adds up what they cost, in the bucket `totals`, and publishes each new total
//! on `totals.changed`.
//!
//! The total, its event and the acknowledgement of the order are one: whatever happens on the way, an order is counted
//! once, and nobody hears of a total that is not kept.

use hostel::{Message, key_value};
use serde::{Deserialize, Serialize};

/// Where totals are kept, by customer.
const BUCKET: &str = "totals";
/// Where new totals are published.
const CHANGED: &str = "totals.changed";

/// What a shop sends. Fields that it has beyond these are left alone.
#[derive(Deserialize)]
struct Order {
    customer: String,
    cents: u64,
}

/// What is kept for a customer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Total {
    orders: u64,
    cents: u64,
}

/// What is published when a total has changed.
#[derive(Serialize)]
struct Changed<'a> {
    customer: &'a str,
    #[serde(flatten)]
    total: Total,
}

/// Handles one order.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let order: Order = event.json()?;
    let customer = order.customer.trim();
    if customer.is_empty() {
        return Err(hostel::reject("`customer` is empty"));
    }
    let totals = key_value::open(BUCKET)?;
    let before: Total = totals.get_json(customer)?.unwrap_or_default();
    let total = before.with(order.cents).ok_or_else(|| hostel::reject("the total would be too large"))?;
    totals.set_json(customer, &total)?;
    let message = Message::json(&Changed { customer, total })?.id(format!("total-{}", event.id()));
    hostel::publish_message(CHANGED, message)?;
    hostel::info!("order {} of this customer", total.orders);
    Ok(())
}

impl Total {
    /// With one more order.
    fn with(self, cents: u64) -> Option<Self> {
        Some(Self { orders: self.orders.checked_add(1)?, cents: self.cents.checked_add(cents)? })
    }
}

#[cfg(test)]
mod tests {
    use hostel::testing::{Event, Host};
    use serde_json::{Value, json};

    use super::*;

    fn order(customer: &str, cents: u64) -> Event {
        Event::new("orders.created").id("o-1").json(&json!({ "customer": customer, "cents": cents }))
    }

    #[test]
    fn the_first_order_begins_a_total() {
        let run = Host::new().run(handle, order(" ada ", 250));
        assert_eq!(run.result, Ok(()));
        let kept: Total = serde_json::from_slice(run.value(BUCKET, "ada").unwrap()).unwrap();
        assert_eq!(kept, Total { orders: 1, cents: 250 });
        assert_eq!((run.published[0].topic.as_str(), run.published[0].id.as_str()), (CHANGED, "total-o-1"));
        assert_eq!(run.published[0].json::<Value>(), json!({ "customer": "ada", "orders": 1, "cents": 250 }));
    }

    #[test]
    fn further_orders_add_to_it() {
        let host = Host::new().value(BUCKET, "ada", r#"{"orders":2,"cents":100}"#);
        let run = host.run(handle, order("ada", 50));
        assert_eq!(run.value(BUCKET, "ada"), Some(&br#"{"orders":3,"cents":150}"#[..]));
    }

    #[test]
    fn what_cannot_be_counted_is_rejected() {
        let refused = |host: &Host, event: Event| host.run(handle, event).result.unwrap_err();
        assert_eq!(refused(&Host::new(), order(" ", 1)), hostel::reject("`customer` is empty"));
        let full = Host::new().value(BUCKET, "ada", format!(r#"{{"orders":1,"cents":{}}}"#, u64::MAX));
        assert_eq!(refused(&full, order("ada", 1)), hostel::reject("the total would be too large"));
        assert!(refused(&Host::new(), Event::new("orders.created").body("{}")).is_reject());
        assert!(refused(&Host::new().deny_bucket(BUCKET), order("ada", 1)).is_reject());
    }
}
