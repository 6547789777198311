"""The simulator on the test kernels in kernels/, with a cache of compiled objects of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gpucnn.backend.cuda import nvrtc
from gpucnn.backend.simulator import SimulatorLauncher
from gpucnn.errors import DeviceError, MissingExtraError

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
        for name in ("GPUCNN_SIM_FROM", "GPUCNN_SIM_ORDER", "GPUCNN_SIM_SANITIZE"):
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
    """Makes a SimulatorLauncher that knows the test kernels; skips where it needs NVRTC."""
    launchers = {}

    def make(**options):
        key = tuple(sorted(options.items()))
        if key not in launchers:
            try:
                launchers[key] = SimulatorLauncher(**options)
            except MissingExtraError as error:
                pytest.skip(f"{error.message}: {error.fix}")
            for path in KERNELS.glob("*.cu"):
                launchers[key].add_source(path.stem, path.read_text())
        return launchers[key]

    return make


WAYS = {
    "assembly": {"portable": False},
    "ucontext": {"portable": True},
    "ptx": {"compiled_from": "ptx"},
}


@pytest.fixture(params=["assembly", "ucontext"])
def launcher(request, simulator):
    """A launcher in the default order, by each way of switching threads; some tests add PTX."""
    return simulator(**WAYS[request.param])


BY_HAND = """
.version 8.8
.target sm_80
.address_size 64
{variables}
.visible .entry by_hand({parameters})
{{
{body}
}}
"""


@pytest.fixture(scope="module")
def execute(simulator):
    """Runs instructions of PTX that are written by hand, in place of what NVRTC makes.

    Args:
        body: of the kernel.
        parameters: as a source declares them; the pointer x is x in the PTX, too.
        variables: of the module.
    """

    def run(body, parameters, *args, variables="", threads=32, shared=0, **options):
        launcher = simulator(compiled_from="ptx", **options)
        declared = (f".param .u64 {parameter.split('*')[1]}" for parameter in parameters.split(","))
        ptx = BY_HAND.format(body=body, parameters=", ".join(declared), variables=variables)
        source = f'extern "C" __global__ void by_hand({parameters}) {{}}\n/* PTX: {ptx} */'
        launcher.add_source("by_hand", source)
        launcher.launch("by_hand", "by_hand", 1, threads, *args, shared=shared)

    def ptx_of(source, *_):
        return nvrtc.Compiled(source.partition("/* PTX:")[2].removesuffix("*/\n"), "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nvrtc, "version", lambda: "none")
        patch.setattr(nvrtc, "compile", ptx_of)
        yield run


@pytest.fixture(scope="session")
def line_of() -> Callable[[str], str]:
    """ "kernels/faults.cu:12" for the line that is marked "// AT name"."""
    places = {}
    for path in KERNELS.glob("*.cu"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if mark := re.search(r"// AT (\w+)$", line):
                places[mark[1]] = f"kernels/{path.name}:{number}"
    return places.__getitem__
