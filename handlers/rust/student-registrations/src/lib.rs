//! Takes the registration of a student as JSON, checks it and publishes a welcome on `students.welcomed`.
//!
//! What is wrong with a registration stays wrong: it is rejected, with every problem in the reason. A body that is not
//! JSON or lacks a field is rejected with the field's name.

use hostel::Message;
use serde::{Deserialize, Serialize};

/// Where the welcome is published.
const WELCOMED: &str = "students.welcomed";
/// The longest name, in characters. Arbitrary: longer than any that a form would take.
const NAME_LIMIT: usize = 200;
/// The longest e-mail address, in bytes (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const EMAIL_LIMIT: usize = 254;
/// The longest part before the `@`, in bytes (RFC 5321, section 4.5.3.1.1).
const LOCAL_PART_LIMIT: usize = 64;
/// The longest label of a domain, in bytes (RFC 1035, section 2.3.4).
const LABEL_LIMIT: usize = 63;

/// What a student sends. Fields that it has beyond these are left alone, so that forms may grow.
#[derive(Deserialize)]
struct Registration {
    name: String,
    email: String,
    course: String,
}

/// What is published for a student who was accepted.
#[derive(Serialize)]
struct Welcome<'a> {
    registration: &'a str,
    name: &'a str,
    email: &'a str,
    course: &'a str,
    text: String,
}

/// Handles one registration.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let registration: Registration = event.json()?;
    let name = registration.name.trim();
    let problems: Vec<String> =
        [check_name(name), check_email(&registration.email), check_course(&registration.course)]
            .into_iter()
            .filter_map(Result::err)
            .collect();
    if !problems.is_empty() {
        return Err(hostel::reject(problems.join("; ")));
    }

    let id = event.id();
    let welcome = Welcome {
        registration: &id,
        name,
        email: &registration.email,
        course: &registration.course,
        text: format!("Welcome to {}, {name}!", registration.course),
    };
    // Another attempt at the same event publishes under the same id, by which its hearers know it.
    hostel::publish_message(WELCOMED, Message::json(&welcome)?.id(format!("welcome-{id}")))?;
    hostel::info!("registered a student for {}", registration.course);
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if length == 0 {
        return Err("`name` is empty".to_owned());
    }
    if length > NAME_LIMIT {
        return Err(format!("`name` has {length} characters, more than {NAME_LIMIT}"));
    }
    if name.chars().any(char::is_control) {
        return Err("`name` has a control character".to_owned());
    }
    Ok(())
}

/// Whether mail could be sent there: one `@`, a plain part before it, a domain of two labels or more after it. Rarer
/// forms that the RFCs allow, quoted names and addresses of machines, are refused: they are typing errors here.
fn check_email(email: &str) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("`email` {email:?} {what}"));
    if email.len() > EMAIL_LIMIT {
        return Err(format!("`email` has {} bytes, more than {EMAIL_LIMIT}", email.len()));
    }
    let Some((local, domain)) = email.split_once('@') else {
        return refuse("has no @");
    };
    if domain.contains('@') {
        return refuse("has more than one @");
    }
    let is_local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    if local.len() > LOCAL_PART_LIMIT || !local.split('.').all(|atom| !atom.is_empty()) || !local.chars().all(is_local)
    {
        return refuse("has no valid name before the @");
    }
    let is_label = |label: &str| {
        let is_inner = |c: char| c.is_alphanumeric() || c == '-';
        (1..=LABEL_LIMIT).contains(&label.len())
            && label.chars().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !domain.contains('.') || !domain.split('.').all(is_label) {
        return refuse("has no valid domain after the @");
    }
    Ok(())
}

/// Whether it has the form of the school's course codes: two to five capital letters, a hyphen, three digits.
fn check_course(course: &str) -> Result<(), String> {
    let is_code = course.split_once('-').is_some_and(|(subject, number)| {
        (2..=5).contains(&subject.len())
            && subject.bytes().all(|c| c.is_ascii_uppercase())
            && number.len() == 3
            && number.bytes().all(|c| c.is_ascii_digit())
    });
    if is_code { Ok(()) } else { Err(format!("`course` {course:?} is no course code such as \"CS-101\"")) }
}

#[cfg(test)]
mod tests {
    use hostel::{PublishError, testing};
    use serde_json::{Value, json};

    use super::*;

    fn event(body: &Value) -> testing::Event {
        testing::Event::new("students.registered").id("e-1").json(body)
    }

    fn valid() -> Value {
        json!({ "name": " Ada Lovelace ", "email": "ada@example.org", "course": "CS-101" })
    }

    #[test]
    fn a_registration_is_welcomed() {
        let run = testing::run(handle, event(&valid()));
        assert_eq!(run.result, Ok(()));
        let [welcome] = &run.published[..] else { panic!("{:?}", run.published) };
        assert_eq!((welcome.topic.as_str(), welcome.id.as_str()), ("students.welcomed", "welcome-e-1"));
        assert_eq!(welcome.header("content-type"), Some("application/json"));
        assert_eq!(
            welcome.json::<Value>(),
            json!({
                "registration": "e-1",
                "name": "Ada Lovelace",
                "email": "ada@example.org",
                "course": "CS-101",
                "text": "Welcome to CS-101, Ada Lovelace!",
            })
        );
    }

    #[test]
    fn another_attempt_welcomes_under_the_same_id() {
        let run = testing::run(handle, event(&valid()).attempt(2).last_error("the broker failed: disk full"));
        assert_eq!(run.published[0].id, "welcome-e-1");
    }

    #[test]
    fn a_malformed_body_is_rejected() {
        for body in ["", "{", "not json", "[1,2"] {
            let run = testing::run(handle, testing::Event::new("students.registered").body(body));
            let error = run.result.unwrap_err();
            assert!(error.is_reject(), "{body}");
            assert!(error.reason().starts_with("the body is not the JSON that is expected: "), "{body}: {error}");
            assert!(run.published.is_empty());
        }
    }

    #[test]
    fn a_missing_field_is_rejected_with_its_name() {
        for field in ["name", "email", "course"] {
            let mut body = valid();
            body.as_object_mut().unwrap().remove(field);
            let error = testing::run(handle, event(&body)).result.unwrap_err();
            assert!(error.is_reject(), "{field}");
            assert!(error.reason().contains(&format!("missing field `{field}`")), "{field}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_rejected_with_every_problem() {
        let run = testing::run(handle, event(&json!({ "name": " ", "email": "ada", "course": "cs1" })));
        assert_eq!(
            run.result,
            Err(hostel::reject(
                "`name` is empty; `email` \"ada\" has no @; `course` \"cs1\" is no course code such as \"CS-101\""
            ))
        );
        assert!(run.published.is_empty());
    }

    #[test]
    fn emails_are_checked() {
        let check = |email: &str, expected: Result<(), &str>| {
            let expected = expected.map_err(|what| format!("`email` {email:?} {what}"));
            assert_eq!(check_email(email), expected, "{email}");
        };
        let (name, domain) = (Err("has no valid name before the @"), Err("has no valid domain after the @"));
        check("ada@example.org", Ok(()));
        check("ada.lovelace+school@mail.example.org", Ok(()));
        check("jürgen@müller.example", Ok(()));
        check("", Err("has no @"));
        check("ada@b@example.org", Err("has more than one @"));
        check("@example.org", name);
        check(".ada@example.org", name);
        check("ada lovelace@example.org", name);
        check(&format!("{}@example.org", "a".repeat(65)), name);
        check("ada@", domain);
        check("ada@localhost", domain);
        check("ada@example..org", domain);
        check("ada@-example.org", domain);
        check("ada@exa mple.org", domain);
        let long = format!("ada@{}example.org", "a.".repeat(130));
        assert_eq!(check_email(&long), Err("`email` has 275 bytes, more than 254".to_owned()));
    }

    #[test]
    fn course_codes_are_checked() {
        let check = |course: &str, expected: bool| assert_eq!(check_course(course).is_ok(), expected, "{course}");
        check("CS-101", true);
        check("MATHS-999", true);
        check("", false);
        check("CS101", false);
        check("cs-101", false);
        check("C-101", false);
        check("LATINS-101", false);
        check("CS-1O1", false);
        check("CS-101-2", false);
    }

    #[test]
    fn a_full_queue_is_tried_again_when_the_host_says() {
        let wait = std::time::Duration::from_secs(3);
        let host = testing::Host::new().refuse(WELCOMED, move || PublishError::Overloaded { retry_after: wait });
        let error = host.run(handle, event(&valid())).result.unwrap_err();
        assert!(!error.is_reject());
        assert_eq!(error.delay(), Some(wait));
    }

    #[test]
    fn the_log_does_not_tell_who_registered() {
        let run = testing::run(handle, event(&valid()));
        assert!(run.logs.iter().all(|line| !line.text.contains("Ada") && !line.text.contains("example.org")));
    }
}
