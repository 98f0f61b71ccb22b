"""How a setting is declared: its help, its place in the help, and whether a plan holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

MANY = 2**31 - 1
"""The largest count of anything."""

Group = Literal[
    "Inputs", "Models", "Which are kept", "Which are chosen", "Output", "Scale-out", "Advanced"
]
GROUPS: tuple[Group, ...] = get_args(Group)
"""The headings of the help, in order."""

RETIRED = {
    "target_fn_rate": "Scores cannot bound the share of false negatives. Use --max-false, with "
    "judgements.",
    "calibrate_by": "It grouped the cuts of target-fn-rate, which is gone too. Use --max-false, "
    "with judgements.",
    "max_p_relevant": "Its estimate was no probability. Use --where 'relevance <= X', or "
    "--max-false with judgements.",
}
"""By name: why it is gone, and the successor. YAML files, flags and keywords all look here."""

RETIRED_COMMANDS = {"diff": "`hnmine compare` takes the same two directories, or more."}
"""By name: the successor. The command line, sections of YAML files and Python all look here."""


@dataclass(frozen=True)
class About:
    """What a setting's declaration says besides type, default and help.

    Attributes:
        group: its heading in the help.
        common: whether the first page of the help shows it.
        in_plan: whether the result depends on its value; the plan holds files by content instead.
        place: whether it is a path or another address.
        value: what the help shows for its value; by default its type.
    """

    group: Group
    common: bool = False
    in_plan: bool = True
    place: bool = False
    value: str = ""

    def __call__(self, schema: JsonDict) -> None:
        """Add the group to a JSON schema, as pydantic asks."""
        schema["group"] = self.group


def setting(
    group: Group,
    help: str,
    default: Any = ...,
    *,
    common: bool = False,
    in_plan: bool = True,
    value: str = "",
    **checks: Any,
) -> Any:
    """Declare a setting; without a default it is required.

    Args:
        group: its heading in the help.
        help: a phrase that makes sense without the name. It may end with "[default: …]" in words;
            where it doesn't, the help shows the default value.
        default: a value, or `list` or `dict` for an empty one.
        common: show it on the first page of the help.
        in_plan: whether the result depends on it.
        value: what the help shows for its value; by default its type.
        checks: of pydantic, such as `ge=0`.
    """
    declared = About(group, common, in_plan, value=value)
    checks["default_factory" if callable(default) else "default"] = default
    return Field(description=help, json_schema_extra=declared, **checks)


def path(
    help: str,
    default: Any = ...,
    *,
    group: Group = "Inputs",
    common: bool = False,
    value: str = "PATH",
) -> Any:
    """Declare a setting that is a path or another address."""
    declared = About(group, common, in_plan=False, place=True, value=value)
    kind = "default_factory" if callable(default) else "default"
    return Field(**{kind: default}, description=help, json_schema_extra=declared)


def seed(help: str) -> int:
    """Declare the seed of something drawn at random."""
    return setting("Advanced", help, 0, ge=0, le=MANY)


def about(field: FieldInfo) -> About:
    """Return what a declaration says about a setting."""
    extra = field.json_schema_extra
    assert isinstance(extra, About), field
    return extra


def flag_of(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{key_of(name)}"


def key_of(name: str) -> str:
    """Return the key of a setting in a YAML file."""
    return name.replace("_", "-")


def why_gone(name: str) -> str:
    """Return that a setting or a command was removed, and its successor; empty if none was."""
    reason = (RETIRED | RETIRED_COMMANDS).get(name.replace("-", "_"))
    return f"{key_of(name)}: removed. {reason}" if reason else ""
