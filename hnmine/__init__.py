"""Mine hard negatives for training dense retrievers: a function for each command of `hnmine`.

Each takes the settings of its command as keywords and returns what the command prints. Tables and
models may be in memory. `mine_hard_negatives` has the signature of sentence-transformers' function.
Importing this module imports nothing else; `__init__.pyi` has the signatures.
"""

from __future__ import annotations

import sys
from types import ModuleType

if sys.platform == "win32":
    raise ImportError(
        "hnmine runs on Linux and macOS, and on Windows within the Windows Subsystem for Linux."
    )

__version__ = "0.1.0"
__all__ = [
    "audit",
    "batch",
    "build_index",
    "compare",
    "export",
    "filter_negatives",
    "generate",
    "init",
    "inspect",
    "judge",
    "mine",
    "mine_hard_negatives",
    "mix",
    "models",
    "push",
    "recipes",
    "report",
    "review",
    "run",
    "skill",
    "validate",
]

OLDER = ("filter", "diff")
"""The first warns; the second is an error that names its successor."""


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Importing the folder `hnmine.report` must not hide the function of that name.
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    if name not in (*__all__, *OLDER):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "mine_hard_negatives":
        from hnmine.drop_in.hard_negatives import mine_hard_negatives

        return mine_hard_negatives
    from hnmine.python_api import function

    globals()[name] = found = function(name)
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
