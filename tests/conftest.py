"""What all tests share: the public vectors, which tests begin, and the tests that CI must not skip.

`GROAT_REQUIRE=vectors,kernel` names kinds of tests that must run: one of them skipped is a
failure, and so is a run that had none.
"""

import os
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("groat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("groat")

VECTORS_DEFAULT = Path(__file__).parents[2] / "shared" / "vectors"
KINDS = ("vectors", "kernel", "browser", "netns", "clients")
"""Kinds of tests that need something not every machine has."""
FIRST = (
    "tests/gateway/test_matrix.py", "tests/bench/", "tests/wallet/test_cli.py", "tests/gateway/test_crashes.py",
    "tests/functional/test_devnet.py", "tests/browser/", "tests/functional/", "tests/gateway/", "tests/node/api/docs/",
    "tests/clients/", "tests/sim/",
)  # fmt: skip
"""The files that take longest, or begin so: workers that share the tests then end together. A devnet measures the
machine when it is made, so that it is not the first of all, when everything starts at once."""


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of public test vectors: GROAT_VECTORS, or ../shared/vectors beside the checkout."""
    folder = Path(os.environ.get("GROAT_VECTORS") or VECTORS_DEFAULT)
    if not folder.is_dir():
        pytest.skip(f"vectors: no folder {folder} (set GROAT_VECTORS)")
    return folder


def turn_of(nodeid: str) -> int:
    """The place in FIRST of a test's file; after all of them for the others."""
    return next((turn for turn, begin in enumerate(FIRST) if nodeid.startswith(begin)), len(FIRST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn_of(item.nodeid))


def kinds_of(nodeid: str, fixtures: Iterable[str]) -> set[str]:
    """Which of KINDS a test is: by its folder, or by the fixtures it asks for."""
    folders = {"kernel": "tests/oracle/", "browser": "tests/browser/", "clients": "tests/clients/"}
    return {kind for kind in KINDS if kind in fixtures or (kind in folders and nodeid.startswith(folders[kind]))}


class Required:
    """Turns skips of the required kinds into failures, and misses them when there are none."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self.kinds = set(kinds)
        self.passed: set[str] = set()

    def refuse_skip(self, report: pytest.TestReport | pytest.CollectReport, kinds: set[str]) -> None:
        """A report that says skipped says failed instead."""
        if report.skipped and (needed := self.kinds & kinds) and not hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"{', '.join(sorted(needed))} tests are required here (GROAT_REQUIRE): {report.longrepr}"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        kinds = kinds_of(item.nodeid, getattr(item, "fixturenames", ()))
        report.user_properties.extend(("kind", kind) for kind in sorted(kinds))
        self.refuse_skip(report, kinds)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        self.refuse_skip(report, kinds_of(collector.nodeid, ()))  # importorskip in a module
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """With xdist this sees the reports of all workers in the process that started them."""
        if report.when == "call" and report.passed:
            self.passed.update(str(kind) for key, kind in report.user_properties if key == "kind")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Nothing skipped because nothing was there is no success either."""
        worker = hasattr(session.config, "workerinput")
        if session.exitstatus == pytest.ExitCode.OK and not worker and self.kinds - self.passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if absent := sorted(self.kinds - self.passed):
            terminalreporter.write_line(f"required (GROAT_REQUIRE), but no such test passed: {', '.join(absent)}")


def pytest_configure(config: pytest.Config) -> None:
    kinds = list(filter(None, os.environ.get("GROAT_REQUIRE", "").split(",")))
    if unknown := set(kinds) - set(KINDS):
        raise pytest.UsageError(f"GROAT_REQUIRE: unknown kind {min(unknown)!r}; there are {', '.join(KINDS)}")
    if kinds:
        config.pluginmanager.register(Required(kinds), "groat-required")
