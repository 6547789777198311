"""Names of TensorFlow, Keras and PyTorch, and what to write here: at the top, and in `optim`."""

from __future__ import annotations

_OPTIMIZER = "optimizer = gpucnn.optim.SGD(parameters, 0.5); loss.backward(); optimizer.step()"
_GRADIENT = "call loss.backward(), then read w.grad"
_RANDOM = 'use numpy.random, or gpucnn.random.{}(shape, seed, "w", std=0.1)'

#: Why a name is not there -> the names -> what to write.
_GROUPS: dict[str, dict[str, str]] = {
    "two classes have this name": {
        "Sequential": "write gpucnn.keras.Sequential, which has compile and fit, or"
        " gpucnn.nn.Sequential, which is the structure alone",
    },
    "each line is computed when it is reached; no graph is made first and run later": {
        "placeholder": "write a function of the input: def net(x): return x @ w + b",
        **dict.fromkeys(
            ("Session", "InteractiveSession"),
            "leave it out: print(c) shows the value, c.numpy() is the array",
        ),
        **dict.fromkeys(
            ("global_variables_initializer", "initialize_all_variables"),
            "leave it out: a Tensor has its values from the start",
        ),
        **dict.fromkeys(
            ("reset_default_graph", "get_default_graph", "control_dependencies", "group"),
            "leave it out",
        ),
        **dict.fromkeys(("name_scope", "variable_scope"), "leave it out: Tensor has a name="),
        **dict.fromkeys(
            ("enable_eager_execution", "disable_eager_execution", "disable_v2_behavior"),
            "leave it out",
        ),
        **dict.fromkeys(("ConfigProto", "GPUOptions"), "leave it out: there is no session"),
        "assign": "write w -= 0.1 * w.grad inside `with no_grad():`",
        "function": "leave it out",
        **dict.fromkeys(("cond", "while_loop"), "use if and while of Python"),
    },
    "each computation on a Tensor that requires a gradient is recorded": {
        "GradientTape": _GRADIENT,
        "gradients": _GRADIENT,
    },
    "one class, Tensor, holds all values": {
        "Variable": "write w = Tensor(array, requires_grad=True)",
        "get_variable": "write w = Tensor(array, requires_grad=True)",
        "constant": "write Tensor([1.0, 2.0]), or use the number or NumPy array itself",
        "convert_to_tensor": "write Tensor(array)",
        "tensor": "write Tensor([1.0, 2.0])",
        "from_numpy": "write Tensor(array)",
        **dict.fromkeys(
            ("zeros", "ones", "eye", "fill", "range", "linspace", "arange"),
            "make the array with NumPy: Tensor(numpy.zeros((2, 3), numpy.float32))",
        ),
        **dict.fromkeys(
            ("float32", "float64", "int32", "int64", "uint8"), "use the types of NumPy"
        ),
        "cast": "convert the array first: array.astype(numpy.float32)",
        "truncated_normal": _RANDOM.format("truncated_normal"),
        **dict.fromkeys(("random_normal", "randn"), _RANDOM.format("normal")),
        "random_uniform": 'use numpy.random, or gpucnn.random.uniform(shape, seed, "w")',
        **dict.fromkeys(
            ("set_random_seed", "manual_seed"),
            "write gpucnn.keras.utils.set_random_seed(1) for models of gpucnn.keras, or"
            " build(seed=1) of a Module",
        ),
        "device": 'write build(..., device="cuda") or compile(device="cuda") for a model',
        "cuda": 'use gpucnn.backend.get("cuda"), or device="cuda" of a model',
    },
    "the functions are in gpucnn.functions": {
        "matmul": "write a @ b, or gpucnn.functions.matmul(a, b)",
        **{
            theirs: f"write a {sign} b"
            for theirs, sign in {
                "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "equal": "==",
                "greater": ">", "less": "<",
            }.items()
        },
        "negative": "write -a",
        "pow": "write a ** 2",
        "square": "write a * a",
        **{
            f"reduce_{ours}": f"write a.{ours}(), or a.{ours}(axis=0) for one axis"
            for ours in ("sum", "mean", "max", "min")
        },
        "argmax": "write a.argmax(axis=1)",
        "one_hot": "use gpucnn.data.one_hot(ids, classes)",
        **{
            name: f"use gpucnn.functions.{name}"
            for name in (
                "abs", "concat", "cos", "exp", "log", "max", "maximum", "mean", "min", "minimum",
                "relu", "reshape", "sigmoid", "sin", "softmax", "sqrt", "stack", "sum", "tanh",
                "transpose",
            )
        },
    },
    "it is in a module of another name": {
        "train": f"the optimizers are in gpucnn.optim: {_OPTIMIZER}",
        "layers": "use gpucnn.keras.layers, or gpucnn.nn",
        "losses": "use gpucnn.keras.losses, or gpucnn.functions",
        "math": "use gpucnn.functions",
        "utils": "use gpucnn.keras.utils; gpucnn.data.Loader gives batches",
        "save": "use model.save of gpucnn.keras, or state_dict() of a Module",
        "load": "use gpucnn.keras.load_model, or load_state_dict of a Module",
        "logging": "leave it out",
        "compat": "leave it out: tf.compat.v1.name is tf.name",
        **dict.fromkeys(
            ("config", "test"), "leave it out: the command gpucnn doctor reports the devices"
        ),
        "contrib": "use gpucnn.keras, or gpucnn.nn",
    },
}  # fmt: skip

#: Name -> what to write.
NAMES = {name: fix for names in _GROUPS.values() for name, fix in names.items()}
#: Name -> why it is not there.
CAUSES = {name: cause for cause, names in _GROUPS.items() for name in names}

#: Optimizers of other libraries, and functions beside them.
OPTIMIZERS = {
    **dict.fromkeys(
        ("Adadelta", "Adagrad", "Adamax", "ASGD", "Ftrl", "LBFGS", "Nadam", "NAdam"),
        "choose one of SGD, RMSprop, Adam, AdamW",
    ),
    "RMSProp": "use RMSprop",
    "GradientDescentOptimizer": "use SGD(parameters, 0.5), loss.backward(), optimizer.step()",
    "MomentumOptimizer": "use SGD(parameters, 0.1, momentum=0.9)",
    "AdamOptimizer": "use Adam(parameters)",
    "RMSPropOptimizer": "use RMSprop(parameters)",
    **dict.fromkeys(("clip_grad_value_", "clip_grads_with_norm_"), "use clip_grad_norm"),
    "clip_grad_norm_": "use clip_grad_norm, which replaces the gradients by scaled ones",
    "lr_scheduler": "use gpucnn.schedules.table, and set_learning_rate before each step",
}

#: Attributes of optimizers in PyTorch and Keras, and what to write instead.
OPTIMIZER_ATTRIBUTES = {
    "add_param_group": "make a second optimizer for the other parameters",
    "apply_gradients": "set parameter.grad and use step()",
    "defaults": "the options are attributes, such as weight_decay",
    "minimize": "use loss.backward() and then step()",
    "param_groups": "use parameters, and set_learning_rate for the learning rate",
}
