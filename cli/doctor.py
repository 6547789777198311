"""gpucnn doctor"""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from gpucnn import backend as backends
from gpucnn.backend.cache_directory import cache_folder, contents
from gpucnn.backend.cpu.diagnosis import blas_problem
from gpucnn.backend.cuda.diagnosis import cuda_facts, cuda_problems
from gpucnn.backend.numba.diagnosis import numba_problem
from gpucnn.backend.simulator.diagnosis import simulator_facts
from gpucnn.cli.output import Console, output_options
from gpucnn.data import sources, storage
from gpucnn.data.download import mirror
from gpucnn.errors import GpucnnError, UsageError
from gpucnn.training.environment import describe_environment

_EXTRAS = {
    "fast": "numba",
    "image": "PIL",
    "onnx": "onnx",
    "plot": "matplotlib",
    "serve": "starlette",
    "tensorboard": "tensorboardX",
}  # extra of pip -> the module it brings


@click.command()
@output_options
def command(console: Console) -> None:
    """Report on this machine: versions, devices, data sets, optional packages."""
    chosen, why = backends.choose()
    here = [blas_problem()]
    if importlib.util.find_spec("numba"):  # otherwise it is an extra that is not installed
        here.append(numba_problem())
    problems = {
        "cuda": list(cuda_problems()),
        "environment": [problem for problem in here if problem],
    }
    report: dict[str, Any] = {
        "environment": describe_environment(backends.get("cpu")),
        "devices": {device: _device(device) for device in ("cpu", "cuda", "sim")},
        "auto": {"device": chosen.name, "reason": why},
        "cuda": cuda_facts(),
        "sim": simulator_facts(),
        "data": {
            **{name: _data(name) for name in sources.SOURCES},
            **_mirror(),
            "pictures": _pictures(),
        },
        "extras": {name: _extra(name, module) for name, module in _EXTRAS.items()},
    }
    listed = [problem._asdict() for found in problems.values() for problem in found]
    console.event({"event": "end", **report, "problems": listed})
    for topic, found in report.items():
        console.result(f"{topic}:")
        for key, value in found.items():
            console.result(f"  {key}: {value}")
        for problem in problems.get(topic, []):
            console.result(f"  problem: {problem.cause}\n      fix: {problem.fix}")


def _device(name: str) -> str:
    try:
        backends.get(name)
    except GpucnnError as error:
        return _no(error)
    return "ok"


def _data(name: str) -> str:
    missing, folder = sources.missing(name), sources.path(name)
    return f"not in {folder}: gpucnn data fetch {name}" if missing else f"in {folder}"


def _pictures() -> str:
    folder = cache_folder(storage.FOLDER)
    return f"decoded ones are kept in {contents(folder)}; delete the folder to free the space"


def _mirror() -> dict[str, str]:
    """The place that downloads come from, if the environment says one."""
    try:
        url = mirror()
    except UsageError as error:
        return {"GPUCNN_MIRROR": _no(error)}
    return {"GPUCNN_MIRROR": url} if url else {}


def _no(error: GpucnnError) -> str:
    return "; ".join(part for part in ("no", error.cause, error.fix) if part)


def _extra(name: str, module: str) -> str:
    if importlib.util.find_spec(module) is None:
        return f'no; pip install "gpucnn[{name}]"'
    return "ok"
