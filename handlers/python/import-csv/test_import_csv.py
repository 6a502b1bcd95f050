import unittest

import hostel
from hostel import testing

import import_csv


def imported(text: str | bytes, host: testing.Host | None = None) -> testing.Run:
    return (host or testing.Host()).run(import_csv.handle, testing.Event("files.uploaded", text, id="f-1"))


class ImportCsv(unittest.TestCase):
    def test_each_row_is_published(self) -> None:
        run = imported('\ufeffid,name\r\n1,Ada\r\n2,"Grace, ""Admiral""\r\nHopper"\r\n\r\n')
        self.assertEqual(run.outcome, "ack")
        self.assertEqual(
            [(row.topic, row.id, row.header("row"), row.json()) for row in run.published],
            [
                ("rows.imported", "f-1-2", "2", {"id": "1", "name": "Ada"}),
                ("rows.imported", "f-1-4", "4", {"id": "2", "name": 'Grace, "Admiral"\r\nHopper'}),
            ],
        )
        self.assertEqual([line.text for line in run.logs], ["published 2 rows on rows.imported"])

    def test_a_file_with_a_flaw_is_rejected_whole(self) -> None:
        for text, expected in [
            ("", "the file has no header"),
            ("a,b\n1,2\n3\n", "line 3: 1 fields, where the header has 2"),
            ("a,b,a\n", "line 1: the header has 'a' twice"),
            ('a\n"1\n', "line 2: unexpected end of data"),
            (b"a\n\xff", "the body is not UTF-8 text: invalid start byte at byte 2"),
        ]:
            run = imported(text)
            self.assertEqual((run.outcome, run.reason, run.published), ("reject", expected, []))

    def test_the_config_says_delimiter_and_topic(self) -> None:
        run = imported("a;b\n1;2\n", testing.Host(config={"delimiter": ";", "topic": "people.imported"}))
        self.assertEqual(
            [(row.topic, row.json()) for row in run.published], [("people.imported", {"a": "1", "b": "2"})]
        )

    def test_a_delimiter_that_is_none_refuses_the_deployment(self) -> None:
        run = testing.Host(config={"delimiter": "tab"}).init(import_csv.prepare)
        self.assertEqual((run.outcome, run.reason), ("refused", "config key `delimiter` is 'tab', not one character"))

    def test_a_file_waits_while_the_host_is_overloaded(self) -> None:
        host = testing.Host(refuse={"rows.imported": hostel.PublishError("overloaded", 250)})
        self.assertEqual(imported("a\n1\n", host).outcome, "retry")
