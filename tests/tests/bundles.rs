//! Bundles of files that come to nothing: they are the sender's fault and leave nothing on the host's disk.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::fs;

use hostel_api::client::{ClientError, Progress};
use hostel_tests::host::{Host, PATIENCE, digest};
use hostel_tests::{cli, repository};

/// How many bundles lie unpacked on a host's disk.
fn unpacked(host: &Host) -> usize {
    fs::read_dir(host.data().join("data/unpacked")).expect("there").count()
}

/// A tar file with empty files at these paths.
fn tar(paths: &[&str]) -> Vec<u8> {
    let mut bundle = Vec::new();
    for path in paths {
        let mut head = [0_u8; 512];
        let mut set = |at: usize, text: &str| {
            for (place, byte) in head.iter_mut().skip(at).zip(text.bytes()) {
                *place = byte;
            }
        };
        set(0, path);
        set(100, "0000644\0");
        set(124, "00000000000\0");
        set(136, "00000000000\0");
        set(148, "        ");
        set(156, "0");
        set(257, "ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        for (place, byte) in head.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
            *place = byte;
        }
        bundle.extend(head);
    }
    bundle.extend([0; 1024]);
    bundle
}

#[tokio::test]
async fn a_tree_that_cannot_be_is_no_fault_of_the_host() {
    let host = Host::start().await;
    let put = async |paths: &[&str]| {
        let (bundle, (progress, _begun)) = (tar(paths), Progress::new());
        host.client.put_files(&digest(&bundle), bundle.into(), &progress).await
    };
    put(&["a", "b/c"]).await.expect("a good one is taken");
    for (paths, expected) in [
        (["a", "a"], "`a` stands twice in the bundle"),
        (["a", "a/b"], "`a/b` in the bundle lies below `a`, which is a file"),
    ] {
        match put(&paths).await {
            Err(ClientError::Problem { problem, .. }) => {
                assert_eq!((problem.code.as_str(), problem.status), ("E0058", 422), "{problem:?}");
                assert_eq!(problem.detail, expected);
            }
            other => panic!("a problem is expected: {other:?}"),
        }
    }
    assert_eq!(unpacked(&host), 0);
    let (said, _) = host.stop().await;
    assert!(!said.contains("ERROR"), "{said}");
}

#[tokio::test]
async fn a_version_that_refuses_to_start_leaves_no_files_on_the_disk() {
    let host = Host::start().await;
    let project = tempfile::tempdir().expect("a temporary folder");
    let component = repository().join("target/guests/conformance.wasm");
    fs::copy(component, project.path().join("a.wasm")).expect("`cargo xtask guests` builds the sample handlers");
    fs::create_dir(project.path().join("assets")).expect("made");
    fs::write(project.path().join("assets/greeting.txt"), "hello").expect("written");
    let (path, good) = (
        project.path().join("handler.toml"),
        "name = 'a'\ncomponent = 'a.wasm'\nfiles = 'assets'\nkeyvalue = ['a']\nsubscriptions = [{ pattern = 'a' }]",
    );
    let deploy = async |manifest: &str| {
        fs::write(&path, manifest).expect("written");
        cli::run(&host, &["deploy", path.to_str().expect("a plain name")]).await
    };
    let refused = deploy(&format!("{good}\nconfig = {{ refuse = 'today' }}")).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("refused on demand: today"), "{refused:?}");
    let gone = async {
        while unpacked(&host) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("they are given back");

    // One that runs keeps its own, also if another version comes to nothing.
    let deployed = deploy(good).await;
    assert_eq!(deployed.code, Some(0), "{deployed:?}");
    assert_eq!(unpacked(&host), 1);
    let refused = deploy(&format!("{good}\nconfig = {{ refuse = 'again' }}")).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(unpacked(&host), 1);
}
