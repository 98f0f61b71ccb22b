"""Names of models that are addresses of servers: http://host:port/v1#model."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from hnmine.config.server_settings import check_address
from hnmine.encode.roles import Use
from hnmine.errors import UsageError
from hnmine.ranking_servers import is_rerank

ENDPOINT = re.compile(r"/(embeddings|embed|rerank)$")


def is_served(model: str) -> bool:
    """Tell whether the name of a model is the address of a server."""
    return re.match(r"https?://", model) is not None


def is_endpoint(judge: str) -> bool:
    """Tell whether an address is that of a model rather than of a file."""
    path = urlsplit(judge).path.rstrip("/")
    named = "#" in judge or re.search(r"/v[0-9]+$", path)
    return is_served(judge) and bool(named or ENDPOINT.search(path))


def use_of_served(model: str) -> Use:
    """Return how a model on a server is used, by the end of its address."""
    return "cross-encoder" if is_rerank(model.partition("#")[0]) else "encoder"


def split_address(model: str, use: Use) -> tuple[str, str | None]:
    """Return where requests go, and the model's name on the server; None without one.

    Args:
        model: an address, and after # the name of the model.
        use: of the model.

    Raises:
        UsageError: it is no address, or holds what must not be stored.
    """
    url, _, name = model.partition("#")
    try:
        check_address(url, "model")
        if not name.isprintable():
            raise ValueError("model: its name on the server holds control characters")
    except ValueError as error:
        raise UsageError(
            str(error), fix="Check the address of the model, such as http://localhost:8080/v1#NAME."
        ) from None
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not ENDPOINT.search(path):
        ending = "rerank" if use == "cross-encoder" else "embeddings"
        path += "/v1/embeddings" if not path and ending == "embeddings" else f"/{ending}"
    return urlunsplit(parts._replace(path=path)), name.strip() or None


def short_name(model: str) -> str:
    """Return the last part of a served model's name, else its host."""
    url, _, name = model.partition("#")
    return name.rstrip("/").rpartition("/")[2] or urlsplit(url).hostname or "server"
