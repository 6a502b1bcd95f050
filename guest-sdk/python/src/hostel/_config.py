"""Config and secrets: what the manifest or the operator set."""

from hostel._errors import ConfigError
from hostel._host import host


def config(key: str, default: str | None = None) -> str | None:
    """What is set for a key, or ``default``. Raises :class:`ConfigError` when it cannot be read."""
    value = host().config(key)
    return default if value is None else value


def require_config(key: str) -> str:
    """What is set for a key that must be there. Raises :class:`ConfigError` that says what to set."""
    value = host().config(key)
    if value is None:
        raise ConfigError(f"config key `{key}` is not set; set it under `[config]` in the handler's manifest")
    return value
