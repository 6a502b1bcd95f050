//! Misbehaves as an event tells it to: the fixture of the safety tests. The behaviour is the header `behaviour`, or
//! else the body as text; `name:number` gives the number that a row names `n`.
//!
//! | behaviour | what it does |
//! |---|---|
//! | `ok` | nothing; acknowledges |
//! | `reject` | rejects |
//! | `retry` | asks for another attempt |
//! | `retry-after:n` | asks for another attempt after n ms, 100 if not given |
//! | `retry-until:n` | asks for another attempt until this is the n-th, 2 if not given; then acknowledges |
//! | `last-error` | rejects with what the host says of the last attempt |
//! | `loop` | computes for ever |
//! | `sleep:n` | blocks in the host for n ms, an hour if not given |
//! | `extend-forever` | computes for ever and moves its deadline all the while |
//! | `extend:n` | moves its deadline to n ms from now, a day if not given; rejects with the host's answer |
//! | `allocate` | takes memory until there is none |
//! | `hold-memory:n` | takes and writes n MiB, 32 if not given; acknowledges |
//! | `recurse` | calls itself without end |
//! | `trap` | panics, three functions deep |
//! | `abort` | ends by an instruction that traps, without a message |
//! | `exit:n` | ends the program with status n, 0 if not given; the host learns whether it is 0, no more |
//! | `talk` | one log line of each level, one on stdout, one on stderr, one unfinished; acknowledges |
//! | `flood:n` | logs n lines, 100,000 if not given; acknowledges |
//! | `flood-then-reject:n` | the same, but rejects |
//! | `print:n` | prints n lines to stdout, 100,000 if not given; acknowledges |
//! | `long-line:n` | logs one line of n bytes, 1 MiB if not given; acknowledges |
//! | `long-line-then-reject:n` | the same, but rejects |
//! | `huge-reason:n` | rejects with a reason of n bytes, 32 MiB if not given |
//! | `huge-argument:n` | asks for a header whose name has n bytes, 32 MiB if not given; acknowledges |
//! | `huge-publish:n` | publishes n bytes, 32 MiB if not given; rejects with the host's answer |
//! | `publish:n` | publishes n messages on `hostile.out`, 1 if not given; acknowledges |
//! | `publish-then-trap` | publishes on `hostile.out`, then panics |
//! | `publish-then-reject` | publishes on `hostile.out`, then rejects |
//! | `denied-publish` | publishes where it may not; rejects with the host's answer |
//! | `invalid-publish` | publishes on a malformed topic; rejects with the host's answer |
//! | `early-ack` | acknowledges, then asks for another attempt |
//! | `early-ack-then-trap` | acknowledges, then panics |
//! | `early-ack-twice` | acknowledges twice; rejects with the host's answer |
//! | `leak-check` | counts in a static; rejects if it was not at zero, acknowledges otherwise |
//! | `list-files` | reads the folder `/`; rejects with the answer |
//! | `read-file` | reads the file that the header `path` names; rejects with its text or the answer |
//! | `write-file` | writes to that file; rejects with the answer |
//! | `remove-file` | removes that file; rejects with the answer |
//! | `list-folder` | reads the folder that the header `path` names; rejects with the names in it, or the answer |
//! | `open-files:n` | opens that file n times, 1000 if not given, and closes none; rejects with how many it got |
//! | `hold-files:n` | opens that file n times, 16 if not given, or as often as it may, and keeps them for as many ms as the header `hold-ms` says, an hour if it does not |
//! | `hold-streams:n` | reads that file of `/files` by n streams, 1000 if not given, each of a file that it closes; rejects with how many it got |
//! | `share-file:n` | reads that file of `/files`, opened once, by n streams, 1000 if not given; rejects with how many it got |
//! | `hold-lists:n` | begins n lists of the folder `/files`, 1000 if not given; rejects with how many it got |
//! | `count-folder` | reads the folder that the header `path` names; rejects with how many different names are in it |
//! | `read-then-count` | reads that file, then does as `leak-check` |
//! | `list-environment` | rejects with all arguments and environment variables |
//!
//! Any other is rejected with its name.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hostel::{Event, Message};

mod files;

/// The one topic that the manifest allows.
const OUT: &str = "hostile.out";
const MIB: usize = 1024 * 1024;

/// Does what the event says.
#[hostel::handler]
fn handle(event: Event) -> hostel::Result {
    let script = event.header("behaviour").map_or_else(|| event.text().map(str::to_owned), Ok)?;
    let (name, number) = match script.trim().split_once(':') {
        None => (script.trim(), None),
        Some((name, number)) => {
            let refuse = |_| hostel::reject(format!("{number:?} of behaviour {name:?} is no number"));
            (name, Some(number.parse::<u64>().map_err(refuse)?))
        }
    };
    let or = |default: u64| number.unwrap_or(default);
    let bytes_or = |default: usize| number.map_or(default, |number| usize::try_from(number).unwrap_or(usize::MAX));
    // Long because flat: one line for each row of the table above.
    match name {
        "ok" => Ok(()),
        "reject" => Err(hostel::reject("rejected on demand")),
        "retry" => Err(hostel::retry("retried on demand")),
        "retry-after" => Err(hostel::retry("retried on demand").after(Duration::from_millis(or(100)))),
        "retry-until" => retry_until(&event, or(2)),
        "last-error" => Err(hostel::reject(format!("last error: {:?}", event.last_error()))),
        "loop" => compute_for_ever(|| ()),
        "sleep" => sleep(Duration::from_millis(or(3_600_000))),
        "extend-forever" => compute_for_ever(|| drop(event.extend(Duration::from_secs(1)))),
        "extend" => answer(event.extend(Duration::from_millis(or(86_400_000)))),
        "allocate" => allocate(),
        "hold-memory" => hold_memory(bytes_or(32)),
        "recurse" => Err(hostel::reject(format!("recursed {} deep", recurse(0)))),
        "trap" => outer(),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(i32::try_from(or(0)).unwrap_or(i32::MAX)),
        "talk" => talk(),
        "flood" => flood(or(100_000)),
        "flood-then-reject" => flood(or(100_000)).and_then(|()| Err(hostel::reject("after a flood"))),
        "print" => each(or(100_000), print),
        "long-line" => long_line(bytes_or(MIB)),
        "long-line-then-reject" => long_line(bytes_or(MIB)).and_then(|()| Err(hostel::reject("after a long line"))),
        "huge-reason" => Err(hostel::reject("x".repeat(bytes_or(32 * MIB)))),
        "huge-argument" => each(1, |_| drop(event.header(&"x".repeat(bytes_or(32 * MIB))))),
        "huge-publish" => answer(publish(OUT, vec![b'x'; bytes_or(32 * MIB)])),
        "publish" => publish_many(or(1)),
        "publish-then-trap" => publish(OUT, "before a trap").map(|_| outer())?,
        "publish-then-reject" => publish(OUT, "before a rejection").map(|_| Err(hostel::reject("after all")))?,
        "denied-publish" => answer(publish("forbidden.topic", "x")),
        "invalid-publish" => answer(publish("no such..topic", "x")),
        "early-ack" => event.ack().map(|()| Err(hostel::retry("after the ack")))?,
        "early-ack-then-trap" => event.ack().map(|()| outer())?,
        "early-ack-twice" => event.ack().map(|()| answer(event.ack()))?,
        "leak-check" => leak_check(),
        "list-files" => list_files("/"),
        "read-file" => answer(std::fs::read_to_string(path(&event))),
        "write-file" => answer(std::fs::write(path(&event), "written")),
        "remove-file" => answer(std::fs::remove_file(path(&event))),
        "list-folder" => list_files(&path(&event)),
        "open-files" => open_files(&path(&event), or(1000)),
        "hold-files" => hold_files(&event, or(16)),
        "hold-streams" => files::hold_streams(&path(&event), or(1000)),
        "share-file" => files::share_file(&path(&event), or(1000)),
        "hold-lists" => files::hold_lists(or(1000)),
        "count-folder" => count_folder(&path(&event)),
        "read-then-count" => {
            std::fs::read(path(&event)).map_or_else(|error| answer(Err::<(), _>(error)), |_| leak_check())
        }
        "list-environment" => list_environment(),
        other => Err(hostel::reject(format!("unknown behaviour {other:?}"))),
    }
}

/// A rejection that tells what the host answered, so that a test can read it.
fn answer<T: std::fmt::Debug, E: std::error::Error + 'static>(result: Result<T, E>) -> hostel::Result {
    Err(match result {
        Ok(value) => hostel::reject(format!("the host agreed: {value:?}")),
        Err(error) => hostel::reject(hostel::Error::from(error).reason()),
    })
}

fn each(times: u64, mut work: impl FnMut(u64)) -> hostel::Result {
    (0..times).for_each(&mut work);
    Ok(())
}

fn flood(lines: u64) -> hostel::Result {
    each(lines, |line| hostel::info!("line {line} of a flood"))
}

fn long_line(bytes: usize) -> hostel::Result {
    hostel::info!("{}", "x".repeat(bytes));
    Ok(())
}

fn retry_until(event: &Event<'_>, attempt: u64) -> hostel::Result {
    if u64::from(event.attempt()) < attempt {
        return Err(hostel::retry(format!("attempt {} of {attempt}", event.attempt())));
    }
    Ok(())
}

fn compute_for_ever(between: impl Fn()) -> hostel::Result {
    let mut sum = 0_u64;
    loop {
        // The host is called now and then only, or most of the time would be spent there.
        for number in 0..100_000 {
            sum = black_box(sum.wrapping_add(number));
        }
        between();
    }
}

fn sleep(time: Duration) -> hostel::Result {
    std::thread::sleep(time);
    Ok(())
}

fn allocate() -> hostel::Result {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; MIB]));
    }
}

fn hold_memory(mebibytes: usize) -> hostel::Result {
    let held = black_box(vec![1_u8; mebibytes.saturating_mul(MIB)]);
    hostel::info!("held {} MiB", held.len() / MIB);
    Ok(())
}

/// Not a tail call: what comes back is used, so that each level keeps its frame.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    recurse(black_box(depth) + 1) + 1
}

/// The outermost of the functions that a stack trace of `trap` shows.
#[inline(never)]
fn outer() -> hostel::Result {
    middle();
    Ok(())
}

#[inline(never)]
fn middle() {
    innermost(black_box("trapped on demand"));
}

#[inline(never)]
#[expect(clippy::panic, reason = "what this handler is for")]
fn innermost(why: &str) {
    panic!("{why}");
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the host makes log lines of them")]
fn talk() -> hostel::Result {
    hostel::trace!("a trace line");
    hostel::debug!("a debug line");
    hostel::info!("an info line");
    hostel::warn!("a warn line");
    hostel::error!("an error line");
    println!("a line on stdout");
    eprintln!("a line on stderr");
    print!("an unfinished line");
    std::io::Write::flush(&mut std::io::stdout())?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the host makes log lines of them")]
fn print(line: u64) {
    println!("line {line} of a flood");
}

fn publish(topic: &str, body: impl Into<Vec<u8>>) -> Result<String, hostel::PublishError> {
    hostel::publish_message(topic, Message::new(body))
}

fn publish_many(times: u64) -> hostel::Result {
    for number in 0..times {
        publish(OUT, number.to_string())?;
    }
    Ok(())
}

/// What one event leaves in memory must not be there for the next.
fn leak_check() -> hostel::Result {
    static EVENTS: AtomicU32 = AtomicU32::new(0);

    match EVENTS.fetch_add(1, Ordering::Relaxed) {
        0 => Ok(()),
        before => Err(hostel::reject(format!("{before} events were here before"))),
    }
}

/// What the header says.
fn path(event: &Event) -> String {
    event.header("path").unwrap_or_default()
}

fn open_files(path: &str, count: u64) -> hostel::Result {
    let mut open = Vec::new();
    while (open.len() as u64) < count {
        match std::fs::File::open(path) {
            Ok(file) => open.push(file),
            Err(error) => return Err(hostel::reject(format!("{} are open: {:?}", open.len(), error.kind()))),
        }
    }
    Err(hostel::reject(format!("{} are open", open.len())))
}

fn hold_files(event: &Event, count: u64) -> hostel::Result {
    let path = path(event);
    let _open: Vec<_> = (0..count).map_while(|_| std::fs::File::open(&path).ok()).collect();
    let time = event.header("hold-ms").and_then(|time| time.parse().ok()).unwrap_or(3_600_000);
    sleep(Duration::from_millis(time))
}

fn count_folder(folder: &str) -> hostel::Result {
    let names = |folder: std::fs::ReadDir| {
        folder.map(|entry| entry.map(|entry| entry.file_name())).collect::<std::io::Result<HashSet<_>>>()
    };
    answer(std::fs::read_dir(folder).and_then(names).map(|names| names.len()))
}

fn list_files(folder: &str) -> hostel::Result {
    let names = |folder: std::fs::ReadDir| {
        folder.map(|entry| entry.map(|entry| entry.file_name())).collect::<std::io::Result<Vec<_>>>()
    };
    answer(std::fs::read_dir(folder).and_then(names))
}

fn list_environment() -> hostel::Result {
    let arguments: Vec<_> = std::env::args_os().collect();
    let variables: Vec<_> = std::env::vars_os().collect();
    Err(hostel::reject(format!("arguments {arguments:?}, environment {variables:?}")))
}

/// What can be tried without a host. The rest ends the process, or never.
#[cfg(test)]
mod tests {
    use hostel::testing;

    use super::*;

    fn run(behaviour: &str) -> testing::Run {
        let host = testing::Host::new().deny("forbidden.topic");
        host.run(handle, testing::Event::new("hostile.do").body(behaviour))
    }

    #[track_caller]
    fn assert_panics(behaviour: &str) {
        let panic = std::panic::catch_unwind(|| run(behaviour)).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("trapped on demand"), "{behaviour}");
    }

    #[test]
    fn the_header_goes_before_the_body() {
        let event = testing::Event::new("hostile.do").header("Behaviour", "retry").body("ok");
        assert_eq!(testing::run(handle, event).result, Err(hostel::retry("retried on demand")));
    }

    #[test]
    fn settles_as_told() {
        let check =
            |behaviour: &str, expected: hostel::Result| assert_eq!(run(behaviour).result, expected, "{behaviour}");
        let retry = || hostel::retry("retried on demand");
        check("ok", Ok(()));
        check(" ok\n", Ok(()));
        check("reject", Err(hostel::reject("rejected on demand")));
        check("retry", Err(retry()));
        check("retry-after:250", Err(retry().after(Duration::from_millis(250))));
        check("retry-until", Err(hostel::retry("attempt 1 of 2")));
        check("retry-until:1", Ok(()));
        check("last-error", Err(hostel::reject("last error: None")));
        check("huge-reason:4", Err(hostel::reject("xxxx")));
        check("flood-then-reject:2", Err(hostel::reject("after a flood")));
        check("long-line-then-reject:2", Err(hostel::reject("after a long line")));
        check("dance", Err(hostel::reject("unknown behaviour \"dance\"")));
        check("retry-after:soon", Err(hostel::reject("\"soon\" of behaviour \"retry-after\" is no number")));
    }

    #[test]
    fn panics_as_told() {
        assert_panics("trap");
        assert_panics("publish-then-trap");
        assert_panics("early-ack-then-trap");
    }

    #[test]
    fn what_the_host_refuses_is_told() {
        let check = |behaviour: &str, expected: &str| {
            assert_eq!(run(behaviour).result, Err(hostel::reject(expected)), "{behaviour}");
        };
        check(
            "denied-publish",
            "publishing was denied: add \"forbidden.topic\" to `publish` in the handler's manifest",
        );
        check("invalid-publish", "the message was refused: topic `no such..topic` has an empty token");
        check("early-ack-twice", "the delivery was settled before");
        check("huge-publish:4", "the host agreed: \"published-1\"");
        check("extend", "the host agreed: ()");
    }

    #[test]
    fn logs_and_publishes_as_told() {
        assert_eq!(run("flood:20").logs.len(), 20);
        assert_eq!(run("long-line:50").logs[0].text.len(), 50);
        assert_eq!(run("talk").logs.len(), 5);
        assert_eq!(run("publish:3").published.len(), 3);
        assert_eq!(run("publish-then-reject").published.len(), 1);
        assert_eq!(run("hold-memory:2").logs[0].text, "held 2 MiB");
        assert!(run("early-ack").acked);
    }

    #[test]
    fn a_leak_is_noticed() {
        assert_eq!(run("leak-check").result, Ok(()));
        assert_eq!(run("leak-check").result, Err(hostel::reject("1 events were here before")));
    }

    #[test]
    fn every_behaviour_has_a_row_in_the_table() {
        let source = include_str!("lib.rs");
        let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `")?.split(['`', ':']).next());
        let arms = source.lines().filter_map(|line| line.strip_prefix("        \"")?.split_once("\" => "));
        let (rows, arms): (Vec<_>, Vec<_>) = (rows.collect(), arms.map(|(name, _)| name).collect());
        assert!(arms.len() > 30, "{arms:?}");
        assert_eq!(rows, arms);
    }
}
