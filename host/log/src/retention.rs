//! Retention: how far a topic's events may be dropped. Decides only; [`Batch::drop_events`](crate::batch::Batch::drop_events)
//! does it, and the caller bounds the answer by what its subscriptions still need.

use crate::record::{Millis, Offset, Stretch};

/// What of a topic is kept. What is `None` does not limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Events published before this time may go.
    pub since: Option<Millis>,
    /// So many bytes of events are kept, the newest.
    pub bytes: Option<u64>,
    /// So many events are kept, the newest.
    pub events: Option<u64>,
}

/// Below which offset events may go: whole stretches, oldest first, as long as all of a stretch may go. What stays is
/// thus up to one stretch, about a thousand events, more than was asked for, never less.
#[must_use]
pub fn drop_below(stretches: &[Stretch], keep: Keep) -> Option<Offset> {
    let mut bytes = stretches.iter().map(|stretch| stretch.bytes).sum::<u64>();
    let mut events = stretches.iter().map(|stretch| u64::from(stretch.events)).sum::<u64>();
    let mut below = None;
    for stretch in stretches {
        let is_old = keep.since.is_some_and(|since| stretch.latest < since);
        let without = (bytes - stretch.bytes, events - u64::from(stretch.events));
        let is_beyond =
            keep.bytes.is_some_and(|limit| without.0 >= limit) || keep.events.is_some_and(|limit| without.1 >= limit);
        if !is_old && !is_beyond {
            break;
        }
        (bytes, events) = without;
        below = Some(stretch.last.next());
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches() -> Vec<Stretch> {
        (0..4)
            .map(|index| Stretch {
                first: Offset(index * 10 + 1),
                last: Offset(index * 10 + 10),
                events: 10,
                bytes: 100,
                earliest: Millis(index * 1000),
                latest: Millis(index * 1000 + 999),
            })
            .collect()
    }

    fn check(keep: Keep, below: Option<u64>) {
        assert_eq!(drop_below(&stretches(), keep), below.map(Offset), "{keep:?}");
    }

    #[test]
    fn whole_stretches_go_and_never_more_than_was_asked_for() {
        check(Keep::default(), None);
        check(Keep { since: Some(Millis(999)), ..Keep::default() }, None);
        check(Keep { since: Some(Millis(1000)), ..Keep::default() }, Some(11));
        check(Keep { bytes: Some(250), ..Keep::default() }, Some(11));
        check(Keep { bytes: Some(200), ..Keep::default() }, Some(21));
        check(Keep { events: Some(0), ..Keep::default() }, Some(41));
        check(Keep { events: Some(15), since: Some(Millis(1000)), ..Keep::default() }, Some(21));
    }
}
