"""Settings of the commands that ask a model's server."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hnmine.config.setting import setting
from hnmine.config.shared import Reach, Settings


class ServerSettings(Settings):
    """How a server is asked."""

    timeout: float = setting(
        "Advanced",
        "Seconds to wait for a whole answer of the server.",
        120.0,
        in_plan=False,
        gt=0,
        le=86_400,
    )
    requests: int = setting(
        "Scale-out",
        "Number of concurrent requests to the server.",
        4,
        in_plan=False,
        ge=1,
        le=1024,
    )
    api_key_env: str = setting(
        "Advanced",
        "Environment variable with the server's key, if it needs one.",
        "OPENAI_API_KEY",
        in_plan=False,
        value="NAME",
    )

    @property
    def reach(self) -> Reach:
        """How the server is asked."""
        return Reach(self.timeout, self.requests, self.api_key_env)


def check_address(url: str, setting: str = "endpoint") -> None:
    """Check the address of a server that a setting names.

    Raises:
        ValueError: it is none, or holds what must not be stored and printed.
    """
    if not re.match(r"https?://.", url):
        raise ValueError(f"{setting}: must begin with http:// or https://")
    if re.search(r"[@?#]", url):  # It is stored and printed.
        raise ValueError(
            f"{setting}: holds a user, a query or a fragment; a key goes in the environment "
            "variable that --api-key-env names"
        )
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname and parts.hostname.encode("idna")) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise ValueError(f"{setting}: isn't the address of a server")
