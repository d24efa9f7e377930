"""A real Chromium, the system's own, driven by Playwright."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright

from tests.browser import policy
from tests.browser.everything import something as something
from tests.servers.installed import HOW_TO_GET_CHROMIUM, chromium_binary

PATIENCE = 60_000
"""Milliseconds that a page has to become what a test expects: a busy machine is slow, and that is no defect."""


class ChromiumMissing(RuntimeError):
    pass


@pytest.fixture(scope="session", autouse=True)
def strict_policy() -> Iterator[None]:
    """Have every answer come under the strictest policy: the live server, made after this, reads MIDDLEWARE once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MIDDLEWARE", [policy.NAME, *settings.MIDDLEWARE])
        yield


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[[], Browser]]:
    """Start a Chromium: launch()."""
    program = chromium_binary()
    if program is None:
        if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
            raise ChromiumMissing(HOW_TO_GET_CHROMIUM)
        pytest.skip(HOW_TO_GET_CHROMIUM)  # at home alone: under CI the line above has raised
    arguments = ["--disable-dev-shm-usage"]  # which is small in many a container
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # The loop that Playwright leaves running in this thread is its own: Django sees it and refuses to work.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        expect.set_options(timeout=PATIENCE)
        yield lambda: playwright.chromium.launch(executable_path=program, args=arguments)


@pytest.fixture(scope="session")
def browsers(launch: Callable[[], Browser]) -> Iterator[list[Browser]]:
    """Those of the session; the last one is in use."""
    made: list[Browser] = []
    yield made
    for one in made:
        one.close()


@pytest.fixture
def browser(launch: Callable[[], Browser], browsers: list[Browser]) -> Browser:
    """One browser a session, and another when that has died: the test it died in fails, and not all that follow."""
    if not browsers or not browsers[-1].is_connected():
        browsers.append(launch())
    return browsers[-1]


@pytest.fixture
def context(browser: Browser, live_server: Any) -> Iterator[BrowserContext]:
    """A browser without a past; its addresses are relative to the live server. Without the others' cookies."""
    made = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 800})
    made.set_default_timeout(PATIENCE)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, live_server: Any) -> Iterator[Page]:
    """A page of it. The test fails with what its scripts raise, and with whatever it asks of other hosts."""
    made, wrong = context.new_page(), []
    made.on("pageerror", lambda error: wrong.append(f"a script raised: {error}"))
    made.on("console", lambda said: "Content Security Policy" in said.text and wrong.append(said.text))
    made.on("response", lambda answer: is_guarded(answer) or wrong.append(f"no policy on {answer.url}"))
    made.on("request", lambda asked: is_ours(asked.url, live_server.url) or wrong.append(f"asks {asked.url}"))
    yield made
    made.close()
    assert wrong == []


def is_guarded(answer: Response) -> bool:
    """Tell whether a page came under the policy, if it should."""
    is_page = answer.request.resource_type == "document"
    return not is_page or not policy.is_strict() or policy.HEADER.lower() in answer.headers


def is_ours(address: str, server: str) -> bool:
    return address.startswith((f"{server}/", "data:", "blob:", "about:"))


@pytest.fixture
def sign_in(context: BrowserContext, client: Any, live_server: Any) -> Callable[[User], None]:
    """Let a user in without the form: sign_in(user)."""

    def sign_in(user: User) -> None:
        client.force_login(user)
        cookie = client.cookies["sessionid"]
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])

    return sign_in
