"""What a package says of its repository, for a build that is to be published.

Without HNMINE_REPOSITORY a build names no address, and README keeps its relative links.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(\]\(|<img src=\")(?!https?:|#|mailto:)")
PICTURE = re.compile(r"(<img src=\"|!\[[^\]]*\]\()(?!https?:)")
PAGES = {"Documentation": "blob/main/docs", "Changelog": "blob/main/CHANGELOG.md"}


class CustomMetadataHook(MetadataHookInterface):
    """Adds `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the project's page for PyPI, with links that work there, and its addresses."""
        text = (Path(self.root) / "README.md").read_text("utf-8")
        if address := os.environ.get("HNMINE_REPOSITORY", "").rstrip("/"):
            text = PICTURE.sub(rf"\g<1>{address}/raw/main/", text)
            text = RELATIVE.sub(rf"\g<1>{address}/blob/main/", text)
            places = {name: f"{address}/{page}" for name, page in PAGES.items()}
            metadata["urls"] = {"Source": address, **places, "Issues": f"{address}/issues"}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
