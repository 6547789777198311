"""What gpucnn is set beside: PyTorch, where it is installed.

Both compute in the same process, with the same number of threads, in full float32, from the same
weights; PyTorch may choose the fastest of cuDNN's kernels, and has the better of two layouts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn import nn
from gpucnn.backend.cpu.parallel import get_threads
from gpucnn.errors import DeviceError, MissingExtraError, UsageError, choose

if TYPE_CHECKING:
    from gpucnn.backend import Backend


class Torch:
    """PyTorch on the device of a backend.

    Args:
        backend: "cpu", or one on a GPU.

    Attributes:
        torch: the module.
        version: of it.
        device: PyTorch's name of the backend's device.

    Raises:
        MissingExtraError: it is not installed.
        DeviceError: it cannot use this GPU.
    """

    name = "torch"
    layouts = ("contiguous", "channels_last")  # how it may keep (N, C, H, W) in memory

    def __init__(self, backend: Backend) -> None:
        try:
            torch: Any = importlib.import_module("torch")
        except ImportError as error:
            raise MissingExtraError(
                "the baseline torch is not installed",
                cause=str(error),
                fix="python -m pip install torch, or leave out --baseline torch",
            ) from error
        self.torch = torch
        self.version = str(torch.__version__)
        self.device = backend.name if backend.name.startswith("cuda") else "cpu"
        if self.device != "cpu" and not torch.cuda.is_available():
            raise DeviceError(
                f"PyTorch {self.version} cannot use {self.device}",
                cause="it was built without CUDA" if torch.version.cuda is None else None,
                fix="install a PyTorch for this GPU, or leave out --baseline torch",
            )
        torch.set_num_threads(get_threads())
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False

    def order(self, layout: str) -> Any:
        """PyTorch's object for one of `layouts`."""
        orders = {
            "contiguous": self.torch.contiguous_format,
            "channels_last": self.torch.channels_last,
        }
        return choose(orders, layout, "layout")

    def array(self, array: Any, layout: str = "contiguous") -> Any:
        """A copy of a NumPy array on the device; a layout other than the first takes 4 axes."""
        tensor = self.torch.tensor(np.asarray(array), device=self.device)
        return tensor.contiguous(memory_format=self.order(layout))

    def network(self, model: nn.Sequential, layout: str = "contiguous") -> Any:
        """A `torch.nn.Sequential` of the same layers with copies of the weights.

        Args:
            model: built; of Conv2d, Dense, MaxPool2d, Flatten, Dropout and ReLU.

        Raises:
            UsageError: PyTorch's counterpart of a layer is not known here.
        """
        network = self.torch.nn.Sequential(*(part for layer in model for part in self._of(layer)))
        return network.to(self.device, memory_format=self.order(layout))

    def _of(self, layer: nn.Module) -> Iterable[Any]:
        torch = self.torch
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            F, C, KH, KW = layer.weight.shape
            yield self._with_weights(
                torch.nn.Conv2d(
                    C, F, (KH, KW), layer.stride, layer.padding, layer.dilation,
                    bias=layer.bias is not None,
                ),
                layer,
            )  # fmt: skip
        elif isinstance(layer, nn.Dense):
            has_bias = layer.bias is not None
            yield self._with_weights(torch.nn.Linear(*layer.weight.shape, bias=has_bias), layer)
        elif isinstance(layer, nn.MaxPool2d):
            yield torch.nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
        elif isinstance(layer, nn.Dropout):
            yield torch.nn.Dropout(layer.rate)
        elif isinstance(layer, nn.Flatten):
            yield torch.nn.Flatten()
        elif not isinstance(layer, nn.ReLU):
            raise UsageError(f"{layer.display_name} has no counterpart in the baseline torch")
        if getattr(layer, "activation", None) == "relu":
            yield torch.nn.ReLU(inplace=True)

    def _with_weights(self, theirs: Any, ours: nn.Conv2d | nn.Dense) -> Any:
        state = ours.state_dict()
        if isinstance(ours, nn.Dense):
            state["weight"] = np.ascontiguousarray(state["weight"].T)  # (in, out) -> (out, in)
        theirs.load_state_dict({key: self.torch.tensor(array) for key, array in state.items()})
        return theirs


def layouts(peer: Torch, model: nn.Sequential) -> tuple[str, ...]:
    """Those to try a baseline in: only a convolution sees the layout of its images."""
    convolves = any(isinstance(layer, nn.Conv2d) for layer in model)
    return peer.layouts if convolves else peer.layouts[:1]


_KNOWN: dict[str, Callable[[Backend], Torch]] = {"torch": Torch}


def installed() -> list[str]:
    """The names of the baselines that are here, found without importing them."""
    return [name for name in _KNOWN if importlib.util.find_spec(name) is not None]


def check(names: Iterable[str]) -> None:
    """Raise `UsageError` if no baseline has one of these names; it lists those that there are."""
    for name in names:
        choose(_KNOWN, name, "baseline")


def load(names: Iterable[str], backend: Backend) -> dict[str, Torch]:
    """The baselines of these names, ready on the device of a backend.

    Raises:
        UsageError: no baseline has this name; it lists those that there are.
        MissingExtraError: one is not installed.
        DeviceError: one cannot use the device.
    """
    return {name: choose(_KNOWN, name, "baseline")(backend) for name in names}
