import logging
import unittest

from hostel import testing

from hello import handle


class Hello(unittest.TestCase):
    def test_logs_the_event_and_acknowledges_it(self) -> None:
        run = testing.run(handle, testing.Event("greetings.sent", "hi", id="e-1", attempt=2))
        self.assertEqual(run.outcome, "ack")
        text = "hello, event e-1 on greetings.sent, attempt 2, with 2 bytes"
        self.assertEqual(run.logs, [testing.LogLine(logging.INFO, "hello", text)])

    def test_takes_a_body_that_is_not_text(self) -> None:
        self.assertEqual(testing.run(handle, testing.Event("greetings.sent", b"\xff\x00")).outcome, "ack")
