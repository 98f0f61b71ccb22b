"""`hnmine generate --endpoint` with servers that mean harm: real ones, on this machine."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import count, takewhile

import pytest
from conftest import content, rows, write
from held import HANG, wait_until

import hnmine as api
from hnmine import http_client, model_server
from hnmine.errors import InputError, MissingModel, PartialRun, UsageError

KEY = "sk-a-secret-that-nobody-shows"


def completion(text):
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


def answer(body, status="200 OK", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Server:
    """Sends raw bytes: whatever `say` yields for a request, until the client hangs up."""

    def __init__(self, say):
        self.say, self.asked, self.pieces = say, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # Else `accept` waits for ever.
        self.listener.close()

    def _serve(self):
        with suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection):
        with suppress(OSError, TypeError), connection, connection.makefile("rb") as request:
            lines = takewhile(lambda line: line.strip(), request)  # Until a blank line, or the end.
            head = b"".join(lines).decode()
            length = int(re.search(r"content-length: (\d+)", head, re.IGNORECASE)[1])
            self.asked.append((head, request.read(length)))
            for piece in self.say(head):
                connection.sendall(piece)
                self.pieces += 1


def dripping(piece, start=b""):
    """Say something without an end; slower and slower, so that no limit of size ends it."""

    def say(head):
        yield start
        for number in count(1):
            yield piece
            time.sleep(0.01 * number)

    return say


def saying(*pieces):
    return lambda head: pieces


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(model_server, "FIRST_WAIT", 0.001)
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THE_KEY", KEY)


@pytest.fixture
def ask(tmp_path):
    """Ask a server for a text; what it is told and what is written must not hold the key."""
    pairs = write(tmp_path / "pairs.parquet", query=["is the lamp on"], positive=["it is on"])

    def run(server, output="g", **more):
        settings = {"llm": "m", "per_positive": 1, "api_key_env": "THE_KEY", "timeout": float(HANG)}
        try:
            return api.generate(
                pairs=str(pairs), output=tmp_path / output, endpoint=server.url, **settings | more
            )
        except Exception as error:
            assert KEY not in repr(error) + str(error)
            assert str(error).replace("\n", "").isprintable()
            raise
        finally:
            for name, held in content(tmp_path).items():
                assert KEY.encode() not in held, name
            for file in tmp_path.rglob("run.json"):
                assert KEY not in file.read_text()

    run.texts = lambda: [row["text"] for row in rows(tmp_path / "g" / "generated.parquet")]
    return run


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["name", "port", "scheme", "//", "file", "nothing", "bad"])
def test_no_redirect_leads_to_another_server(ask, code, where):
    with Server(saying(answer(completion("stolen")))) as other:
        target = {
            "name": f"http://localhost:{other.port}/v1",
            "port": f"http://127.0.0.1:{other.port}/v1",
            "//": f"//127.0.0.1:{other.port}/v1",
            "scheme": "https://127.0.0.1:{port}/v1",
            "file": "file:///etc/hostname",
            "nothing": "",
            "bad": "http://[::1/\x1b[31m",
        }[where]
        server = Server(lambda head: [moved])
        moved = answer(b"", f"{code} Moved", f"Location: {target.format(port=server.port)}")
        with server, pytest.raises(InputError, match=rf"redirects( \({code}\)| more than)"):
            ask(server)
        assert other.asked == []
        assert len(server.asked) == (6 if where == "nothing" and code != 303 else 1)


def test_to_the_name_of_the_same_server_is_elsewhere_too(ask):
    server = Server(lambda head: [moved])
    moved = answer(b"", "307 Moved", f"Location: http://localhost:{server.port}/v1/chat")
    with server, pytest.raises(InputError, match=r"to http://localhost:.*nowhere else"):
        ask(server)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_within_a_server_a_redirect_repeats_the_request(ask, code):
    def say(head):
        if head.startswith("POST /v2/a%20b "):
            return [answer(completion("a text"))]
        return [answer(b"", f"{code} Moved", "Location: /v2/a b")]

    with Server(say) as server:
        ask(server)
    (_, first), (head, second) = server.asked
    assert first == second and f"Bearer {KEY}" in head
    assert ask.texts() == ["a text"]


@pytest.mark.parametrize(
    "say",
    [
        dripping(b" ", b"HTTP/1.1 200 OK\r\n\r\n"),
        dripping(b"1\r\n \r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        dripping(b"x", b"HTTP/1.1 200 OK\r\nX-Long: "),
        dripping(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"),
        dripping(b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(b"", b""),
        dripping(b" ", b"HTTP/1.1 500 Error\r\n\r\n"),
        dripping(b" ", b"HTTP/1.1 302 Moved\r\nLocation: "),
    ],
    ids=["body", "chunks", "header", "headers", "continue", "nothing", "error", "redirect"],
)
def test_the_timeout_bounds_the_whole_answer(ask, say):
    with Server(say) as server:
        attempts = rf"\({model_server.SLOW_ATTEMPTS} attempts\)"
        # The server would drip for ever.
        with pytest.raises(PartialRun, match=rf"within 0\.8 seconds\. {attempts}[\s\S]*timeout"):
            ask(server, timeout=0.8)
        assert len(server.asked) <= model_server.SLOW_ATTEMPTS
    # No connection is left open.
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.endswith("(work)")])


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 500 Error\r\n\r\n"])
def test_the_timeout_is_said_also_by_a_process_that_looks_late(ask, start, monkeypatch):
    """The socket had the same timeout, and told of it in other words if it came first."""
    look = http_client.wait
    monkeypatch.setattr(http_client, "wait", lambda futures, timeout: look(futures, 4 * timeout))
    monkeypatch.setattr(http_client, "LOOK_AGAIN", 9)
    with Server(dripping(b"", start)) as server:
        with pytest.raises(PartialRun, match=r"within 0\.2 seconds\. \(2 attempts\)"):
            ask(server, timeout=0.2)
        assert len(server.asked) <= model_server.SLOW_ATTEMPTS


HUGE = b"x" * (1 << 20)


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (saying(b"HTTP/1.1 200 OK\r\n\r\n", *[HUGE] * 64), "larger than"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", *[HUGE] * 64), "larger"),
        (saying(answer(gzip.compress(b"[" + b" " * 9999999 + b"]"), "200 OK",
                       "Content-Encoding: gzip")), "compressed"),
        (saying(answer(b"[" * 500_000 + b"]" * 500_000)), r"answered '\[\[\["),
        (saying(answer(b'{"choices": ' + b'{"a": ' * 99999 + b"1" + b"}" * 100_000)), "answered"),
        (saying(answer(b"\xff\xfe not JSON \x1b[31m")), "answered"),
        (saying(answer(b"")), "answered ''"),
        (saying(answer(KEY.encode())), r"answered '\*\*\*'"),
        (saying(answer(b'{"choices": "abc"}')), "answered"),
        (saying(answer(b'[{"choices": []}]')), "answered"),
        (saying(answer(b'{"choices": [{"message": null}]}')), "answered"),
        (saying(answer(b'{"choices": {"0": 1}}')), "answered"),
        (saying(answer(b"1" * 9999)), "answered"),
        *((saying(answer(completion(odd))), "answered") for odd in (0, 7, [], ["a"], {}, False)),
    ],
)  # fmt: skip
def test_what_is_no_completion_is_an_error_that_says_so(ask, say, message):
    with Server(say) as server, pytest.raises(InputError, match=message) as caught:
        ask(server)
    assert len(server.asked) == 1
    assert len(str(caught.value)) < 700


def test_half_a_character_becomes_the_sign_for_that(ask):
    with Server(
        saying(answer(rb'{"choices": [{"message": {"content": "a \ud800 b \ude00"}}]}'))
    ) as s:
        ask(s)
    assert ask.texts() == ["a � b �"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("401 No", MissingModel),
        ("404 No", UsageError),
        ("500 No", PartialRun),
        ("400 \x1b[2J", UsageError),
    ],
)
def test_what_a_server_says_of_an_error_is_cleaned_cut_and_without_the_key(ask, status, error):
    said = f"\x1b]0;title\x07 \x9b31m \u202e no {KEY} known ".encode() + b"x" * 9999
    asked = pytest.raises(error, match=r"no \*\*\* known x")
    with Server(saying(answer(said, status))) as server, asked as caught:
        ask(server)
    assert len(str(caught.value)) < 700


def test_what_is_not_even_http_is_cleaned_too(ask):
    other = saying(b"SSH-2.0 \x1b[31m\r\n\r\n")
    with Server(other) as server, pytest.raises(PartialRun, match=r"SSH-2\.0"):
        ask(server)


def test_an_answer_that_is_cut_off_is_asked_for_again(ask):
    whole = answer(completion("a text"))
    planned = [whole[:-5], b"", whole]
    with Server(lambda head: [planned.pop(0)]) as server:
        ask(server)
    assert len(server.asked) == 3


@pytest.mark.parametrize("asked", ["²", "-1", "9" * 999, "soon"])
def test_any_wish_to_wait_is_borne(ask, asked, monkeypatch):
    monkeypatch.setattr(model_server, "LONGEST_WAIT", 0.01)
    planned = [answer(b"", "429 Slow", f"Retry-After: {asked}"), answer(completion("a text"))]
    with Server(lambda head: [planned.pop(0)]) as server:
        ask(server)
    assert len(server.asked) == 2


@pytest.mark.parametrize("key", [f"{KEY}\nX: y", f"{KEY}€", f"{KEY}\x1b"])
def test_a_key_that_cannot_be_sent_is_not_shown(ask, monkeypatch, key):
    monkeypatch.setenv("THE_KEY", key)
    with Server(saying()) as server, pytest.raises(UsageError, match="API key contains characters"):
        ask(server)
    assert server.asked == []


def test_a_line_end_after_a_key_is_none_of_it(ask, monkeypatch):
    monkeypatch.setenv("THE_KEY", f"{KEY}\n")
    with Server(saying(answer(completion("a text")))) as server:
        ask(server)
    assert f"Bearer {KEY}\r\n" in server.asked[0][0]


def test_a_proxy_gets_nothing_that_is_for_this_machine(ask, monkeypatch):
    with Server(saying(answer(completion("from the proxy")))) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with Server(saying(answer(completion("a text")))) as server:
            ask(server)
        assert ask.texts() == ["a text"] and proxy.asked == []
        server.url = "http://a-server.invalid/v1"
        ask(server, "by-proxy")
        assert proxy.asked[0][0].startswith("POST http://a-server.invalid/v1/chat/completions ")


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{KEY}@localhost/v1",
        f"http://localhost/v1?key={KEY}",
        f"http://localhost/v1#{KEY}",
        "http://",
        "http:///v1",
        "http://localhost:x/v1",
        "http://[::1/v1",
        "http://local host/v1",
        "http://local\x1bhost/v1",
        f"http://{'a' * 64}.example/v1",
        "file:///etc/passwd",
    ],
)
def test_an_address_that_is_none_or_that_holds_a_secret_is_refused_unseen(tmp_path, url):
    with pytest.raises(UsageError, match=r"^endpoint: ") as caught:
        api.generate(pairs="p", endpoint=url, llm="m", output=tmp_path / "g")
    assert KEY not in str(caught.value)
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("say", [dripping(b" ", b"HTTP/1.1 200 OK\r\n\r\n"), dripping(b"X: y\r\n")])
def test_ctrl_c_does_not_wait_for_a_server(tmp_path, say):
    pairs = write(tmp_path / "p.parquet", query=["is the lamp on"], positive=["it is on"])
    with Server(say) as server:
        command = [sys.executable, "-m", "hnmine", "generate", "--pairs", str(pairs), "--llm", "m"]
        command += ["--endpoint", server.url, "--output", str(tmp_path / "g")]
        command += ["--timeout", str(10 * HANG)]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, env=os.environ | {"OPENAI_API_KEY": KEY}
        )
        wait_until(lambda: server.pieces > 3, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=HANG)
    assert process.returncode == 130, said
    assert KEY.encode() not in said
