"""What a handler sees of an event, and what becomes of the event."""

import logging
import unittest
from datetime import UTC, datetime, timedelta

import hostel
from hostel import testing

EVENT = testing.Event("orders.created")


def raised(error: BaseException) -> testing.Run:
    def handle(event: hostel.Event) -> None:
        raise error

    return testing.run(handle, EVENT)


class Events(unittest.TestCase):
    def test_an_event_tells_what_was_published(self) -> None:
        published_at = datetime.fromtimestamp(1_700_000_000, UTC) + timedelta(milliseconds=123)
        seen: list[object] = []

        def handle(event: hostel.Event) -> None:
            seen.extend([event.id, event.topic, event.attempt, event.published_at, event.last_error, event.text()])
            seen.extend([event.headers.get("KIND"), event.headers.get_all("kind"), "other" in event.headers])
            seen.append(list(event.headers))

        headers = [("Kind", "a"), ("kind", "b")]
        event = testing.Event(
            "a.b", "tëxt", headers=headers, id="e-1", attempt=2, published_at=published_at, last_error="no room"
        )
        self.assertEqual(testing.run(handle, event).outcome, "ack")
        expected = ["e-1", "a.b", 2, published_at, "no room", "tëxt", "a", ["a", "b"], False, headers]
        self.assertEqual(seen, expected)

    def test_a_body_that_is_not_what_it_should_be_is_rejected(self) -> None:
        text = testing.run(lambda event: print(event.text()), testing.Event("a", b"a\xff"))
        self.assertEqual(
            (text.outcome, text.reason), ("reject", "the body is not UTF-8 text: invalid start byte at byte 1")
        )
        json = testing.run(lambda event: print(event.json()), testing.Event("a", b"{"))
        self.assertEqual(json.outcome, "reject")
        self.assertRegex(json.reason or "", "^the body is not JSON: .*line 1 column 2")
        deep = testing.run(lambda event: print(event.json()), testing.Event("a", b"[" * 200_000))
        self.assertEqual(deep.outcome, "reject")

    def test_an_event_is_not_used_after_its_handler_has_returned(self) -> None:
        kept: list[hostel.Event] = []
        testing.run(lambda event: kept.append(event), EVENT)
        with self.assertRaisesRegex(RuntimeError, "used after its handler had returned"):
            print(kept[0].body)

    def test_an_acknowledgement_and_an_extension_are_told(self) -> None:
        def handle(event: hostel.Event) -> None:
            event.extend(timedelta(microseconds=1500))
            event.ack()
            with self.assertRaises(hostel.SettleError) as second:
                event.ack()
            self.assertEqual(second.exception.kind, "already-settled")

        run = testing.run(handle, EVENT)
        self.assertEqual((run.outcome, run.acked, run.extended), ("ack", True, [timedelta(milliseconds=2)]))


class Outcomes(unittest.TestCase):
    def test_what_is_raised_on_purpose_decides_and_is_not_logged(self) -> None:
        after = timedelta(seconds=60)
        for error, expected in [
            (hostel.Retry("closed"), ("retry", "closed", None)),
            (hostel.Retry("closed", after=after), ("retry", "closed", after)),
            (hostel.Reject("no items"), ("reject", "no items", None)),
        ]:
            run = raised(error)
            self.assertEqual((run.outcome, run.reason, run.after), expected)
            self.assertEqual((run.logs, run.error), ([], error))

    def test_any_other_exception_is_a_trap_and_its_traceback_is_logged(self) -> None:
        def innermost() -> None:
            raise ValueError("no such course")

        run = testing.run(lambda event: innermost(), EVENT)
        self.assertEqual((run.outcome, run.reason), ("trap", "ValueError: no such course"))
        self.assertTrue(all((line.level, line.context) == (logging.ERROR, "exception") for line in run.logs))
        texts = [line.text for line in run.logs]
        self.assertEqual(texts[0], "Traceback (most recent call last):")
        self.assertRegex(texts[1], r"test_handler\.py.*in <lambda>$")
        self.assertTrue(any(text.endswith("in innermost") for text in texts), texts)
        self.assertEqual(texts[-1], "ValueError: no such course")

    def test_a_deep_recursion_is_told_in_few_lines(self) -> None:
        def deeper() -> None:
            deeper()

        run = testing.run(lambda event: deeper(), EVENT)
        self.assertEqual(run.outcome, "trap")
        self.assertLess(len(run.logs), 80)

    def test_the_cause_of_an_error_is_told_and_may_decide(self) -> None:
        def handle(event: hostel.Event) -> None:
            try:
                raise hostel.PublishError("overloaded", 250)
            except hostel.PublishError as error:
                raise RuntimeError("cannot tell the others") from error

        run = testing.run(handle, EVENT)
        self.assertEqual(
            run.reason, "RuntimeError: cannot tell the others: the host is overloaded; try again in 250 ms"
        )
        self.assertEqual((run.outcome, run.after), ("retry", timedelta(milliseconds=250)))

    def test_a_negative_delay_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            hostel.Retry("later", after=timedelta(seconds=-1))


class Logs(unittest.TestCase):
    def test_the_module_logging_writes_the_log(self) -> None:
        def handle(event: hostel.Event) -> None:
            logging.getLogger("shop").info("order %d", 7)
            logging.debug("two\nlines")

        run = testing.run(handle, EVENT)
        self.assertEqual(
            run.logs,
            [
                testing.LogLine(logging.INFO, "shop", "order 7"),
                testing.LogLine(logging.DEBUG, "root", "two"),
                testing.LogLine(logging.DEBUG, "root", "lines"),
            ],
        )

    def test_what_is_logged_outside_a_run_is_left_alone(self) -> None:
        testing.run(lambda event: None, EVENT)
        with self.assertLogs("elsewhere") as own:
            logging.getLogger("elsewhere").info("a test's own")
        self.assertEqual(own.output, ["INFO:elsewhere:a test's own"])


class Definitions(unittest.TestCase):
    def test_an_asynchronous_handler_is_refused(self) -> None:
        async def handle(event: hostel.Event) -> None: ...

        with self.assertRaisesRegex(TypeError, "plain function; `handle` is asynchronous"):
            hostel.handler(handle)  # type: ignore[arg-type]

    def test_init_sees_the_config_and_its_failure_refuses(self) -> None:
        def prepare() -> None:
            hostel.require_config("rate")

        self.assertEqual(testing.Host(config={"rate": "1"}).init(prepare).outcome, "ack")
        refused = testing.Host().init(prepare)
        self.assertEqual(refused.outcome, "refused")
        expected = "config key `rate` is not set; set it under `[config]` in the handler's manifest"
        self.assertEqual(refused.reason, expected)

    def test_without_a_host_the_cure_is_told(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "run the handler with `hostel.testing`"):
            hostel.config("rate")
