"""HTTP requests, and what becomes of the event where they fail."""

import unittest

import hostel
import hostel.http
from hostel import keyvalue, testing

URL = "https://a.example/x"


class Requests(unittest.TestCase):
    def test_a_request_is_answered_and_any_other_is_denied(self) -> None:
        def handle(event: hostel.Event) -> None:
            answer = hostel.http.send("POST", URL, headers={"X-A": "b"}, body="asked")
            self.assertEqual((answer.status, answer.json()), (404, {"a": 1}))
            hostel.http.send("GET", "https://b.example/")

        host = testing.Host(respond={URL: testing.Response(404, body=b'{"a":1}')})
        run = host.run(handle, testing.Event("a"))
        self.assertEqual(run.outcome, "reject")
        self.assertRegex(run.reason or "", "a request to `https://b.example/` was denied")
        self.assertEqual(run.requests[0], testing.Request("POST", URL, [("X-A", "b")], b"asked"))

    def test_an_answer_that_is_not_as_expected_is_a_retry(self) -> None:
        host = testing.Host(respond={URL: testing.Response(200, body=b"{")})
        run = host.run(lambda event: print(hostel.http.send("GET", URL).json()), testing.Event("a"))
        self.assertEqual(run.outcome, "retry")
        self.assertRegex(run.reason or "", "^the request failed: the answer is not JSON: ")


class Outcomes(unittest.TestCase):
    def test_what_this_package_raises_is_no_fault(self) -> None:
        def outcome(error: Exception) -> str:
            def handle(event: hostel.Event) -> None:
                raise error

            return testing.run(handle, testing.Event("a")).outcome

        self.assertEqual(outcome(keyvalue.KeyValueError("access-denied", "")), "reject")
        self.assertEqual(outcome(keyvalue.KeyValueError("other", "")), "retry")
        self.assertEqual(outcome(hostel.ConfigError("")), "retry")
        self.assertEqual(outcome(hostel.SettleError("failed", "why")), "retry")
        self.assertEqual(outcome(hostel.http.HttpError("failed", "why")), "retry")
        self.assertEqual(outcome(OSError("no")), "trap")
