"""In a browser: a slider redraws its picture in JupyterLab, and a report asks the network for nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the machine (Debian: apt-get install chromium)"),
]
CELL = """import labkit as lk
lk.explore(lambda ax, height: (ax.bar([0], [height]), ax.set_title(f"height {height}")), height=[1, 2, 3])"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a folder with one notebook that holds one widget; yields its address."""
    notebook = {
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}},
        "cells": [
            {"cell_type": "code", "id": "a", "metadata": {}, "source": CELL, "outputs": [], "execution_count": None}
        ],
    }  # fmt: skip
    (tmp_path / "widget.ipynb").write_text(json.dumps(notebook))
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = {
        name: str(tmp_path / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    environment = {**os.environ, **home, "LABKIT_HEADLESS": "0", "JUPYTER_PREFER_ENV_PATH": "1"}
    environment.pop("MPLBACKEND", None)  # the kernel chooses its own
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True", f"--notebook-dir={tmp_path}",
    ]  # fmt: skip
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):  # urlopen itself waits where nothing listens yet
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{address}/api", timeout=5).close()
                    break
                assert server.poll() is None, (tmp_path / "lab.log").read_text()[-2000:]
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(0.1)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def test_a_slider_redraws_the_picture_in_jupyterlab(browser, lab):
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(f"{lab}/lab/tree/widget.ipynb", timeout=60_000)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function(
        "() => { const p = window.jupyterapp?.shell?.currentWidget?.sessionContext; "
        "return p?.session?.kernel?.connectionStatus === 'connected'; }",
        timeout=60_000,
    )
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")  # not awaited: it may hang
    image = page.wait_for_selector(".jp-OutputArea-output img", timeout=90_000)
    before = image.get_attribute("src")
    handle = page.wait_for_selector(".noUi-handle", timeout=30_000)
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => [...document.querySelectorAll('.jp-OutputArea-output img')].some(i => i.src && i.src !== before)",
        arg=before,
        timeout=30_000,
    )
    assert "height" in page.inner_text(".widget-label, .jupyter-widgets.widget-label")
    page.close()


def test_a_report_opens_without_a_network(browser, tmp_path):
    command = [
        sys.executable,
        "-m",
        "labkit.cli",
        "run",
        "tour",
        "--profile",
        "smoke",
        "--out",
        str(tmp_path),
        "--workers",
        "1",
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    (report,) = tmp_path.glob("*/*/*/report.html")
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    for path in (report, tmp_path / "index.html", tmp_path / "ledger.html"):
        page.goto(path.as_uri())
    page.goto(report.as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.locator("img").count() >= 5 and page.locator("math").count() >= 3
    assert page.evaluate("() => [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    page.close()
