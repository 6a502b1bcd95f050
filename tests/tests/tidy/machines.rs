//! The tree names no machine: no path of somebody's disk, no address, no registry's host.
//!
//! What is looked for is put together from pieces, so that these files do not hold it.

use std::net::Ipv4Addr;

use crate::assert_none;
use crate::tree::{self, File};

/// Written by tools, and full of where packages come from.
const LOCKS: [&str; 3] = ["Cargo.lock", "package-lock.json", "go.sum"];

fn for_each_line(check: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let problems = |file: &File| {
        let found = file.lines().flat_map(|(number, line)| check(line).into_iter().map(move |what| (number, what)));
        found.map(|(number, what)| format!("{}:{number}: {what}", file.path)).collect::<Vec<_>>()
    };
    tree::files().iter().filter(|file| !LOCKS.contains(&file.name())).flat_map(problems).collect()
}

#[test]
fn no_path_of_a_machine_is_in_the_tree() {
    let cure = "use a relative path, an environment variable or a temporary folder; docs may say /var/lib/hostel";
    assert_none(&for_each_line(paths), cure);
}

fn paths(line: &str) -> Vec<String> {
    let folders = ["home", "root", "work", "tmp", "Users"].map(|name| format!("/{name}"));
    // After one of these it goes on from something before it, and is not a path from the top.
    let goes_on = |c: char| c.is_alphanumeric() || "._-}~)>*".contains(c);
    let begins = |at: usize| !line[..at].ends_with(goes_on);
    let found = folders.iter().filter(|folder| {
        line.match_indices(folder.as_str()).any(|(at, _)| begins(at) && line[at + folder.len()..].starts_with('/'))
    });
    found.map(|folder| format!("a path that begins with {folder}/")).collect()
}

#[test]
fn no_address_of_a_machine_is_in_the_tree() {
    let cure =
        "use a loopback address, or one that is set aside for documentation: 192.0.2.x, 198.51.100.x, 203.0.113.x";
    assert_none(&for_each_line(addresses), cure);
}

fn addresses(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-' && c != '_');
    let addresses = words.filter_map(|word| word.trim_matches('.').parse::<Ipv4Addr>().ok());
    addresses.filter(|address| !is_harmless(*address)).map(|address| format!("the address {address}")).collect()
}

fn is_harmless(address: Ipv4Addr) -> bool {
    // What is the same everywhere: groups, links, and what is set aside for benchmarks (RFC 2544).
    let is_for_benchmarks = matches!(address.octets(), [198, 18 | 19, ..]);
    let is_everywhere =
        address.is_multicast() || address.is_link_local() || address.is_broadcast() || is_for_benchmarks;
    address.is_loopback() || address.is_unspecified() || address.is_documentation() || is_everywhere
}

#[test]
fn no_host_of_a_registry_is_in_the_tree() {
    let cure = "name the package and leave it to its tool where to find it";
    assert_none(&for_each_line(registries), cure);
}

fn registries(line: &str) -> Vec<String> {
    let hosts = [
        ["crates", "io"],
        ["registry.npmjs", "org"],
        ["registry.yarnpkg", "com"],
        ["pypi", "org"],
        ["pythonhosted", "org"],
        ["proxy.golang", "org"],
        ["sum.golang", "org"],
        ["deb.debian", "org"],
        ["security.debian", "org"],
        ["ftp.debian", "org"],
        ["archive.ubuntu", "com"],
        ["repo1.maven", "org"],
        ["repo.maven.apache", "org"],
        ["static.rust-lang", "org"],
    ];
    let found = hosts.iter().map(|pieces| pieces.join(".")).filter(|host| line.contains(host.as_str()));
    found.map(|host| format!("the registry's host {host}")).collect()
}

#[test]
fn paths_are_found_where_they_begin() {
    let check = |line: &str, expected: usize| assert_eq!(paths(line).len(), expected, "{line}");
    check(&format!("cd /{}/me", "home"), 1);
    check(&format!("\"/{}/x\"", "tmp"), 1);
    check(&format!("file:///{}/x and /{}/y", "root", "work"), 2);
    check("https://example.org/home/page", 0);
    check("docs/work/plan.md, $HOME/tmp/x, /var/lib/hostel", 0);
}

#[test]
fn addresses_are_told_from_versions_and_documentation() {
    let check = |line: &str, expected: usize| assert_eq!(addresses(line).len(), expected, "{line}");
    let address = ["10", "1", "2", "3"].join(".");
    check(&format!("connect to {address}:80."), 1);
    check(&format!("connect to {address}."), 1);
    check("127.0.0.1:4300, 127.8.8.8, 0.0.0.0, 192.0.2.1, 198.51.100.7, 203.0.113.9", 0);
    check("version 0.2.12, 1.2.3.4.5, v1.2.3.4-rc, 999.1.1.1", 0);
}

#[test]
fn hosts_of_registries_are_found() {
    assert_eq!(registries(&format!("see https://{}.{}/crates/x", "crates", "io")).len(), 1);
    assert!(registries("the crates in this tree").is_empty());
}
