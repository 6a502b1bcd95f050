//! The watched folder: whether it can be read, and whose what lies in it is.

use std::collections::BTreeSet;

use hostel_event::name::Tenant;

use crate::cli::Connection;
use crate::config::Config;
use crate::config::access::configured;
use crate::config::deploy::WatchLayout;
use crate::deploy::watched::tenants::{list, whose};

use super::Examined;

const ABOUT: &str = "watched folder";
/// The most tenants that a host tells at once.
const PAGE: usize = 1000;
/// The most pages that are asked for: all tenants that there may be.
const PAGES: usize = 10;

/// The tenants that the host has, if the config wants them known and the host tells.
pub(super) async fn tenants(connection: Connection, config: &Config) -> Option<BTreeSet<String>> {
    if config.deploy.watch_layout != WatchLayout::Tenants || config.deploy.watch.as_os_str().is_empty() {
        return None;
    }
    let client = connection.client().ok()?;
    let (mut known, mut before) = (BTreeSet::new(), None);
    for _ in 0..PAGES {
        let page = client.tenants(PAGE, before.as_deref()).await.ok()?;
        known.extend(page.items.into_iter().map(|tenant| tenant.name));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Some(known)
}

/// Looks at the folder. Without `known`, of tenants that the config does not name it is only said that it does not.
pub(super) fn examine(config: &Config, known: Option<&BTreeSet<String>>) -> Vec<Examined> {
    let folder = &config.deploy.watch;
    if folder.as_os_str().is_empty() {
        return Vec::new();
    }
    let entries = match list(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let what = format!("cannot read `{}`: {error}", folder.display());
            return vec![Examined::finding(
                ABOUT,
                what,
                "the host does not start without it",
                "make it, or correct `deploy.watch`",
            )];
        }
    };
    if config.deploy.watch_layout == WatchLayout::Handlers {
        return vec![Examined::fine(ABOUT, format!("`{}` can be read", folder.display()))];
    }
    let configured = configured(config).ok();
    let is_of_config = |tenant: &Tenant| {
        configured.as_ref().is_some_and(|all| all.served.contains(tenant) || all.described.contains_key(tenant))
    };
    let (there, refused) = whose(&entries, |tenant| match known {
        Some(known) => known.contains(tenant.as_str()),
        None => true,
    });
    let mut examined: Vec<Examined> = refused
        .into_values()
        .map(|(code, reason)| Examined::finding(ABOUT, reason, "what lies in its folder does not run", code.hint()))
        .collect();
    if known.is_none() {
        let unsure = there.iter().filter(|tenant| !is_of_config(tenant));
        let note = |tenant| {
            let what = format!("the config names no tenant `{tenant}`, and no host was there to say whether it is one");
            Examined::note(ABOUT, what, "look with `hostel tenants list` once the host runs")
        };
        examined.extend(unsure.map(note));
    }
    if examined.is_empty() {
        let count = there.len();
        examined.push(Examined::fine(ABOUT, format!("`{}` holds the folders of {count} tenants", folder.display())));
    }
    examined
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_is_nobodys_is_a_finding_and_what_cannot_be_told_a_note() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["default", "acme"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut config = Config::default();
        assert!(examine(&config, None).is_empty());
        config.deploy.watch = folder.path().to_owned();
        config.deploy.watch_layout = WatchLayout::Tenants;
        let verdicts = |known: Option<&[&str]>| -> Vec<Verdict> {
            let known = known.map(|known| known.iter().map(|&name| name.to_owned()).collect());
            examine(&config, known.as_ref()).into_iter().map(|one| one.verdict).collect()
        };
        assert_eq!(verdicts(Some(&["default", "acme"])), [Verdict::Fine]);
        assert_eq!(verdicts(Some(&["default"])), [Verdict::Finding]);
        assert_eq!(verdicts(None), [Verdict::Note]);
        config.deploy.watch = folder.path().join("away");
        assert_eq!(examine(&config, None)[0].verdict, Verdict::Finding);
    }
}
