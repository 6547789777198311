"""The bugs that tests/planted_bugs.py plants: one at least for each kernel.

Together they are of every kind that the tests once missed: a guard, a barrier, an offset, an
alignment, ties and NaN, a bias or ReLU in the wrong place, a part of a sum, a launch.
"""

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
CLIP = "backend/test_clip_grad_norm.py"
CONVOLUTION = "backend/test_cuda_convolution.py"
STEPS = "backend/test_steps.py"
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
        "dropout: a NaN passes though it is dropped", "kernels/dropout.cu",
        "kept.lane[i] ? value.lane[i] * scale : real(0)",
        "kept.lane[i] * (value.lane[i] * scale)",
        KERNELS, "dropout_draws",
    ),
    Bug(
        "gather: an offset of 32 bits", "kernels/gather.cu",
        "dataset + index * P + first",
        "dataset + index * static_cast<int>(P) + first",
        KERNELS, "gather_of_more",
    ),
    Bug(
        "gather_rows: an index outside is read", "kernels/gather.cu",
        "index >= 0 && index < M ? rows[index * P + p] : 0xffffffffu",
        "index < M ? rows[index * P + p] : 0xffffffffu",
        STEPS, "row_outside",
    ),
    # ---- the start of a step ---------------------------------------------------------------
    Bug(
        "begin_step: the place moves before all threads have read it", "kernels/steps.cu",
        "    __syncthreads();\n    if (threadIdx.x == 0) *place",
        "    if (threadIdx.x == 0) *place",
        STEPS, "takes_the_next_batch",
    ),
    Bug(
        "begin_step: a place of 32 bits wraps around", "kernels/steps.cu",
        "const long long at = static_cast<long long>(first) + b;",
        "const unsigned int at = first + b;",
        STEPS, "no_place_outside",
    ),
    Bug(
        "begin_step: the rate after the last", "kernels/steps.cu",
        "static_cast<unsigned int>(T - 1)",
        "static_cast<unsigned int>(T)",
        STEPS, "learning_rate_of",
    ),
    # ---- optimizers ------------------------------------------------------------------------
    Bug(
        "sgd: the velocity may lie anywhere", "kernels/optimizer.cu",
        "aligned<4>(grad) && aligned<4>(velocity)",
        "aligned<4>(grad)",
        KERNELS, "one_array_alone and sgd",
    ),
    Bug(
        "adam: the power is rounded before it is subtracted", "kernels/optimizer.cu",
        "sqrt(-expm1(t * log_beta2))",
        "sqrt(real(1) - exp(t * log_beta2))",
        "backend/test_optimizers.py", "bias_correction",
    ),
    Bug(
        "adam: updates though found_inf is set", "gpucnn/backend/cuda/optimizers.py",
        'found_inf = self._count("found_inf", found_inf)',
        "found_inf = None",
        "backend/test_optimizers.py", "found_inf and adam",
    ),
    Bug(
        "an update of several: a block counts on from the parameter before", "kernels/optimizer.cu",
        "block -= table.tensor[t++].blocks",
        "t++",
        "backend/test_optimizers.py", "several and sizes",
    ),
    Bug(
        "an update of several: only the first table", "gpucnn/backend/cuda/optimizers.py",
        "range(0, len(same), _TENSORS)",
        "range(0, min(len(same), _TENSORS), _TENSORS)",
        "backend/test_optimizers.py", "several and many",
    ),
    # ---- clipping --------------------------------------------------------------------------
    Bug(
        "clip: the parts of a later gradient lie on those of the first",
        "gpucnn/backend/cuda/optimizers.py",
        "first += blocks",
        "first += 0",
        CLIP, "many",
    ),
    Bug(
        "clip: a part of a gradient begins with its own elements alone",
        "kernels/clip_grad_norm.cu",
        "static_cast<index_t>(gradient.blocks) * THREADS",
        "THREADS",
        CLIP, "cut_into_parts",
    ),
    Bug(
        "clip: the parts beyond the first of each thread", "kernels/clip_grad_norm.cu",
        "part < parts; part += THREADS",
        "part < parts; part += parts",
        CLIP, "many",
    ),
    Bug(
        "clip: an infinite norm counts", "kernels/clip_grad_norm.cu",
        "root - root == 0",
        "root == root",
        CLIP, "not_finite",
    ),
    Bug(
        "clip: a halted step counts", "kernels/clip_grad_norm.cu",
        "*halted == 0 && ",
        "",
        CLIP, "halted",
    ),
    Bug(
        "clip: a NaN becomes 1", "kernels/clip_grad_norm.cu",
        "ratio > 1 ? 1 : ratio",
        "ratio < 1 ? ratio : 1",
        CLIP, "not_finite",
    ),
    # ---- metrics ---------------------------------------------------------------------------
    Bug(
        "metrics: a later NaN takes the place of the first", "kernels/metrics.cu",
        "value != value && largest == largest",
        "value != value",
        "backend/test_metrics.py", "first_of_equal",
    ),
    Bug(
        "metrics: the sums of a half of the threads", "kernels/block_sum.cuh",
        "half > 0; half /= 2",
        "half > 1; half /= 2",
        "backend/test_metrics.py", "sums_and_right",
    ),
    Bug(
        "metrics: right answers of a part lie where its losses do", "kernels/metrics.cu",
        "right += partial[parts + part]",
        "right += partial[part]",
        "backend/test_metrics.py", "cut_into_parts",
    ),
    Bug(
        "metrics: a halted training counts on", "kernels/metrics.cu",
        "step == nullptr || *found_inf != 0",
        "step == nullptr",
        "backend/test_metrics.py", "halts",
    ),
    # ---- loss ------------------------------------------------------------------------------
    Bug(
        "softmax: a label beyond the last class", "kernels/softmax_cross_entropy.cu",
        "label < K;\n        losses",
        "label <= K;\n        losses",
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
        "max_pool2d: a byte for too many taps", POOLING_LAUNCHES,
        "g.KH * g.KW <= 256",
        "g.KH * g.KW <= 400",
        KERNELS, "last_tap",
    ),
    Bug(
        "avg_pool2d: each lane has its own sum", "kernels/avg_pool2d.cu",
        "sum = warp_sum(sum);",
        "",
        KERNELS, "warp_shares",
    ),
    # ---- reductions over the channels ------------------------------------------------------
    Bug(
        "channels: the last short part is dropped", "kernels/channels.cuh",
        "(total + gridDim.y - 1) / gridDim.y",
        "total / gridDim.y",
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
        "batch_norm: parts of unequal size count the same", "kernels/batch_norm.cu",
        "count > real(0) ? b.count / count",
        "count > real(0) ? real(0.5)",
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
        "sum_parts: ReLU before the bias", "kernels/sum_parts.cu",
        "if (bias != nullptr) sum += bias[i / inner % channels];\n    out[i] = activation",
        "if (activation) sum = relu(sum);\n"
        "    if (bias != nullptr) sum += bias[i / inner % channels];\n    out[i] = false",
        CONVOLUTION, "test_every_tile and 3-",
    ),
    Bug(
        "sum_parts: the last part is not added", "gpucnn/backend/cuda/tiles.py",
        "out.size, parts, inner",
        "out.size, parts - 1, inner",
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
        "tiles: four columns at once in rows of any length", "gpucnn/backend/cuda/tiles.py",
        "int(columns % 4 == 0 and is_aligned(launcher, out))",
        "int(is_aligned(launcher, out))",
        CONVOLUTION, "test_matmul and False-False",
    ),
    Bug(
        "matmul: all parts in one place", "kernels/matmul.cu",
        "static_cast<index_t>(blockIdx.z) * M * N + ",
        "",
        CONVOLUTION, "test_matmul and False-False",
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
        "window: what follows the last tap is not zero", "kernels/window.cuh",
        "k < end ? 1u << (tap % 32) : 0u",
        "1u << (tap % 32)",
        CONVOLUTION, "test_tiled and filled and 32-bit",
    ),
    # ---- convolution -----------------------------------------------------------------------
    Bug(
        "conv2d_forward: no barrier between two steps", "kernels/conv2d_forward.cu",
        "store_windows(b[buffer ^ 1], next_b);\n        __syncthreads();",
        "store_windows(b[buffer ^ 1], next_b);",
        CONVOLUTION, "test_tiled and filled and 32-bit",
    ),
    Bug(
        "conv2d_forward: all groups see the first channels", "kernels/conv2d_forward.cu",
        "set_window(windows, j, (n * g.C + group * channels) * g.H * g.W",
        "set_window(windows, j, n * g.C * g.H * g.W",
        CONVOLUTION, "test_tiled and groups and 32-bit",
    ),
    Bug(
        "conv2d_direct: undilated if one axis is", CONVOLUTION_LAUNCHES,
        "g.dilation == (1, 1)",
        "g.dilation[0] == 1",
        CONVOLUTION, "test_direct and dilation and 32-bit",
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
]  # fmt: skip
