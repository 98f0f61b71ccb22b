"""The templates of the pages, which show ids and names without control characters."""

from __future__ import annotations

import json
import re

import jinja2
from markupsafe import Markup, escape

from hnmine.printable import one_line
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
    }
    return environment.get_template(name)


def _setting(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _flags(text: str) -> Markup:
    """Mark flags in a text as code that does not break across lines."""
    return Markup(re.sub(r"(--[a-z-]+)", r'<code class="flag">\1</code>', str(escape(text))))


def _shown(value: object) -> object:
    """Return a value fit for the page: ids and names hold no control or bidi characters."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
