//! Files: the data directory and the disk below it, who may read secrets, and what the files say of the clock.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use hostel_api::unit::ByteSize;

use crate::cli::text;
use crate::config::Config;
use crate::config::access::{admin_clients, ingress_clients};
use crate::config::broker::BrokerKind;
use crate::secrets::Secrets;
use crate::tls;
use crate::tls::clients::Clients;

use super::Examined;

/// What others than the owner may do.
const OTHERS: u32 = 0o077;
/// How far ahead of the clock a file's time may be. Arbitrary; a corrected clock is off by less.
const AHEAD: Duration = Duration::from_secs(60);
/// Before this the clock cannot be right: the year in which this was written, in seconds since 1970.
const WRITTEN: u64 = 1_767_225_600;
/// Entries of the data directory that are looked at for their times. Arbitrary.
const ENTRIES: usize = 4096;
/// Below this a disk is nearly full. Arbitrary: a minute of heavy publishing.
const ROOM: u64 = 1 << 30;
/// How often a sync is measured.
const SYNCS: usize = 5;
/// A sync below this has reached no disk; one of a disk with a battery takes some 20 µs.
const UNREAL: Duration = Duration::from_micros(5);
/// A sync above this is felt by every publisher.
const SLOW: Duration = Duration::from_millis(20);
/// The file system that is memory, as `statfs` names it.
const TMPFS: u64 = 0x0102_1994;

#[expect(clippy::disallowed_methods, reason = "the machine's own clock is what is looked at")]
pub(super) fn examine(config: &Config) -> Vec<Examined> {
    let folder = &config.data_dir;
    let mut examined = vec![usable(folder)];
    examined.extend(private(folder));
    examined.extend(secrets(config));
    examined.extend(authorities(config));
    let newest = newest(folder);
    examined.push(clock(SystemTime::now(), newest.as_ref()));
    // A folder that is to be made is on the disk of the nearest one that is there.
    let there = folder.ancestors().map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it });
    if let Some(there) = there.into_iter().find(|it| it.is_dir()) {
        examined.extend(disk(there, config.broker.kind == BrokerKind::Durable));
    }
    examined
}

/// The file with a token that the command line was given.
pub(super) fn token(path: &Path) -> Examined {
    const ABOUT: &str = "token file";
    match fs::metadata(path) {
        Ok(about) => readable(ABOUT, path, about.permissions().mode())
            .unwrap_or_else(|| Examined::fine(ABOUT, format!("`{}` is its owner's alone", path.display()))),
        Err(error) => Examined::finding(
            ABOUT,
            format!("cannot read `{}`: {error}", path.display()),
            "no command that names it is let in",
            "correct `--token-file` or `HOSTEL_TOKEN_FILE`",
        ),
    }
}

/// Whether the folder can be written to; one that is not there yet is made by the host.
fn usable(folder: &Path) -> Examined {
    const ABOUT: &str = "data directory";
    let shown = folder.display();
    if !folder.exists() {
        return Examined::fine(ABOUT, format!("`{shown}` is not there yet; the host makes it"));
    }
    match probe(folder) {
        Ok(()) => Examined::fine(ABOUT, format!("`{shown}` can be written to")),
        Err(error) => Examined::finding(
            ABOUT,
            format!("cannot write to `{shown}`: {error}"),
            "a host that cannot keep anything there does not start",
            "make it a folder of the user that runs the host, or choose another with `data_dir`",
        ),
    }
}

fn probe(folder: &Path) -> io::Result<()> {
    probe_file(folder).and_then(|(path, _)| fs::remove_file(path))
}

/// A new file of ours.
fn probe_file(folder: &Path) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    File::options().write(true).create_new(true).open(&path).map(|file| (path, file))
}

/// What in the data directory others could read or change.
fn private(folder: &Path) -> Vec<Examined> {
    let mode = |path: &Path| fs::metadata(path).map(|about| about.permissions().mode()).ok();
    let mut examined = Vec::new();
    if let Some(bits) = mode(folder).filter(|bits| bits & 0o022 != 0) {
        examined.push(Examined::finding(
            "data directory",
            format!("`{}` may be written to by others than its owner (mode {:o})", folder.display(), bits & 0o777),
            "whoever can write there decides what code the host runs",
            format!("chmod go-w {}", folder.display()),
        ));
    }
    // The operator's first token, and the keys of certificates that the host made for itself.
    let secret = ["operator-token", "tls/key.pem", "tls-admin/key.pem"].map(|name| folder.join(name));
    examined.extend(secret.iter().filter_map(|path| readable("data directory", path, mode(path)?)));
    examined
}

fn readable(about: &'static str, path: &Path, mode: u32) -> Option<Examined> {
    (mode & OTHERS != 0).then(|| {
        Examined::finding(
            about,
            format!("`{}` may be read by others than its owner (mode {:o})", path.display(), mode & 0o777),
            "whoever reads it can do what its owner can",
            format!("chmod 600 {}", path.display()),
        )
    })
}

/// The tenants' secrets, and the keys of certificates.
fn secrets(config: &Config) -> Vec<Examined> {
    const ABOUT: &str = "secrets";
    let mut examined = Vec::new();
    if let Err(mistake) = Secrets::open(&config.secrets) {
        let why = "the host does not start without them";
        examined.push(Examined::finding(ABOUT, mistake.text, why, mistake.code.hint()));
    }
    let files =
        config.secrets.values().flat_map(|secrets| secrets.values()).filter_map(|source| source.file.as_deref());
    let (registry, peers) = (&config.registry, &config.peers);
    let keys = [&config.ingress.key, &config.admin.key, &peers.client_key, &registry.client_key, &registry.token_file];
    let keys = keys.into_iter().filter(|key| !key.as_os_str().is_empty());
    for path in files.chain(keys.map(PathBuf::as_path)) {
        let Ok(about) = fs::metadata(path) else { continue };
        examined.extend(readable(ABOUT, path, about.permissions().mode()));
    }
    if examined.is_empty() && !config.secrets.is_empty() {
        examined.push(Examined::fine(ABOUT, "all can be read, by their owner alone"));
    }
    examined
}

/// The authorities by which clients are believed.
fn authorities(config: &Config) -> Vec<Examined> {
    const ABOUT: &str = "client certificates";
    let mut all = ingress_clients(&config.ingress);
    all.push(admin_clients(&config.admin));
    all.retain(|clients| !clients.authorities.as_os_str().is_empty());
    // A listener that follows the first has its key too.
    all.dedup_by(|one, other| one.key == other.key);
    let examine = |clients: &Clients<'_>| match tls::clients::authorities(clients.authorities) {
        Ok(found) => {
            let count = text::counted(u64::try_from(found.len()).unwrap_or(u64::MAX), "certificate");
            Examined::fine(ABOUT, format!("`{}` has {count}, for `{}`", clients.authorities.display(), clients.key))
        }
        Err(error) => Examined::finding(
            ABOUT,
            format!("`{}`: {error}", clients.key),
            "a host that does not know whom to believe does not start",
            "name a PEM file with the certificates of the authorities that sign those of clients",
        ),
    };
    all.iter().map(examine).collect()
}

/// The newest file of the data directory, with its time.
fn newest(folder: &Path) -> Option<(PathBuf, SystemTime)> {
    let (mut folders, mut looked, mut newest) = (vec![folder.to_owned()], 0, None::<(PathBuf, SystemTime)>);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            looked += 1;
            if looked > ENTRIES {
                return newest;
            }
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                folders.push(entry.path());
            } else if let Ok(at) = about.modified()
                && newest.as_ref().is_none_or(|(_, newest)| at > *newest)
            {
                newest = Some((entry.path(), at));
            }
        }
    }
    newest
}

fn clock(now: SystemTime, newest: Option<&(PathBuf, SystemTime)>) -> Examined {
    const ABOUT: &str = "clock";
    const WHY: &str = "ids, retries, expiry and tokens go by it; what was written in its future is out of order";
    const CURE: &str = "set it, and let NTP keep it: `timedatectl set-ntp true`";
    if now < SystemTime::UNIX_EPOCH + Duration::from_secs(WRITTEN) {
        return Examined::finding(ABOUT, "it stands before the release of this program", WHY, CURE);
    }
    match newest.and_then(|(path, at)| Some((path, at.duration_since(now).ok()?))) {
        Some((path, ahead)) if ahead > AHEAD => {
            let what = format!("`{}` was written {} s in its future", path.display(), ahead.as_secs());
            Examined::finding(ABOUT, what, WHY, CURE)
        }
        _ => Examined::fine(ABOUT, "nothing in the data directory is of its future"),
    }
}

/// What is measured of a disk.
struct Disk {
    free: u64,
    is_memory: bool,
    /// The sync in the middle; `None` if none could be made.
    sync: Option<Duration>,
}

fn disk(folder: &Path, is_durable: bool) -> Vec<Examined> {
    let Ok(about) = rustix::fs::statfs(folder) else { return Vec::new() };
    let free = u64::try_from(about.f_bsize).unwrap_or_default().saturating_mul(about.f_bavail);
    // Its type is another on each system.
    let is_memory = u64::try_from(about.f_type).is_ok_and(|kind| kind == TMPFS);
    judge(folder, &Disk { free, is_memory, sync: measure(folder).ok() }, is_durable)
}

fn measure(folder: &Path) -> io::Result<Duration> {
    let (path, mut file) = probe_file(folder)?;
    let times = (0..SYNCS).map(|_| {
        file.write_all(&[0; 4096])?;
        let began = Instant::now();
        file.sync_data().map(|()| began.elapsed())
    });
    let times: io::Result<Vec<Duration>> = times.collect();
    fs::remove_file(path)?;
    let mut times = times?;
    times.sort();
    times.get(SYNCS / 2).copied().ok_or_else(|| io::Error::other("nothing was measured"))
}

fn judge(folder: &Path, disk: &Disk, is_durable: bool) -> Vec<Examined> {
    const ABOUT: &str = "disk";
    let (shown, free) = (folder.display(), ByteSize(disk.free >> 20 << 20));
    let mut examined = Vec::new();
    if disk.free < ROOM {
        examined.push(Examined::finding(
            ABOUT,
            format!("{free} are free below `{shown}`"),
            "a host whose disk is full takes no events until there is room",
            "make room, or keep less: `broker.keep_for` and `broker.keep_bytes`",
        ));
    } else {
        examined.push(Examined::fine(ABOUT, format!("{free} are free below `{shown}`")));
    }
    if !is_durable {
        return examined;
    }
    match disk.sync {
        _ if disk.is_memory => examined.push(Examined::finding(
            ABOUT,
            format!("`{shown}` is in memory (tmpfs)"),
            "what the host acknowledged is lost with the machine's power",
            "put `data_dir` on a disk, or say that nothing needs to last: `broker.use = \"memory\"`",
        )),
        Some(sync) if sync < UNREAL => examined.push(Examined::finding(
            ABOUT,
            format!("a sync takes {} µs, which no disk can do", sync.as_micros()),
            "the file system says that it has written what it has not; a crash may lose what was acknowledged",
            "put `data_dir` on a file system that syncs, not on one mounted with `nobarrier` or run under `eatmydata`",
        )),
        Some(sync) if sync > SLOW => examined.push(Examined::finding(
            ABOUT,
            format!("a sync takes {} ms", sync.as_millis()),
            "a publisher waits for at least one before it is answered",
            "put `data_dir` on a faster disk, or relax `broker.sync` if a second of events may be lost",
        )),
        Some(sync) => examined.push(Examined::fine(ABOUT, format!("a sync takes {} µs", sync.as_micros()))),
        None => {}
    }
    examined
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_file_of_the_future_is_seen() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(WRITTEN + 100_000);
        let verdict = |ahead: u64| clock(now, Some(&(PathBuf::from("a"), now + Duration::from_secs(ahead)))).verdict;
        assert_eq!((verdict(0), verdict(59), verdict(61)), (Verdict::Fine, Verdict::Fine, Verdict::Finding));
        assert_eq!(clock(now, None).verdict, Verdict::Fine);
        assert_eq!(clock(SystemTime::UNIX_EPOCH, None).verdict, Verdict::Finding);
    }

    #[test]
    fn what_others_may_read_is_told_with_the_command_that_cures_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator-token");
        fs::write(&path, "s").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let [examined] = &private(folder.path())[..] else { panic!("one finding") };
        assert_eq!(examined.cure, format!("chmod 600 {}", path.display()));
        assert_eq!(token(&path).verdict, Verdict::Finding);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(private(folder.path()).is_empty());
        assert_eq!(token(&path).verdict, Verdict::Fine);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(private(folder.path()).len(), 1);
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(usable(folder.path()).verdict, Verdict::Fine);
        measure(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(usable(&file).verdict, Verdict::Finding);
    }

    #[test]
    fn a_disk_that_cannot_be_relied_on_is_a_finding() {
        let verdicts = |free: u64, is_memory: bool, micros: u64, is_durable: bool| {
            let disk = Disk { free, is_memory, sync: Some(Duration::from_micros(micros)) };
            judge(Path::new("a"), &disk, is_durable).iter().map(|one| one.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(ROOM, false, 900, true), [Verdict::Fine, Verdict::Fine]);
        assert_eq!(verdicts(ROOM - 1, false, 900, true), [Verdict::Finding, Verdict::Fine]);
        assert_eq!(verdicts(ROOM, false, 1, true), [Verdict::Fine, Verdict::Finding]);
        assert_eq!(verdicts(ROOM, false, 90_000, true), [Verdict::Fine, Verdict::Finding]);
        assert_eq!(verdicts(ROOM, true, 900, true), [Verdict::Fine, Verdict::Finding]);
        assert_eq!(verdicts(ROOM, true, 900, false), [Verdict::Fine]);
    }
}
