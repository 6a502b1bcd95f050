//! Names of interfaces as components carry them: `wasi:cli/run@0.2.3`.

use std::fmt;

/// A name as a component imports or exports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interface<'a> {
    /// All before the version: `wasi:cli/run`, or a plain name such as `run`.
    pub(crate) name: &'a str,
    /// What follows `@`; empty if nothing does.
    pub(crate) version: &'a str,
}

impl<'a> Interface<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let (name, version) = text.split_once('@').unwrap_or((text, ""));
        Self { name, version }
    }

    /// Whether this is the interface that a text names, whatever the versions.
    pub(crate) fn is_named(&self, text: &str) -> bool {
        self.name == Interface::parse(text).name
    }

    /// Whether one may stand for the other: the same name, and versions that semver calls compatible.
    pub(crate) fn is_compatible(&self, other: &Self) -> bool {
        self.name == other.name && compatibility(self.version) == compatibility(other.version)
    }
}

/// The part of a version that must be equal: all of a pre-release, else up to the first number that is not zero. The
/// linker resolves imports by the same rule.
fn compatibility(version: &str) -> &str {
    if version.contains(['-', '+']) {
        return version;
    }
    let mut end = 0;
    for number in version.split('.') {
        end += number.len();
        if number.bytes().any(|digit| digit != b'0') {
            break;
        }
        end += 1;
    }
    version.get(..end).unwrap_or(version)
}

impl fmt::Display for Interface<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            "" => f.write_str(self.name),
            version => write!(f, "{}@{version}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compatible_as_semver_says() {
        let check = |a: &str, b: &str, expected: bool| {
            assert_eq!(Interface::parse(a).is_compatible(&Interface::parse(b)), expected, "{a} and {b}");
        };
        check("a:b/c@0.1.0", "a:b/c@0.1.7", true);
        check("a:b/c@0.1.0", "a:b/c@0.2.0", false);
        check("a:b/c@0.0.1", "a:b/c@0.0.2", false);
        check("a:b/c@1.0.0", "a:b/c@1.9.3", true);
        check("a:b/c@1.0.0", "a:b/c@2.0.0", false);
        check("a:b/c@1.0.0", "a:b/c@10.0.0", false);
        check("a:b/c@0.2.0-draft", "a:b/c@0.2.0", false);
        check("a:b/c@0.2.0-draft", "a:b/c@0.2.0-draft", true);
        check("a:b/c", "a:b/c", true);
        check("a:b/c", "a:b/c@0.1.0", false);
        check("a:b/c@0.1.0", "a:b/d@0.1.0", false);
    }
}
