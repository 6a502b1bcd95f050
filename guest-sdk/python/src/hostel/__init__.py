"""Write event handlers for Hostel in Python.

A handler is a function that the host calls once for each delivery of an event, in a sandbox of its own::

    import hostel

    @hostel.handler
    def handle(event: hostel.Event) -> None:
        order = event.json()
        if not order["items"]:
            raise hostel.Reject(f"order {order['number']} has no items")
        hostel.publish_json("orders.packed", {"number": order["number"]})

Returning acknowledges the event. :class:`Reject` makes it a dead letter at once, :class:`Retry` has it come again; any
other exception is a retry too, and the log gets its traceback. The module ``logging`` writes the log.

``hostel.keyvalue`` and ``hostel.testing`` are modules of their own. Deliberately absent: asynchronous handlers, since
one instance handles one event at a time.
"""

from hostel._config import config, require_config
from hostel._errors import BodyError, ConfigError, PublishError, Reject, Retry, SettleError
from hostel._event import Event, Headers
from hostel._handler import handler, init
from hostel._publish import publish, publish_json

__all__ = [
    "BodyError",
    "ConfigError",
    "Event",
    "Headers",
    "PublishError",
    "Reject",
    "Retry",
    "SettleError",
    "config",
    "handler",
    "init",
    "publish",
    "publish_json",
    "require_config",
]
