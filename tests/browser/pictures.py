"""Pictures of pages for the manual: taken in every run, kept in the repository only where that is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.browser.shrinking import shrink

WIDTH, HEIGHT = 1280, 924  # as high as the longest group of the sidebar, so that no heading of it is cut
LARGEST = 120_000
_IS_DRAWN = "document.readyState === 'complete' && document.fonts.status === 'loaded'"

_SHOW_THE_GROUP = """() => {
    const active = document.querySelector("#nav-sidebar a.active");
    active?.closest("ol")?.parentElement.scrollIntoView({ block: "nearest" });
}"""
_SHARP = "* { backdrop-filter: none !important; }"  # what is blurred needs a hundred thousand bytes more


@dataclass
class Camera:
    """Takes the pictures of one walk. `prefix` begins each name of a file.

    They go to `otherwise`, or to the folder that WRITE_SCREENSHOTS names, and then as small as they may be.
    """

    page: Page
    otherwise: Path
    prefix: str = ""

    def take(self, name: str, *, until: Locator | None = None, height: int = HEIGHT) -> None:
        """What a person sees now, at most `height` pixels, and nothing below `until`."""
        page, wanted = self.page, os.environ.get("WRITE_SCREENSHOTS")
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.wait_for_function(_IS_DRAWN)
        page.evaluate(_SHOW_THE_GROUP)
        box = until.bounding_box() if until else None
        if box:
            height = min(height, int(box["y"] + box["height"]) + 24)
        clip = {"x": 0.0, "y": 0.0, "width": float(WIDTH), "height": float(height)}
        picture = page.screenshot(clip=clip, animations="disabled", caret="hide", style=_SHARP)  # type: ignore[arg-type]
        folder = Path(__file__).parents[2] / wanted if wanted else self.otherwise
        picture = shrink(picture) if wanted else picture
        assert len(picture) < LARGEST or not wanted, f"{name} has {len(picture)} bytes"
        (folder / f"{self.prefix}{name}.png").write_bytes(picture)
