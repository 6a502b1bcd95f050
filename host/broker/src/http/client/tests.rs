//! TLS, and how many connections there are; the rest is seen through the peers' tests.

use std::sync::atomic::Ordering;

use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::http::peers::tests::support::{Subscriber, until};

use super::*;

const MESSAGE: &[u8] = br#"{"Header":{"Micro-Topic":"jobs"},"Body":"aGVsbG8="}"#;

fn endpoint(address: &str, secure: bool) -> Endpoint {
    Endpoint { address: Address::parse(address).unwrap(), secure }
}

fn message() -> Bytes {
    Bytes::from_static(MESSAGE)
}

/// A certificate of its own for the loopback, as go-micro makes one, and the same as PEM.
fn acceptor(protocols: &[&str]) -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

fn trusting(trust: Trust) -> Client {
    Client::new(Settings { trust, ..Settings::default() }).unwrap()
}

#[tokio::test]
async fn a_certificate_of_nobodys_is_refused_unless_the_switch_says_otherwise() {
    let (tls, pem) = acceptor(&[]);
    let secure = Subscriber::start_with("127.0.0.1:0", Vec::new(), Some(tls)).await;
    let to = endpoint(&secure.address, true);

    let careful = trusting(Trust::default());
    let error = careful.post(&to, "/?id=1", message()).await.unwrap_err();
    assert!(matches!(&error, PostError::Unreachable(why) if why.contains("invalid peer certificate")), "{error}");
    assert_eq!(secure.count(), 0);

    let trusting_anybody = trusting(Trust { any_certificate: true, ..Trust::default() });
    assert_eq!(trusting_anybody.post(&to, "/?id=1", message()).await.unwrap().status, StatusCode::OK);
    assert_eq!(secure.bodies(), ["hello"]);

    let file = std::env::temp_dir().join(format!("hostel-roots-{}.pem", uuid::Uuid::now_v7()));
    std::fs::write(&file, pem).unwrap();
    let knowing = trusting(Trust { roots: Some(file.clone()), ..Trust::default() });
    assert_eq!(knowing.post(&to, "/?id=1", message()).await.unwrap().status, StatusCode::OK);
    std::fs::remove_file(&file).unwrap();
    for client in [careful, trusting_anybody, knowing] {
        client.close().await;
    }
    secure.stop().await;
}

#[tokio::test]
async fn a_peer_that_asks_for_a_certificate_is_shown_ours() {
    let made = rcgen::generate_simple_self_signed(["host-1".to_owned()]).unwrap();
    let (folder, id) = (std::env::temp_dir(), uuid::Uuid::now_v7());
    let files = ["chain", "key"].map(|name| folder.join(format!("hostel-own-{name}-{id}.pem")));
    let [chain, key] = &files;
    std::fs::write(chain, made.cert.pem()).unwrap();
    std::fs::write(key, made.signing_key.serialize_pem()).unwrap();

    let shown = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![shown.cert.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(shown.signing_key.serialize_der())),
        )
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let peer = Subscriber::start_with("127.0.0.1:0", Vec::new(), Some(tls)).await;
    let to = endpoint(&peer.address, true);

    let known = trusting(Trust { any_certificate: true, own: Some((chain.clone(), key.clone())), ..Trust::default() });
    assert_eq!(known.post(&to, "/?id=1", message()).await.unwrap().status, StatusCode::OK);
    let unknown = trusting(Trust { any_certificate: true, ..Trust::default() });
    unknown.post(&to, "/?id=1", message()).await.unwrap_err();
    assert_eq!(peer.count(), 1);

    std::fs::remove_file(key).unwrap();
    let trust = Trust { own: Some((chain.clone(), key.clone())), ..Trust::default() };
    let error = Client::new(Settings { trust, ..Settings::default() }).err().unwrap().to_string();
    assert_eq!(error, format!("cannot read `{}`", key.display()));
    std::fs::remove_file(chain).unwrap();
    for client in [known, unknown] {
        client.close().await;
    }
    peer.stop().await;
}

#[test]
fn a_file_without_authorities_is_refused() {
    let check = |content: Option<&str>, expected: &str| {
        let file = std::env::temp_dir().join(format!("hostel-roots-{}.pem", uuid::Uuid::now_v7()));
        content.into_iter().for_each(|content| std::fs::write(&file, content).unwrap());
        let trust = Trust { roots: Some(file.clone()), ..Trust::default() };
        let error = Client::new(Settings { trust, ..Settings::default() }).err().unwrap().to_string();
        assert_eq!(error, expected.replace('@', &file.display().to_string()));
        let _ = std::fs::remove_file(&file);
    };
    check(None, "cannot read certificates of authorities from `@`");
    check(Some("nothing"), "`@` has no certificate of an authority that can be used");
}

#[tokio::test]
async fn a_tls_peer_that_speaks_http2_gets_it_and_one_connection_carries_many_posts() {
    let (tls, _) = acceptor(&["h2", "http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = endpoint(&listener.local_addr().unwrap().to_string(), true);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let served = (tasks.clone(), stop.clone(), Arc::clone(&connections));
    tasks.spawn(async move {
        let (tasks, stop, connections) = served;
        while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
            connections.fetch_add(1, Ordering::SeqCst);
            let stream = tls.accept(stream).await.unwrap();
            let stop = stop.clone();
            tasks.spawn(async move {
                let service = hyper::service::service_fn(async |request: Request<Incoming>| {
                    assert_eq!(request.version(), http::Version::HTTP_2);
                    assert_eq!(request.uri().path_and_query().unwrap().as_str(), "/?id=1");
                    assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), MESSAGE);
                    Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = stop.run_until_cancelled(server.serve_connection(TokioIo::new(stream), service)).await;
            });
        }
    });
    let client = trusting(Trust { any_certificate: true, ..Trust::default() });
    for _ in 0..20 {
        let posts = [(); 5].map(|()| client.post(&to, "/?id=1", message()));
        for answer in futures_util::future::join_all(posts).await {
            assert_eq!(answer.unwrap().status, StatusCode::OK);
        }
    }
    assert!(connections.load(Ordering::SeqCst) <= 5, "those that began before the first was there");
    client.close().await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn connections_are_bounded_and_idle_ones_make_way() {
    let client = Client::new(Settings { connections: 2, ..Settings::default() }).unwrap();
    let peers =
        [Subscriber::start().await, Subscriber::start().await, Subscriber::start().await, Subscriber::start().await];
    for _ in 0..3 {
        let ends: Vec<Endpoint> = peers.iter().map(|peer| endpoint(&peer.address, false)).collect();
        let posts = ends.iter().map(|to| client.post(to, "/?id=1", message()));
        for answer in futures_util::future::join_all(posts).await {
            assert_eq!(answer.unwrap().status, StatusCode::OK);
        }
    }
    assert!(peers.iter().all(|peer| peer.count() == 3));
    assert_eq!(client.shared.tasks.len(), 2, "as many as there may be");
    client.close().await;
}

#[tokio::test]
async fn a_connection_that_the_peer_closed_while_idle_is_replaced_without_a_word() {
    let client = Client::new(Settings::default()).unwrap();
    let first = Subscriber::start().await;
    let to = endpoint(&first.address, false);
    client.post(&to, "/?id=1", message()).await.unwrap();
    first.stop().await;
    let second = Subscriber::start_with(&first.address, Vec::new(), None).await;
    until("its end is noticed", || client.shared.tasks.is_empty()).await;
    client.post(&to, "/?id=1", message()).await.unwrap();
    assert_eq!((first.count(), second.count()), (1, 1));
    client.close().await;
}

#[test]
fn an_address_knows_its_host() {
    let check = |text: &str, host: &str| assert_eq!(Address::parse(text).unwrap().host(), host);
    check("127.0.0.1:80", "127.0.0.1");
    check("[::1]:80", "::1");
    check("some.host:80", "some.host");
}
