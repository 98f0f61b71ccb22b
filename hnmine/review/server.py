"""The server of the review page.

It listens on the loopback address, and its path begins with a random token: no other machine, user
or web site can read the texts or give verdicts.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from math import isfinite
from threading import Lock, Thread

import numpy as np
import pyarrow as pa

from hnmine.errors import HnmineError, InputError
from hnmine.results import Json
from hnmine.sheets.machine_verdicts import disputed
from hnmine.sheets.sheet import Sheet

LOOPBACK = "127.0.0.1"
HOSTS = {LOOPBACK, "localhost"}
"""Host names that a browser may ask for; others would be DNS rebinding."""

LONGEST_BODY = 1 << 10
SLOWEST_SECONDS = 30
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
SHOWN = ("query_id", "doc_id", "drawn", "fate", "relevance", "margin")
"""Facts that the page shows on request only, as they may sway a verdict."""


class ReviewServer(ThreadingHTTPServer):
    """Serves the page of a sheet; each verdict is on disk before the answer.

    Attributes:
        notes: changes by others to the sheet.
    """

    def __init__(self, sheet: Sheet, port: int) -> None:
        """Listen on a port.

        Args:
            sheet: saved on disk.
            port: 0 for any free one.

        Raises:
            InputError: the port cannot be used.
        """
        self.sheet, self.lock = sheet, Lock()
        # What the machines disagree on comes first; a row keeps its position here from now on.
        sheet.table = sheet.table.take(pa.array(np.argsort(~disputed(sheet.table), kind="stable")))
        self.notes: list[str] = []
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"Cannot listen on port {port}.",
                why=str(error),
                fix="Leave --port out, or pass a free port from 1024 to 65535.",
            ) from error

    @property
    def url(self) -> str:
        """The URL of the page."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/{self.token}/"

    def until_done(self) -> None:
        """Serve until the page ends the review, or Ctrl-C; no verdict is half written then."""
        try:
            self.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            pass
        finally:
            self.lock.acquire()
            self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a browser that closed its connection; else print what Python prints."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def items(self) -> list[Json]:
        """Return the fields that the page shows of each row."""
        with self.lock:
            rows = self.sheet.table.to_pylist()
        return [
            {name: row.get(name) for name in ("query", "positive", "document", "verdict")}
            | {"facts": {name: row[name] for name in SHOWN if _known(row.get(name))}}
            for row in rows
        ]

    def judge(self, asked: Json) -> Json:
        """Save a verdict.

        Returns:
            `notes` on changes by others, and by row the `verdicts` that they changed.

        Raises:
            ValueError: the request is not a verdict.
            HnmineError: the file is not a sheet any more.
        """
        row, verdict = asked["row"], asked["verdict"]
        if type(row) is not int or not 0 <= row < self.sheet.table.num_rows:
            raise ValueError(f"The sheet has no row {row!r}.")
        if verdict not in (None, 0, 1) or isinstance(verdict, bool):
            raise ValueError(f"{verdict!r} is not a verdict (0, 1 or null).")
        with self.lock:
            before = self.sheet.verdicts
            notes = self.sheet.judge(row, verdict)
            after = self.sheet.verdicts[: len(before)]
        self.notes += notes
        changed = {n: new for n, new in enumerate(after) if new != before[n] and n != row}
        return {"notes": notes, "verdicts": changed}


def _known(value: object) -> bool:
    """Return whether a value can be shown; JSON has no NaN."""
    return value is not None and not (isinstance(value, float) and not isfinite(value))


class _Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    server: ReviewServer
    server_version, sys_version = "hnmine", ""
    timeout = SLOWEST_SECONDS

    def do_GET(self) -> None:
        place = self._place()
        if place == "":
            page = files("hnmine.review").joinpath("page.html").read_bytes()
            self._answer(HTTPStatus.OK, page, "text/html; charset=utf-8")
        elif place == "items.json":
            self._say(HTTPStatus.OK, self.server.items())
        elif place is not None:
            self._refuse(HTTPStatus.NOT_FOUND, "Not found.")

    def do_POST(self) -> None:
        place = self._place()
        if place is None:
            return
        if self.headers.get("Content-Type") != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON.")
        elif place == "verdict":
            self._verdict()
        elif place == "done":
            self._say(HTTPStatus.OK, {})
            Thread(target=self.server.shutdown, daemon=True).start()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "Not found.")

    def _verdict(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
            if not 0 <= length <= LONGEST_BODY:
                raise ValueError(f"A body of {length} bytes is not a verdict.")
            saved = self.server.judge(json.loads(self.rfile.read(length)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"Not a verdict: {error}")
        except (OSError, HnmineError) as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"Not saved: {error}")
        else:
            self._say(HTTPStatus.OK, saved)

    def _place(self) -> str | None:
        """Return the path below the token; None if the request was refused."""
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        token, _, place = self.path.removeprefix("/").partition("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        origin = self.headers.get("Origin")
        ours = {f"http://{name}:{self.server.server_address[1]}" for name in HOSTS}
        if host in HOSTS and known and (origin is None or origin in ours):
            return place
        self._refuse(HTTPStatus.NOT_FOUND, "Not found.")
        return None

    def _say(self, status: HTTPStatus, value: object) -> None:
        self._answer(status, json.dumps(value).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._say(status, {"error": why})

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the terminal is for the result."""
