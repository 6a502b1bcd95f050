//! What to do about the watched folder after a look at it. Decides only.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::look::Sight;

/// What is known of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// How it looked last; `None`: it was not there, or nobody has looked.
    pub(super) seen: Option<Sight>,
    /// Whether it was looked for and not found.
    missing: bool,
    /// How it looked when it was loaded.
    tried: Option<Sight>,
    /// When it is to be tried again though it looks the same.
    pub(super) again: Option<Instant>,
}

/// What to do about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// It is new or has changed, and is at rest.
    Load(String, Box<Sight>),
    /// It is gone.
    Remove(String),
}

impl Known {
    /// Whether it was there at the last look.
    pub(super) fn is_there(&self) -> bool {
        self.seen.is_some()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.again.is_none_or(|again| again <= now)
    }
}

/// What follows from a look. Nothing is done about an entry before two looks agree: it may be half-written, or about to
/// be replaced.
pub(super) fn decide(
    known: &mut BTreeMap<String, Known>,
    sights: &BTreeMap<String, Sight>,
    now: Instant,
) -> Vec<Action> {
    let mut actions = Vec::new();
    for (entry, sight) in sights {
        let one = known.entry(entry.clone()).or_default();
        one.missing = false;
        let is_at_rest = one.seen.as_ref() == Some(sight);
        let is_new = one.tried.as_ref() != Some(sight);
        if !is_at_rest {
            one.seen = Some(sight.clone());
        } else if is_new || (one.again.is_some() && one.is_due(now)) {
            one.tried = Some(sight.clone());
            one.again = None;
            actions.push(Action::Load(entry.clone(), Box::new(sight.clone())));
        }
    }
    // Those that go come after those that come: a handler may have moved from one entry to another.
    known.retain(|entry, one| {
        if sights.contains_key(entry) {
            return true;
        }
        one.seen = None;
        let is_gone = std::mem::replace(&mut one.missing, true) && one.is_due(now);
        if is_gone {
            actions.push(Action::Remove(entry.clone()));
        }
        !is_gone
    });
    actions
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    /// A sight that differs by a file's content.
    fn sight(folder: &std::path::Path, content: &str) -> Sight {
        let manifest = folder.join("handler.toml");
        std::fs::write(&manifest, content).unwrap();
        let stamp = crate::stamp::Stamp::of(&manifest).unwrap();
        Sight { manifest: (manifest, Some(stamp)), component: Some((PathBuf::from("a.wasm"), None)), files: None }
    }

    fn looked(entries: &[(&str, &Sight)]) -> BTreeMap<String, Sight> {
        entries.iter().map(|(entry, sight)| ((*entry).to_owned(), (*sight).clone())).collect()
    }

    #[test]
    fn an_entry_is_loaded_once_when_it_is_at_rest() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (sight(folder.path(), "1"), sight(folder.path(), "22"));
        let mut known = BTreeMap::new();
        let now = Instant::now();
        let mut look = |entries: &[(&str, &Sight)]| decide(&mut known, &looked(entries), now);
        assert_eq!(look(&[("a", &one)]), []);
        assert_eq!(look(&[("a", &other)]), [], "it changes");
        let load = Action::Load("a".to_owned(), Box::new(other.clone()));
        assert_eq!(look(&[("a", &other)]), [load]);
        assert_eq!(look(&[("a", &other)]), []);
        assert_eq!(look(&[]), [], "it may be replaced");
        assert_eq!(look(&[]), [Action::Remove("a".to_owned())]);
        assert_eq!(look(&[]), []);
    }

    #[test]
    fn an_entry_that_is_back_at_once_was_never_gone() {
        let folder = tempfile::tempdir().unwrap();
        let one = sight(folder.path(), "1");
        let mut known = BTreeMap::new();
        let now = Instant::now();
        for (entries, count) in [(1, 0), (1, 1), (0, 0), (1, 0), (1, 0), (0, 0), (1, 0)] {
            let sights = if entries == 1 { looked(&[("a", &one)]) } else { looked(&[]) };
            assert_eq!(decide(&mut known, &sights, now).len(), count);
        }
    }

    #[test]
    fn what_failed_is_tried_again_in_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let one = sight(folder.path(), "1");
        let mut known = BTreeMap::new();
        let now = Instant::now();
        let later = now + Duration::from_secs(10);
        decide(&mut known, &looked(&[("a", &one)]), now);
        assert_eq!(decide(&mut known, &looked(&[("a", &one)]), now).len(), 1);
        known.get_mut("a").unwrap().again = Some(later);
        assert_eq!(decide(&mut known, &looked(&[("a", &one)]), now).len(), 0);
        assert_eq!(decide(&mut known, &looked(&[("a", &one)]), later).len(), 1);
        assert_eq!(decide(&mut known, &looked(&[("a", &one)]), later).len(), 0);
    }

    #[test]
    fn what_was_there_before_a_restart_and_is_gone_goes() {
        let mut known = BTreeMap::from([("a".to_owned(), Known::default())]);
        let now = Instant::now();
        assert_eq!(decide(&mut known, &BTreeMap::new(), now), []);
        assert_eq!(decide(&mut known, &BTreeMap::new(), now), [Action::Remove("a".to_owned())]);
    }
}
