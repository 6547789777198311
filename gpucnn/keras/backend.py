"""The settings that scripts ask of `keras.backend`; it has no functions of arrays.

if K.image_data_format() == "channels_first": ...  # this branch fits: images are (N, C, H, W)
"""

from __future__ import annotations

from gpucnn.errors import UsageError
from gpucnn.keras.spelling import channels_first
from gpucnn.spelling import explain_names

__all__ = [
    "clear_session", "epsilon", "floatx", "image_data_format", "image_dim_ordering",
    "set_floatx", "set_image_data_format", "set_image_dim_ordering",
]  # fmt: skip


def image_data_format() -> str:
    """ "channels_first": images are (N, C, H, W)."""
    return "channels_first"


def image_dim_ordering() -> str:
    """ "th", Keras 1's word for channels first: images are (N, C, H, W)."""
    return "th"


def set_image_data_format(data_format: str) -> None:
    """Take "channels_first"; another format is a `UsageError`."""
    channels_first(data_format)


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Take "th"; another order is a `UsageError`."""
    channels_first(dim_ordering)


def floatx() -> str:
    """ "float32": the type of all numbers."""
    return "float32"


def set_floatx(floatx: str) -> None:
    """Take "float32"; another type is a `UsageError`."""
    if floatx != "float32":
        raise UsageError(f"floatx is {floatx!r}", fix="leave it out: everything is float32")


def epsilon() -> float:
    """1e-7, by which Keras avoids a division by zero."""
    return 1e-7


def clear_session() -> None:
    """Without effect: no graph is kept from one model to the next."""


_FUNCTION = "use NumPy for arrays, and gpucnn.functions for Tensors"
explain_names(
    __name__,
    {
        "backend": "there is one: compile(device=) says where a model computes",
        "function": "model.observe(observer) shows what each layer gives",
        "get_session": "there is no session: leave it out",
        "get_value": "model.optimizer.learning_rate is a float: leave it out",
        "learning_phase": "model(x, training=False) computes as predict does",
        "set_learning_phase": "model(x, training=False) computes as predict does",
        "set_session": "there is no session: leave it out",
        "set_value": "write model.optimizer.learning_rate = 0.1",
        "tensorflow_backend": "there is none: leave it out",
        "theano_backend": "there is none: leave it out",
        **dict.fromkeys(
            (
                "abs", "argmax", "cast", "categorical_crossentropy", "clip", "concatenate",
                "constant", "dot", "eval", "exp", "expand_dims", "flatten", "gradients", "log",
                "max", "maximum", "mean", "min", "minimum", "ones", "permute_dimensions",
                "placeholder", "relu", "reshape", "sigmoid", "softmax", "sqrt", "square",
                "squeeze", "sum", "tanh", "transpose", "variable", "zeros",
            ),
            _FUNCTION,
        ),
    },
)  # fmt: skip
