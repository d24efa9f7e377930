"""Makes the pictures of the guide, of a demo that runs: `python -m tests.browser.screenshots http://127.0.0.1:8000/demo/…/`.

The address is the link that the demo prints ("the jobs"). The pictures go to .venv-tests/output/screenshots/guide;
look at them, and copy those that you would be proud of to docs/_static/workbench.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Page, sync_playwright

from tests.browser.looks import FOLDER
from tests.servers.installed import chromium_binary

GUIDE = FOLDER / "guide"
PAGES = {
    "overview": "overview/",
    "runs": "run/",
    "run": "run/?q=status:completed+task:shop.charge_payment",
    "queues": "queue/",
    "flow": "flow/",
    "alerts": "alert/",
}
"""Of each picture, the list that it is of; of a single thing, the list whose first row leads to it."""
FIRST_ROW = {"run", "flow"}
SIZE = {"width": 1080, "height": 600}
CLOSED = "localStorage.setItem('django.admin.navSidebarIsOpen', 'false')"
"""Of the sidebar: the pictures are of the pages."""


def take(page: Page, name: str, theme: str, address: str) -> Path:
    """Take one picture."""
    page.goto(address)
    if name in FIRST_ROW:
        page.locator("[data-row] th a").first.click()
    page.wait_for_load_state("networkidle")
    path = GUIDE / f"{name}-{theme}.png"
    page.screenshot(path=path)
    return path


def main(link: str) -> None:
    """Take all of them, light and dark."""
    GUIDE.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium_binary(), args=arguments)
        first = browser.new_context(viewport=SIZE)
        first.new_page().goto(link)
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport=SIZE, color_scheme=theme, storage_state=first.storage_state()
            )
            context.add_init_script(CLOSED)
            page = context.new_page()
            for name, where in PAGES.items():
                path = take(page, name, theme, urljoin(link, f"/admin/openqueue/{where}"))
                sys.stdout.write(f"{path}\n")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
