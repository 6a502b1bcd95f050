//! The decision as a table: who, against what it takes.

use hostel_api::route::Right;
use hostel_api::token::TokenRequest;
use hostel_event::time::Timestamp;
use hostel_log::record::Kind;

use super::*;
use crate::tenants::documents::Documents;

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).unwrap()
}

async fn holder(of: Option<&str>, scopes: &[&str]) -> Identity {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::open(Documents::new(None, Kind::Token), folder.path()).await.unwrap();
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    let request = TokenRequest { name: "t".to_owned(), scopes, ..TokenRequest::default() };
    let (token, _) = tokens.create(of.map(tenant).as_ref(), &request, Timestamp::default()).await.unwrap();
    Identity::Holder(token)
}

fn need(right: Right, of: Option<&str>, topics: &str) -> Need {
    Need { right, tenant: of.map(tenant), topics: Pattern::new(topics).ok() }
}

#[tokio::test]
async fn the_decision_is_the_table() {
    let reader = holder(Some("acme"), &["read"]).await;
    let publisher = holder(Some("acme"), &["publish:orders.>"]).await;
    let admin = holder(Some("acme"), &["admin"]).await;
    let operator = holder(None, &["operator"]).await;
    let lacks = |scope: &str| Err(Denied::Lacks(scope.to_owned()));
    let check = |who: &Identity, need: Need, expected: Result<(), Denied>| {
        assert_eq!(decide(&need, who), expected, "{who:?} {need:?}");
    };
    for who in [&Identity::Nobody, &Identity::Local, &reader, &operator] {
        check(who, need(Right::Open, None, ""), Ok(()));
    }
    check(&Identity::Nobody, need(Right::Read, Some("acme"), ""), Err(Denied::Unknown));
    check(&Identity::Nobody, need(Right::Publish, Some("nosuch"), "a"), Err(Denied::Unknown));
    check(&Identity::Local, need(Right::Operator, None, ""), Ok(()));

    check(&reader, need(Right::Read, Some("acme"), ""), Ok(()));
    check(&reader, need(Right::Deploy, Some("acme"), ""), lacks("deploy"));
    check(&reader, need(Right::Operator, None, ""), lacks("operator"));
    check(&reader, need(Right::Read, Some("globex"), ""), Err(Denied::Hidden));
    check(&admin, need(Right::Read, Some("globex"), ""), Err(Denied::Hidden));
    check(&admin, need(Right::Operator, Some("globex"), ""), Err(Denied::Hidden));
    check(&admin, need(Right::Operator, Some("acme"), ""), lacks("operator"));

    check(&publisher, need(Right::Publish, Some("acme"), "orders.created"), Ok(()));
    check(&publisher, need(Right::Publish, Some("acme"), "users.created"), lacks("publish:users.created"));
    check(&publisher, need(Right::Subscribe, Some("acme"), "orders.*"), lacks("subscribe:orders.*"));
    check(&publisher, need(Right::Peer, Some("acme"), ""), lacks("publish:>"));
    check(&operator, need(Right::Admin, Some("globex"), ""), Ok(()));
}

#[test]
fn a_bearer_is_read_whatever_its_case() {
    assert_eq!(bearer("Bearer abc"), Some("abc"));
    assert_eq!(bearer("bearer  abc"), Some("abc"));
    assert_eq!(bearer("Basic abc"), None);
    assert_eq!(bearer("abc"), None);
}

/// A path that the router knows and the table does not is answered by nobody: this says so before somebody wonders.
#[test]
fn every_path_of_the_router_is_in_the_table() {
    let known = |path: &str| hostel_api::route::ROUTES.iter().any(|route| route.path.ends_with(path));
    let router = include_str!("../admin.rs");
    let paths: Vec<&str> = router.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(known(path), "`{path}` is not in `hostel_api::route::ROUTES`, so nobody is let in there");
    }
}

#[test]
fn a_page_of_another_site_does_not_ask_with_its_readers_certificate() {
    let check = |headers: &[(&str, &str)], expected: bool| {
        let builder =
            headers.iter().fold(Request::builder().uri("/v1/tokens"), |it, (name, value)| it.header(*name, *value));
        assert_eq!(is_of_another_site(&builder.body(()).unwrap()), expected, "{headers:?}");
    };
    let host = ("Host", "hostel.example:4301");
    check(&[host], false);
    check(&[host, ("Origin", "https://hostel.example:4301"), ("Sec-Fetch-Site", "same-origin")], false);
    check(&[host, ("Sec-Fetch-Site", "none")], false);
    check(&[host, ("Origin", "https://other.example")], true);
    check(&[host, ("Origin", "https://hostel.example")], true);
    check(&[host, ("Origin", "null")], true);
    check(&[("Origin", "null")], true);
    check(&[host, ("Sec-Fetch-Site", "cross-site")], true);
    check(&[host, ("Sec-Fetch-Site", "same-site")], true);
    let http2 = Request::builder().uri("https://a:1/v1/tokens").header("Origin", "https://a:1").body(()).unwrap();
    assert!(!is_of_another_site(&http2));
}
