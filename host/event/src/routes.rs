//! Which of many patterns hear a topic: the index that a publish walks.
//!
//! Patterns without wildcards, nearly all in practice, are one hash look-up. The others sit in a trie of tokens, so
//! the cost of a look-up depends on the depth of the topic and on how many wildcards share its tokens, and not on how
//! many patterns there are.

use std::collections::HashMap;

use crate::pattern::{Pattern, Token};
use crate::topic::Topic;

/// Patterns, each with values of `T`.
#[derive(Debug, Clone)]
pub struct Routes<T> {
    exact: HashMap<Box<str>, Vec<T>>,
    wild: Node<T>,
    length: usize,
}

#[derive(Debug, Clone)]
struct Node<T> {
    exact: HashMap<Box<str>, Node<T>>,
    one: Option<Box<Node<T>>>,
    rest: Vec<T>,
    here: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), one: None, rest: Vec::new(), here: Vec::new() }
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.one.is_none() && self.rest.is_empty() && self.here.is_empty()
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wild: Node::default(), length: 0 }
    }
}

impl<T> Routes<T> {
    /// How many values it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a value under a pattern. A pattern may hold several.
    pub fn insert(&mut self, pattern: &Pattern, value: T) {
        self.length += 1;
        if pattern.as_topic().is_some() {
            self.exact.entry(pattern.as_str().into()).or_default().push(value);
            return;
        }
        let mut node = &mut self.wild;
        for token in pattern.tokens() {
            node = match token {
                Token::Exact(exact) => node.exact.entry(exact.into()).or_default(),
                Token::One => node.one.get_or_insert_default(),
                Token::Rest => return node.rest.push(value),
            };
        }
        node.here.push(value);
    }

    /// Takes out the values under exactly this pattern for which `is_it` holds, and says how many went.
    pub fn remove(&mut self, pattern: &Pattern, is_it: impl Fn(&T) -> bool) -> usize {
        let removed = if pattern.as_topic().is_some() {
            let Some(values) = self.exact.get_mut(pattern.as_str()) else { return 0 };
            let removed = drop_matching(values, is_it);
            if values.is_empty() {
                self.exact.remove(pattern.as_str());
            }
            removed
        } else {
            let tokens: Vec<Token<'_>> = pattern.tokens().collect();
            remove_below(&mut self.wild, &tokens, &is_it)
        };
        self.length -= removed;
        removed
    }

    /// Calls `visit` with every value whose pattern hears `topic`.
    pub fn visit<'a>(&'a self, topic: &Topic, mut visit: impl FnMut(&'a T)) {
        if let Some(values) = self.exact.get(topic.as_str()) {
            values.iter().for_each(&mut visit);
        }
        if !self.wild.is_empty() {
            visit_below(&self.wild, topic.as_str(), &mut visit);
        }
    }
}

fn drop_matching<T>(values: &mut Vec<T>, is_it: impl Fn(&T) -> bool) -> usize {
    let before = values.len();
    values.retain(|value| !is_it(value));
    before - values.len()
}

fn remove_below<T>(node: &mut Node<T>, tokens: &[Token<'_>], is_it: &impl Fn(&T) -> bool) -> usize {
    let Some((token, tail)) = tokens.split_first() else { return drop_matching(&mut node.here, is_it) };
    match token {
        Token::Rest => drop_matching(&mut node.rest, is_it),
        Token::One => {
            let Some(one) = node.one.as_deref_mut() else { return 0 };
            let removed = remove_below(one, tail, is_it);
            if one.is_empty() {
                node.one = None;
            }
            removed
        }
        Token::Exact(exact) => {
            let Some(child) = node.exact.get_mut(*exact) else { return 0 };
            let removed = remove_below(child, tail, is_it);
            if child.is_empty() {
                node.exact.remove(*exact);
            }
            removed
        }
    }
}

/// `rest` is what is left of the topic after this node; never empty. A topic has at most 128 tokens, so the recursion
/// is bounded.
fn visit_below<'a, T>(node: &'a Node<T>, rest: &str, visit: &mut impl FnMut(&'a T)) {
    node.rest.iter().for_each(&mut *visit);
    let (token, tail) = match rest.split_once('.') {
        Some((token, tail)) => (token, Some(tail)),
        None => (rest, None),
    };
    for child in [node.exact.get(token), node.one.as_deref()].into_iter().flatten() {
        match tail {
            Some(tail) => visit_below(child, tail, visit),
            None => child.here.iter().for_each(&mut *visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard(routes: &Routes<usize>, topic: &Topic) -> Vec<usize> {
        let mut heard = Vec::new();
        routes.visit(topic, |&value| heard.push(value));
        heard.sort_unstable();
        heard
    }

    fn topics() -> impl Strategy<Value = Topic> {
        prop::collection::vec("[abc]", 1..5).prop_map(|tokens| Topic::new(&tokens.join(".")).unwrap())
    }

    fn patterns() -> impl Strategy<Value = Pattern> {
        (prop::collection::vec("[abc]|\\*", 0..4), prop::sample::select(vec!["a", "b", "*", ">"])).prop_map(
            |(mut tokens, last)| {
                tokens.push(last.to_owned());
                Pattern::new(&tokens.join(".")).unwrap()
            },
        )
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_matching_one_by_one(
            patterns in prop::collection::vec(patterns(), 0..40),
            topics in prop::collection::vec(topics(), 1..20),
        ) {
            let mut routes = Routes::default();
            for (number, pattern) in patterns.iter().enumerate() {
                routes.insert(pattern, number);
            }
            for topic in &topics {
                let expected: Vec<usize> =
                    patterns.iter().enumerate().filter(|(_, p)| p.matches(topic)).map(|(n, _)| n).collect();
                prop_assert_eq!(heard(&routes, topic), expected);
            }
        }

        #[test]
        fn what_is_removed_is_not_heard_and_leaves_nothing_behind(
            patterns in prop::collection::vec(patterns(), 1..40),
            topic in topics(),
        ) {
            let mut routes = Routes::default();
            for (number, pattern) in patterns.iter().enumerate() {
                routes.insert(pattern, number);
            }
            for (number, pattern) in patterns.iter().enumerate() {
                prop_assert_eq!(routes.remove(pattern, |&value| value == number), 1);
                prop_assert!(!heard(&routes, &topic).contains(&number));
            }
            prop_assert!(routes.is_empty());
            prop_assert!(routes.wild.is_empty());
            prop_assert!(routes.exact.is_empty());
        }

        #[test]
        fn a_topic_hears_itself(topic in topics()) {
            prop_assert!(Pattern::from(&topic).matches(&topic));
        }
    }
}
