"""What every test may count on."""

import logging
import os
import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

# A shell without job control starts what it puts in the background with SIGINT ignored, and so would be every process
# that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about what else the machine does than about what is tested; a hang is found by
# pytest-timeout.
settings.register_profile("lumilter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lumilter")


@pytest.fixture(autouse=True)
def process_state() -> Iterator[None]:
    """What runs in this process, such as `lumilter serve` that fails to start, must not leave its settings behind.

    Ignored signals would be ignored by processes that later tests start, and logs would go elsewhere.
    """
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    root = logging.getLogger()
    level, handlers = root.level, [*root.handlers]
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    root.setLevel(level)
    root.handlers[:] = handlers


MAY_SKIP = (
    "PR_SET_MDWE takes Linux",
    "no container starts here",
    "this machine has no",
    "this libpcre2 has no JIT",
)
"""What a CI machine may lack: kernel and container are not ours. Everything else is installed by scripts/setup."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI a test that is skipped for want of something has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and isinstance(report.longrepr, tuple):
        why = report.longrepr[2]
        if not any(reason in why for reason in MAY_SKIP):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped on CI: {why}"
    return report
