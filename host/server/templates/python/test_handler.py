import unittest

from hostel import testing

from handler import handle


class Handler(unittest.TestCase):
    def test_greets_by_name(self) -> None:
        run = testing.run(handle, testing.Event("{{topic}}", json={"name": "Ada"}))
        self.assertEqual(run.outcome, "ack")
        self.assertEqual(run.logs[0].text, "hello, Ada")

    def test_rejects_what_names_nobody(self) -> None:
        run = testing.run(handle, testing.Event("{{topic}}", json={}))
        self.assertEqual((run.outcome, run.reason), ("reject", "no `name` in the event"))
