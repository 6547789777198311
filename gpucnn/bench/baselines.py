"""PyTorch as a baseline, where it is installed.

Both compute in the same process, with the same number of threads, in full float32, from the same
weights. PyTorch may choose the fastest of cuDNN's kernels, and is timed in two layouts.
"""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn import nn
from gpucnn.backend.cpu.parallel import get_threads
from gpucnn.errors import DeviceError, MissingExtraError

if TYPE_CHECKING:
    from gpucnn.backend import Backend
    from gpucnn.data import Dataset

NAMES = ("torch",)
SCRIPT = Path(__file__).with_name("data") / "torch_train.py"


class Torch:
    """PyTorch on the device of a backend.

    Args:
        backend: "cpu", or one on a GPU.

    Attributes:
        torch: the module.
        device: PyTorch's name of the backend's device.

    Raises:
        MissingExtraError: it is not installed, or cannot be imported.
        DeviceError: it cannot compute on this GPU.
    """

    layouts = ("contiguous", "channels_last")  # of (N, C, H, W) in memory

    def __init__(self, backend: Backend) -> None:
        try:
            torch: Any = importlib.import_module("torch")
        except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
            missing = isinstance(error, ModuleNotFoundError)
            raise MissingExtraError(
                f"the baseline torch {'is not installed' if missing else 'cannot be imported'}",
                cause=str(error),
                fix="python -m pip install torch, or leave out --baseline torch",
            ) from error
        self.torch = torch
        self.device = backend.name if backend.name.startswith("cuda") else "cpu"
        if self.device != "cpu" and (problem := self._gpu_problem()):
            raise DeviceError(
                f"PyTorch {torch.__version__} cannot use {self.device}",
                cause=problem,
                fix="install a PyTorch for this GPU, or leave out --baseline torch",
            )
        torch.set_num_threads(get_threads())
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        self._script = runpy.run_path(str(SCRIPT))  # it imports PyTorch, and nothing of gpucnn
        self._orders = {
            "contiguous": torch.contiguous_format, "channels_last": torch.channels_last
        }  # fmt: skip

    def _gpu_problem(self) -> str | None:
        """Why PyTorch cannot compute on the GPU; None if it can."""
        torch = self.torch
        if torch.version.cuda is None:
            return "it was built without CUDA"
        if not torch.cuda.is_available():
            return "it finds no GPU and driver that it supports"
        try:  # it may lack kernels for this GPU, or cuDNN
            x = torch.ones(1, 1, 3, 3, device=self.device)
            torch.conv2d(x, x).item()
        except Exception as error:  # of any kind: an AssertionError was seen
            return str(error).strip().partition("\n")[0] or type(error).__name__
        return None

    def array(self, array: Any, layout: str = "contiguous") -> Any:
        """A copy of a NumPy array on the device; only four axes have another layout."""
        tensor = self.torch.tensor(np.asarray(array), device=self.device)
        return tensor.contiguous(memory_format=self._orders[layout]) if tensor.ndim == 4 else tensor

    def network(self, model: nn.Sequential, layout: str = "contiguous") -> Any:
        """PyTorch's network of the model's name, with copies of the model's weights."""
        network = self._script["network"](model.name)
        with self.torch.no_grad():
            for theirs, weight in zip(
                network.parameters(), model.state_dict().values(), strict=True
            ):
                # A dense weight is (in, out) here and (out, in) there.
                theirs.copy_(self.torch.tensor(weight.T.copy() if weight.ndim == 2 else weight))
        return network.to(self.device, memory_format=self._orders[layout])

    def training(self, model: nn.Sequential, data: Dataset, layout: str, **options: Any) -> Any:
        """PyTorch's training of a model from its weights: see `Training` in data/torch_train.py."""
        assert data.labels is not None
        return self._script["Training"](
            self.network(model, layout),
            self.array(data.images),
            self.array(data.labels.astype("int64")),
            order=self._orders[layout],
            **options,
        )


def installed() -> list[str]:
    """The names of the baselines that are installed, found without importing them."""
    return [name for name in NAMES if importlib.util.find_spec(name) is not None]
