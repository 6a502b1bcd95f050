//! Texts that others wrote, made fit for a terminal, and counted nouns.

/// One line: every control character is written as an escape, so that what a guest logs cannot move the cursor.
pub(crate) fn line(text: &str) -> String {
    escape(text, |_| false)
}

/// Several lines: as [`line()`], but line ends and tabs are kept.
pub(crate) fn block(text: &str) -> String {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

/// Each line of `text` after `margin`, with a line end.
pub(crate) fn indent(text: &str, margin: &str) -> String {
    block(text).lines().map(|line| format!("{}\n", format!("{margin}{line}").trim_end())).collect()
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn escape(text: &str, keep: fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !keep(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(line("a\u{1b}[2Jb\nc\td é"), "a\\u{1b}[2Jb\\nc\\td é");
        assert_eq!(block("a\u{1b}b\nc\td"), "a\\u{1b}b\nc\td");
        assert_eq!(indent("a\n\nb", "  "), "  a\n\n  b\n");
    }

    #[test]
    fn nouns_are_counted() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "line")), ["0 lines", "1 line", "2 lines"]);
    }
}
