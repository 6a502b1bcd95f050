//! CloudEvents in JSON: the specification's examples, what is refused and why, and that nothing is lost both ways.

use proptest::prelude::*;

use hostel_event::cloud_event::from_message;
use hostel_event::headers::Headers;

use super::*;

fn with(members: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{members}}}"#)
}

fn read_with(members: &str) -> CloudEvent {
    read(with(members).as_bytes()).unwrap()
}

fn refused(body: &str) -> String {
    read(body.as_bytes()).unwrap_err().to_string()
}

#[test]
fn data_become_the_bytes_that_binary_mode_has() {
    let check = |members: &str, media_type: Option<&str>, data: &[u8]| {
        let event = read_with(members);
        assert_eq!((event.data_content_type(), event.data().as_ref()), (media_type, data), "{members}");
    };
    check("", None, b"");
    check(r#","datacontenttype":"application/json""#, Some("application/json"), b"");
    check(r#","data":{"b": 1.0, "a": 1e400}"#, Some("application/json"), br#"{"b": 1.0, "a": 1e400}"#);
    check(r#","data":"I'm just a string""#, Some("application/json"), br#""I'm just a string""#);
    check(r#","data":null"#, Some("application/json"), b"null");
    check(r#","data":1.5,"datacontenttype":"application/vnd.x+json""#, Some("application/vnd.x+json"), b"1.5");
    check(
        r#","datacontenttype":"application/xml","data":"<much wow=\"xml\"/>""#,
        Some("application/xml"),
        br#"<much wow="xml"/>"#,
    );
    check(r#","datacontenttype":"text/plain","data":"\u00e9\ud83d\ude00""#, Some("text/plain"), "é😀".as_bytes());
    check(r#","data_base64":"eyAieHl6IjogMTIzIH0=""#, None, br#"{ "xyz": 123 }"#);
    check(r#","data_base64":"/w==","datacontenttype":"a/b""#, Some("a/b"), &[0xff]);
    check(r#","data_base64":null"#, None, b"");
}

#[test]
fn values_become_canonical_strings_and_null_is_absent() {
    let event =
        read_with(r#","n":5,"m":-2147483648,"z":-0,"t":true,"f":false,"s":"x","empty":"","subject":null,"o":null"#);
    assert_eq!(
        event.extensions().collect::<Vec<_>>(),
        [("n", "5"), ("m", "-2147483648"), ("z", "0"), ("t", "true"), ("f", "false"), ("s", "x"), ("empty", "")]
    );
    assert_eq!(event.subject(), None);
}

#[test]
fn a_refusal_names_the_attribute_and_the_rule() {
    let check = |body: &str, expected: &str| assert_eq!(refused(body), expected, "{body}");
    check(
        r#"{"specversion":"1.0","id":"1","type":"t"}"#,
        "attribute `source` is missing; every CloudEvent has id, source, specversion and type",
    );
    check(
        r#"{"specversion":"1.0","id":null,"source":"/s","type":"t"}"#,
        "attribute `id` is missing; every CloudEvent has id, source, specversion and type",
    );
    check(r#"{"specversion":"0.3"}"#, r#"attribute `specversion` is "0.3"; only "1.0" is taken"#);
    check(r#"{"specversion":1.0}"#, "attribute `specversion` is not a string");
    check(&with(r#","subject":true"#), "attribute `subject` is not a string");
    check(&with(r#","Ext":"x""#), "attribute `Ext` has 'E' in its name; names are of a-z and 0-9");
    check(&with(r#","my_ext":"x""#), "attribute `my_ext` has '_' in its name; names are of a-z and 0-9");
    check(
        &with(r#","ext":1.5"#),
        "attribute `ext` is a number with a fraction or beyond 32 bits; write it as a string",
    );
    check(
        &with(r#","ext":2147483648"#),
        "attribute `ext` is a number with a fraction or beyond 32 bits; write it as a string",
    );
    check(
        &with(r#","ext":{"a":1}"#),
        "attribute `ext` is an object or array; attributes are strings, whole numbers, `true` or `false`",
    );
    check(
        &with(r#","ext":"\u0000""#),
        "attribute `ext` has the character U+0000; control and non-characters are not allowed",
    );
    check(
        &with(r#","ext":"\udead""#),
        "attribute `ext` is not a text: it has half of a surrogate pair, or a character that must be escaped",
    );
    check(&with(r#","data":1,"data_base64":"""#), "there are both `data` and `data_base64`; give one of them");
    check(&with(r#","data_base64":"eyA""#), "`data_base64` is not base64 (RFC 4648, section 4, with padding)");
    check(&with(r#","data_base64":7"#), "`data_base64` is not a string");
    check(
        &with(r#","datacontenttype":"text/plain","data":{}"#),
        "`data` is not a string, though `datacontenttype` is not JSON; give a string, or `data_base64`",
    );
    check(
        &with(r#","datacontenttype":"text/plain; charset=iso-8859-1","data":"x""#),
        "`data` is in a charset other than UTF-8, which `datacontenttype` names; give its bytes as `data_base64`",
    );
    check(
        &with(r#","datacontenttype":"text/plain; charset=us-ascii","data":"é""#),
        "`data` has characters that are not in US-ASCII, which `datacontenttype` names",
    );
}

#[test]
fn a_body_that_is_no_object_is_refused_with_its_place() {
    let check = |body: &[u8], expected: &str| {
        let error = read(body).unwrap_err().to_string();
        assert!(error.starts_with("the body is not a CloudEvent in JSON: "), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    check(b"", "EOF while parsing a value at line 1 column 0");
    check(b"[]", "expected an object");
    check(b"{\"id\":1,}", "at line 1 column 9");
    check(b"{\"id\":\"\xff\"}", "invalid unicode code point");
    check(b"{\"subject\":null,\"subject\":\"x\"}", "member `subject` stands there twice");
    check(b"{\"id\":\"1\",\"\\u0069d\":\"2\"}", "member `id` stands there twice");
    check(format!("{}x", with("")).as_bytes(), "trailing characters");
    let many: String = (0..200).map(|n| format!(",\"a{n}\":1")).collect();
    check(with(&many).as_bytes(), "it has more than 128 attributes");
}

#[test]
fn a_batch_is_read_whole_or_refused_by_the_place_of_the_first_that_is_none() {
    let two = format!("[{},{}]", with(""), with(r#","data":2"#));
    let events = read_batch(two.as_bytes(), 2).unwrap();
    assert_eq!(events[1].data().as_ref(), b"2");
    assert_eq!(read_batch(b" [ ] ", 2).unwrap(), []);
    let check = |body: &str, expected: &str| {
        let error = read_batch(body.as_bytes(), 2).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(&format!("[{},{{}}]", with("")), "event 1 of the batch: attribute `specversion` is missing");
    check("[7]", "event 0 of the batch: the body is not a CloudEvent in JSON: invalid type: integer `7`");
    check(
        &format!("[{0},{0},{0}]", with("")),
        "the body is not a batch of CloudEvents in JSON: it has more than 2 events",
    );
    check("{}", "the body is not a batch of CloudEvents in JSON: invalid type: map, expected an array");
    check("[] []", "the body is not a batch of CloudEvents in JSON: trailing characters");
    check("[", "the body is not a batch of CloudEvents in JSON: EOF");
}

#[test]
fn an_event_is_written_in_one_line() {
    let check = |members: &str, expected: &str| {
        let event = read_with(members);
        let written = serde_json::to_string(&Written(&event)).unwrap();
        assert_eq!(written, with(expected));
        assert_eq!(read(written.as_bytes()).unwrap().data_content_type(), event.data_content_type());
    };
    check("", "");
    check(",\"data\":{\n\"a\":\r\n1.0}", r#","datacontenttype":"application/json","data":{ "a":  1.0}"#);
    check(r#","data_base64":"eyAieHl6IjogMTIzIH0=""#, r#","data_base64":"eyAieHl6IjogMTIzIH0=""#);
    let text = r#","datacontenttype":"text/plain","data":"a\nb""#;
    check(text, text);
    // Says that it is JSON and is not: nothing is made of it.
    let lies = r#","datacontenttype":"application/json","data_base64":"ew==""#;
    check(lies, lies);
    let binary = r#","datacontenttype":"image/png","data_base64":"YQ==""#;
    check(binary, binary);
}

fn value() -> impl Strategy<Value = String> {
    let allowed = |c: &char| {
        let code = u32::from(*c);
        !c.is_control() && code & 0xfffe != 0xfffe && !(0xfdd0..=0xfdef).contains(&code)
    };
    any::<String>().prop_map(move |text| text.chars().filter(allowed).collect())
}

proptest! {
    #[test]
    fn unknown_extensions_survive_json_and_headers(
        extensions in proptest::collection::btree_map("x[a-z0-9]{1,19}", value(), 0..20),
        media_type in proptest::option::of(prop::sample::select(vec![
            "application/json", "text/plain", "text/plain; charset=us-ascii", "text/plain; charset=utf-16", "image/png",
        ])),
        data in prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes), "[0-9]{1,30}".prop_map(String::into_bytes)],
    ) {
        let mut builder = Builder::new();
        let known = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")];
        let extensions = extensions.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in known.into_iter().chain(extensions) {
            builder.set(name, value).unwrap();
        }
        if let Some(media_type) = media_type {
            builder.set("datacontenttype", media_type).unwrap();
        }
        let event = builder.build(data.into()).unwrap();
        let json = serde_json::to_string(&Written(&event)).unwrap();
        prop_assert!(!json.contains('\n'));
        let message = read(json.as_bytes()).unwrap().into_message(&Headers::new()).unwrap();
        prop_assert_eq!(from_message(&message).unwrap().unwrap(), event);
    }

    #[test]
    fn no_body_is_too_much(body in any::<Vec<u8>>(), json in "[{}\\[\\]\",:a-z0-9\\\\]{0,60}") {
        let _ = (read(&body), read(json.as_bytes()), read_batch(&body, 3), read_batch(json.as_bytes(), 3));
    }
}
