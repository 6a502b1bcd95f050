//! Why a command did not do what it was told, what is printed of it, and which exit code follows.

use std::path::Path;
use std::process::ExitCode;

use hostel_api::client::ClientError;
use hostel_api::problem::Code;

use super::text;

/// Why a command did not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The reader of the output has gone, as `head` does. It has what it wanted.
    Closed,
    /// Not done, and everything about it was said already.
    Said,
    /// Not done.
    Plain(String),
    /// Not done, for a reason that has a code.
    Coded {
        /// Such as `E0015`.
        code: String,
        /// What happened.
        text: String,
        /// What to do about it.
        hint: String,
    },
    /// Misused: what was asked for makes no sense.
    Misuse(String),
}

impl Failure {
    /// Not done, without a code.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::Plain(text.into())
    }

    /// Not done, with the hint that the code has.
    pub(crate) fn coded(code: Code, text: impl Into<String>) -> Self {
        Self::Coded { code: code.as_str().to_owned(), text: text.into(), hint: code.hint().to_owned() }
    }

    /// A file cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::coded(Code::FileUnreadable, format!("cannot read `{}`: {error}", path.display()))
    }

    /// What is printed of it on stderr, without a last line end.
    pub(crate) fn render(&self) -> Option<String> {
        match self {
            Self::Closed | Self::Said => None,
            Self::Plain(message) | Self::Misuse(message) => Some(format!("error: {}", text::line(message))),
            Self::Coded { code, text: message, hint } => {
                let (code, message, hint) = (text::line(code), text::line(message), text::line(hint));
                let hint = if hint.is_empty() { String::new() } else { format!("hint: {hint}\n") };
                Some(format!("error[{code}]: {message}\n{hint}more: hostel explain {code}"))
            }
        }
    }

    /// 0 done, 1 not done, 2 misused.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Closed => ExitCode::SUCCESS,
            Self::Said | Self::Plain(_) | Self::Coded { .. } => ExitCode::FAILURE,
            Self::Misuse(_) => ExitCode::from(2),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => Self::coded(Code::HostUnreachable, error.with_cause()),
            ClientError::Certificate { .. } => Self::coded(Code::ClientCertificateRefused, error.with_cause()),
            ClientError::Problem { problem, .. } => {
                Self::Coded { code: problem.code, text: problem.detail, hint: problem.hint }
            }
            ClientError::Invalid(text) => Self::Misuse(text),
            other => Self::Plain(other.with_cause()),
        }
    }
}

#[cfg(test)]
mod tests {
    use hostel_api::problem::Problem;

    use super::*;

    #[test]
    fn an_error_is_printed_once_with_its_hint() {
        let problem = Problem::new(Code::NotFound, "no handler `hello`").with_hint("`hostel handlers` lists them");
        let failure = Failure::from(ClientError::Problem { problem: Box::new(problem), retry_after: None });
        let expected =
            "error[E0015]: no handler `hello`\nhint: `hostel handlers` lists them\nmore: hostel explain E0015";
        assert_eq!(failure.render().as_deref(), Some(expected));
        assert_eq!(failure.exit_code(), ExitCode::FAILURE);
    }

    #[test]
    fn a_host_that_is_not_there_is_told_with_its_cause() {
        let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
        let failure = Failure::from(ClientError::Unreachable { address: "http://127.0.0.1:4301".to_owned(), source });
        let expected = "error[E0036]: no host answers at http://127.0.0.1:4301: connection refused\n\
                        hint: is `hostel serve` running?\nmore: hostel explain E0036";
        assert_eq!(failure.render().as_deref(), Some(expected));
    }

    #[test]
    fn a_mistake_in_the_request_is_misuse() {
        let failure = Failure::from(ClientError::Invalid("header name \"a b\" cannot travel over HTTP".to_owned()));
        assert_eq!(failure.render().as_deref(), Some("error: header name \"a b\" cannot travel over HTTP"));
        assert_eq!(failure.exit_code(), ExitCode::from(2));
    }

    #[test]
    fn what_a_host_says_cannot_move_the_cursor() {
        assert_eq!(Failure::plain("a\u{1b}[2J").render().as_deref(), Some("error: a\\u{1b}[2J"));
    }
}
