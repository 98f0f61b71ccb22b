"""The commands of hnmine: one module, and one line here, for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hnmine.registry import Entry

if TYPE_CHECKING:
    from hnmine.commands.command import Command

COMMAND_GROUPS = {
    "Start": {
        "run": "Build the index, mine and filter in one go; sections of --config named generate, "
        "batch or mix add those steps.",
        "init": "Write a commented configuration for your input files.",
        "validate": "Check your inputs and estimate what a run needs, or list the available "
        "models.",
        "recipes": "List published ways of mining, or show the settings of one.",
    },
    "Steps": {
        "build-index": "Build the BM25 and dense index of a corpus.",
        "mine": "Mine candidates for every query from an index.",
        "filter": "Drop false negatives, choose hard negatives and write training data.",
        "export": "Write mined negatives in the format of another trainer; no model runs.",
        "push": "Upload a directory with a dataset card to the Hugging Face hub.",
    },
    "Look": {
        "report": "Report what was mined and dropped, doubtful negatives, judgements and "
        "shortcuts.",
        "inspect": "Show single queries with their positives, candidates, scores and verdicts.",
        "compare": "Compare mined directories in one table; of two, show every negative that "
        "changed.",
        "judge": "Let a model judge a sample of the negatives, and measure how often it is right.",
        "review": "Judge doubtful candidates by hand, on a local page or in a sheet that `filter` "
        "and `report` read.",
    },
    "More": {
        "batch": "Group training rows into batches with hard and safe in-batch negatives.",
        "generate": "Generate negatives: positives edited by rule, or texts of a language model.",
        "mix": "Mix the vectors of queries and hard negatives into synthetic negatives.",
        "skill": "Print instructions on hnmine for coding agents, or write them to a folder.",
    },
}
"""What each command does, by heading in the help and by name."""

_OLDER = {
    "models": "List the models, devices and precisions available on this machine.",
    "audit": "Count false negatives by judgements.",
}
_TARGETS = {"models": "validate:MODELS", "audit": "report:AUDIT"}
"""The module and the object of an older name."""

SUMMARIES = {
    name: text for part in (*COMMAND_GROUPS.values(), _OLDER) for name, text in part.items()
}
"""By name, in the order of `hnmine --help`; older names, which it leaves out, come last."""


class _Commands(Mapping[str, "Command"]):
    """All commands; each is imported once it is asked for, as `hnmine --help` asks for none."""

    def __getitem__(self, name: str) -> Command:
        if name not in SUMMARIES:
            raise KeyError(name)
        target = _TARGETS.get(name, f"{name.replace('-', '_')}:COMMAND")
        found: Command = Entry(SUMMARIES[name], f"{__name__}.{target}").load()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)


COMMANDS: Mapping[str, Command] = _Commands()
