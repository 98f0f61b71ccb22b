"""Every setting, once: its name, type, default and help; from flags, a YAML file, or keywords."""

from __future__ import annotations

from hnmine.config.batch_settings import BatchSettings
from hnmine.config.build_index_settings import BuildIndexSettings
from hnmine.config.check_settings import (
    InitSettings,
    ModelsSettings,
    RecipesSettings,
    SkillSettings,
    ValidateSettings,
)
from hnmine.config.compare_settings import CompareSettings
from hnmine.config.export_settings import ExportSettings, PushSettings
from hnmine.config.filter_settings import FilterSettings
from hnmine.config.generate_settings import GenerateSettings, MixSettings
from hnmine.config.judge_settings import JudgeSettings
from hnmine.config.mine_settings import MineSettings
from hnmine.config.mined_settings import (
    AuditSettings,
    InspectSettings,
    ReportSettings,
    ReviewSettings,
)
from hnmine.config.shared import Backend, Dtype, ModelSettings, Pooling, Settings

__all__ = [
    "AuditSettings",
    "Backend",
    "BatchSettings",
    "BuildIndexSettings",
    "CompareSettings",
    "Dtype",
    "ExportSettings",
    "FilterSettings",
    "GenerateSettings",
    "InitSettings",
    "InspectSettings",
    "JudgeSettings",
    "MineSettings",
    "MixSettings",
    "ModelSettings",
    "ModelsSettings",
    "Pooling",
    "PushSettings",
    "RecipesSettings",
    "ReportSettings",
    "ReviewSettings",
    "Settings",
    "SkillSettings",
    "ValidateSettings",
]
