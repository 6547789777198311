"""Names that PyTorch and Keras have and this library has not, and what to write instead."""

from __future__ import annotations

_KERAS = "gpucnn.keras.layers has it by this name; the layer itself is gpucnn.nn.{}"
_OWN = "there is none; write one as a Module of your own, see the head of gpucnn/nn/module.py"

#: Of the modules torch.nn and keras.layers.
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
    "Reshape": "call x.reshape in the forward of a Module of your own",
    "Unflatten": "call x.reshape in the forward of a Module of your own",
    "Rescaling": "scale the array itself: x / 255",
    "Normalization": "scale the array itself: (x - mean) / deviation",
    "functional": "use gpucnn.functions",
    "init": "use gpucnn.nn.initializers",
    "DataParallel": "a network computes on one device: build(..., device=)",
    **dict.fromkeys(
        (
            "Conv1d", "Conv1D", "Conv3d", "Conv3D", "ConvTranspose2d", "Conv2DTranspose",
            "DepthwiseConv2D", "SeparableConv2D", "MaxPool1d", "MaxPooling1D", "AvgPool1d",
            "Embedding", "RNN", "LSTM", "GRU", "SimpleRNN", "MultiheadAttention",
            "MultiHeadAttention", "TransformerEncoder", "Upsample", "UpSampling2D", "PixelShuffle",
            "SiLU", "ELU", "SELU", "PReLU", "ReLU6", "Hardswish", "Hardtanh", "Mish", "Softplus",
            "Add", "Concatenate", "Lambda", "RandomFlip", "RandomRotation",
        ),
        _OWN,
    ),
}  # fmt: skip

_VERBS = "gpucnn.keras.Sequential has it; gpucnn.training.fit and evaluate take any Module"

#: Of the objects torch.nn.Module and keras.Model.
ATTRIBUTES: dict[str, str] = {
    "cuda": 'use to("cuda")',
    "cpu": 'use to("cpu")',
    "half": "parameters are float32",
    "double": "parameters are float32",
    "float": "they are float32 already: leave it out",
    "zero_grad": "use optimizer.zero_grad()",
    "requires_grad_": "use freeze(), or freeze(False)",
    "named_modules": "use modules().items()",
    "named_children": "use children().items()",
    "named_buffers": "use state_dict(), which has parameters and buffers",
    "apply": "use a loop over modules().values()",
    "add_module": "set an attribute: net.head = Dense(10)",
    "register_module": "set an attribute: net.head = Dense(10)",
    "register_parameter": "set an attribute: net.gain = Parameter(array)",
    "register_buffer": "set an attribute, and name it in the class: buffers = (name,)",
    "register_forward_hook": "use observe(observer)",
    "compile": _VERBS,
    "fit": _VERBS,
    "evaluate": _VERBS,
    "predict": _VERBS,
}
