"""Settings from a YAML file, which anybody may have written: small, flat and without repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hnmine.commands import COMMANDS
from hnmine.errors import LONGEST_WHY, UsageError
from hnmine.runner.plan import Json

if TYPE_CHECKING:
    import yaml

MOST_BYTES = 1_000_000
MOST_VALUES = 5_000
DEEPEST = 20
"""Far more than any configuration needs."""


def read_yaml(path: Path) -> Json:
    """Read settings from a YAML file: one key for each flag, without its leading dashes.

    Raises:
        UsageError: the file is missing or too large, or isn't a mapping.
    """
    import yaml

    try:
        with path.open("rb") as file:
            written = file.read(MOST_BYTES + 1)
        if len(written) > MOST_BYTES:
            raise _too_large(path, f"{MOST_BYTES:,} bytes")
        text = written.decode("utf-8")
    except (OSError, ValueError) as error:
        why = f"{getattr(error, 'strerror', None) or error}."
        raise UsageError(f"Cannot read {path}.", why=why, fix="Check the path.") from error
    try:
        if excess := _excess(yaml.parse(text, Loader=yaml.SafeLoader)):
            raise _too_large(path, excess)
        values = yaml.load(text, Loader=_loader())
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{path} is not valid YAML.",
            why=str(error).replace('"<unicode string>"', path.name)[:LONGEST_WHY],
            fix="Correct the file there.",
        ) from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(
            f"{path} holds no settings.",
            fix="Write one `key: value` for each option, such as `top-k: 50`.",
        )
    # A section whose lines are all commented out is empty, and YAML reads it as null.
    return {
        key: {} if value is None and key in COMMANDS else value for key, value in values.items()
    }


def _too_large(path: Path, limit: str) -> UsageError:
    return UsageError(
        f"{path} isn't a configuration: it holds more than {limit}.",
        fix="Pass the file with the settings, one `key: value` for each option.",
    )


def _excess(events: Iterator[yaml.Event]) -> str:
    """Return the limit that a file exceeds once its aliases are expanded; else nothing.

    Args:
        events: of YAML's parser, which reads the file lazily.
    """
    import yaml

    sizes = [0]
    anchors: list[str | None] = []
    known: dict[str, int] = {}
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            size = sizes.pop()
            sizes[-1] += size
            if anchor := anchors.pop():
                known[anchor] = size
        elif isinstance(event, yaml.ScalarEvent):
            sizes[-1] += 1
            if event.anchor:
                known[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            endless = name in anchors  # It is within itself.
            sizes[-1] += MOST_VALUES if endless else known.get(name, 1)
        if sum(sizes) > MOST_VALUES:
            return f"{MOST_VALUES:,} keys and values"
        if len(sizes) > DEEPEST:
            return f"{DEEPEST} levels"
    return ""


def _loader() -> type[yaml.SafeLoader]:
    """Return YAML's safe loader, made to refuse repeated keys: the last would win silently."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(
            self, node: yaml.MappingNode, deep: bool = False
        ) -> dict[Hashable, object]:
            keys = (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            for key, count in Counter(keys).items():
                if count > 1:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} is repeated", node.start_mark
                    )
            return super().construct_mapping(node, deep)

    return Loader
