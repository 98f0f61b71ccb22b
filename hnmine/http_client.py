"""Requests to servers that are not trusted: bounded in time and size, and to one host alone."""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from string import punctuation
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

LARGEST_ANSWER = 1 << 22
"""Bytes of an answer; a text of 100,000 tokens is a tenth of that."""

MOST_REDIRECTS = 5
REPEATED = {301, 302, 307, 308}
"""Redirects after which the same request is sent again."""

LOOK_AGAIN = 0.1
"""Seconds between two looks at whether a request shall end."""

LONGEST_TEXT = 300
"""Characters of what a server says that are shown."""


class BadAnswer(Exception):
    """An answer that no other attempt would make better: too large, or from somewhere else."""


class Refused(Exception):
    """A server answered with an error.

    Attributes:
        code: of HTTP.
        retry_after: seconds that it asks for; 0 if it does not.
    """

    def __init__(self, code: int, said: str, retry_after: float) -> None:
        self.code, self.retry_after = code, retry_after
        super().__init__(f"{code} {said}".strip())


class _Lines:
    """The connections of one request."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self._over = False

    def add(self, line: socket.socket) -> None:
        self._open.append(line)
        if self._over:
            self.close()

    def close(self) -> None:
        self._over = True
        for line in self._open:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Client:
    """Sends JSON to a server.

    Attributes:
        url: where to.
        key: sent as a bearer token; empty for none. Shown nowhere.
        timeout: seconds for a whole answer, with finding and reaching the server.
        largest: bytes of an answer, at most.
    """

    url: str
    key: str = field(repr=False)
    timeout: float
    largest: int = LARGEST_ANSWER

    def post(self, body: Mapping[str, Any], over: threading.Event) -> bytes:
        """Send a JSON object and return the answer.

        Args:
            body: the object.
            over: ends the request within a moment, whatever the server does.

        Raises:
            Refused: the server answers with an error.
            BadAnswer: the answer is too large or compressed, or sends the request elsewhere.
            TimeoutError: it takes too long, or `over` is set.
            OSError: the server is not reached, or hangs up.
            http.client.HTTPException: what it says is not HTTP, or is cut off.
        """
        lines = _Lines()
        answer: Future[bytes] = Future()

        def work() -> None:
            try:
                answer.set_result(self._post(json.dumps(body).encode(), lines))
            except BaseException as error:
                answer.set_exception(error)

        # Neither a name that is looked up nor a byte now and then can be bounded from within. The
        # thread is left alone at the end, and its connection is closed.
        threading.Thread(target=work, daemon=True).start()
        end = time.monotonic() + self.timeout
        too_late = TimeoutError(f"No whole answer within {self.timeout:g} seconds.")
        try:
            while not answer.done():
                left = end - time.monotonic()
                if left <= 0 or over.is_set():
                    raise too_late
                wait([answer], timeout=min(left, LOOK_AGAIN))
        finally:
            lines.close()
        try:
            return answer.result()
        except TimeoutError as error:
            if error.errno is None:  # The server was not reached within as many seconds.
                raise too_late from None
            raise

    def shown(self, said: bytes) -> str:
        """Return the beginning of what a server says, without control characters and the key."""
        text = said.decode("utf-8", "replace")
        if self.key:
            text = text.replace(self.key, "***")
        printable = "".join(char if char.isprintable() else " " for char in text)
        line = " ".join(printable.split())
        return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}..."

    def _post(self, body: bytes, lines: _Lines) -> bytes:
        opener = _opener(self.url, lines)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "hnmine",
            "Accept-Encoding": "identity",
        }
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        url = self.url
        for _ in range(MOST_REDIRECTS + 1):
            request = urllib.request.Request(url, body, headers, method="POST")
            try:
                with closing(opener.open(request, timeout=self.timeout)) as answer:
                    return _content(answer, self.largest)
            except urllib.error.HTTPError as error:
                with closing(error):
                    if not 300 <= error.code < 400:
                        raise self._refused(error) from None
                    url = self._redirected(url, error)
            except urllib.error.URLError as error:
                raise error.reason if isinstance(error.reason, OSError) else error from None
        raise BadAnswer(f"It redirects more than {MOST_REDIRECTS} times.")

    def _redirected(self, url: str, error: urllib.error.HTTPError) -> str:
        """Return where the same request goes next: never to another server."""
        to = error.headers.get("Location") or ""
        try:
            to = quote(urljoin(url, to), safe=punctuation)
            alike = _origin(to) == _origin(url)
        except ValueError:
            alike = False
        if not alike or error.code not in REPEATED:
            raise BadAnswer(
                f"It redirects ({error.code}) to {self.shown(to.encode('utf-8', 'replace'))}; "
                "the request and its key go to the scheme, host and port given, and nowhere else."
            )
        return to

    def _refused(self, error: urllib.error.HTTPError) -> Refused:
        said = b""
        with suppress(OSError, http.client.HTTPException, ValueError):
            said = error.read(4 * LONGEST_TEXT)
        asked = error.headers.get("Retry-After") or ""
        seconds = float(asked) if asked.isascii() and asked.isdigit() else 0.0
        reason = str(error.reason).encode("utf-8", "replace")
        return Refused(error.code, self.shown(reason + b": " + said), seconds)


def _content(answer: Any, largest: int) -> bytes:
    encoding = (answer.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise BadAnswer("The answer is compressed, which was not asked for.")
    content: bytes = answer.read(largest + 1)
    if len(content) > largest:
        raise BadAnswer(f"The answer is larger than {largest:,} bytes.")
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return content


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    known = {"http": 80, "https": 443}
    return parts.scheme, (parts.hostname or "").lower(), parts.port or known.get(parts.scheme, 0)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _opener(url: str, lines: _Lines) -> urllib.request.OpenerDirector:
    """Return what opens URLs over HTTP alone, follows no redirect and tells of its connections.

    Proxies are those of the environment, but not for this machine: a proxy would get the key.
    """

    def told(connection: type[http.client.HTTPConnection]) -> Any:
        class Told(connection):  # type: ignore[valid-type, misc]
            def connect(self) -> None:
                super().connect()
                # The whole request is bounded, not a step of it: only one of the two could tell.
                self.sock.settimeout(None)
                lines.add(self.sock)

        return Told

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(told(http.client.HTTPConnection), request)

    class Secure(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(told(http.client.HTTPSConnection), request)

    direct = _is_loopback((urlsplit(url).hostname or "").lower())
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({} if direct else None),
        Plain(),
        Secure(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
