//! `hostel handlers --follow`: what changes of handlers, as it changes.

use hostel_api::change::ChangeView;
use hostel_api::client::{Client, Item};

use super::super::failure::Failure;
use super::super::{output, text};
use super::short;

/// Prints what changes of a handler, or of all, until the host ends.
pub(super) async fn run(client: &Client, handler: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut changes = client.follow_changes(handler).await?;
    output::talk("following what changes of handlers");
    while let Some(item) = changes.next().await {
        match item? {
            Item::Lost(count) => output::talk(&format!("lost {}: read too slowly", text::counted(count, "change"))),
            Item::Seen(change) if json => output::json_line(&change)?,
            Item::Seen(change) => output::data(&format!("{}\n", render(&change)))?,
        }
    }
    Err(Failure::plain("the host ended the stream"))
}

/// A change in one line.
fn render(change: &ChangeView) -> String {
    let target = change.subscription.as_ref().unwrap_or(&change.handler);
    let version = change.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let component = change.component.as_ref().map(|digest| format!(" ({})", short(digest))).unwrap_or_default();
    let reason = change.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    text::line(&format!("{} {} {target}{version}{component}{reason}", change.at, change.change.as_str()))
}

#[cfg(test)]
mod tests {
    use hostel_api::change::ChangeKind;

    use super::*;

    #[test]
    fn a_change_is_one_line() {
        let deployed = ChangeView {
            at: "2026-01-01T00:00:00.000Z".to_owned(),
            change: ChangeKind::Deployed,
            handler: "hello".to_owned(),
            version: Some("0.2.0".to_owned()),
            component: Some(format!("sha256:{}", "ab".repeat(32))),
            subscription: None,
            reason: None,
        };
        assert_eq!(render(&deployed), "2026-01-01T00:00:00.000Z deployed hello 0.2.0 (abababababab)");
        let quarantined = ChangeView {
            change: ChangeKind::Quarantined,
            version: None,
            component: None,
            subscription: Some("default/hello:a".to_owned()),
            reason: Some("10 faults\nin 1m".to_owned()),
            ..deployed
        };
        assert_eq!(render(&quarantined), "2026-01-01T00:00:00.000Z quarantined default/hello:a: 10 faults\\nin 1m");
    }
}
