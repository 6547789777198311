"""The simulator on the test kernels in kernels/, with a cache of compiled objects of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gpucnn.backend.simulator import SimulatorLauncher
from gpucnn.errors import DeviceError

KERNELS = Path(__file__).parent / "kernels"


@pytest.fixture(scope="session")
def object_cache(tmp_path_factory) -> Path:
    """Where this session's compiled kernels are kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def settings(object_cache):
    """The environment, which other tests get back as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUCNN_CACHE_DIR", str(object_cache))
        for name in ("GPUCNN_SIM_ORDER", "GPUCNN_SIM_SANITIZE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def compiler(settings) -> None:
    """Skips where no kernel can be compiled."""
    try:
        SimulatorLauncher()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def simulator(compiler) -> Callable:
    """Makes a SimulatorLauncher that knows the test kernels."""
    launchers = {}

    def make(**options):
        key = tuple(sorted(options.items()))
        if key not in launchers:
            launchers[key] = SimulatorLauncher(**options)
            for path in KERNELS.glob("*.cu"):
                launchers[key].add_source(path.stem, path.read_text())
        return launchers[key]

    return make


@pytest.fixture(params=[False, True], ids=["assembly", "ucontext"])
def launcher(request, simulator):
    """A launcher in the default order, by each way of switching threads."""
    return simulator(portable=request.param)


@pytest.fixture(scope="session")
def line_of() -> Callable[[str], str]:
    """ "kernels/faults.cu:12" for the line that is marked "// AT name"."""
    places = {}
    for path in KERNELS.glob("*.cu"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if mark := re.search(r"// AT (\w+)$", line):
                places[mark[1]] = f"kernels/{path.name}:{number}"
    return places.__getitem__
