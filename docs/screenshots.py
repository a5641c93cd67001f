"""Take the pictures of the README: start the demo on a database of its own and photograph its first pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "screenshots"
PAGES = {"home": "/", "question": "/q/1", "doctor": "/d/shenzhiwei"}
STAFF = {"staff-week": "/staff/week", "staff-day": "/staff/day"}
WIDTHS = {"phone": 390, "desktop": 1280}
PATIENT, ADMINISTRATOR, PASSWORD = "13800130002", "fangzhiyuan@linlan-1", "qingwu-demo"
PORT = os.environ.get("PORT", "5099")
ADDRESS = f"http://127.0.0.1:{PORT}"


def wait(server: subprocess.Popen[bytes]) -> None:
    """Return when the demo answers; the first start loads it."""
    for _ in range(900):
        try:
            with urllib.request.urlopen(ADDRESS + "/readyz", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            if server.poll() is not None:
                sys.exit("the demo did not start")
            time.sleep(0.2)
    sys.exit("the demo did not answer within three minutes")


def photograph() -> None:
    """Write one picture per page and width: the first screen, as somebody meets it."""
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        for width_name, width in WIDTHS.items():
            size = {"width": width, "height": 844 if width < 600 else 900}
            page = browser.new_context(viewport=size, base_url=ADDRESS, reduced_motion="reduce").new_page()
            for name, path in PAGES.items():
                answer = page.goto(path, wait_until="load")
                if answer is None or not answer.ok:
                    sys.exit(f"{path} answered {answer and answer.status}")
                keep(page, f"{name}-{width_name}")
            if width_name == "phone":
                book(page)
            else:
                sign_in_staff(page)
                for name, path in STAFF.items():
                    page.goto(path, wait_until="load")
                    keep(page, f"{name}-{width_name}")
        browser.close()


def keep(page: Page, name: str) -> None:
    page.screenshot(path=PICTURES / f"{name}.png")
    print(f"docs/screenshots/{name}.png")


def book(page: Page) -> None:
    """Book as a returning patient does, with a picture of the confirm page and of the success page."""
    page.goto("/login")
    page.fill("input[name=phone]", PATIENT)
    page.get_by_role("button", name="继续").click()
    code = re.search(r"\b(\d{6})\b", page.inner_text("main"))
    page.fill("input[name=code]", code[1] if code else "")
    page.locator("main form:has(input[name=code]) button").first.click()
    page.goto("/q/1")
    page.locator("form[action='/hold'] button", has_text=re.compile(r"\d\d:\d\d")).first.click()
    keep(page, "confirm-phone")
    page.get_by_role("button", name="确认预约").click()
    keep(page, "booked-phone")


def sign_in_staff(page: Page) -> None:
    page.goto("/staff/login")
    page.fill("input[name=username]", ADMINISTRATOR)
    page.fill("input[name=password]", PASSWORD)
    page.locator("main form button").first.click()
    page.wait_for_selector(".main-nav")


with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "PORT": PORT, "DATABASE_URL": f"sqlite:///{folder}/booking.db"}
    demo = subprocess.Popen([sys.executable, "wsgi.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait(demo)
        photograph()
    finally:
        demo.terminate()
        demo.wait(30)
