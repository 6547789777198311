"""The names and parameters of layers in PyTorch and Keras, and ours for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpucnn.spelling import Spellings

_KERAS = "gpucnn.keras.layers has it by this name; the layer itself is gpucnn.nn.{}"
_BRANCHES = "join branches in the forward of a Module of your own: a + b, or functions.concat"
_OWN = "there is none; write one as a Module of your own, see the head of gpucnn/nn/module.py"

#: Modules in torch.nn -> what to use here.
MODULES: dict[str, str] = {
    "init": "use gpucnn.nn.initializers",
    "modules": "gpucnn.nn has the layers",
    "parallel": "a network computes on one device: build(..., device=)",
    "utils": "use gpucnn.optim.clip_grad_norm to clip gradients; gpucnn.nn has no other of these",
}

#: Names in the modules torch.nn and keras.layers -> what to use here.
NAMES: dict[str, str] = {
    **{
        keras: _KERAS.format(ours)
        for keras, ours in {
            "Conv2D": "Conv2d",
            "MaxPooling2D": "MaxPool2d",
            "MaxPool2D": "MaxPool2d",
            "AveragePooling2D": "AvgPool2d",
            "AvgPool2D": "AvgPool2d",
            "GlobalAveragePooling2D": "GlobalAvgPool2d",
            "BatchNormalization": "BatchNorm2d",
        }.items()
    },
    "Input": 'gpucnn.keras has it; here a layer takes input_shape=(1, 28, 28), or build does',
    "InputLayer": 'gpucnn.keras has it; here a layer takes input_shape=(1, 28, 28), or build does',
    "LayerNormalization": "use LayerNorm()",
    "Model": "use Sequential([...]), or a Module with a forward of your own",
    "CrossEntropyLoss": "use gpucnn.functions.softmax_cross_entropy(logits, labels)",
    "NLLLoss": "use gpucnn.functions.softmax_cross_entropy on the logits, without LogSoftmax",
    "BCEWithLogitsLoss": "use gpucnn.functions.binary_cross_entropy_with_logits(logits, targets)",
    "BCELoss": "use gpucnn.functions.binary_cross_entropy_with_logits, without Sigmoid",
    "MSELoss": "use gpucnn.functions.mean_squared_error(output, targets)",
    "L1Loss": "there is none; write it from gpucnn.functions",
    "BatchNorm1d": "use LayerNorm(); BatchNorm2d() takes images (N, C, H, W)",
    "BatchNorm": "use BatchNorm2d()",
    "GroupNorm": "use BatchNorm2d() or LayerNorm()",
    "InstanceNorm2d": "use BatchNorm2d() or LayerNorm()",
    "Dropout1d": "use Dropout(rate), which drops each element by itself",
    "Dropout2d": "use Dropout(rate), which drops each element by itself",
    "SpatialDropout2D": "use Dropout(rate), which drops each element by itself",
    "AlphaDropout": "use Dropout(rate)",
    "AdaptiveAvgPool2d": "use GlobalAvgPool2d(), which gives one number a channel: (N, C)",
    "AdaptiveMaxPool2d": "use MaxPool2d with a kernel of the size of the image",
    "GlobalMaxPool2d": "use MaxPool2d with a kernel of the size of the image",
    "GlobalMaxPooling2D": "use MaxPool2d with a kernel of the size of the image",
    "LazyConv2d": "use Conv2d(filters, kernel_size): input channels are always inferred",
    "LazyLinear": "use Dense(units): input features are always inferred",
    "LazyBatchNorm2d": "use BatchNorm2d(): channels are always inferred",
    "Identity": 'use Activation("linear")',
    "ModuleList": "use a list: modules in attributes that are lists are found",
    "ModuleDict": "use a dict: modules in attributes that are dicts are found",
    "ParameterList": "use a list: parameters in attributes that are lists are found",
    "ParameterDict": "use a dict: parameters in attributes that are dicts are found",
    "ZeroPad2d": "give the layer that follows padding=((top, bottom), (left, right))",
    "ZeroPadding2D": "give the layer that follows padding=((top, bottom), (left, right))",
    "AtrousConvolution2D": "use Conv2D(..., dilation_rate=2)",
    **dict.fromkeys(
        ("Merge", "add", "average", "concatenate", "maximum", "multiply", "subtract"), _BRANCHES
    ),
    "ActivityRegularization": "use weight_decay of the optimizer",
    "Reshape": "call x.reshape in the forward of a Module of your own",
    "Unflatten": "call x.reshape in the forward of a Module of your own",
    "Rescaling": "scale the array itself: x / 255",
    "Normalization": "scale the array itself: (x - mean) / deviation",
    "functional": "use gpucnn.functions",
    **{
        name: f'use gpucnn.functions.{name}, or activation="{name}" of a layer'
        for name in ("relu", "sigmoid", "softmax", "tanh")
    },
    **dict.fromkeys(
        (
            "softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_v2",
            "sparse_softmax_cross_entropy_with_logits",
        ),
        "use gpucnn.functions.softmax_cross_entropy(logits, targets), the mean over the batch",
    ),
    "sigmoid_cross_entropy_with_logits": "use gpucnn.functions.binary_cross_entropy_with_logits"
    "(logits, targets)",
    "leaky_relu": "use gpucnn.functions.leaky_relu, or LeakyReLU()",
    "log_softmax": "use gpucnn.functions.log_softmax, or LogSoftmax()",
    "conv2d": "use Conv2d(filters, 3), or gpucnn.functions.conv2d(x, w, b)",
    "max_pool": "use MaxPool2d(2), or gpucnn.functions.max_pool2d(x, 2)",
    "max_pool2d": "use MaxPool2d(2), or gpucnn.functions.max_pool2d(x, 2)",
    "avg_pool": "use AvgPool2d(2), or gpucnn.functions.avg_pool2d(x, 2)",
    "bias_add": "use x + b; Dense and Conv2d have a bias",
    "dropout": "use Dropout(rate), whose rate is the share that is dropped: 1 - keep_prob",
    "l2_loss": "use gpucnn.functions.sum(w * w) / 2, or weight_decay of the optimizer",
    **MODULES,
    "DataParallel": "a network computes on one device: build(..., device=)",
    **dict.fromkeys(
        (
            "Conv1d", "Conv1D", "Conv3d", "Conv3D", "ConvTranspose2d", "Conv2DTranspose",
            "DepthwiseConv2D", "SeparableConv2D", "MaxPool1d", "MaxPooling1D", "AvgPool1d",
            "Embedding", "RNN", "LSTM", "GRU", "SimpleRNN", "MultiheadAttention",
            "MultiHeadAttention", "TransformerEncoder", "Upsample", "UpSampling2D", "PixelShuffle",
            "SiLU", "ELU", "SELU", "PReLU", "ReLU6", "Hardswish", "Hardtanh", "Mish", "Softplus",
            "Add", "Average", "Concatenate", "Dot", "Lambda", "Maximum", "Minimum", "Multiply",
            "Subtract", "Permute", "RepeatVector", "RandomFlip", "RandomRotation", "RandomZoom",
            "Convolution1D", "Convolution3D", "Deconvolution2D", "SeparableConvolution2D",
            "SeparableConv1D", "MaxPooling3D", "AveragePooling1D", "AveragePooling3D",
            "GlobalMaxPooling1D", "GlobalAveragePooling1D", "UpSampling1D", "Cropping2D",
            "LocallyConnected1D", "LocallyConnected2D", "ConvLSTM2D", "Bidirectional",
            "TimeDistributed", "Wrapper", "Masking", "GaussianNoise", "GaussianDropout",
            "ThresholdedReLU", "Highway", "MaxoutDense", "TimeDistributedDense", "Attention",
        ),
        _OWN,
    ),
}  # fmt: skip

_VERBS = "gpucnn.keras.Sequential has it; gpucnn.training.fit and evaluate take any Module"

#: Attributes of torch.nn.Module and keras.Model -> what to use here.
ATTRIBUTES: dict[str, str] = {
    "cuda": 'use to("cuda")',
    "cpu": 'use to("cpu")',
    "half": "parameters are float32",
    "double": "parameters are float32",
    "float": "they are float32 already: leave it out",
    "zero_grad": "use optimizer.zero_grad()",
    "requires_grad_": "use freeze(), or freeze(False)",
    "named_buffers": "use state_dict(), which has parameters and buffers",
    "apply": "use a loop over modules()",
    "add_module": "set an attribute: net.head = Dense(10)",
    "register_module": "set an attribute: net.head = Dense(10)",
    "register_parameter": "set an attribute: net.gain = Parameter(array)",
    "register_buffer": "set an attribute, and name it in the class: buffers = (name,)",
    "register_forward_hook": "use observe(observer)",
    "compile": _VERBS,
    "fit": _VERBS,
    "evaluate": _VERBS,
    "predict": _VERBS,
    **dict.fromkeys(
        ("weight", "bias"), "layers such as Conv2d have it once they are built: build((1, 28, 28))"
    ),
    **dict.fromkeys(("kernel", "W", "b"), "the weights are called weight and bias"),
    "weights": "get_weights() gives arrays, parameters() the Parameters",
    "variables": "get_weights() gives arrays, parameters() the Parameters",
    "non_trainable_weights": "state_dict() has parameters and buffers by their names",
    "trainable_weights": "use parameters(), and requires_grad of each",
    "count_params": "use num_parameters",
    "output_shape": "summary() shows the shape that each layer gives",
    "input": "the input is what forward is called with",
    "inputs": "the input is what forward is called with",
    "output": "observe(observer) shows what each layer gives",
    "outputs": "observe(observer) shows what each layer gives",
    "get_config": "a model is kept by gpucnn.keras: model.save and load_model",
    "to_json": "a model is kept by gpucnn.keras: model.save and load_model",
    "to_yaml": "a model is kept by gpucnn.keras: model.save and load_model",
    "pop": "make a new model of the other layers: Sequential(model.layers[:-1])",
    "losses": "write a training loop for a loss of several terms, as README.md does",
    "add_loss": "write a training loop for a loss of several terms, as README.md does",
    "fit_generator": "fit takes generators: fit(generator, steps_per_epoch=100)",
    "evaluate_generator": "evaluate takes generators: evaluate(generator, steps=100)",
    "predict_generator": "predict takes generators: predict(generator, steps=100)",
    "predict_classes": "use predict(x).argmax(axis=1)",
    "predict_proba": "use predict(x)",
    "reset_states": "no layer here has a state: leave it out",
}

#: Our layer -> the same layer elsewhere -> its parameters, in their order.
SIGNATURES: dict[str, dict[str, str]] = {
    "Conv2d": {
        "PyTorch's Conv2d": "in_channels out_channels kernel_size stride padding dilation groups"
        " bias padding_mode device dtype",
        "Keras's Conv2D": "filters kernel_size strides padding data_format dilation_rate groups"
        " activation use_bias kernel_initializer bias_initializer kernel_regularizer"
        " bias_regularizer activity_regularizer kernel_constraint bias_constraint trainable dtype",
    },
    "Dense": {
        "PyTorch's Linear": "in_features out_features bias device dtype",
        "Keras's Dense": "units activation use_bias kernel_initializer bias_initializer"
        " kernel_regularizer bias_regularizer activity_regularizer kernel_constraint"
        " bias_constraint input_dim trainable dtype",
    },
    "Linear": {
        "PyTorch's Linear": "in_features out_features bias device dtype",
    },
    "MaxPool2d": {
        "PyTorch's MaxPool2d": "kernel_size stride padding dilation return_indices ceil_mode",
        "Keras's MaxPooling2D": "pool_size strides padding data_format",
    },
    "AvgPool2d": {
        "PyTorch's AvgPool2d": "kernel_size stride padding ceil_mode count_include_pad"
        " divisor_override",
        "Keras's AveragePooling2D": "pool_size strides padding data_format",
    },
    "GlobalAvgPool2d": {
        "PyTorch's AdaptiveAvgPool2d": "output_size",
        "Keras's GlobalAveragePooling2D": "data_format keepdims",
    },
    "BatchNorm2d": {
        "PyTorch's BatchNorm2d": "num_features eps momentum affine track_running_stats device"
        " dtype",
        "Keras's BatchNormalization": "axis momentum epsilon center scale beta_initializer"
        " gamma_initializer moving_mean_initializer moving_variance_initializer trainable dtype",
    },
    "LayerNorm": {
        "PyTorch's LayerNorm": "normalized_shape eps elementwise_affine bias device dtype",
        "Keras's LayerNormalization": "axis epsilon center scale trainable dtype",
    },
    "Dropout": {
        "PyTorch's Dropout": "p inplace",
        "Keras's Dropout": "rate noise_shape seed dtype",
    },
    "Flatten": {
        "PyTorch's Flatten": "start_dim end_dim",
        "Keras's Flatten": "data_format",
    },
    "ReLU": {
        "PyTorch's ReLU": "inplace",
        "Keras's ReLU": "max_value negative_slope threshold",
    },
    "LeakyReLU": {
        "PyTorch's LeakyReLU": "negative_slope inplace",
        "Keras's LeakyReLU": "alpha",
    },
    "GELU": {"PyTorch's GELU": "approximate"},
    "Softmax": {"PyTorch's Softmax": "dim", "Keras's Softmax": "axis"},
    "LogSoftmax": {"PyTorch's LogSoftmax": "dim"},
}

#: Their parameter -> ours; the first that the layer has.
RENAMED: dict[str, tuple[str, ...]] = {
    "strides": ("stride",),
    "pool_size": ("kernel_size",),
    "out_channels": ("filters",),
    "out_features": ("units",),
    "units": ("out_features",),
    "input_dim": ("in_features",),
    "bias": ("use_bias",),
    "dilation_rate": ("dilation",),
    "epsilon": ("eps",),
    "p": ("rate",),
    "negative_slope": ("slope",),
    "alpha": ("slope",),
}

#: Their parameter -> an explanation, for those without a counterpart.
INSTEAD: dict[str, str] = {
    "in_channels": "the number of input channels is inferred",
    "in_features": "the number of input features is inferred",
    "num_features": "the number of channels is inferred",
    "normalized_shape": "it normalizes over the last axis, whose size is inferred",
    "input_dim": "the number of input features is inferred, or input_shape=(784,) says it",
    "output_size": "the result is one number a channel, (N, C)",
    "bias": "there always is one",
    "data_format": "arrays are (N, C, H, W), and x.transpose(0, 3, 1, 2) makes them so",
    "padding_mode": "the padding is zeros",
    "ceil_mode": "sizes are rounded down; padding takes ((top, bottom), (left, right))",
    "return_indices": "gpucnn.ops.max_pool2d_forward gives the indices",
    "divisor_override": "the sum is divided by the pixels of the window",
    "dilation": "windows of a pool are dense",
    "keepdims": "the result is (N, C)",
    "kernel_regularizer": "weight_decay of the optimizer shrinks weights",
    "bias_regularizer": "weight_decay of the optimizer shrinks weights",
    "activity_regularizer": "add its term to the loss in a training loop of your own",
    "kernel_constraint": "change the weights after optimizer.step() in a loop of your own",
    "bias_constraint": "change the weights after optimizer.step() in a loop of your own",
    "beta_initializer": "beta starts from 0; load_state_dict sets it",
    "gamma_initializer": "gamma starts from 1; load_state_dict sets it",
    "moving_mean_initializer": "it starts from 0; load_state_dict sets it",
    "moving_variance_initializer": "it starts from 1; load_state_dict sets it",
    "affine": "gamma and beta are always there",
    "elementwise_affine": "gamma and beta are always there",
    "center": "gamma and beta are always there",
    "scale": "gamma and beta are always there",
    "track_running_stats": "running statistics are always kept",
    "trainable": "freeze() holds a layer's parameters",
    "dtype": "parameters are float32",
    "device": "build(..., device=) and to(device) say where parameters lie",
    "inplace": "leave it out: an activation that follows a layer is folded into it",
    "noise_shape": "each element is dropped by itself",
    "seed": "build(..., seed=) is the seed of weights and dropout",
    "start_dim": "all axes but the batch are flattened",
    "end_dim": "all axes but the batch are flattened",
    "negative_slope": "LeakyReLU(slope) has one",
    "max_value": "there is no upper limit",
    "threshold": "it is 0",
    "approximate": "it is the tanh form",
    "dim": "it is over the last axis",
    "axis": "the axis is fixed: channels for BatchNorm2d, else the last",
}

#: Values with another meaning there: Keras's momentum is the weight of the old statistics.
CONVERTED: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("Keras's BatchNormalization", "momentum"): lambda value: round(1 - value, 10),
}

#: The calls of layers in PyTorch and Keras.
LAYERS = Spellings(renamed=RENAMED, instead=INSTEAD, signatures=SIGNATURES, converted=CONVERTED)

#: Options of `load_state_dict` elsewhere.
LOADING = Spellings(
    instead={
        "assign": "the arrays are copied into those of the module",
        "strict": "what does not fit is always refused; leave entries out of the dict, and add"
        " those of state_dict() for them",
    }
)
