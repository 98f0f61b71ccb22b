"""Local paths, and URLs of shared storage, whose directories are cached locally.

Only a URL that a setting names gets a cache folder, so no other path makes hnmine contact a server.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import xxhash

from hnmine.printable import harmless
from hnmine.runner.safe_paths import safe_join

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+([^/].*)", re.DOTALL)
"""A scheme and the rest; a `Path` made from a URL has lost one of its slashes."""

_OPTIONS = re.compile(r"\?[\w.-]+=[^/]*")
"""Options of a file system, such as `?region=eu`; a `?` without them is a wildcard."""

_cached: dict[Path, str] = {}
"""URLs, with credentials, of the cache folders of this process."""


def split_url(place: str | Path) -> tuple[str, str] | None:
    """Return the scheme of a URL and the rest, options moved after the server; None for a path."""
    found = _URL.fullmatch(str(place)) if isinstance(place, Path) or "://" in place else None
    if found is None:
        return None
    options = "".join(_OPTIONS.findall(found[2]))
    server, slash, key = _OPTIONS.sub("", found[2]).partition("/")
    return found[1], f"{server}{options}{slash}{key}".rstrip("/")


def public_url(place: str | Path) -> str:
    """Return a URL without user, password and options; other text unchanged."""
    found = split_url(place)
    if found is None:
        return str(place)
    scheme, rest = found
    server, slash, key = _OPTIONS.sub("", rest).partition("/")
    user, at, host = server.rpartition("@")
    # In abfs://container@account/path the user is the container.
    kept = f"{user}{at}" if scheme.startswith(("abfs", "wasb")) and ":" not in user else ""
    return f"{scheme}://{kept}{host}{slash}{key}"


def cache() -> Path:
    """Return the folder of cached directories: HNMINE_CACHE, else one in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HNMINE_CACHE") or Path(home) / "hnmine").absolute()


def mirror(place: str | Path, kind: str = "runs") -> Path:
    """Return the local folder or file where a URL is cached; a path unchanged.

    Args:
        place: a path or a URL that the user named.
        kind: `runs`, which hnmine writes, or `inputs`, which it reads.

    Raises:
        InputError: the URL holds `..`.
    """
    found = split_url(place)
    if found is None:
        return Path(place)
    scheme, rest = found
    if scheme == "file":
        return Path("/", rest)
    public = public_url(place).partition("://")[2]
    server, *key = [part for part in public.split("/") if part]
    options = harmless(_options(rest))
    if options:  # Two services may have a bucket of the same name.
        server += "-" + xxhash.xxh3_64_hexdigest("&".join(sorted(options)).encode())
    folder = safe_join(cache() / kind, "/".join([scheme, server, *key]), public_url(place))
    if kind == "runs":
        _cached[folder] = f"{scheme}://{rest}"
    return folder


def _options(rest: str) -> list[str]:
    return [option for given in _OPTIONS.findall(rest) for option in given[1:].split("&")]


def address_of(path: Path) -> str | None:
    """Return the URL, with credentials, that a path caches; None for other paths."""
    path = path.absolute()
    for folder in (path, *path.parents):
        if url := _cached.get(folder):
            below = path.relative_to(folder).parts
            return "/".join([url, *below])
    return None


def mirrored(path: Path) -> str | None:
    """Return the URL that a path caches, without credentials; None for other paths."""
    url = address_of(path)
    return public_url(url) if url else None


def name_of(path: Path) -> str:
    """Return a URL or an absolute path, which means the same place everywhere."""
    return mirrored(path) or str(path.resolve())


def beside(directory: Path, url: str) -> str | None:
    """Return a URL from a directory's data, with the credentials of that directory.

    None unless both are on the server or bucket that the user named, or if it has options.
    """
    own, found = address_of(directory), split_url(url)
    if own is None or found is None or url != public_url(url):
        return None
    scheme, rest = split_url(own) or ("", "")
    server, there = rest.partition("/")[0], found[1].partition("/")
    same = public_url(f"{scheme}://{server}") == f"{found[0]}://{there[0]}"
    return f"{scheme}://{server}/{there[2]}" if same else None
