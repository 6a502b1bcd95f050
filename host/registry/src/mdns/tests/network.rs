//! Over real sockets, in a network namespace that each test makes for itself: mDNS would reach everyone otherwise.
//!
//! A test starts this test program again inside `unshare --net`, with nothing but itself to run. Where the system does
//! not allow that the test says so on stderr, past the harness that would hide it, and checks nothing.

use std::io::{Write, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;

use hostel_event::port::{ChangeKind, Clock, Registry, RegistryError, Service};

use crate::conformance::{self, Stage, has, service};
use crate::mdns::packet::{self, Instance, Message};
use crate::mdns::socket::{PORT, everyone};
use crate::mdns::{Counts, Mdns, Settings, StartError, text};
use crate::memory::tests::Paused as TokioClock;

/// Set inside the namespace.
const INSIDE: &str = "HOSTEL_TEST_INSIDE_NAMESPACE";

/// Lets `lo` carry multicast. Nothing else is in the namespace.
const SET_UP: &str =
    "ip link set lo up multicast on && ip route add 224.0.0.251 dev lo src 127.0.0.1 && exec \"$0\" \"$@\"";

/// Runs a test inside a namespace of its own.
fn in_namespace(test: &str, inside: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(inside);
    }
    let namespace = ["--net"].as_slice();
    let own_user = ["--user", "--map-root-user", "--net"].as_slice();
    let allowed = |options: &&&[&str]| {
        let probe = Command::new("unshare").args(**options).args(["sh", "-c", SET_UP, "true"]).output();
        probe.is_ok_and(|output| output.status.success())
    };
    let Some(options) = [namespace, own_user].iter().find(allowed).copied() else {
        // Straight to stdout, past the harness that would hide it; `cargo xtask test` counts the line.
        _ = writeln!(
            stdout(),
            "\nSKIPPED: {test}: this system does not allow a network namespace; run it as root, with `unshare` \
             (util-linux) and `ip` (iproute2)"
        );
        return;
    };
    let program = std::env::current_exe().unwrap();
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let output = Command::new("unshare")
        .args(options)
        .args(["sh", "-c", SET_UP])
        .arg(program)
        .args([name.as_str(), "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // A filter that finds no test succeeds as well.
    assert!(output.status.success() && out.contains("1 passed"), "inside the namespace:\n{out}\n{err}");
}

/// A number that differs from one call to the next.
fn counted() -> u64 {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    COUNT.fetch_add(7919, std::sync::atomic::Ordering::Relaxed)
}

/// As go-micro, but with more patience: the machine may be busy.
fn settings() -> Settings {
    Settings { wait: Duration::from_millis(250), ..Settings::go_micro("lo", "vm") }
}

fn start(settings: Settings) -> Arc<Mdns> {
    let clock: Arc<dyn Clock> = TokioClock::start();
    Arc::new(Mdns::start(settings, clock, counted).unwrap())
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn it_conforms() {
    in_namespace("it_conforms", async {
        let domain = std::sync::atomic::AtomicUsize::new(0);
        conformance::all(async || {
            // Stages that are gone say no goodbye: each has a domain of its own.
            let number = domain.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let settings = Settings { domain: format!("micro{number}"), ..settings() };
            Stage { here: start(settings.clone()), there: start(settings) }
        })
        .await;
    });
}

/// Waits until a condition holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[test]
fn closing_says_goodbye_for_all_nodes_and_ends_the_watches() {
    in_namespace("closing_says_goodbye_for_all_nodes_and_ends_the_watches", async {
        let (here, there) = (start(settings()), start(settings()));
        let mut seen = there.watch(None).await.unwrap();
        for id in ["a", "b"] {
            here.register(service("s", "1", id), LONG).await.unwrap();
            assert_eq!(seen.next().await.map(|change| change.kind), Some(ChangeKind::Create));
        }
        let mut own = here.watch(Some("s")).await.unwrap();
        here.close().await;
        for id in ["a", "b"] {
            let change = seen.next().await.unwrap();
            assert_eq!((change.kind, change.service), (ChangeKind::Delete, service("s", "1", id)));
        }
        while own.next().await.is_some() {}
        has(&*there, "s", &[]).await;
        let closed = here.register(service("s", "1", "a"), LONG).await;
        assert_eq!(closed, Err(RegistryError::Unreachable("the mDNS registry is closed".to_owned())));
        here.close().await;
    });
}

/// A stranger's socket, which may listen where everyone does.
async fn stranger(port: u16) -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into()).unwrap();
    socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 251), &Ipv4Addr::LOCALHOST).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}

fn instance(name: &str) -> Instance {
    let service = service("s", "1", name);
    Instance {
        name: format!("{name}.s.micro"),
        host: "stranger".to_owned(),
        address: ([127, 0, 0, 1], 9).into(),
        text: text::encode(&service, &service.nodes[0]).unwrap(),
    }
}

#[test]
fn malformed_packets_are_ignored_and_counted_and_others_are_served() {
    in_namespace("malformed_packets_are_ignored_and_counted_and_others_are_served", async {
        let registry = start(settings());
        registry.register(service("s", "1", "a"), LONG).await.unwrap();
        let stranger = stranger(0).await;
        let not_ours = Instance { text: b"zz".to_vec(), ..instance("x") };
        let printer =
            Instance { name: "printer._ipp._tcp.local".to_owned(), text: b"qtotal=1".to_vec(), ..instance("x") };
        let packets = [
            b"garbage".to_vec(),
            vec![0xff; 1000],
            packet::announcement(&not_ours, 120).unwrap(),
            packet::announcement(&printer, 120).unwrap(),
        ];
        for packet in &packets {
            stranger.send_to(packet, everyone()).await.unwrap();
        }
        until("the malformed ones are counted", || registry.counts().malformed == 3).await;
        has(&*registry, "s", &[("1", "a")]).await;
        assert_eq!(registry.counts(), Counts { malformed: 3, ..Counts::default() });
    });
}

#[test]
fn answers_from_strangers_are_taken_only_if_they_are_whole_and_in_time() {
    in_namespace("answers_from_strangers_are_taken_only_if_they_are_whole_and_in_time", async {
        let registry = start(settings());
        let stranger = stranger(PORT).await;
        let answers = |asked: &packet::Asked, id: u16| {
            let good = packet::answer(id, asked, packet::Answer::Pointer(&instance("good"))).unwrap();
            let gone = packet::announcement(&instance("gone"), 0).unwrap();
            let other =
                packet::announcement(&Instance { name: "a.other.micro".to_owned(), ..instance("a") }, 120).unwrap();
            let broken = packet::announcement(&Instance { text: b"zz".to_vec(), ..instance("broken") }, 120).unwrap();
            // As one answers who follows RFC 6762 and does not repeat the question.
            let bare = packet::announcement(&instance("bare"), 120).unwrap();
            [b"garbage".to_vec(), gone, other, broken, good, bare]
        };
        let asking = registry.get("s");
        let answering = async {
            let mut buffer = [0; 1500];
            let (bytes, from) = stranger.recv_from(&mut buffer).await.unwrap();
            let Message::Query { id, questions } = packet::parse(&buffer[..bytes]).unwrap() else { panic!() };
            for answer in answers(&questions[0], id) {
                stranger.send_to(&answer, from).await.unwrap();
            }
        };
        let (found, ()) = tokio::join!(asking, answering);
        let found: Vec<Service> = found.unwrap();
        let ids: Vec<&str> = found[0].nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(ids, ["bare", "good"]);
        assert_eq!(registry.counts(), Counts { malformed: 2, ..Counts::default() });
        // Nobody answers this time.
        let began = tokio::time::Instant::now();
        assert_eq!(registry.get("s").await, Err(RegistryError::NotFound("s".to_owned())));
        assert!(began.elapsed() >= settings().wait);
    });
}

#[test]
fn a_question_that_too_many_answer_is_cut() {
    in_namespace("a_question_that_too_many_answer_is_cut", async {
        let many = start(settings());
        // More than are answered without a pause.
        for number in 0..200 {
            many.register(service("s", "1", &format!("n{number}")), LONG).await.unwrap();
        }
        let few = start(Settings { others: 5, ..settings() });
        assert_eq!(few.get("s").await.unwrap()[0].nodes.len(), 5);
        assert_eq!(few.counts().cut, 1);
        assert_eq!(many.get("s").await.unwrap()[0].nodes.len(), 200);
    });
}

#[test]
fn a_flood_of_announcements_is_bounded_and_others_are_served() {
    in_namespace("a_flood_of_announcements_is_bounded_and_others_are_served", async {
        let registry = start(Settings { others: 100, watch_buffer: 10, ..settings() });
        let mut watch = registry.watch(None).await.unwrap();
        let stranger = stranger(0).await;
        // As fast as they are taken in, so that the kernel drops none.
        for batch in 0..20 {
            for number in 0..50 {
                let announced = packet::announcement(&instance(&format!("n{}", batch * 50 + number)), 120).unwrap();
                stranger.send_to(&announced, everyone()).await.unwrap();
            }
            let heard = (batch + 1) * 50;
            until("announcements are heard", || watch.lost() + 10 >= heard).await;
        }
        assert_eq!((watch.lost(), registry.counts().forgotten), (990, 900));
        assert_eq!(watch.next().await.unwrap().service.nodes[0].id, "n990");
        registry.register(service("t", "1", "a"), LONG).await.unwrap();
        has(&*registry, "t", &[("1", "a")]).await;
    });
}

#[test]
fn a_registry_without_a_way_out_says_so() {
    in_namespace("a_registry_without_a_way_out_says_so", async {
        let registry = start(settings());
        let unplug = Command::new("ip").args(["link", "set", "lo", "down"]).status().unwrap();
        assert!(unplug.success());
        let registered = registry.register(service("s", "1", "a"), LONG).await;
        assert!(matches!(registered, Err(RegistryError::Unreachable(_))), "{registered:?}");
        let got = registry.get("s").await;
        assert!(matches!(got, Err(RegistryError::Unreachable(_))), "{got:?}");
        assert!(registry.counts().unsent >= 2);
    });
}

#[tokio::test]
async fn what_is_wrong_with_the_settings_is_said_before_a_socket_opens() {
    let check = |settings: Settings, expected: &str| {
        let error = Mdns::start(settings, TokioClock::start(), counted).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!matches!(error, StartError::Listen { .. }));
    };
    check(Settings::go_micro("nowhere0", "vm"), "no network interface `nowhere0` with an IPv4 address; there are `lo");
    check(Settings::go_micro("lo", "my machine"), "cannot use `my machine` in mDNS names");
    check(Settings { domain: String::new(), ..settings() }, "in mDNS names");
}
