//! Row group: the same handler, `hello`, in each language, and in Rust without WASI: a fresh instance and one event, against one event more in an
//! instance that is there. The runtime alone, one thread, in this process.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::in_process::{Compiled, Rig};
use crate::report::Row;
use crate::round::{self, Contender, Group};
use crate::scale::Scale;

/// Languages, the folder of each below that of all guests, and for how many events of a Rust handler one of theirs is
/// counted, about, so that rounds are of a length.
const LANGUAGES: [(&str, &str, usize); 6] = [
    ("rust", "", 1),
    (BARE.0, BARE.1, 1),
    ("c", "c", 1),
    ("go", "go", 20),
    ("javascript", "javascript", 40),
    ("python", "python", 100),
];
/// Rust for a target whose library needs nothing of WASI, and the folder of such guests.
const BARE: (&str, &str) = ("rust without WASI", "bare");
/// An instance that serves as many as this is never made anew in a round.
const REUSE: NonZeroU32 = NonZeroU32::MAX;

/// The sample handler in Rust without WASI; says so if it is not there.
pub(crate) fn bare(guests: &Path, skipped: &mut Vec<String>) -> Option<PathBuf> {
    hello(guests, BARE, skipped)
}

fn hello(guests: &Path, (language, folder): (&str, &str), skipped: &mut Vec<String>) -> Option<PathBuf> {
    let component = guests.join(folder).join("hello.wasm");
    if component.is_file() {
        return Some(component);
    }
    let why = format!("`hello` in {language}: not built; what built the guests has said why");
    if !skipped.contains(&why) {
        skipped.push(why);
    }
    None
}

/// Measures the group. `guests` is where the sample handlers are, a folder for each language; says which are not there.
pub(crate) fn measure(guests: &Path, scale: &Scale, skipped: &mut Vec<String>) -> Result<Group> {
    let fresh = |language: &str| format!("runtime alone: fresh instance, `hello` in {language}");
    let warm = |language: &str| format!("runtime alone: warm instance, `hello` in {language}");
    let mut rigs = Vec::new();
    for (language, folder, weight) in LANGUAGES {
        if !scale.wants(&fresh(language)) && !scale.wants(&warm(language)) {
            continue;
        }
        let Some(component) = hello(guests, (language, folder), skipped) else { continue };
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
