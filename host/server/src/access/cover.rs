//! Whether a pattern hears everything that another hears.

use hostel_event::pattern::{Pattern, Token};

/// Whether every topic that `narrow` hears is heard by `wide` too.
pub(crate) fn covers(wide: &Pattern, narrow: &Pattern) -> bool {
    let mut narrow = narrow.tokens();
    for token in wide.tokens() {
        let covered = match (token, narrow.next()) {
            // One or more tokens: whatever is left, if anything is.
            (Token::Rest, next) => return next.is_some(),
            (Token::One, Some(Token::One | Token::Exact(_))) => true,
            (Token::Exact(wide), Some(Token::Exact(narrow))) => wide == narrow,
            // What is left of `narrow` may be longer, shorter or other than this.
            (Token::One | Token::Exact(_), _) => false,
        };
        if !covered {
            return false;
        }
    }
    narrow.next().is_none()
}

#[cfg(test)]
mod tests {
    use hostel_event::topic::Topic;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    #[test]
    fn a_pattern_covers_what_it_hears_whole() {
        let check = |wide: &str, narrow: &str, expected: bool| {
            assert_eq!(covers(&pattern(wide), &pattern(narrow)), expected, "{wide} over {narrow}");
        };
        check("orders.created", "orders.created", true);
        check("orders.created", "orders.*", false);
        check("orders.*", "orders.created", true);
        check("orders.*", "orders.*", true);
        check("orders.*", "orders.>", false);
        check("orders.*", "orders", false);
        check("orders.*", "orders.eu.created", false);
        check("orders.>", "orders.*", true);
        check("orders.>", "orders.>", true);
        check("orders.>", "orders.*.created", true);
        check("orders.>", "orders", false);
        check("orders.>", ">", false);
        check(">", "orders", true);
        check(">", ">", true);
        check("*.>", ">", false);
        check(">", "*.>", true);
        check("*.created", "orders.created", true);
        check("*.created", "orders.*", false);
    }

    /// Every topic and pattern of up to three tokens out of two names: none is heard by what is covered and not by what
    /// covers it, and where each is, it is covered, but for what `>` hears beyond three tokens.
    #[test]
    fn covering_agrees_with_hearing() {
        let combine = |tokens: &[&str]| -> Vec<String> {
            let mut texts: Vec<String> = tokens.iter().map(|&token| token.to_owned()).collect();
            for _ in 0..2 {
                let longer: Vec<String> =
                    texts.iter().flat_map(|text| tokens.iter().map(move |token| format!("{text}.{token}"))).collect();
                texts.extend(longer);
            }
            texts
        };
        let topics: Vec<Topic> = combine(&["a", "b", "c"]).iter().map(|text| Topic::new(text).unwrap()).collect();
        let patterns: Vec<Pattern> =
            combine(&["a", "b", "*", ">"]).iter().filter_map(|text| Pattern::new(text).ok()).collect();
        for wide in &patterns {
            for narrow in &patterns {
                let heard = topics.iter().all(|topic| !narrow.matches(topic) || wide.matches(topic));
                if covers(wide, narrow) {
                    assert!(heard, "{wide} over {narrow}");
                } else if !narrow.as_str().ends_with('>') {
                    assert!(!heard, "{wide} not over {narrow}");
                }
            }
        }
    }
}
