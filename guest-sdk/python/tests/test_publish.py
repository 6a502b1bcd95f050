"""Publishing, and the key-value buckets."""

import unittest
from datetime import timedelta

import hostel
from hostel import testing
from hostel.keyvalue import Bucket

EVENT = testing.Event("a")


class Publishing(unittest.TestCase):
    def test_text_bytes_and_json_are_published(self) -> None:
        def handle(event: hostel.Event) -> None:
            self.assertEqual(hostel.publish("b.text", "hi"), "published-1")
            hostel.publish("b.bytes", b"\x00\xff", headers=[("A", "1"), ("a", "2")])
            self.assertEqual(hostel.publish_json("b.json", {"a": "ë"}, headers={"Kind": "x"}, id="mine"), "mine")

        run = testing.run(handle, EVENT)
        self.assertEqual(run.outcome, "ack")
        text, binary, json = run.published
        self.assertEqual((text.topic, text.text(), text.headers), ("b.text", "hi", []))
        self.assertEqual((binary.body, binary.headers), (b"\x00\xff", [("A", "1"), ("a", "2")]))
        self.assertEqual((json.json(), json.body), ({"a": "ë"}, '{"a":"ë"}'.encode()))
        self.assertEqual(json.headers, [("Content-Type", "application/json"), ("Kind", "x"), ("Hostel-Id", "mine")])

    def test_what_the_host_would_refuse_is_rejected(self) -> None:
        def check(topic: str, headers: dict[str, str], expected: str) -> None:
            run = testing.run(lambda event: print(hostel.publish(topic, "x", headers=headers)), EVENT)
            self.assertEqual((run.outcome, run.reason), ("reject", f"the message was refused: {expected}"))
            self.assertEqual(run.published, [])

        check("", {}, "topic is empty")
        check("a..b", {}, "topic `a..b` has an empty token")
        check("a b", {}, "topic `a b` has ' '; allowed are A-Z, a-z, 0-9, ., _ and -")
        check("a", {"x": "\0"}, "the value of header `x` has a NUL character")
        check("a", {"x": "v" * 65536}, "the headers of a message have at most 65536 bytes")

    def test_a_value_that_is_not_json_is_rejected(self) -> None:
        run = testing.run(lambda event: print(hostel.publish_json("b", {1, 2})), EVENT)
        self.assertEqual(run.outcome, "reject")
        self.assertRegex(run.reason or "", "the value cannot be written as JSON: .*set is not JSON serializable")

    def test_an_error_of_publishing_says_what_becomes_of_the_event(self) -> None:
        def check(error: hostel.PublishError, outcome: str, after: timedelta | None = None) -> None:
            host = testing.Host(refuse={"b": error})
            run = host.run(lambda event: print(hostel.publish("b", "x")), EVENT)
            self.assertEqual((run.outcome, run.after), (outcome, after))

        check(hostel.PublishError("denied", "no"), "reject")
        check(hostel.PublishError("too-large", 8), "reject")
        check(hostel.PublishError("overloaded", 70), "retry", timedelta(milliseconds=70))
        check(hostel.PublishError("failed", "disk full"), "retry")

    def test_a_denied_topic_is_denied_with_the_cure(self) -> None:
        run = testing.Host(deny=["b"]).run(lambda event: print(hostel.publish("b", "x")), EVENT)
        self.assertEqual(run.reason, 'publishing was denied: add "b" to `publish` in the handler\'s manifest')


class KeyValue(unittest.TestCase):
    def test_a_bucket_keeps_values_between_two_events(self) -> None:
        host = testing.Host()

        def count(event: hostel.Event) -> None:
            bucket = Bucket("visits")
            bucket.set("last", event.id)
            bucket.increment("count", 2)

        host.run(count, EVENT)
        host.run(count, testing.Event("a", id="e-2"))

        def read(event: hostel.Event) -> None:
            bucket = Bucket("visits")
            self.assertEqual((bucket.get("last"), bucket.get("count"), bucket.get("other")), (b"e-2", b"4", None))
            self.assertEqual(list(bucket.keys()), ["count", "last"])
            bucket.delete("last")
            self.assertNotIn("last", bucket)

        self.assertEqual(host.run(read, EVENT).reason, None)
