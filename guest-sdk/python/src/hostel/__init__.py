"""Write event handlers for Hostel in Python.

A handler is a function that the host calls once for each delivery of an event, in a sandbox of its own::

    import hostel

    @hostel.handler
    def handle(event: hostel.Event) -> None:
        order = event.json()
        if not order["items"]:
            raise hostel.Reject(f"order {order['number']} has no items")
        hostel.publish_json("orders.packed", {"number": order["number"]})

Returning acknowledges the event. :class:`Reject` makes it a dead letter at once, :class:`Retry` has it come again, and the
other errors of this package do as each says. Any other exception is a fault: the log gets its traceback, and the component
traps, which has the event come again. The module ``logging`` writes the log.

``hostel.keyvalue``, ``hostel.http`` and ``hostel.testing`` are modules of their own. Deliberately absent: asynchronous handlers, since
one instance handles one event at a time.
"""

from hostel._cloud_event import CloudEvent, CloudEventError, publish_cloud_event
from hostel._config import config, require_config
from hostel._errors import BodyError, ConfigError, PublishError, Reject, Retry, SettleError
from hostel._event import Event, Headers
from hostel._handler import handler, init
from hostel._publish import publish, publish_json

__all__ = [
    "BodyError",
    "CloudEvent",
    "CloudEventError",
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
    "publish_cloud_event",
    "publish_json",
    "require_config",
]
