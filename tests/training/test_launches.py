"""The kernels that a training step launches: ours, and those of expressions on whole arrays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from selection import slow_except

from gpucnn import backend as backends
from gpucnn import data, models, nn
from gpucnn.backend.simulator import arrays
from gpucnn.training import TrainConfig, Trainer

# Without astype, which is asked for what is there already, and then launches nothing.
METHODS = ["__array_ufunc__", "__setitem__", "copy", "fill", *arrays._METHODS.split()]
FUNCTIONS = (arrays._UFUNCS + arrays._FUNCTIONS).split()


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is launched on the simulator, by name: CuPy has a kernel for each array expression."""
    found: Counter[str] = Counter()

    def count(owner: Any, name: str, label: str = "") -> None:
        function = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            found[label or args[1]] += 1
            return function(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    for name in METHODS:
        count(arrays.DeviceArray, name, name)
    for name in FUNCTIONS:
        count(arrays.xp, name, name)
    count(backends.get("sim").launcher, "launch")  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize(
    "case",
    slow_except(
        [*((name, "adam") for name in models.NAMES), ("mlp", "sgd"), ("mlp", "rmsprop")],
        ("softmax", "adam"),
        ("mlp", "sgd"),
    ),
)
def test_few_launches_are_not_for_a_layer(
    digits: data.Splits, launched: Counter[str], case: tuple[str, str]
) -> None:
    """One begins the step, two gather the batch; one ends the step, one updates all parameters."""
    name, optimizer = case
    config = TrainConfig(model=name, device="sim", batch_size=4, optimizer=optimizer)
    trainer = Trainer(models.get(name, digits.classes), digits, config)
    for _ in range(2):  # the first makes what stays
        launched.clear()
        trainer.train_step()
    own = "begin_step", "gather", "gather_rows", "accumulate_metrics", f"{optimizer}_update"
    assert [launched.pop(name) for name in own] == [1] * len(own)
    dropouts = sum(isinstance(layer, nn.Dropout) for layer in trainer.model.modules())
    assert launched.pop("increment", 0) == dropouts  # they count their steps
    left = [label for label in launched if label in METHODS + FUNCTIONS]
    assert left == []
