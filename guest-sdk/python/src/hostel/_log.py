"""The module ``logging`` as the way to the host's log."""

import logging

from hostel import _host


class _HostHandler(logging.Handler):
    """Hands each line of a record to the host."""

    def emit(self, record: logging.LogRecord) -> None:
        if not _host.IN_COMPONENT:
            from hostel import _double

            # Outside a run of `hostel.testing` a test's own logging is none of ours.
            if _double.attached() is None:
                return
        try:
            for line in self.format(record).split("\n"):
                _host.host().log(record.levelno, record.name, line)
        except Exception:
            self.handleError(record)


_HANDLER = _HostHandler()


def install() -> None:
    """Has the root logger hand everything to the host, with all levels unless the author chose some."""
    root = logging.getLogger()
    if _HANDLER in root.handlers:
        return
    root.addHandler(_HANDLER)
    # The level that a root logger begins with; the host has its own limits.
    if root.level == logging.WARNING:
        root.setLevel(logging.NOTSET)
