"""A plugin for pytest (-p gpu.device_tests): only the tests that use a device under test.

After a fault of a kernel, CUDA refuses all further calls of the process, and every later test would
fail. Under pytest-xdist such a process ends, and a new one takes its place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    def uses_device(item: Any) -> bool:
        return not {"backend", "gpu"}.isdisjoint(item.fixturenames)

    config.hook.pytest_deselected(items=[item for item in items if not uses_device(item)])
    items[:] = filter(uses_device, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any) -> Iterator[None]:
    report = yield
    if report.failed and hasattr(item.config, "workerinput") and _device_is_lost():
        # pytest-xdist will only report which test ended the process.
        print(f"\n{item.nodeid} broke the device:\n{report.longreprtext}", file=sys.__stderr__)
        os._exit(1)
    return report


def _device_is_lost() -> bool:
    """Whether CUDA refuses all calls of this process."""
    cupy: Any = sys.modules.get("cupy")
    if cupy is None:
        return False
    try:
        cupy.cuda.runtime.deviceSynchronize()
    except cupy.cuda.runtime.CUDARuntimeError:
        return True
    return False
