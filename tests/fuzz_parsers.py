"""The parsers of what strangers hand in: for the tests and for `fuzz.py`.

`PARSERS` has one entry for each kind of input. `check` holds the promise of them all: a parser
takes its input, or raises an error of `gpucnn.errors` with a message and a fix that are short and
printable. Any other exception is a fault of the parser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import fuzz_files as files
import fuzz_requests as requests
import fuzz_runs as runs

from gpucnn.errors import DataError, DivergedError, DtypeError, GpucnnError, UsageError
from gpucnn.errors import WeightsMismatchError as MismatchError
from gpucnn.quoting import LONGEST, on_its_lines
from gpucnn.training import TrainConfig
from gpucnn.training.description import Description

#: Characters of a line of an error: its fix may list all layers of ONNX. Broken pictures have a
#: line each, however many they are.
_LONGEST_LINE = 2_500

Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Parser:
    """A kind of input.

    Attributes:
        reads: the readers of it; each is given the whole input.
        errors: the errors that they are documented to raise.
        tokens: words of the format, which help a fuzzer.
        max_bytes: of the inputs that a fuzzer makes.
    """

    reads: tuple[Read, ...]
    errors: tuple[type[GpucnnError], ...] = (DataError,)
    tokens: tuple[bytes, ...] = ()
    max_bytes: int = 2048


def check(name: str, data: bytes) -> list[GpucnnError]:
    """Give an input to the readers of a parser.

    Returns:
        The errors by which they refused it; none if they took it.

    Raises:
        AssertionError: an error is not of a kind that is documented, is too long, or has characters
            that a terminal obeys.
        Exception: a fault of a reader.
    """
    parser = PARSERS[name]
    refused = []
    for read in parser.reads:
        try:
            read(data)
        except GpucnnError as error:
            refused.append(error)
    for error in refused:
        _check_error(error, parser, data)
    return refused


def _check_error(error: GpucnnError, parser: Parser, data: bytes) -> None:
    shown = str(error)
    assert isinstance(error, parser.errors), f"{type(error).__name__}: {shown}"
    assert error.message, repr(error)
    assert error.fix, f"an error without a fix: {shown}"
    longest = max(shown.split("\n"), key=len)
    assert len(longest) <= _LONGEST_LINE, f"a line of {len(longest):,} characters: {longest[:300]}"
    assert on_its_lines(shown) == shown, ascii(shown)
    if len(data) > LONGEST < len(shown):
        text = data.decode(errors="replace")
        for line in shown.split("\n"):
            for start in range(len(line) - LONGEST - 9):
                part = line[start : start + LONGEST + 10]
                # A path may be longer: each name in it is cut.
                assert "/" in part or part not in text, (
                    f"{len(part)} characters of the input: {part}"
                )


_KEYS = tuple(f"\n{key}: ".encode() for key in Description.__dataclass_fields__)

PARSERS = {
    "idx": Parser((files.idx,), tokens=(
        b"\0\0\x08\x03", b"\0\0\x08\x01", b"\0\0\x0c\x02", b"\x1f\x8b",
    )),
    "table": Parser(
        (files.table,),
        tokens=(
            b"label,", b"pixel0,", b"id,", b"p1x1,", b"sep=;", b"# ", b'"', b"\r\n", b"\t",
            b"a.png", b"2.55e+02", b"0.5", b"\xff\xfe", b"\xef\xbb\xbf", b"0,1,2,3,4",
        ),
    ),
    "npy": Parser((files.npy,), tokens=(
        b"\x93NUMPY\x01\0", b"'descr': ", b"'|u1'", b"'<f8'", b"'shape': ", b"(1, 2, 2)",
        b"'fortran_order': ", b"'|O'", b"'<U3'", b"'<f2'", b"'<c8'", b"'<M8[s]'",
    )),
    "npz": Parser((files.npz,), tokens=(
        files.BETWEEN, b"x_train\n", b"y_test\n", b"images\n", b"labels\n", b"arr_0\n",
        b"\x93NUMPY\x01\0", b"'descr': ", b"'|u1'", b"'shape': ", b"PK\x03\x04", b"PK\x05\x06",
    )),
    "cifar": Parser((files.cifar,), max_bytes=6146),
    "picture": Parser((files.picture,), tokens=(
        b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"IEND", b"acTL", b"eXIf", b"GIF89a", b"BM", b"P5\n",
        b"\xff\xd8", b"\xff\xdb", b"\xff\xc0", b"\xff\xda", b"II*\0", b"MM\0*", b"RIFF", b"WEBP",
    )),
    "folder": Parser((files.pictures,), tokens=(
        b"train/", b"val/", b"test/", b".png", b".csv", b".zip", b"train-images-idx3-ubyte",
        b"data_batch_1.bin", b".DS_Store", b"labels.csv", b"/0/", b"__MACOSX/", b"\n",
    )),
    "onnx": Parser((runs.network,), (DataError, DivergedError, UsageError), tokens=(
        b"gemm\n", b"conv\n", b"math\n", b"norm\n", b"shape\n", b"transpose\n", b"opType: ",
        b"\ngraph.node.0.", b"\ngraph.node.1.", b"attribute.0.", b"ints: ", b"floats: ", b"type: ",
        b"\ngraph.initializer.0.", b"dims: ", b"dataType: ", b"rawData: ", b"\ngraph.input.0.",
        b"type.tensorType.shape.dim.1.dimValue: ", b"\nproducerName: gpucnn",
        b"\nmetadataProps.0.key: class_names", b"\nmetadataProps.0.value: ", b"input: ",
        b"output: ", b"-1", b"1000000000",
    )),
    "weights": Parser(
        (runs.weights, runs.torch_weights, runs.damaged_run),
        (DataError, DivergedError, DtypeError, MismatchError, UsageError),
        tokens=(
            b'"__metadata__":', b'"gpucnn":', b'"dtype":', b'"F32"', b'"BF16"', b'"shape":',
            b'"data_offsets":', b'"F8_E4M3"', b'"weight"', b'"bias"', b"[0,4]", b'"state":',
        ),
    ),
    "description": Parser(
        (runs.description,),
        (DataError, DivergedError, MismatchError, UsageError),
        tokens=(
            b"softmax\n", b"dense\n", b"conv\n", b"graph\n", b"residual\n", b"keras\n", *_KEYS,
            b"\nnetwork.layers.0.", b"\nnetwork.layers.1.", b"arguments.", b"\nnetwork.steps.0.",
            b"out_features: ", b"filters: ", b"kernel_size: ", b'class: "Linear"', b'{"again": 0}',
            b"null", b"1e999", b"NaN", b"[]", b"{}",
        ),
    ),
    "progress": Parser((runs.progress,), tokens=(
        b"\ndescription.step: ", b"\ndescription.epoch: ", b"\nprogress.records.0.", b"loss: ",
        b"\nprogress.seconds: ", b"\nstate.totals: ", b"\nstate.step_count: ", b"accuracy: ",
        b"NaN", b"1e999", b"true", b"null", b"[]",
    )),
    "metrics": Parser((runs.records, runs.outcome, runs.sweep), tokens=(
        b'{"epoch": 1, "loss": ', b'"seconds": ', b'"accuracy": ', b'"val_accuracy": ', b"NaN",
        b'"runs": [{', b'"run": ', b'"settings": ', b'"reason": ', b'"date": ', b"true", b"null",
    )),
    "configuration": Parser((files.configuration,), (UsageError,), tokens=(
        *(f"{key} = ".encode() for key in TrainConfig.__dataclass_fields__),
        b'"""', b"1979-05-27T07:32:00Z", b"inf", b"0x", b"[[a]]",
    )),
    "options": Parser(
        (files.grid, files.variables, files.shape, files.size),
        (UsageError,),
        tokens=(
            *(f"{key.upper()}=".encode() for key in TrainConfig.__dataclass_fields__),
            b"lr=", b"seed=0..4", b"..", b"28x28", b"3x32x32", b"batch-size=",
        ),
    ),
    "request": Parser((requests.request,), (requests.Answer,), tokens=(
        b"\0application/json\n", b"\0image/png\n", b"--e\r\n", b"\0multipart/form-data; boundary=",
        b"\r\n--e--\r\n", b'Content-Disposition: form-data; filename="a"\r\n\r\n',
        b'{"canvas": "data:image/png;base64,', b"[[0, 1], [2, 255]]", b"1e999", b"NaN",
    )),
}  # fmt: skip
