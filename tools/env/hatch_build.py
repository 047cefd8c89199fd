"""Build hook: lets `mim` find the configs and tools of an editable install."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class MimEditableHook(BuildHookInterface):
    """Name the source folder in the metadata of an editable install.

    `mim` takes a package to lie beside its metadata, in ``site-packages``, and where it does not,
    joins that folder with the first line of ``top_level.txt``. In an editable install (PEP 660)
    the package lies elsewhere: an absolute path on that line leads `mim` to the sources, whose
    ``mmps/.mim`` holds links to the configs and tools as they are now, not to copies.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add ``top_level.txt`` to an editable wheel; a standard wheel is left as it is."""
        if version != 'editable':
            return
        self._folder = tempfile.TemporaryDirectory()
        top_level = Path(self._folder.name, 'top_level.txt')
        top_level.write_text(f'{Path(self.root, "mmps")}\nmmps\n', encoding='utf-8')
        metadata = self.metadata
        dist_info = f'{metadata.name.replace("-", "_")}-{metadata.version}.dist-info'
        # Replaces the copies of `force-include`, which is for standard wheels.
        build_data['force_include_editable'] = {str(top_level): f'{dist_info}/top_level.txt'}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary file once the wheel is written."""
        if version == 'editable':
            self._folder.cleanup()
