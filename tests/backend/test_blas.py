"""What is said of a BLAS that makes less of the CPU than it could."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpucnn.backend.cpu import diagnosis
from gpucnn.backend.cpu.diagnosis import blas_problem

NEHALEM, AVX2, AVX512 = ["X86_V2"], ["X86_V2", "X86_V3"], ["X86_V3", "X86_V4", "AVX512_ICL"]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend to be a machine: its CPU's features, and the BLAS libraries that are loaded."""

    def pretend(features: list[str], *libraries: tuple[str, str], coretype: str = "") -> None:
        blas = [SimpleNamespace(internal_api=api, architecture=core) for api, core in libraries]
        simd = {"SIMD Extensions": {"baseline": features[:1], "found": features[1:]}}
        monkeypatch.setattr(diagnosis, "blas_libraries", lambda: blas)
        monkeypatch.setattr(np, "show_config", lambda mode: simd)
        monkeypatch.setenv("OPENBLAS_CORETYPE", coretype)

    return pretend


def test_the_user_chose_a_smaller_core(machine: Any) -> None:
    machine(AVX512, ("openblas", "Haswell"), coretype="Haswell")
    assert blas_problem() == (
        "OPENBLAS_CORETYPE=Haswell is set, but this CPU has AVX-512",
        "unset it, or set OPENBLAS_CORETYPE=SkylakeX, for up to twice the speed",
    )


def test_openblas_chose_a_smaller_core_itself(machine: Any) -> None:
    machine(AVX512, ("openblas", "Haswell"))
    problem = blas_problem()
    assert problem is not None
    assert "takes this CPU, which has AVX-512, for a Haswell" in problem.cause
    assert problem.fix.startswith("set OPENBLAS_CORETYPE=SkylakeX,")


def test_any_of_several_libraries(machine: Any) -> None:
    machine(AVX512, ("openblas", "SkylakeX"), ("openblas", "Zen"))
    problem = blas_problem()
    assert problem is not None
    assert "for a Zen" in problem.cause


@pytest.mark.parametrize("core", ["Nehalem", "Sandybridge"])
def test_a_cpu_with_avx2(machine: Any, core: str) -> None:
    machine(AVX2, ("openblas", core))
    problem = blas_problem()
    assert problem is not None
    assert "has AVX2" in problem.cause
    assert "OPENBLAS_CORETYPE=Haswell," in problem.fix


@pytest.mark.parametrize(
    ("features", "library"),
    [
        (AVX512, ("openblas", "SkylakeX")),
        (AVX512, ("openblas", "SapphireRapids")),
        (["AVX512_SKX", "AVX2"], ("openblas", "Cooperlake")),  # names of NumPy before 2.4
        (AVX2, ("openblas", "Zen")),
        (AVX2, ("openblas", "SkylakeX")),
        (NEHALEM, ("openblas", "Nehalem")),
        (["NEON", "ASIMD"], ("openblas", "neoversen1")),
        (AVX512, ("mkl", "Haswell")),
        (AVX512, ("openblas", "")),  # it does not say
    ],
)
def test_nothing_is_said_where_it_fits(
    machine: Any, features: list[str], library: tuple[str, str]
) -> None:
    machine(features, library)
    assert blas_problem() is None


def test_older_names_of_the_features(machine: Any) -> None:
    machine(["SSE2", "AVX2", "AVX512_SKX"], ("openblas", "Haswell"))
    assert blas_problem() is not None


def test_on_this_machine_it_does_not_raise() -> None:
    problem = blas_problem()
    assert problem is None or "OPENBLAS_CORETYPE" in problem.fix
