"""A browser, and one real Airflow with the emulator behind it, for all browser tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from dev.stack.airflow import AirflowStack
from dev.stack.emulator import EmulatorProgram

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-proxy-server"]
BUILD_SECONDS = 30.0
#: Of builds that ended before the tests, for the chart.
EARLIER = (22.0, 27.0, 24.0, 31.0, 23.0, 28.0, 21.0)
#: No picture may be larger, because each is part of the repository.
MOST_BYTES = 150_000


@pytest.fixture(scope="session")
def metakraftwerk_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProgram]:
    """An emulator with a few builds that have ended."""
    program = EmulatorProgram(tmp_path_factory.mktemp("metakraftwerk"), build_seconds=BUILD_SECONDS)
    try:
        program.start()
        for seconds in EARLIER:
            program.control.set(build_seconds=seconds)
            program.control.start_build()
        program.control.set(build_seconds=BUILD_SECONDS)
        yield program
    finally:
        program.stop()


@pytest.fixture(scope="session")
def airflow(metakraftwerk_program: EmulatorProgram, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    """A real Airflow without any connection: the first test makes it."""
    dags = tmp_path_factory.mktemp("dags")
    for name in ("four_tasks.py", "promotion.py"):
        shutil.copy(ROOT / "example_dags" / name, dags)
    with AirflowStack(
        tmp_path_factory.mktemp("airflow"),
        dags=dags,
        cache=ROOT / ".demo" / "cache",
        environment={"METAKRAFTWERK_RESULTS": str(tmp_path_factory.mktemp("results"))},
    ) as stack:
        yield stack


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-ui installs it")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, airflow: AirflowStack) -> Iterator[Any]:
    """A tab of the browser whose user has logged in. The test fails if a script of ours does."""
    with requests.Session() as session:
        session.trust_env = False
        login = {"username": airflow.user, "password": airflow.password}
        token = session.post(f"{airflow.url}/auth/token", json=login, timeout=60).json()["access_token"]
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=f"{airflow.url}/")
    context.set_default_timeout(60_000)
    context.add_cookies([{"name": "_token", "value": token, "url": airflow.url}])
    context.add_init_script("localStorage.setItem('theme', localStorage.getItem('theme') || 'light')")
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    context.close()
    assert [problem for problem in problems if "metakraftwerk" in problem or "Content Security" in problem] == []


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., None]:
    """Take a picture of something; ``make pictures`` keeps it for the docs."""
    folder = Path(os.environ.get("METAKRAFTWERK_PICTURES") or tmp_path)

    def take(name: str, shown: Any, **options: Any) -> None:
        content = shown.screenshot(animations="disabled", **options)
        assert len(content) < MOST_BYTES, f"{name} is too large"
        (folder / f"{name}.png").write_bytes(content)

    return take
