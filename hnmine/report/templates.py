"""The templates of the pages, which show ids and names without control characters."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files

import jinja2
from markupsafe import Markup, escape

from hnmine.printable import one_line, without_credentials
from hnmine.report.terminal import number


def template(name: str) -> jinja2.Template:
    """Return a template of this folder; its values are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hnmine", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters |= {
        "number": number,
        "setting": _setting,
        "flags": _flags,
        "command": _command,
    }
    return environment.get_template(name)


def script(name: str) -> tuple[Markup, str]:
    """Return a script of this folder, and the source that a page's policy allows: its hash."""
    text = files("hnmine.report").joinpath(name).read_text("utf-8")
    hashed = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"'sha256-{hashed}'"


def _setting(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _flags(text: str) -> Markup:
    """Mark commands in backquotes as code, and flags as code that does not break across lines."""
    parts = re.split(r"`([^`]*)`", str(escape(text)))
    parts[::2] = (
        re.sub(r"(--[a-z-]+)", r'<code class="flag">\1</code>', words) for words in parts[::2]
    )
    parts[1::2] = (f"<code>{command}</code>" for command in parts[1::2])
    return Markup("".join(parts))


def _command(text: str) -> Markup:
    return Markup("\n").join(one_line(without_credentials(line)) for line in text.split("\n"))


def _shown(value: object) -> object:
    """Return a value fit for the page: ids and names hold no control or bidi characters."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
