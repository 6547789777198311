"""A table of hostile files and settings: the command that takes each, and its exit code."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from data_files import idx_bytes
from hostile_files import (
    LAST,
    RUN,
    Content,
    archive,
    broken_folder,
    changed,
    dangling_folder,
    described,
    device,
    empty_folder,
    fifo,
    folder,
    header,
    loop,
    npy,
    npz,
    png,
    resumed,
    unix_socket,
)
from structures import RELU, doubling, sequential

RED = "\x1b[31m\nfix: forged"
USAGE, DATA = 2, 4  # exit codes


@dataclass(frozen=True)
class Case:
    """A command, the files that are made before it, its environment, and its exit code.

    Args:
        says: a text of the error.
    """

    name: str
    command: tuple[str, ...]
    files: dict[str, Content] = field(default_factory=dict)
    code: int = DATA
    says: str = ""
    variables: dict[str, str] = field(default_factory=dict)


# ---- what is no file -------------------------------------------------------------------------


#: Kind -> the file, and what the error says of it.
SPECIAL: dict[str, tuple[Content, str]] = {
    "fifo": (fifo, "it is a FIFO"), "device": (device, "it is a device"),
    "socket": (unix_socket, "it is a socket"), "folder": (folder, ""), "loop": (loop, ""),
    "nothing": (b"", ""), "zeros": (bytes(3000), ""),
    "noise": (np.random.default_rng(0).bytes(3000), ""),
}  # fmt: skip
#: A file -> the command that reads it, and its exit code.
READERS: dict[str, tuple[str, int]] = {
    "a.csv": ("train --data a.csv", DATA), "a.csv.gz": ("train --data a.csv.gz", DATA),
    "a.npz": ("train --data a.npz", DATA), "a.npy": ("train --data a.npy", DATA),
    "images-idx3-ubyte": ("train --data images-idx3-ubyte", DATA),
    "data_batch_1.bin": ("train --data data_batch_1.bin", DATA),
    "a.png": (f"predict {RUN} a.png", DATA), "c.npz": (f"predict {RUN} c.npz", DATA),
    "a.safetensors": (f"predict a.safetensors {RUN}", DATA), "a.onnx": ("import a.onnx", DATA),
    "a.toml": ("train --config a.toml", USAGE),
}  # fmt: skip


def special_cases() -> list[Case]:
    """Each kind of special file in place of each kind of input."""
    return [
        Case(f"{name}-{file}", tuple(command.split()), {file: content}, code, says)
        for file, (command, code) in READERS.items()
        for name, (content, says) in SPECIAL.items()
        if (name, file) != ("nothing", "a.toml")  # which is a configuration of defaults
    ]


# ---- data ------------------------------------------------------------------------------------


IMAGES, LABELS = np.zeros((6, 8, 8), np.uint8), np.arange(6) % 3
HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (4000000000, 28, 28), }"
TABLES: dict[str, str | bytes] = {
    "ragged": "label,p0,p1,p2,p3\na,1,2,3,4\nb,1,2\n",
    "no-label": "p0,p1,p2,p3\n1,2,3,4\n5,6,7,8\n",
    "two-labels": "label,class,p0,p1,p2,p3\na,b,1,2,3,4\nb,a,1,2,3,4\n",
    "nan": "label,p0,p1,p2,p3\na,1,nan,3,4\nb,1,2,3,4\n",
    "inf": "label,p0,p1,p2,p3\na,1,inf,3,4\nb,1,2,3,4\n",
    "negative": "label,p0,p1,p2,p3\na,1,-2,3,4\nb,1,2,3,4\n",
    "beyond-255": "label,p0,p1,p2,p3\na,1,256,3,4\nb,1,2,3,4\n",
    "many-digits": f"label,p0,p1,p2,p3\na,{'9' * 400},2,3,4\nb,1,2,3,4\n",
    "header-alone": "label,p0,p1,p2,p3\n",
    "no-square": "label,p0,p1,p2\na,1,2,3\nb,1,2,3\n",
    "empty-cell": "label,p0,p1,p2,p3\na,,2,3,4\nb,1,2,3,4\n",
    "nul": b"label,p0,p1,p2,p3\na,\0,2,3,4\nb,1,2,3,4\n",
    "no-text": b"label,p0,p1,p2,p3\n\xff\xfe\xfd,1,2,3,4\nb,1,2,3,4\n",
    "quote": 'label,p0,p1,p2,p3\n"a,1,2,3,4\nb,1,2,3,4\n',
    "long-label": f"label,p0,p1,p2,p3\n{'x' * 3000},1,2,3,4\nb,1,2,3,4\n",
    "long-line": b"," * 5_100_000,
    "columns": b"1," * 210_000 + b"1\n1\n",
    "escapes": "\x1b[31m,label,target,p0,p1,p2,p3\n1,a,b,1,2,3,4\n",
    "escapes-pixel": "label,p0,p1,p2,\x1b[31m\na,1,2,3,\x1b[31m\n",
    "escapes-label": "label,p0,p1,p2,p3\n\x1b[31m,1,2,3,4\n\x1b[31m,1,2,3,4\n",
    "escapes-alone": "\x1b[31m\n",
    "paths": "image,label\n../../etc/passwd,a\n/etc/shadow,b\n",
}  # fmt: skip
ARCHIVES: dict[str, bytes] = {
    "pickle": npz(x=np.array([{}, 1], object), y=LABELS[:2]),
    "no-labels": npz(x=IMAGES),
    "lengths": npz(x=IMAGES, y=LABELS[:3]),
    "nan": npz(x=np.full((6, 8, 8), np.nan), y=LABELS),
    "negative": npz(x=IMAGES.astype(int) - 7, y=LABELS),
    "negative-label": npz(x=IMAGES, y=LABELS - 5),
    "huge-label": npz(x=IMAGES, y=LABELS + 2**62),
    "nan-label": npz(x=IMAGES, y=np.full(6, np.nan)),
    "complex": npz(x=IMAGES * 1j, y=LABELS),
    "dates": npz(x=IMAGES.astype("M8[s]"), y=LABELS),
    "texts": npz(x=np.array(["a", "b"]), y=LABELS[:2]),
    "no-axis": npz(x=np.float32(3), y=LABELS),
    "six-axes": npz(x=np.zeros((6, 1, 1, 1, 2, 2)), y=LABELS),
    "empty": npz(x=IMAGES[:0], y=LABELS[:0]),
    "no-pixels": npz(x=np.zeros((6, 0, 8)), y=LABELS),
    "no-arrays": archive("a.txt"),
    "climbing": archive("../../x.npy", "/y.npy"),
    "escapes": npz(**{f"k{RED}": np.zeros(3)}),
    "cut": npz(x=IMAGES, y=LABELS)[:-40],
}  # fmt: skip
ARRAYS: dict[str, bytes] = {
    "huge": npy(HUGE),
    "negative": npy(HUGE.replace("4000000000", "-1")),
    "code": npy("__import__('os').system('echo planted')"),
    "object": npy(HUGE.replace("|u1", "|O").replace("4000000000", "1"), b"cos\nsystem\n"),
    "deep": npy("(" * 100),
    "descr": npy("{'descr': 'u99', 'fortran_order': 3, 'shape': 'x', }"),
    "version": b"\x93NUMPY\x09\x00" + bytes(200),
    "header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
}
IDX: dict[str, bytes] = {
    "more": idx_bytes(IMAGES) + b"more",
    "less": idx_bytes(IMAGES)[:-1],
    "claims": struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3),
    "axes": struct.pack(">4B", 0, 0, 8, 255) + bytes(1020),
    "type": struct.pack(">4B3I", 0, 0, 13, 3, 1, 2, 2) + bytes(16),
    "none": struct.pack(">4B3I", 0, 0, 8, 3, 0, 28, 28),
    "labels": idx_bytes(LABELS),
    "unlabeled": idx_bytes(IMAGES),
}
PICTURES: dict[str, bytes] = {
    "claims": png(13_000, 13_000, bytes(9)),
    "cut": png(8, 8, bytes(72))[:-30],
    "rows": png(8, 8, bytes(9)),
    "flipped": png(8, 8, bytes(72)).replace(b"IDAT", b"IDAU"),
    "no-size": png(0, 0, b""),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
    "icon": b"\0\0\1\0\1\0" + bytes(60),
    "text": b"a picture",
}


def data_cases() -> list[Case]:
    def named(kind: str, command: str, file: str, table: dict[str, Any]) -> list[Case]:
        words = tuple(command.split())
        return [Case(f"{kind}-{name}", words, {file: found}) for name, found in table.items()]

    pair = "train --data images-idx3-ubyte"
    return [
        *named("table", "train --data a.csv", "a.csv", TABLES),
        *named("archive", "train --data a.npz", "a.npz", ARCHIVES),
        *named("array", "train --data a.npy", "a.npy", ARRAYS),
        *named("idx", pair, "images-idx3-ubyte", IDX),
        *named("picture", f"predict {RUN} a.png", "a.png", PICTURES),
        Case(
            "table-bomb",
            ("train", "--data", "a.csv.gz"),
            {"a.csv.gz": gzip.compress(b"," * 8_000_000, 1)},
        ),
        Case(
            "idx-bomb",
            ("train", "--data", "images-idx3-ubyte.gz"),
            {"images-idx3-ubyte.gz": gzip.compress(idx_bytes(IMAGES) + bytes(8_000_000), 1)},
        ),
        *(
            Case(f"name-{place}", ("train", "--data", name), {name: "1"})
            for place, name in enumerate((f"{RED}.csv", f"{RED}.tgz", f"{RED}.npz", RED))
        ),
        Case("name-none", ("train", "--data", f"none{RED}")),
        Case("broken-among", ("train", "--data", "f"), {"f": broken_folder}),
        Case("dangling", ("train", "--data", "f"), {"f": dangling_folder}),
        Case("empty-classes", ("train", "--data", "f"), {"f": empty_folder}),
    ]  # fmt: skip


# ---- weights and runs ------------------------------------------------------------------------


BYTES: dict[str, Content] = {
    "cut": changed(lambda content: content[:-5]),
    "flipped": changed(lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]),
    "more": changed(lambda content: content + b"more"),
    "length": header("{}", 2**63),
    "long": header("{}", 90_000_000),
    "no-json": header("{" * 3000),
    "no-arrays": header("{}"),
    "claims": header('{"a":{"dtype":"F32","shape":[999999999,99],"data_offsets":[0,9]}}'),
    "offsets": header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[9,3]}}'),
    "pickle": b"\x80\x04cposix\nsystem\n(S'echo planted'\ntR.",
    "values": header('{"__metadata__":{"gpucnn":"[' + "[]," * 400_000 + '[]]"}}'),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
}  # fmt: skip
DESCRIPTIONS: dict[str, Content] = {
    "network-again": described(network=doubling(40)),
    "network-layers": described(network=sequential(*[RELU] * 20_000)),
    "values": described(reading=[[]] * 400_000),
    "classes": described(class_names=[str(k) for k in range(10**4)]),
    "class-types": described(class_names=[1, 2, 3]),
    "class-text": described(class_names=["a", "b", "\ud800"]),
    "class-twice": described(class_names=["a", "a"]),
    "shape": described(image_shape=[1, 10**6, 10**6]),
    "shape-negative": described(image_shape=[1, -8, 8]),
    "shape-text": described(image_shape="1x8x8"),
    "model-type": described(model=3),
    "scale": described(scale="many"),
    "loss": described(loss=RED),
    "reading": described(reading={"convert": RED}),
}  # fmt: skip
RESUMED: dict[str, Content] = {
    "step-negative": resumed(step=-5), "step-huge": resumed(step=10**9),
    "step-true": resumed(step=True),
    "epoch": resumed(epoch=10**9), "class-names": resumed(class_names=3),
    "cut": BYTES["cut"], "flipped": BYTES["flipped"], "text": b"no weights",
}  # fmt: skip
CONFIGS: dict[str, str | bytes] = {
    "unknown": "epoch = 3", "type": 'epochs = "3"', "true": "epochs = true",
    "nan": "learning_rate = nan", "dotted": f"x = [{'.'.join('a' * 300)}]",
    "infinite": "learning_rate = inf", "negative": "batch_size = -1",
    "huge": f"seed = {'9' * 5000}", "date": "epochs = 2020-01-01", "list": "epochs = [1, 2]",
    "table": "[epochs]\na = 1", "twice": "epochs = 1\nepochs = 2", "no-text": b"\xff\xfe",
    "nul": 'data = "a\\u0000b"',
    "deep": ".".join("a" * 5000) + "=1", "brackets": "x = " + "[" * 5000, "long": "#" * 70_000,
    "escapes-value": 'device = "\\u001b[31m\\nfix: forged"', "escapes-raw": "\x1b[31m",
    "escapes-key": '"\\u001b[31m\\nfix: forged" = 1', "escapes-choice": 'optimizer = "\\u009b31m"',
    "long-key": f"{'x' * 60_000} = 1", "long-text": f'optimizer = "{"x" * 60_000}"',
    "long-number": f'epochs = "{"x" * 60_000}"',
    "long-shape": f'image_shape = "{"x" * 60_000}"',
}  # fmt: skip


def run_cases() -> list[Case]:
    resume, outside = ("train", "--resume", RUN), ("predict", "a.safetensors", "b.npy")
    return [
        *(Case(f"weights-{name}", ("predict", RUN, "b.npy"), {LAST: content})
          for name, content in BYTES.items()),
        *(Case(f"described-{name}", outside, {"a.safetensors": content})
          for name, content in DESCRIPTIONS.items()),
        Case("described-code", outside, {"a.safetensors": described(model="/x.py:f")}, USAGE),
        *(Case(f"resume-{name}", resume, {LAST: content}) for name, content in RESUMED.items()),
        *(Case(f"config-{name}", ("train", "--config", "a.toml"), {"a.toml": content}, USAGE)
          for name, content in CONFIGS.items()),
        *(Case(f"run-{name}", resume, {f"{RUN}/config.toml": content}, USAGE)
          for name, content in CONFIGS.items() if name in ("unknown", "deep", "escapes-value")),
    ]  # fmt: skip


# ---- settings --------------------------------------------------------------------------------

#: Name -> variable, value, and exit code.
VARIABLES: dict[str, tuple[str, str, int]] = {
    "misspelt": ("GPUCNN_EPOCH", "3", USAGE), "no-option": ("GPUCNN_RESUME", "1", USAGE),
    "other-name": ("GPUCNN_LR", "1e-3", USAGE), "float": ("GPUCNN_EPOCHS", "1.5", USAGE),
    "negative": ("GPUCNN_EPOCHS", "-1", USAGE), "digits": ("GPUCNN_EPOCHS", "9" * 5000, USAGE),
    "nan": ("GPUCNN_LEARNING_RATE", "nan", USAGE), "bool": ("GPUCNN_STANDARDISE", "yea", USAGE),
    "device": ("GPUCNN_DEVICE", "tpu", USAGE), "no-text": ("GPUCNN_NAME", "a\udce4b", USAGE),
    "escapes": ("GPUCNN_OPTIMIZER", RED, USAGE), "escapes-name": (f"GPUCNN_{RED}", "1", USAGE),
    "escapes-device": ("GPUCNN_DEVICE", RED, USAGE), "escapes-data": ("GPUCNN_DATA", RED, DATA),
    "escapes-epochs": ("GPUCNN_EPOCHS", RED, USAGE),
}  # fmt: skip
LIMITS = {
    "megabytes": ("GPUCNN_MAX_INPUT_MB", "many", USAGE),
    "no-megabytes": ("GPUCNN_MAX_INPUT_MB", "0", USAGE),
    "escapes": ("GPUCNN_MAX_INPUT_MB", RED, USAGE),
    "pixels": ("GPUCNN_MAX_PIXELS", "-3", USAGE),
    "few-pixels": ("GPUCNN_MAX_PIXELS", "7", DATA),
}
#: Commands that read a run, and their arguments.
RUN_COMMANDS = {
    "evaluate": (RUN,), "summary": (RUN,), "runs": (), "train": ("--resume", RUN),
    "inspect": (RUN,), "report": (RUN,),
}  # fmt: skip
LONG = "x" * 300  # a file name may have 255 bytes
#: Arguments, for each exit code.
COMMANDS: dict[int, tuple[tuple[str, ...], ...]] = {
    USAGE: (
        (RED,), ("train", f"--{RED}"), ("train", RED), ("summary", "--model", RED),
        ("data", "path", RED), ("explain", RED), ("train", "--config", RED),
        ("train", "--data", "x" * 5000), ("train", "--data", "a\0b"),
        ("train", "--weights", "a\0b"), ("train", "--config", LONG),
        *((*command.split(), number)
          for command in ("summary --classes", "summary --batch", f"predict {RUN} b.npy --top",
                          "profile --batch-size", "profile --threads", "bench train --threads",
                          f"serve {RUN} --batch-size")
          for number in (str(2**31), str(2**63), "9" * 400)),
        *(("train", "--data", "digits", "--name", name) for name in ("../x", "a/b", ".", "..", "")),
    ),
    DATA: (
        ("predict", RED, "a"), ("evaluate", RED), ("report", RED), ("inspect", RED),
        ("serve", RED), ("export", RED, "--onnx", "a.onnx"), ("summary", RED),
        ("train", "--resume", RED), ("import", RED), ("runs", RED), ("runs", LONG),
        ("predict", RUN, RED), ("predict", RUN, "a\0b"), ("train", "--resume", "a\0b"),
        ("predict", RUN, LONG), ("predict", LONG, "a"), ("evaluate", LONG), ("import", LONG),
        ("train", "--resume", LONG), ("train", "--weights", LONG), ("train", "--data", LONG),
    ),
    1: (
        ("train", "--data", "digits", "--model", "softmax", "--name", LONG),
        ("train", "--data", "digits", "--model", "softmax", "--runs-dir", "/proc/none"),
    ),
}  # fmt: skip


def setting_cases() -> list[Case]:
    train = ("train", "--limit-batches", "1")
    picture = {"a.png": png(8, 8, bytes(72))}
    return [
        *(Case(f"variable-{name}", train, {}, code, variables={variable: value})
          for name, (variable, value, code) in VARIABLES.items()),
        Case("variable-escapes-folder", ("data", "verify", "mnist"),
             variables={"GPUCNN_DATA_DIR": RED}),
        *(Case(f"limit-{name}", ("predict", RUN, "a.png"), picture, code, variable,
               variables={variable: value})
          for name, (variable, value, code) in LIMITS.items()),
        *(Case(f"limit-{command}", (command, *words), {}, USAGE, "variable GPUCNN_MAX_INPUT_MB",
               variables={"GPUCNN_MAX_INPUT_MB": "0"})
          for command, words in RUN_COMMANDS.items()),
        *(Case(f"command-{code}-{place}", words, {}, code)
          for code, commands in COMMANDS.items() for place, words in enumerate(commands)),
    ]  # fmt: skip


NETWORKS: dict[str, bytes] = {
    "text": b"no network", "varint": b"\xff" * 300, "nested": b"\x3a\x7f" * 3000,
    "claims": b"\x3a\xff\xff\xff\xff\x07" + bytes(50), "version": b"\x08\x63",
}  # fmt: skip


def all_cases() -> list[Case]:
    """The whole table."""
    networks = [
        Case(f"network-{name}", ("import", "a.onnx"), {"a.onnx": content})
        for name, content in NETWORKS.items()
    ]
    return [*special_cases(), *data_cases(), *run_cases(), *networks, *setting_cases()]
