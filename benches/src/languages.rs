//! Row group: the same handler in each language, `hello`: a fresh instance and one event, against one event more in an
//! instance that is there. The runtime alone, one thread, in this process.

use std::num::NonZeroU32;
use std::path::Path;

use anyhow::Result;

use crate::in_process::{Compiled, Rig};
use crate::report::Row;
use crate::round::{self, Contender, Group};
use crate::scale::Scale;

/// Languages, and for how many events of a Rust handler one of theirs is counted, about, so that rounds are of a length.
const LANGUAGES: [(&str, usize); 5] = [("rust", 1), ("c", 1), ("go", 20), ("javascript", 40), ("python", 100)];
/// An instance that serves as many as this is never made anew in a round.
const REUSE: NonZeroU32 = NonZeroU32::MAX;

/// Measures the group. `guests` is where the sample handlers are, a folder for each language; says which are not there.
pub(crate) fn measure(guests: &Path, scale: &Scale, skipped: &mut Vec<String>) -> Result<Group> {
    let fresh = |language: &str| format!("runtime alone: fresh instance, `hello` in {language}");
    let warm = |language: &str| format!("runtime alone: warm instance, `hello` in {language}");
    let mut rigs = Vec::new();
    for (language, weight) in LANGUAGES {
        if !scale.wants(&fresh(language)) && !scale.wants(&warm(language)) {
            continue;
        }
        // Rust's are built together and lie one above.
        let folder = if language == "rust" { guests.to_owned() } else { guests.join(language) };
        let component = folder.join("hello.wasm");
        if !component.is_file() {
            skipped.push(format!("`hello` in {language}: not built; `cargo xtask guests {language}` says why"));
            continue;
        }
        let rig = |reuse| anyhow::Ok(Rig::new(&Compiled::new(&component, reuse)?, 1)?);
        rigs.push((language, weight, rig(NonZeroU32::MIN)?, rig(REUSE)?));
    }
    let mut contenders = Vec::new();
    let mut rows = Vec::new();
    for (language, weight, fresh_rig, warm_rig) in &rigs {
        let events = (scale.in_process / weight).max(1);
        contenders.push(Contender::new(&warm(language), events, |events| warm_rig.alone(events)));
        contenders.push(Contender::new(&fresh(language), events, |events| fresh_rig.alone(events)));
        rows.push(Row { subject: fresh(language), limit: warm(language) });
    }
    let group = round::measure(scale, contenders, rows);
    let closed = rigs.into_iter().flat_map(|(_, _, fresh, warm)| [fresh.close(), warm.close()]);
    Ok(closed.fold(group, Group::ended))
}
