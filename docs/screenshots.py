"""Take the pictures of the README: start the demo on a database of its own and photograph its first pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "screenshots"
PAGES = {"home": "/", "question": "/q/1", "doctor": "/d/shenzhiwei", "doctors": "/doctors"}
WIDTHS = {"phone": 390, "desktop": 1280}
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
    """Write one picture per page and width."""
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        for width_name, width in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": 844 if width < 600 else 900})
            for name, path in PAGES.items():
                answer = page.goto(ADDRESS + path, wait_until="load")
                if answer is None or not answer.ok:
                    sys.exit(f"{path} answered {answer and answer.status}")
                page.screenshot(path=PICTURES / f"{name}-{width_name}.png")
                print(f"docs/screenshots/{name}-{width_name}.png")
        browser.close()


with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "PORT": PORT, "DATABASE_URL": f"sqlite:///{folder}/booking.db"}
    demo = subprocess.Popen([sys.executable, "wsgi.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait(demo)
        photograph()
    finally:
        demo.terminate()
        demo.wait(30)
