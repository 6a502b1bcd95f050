//! The machine: what the kernel gives for sandboxes, and what the process may use.

use std::fs;

use hostel_runtime::Allocator;

use crate::compose::runtime_settings;
use crate::config::Config;

use super::Examined;

/// Files that a host has open beside its connections: its log, its sandboxes, connections and files of handlers, and
/// room.
const OTHER_FILES: u64 = 768;
/// Mappings that Linux gives a process by default.
const MAPPINGS: u64 = 65_530;

pub(super) fn examine(config: &Config) -> Vec<Examined> {
    let mut examined = Vec::new();
    match runtime_settings(config) {
        Ok(settings) => examined.push(allocator(hostel_runtime::allocator(&settings))),
        Err(mistake) => {
            examined.push(Examined::finding("sandboxes", mistake.text, "no handler can run", mistake.code.hint()));
        }
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let connections = config.ingress.connections.saturating_add(config.admin.connections);
    examined.extend(open_files(&limits, u64::try_from(connections).unwrap_or(u64::MAX)));
    examined.extend(address_space(&limits));
    let setting = |name: &str| fs::read_to_string(format!("/proc/sys/vm/{name}")).ok()?.trim().parse::<u64>().ok();
    examined.extend(setting("overcommit_memory").and_then(overcommit));
    examined.extend(setting("max_map_count").and_then(mappings));
    examined
}

fn allocator(allocator: Allocator) -> Examined {
    const ABOUT: &str = "sandboxes";
    match allocator {
        Allocator::ScanningPool => Examined::fine(ABOUT, "a pool whose memory the kernel tells the used pages of"),
        Allocator::Pool { reason } => Examined::note(
            ABOUT,
            format!("a pool, but the kernel does not tell which pages were used: {reason}"),
            "Linux 6.7 and newer have PAGEMAP_SCAN; without it an invocation takes some microseconds more",
        ),
        Allocator::OnDemand { reason } => Examined::finding(
            ABOUT,
            format!("no pool can be made: {reason}"),
            "each invocation maps its memory anew, which is many times slower and may fail under load",
            "give the process address space (`ulimit -v unlimited`), or lower `runtime.invocations`",
        ),
    }
}

/// The soft limit of a row of `/proc/self/limits`; `None` if there is no such row, `u64::MAX` for none.
fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let row = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match row.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn open_files(limits: &str, connections: u64) -> Option<Examined> {
    const ABOUT: &str = "open files";
    let may = soft_limit(limits, "Max open files")?;
    let needs = connections.saturating_add(OTHER_FILES);
    if may >= needs {
        return Some(Examined::fine(ABOUT, format!("the process may have {may} open, it needs up to {needs}")));
    }
    Some(Examined::finding(
        ABOUT,
        format!("the process may have {may} open, and needs up to {needs} with all its connections"),
        "beyond the limit connections are refused and the log cannot open files",
        format!("`ulimit -n {}` before `hostel serve`, or `LimitNOFILE=` in its unit", needs.next_power_of_two()),
    ))
}

fn address_space(limits: &str) -> Option<Examined> {
    const ABOUT: &str = "address space";
    let may = soft_limit(limits, "Max address space")?;
    if may == u64::MAX {
        return Some(Examined::fine(ABOUT, "not limited"));
    }
    Some(Examined::finding(
        ABOUT,
        format!("limited to {may} bytes"),
        "sandboxes reserve terabytes of addresses, of which they use little",
        "`ulimit -v unlimited` before `hostel serve`; limit memory with a control group instead",
    ))
}

fn overcommit(mode: u64) -> Option<Examined> {
    const ABOUT: &str = "overcommit";
    (mode == 2).then(|| {
        Examined::finding(
            ABOUT,
            "`vm.overcommit_memory` is 2: the kernel counts what is reserved as if it were used",
            "sandboxes reserve far more than they use, and may be refused while memory is free",
            "sysctl vm.overcommit_memory=0",
        )
    })
}

fn mappings(count: u64) -> Option<Examined> {
    const ABOUT: &str = "mappings";
    (count < MAPPINGS).then(|| {
        Examined::finding(
            ABOUT,
            format!("`vm.max_map_count` is {count}, less than the usual {MAPPINGS}"),
            "each sandbox takes some mappings; without them an invocation fails",
            format!("sysctl vm.max_map_count={MAPPINGS}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     \n\
Max address space         unlimited            unlimited            bytes     \n\
Max open files            1024                 1048576              files     \n";

    fn verdict(examined: Option<Examined>) -> Option<Verdict> {
        examined.map(|examined| examined.verdict)
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        assert_eq!(soft_limit(LIMITS, "Max open files"), Some(1024));
        assert_eq!(soft_limit(LIMITS, "Max address space"), Some(u64::MAX));
        assert_eq!(soft_limit(LIMITS, "Max cheese"), None);
    }

    #[test]
    fn too_few_files_for_the_connections_are_a_finding_with_the_number_to_set() {
        let examined = open_files(LIMITS, 2048).unwrap();
        assert_eq!(examined.verdict, Verdict::Finding);
        assert!(examined.cure.starts_with("`ulimit -n 4096`"), "{examined:?}");
        assert_eq!(verdict(open_files(LIMITS, 256)), Some(Verdict::Fine));
        assert_eq!(verdict(open_files("", 512)), None);
    }

    #[test]
    fn what_keeps_sandboxes_from_reserving_is_a_finding() {
        assert_eq!(verdict(address_space(LIMITS)), Some(Verdict::Fine));
        assert_eq!(verdict(address_space(&LIMITS.replacen("unlimited", "8000000", 1))), Some(Verdict::Finding));
        assert_eq!((verdict(overcommit(2)), verdict(overcommit(1))), (Some(Verdict::Finding), None));
        assert_eq!((verdict(mappings(1000)), verdict(mappings(65_530))), (Some(Verdict::Finding), None));
        assert_eq!(allocator(Allocator::OnDemand { reason: "a".to_owned() }).verdict, Verdict::Finding);
        assert_eq!(allocator(Allocator::Pool { reason: "a".to_owned() }).verdict, Verdict::Note);
    }
}
