//! Does with keys and values what an event's lines say, one after another, and logs each answer: the fixture of the
//! tests of buckets and effects.
//!
//! | line | what it does |
//! |---|---|
//! | `get BUCKET KEY` | logs the value as text, or `none` |
//! | `set BUCKET KEY VALUE` | writes |
//! | `fill BUCKET KEY n` | writes a value of n bytes |
//! | `seed BUCKET n m` | writes the keys from the n-th on, m of them: `0000`, `0001` and so on |
//! | `delete BUCKET KEY` | deletes |
//! | `exists BUCKET KEY` | logs `true` or `false` |
//! | `increment BUCKET KEY n` | logs the sum |
//! | `keys BUCKET` | logs how many keys there are, the first and the last |
//! | `publish TEXT` | publishes on `scribe.out`, or where config `out` says |
//! | `ack` | acknowledges early |
//! | `first LINE` | does the line in the first attempt only |
//! | `sleep n` | blocks for n ms |
//! | `retry n` | asks for another attempt after n ms |
//! | `retry`, `reject`, `trap` | ends so |
//!
//! An error of a line is logged and does not end the event, so that what follows can be seen as well.

use std::time::Duration;

use hostel::{Event, Message, key_value};

/// The one topic that the manifest allows as it is.
const OUT: &str = "scribe.out";

/// Does what the lines say.
#[hostel::handler]
fn handle(event: Event) -> hostel::Result {
    for line in event.text()?.lines() {
        let line = match line.strip_prefix("first ") {
            Some(_) if event.attempt() > 1 => continue,
            Some(rest) => rest,
            None => line,
        };
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["ack"] => event.ack()?,
            ["sleep", time] => std::thread::sleep(Duration::from_millis(number(time)?)),
            ["retry", time] => {
                return Err(hostel::retry("retried on demand").after(Duration::from_millis(number(time)?)));
            }
            ["retry"] => return Err(hostel::retry("retried on demand")),
            ["reject"] => return Err(hostel::reject("rejected on demand")),
            ["trap"] => std::process::abort(),
            ["publish", ..] => tell(publish(line.strip_prefix("publish ").unwrap_or(line).as_bytes())),
            _ => tell(answer(&words)),
        }
    }
    Ok(())
}

fn tell(answer: hostel::Result<String>) {
    match answer {
        Ok(text) => hostel::info!("{text}"),
        Err(error) => hostel::error!("{error}"),
    }
}

fn publish(body: &[u8]) -> hostel::Result<String> {
    let topic = hostel::config("out")?.unwrap_or_else(|| OUT.to_owned());
    Ok(hostel::publish_message(&topic, Message::new(body)).map(|_| "published".to_owned())?)
}

fn answer(words: &[&str]) -> hostel::Result<String> {
    let bucket = key_value::open(words.get(1).copied().unwrap_or_default())?;
    let done = |()| "done".to_owned();
    Ok(match *words {
        ["get", _, key] => match bucket.get(key)? {
            Some(value) => String::from_utf8_lossy(&value).into_owned(),
            None => "none".to_owned(),
        },
        ["set", _, key, value] => bucket.set(key, value).map(done)?,
        ["fill", _, key, bytes] => {
            bucket.set(key, vec![b'x'; usize::try_from(number(bytes)?).unwrap_or(usize::MAX)]).map(done)?
        }
        ["seed", _, from, count] => {
            for at in (number(from)?..).take(usize::try_from(number(count)?).unwrap_or(usize::MAX)) {
                bucket.set(&format!("{at:04}"), "x")?;
            }
            "done".to_owned()
        }
        ["delete", _, key] => bucket.delete(key).map(done)?,
        ["exists", _, key] => bucket.exists(key)?.to_string(),
        ["increment", _, key, delta] => bucket.increment(key, number(delta)?)?.to_string(),
        ["keys", _] => {
            let keys = bucket.keys().collect::<Result<Vec<String>, _>>()?;
            format!("{} keys, {:?} to {:?}", keys.len(), keys.first(), keys.last())
        }
        _ => return Err(hostel::reject(format!("unknown line {words:?}"))),
    })
}

fn number(text: &str) -> hostel::Result<u64> {
    text.parse().map_err(|_| hostel::reject(format!("{text:?} is no number")))
}
