import unittest

from hostel import testing

from conformance import handle, prepare


def asking(behaviour: str, headers: list[tuple[str, str]] | None = None, body: bytes = b"") -> testing.Event:
    return testing.Event("conformance.do", body, headers=[("Behaviour", behaviour), *(headers or [])], id="e-1")


class Conformance(unittest.TestCase):
    def test_a_body_and_its_headers_come_back(self) -> None:
        run = testing.run(handle, asking("echo", [("X-A", "")], b"\x00\xff"))
        self.assertEqual(run.outcome, "ack")
        self.assertEqual((run.published[0].headers, run.published[0].body), ([("X-A", ""), ("Hostel-Id", "result-e-1")], b"\x00\xff"))

    def test_an_unknown_behaviour_is_rejected(self) -> None:
        run = testing.run(handle, asking("sing"))
        self.assertEqual((run.outcome, run.reason), ("reject", 'there is no behaviour "sing"'))

    def test_a_config_refuses_the_deployment(self) -> None:
        run = testing.Host(config={"refuse": "no"}).init(prepare)
        self.assertEqual((run.outcome, run.reason), ("refused", "refused on demand: no"))
