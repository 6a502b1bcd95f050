//! A namespace for a test and everything it starts: of the network, since mDNS would reach everyone otherwise, or of
//! mounts, for a disk that is small.
//!
//! A test starts this test program again inside `unshare`, with nothing but itself to run. So the host, the
//! programs it talks to and the test itself are all inside, and nothing has to be moved between namespaces.
//!
//! What is said here goes past the harness, which would hide it: what was not checked, and figures.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

/// Set inside the namespace.
const INSIDE: &str = "HOSTEL_TEST_INSIDE_NAMESPACE";

/// Lets `lo` carry multicast. Nothing else is in the namespace.
const SET_UP: &str =
    "ip link set lo up multicast on && ip route add 224.0.0.251 dev lo src 127.0.0.1 && exec \"$0\" \"$@\"";

/// Finds out whether a file system can be mounted. What writes beyond a limit of its size gets an error instead of a
/// signal, here and in everything that is started inside.
const SET_UP_MOUNTS: &str = "d=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs \"$d\" && umount \"$d\" && rmdir \"$d\" && \
                             trap '' XFSZ && exec \"$0\" \"$@\"";

/// The longest test: far beyond what one takes, so that one that hangs is ended inside, where it can clean up.
const LONGEST: Duration = Duration::from_secs(300);

/// Before a line that is passed on from inside.
const STATED: &str = "stated: ";

/// How a namespace is made here.
pub struct Namespace {
    options: &'static [&'static str],
    set_up: &'static str,
}

impl Namespace {
    /// Finds out how this system makes one of the network.
    ///
    /// # Errors
    /// Why it does not, and the cure.
    pub fn make() -> Result<Self, String> {
        let cure = "this system does not allow a network namespace; run it as root, with `unshare` (util-linux) and `ip` \
                    (iproute2)";
        Self::find([&["--net"], &["--user", "--map-root-user", "--net"]], SET_UP).ok_or_else(|| cure.to_owned())
    }

    /// The same of mounts. What is mounted inside is seen inside only, and gone with the test.
    ///
    /// # Errors
    /// Why it does not, and the cure.
    pub fn mounts() -> Result<Self, String> {
        let cure = "this system does not allow a namespace of mounts; run it as root, with `unshare` (util-linux) and \
                    `mount`";
        let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
        Self::find(ways, SET_UP_MOUNTS).ok_or_else(|| cure.to_owned())
    }

    /// The first way that this system allows. The second is for those who are not root.
    fn find(ways: [&'static [&'static str]; 2], set_up: &'static str) -> Option<Self> {
        let allowed = |options: &&[&str]| {
            let probe = Command::new("unshare").args(*options).args(["sh", "-c", set_up, "true"]).output();
            probe.is_ok_and(|output| output.status.success())
        };
        ways.into_iter().find(allowed).map(|options| Self { options, set_up })
    }

    /// Runs one test of this test program inside and fails as it does.
    pub fn run(&self, test: &str) {
        let output = Command::new("unshare")
            .args(self.options)
            .args(["sh", "-c", self.set_up])
            .arg(std::env::current_exe().expect("a running test has a path"))
            .args([test, "--exact", "--nocapture"])
            .env(INSIDE, "yes")
            .output()
            .expect("unshare starts, as it did before");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for line in err.lines().filter_map(|line| line.strip_prefix(STATED)) {
            say(&format!("{test}: {line}"));
        }
        // A filter that finds no test succeeds as well.
        assert!(output.status.success() && out.contains("1 passed"), "inside the namespace:\n{out}\n{err}");
    }
}

/// Whether this process is the one inside.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a test's body. To be called inside.
pub fn inside(body: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(LONGEST, body).await.expect("the test ends in time") });
}

/// Says why a test checked nothing, for people and for `cargo xtask test` to count.
pub fn skip(test: &str, reason: &str) {
    say(&format!("SKIPPED: {test}: {reason}"));
}

/// States a figure.
pub fn figure(text: &str) {
    say(text);
}

/// States a figure from inside a namespace.
#[expect(clippy::print_stderr, reason = "the process outside passes it on")]
pub fn state(figure: &str) {
    eprintln!("{STATED}{figure}");
}

/// A line of its own on stdout, past the harness that would hide it. The line before may be unfinished.
fn say(line: &str) {
    let _ = std::io::stdout().write_all(format!("\n{line}\n").as_bytes());
}
