"""The contract that every backend keeps: the primitives, their shapes, dtypes and rules.

Each file has one family of primitives. A public method checks its arguments, so that an error reads
the same on every device, and calls the method of the same name with an underscore. A backend
(`cpu`, `numba`, `cuda`) implements that method in its file of the same name. `gpucnn.ops` has the
formulas, the arguments and the results of the primitives.

For all of them:

- activations are (N, C, H, W), convolution weights (F, C/groups, KH, KW), dense weights (in, out);
- float32, or float64 where the backend has it; one floating dtype a call, and the result has it;
- an empty batch (N = 0) is legal;
- inputs may have any strides; results are C-contiguous and share no memory with an input;
- results are deterministic: every output element has one owner, and a sum over the batch is taken
  in a fixed order that does not depend on the number of threads;
- inf and NaN propagate silently, as on a GPU (an infinity perhaps as a NaN): training looks for
  them.

`stride`, `dilation` and `kernel` are an int or (h, w); `padding` is an int, (h, w),
((top, bottom), (left, right)), "same" or "valid" (`gpucnn.shapes`). `activation` is None or "relu".
Shapes that do not fit raise `ShapeError`, dtypes that do not fit `DtypeError`.
"""

from __future__ import annotations

from gpucnn.backend.contract.activation import Activation
from gpucnn.backend.contract.arrays import Array, Arrays, Scalar
from gpucnn.backend.contract.checks import check_input
from gpucnn.backend.contract.convolution import Convolution, PoolArg
from gpucnn.backend.contract.dense import Dense
from gpucnn.backend.contract.dropout import Dropout
from gpucnn.backend.contract.gather import Gather
from gpucnn.backend.contract.loss import Loss, check_class_ids
from gpucnn.backend.contract.metrics import Metrics
from gpucnn.backend.contract.normalization import Normalization
from gpucnn.backend.contract.optimizers import Optimizers
from gpucnn.backend.contract.pooling import Pooling
from gpucnn.backend.contract.spelling import names_of_windows
from gpucnn.backend.contract.steps import Steps

__all__ = [
    "Activation",
    "Array",
    "Arrays",
    "Backend",
    "Convolution",
    "Dense",
    "Dropout",
    "Gather",
    "Loss",
    "Metrics",
    "Normalization",
    "Optimizers",
    "PoolArg",
    "Pooling",
    "Scalar",
    "Steps",
    "check_class_ids",
    "check_input",
    "names_of_windows",
]


class Backend(
    Convolution,
    Pooling,
    Dense,
    Activation,
    Loss,
    Normalization,
    Dropout,
    Gather,
    Steps,
    Metrics,
    Optimizers,
):
    """Primitives on one device. Get one with `gpucnn.backend.get` or `gpucnn.backend.of`."""

    def __repr__(self) -> str:
        return f"gpucnn.backend.get({self.name!r})"
