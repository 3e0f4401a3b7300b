"""Settings of the service, read from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


class SettingsError(ValueError):
    """A variable of the environment is missing or invalid."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with its default."""

    database_url: str
    """`DATABASE_URL`: a URL as libpq knows it, such as `postgresql://hub@127.0.0.1/state_hub`."""

    summary_seconds: float = 15.0
    """`STATE_HUB_SUMMARY_SECONDS`: how long `/state/summary` repeats an answer."""

    poll_seconds: float = 1.0
    """`STATE_HUB_POLL_SECONDS`: how often an event stream looks for new events."""

    statement_seconds: float = 10.0
    """`STATE_HUB_STATEMENT_SECONDS`: how long one statement may take."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raise `SettingsError` where one is missing or invalid."""
        database_url = environment.get("DATABASE_URL", "")
        if not database_url:
            raise SettingsError("DATABASE_URL is not set")
        return cls(
            database_url=database_url,
            summary_seconds=_seconds(environment, "STATE_HUB_SUMMARY_SECONDS", 15.0),
            poll_seconds=_seconds(environment, "STATE_HUB_POLL_SECONDS", 1.0),
            statement_seconds=_seconds(environment, "STATE_HUB_STATEMENT_SECONDS", 10.0),
        )


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        raise SettingsError(f"{name} is not a number of seconds: {text!r}") from None
    if not 0 <= seconds <= 24 * 3600:
        raise SettingsError(f"{name} must be between 0 and 86400 seconds: {text!r}")
    return seconds
