"""The bugs that tests/planted_bugs.py plants: slips that people make, spread over all kernels."""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    """One change of one file, and the tests that must notice it."""

    name: str
    file: str  # from the root
    old: str  # which the file has once
    new: str
    tests: str  # a file in tests/
    selection: str  # of its tests: pytest -k


KERNELS = "backend/test_cuda_kernels.py"
CONVOLUTION = "backend/test_cuda_convolution.py"
LAUNCHES = "gpucnn/backend/cuda/launches.py"
POOLING_LAUNCHES = "gpucnn/backend/cuda/pooling.py"
CONVOLUTION_LAUNCHES = "gpucnn/backend/cuda/convolution.py"

BUGS = [
    # ---- passes over flat arrays -----------------------------------------------------------
    Bug(
        "relu: four at once where memory is not aligned", "kernels/relu.cu",
        "count >= 4 && aligned<4>(grad_y) && aligned<4>(y) && aligned<4>(grad_x)",
        "count >= 4",
        KERNELS, "relu_backward",
    ),
    Bug(
        "relu: a NaN lets the gradient pass", "kernels/relu.cu",
        "gate.lane[i] > real(0) ?",
        "!(gate.lane[i] <= real(0)) ?",
        KERNELS, "relu_backward",
    ),
    Bug(
        "pack: the last of the rest is not stored", "kernels/pack.cuh",
        "if (i < count) p[i] = value.lane[i];",
        "if (i + 1 < count) p[i] = value.lane[i];",
        KERNELS, "relu_backward",
    ),
    Bug(
        "pack: one element too many is stored", "kernels/pack.cuh",
        "if (i < count) p[i] = value.lane[i];",
        "if (i <= count) p[i] = value.lane[i];",
        KERNELS, "write_their_elements",
    ),
    Bug(
        "philox: the tail of a counter is written", "kernels/philox.cu",
        "if (i < n) out[i]",
        "out[i]",
        KERNELS, "philox",
    ),
    Bug(
        "philox: nine rounds", "kernels/philox.cuh",
        "round < 10",
        "round < 9",
        KERNELS, "philox",
    ),
    Bug(
        "dropout: the counter is off by one", "kernels/dropout.cu",
        "(first / 4)",
        "(first / 4 + 1)",
        KERNELS, "dropout_draws",
    ),
    Bug(
        "dropout: the step is not read", "kernels/dropout.cu",
        "*step, key0, key1",
        "0u, key0, key1",
        KERNELS, "dropout_draws",
    ),
    Bug(
        "dropout: the scale is forgotten", "kernels/dropout.cu",
        "kept.lane[i] ? grad.lane[i] * scale : real(0)",
        "kept.lane[i] ? grad.lane[i] : real(0)",
        KERNELS, "dropout_draws",
    ),
    Bug(
        "dropout: a NaN passes though it is dropped", "kernels/dropout.cu",
        "kept.lane[i] ? value.lane[i] * scale : real(0)",
        "kept.lane[i] * (value.lane[i] * scale)",
        KERNELS, "dropout_draws",
    ),
    Bug(
        "dropout: the threshold itself is kept", "kernels/dropout.cu",
        "bits.lane[i] < threshold;",
        "bits.lane[i] <= threshold;",
        KERNELS, "below_the_threshold",
    ),
    Bug(
        "dropout: the mask may lie anywhere", "kernels/dropout.cu",
        "aligned<4>(grad_y) && aligned<4>(mask)",
        "aligned<4>(grad_y)",
        KERNELS, "one_array_alone and dropout",
    ),
    Bug(
        "gather: the row behind the last one", "kernels/gather.cu",
        "index < M",
        "index <= M",
        KERNELS, "gather_of_rows",
    ),
    Bug(
        "gather: an offset of 32 bits", "kernels/gather.cu",
        "dataset + index * P + first",
        "dataset + index * static_cast<int>(P) + first",
        KERNELS, "gather_of_more",
    ),
    # ---- optimizers ------------------------------------------------------------------------
    Bug(
        "sgd: momentum without Nesterov", "kernels/optimizer.cu",
        "nesterov ? g.lane[i] + momentum * v.lane[i] : v.lane[i]",
        "v.lane[i]",
        "backend/test_optimizers.py", "a_few_steps and sgd",
    ),
    Bug(
        "sgd: the velocity may lie anywhere", "kernels/optimizer.cu",
        "aligned<4>(grad) && aligned<4>(velocity)",
        "aligned<4>(grad)",
        KERNELS, "one_array_alone and sgd",
    ),
    Bug(
        "rmsprop: eps under the root", "kernels/optimizer.cu",
        "(sqrt(s.lane[i]) + eps)",
        "sqrt(s.lane[i] + eps)",
        "backend/test_optimizers.py", "a_few_steps and rmsprop",
    ),
    Bug(
        "adam: no correction of the first moment", "kernels/optimizer.cu",
        "rate / -expm1(t * log_beta1)",
        "rate",
        "backend/test_optimizers.py", "a_few_steps and adam",
    ),
    Bug(
        "adam: the power is rounded before it is subtracted", "kernels/optimizer.cu",
        "sqrt(-expm1(t * log_beta2))",
        "sqrt(real(1) - exp(t * log_beta2))",
        "backend/test_optimizers.py", "bias_correction",
    ),
    Bug(
        "adamw: the decay after the update", "kernels/optimizer.cu",
        "shrink * w.lane[i] - step_size * change",
        "shrink * (w.lane[i] - step_size * change)",
        "backend/test_optimizers.py", "a_few_steps and adam",
    ),
    Bug(
        "adam: beta1 for beta2", "gpucnn/backend/contract/optimizers.py",
        "*_weights(beta1), *_weights(beta2), eps",
        "*_weights(beta2), *_weights(beta1), eps",
        "backend/test_optimizers.py", "a_few_steps and adam",
    ),
    Bug(
        "adam: updates though found_inf is set", "gpucnn/backend/cuda/optimizers.py",
        'None if found_inf is None else self._count("found_inf", found_inf)',
        "None",
        "backend/test_optimizers.py", "found_inf and adam",
    ),
    # ---- loss ------------------------------------------------------------------------------
    Bug(
        "softmax: the maximum of half a warp", "kernels/softmax_cross_entropy.cu",
        "offset > 0",
        "offset > 1",
        KERNELS, "softmax_of_rows",
    ),
    Bug(
        "softmax: a label beyond the last class", "kernels/softmax_cross_entropy.cu",
        "label < K;\n        losses",
        "label <= K;\n        losses",
        KERNELS, "out_of_range",
    ),
    Bug(
        "softmax: the gradient of such a label", "kernels/softmax_cross_entropy.cu",
        "label < K;\n    const real hit",
        "label <= K;\n    const real hit",
        KERNELS, "out_of_range",
    ),
    Bug(
        "warp_sum: a mask of half a warp", "kernels/common.cuh",
        "v += __shfl_xor_sync(ALL_LANES, v, offset)",
        "v += __shfl_xor_sync(0xffffu, v, offset)",
        KERNELS, "softmax_of_rows",
    ),
    # ---- pooling ---------------------------------------------------------------------------
    Bug(
        "max_pool2d: the last of equal pixels wins", "kernels/max_pool2d.cu",
        "!(v <= best)",
        "!(v < best)",
        "backend/test_pooling.py", "first_maximum",
    ),
    Bug(
        "max_pool2d: NaN never wins", "kernels/max_pool2d.cu",
        "return !(v <= best) && best == best;",
        "return v > best;",
        "backend/test_pooling.py", "nan_propagates_and",
    ),
    Bug(
        "max_pool2d: the first tap may be padding", "kernels/max_pool2d.cu",
        "int tap = kh_first * g.KW + kw_first;",
        "int tap = 0;",
        KERNELS, "nobody_wins",
    ),
    Bug(
        "max_pool2d: four at once where memory is not aligned", POOLING_LAUNCHES,
        "4 if fits and all(whole) else 2",
        "4 if fits else 2",
        KERNELS, "max_pooling",
    ),
    Bug(
        "max_pool2d: a pair of windows where one is left", POOLING_LAUNCHES,
        " and g.OW % 2 == 0",
        "",
        KERNELS, "max_pooling",
    ),
    Bug(
        "max_pool2d: a row of an odd image is left out", POOLING_LAUNCHES,
        "-(-g.H // 2) * -(-g.W // vector)",
        "(g.H // 2) * -(-g.W // vector)",
        KERNELS, "max_pooling",
    ),
    Bug(
        "max_pool2d: a byte for too many taps", POOLING_LAUNCHES,
        "g.KH * g.KW <= 256",
        "g.KH * g.KW <= 400",
        KERNELS, "last_tap",
    ),
    Bug(
        "avg_pool2d: padding always counts", "kernels/avg_pool2d.cu",
        "count_include_pad ? g.KH * g.KW :",
        "true ? g.KH * g.KW :",
        "backend/test_pooling.py", "counts_the_padding",
    ),
    Bug(
        "avg_pool2d: one window too many in the gradient", "kernels/avg_pool2d.cu",
        "(h - g.KH) / g.stride_h + 1",
        "(h - g.KH) / g.stride_h",
        KERNELS, "average",
    ),
    Bug(
        "avg_pool2d: each lane has its own sum", "kernels/avg_pool2d.cu",
        "sum = warp_sum(sum);",
        "",
        KERNELS, "warp_shares",
    ),
    Bug(
        "avg_pool2d: the window before the patch is forgotten", "kernels/avg_pool2d.cu",
        "BEFORE = SIDE > 0, DS",
        "BEFORE = 0, DS",
        KERNELS, "average",
    ),
    Bug(
        "avg_pool2d: a row of an odd image is left out", POOLING_LAUNCHES,
        "-(-g.H // 2) * -(-g.W // 4)",
        "(g.H // 2) * -(-g.W // 4)",
        KERNELS, "average",
    ),
    Bug(
        "avg_pool2d: no column beyond the pack", "kernels/avg_pool2d.cu",
        "inside && outer >= 0 && outer < W ?",
        "false ?",
        KERNELS, "average",
    ),
    Bug(
        "avg_pool2d: a constant where windows count differently", POOLING_LAUNCHES,
        "(count_include_pad or not np.any(g.padding))",
        "(count_include_pad or True)",
        KERNELS, "average",
    ),
    Bug(
        "pooling: top and left swapped", POOLING_LAUNCHES,
        "g.padding[0][0], g.padding[1][0]\n\n\ndef _is_stride2",
        "g.padding[1][0], g.padding[0][0]\n\n\ndef _is_stride2",
        KERNELS, "average",
    ),
    # ---- reductions over the channels ------------------------------------------------------
    Bug(
        "channels: the last short part is dropped", "kernels/channels.cuh",
        "(total + gridDim.y - 1) / gridDim.y",
        "total / gridDim.y",
        KERNELS, "bias_grad",
    ),
    Bug(
        "channels: a run ends one pack too late", "kernels/channels.cuh",
        "pack_of_run >= packs",
        "pack_of_run > packs",
        KERNELS, "bias_grad",
    ),
    Bug(
        "bias_grad: no barrier before the tree", "kernels/bias_grad.cu",
        "sums[thread] = sum;\n    __syncthreads();",
        "sums[thread] = sum;",
        KERNELS, "bias_grad",
    ),
    Bug(
        "bias_grad: as many parts as lanes", "kernels/bias_grad.cu",
        "for (int part = lane; part < parts; part += WARP) sum",
        "for (int part = lane; part < min(parts, WARP); part += WARP) sum",
        KERNELS, "more_parts",
    ),
    Bug(
        "batch_norm: as many parts as lanes", "kernels/batch_norm.cu",
        "part += WARP) {\n        const index_t at = channel * parts + part;\n        all",
        "part += parts) {\n        const index_t at = channel * parts + part;\n        all",
        KERNELS, "more_parts",
    ),
    Bug(
        "batch_norm: the product sums of other channels", "kernels/batch_norm.cu",
        "partial[at + static_cast<index_t>(C) * parts];",
        "partial[at + parts];",
        KERNELS, "batch_norm",
    ),
    Bug(
        "batch_norm: a variance without bias", "kernels/batch_norm.cu",
        "all.m2 / all.count",
        "all.m2 / (all.count - real(1))",
        KERNELS, "batch_norm",
    ),
    Bug(
        "batch_norm: parts of unequal size count the same", "kernels/batch_norm.cu",
        "count > real(0) ? b.count / count",
        "count > real(0) ? real(0.5)",
        KERNELS, "batch_norm",
    ),
    Bug(
        "batch_norm: the channel before's scale", "kernels/batch_norm.cu",
        "c = c + 1 < C ? c + 1 : 0;\n            scale = gamma[c] / sqrt(var[c] + eps);",
        "c = c + 1 < C ? c + 1 : 0;",
        KERNELS, "batch_norm",
    ),
    Bug(
        "batch_norm: no barrier within the tree", "kernels/batch_norm.cu",
        "products[thread] += products[thread + half];\n        }\n        __syncthreads();",
        "products[thread] += products[thread + half];\n        }",
        KERNELS, "batch_norm",
    ),
    Bug(
        "batch_norm: the mean over one image", "gpucnn/backend/cuda/normalization.py",
        "r.N * r.P, eps",
        "r.P, eps",
        KERNELS, "batch_norm",
    ),
    # ---- launches --------------------------------------------------------------------------
    Bug(
        "launch: too few blocks", LAUNCHES,
        "return -(-threads // THREADS)",
        "return max(1, threads // THREADS)",
        "backend/test_relu.py", "test_relu_backward",
    ),
    Bug(
        "launch: no contiguous copy", "gpucnn/backend/cuda/activation.py",
        "self._contiguous(y), grad_x, y.size",
        "y, grad_x, y.size",
        "backend/test_relu.py", "test_relu_backward",
    ),
    Bug(
        "launch: an index wraps around", LAUNCHES,
        "self.xp.where(valid, indices.astype(np.int32), np.int32(-1))",
        "indices.astype(np.int32)",
        KERNELS, "wrap_around",
    ),
    # ---- sums in parts ---------------------------------------------------------------------
    Bug(
        "sum_parts: the last row is not added", "kernels/sum_parts.cu",
        "other < ROWS;",
        "other < ROWS - 1;",
        CONVOLUTION, "test_every_tile and -11",
    ),
    Bug(
        "sum_parts: ReLU before the bias", "kernels/sum_parts.cu",
        "if (bias != nullptr) sum += bias[i / inner % channels];\n    out[i] = activation",
        "if (activation) sum = relu(sum);\n"
        "    if (bias != nullptr) sum += bias[i / inner % channels];\n    out[i] = false",
        CONVOLUTION, "test_every_tile and 3-",
    ),
    Bug(
        "sum_parts: the bias of the column", "kernels/sum_parts.cu",
        "sum += bias[i / inner % channels]",
        "sum += bias[i % channels]",
        CONVOLUTION, "test_every_tile and 3-",
    ),
    Bug(
        "sum_parts: the last part is not added", "gpucnn/backend/cuda/tiles.py",
        "out.size, parts, inner",
        "out.size, parts - 1, inner",
        CONVOLUTION, "test_every_tile and 3-",
    ),
    Bug(
        "conv2d_forward: the bias in each part", CONVOLUTION_LAUNCHES,
        "x, w, b if whole else None, y",
        "x, w, b, y",
        CONVOLUTION, "test_every_tile and 3-",
    ),
    Bug(
        "conv2d_forward: ReLU of each part", CONVOLUTION_LAUNCHES,
        "relu * whole",
        "relu",
        CONVOLUTION, "test_every_tile and 3-",
    ),
    # ---- products in shared memory ---------------------------------------------------------
    Bug(
        "shared: the next step is written while this one is read", "kernels/shared.cuh",
        "        __syncthreads();  // all threads have read\n",
        "",
        CONVOLUTION, "test_shared_matmul",
    ),
    Bug(
        "shared: what follows the last term is not zero", "kernels/shared.cuh",
        "has_row && k0 + column < K ?",
        "has_row ?",
        CONVOLUTION, "test_shared_matmul",
    ),
    Bug(
        "conv2d_forward_shared: all groups see the first channels", "kernels/conv2d_forward.cu",
        "n * g.C + group * channels + c) * g.H + h",
        "n * g.C + c) * g.H + h",
        CONVOLUTION, "test_shared and groups",
    ),
    # ---- tiled products --------------------------------------------------------------------
    Bug(
        "matmul: the next step goes where this one reads", "kernels/matmul.cu",
        "store(buffer ^ 1);",
        "store(buffer);",
        CONVOLUTION, "test_matmul and False-False",
    ),
    Bug(
        "matmul: four columns at once in rows of any length", "kernels/matmul.cu",
        "N % 4 == 0 && is_aligned(c)",
        "is_aligned(c)",
        CONVOLUTION, "test_matmul and False-False",
    ),
    Bug(
        "matmul: four at once where b is not aligned", "gpucnn/backend/cuda/dense.py",
        "for m in (a, b))",
        "for m in (a,))",
        CONVOLUTION, "one_operand",
    ),
    Bug(
        "matmul: a transposed view as if it were not", "gpucnn/backend/cuda/dense.py",
        "return matrix.T, True",
        "return matrix.T, False",
        "backend/test_matmul.py", "test_matmul",
    ),
    Bug(
        "tile: what follows the last term is not zero", "kernels/tile.cuh",
        "next[e] = i < size && k < end ?",
        "next[e] = i < size ?",
        CONVOLUTION, "test_tiled and filled and 32-bit",
    ),
    Bug(
        "tile: nor with four at once", "kernels/tile.cuh",
        "if (i < size && k < end)",
        "if (i < size)",
        CONVOLUTION, "test_matmul and False-False",
    ),
    Bug(
        "conv2d: what lies before an image is inside", "kernels/conv2d.cuh",
        "static_cast<unsigned int>(i) < static_cast<unsigned int>(size)",
        "i < size",
        CONVOLUTION, "test_tiled and strides and 32-bit",
    ),
    Bug(
        "tile: a square of columns beside its place", "kernels/tile.cuh",
        "const int first = column0 + half / 4 * (BN / 2);",
        "const int first = column0 + half;",
        CONVOLUTION, "test_matmul and False-False",
    ),
    Bug(
        "window: what follows the last tap is not zero", "kernels/window.cuh",
        "k < end ? 1u << (tap % 32) : 0u",
        "1u << (tap % 32)",
        CONVOLUTION, "test_tiled and filled and 32-bit",
    ),
    # ---- convolution -----------------------------------------------------------------------
    Bug(
        "conv2d: stride and padding swapped", CONVOLUTION_LAUNCHES,
        "*g.stride, top, left,",
        "top, left, *g.stride,",
        CONVOLUTION, "test_naive and strides",
    ),
    Bug(
        "conv2d_forward: no barrier between two steps", "kernels/conv2d_forward.cu",
        "store_windows(b[buffer ^ 1], next_b);\n        __syncthreads();",
        "store_windows(b[buffer ^ 1], next_b);",
        CONVOLUTION, "test_tiled and filled and 32-bit",
    ),
    Bug(
        "conv2d_forward: one buffer for all steps", "kernels/conv2d_forward.cu",
        "store_windows(b[buffer ^ 1], next_b);",
        "store_windows(b[buffer], next_b);",
        CONVOLUTION, "test_tiled and filled and 32-bit",
    ),
    Bug(
        "conv2d_forward: the dilation is forgotten", "kernels/conv2d_forward.cu",
        "taps_t taps = {g.KH, g.KW, g.dilation_h, g.dilation_w}",
        "taps_t taps = {g.KH, g.KW, 1, 1}",
        CONVOLUTION, "test_tiled and dilation and 32-bit",
    ),
    Bug(
        "conv2d_forward: all groups see the first channels", "kernels/conv2d_forward.cu",
        "set_window(windows, j, (n * g.C + group * channels) * g.H * g.W",
        "set_window(windows, j, n * g.C * g.H * g.W",
        CONVOLUTION, "test_tiled and groups and 32-bit",
    ),
    Bug(
        "conv2d_forward: height for width", "kernels/conv2d_forward.cu",
        "pixel % g.OW * g.stride_w - g.left, g.H",
        "pixel % g.OW * g.stride_h - g.left, g.H",
        CONVOLUTION, "test_tiled and strides and 32-bit",
    ),
    Bug(
        "conv2d_forward_direct: weights are read before all are there", "kernels/conv2d_forward.cu",
        "source[i] : 0.0f;\n    }\n    __syncthreads();",
        "source[i] : 0.0f;\n    }",
        CONVOLUTION, "test_direct and 3x3 and 32-bit",
    ),
    Bug(
        "conv2d_forward_direct: one dilation for both axes", "kernels/conv2d_forward.cu",
        "w = kw * g.dilation_w;\n                const index_t",
        "w = kw * g.dilation_h;\n                const index_t",
        CONVOLUTION, "test_direct and dilation and 32-bit",
    ),
    Bug(
        "conv2d_direct: undilated if one axis is", CONVOLUTION_LAUNCHES,
        "g.dilation == (1, 1)",
        "g.dilation[0] == 1",
        CONVOLUTION, "test_direct and dilation and 32-bit",
    ),
    Bug(
        "conv2d_forward_naive: the group is forgotten", "kernels/conv2d_forward.cu",
        "f / (g.F / g.groups) * channels",
        "0",
        CONVOLUTION, "test_naive and groups",
    ),
    Bug(
        "conv2d_forward: four weights at once where memory is not aligned", CONVOLUTION_LAUNCHES,
        "taps % 4 == 0 and is_aligned(self.launcher, w)",
        "taps % 4 == 0",
        CONVOLUTION, "packs_of_four",
    ),
    Bug(
        "conv2d_forward_direct: too few blocks", CONVOLUTION_LAUNCHES,
        "-(-columns // (_DIRECT_THREADS * pixels))",
        "max(1, columns // (_DIRECT_THREADS * pixels))",
        CONVOLUTION, "test_direct and many and 32-bit",
    ),
    Bug(
        "conv2d_backward_input: taps in the wrong direction", "kernels/conv2d_backward_input.cu",
        "-h.step, -v.step",
        "h.step, v.step",
        CONVOLUTION, "test_tiled and filled and 32-bit",
    ),
    Bug(
        "conv2d_backward_input: the phase of the other axis", "kernels/conv2d_backward_input.cu",
        "find_phase(phase_h, g.KH, g.stride_h",
        "find_phase(phase_w, g.KH, g.stride_h",
        CONVOLUTION, "test_tiled and strides and 32-bit",
    ),
    Bug(
        "conv2d_backward_input: all parts in one place", "kernels/conv2d_backward_input.cu",
        "grad_x += static_cast<index_t>(part) * g.N * g.C * g.H * g.W;",
        "",
        CONVOLUTION, "stride_in_parts",
    ),
    Bug(
        "conv2d_backward_input_direct: weights change while they are read",
        "kernels/conv2d_backward_input.cu",
        "const index_t first = group * filters + f0;\n        __syncthreads();",
        "const index_t first = group * filters + f0;",
        CONVOLUTION, "several_rounds",
    ),
    Bug(
        "conv2d_backward_input_direct: every tap reaches every pixel",
        "kernels/conv2d_backward_input.cu",
        "find_phase(iw % g.stride_w, g.KW",
        "find_phase(0, g.KW",
        CONVOLUTION, "test_direct and stride and 32-bit",
    ),
    Bug(
        "conv2d_backward_weight: an image of a few pixels", "kernels/conv2d_backward_weight.cu",
        "while (oh >= OH)",
        "if (oh >= OH)",
        CONVOLUTION, "test_tiled and small and 32-bit",
    ),
    Bug(
        "conv2d_backward_weight_direct: the filters of the first group",
        "kernels/conv2d_backward_weight.cu",
        "c / channels * filters + first",
        "first",
        CONVOLUTION, "test_direct and groups and 32-bit",
    ),
    Bug(
        "conv2d_backward_weight_direct: the warps are added before they are done",
        "kernels/conv2d_backward_weight.cu",
        "__syncthreads();\n    grad_w +=",
        "grad_w +=",
        CONVOLUTION, "test_direct and 3x3 and 32-bit",
    ),
    Bug(
        "conv2d_backward_weight_direct: the last short part is dropped", CONVOLUTION_LAUNCHES,
        "parts = max(1, -(-pixels // depth))",
        "parts = max(1, pixels // depth)",
        CONVOLUTION, "several_rounds",
    ),
    # ---- timing ----------------------------------------------------------------------------
    Bug(
        "stopwatch: a multiply-add too few", "kernels/stopwatch.cu",
        "int i = 0; i < turns",
        "int i = 1; i < turns",
        "bench/test_ceilings.py", "loop_of_multiply_adds",
    ),
]  # fmt: skip
