"""Every setting, once: its name, type, default and help; from flags, a YAML file, or keywords."""

from __future__ import annotations

from hnmine.config.base import Backend, Dtype, ModelSettings, Pooling, Settings
from hnmine.config.batch import BatchSettings
from hnmine.config.build_index import BuildIndexSettings
from hnmine.config.checks import AuditSettings, ValidateSettings
from hnmine.config.export import ExportSettings, PushSettings
from hnmine.config.filter import FilterSettings
from hnmine.config.generate import GenerateSettings, MixSettings
from hnmine.config.look import DiffSettings, InspectSettings, ReportSettings
from hnmine.config.mine import MineSettings
from hnmine.config.review import ReviewSettings
from hnmine.config.start import InitSettings, ModelsSettings

__all__ = [
    "COMMANDS",
    "PLACES",
    "STAGES",
    "AuditSettings",
    "Backend",
    "BatchSettings",
    "BuildIndexSettings",
    "DiffSettings",
    "Dtype",
    "ExportSettings",
    "FilterSettings",
    "GenerateSettings",
    "InitSettings",
    "InspectSettings",
    "MineSettings",
    "MixSettings",
    "ModelSettings",
    "ModelsSettings",
    "Pooling",
    "PushSettings",
    "ReportSettings",
    "ReviewSettings",
    "Settings",
    "ValidateSettings",
]

STAGES: dict[str, type[Settings]] = {
    "build-index": BuildIndexSettings,
    "mine": MineSettings,
    "filter": FilterSettings,
}
"""The commands that `hnmine run` runs, in their order."""

COMMANDS: dict[str, type[Settings]] = {
    **STAGES,
    "batch": BatchSettings,
    "export": ExportSettings,
    "push": PushSettings,
    "generate": GenerateSettings,
    "mix": MixSettings,
    "validate": ValidateSettings,
    "audit": AuditSettings,
    "report": ReportSettings,
    "inspect": InspectSettings,
    "diff": DiffSettings,
    "review": ReviewSettings,
    "models": ModelsSettings,
    "init": InitSettings,
}
PLACES = {"index", "candidates", "output"}
"""Directories of a single command; in a file, all are derived from its `output`."""
