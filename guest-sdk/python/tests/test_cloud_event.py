"""CloudEvents: read, published, and what is none."""

import unittest
from datetime import UTC, datetime

import hostel
from hostel import testing

MINIMUM = [("Ce-Specversion", "1.0"), ("ce-id", "1"), ("CE-SOURCE", "/s"), ("ce-type", "t")]


def read(headers: list[tuple[str, str]], body: bytes = b"") -> tuple[testing.Run, list[hostel.CloudEvent]]:
    found: list[hostel.CloudEvent] = []
    event = testing.Event("a", headers=headers, body=body)
    return testing.run(lambda event: found.append(event.cloud_event()), event), found


class CloudEvents(unittest.TestCase):
    def test_a_cloud_event_is_read_with_what_nobody_knows(self) -> None:
        headers = [
            *MINIMUM,
            ("ce-subject", "Euro%20%e2%82%ac"),
            ("ce-time", "2018-04-05T03:56:24Z"),
            ("ce-comexample", r'"a \"b\""'),
            ("ce-raw", '{"a": 5}'),
            ("Content-Type", "application/json"),
            ("X-Other", "1"),
        ]
        run, [event] = read(headers, b'{"a":1}')
        self.assertEqual(run.outcome, "ack")
        self.assertEqual((event.id, event.source, event.type, event.subject), ("1", "/s", "t", "Euro €"))
        self.assertEqual(datetime.fromisoformat(event.time or ""), datetime(2018, 4, 5, 3, 56, 24, tzinfo=UTC))
        self.assertEqual(event.extensions, {"comexample": 'a "b"', "raw": '{"a": 5}'})
        self.assertEqual((event.datacontenttype, event.json()), ("application/json", {"a": 1}))

    def test_what_is_no_cloud_event_is_rejected_with_its_reason(self) -> None:
        def check(headers: list[tuple[str, str]], expected: str) -> None:
            run, _ = read(headers)
            self.assertEqual((run.outcome, run.reason), ("reject", expected))

        check([], "the event is no CloudEvent: it has no header `ce-specversion`")
        check([("ce-specversion", "1.0")], "attribute `id` is missing")
        check([("ce-specversion", "0.3")], "the value of attribute `specversion` is malformed")
        for value in ["%C0%A0", "100%", '"a', '"a" b', '"\\']:
            check([*MINIMUM, ("ce-ext", value)], "the value of attribute `ext` is malformed")
        check([*MINIMUM, ("ce-my-ext", "")], "an extension cannot be called `my-ext`; names are of a-z and 0-9")

    def test_what_is_published_is_read_again(self) -> None:
        event = hostel.CloudEvent(
            id="7",
            source="/orders",
            type="com.example.packed",
            subject='100% "sure" € 😀\\',
            dataschema="https://example.com/s",
            extensions={"empty": "", "number": "5"},
        ).with_json([1])
        run = testing.run(lambda _: print(hostel.publish_cloud_event("orders.packed", event)), testing.Event("a"))
        self.assertEqual(run.outcome, "ack")
        [published] = run.published
        self.assertEqual(published.headers[4], ("ce-subject", "100%25%20%22sure%22%20%E2%82%AC%20%F0%9F%98%80\\"))
        self.assertEqual(read(published.headers, published.body)[1], [event])

    def test_what_cannot_be_published_is_rejected(self) -> None:
        def check(event: hostel.CloudEvent, expected: str) -> None:
            run = testing.run(lambda _: print(hostel.publish_cloud_event("b", event)), testing.Event("a"))
            self.assertEqual((run.outcome, run.reason), ("reject", f"the message was refused: {expected}"))

        check(hostel.CloudEvent(id="", source="/s", type="t"), "attribute `id` is missing")
        for name in ["A", "", "a-b", "time", "data"]:
            event = hostel.CloudEvent(id="1", source="/s", type="t", extensions={name: ""})
            check(event, f"an extension cannot be called `{name}`; names are of a-z and 0-9")
