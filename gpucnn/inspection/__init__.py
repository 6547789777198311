"""The health of a training: what is wrong with it, why, and what to type next.

`inspect` looks at a trained model or a running training, and `HealthMonitor` warns while `fit`
trains. Both make the same checks, which docs/inspect.md lists.
"""

from __future__ import annotations

from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.inspection.health import Health, LayerHealth
from gpucnn.inspection.inspecting import inspect
from gpucnn.inspection.monitor import HealthMonitor

__all__ = ["Finding", "Health", "HealthMonitor", "LayerHealth", "Threshold", "inspect"]
