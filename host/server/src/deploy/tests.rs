//! Whole deployments, but for events: what a change leaves behind whose client leaves, and whom it keeps waiting.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use hostel_api::tenant::TenantDocument;

use super::*;
use crate::compose::{Host, compose};
use crate::config::Config;
use crate::config::broker::BrokerKind;
use crate::observe::changes;

/// A handler of the contract whose core functions are these.
const COMPONENT: &str = r#"(component
    (import "hostel:handler/types@0.1.0" (instance $types
        (type $advice' (record (field "reason" string) (field "after-ms" (option u64))))
        (export "retry-advice" (type $advice (eq $advice')))
        (type $failure' (variant (case "retry" $advice) (case "reject" string)))
        (export "failure" (type $failure (eq $failure')))))
    (alias export $types "failure" (type $failure))
    (import "hostel:handler/events@0.1.0" (instance $events (export "event" (type $event (sub resource)))))
    (alias export $events "event" (type $event))
    (core module $module
        (memory (export "memory") 1)
        (func (export "handle") (param i32) (result i32) (i32.const 16))
        (func (export "init") (result i32) {init} (i32.const 16)))
    (core instance $main (instantiate $module))
    (alias core export $main "memory" (core memory $memory))
    (func $handle (param "event" (borrow $event)) (result (result (error $failure)))
        (canon lift (core func $main "handle") (memory $memory)))
    (instance $subscriber (export "handle" (func $handle)))
    (export "hostel:handler/subscriber@0.1.0" (instance $subscriber))
    (func $init (result (result (error string))) (canon lift (core func $main "init") (memory $memory)))
    (instance $lifecycle (export "init" (func $init)))
    (export "hostel:handler/lifecycle@0.1.0" (instance $lifecycle)))"#;

/// A host that nobody reaches from outside.
struct Bench {
    host: Host,
    _data: TempDir,
}

impl Bench {
    async fn of(kind: BrokerKind) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: data.path().to_owned(), ..Config::default() };
        config.broker.kind = kind;
        let secrets = Arc::new(Secrets::open(&config.secrets).unwrap());
        let listens = [config.ingress.listen];
        let Ok(host) = compose(&config, &listens, secrets, &CancellationToken::new()).await else {
            panic!("the host could not be put together")
        };
        for tenant in ["acme", "globex"] {
            let tenants = &host.admin.access.tenants;
            tenants
                .put(&Tenant::new(tenant).unwrap(), TenantDocument::default(), Timestamp::from_millis(1))
                .await
                .unwrap();
        }
        Self { host, _data: data }
    }

    fn deployments(&self) -> &Arc<Deployments> {
        &self.host.deployments
    }

    /// Uploads a component with these instructions in its `init`; returns a manifest for it.
    async fn upload(&self, tenant: &Tenant, init: &str) -> Manifest {
        let bytes = wat::parse_str(COMPONENT.replace("{init}", init)).unwrap();
        let digest = hostel_runtime::digest(&bytes);
        self.deployments().put_component(tenant, (digest, bytes.into()), Stages::silent()).await.unwrap();
        let text = format!(
            "name = 'quick'\ncomponent = 'sha256:{digest}'\nsubscriptions = [{{ pattern = 'a' }}]\n\
             limits = {{ deadline = '1h' }}"
        );
        Manifest::from_toml(&text, "handler.toml").unwrap()
    }

    fn changes(&self) -> Receiver<Arc<changes::Change>> {
        self.deployments().parts.watchers.changes.watch()
    }

    /// Waits until no change of a tenant is under way.
    async fn settled(&self, tenant: &Tenant) {
        let _turn = self.deployments().turns.take(tenant).await.unwrap();
        let _changing = self.deployments().changing.lock().await;
    }

    /// Has a handler of `acme` deployed whose `init` does not return; returns once it runs.
    async fn stuck(&self) -> JoinHandle<Result<(Deployment, bool), Refusal>> {
        let acme = acme();
        let manifest = self.upload(&acme, "(loop (br 0))").await;
        let (stages, mut told) = Stages::telling();
        let deployments = Arc::clone(self.deployments());
        let stuck = tokio::spawn(async move { deployments.deploy(&acme, &manifest, stages).await });
        while told.recv().await.unwrap().stage != "init" {}
        stuck
    }
}

fn acme() -> Tenant {
    Tenant::new("acme").unwrap()
}

/// What [`Bench::upload`] calls each handler.
fn quick() -> HandlerName {
    HandlerName::new("quick").unwrap()
}

/// Polls a future until it is done, or waits and it is time to leave; `None` if it is dropped then.
async fn left<F: Future>(mut leaves: impl FnMut() -> bool, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if leaves() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Leaves at this wait, the first being 0.
fn at(mut wait: usize) -> impl FnMut() -> bool {
    move || {
        let is_here = wait == 0;
        wait = wait.saturating_sub(1);
        is_here
    }
}

/// What was told, in its order.
fn told(changes: &mut Receiver<Arc<changes::Change>>) -> Vec<ChangeKind> {
    std::iter::from_fn(|| changes.try_recv().ok()).map(|change| change.kind).collect()
}

/// Found by a review: a client that left during the switch left a handler that ran, and nobody was told.
#[tokio::test]
async fn a_deployment_that_is_made_is_told_wherever_its_client_leaves() {
    let bench = Bench::of(BrokerKind::Durable).await;
    let (acme, deployments) = (acme(), bench.deployments());
    let (name, manifest) = (quick(), bench.upload(&acme, "").await);
    let mut changes = bench.changes();
    for wait in 0.. {
        let seen = left(at(wait), deployments.deploy(&acme, &manifest, Stages::silent())).await;
        bench.settled(&acme).await;
        let runs = deployments.get(&acme, &name).is_some();
        let expected: &[ChangeKind] = if runs { &[ChangeKind::Deployed] } else { &[] };
        assert_eq!(told(&mut changes), expected, "left at wait {wait}");
        if seen.is_some() {
            break;
        }
        if runs {
            deployments.undeploy(&acme, &name).await.unwrap();
            assert_eq!(told(&mut changes), [ChangeKind::Undeployed]);
        }
    }
    deployments.undeploy(&acme, &name).await.unwrap();
    told(&mut changes);
    // How often it waits for the disk differs from time to time; this is always during the switch.
    let (stages, mut begun) = Stages::telling();
    let is_switched = || std::iter::from_fn(|| begun.try_recv().ok()).any(|begun| begun.stage == "switch");
    assert!(left(is_switched, deployments.deploy(&acme, &manifest, stages)).await.is_none());
    bench.settled(&acme).await;
    assert!(deployments.get(&acme, &name).is_some());
    assert_eq!(told(&mut changes), [ChangeKind::Deployed]);
}

#[tokio::test]
async fn a_handler_that_is_taken_away_is_told_wherever_its_client_leaves() {
    let bench = Bench::of(BrokerKind::Durable).await;
    let (acme, deployments) = (acme(), bench.deployments());
    let (name, manifest) = (quick(), bench.upload(&acme, "").await);
    let mut changes = bench.changes();
    let mut unseen = 0;
    for wait in 0.. {
        deployments.deploy(&acme, &manifest, Stages::silent()).await.unwrap();
        told(&mut changes);
        let seen = left(at(wait), deployments.undeploy(&acme, &name)).await;
        bench.settled(&acme).await;
        let runs = deployments.get(&acme, &name).is_some();
        let expected: &[ChangeKind] = if runs { &[] } else { &[ChangeKind::Undeployed] };
        assert_eq!(told(&mut changes), expected, "left at wait {wait}");
        if seen.is_some() {
            break;
        }
        unseen += usize::from(!runs);
    }
    assert!(unseen > 0, "nobody left during the switch");
}

#[tokio::test]
async fn a_handler_that_takes_an_hour_to_be_made_ready_keeps_no_other_tenant_waiting() {
    let bench = Bench::of(BrokerKind::Memory).await;
    let stuck = bench.stuck().await;
    let globex = Tenant::new("globex").unwrap();
    let (name, manifest) = (quick(), bench.upload(&globex, "").await);
    bench.deployments().deploy(&globex, &manifest, Stages::silent()).await.unwrap();
    bench.deployments().undeploy(&globex, &name).await.unwrap();
    assert!(!stuck.is_finished());
    stuck.abort();
    assert!(stuck.await.is_err_and(|error| error.is_cancelled()));
    assert!(bench.deployments().get(&acme(), &name).is_none());
    // The turn of its tenant is free again.
    let manifest = bench.upload(&acme(), "").await;
    bench.deployments().deploy(&acme(), &manifest, Stages::silent()).await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_host_waits_for_what_is_made_ready_no_longer_than_it_may() {
    for kind in [BrokerKind::Memory, BrokerKind::Durable] {
        let hurried = Bench::of(kind).await;
        let stuck = hurried.stuck().await;
        hurried.host.drain(Duration::from_secs(3600), async {}).await;
        assert!(matches!(stuck.await.unwrap(), Err(Refusal::Ending)));

        let impatient = Bench::of(kind).await;
        let stuck = impatient.stuck().await;
        impatient.host.drain(Duration::from_millis(1), pending()).await;
        assert!(matches!(stuck.await.unwrap(), Err(Refusal::Ending)));
        let manifest = impatient.upload(&acme(), "").await;
        let late = impatient.deployments().deploy(&acme(), &manifest, Stages::silent()).await;
        assert!(matches!(late, Err(Refusal::Ending)), "nothing more begins");
    }
}
