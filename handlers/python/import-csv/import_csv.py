"""Imports CSV files: publishes a message for each row, so that each is handled and repeated by itself."""

import csv
import io
import logging

import hostel

log = logging.getLogger("import-csv")


@hostel.init
def prepare() -> None:
    delimiter()


@hostel.handler
def handle(event: hostel.Event) -> None:
    rows = read(event.text(), delimiter())
    topic = hostel.config("topic") or "rows.imported"
    for number, row in rows:
        # Made of the file's id, so that a repeated import can be told from a new one.
        hostel.publish_json(topic, row, headers={"Row": str(number)}, id=f"{event.id}-{number}")
    log.info("published %d rows on %s", len(rows), topic)


def delimiter() -> str:
    """The config's delimiter, a comma unless it is set."""
    found = hostel.config("delimiter") or ","
    if len(found) != 1:
        raise hostel.ConfigError(f"config key `delimiter` is {found!r}, not one character")
    return found


def read(text: str, delimiter: str) -> list[tuple[int, dict[str, str]]]:
    """The rows below the header and the lines they end in. A file with a flaw is rejected whole."""
    # Programs for tables write a byte order mark, which is no part of the first name.
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    try:
        names = next(reader, None)
        if not names:
            raise hostel.Reject("the file has no header")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise hostel.Reject(f"line 1: the header has {', '.join(map(repr, twice))} twice")
        rows = []
        for row in reader:
            if not row:
                continue  # A blank line, often the last one.
            if len(row) != len(names):
                raise hostel.Reject(f"line {reader.line_num}: {len(row)} fields, where the header has {len(names)}")
            rows.append((reader.line_num, dict(zip(names, row, strict=True))))
    except csv.Error as error:
        raise hostel.Reject(f"line {reader.line_num}: {error}") from None
    return rows
