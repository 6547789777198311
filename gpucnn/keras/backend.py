"""The settings that scripts ask of `keras.backend`; it has no functions of arrays.

A script that asks for the layout of images gets channels first, (N, C, H, W).
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
    """The layout of images, (N, C, H, W), in Keras's words: "channels_first"."""
    return "channels_first"


def image_dim_ordering() -> str:
    """The layout of images, (N, C, H, W), in Keras 1's words: "th"."""
    return "th"


def set_image_data_format(data_format: str) -> None:
    """Take "channels_first"; another format is a `UsageError`."""
    channels_first(data_format)


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Take "th"; another order is a `UsageError`."""
    channels_first(dim_ordering)


def floatx() -> str:
    """The type of all numbers: "float32"."""
    return "float32"


def set_floatx(floatx: str) -> None:
    """Take "float32"; another type is a `UsageError`."""
    if floatx != "float32":
        raise UsageError(f"floatx is {floatx!r}", fix="leave it out: everything is float32")


def epsilon() -> float:
    """The number by which Keras avoids a division by zero: 1e-7."""
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
                "abs", "all", "any", "argmax", "batch_dot", "binary_crossentropy", "cast",
                "categorical_crossentropy", "clip", "concatenate", "constant", "conv2d", "cumsum",
                "dot", "dropout", "elu", "equal", "eval", "exp", "expand_dims", "flatten",
                "gradients", "greater", "int_shape", "l2_normalize", "less", "log", "map_fn", "max",
                "maximum", "mean", "min", "minimum", "ndim", "not_equal", "one_hot", "ones",
                "ones_like", "permute_dimensions", "placeholder", "pool2d", "pow", "prod",
                "random_normal", "random_uniform", "relu", "repeat", "reshape", "round", "shape",
                "sigmoid", "sign", "softmax", "softplus", "sparse_categorical_crossentropy", "sqrt",
                "square", "squeeze", "stack", "std", "sum", "tanh", "tile", "transpose", "update",
                "var", "variable", "zeros", "zeros_like",
            ),
            _FUNCTION,
        ),
    },
)  # fmt: skip
