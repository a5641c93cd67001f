"""A started product with its demo, and real browsers in front of it: phone and desk, with and without script."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import servers

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1280, "height": 900}}
_phones = itertools.count(4001)


class Site:
    """The product as `python wsgi.py` serves it: web, worker and beat in one process, on SQLite, with the demo."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.address = f"http://127.0.0.1:{servers.free_port()}"
        self.environment = {
            **os.environ,
            "APP_ENV": "demo",
            "PORT": self.address.rpartition(":")[2],
            "DATABASE_URL": f"sqlite:///{folder / 'booking.db'}",
            "SECRET_KEY": "s" * 40,
            "FIELD_KEYS": "t1:" + "00" * 32,
            **settings,
        }
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "wsgi.py"],
            cwd=ROOT,
            env=self.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until = time.monotonic() + 180
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.address + "/readyz", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.3)
        self.stop()
        raise AssertionError("did not start: " + (folder / "log").read_text())

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The started product; one for all journeys."""
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    try:
        path = servers.chromium()
    except servers.NotHere as problem:
        pytest.skip(str(problem))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_browser(site: Site, chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a new browser window: `open_browser("phone", script=False)`; errors of its console fail the test."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_one(size: str = "phone", *, script: bool = True, **more: Any) -> Page:
        context = chromium.new_context(
            viewport=SIZES[size],
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            java_script_enabled=script,
            reduced_motion="reduce",  # no colour is measured halfway
            base_url=site.address,
            **more,
        )
        context.set_default_timeout(20000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        return page

    yield open_one
    for context in contexts:
        context.close()
    unexpected = [one for one in wrong if not re.search(r"status of (401|403|404|409|410|422|429)", one)]
    assert not unexpected, unexpected


def new_phone() -> str:
    """Return a phone number no other journey of this run uses."""
    return f"1380013{next(_phones)}"


def sign_in(page: Page, phone: str) -> None:
    """From the sign-in page: phone, then the code that the demo shows."""
    page.fill("input[name=phone]", phone)
    page.get_by_role("button", name="继续").click()
    code = re.search(r"\b(\d{6})\b", page.inner_text("main"))
    assert code, page.inner_text("main")
    page.fill("input[name=code]", code[1])
    page.locator("main form:has(input[name=code]) button").first.click()


def add_patient(page: Page, name: str) -> None:
    """Fill the form of a new patient without papers and give both consents."""
    choose(page, "relation", "self")
    page.fill("input[name=name]", name)
    choose(page, "id_type", "none")
    for part, value in (("year", "1950"), ("month", "3"), ("day", "9")):
        page.fill(f"input[name=birth_{part}]", value)
    page.get_by_label("女", exact=True).check()
    page.locator("input[name=consent_health]").check()
    page.locator("main form:has(input[name=name])").get_by_role("button", name="保存").click()


def choose(page: Page, name: str, value: str) -> None:
    """Choose by radio or by list, whichever the field is drawn as."""
    if page.locator(f"select[name={name}]").count():
        page.select_option(f"select[name={name}]", value)
    else:
        page.locator(f"input[name={name}][value={value}]").check()
