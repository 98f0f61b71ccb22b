"""`hnmine models`: what can be used here."""

from __future__ import annotations

from hnmine.config import ModelsSettings
from hnmine.encode.installed import Installed, installed
from hnmine.errors import InputError


def models(settings: ModelsSettings) -> Installed:
    """List the models, devices, back ends and number formats of this machine.

    Raises:
        InputError: a folder is not there.
    """
    for folder in settings.folder:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.", fix="Check --folder.")
    return installed(settings.folder)
