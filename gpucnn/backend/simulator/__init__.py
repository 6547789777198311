"""The simulated device: the kernels of the CUDA backend, compiled by g++ and run on the CPU."""

from __future__ import annotations

from gpucnn.backend.simulator.arrays import DeviceArray, xp
from gpucnn.backend.simulator.launcher import ORDERS, SimulatorLauncher

__all__ = ["ORDERS", "DeviceArray", "SimulatorLauncher", "xp"]
