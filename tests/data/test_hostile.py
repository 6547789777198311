"""Files that are no files, claim more than they have, or unpack without end."""

from __future__ import annotations

import gzip
import io
import json
import re
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_files import idx_bytes
from hostile_files import chunk, device, fifo
from processes import environment

from gpucnn import files
from gpucnn.data import Reading
from gpucnn.data.csv import read_table
from gpucnn.data.idx import IMAGES, read_idx
from gpucnn.data.image import FORMATS, open_image, open_picture
from gpucnn.data.npz import load_numpy
from gpucnn.data.pictures import read_pictures
from gpucnn.data.resolve import read
from gpucnn.errors import DataError, GpucnnError, UsageError
from gpucnn.nn import Linear
from gpucnn.training import TrainConfig


@pytest.mark.parametrize(("make", "kind"), [(fifo, "it is a FIFO"), (device, "it is a device")])
def test_only_regular_files_are_read(
    tmp_path: Path, make: Callable[[Path], None], kind: str
) -> None:
    """By Python; those that commands read are in the table of hostile_inputs.py."""
    for name, read_it in (
        ("a.csv", read),
        ("a.toml", TrainConfig.load),
        ("a.safetensors", Linear(3, 2).load_torch_state),
    ):
        make(tmp_path / name)
        with pytest.raises(GpucnnError, match=re.escape(name)) as error:
            read_it(tmp_path / name)
        assert kind in (error.value.cause or "")


def test_a_directory_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        files.read(tmp_path)


def test_the_limit_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        file.truncate(2_000_001)  # takes no space on the disk
    monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", "2")
    for reader in (read, read_table):
        with pytest.raises(DataError) as error:
            reader(path)
        assert "more than 2,000,000 bytes; GPUCNN_MAX_INPUT_MB" in (error.value.cause or "")
    monkeypatch.delenv("GPUCNN_MAX_INPUT_MB")
    with pytest.raises(OSError, match="10 are read at most"):
        files.read(path, 10)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "9" * 40, "\u0663"])
def test_a_limit_that_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "a.csv").write_text("1,2\n")
    monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", text)
    with pytest.raises(UsageError, match="variable GPUCNN_MAX_INPUT_MB is") as error:
        read(tmp_path / "a.csv")
    assert "a whole number of megabytes above 0" in (error.value.cause or "")
    assert "unset GPUCNN_MAX_INPUT_MB" in (error.value.fix or "")


@pytest.mark.parametrize("packed", [False, True])
def test_no_more_of_an_idx_file_is_read_than_its_header_says(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "images-idx3-ubyte"
    content = idx_bytes(np.zeros((3, 2, 2))) + bytes(3_000_000)
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match="has at least 29 bytes; its header says 28"):
        read_idx(path, IMAGES)


def test_a_header_that_claims_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"1")
    with pytest.raises(DataError, match="has 17 bytes; its header says"):
        read_idx(path, IMAGES)


def test_a_table_that_unpacks_to_much_more_than_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpucnn.data.gzip_files._FREE", 10_000)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"3,0,1,2,255\n" * 20_000))
    with pytest.raises(DataError, match=r"unpacks to more than \d+,\d+ bytes") as error:
        read_table(path)
    assert "GPUCNN_MAX_INPUT_MB" in (error.value.fix or "")
    monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", "1")
    table = read_table(path)
    assert table.pixels is not None
    assert len(table.pixels) == 20_000


@pytest.mark.parametrize("line", [b"," * 5_000_001, b"1," * 300_000 + b"1\n1\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_lines_that_no_image_has(tmp_path: Path, line: bytes, packed: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(line, 1) if packed else line)
    with pytest.raises(DataError, match=r"more than (200,000 columns|5,000,000 bytes)"):
        read_table(path)


def test_the_text_of_a_table_is_not_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = "x" * 3000
    for text in (
        f"label,p0,p1,p2,p3\n{long},1,2,3,4\nb,1,2,3,4\n",
        f"label,p0,p1,p2,p3\n{long * 50},1,2,3,4\nb,1,2,3,4\n",
        f"label,p0,p1,p2,{long}\na,1,2,3,y\nb,1,2,3,4\n",
        f"{long},label,target,p0,p1,p2,p3\n1,a,b,1,2,3,4\n",
    ):
        path.write_text(text)
        with pytest.raises(DataError) as error:
            read(path)
        assert "x" * 201 not in str(error.value)


def test_pieces_of_a_table_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{k % 10},{k % 256},1,2,{(7 * k) % 256}" for k in range(300)]
    expected = [[k % 256, 1, 2, (7 * k) % 256] for k in range(300)]
    path = tmp_path / "a.csv"
    for end, encoding in (
        ("\n", "utf-8"),
        ("\r\n", "utf-8"),
        ("\r\n\r\n", "utf-16"),
        ("\r", "utf-8"),
    ):
        path.write_bytes(end.join(rows).encode(encoding))
        for size in (1, 2, 7, 1000):
            monkeypatch.setattr("gpucnn.data.gzip_files._PIECE", size)
            table = read_table(path)
            assert table.pixels is not None
            assert table.pixels.tolist() == expected
    path.write_text("\n\n" + "\n".join([*rows, "1,2,3,4"]))
    with pytest.raises(DataError, match="line 303: 4 columns, where line 3 has 5"):
        read_table(path)


def test_an_archive_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1200, 1000), np.uint8), y=np.zeros(9))
    assert len(load_numpy(tmp_path / "a.npz")) == 2
    monkeypatch.setenv("GPUCNN_MAX_INPUT_MB", "1")
    with pytest.raises(DataError) as error:
        load_numpy(tmp_path / "a.npz")
    assert "more than 1,000,000 bytes" in (error.value.cause or "")


def noise(kind: str, **options: object) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "GIF"])
def test_truncated_pictures(tmp_path: Path, kind: str) -> None:
    """They are refused, but for a padding or checksum at the end that holds no pixels."""
    whole, path = noise(kind), tmp_path / "a.png"
    path.write_bytes(whole)
    expected = open_image(path)
    for missing in [*range(1, 25), len(whole) // 2, len(whole) - 1, len(whole)]:
        path.write_bytes(whole[:-missing])
        if missing <= {"PNG": 4, "BMP": 2}.get(kind, 0):
            np.testing.assert_array_equal(open_image(path), expected)
            continue
        with pytest.raises(DataError, match="cannot be read as a picture"):
            open_image(path)


def test_a_bit_of_a_picture_is_flipped(tmp_path: Path) -> None:
    whole = bytearray(noise("PNG"))
    whole[len(whole) // 2] ^= 4
    (tmp_path / "a.png").write_bytes(whole)
    with pytest.raises(DataError, match="cannot be read as a picture"):
        open_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["EPS", "ICO", "TGA", "PDF", "PCX"])
def test_formats_that_are_not_named_are_not_opened(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(noise(kind))
    with pytest.raises(DataError) as error:
        open_image(tmp_path / "a.png")
    assert "it is none of PNG, JPEG" in (error.value.cause or "")


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation_is_taken_and_that_is_said(
    tmp_path: Path, kind: str
) -> None:
    from PIL import Image

    frames = [Image.new("L", (9, 9), level) for level in (250, 10, 120)]
    path = tmp_path / f"a.{kind.lower()}"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])
    picture, notes = open_picture(path)
    assert abs(int(picture.whole().flat[0]) - 250) < 5
    assert notes == ["it has several frames, and the first is taken"]
    found = read_pictures([path], Reading(), "here")
    assert found.doubts == {str(path): notes}
    assert found.notes == [f"{path}: {notes[0]}"]
    frames[0].save(path, kind)
    assert open_picture(path)[1] == []


def test_the_number_of_pixels_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = struct.pack(">IIBBBBB", 9000, 9000, 1, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
    path = tmp_path / "a.png"
    path.write_bytes(start + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"a\.png has 9000 x 9000 pixels") as error:
        open_image(path)
    assert "25,000,000" in (error.value.cause or "")
    assert "GPUCNN_MAX_PIXELS" in (error.value.fix or "")
    path.write_bytes(noise("PNG"))
    monkeypatch.setenv("GPUCNN_MAX_PIXELS", "1199")
    with pytest.raises(DataError, match="30 x 40 pixels"):
        open_image(path)
    monkeypatch.setenv("GPUCNN_MAX_PIXELS", "1200")
    assert open_image(path).shape == (40, 30)
    monkeypatch.setenv("GPUCNN_MAX_PIXELS", "many")
    with pytest.raises(UsageError, match="GPUCNN_MAX_PIXELS is 'many'"):
        open_image(path)


_MEASURED = """
import json, os, sys, time
from pathlib import Path
from gpucnn.data import Reading
from gpucnn.data.resolve import read
from gpucnn.errors import GpucnnError
from gpucnn.training import TrainConfig
from PIL import Image

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

for name in sys.argv[1:]:
    # In a process of its own: memory that one file frees would serve the next.
    if os.fork():
        os.wait()
        continue
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, begun = peak(), time.process_time()
    try:
        reading = Reading()
        if "mnist" in name:
            reading = Reading(convert="mnist")
        elif "size" in name:
            reading = Reading(image_size=(64, 64))
        if name.endswith("toml"):
            TrainConfig.load(name)
        else:
            read(Path(name), reading, labeled="label" in name)
        error = None
    except GpucnnError as refused:
        error = str(refused)
    print(json.dumps([name, peak() - before, time.process_time() - begun, error]), flush=True)
    os._exit(0)
"""


def save_large_pictures(folder: Path) -> dict[str, tuple[float, str]]:
    """Pictures of 25,000,000 pixels: name -> size in memory in MB, and what is said of it."""
    from PIL import Image, ImageDraw

    side = 5000
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    colors = Image.new("RGB", (side, side), (250, 245, 240))
    ImageDraw.Draw(colors).line([(900, 900), (4000, 900), (1800, 4200)], (9, 0, 30), 350)
    gray = colors.getchannel(0)
    gray.convert("1").save(folder / "size-1.png")
    colors.save(folder / "size-turned.jpg", exif=exif)
    colors.save(folder / "size-turned.tif", exif=exif, compression="tiff_adobe_deflate")
    colors.quantize(4).save(folder / "size-palette.gif")
    colors.save(folder / "size-progressive.jpg", progressive=True, subsampling=0)
    colors.save(folder / "size.webp", method=0)
    colors.save(folder / "mnist.ppm")
    Image.new("F", (side, side)).save(folder / "size-float.tif", compression="tiff_adobe_deflate")
    Image.merge("LA", (gray, gray)).save(folder / "size-alpha.png", compress_level=1)
    specks = np.full((1024, 1024), 255, np.uint8)
    specks[2:-2:2, 2:-2:2] = 0
    Image.fromarray(specks).save(folder / "mnist-specks.png")
    many = folder / "size-many"
    many.mkdir()
    for k in range(3):
        gray.save(many / f"{k}.png", compress_level=1)
    gray_size, color_size = (channels * side**2 / 1e6 for channels in (1, 4))
    return {
        "size-1.png": (gray_size, ""),
        "size-turned.jpg": (color_size, ""),
        "size-turned.tif": (color_size, ""),
        "size-palette.gif": (gray_size, ""),
        "size-progressive.jpg": (color_size + 150, ""),  # its coefficients
        "size.webp": (color_size + 300, ""),  # libwebp holds three more
        "mnist.ppm": (color_size, ""),
        "size-float.tif": (0, "more than 8 bits"),
        "size-alpha.png": (color_size, ""),
        "mnist-specks.png": (1, ""),
        "size-many": (gray_size, ""),
    }


@pytest.mark.slow
def test_memory_and_time(tmp_path: Path) -> None:
    """No file costs more than 64 MB beyond its declared size, or 1 s a MB."""
    with gzip.open(tmp_path / "commas.csv.gz", "wb", 1) as file:
        for _ in range(100):
            file.write(b"," * 1_000_000)
    with gzip.open(tmp_path / "images-idx3-ubyte.gz", "wb", 1) as file:
        file.write(struct.pack(">4B3I", 0, 0, 8, 3, 199, 28, 28))
        for _ in range(100):
            file.write(bytes(1_000_000))
    with (tmp_path / "more-images-idx3-ubyte").open("wb") as file:
        file.write(struct.pack(">4B3I", 0, 0, 8, 3, 199, 28, 28))
        file.truncate(2_000_000_000)
    (tmp_path / "columns.csv").write_bytes(b"1," * 5_000_000 + b"1\n")
    names = ",".join(f"pixel{k}" for k in range(190_000))
    (tmp_path / "names.csv").write_text(f"{names}\n" + "1," * 189_999 + "1\n")
    (tmp_path / "rows.csv").write_bytes(b"0,0,0,0,0\n1,2,3,4,5\n" * 500_000)
    (tmp_path / "blank.csv").write_bytes(b"\n" * 5_000_000)
    (tmp_path / "label.csv").write_bytes(
        b"label,a,b,c,d\n" + b"x" * 100_000 + b",1,2,3,4\n" + b"b,1,2,3,4\n" * 9999
    )
    (tmp_path / "label-word.csv").write_bytes(
        b"label,pixel0\n" + b"a" * 199 + b",3\n" + b"1,2\n2,3\n" * 1_000_000
    )
    (tmp_path / "label-float.csv").write_bytes((b"1" + b",.5" * 10_000 + b"\n") * 500)
    (tmp_path / "label-count.csv").write_text("".join(f"{k},1,2,3,4\n" for k in range(700_000)))
    names = [f"pixel{k}" for k in range(2500)] + [f"class_{k}" for k in range(2000)]
    rows = ("1," * 2500 + "0," * (k % 2000) + "1" + ",0" * (1999 - k % 2000) for k in range(1500))
    (tmp_path / "label-hot.csv").write_text("\n".join([",".join(names), *rows]))
    (tmp_path / "lines.csv.gz").write_bytes(gzip.compress(b"1,2\n" * 17_000_000, 1))
    many = np.zeros((2_000_000, 1, 1), np.uint8)
    for name, images, labels in (
        ("label-count.npz", many[:9], np.zeros(30_000_000, np.uint8)),
        ("label-wide.npz", many[:200], np.zeros((200, 1_000_000), np.uint8)),
        ("label-hot.npz", many[:2000], np.eye(2000, 20_000, dtype=np.uint8)),
        ("label-bool.npz", many, np.zeros(2_000_000, bool)),
        ("label-text.npz", many, np.zeros(2_000_000, "S1")),
    ):
        np.savez_compressed(tmp_path / name, x=images, y=labels)
    (tmp_path / "a.toml").write_text("a." * 20_000 + "a=1")
    size = struct.pack(">IIBBBBB", 13_000, 13_000, 1, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(9)))
    )
    # name -> its declared size in MB, and what is said
    expected = {
        **save_large_pictures(tmp_path),
        "commas.csv.gz": (0, "line of more than 5,000,000 bytes"),
        "images-idx3-ubyte.gz": (0.2, "its header says 156,032"),
        "more-images-idx3-ubyte": (0.2, "its header says 156,032"),
        "columns.csv": (10, "line of more than 5,000,000 bytes"),
        "names.csv": (2.4, "no square|neither the pixels"),
        "rows.csv": (10, ""),
        "blank.csv": (5, "has no images"),
        "label.csv": (0.2, "the label has 100,000 characters"),
        "label-word.csv": (8 + 2 * 13, ""),
        "label-float.csv": (15 + 5 * 4, ""),
        "label-count.csv": (9, "it numbers the rows"),
        "label-hot.csv": (13.5, ""),
        "lines.csv.gz": (64, "unpacks to more than 64,000,000 bytes"),
        "label-count.npz": (30, "9 images but 30,000,000 labels"),
        "label-wide.npz": (200, "a place for each class, at most 65,536"),
        "label-hot.npz": (40, ""),
        "label-bool.npz": (2 * 2 + 2 * 12, ""),
        "label-text.npz": (2 * 2 + 2 * 12, "the label is ''"),
        "a.toml": (0, "nested too deeply"),
        "a.png": (0, "13000 x 13000 pixels"),
    }
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *(str(tmp_path / name) for name in expected)],
        env=environment(),
        text=True,
        capture_output=True,
        timeout=120,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
    )
    found = {Path(row[0]).name: row[1:] for row in map(json.loads, done.stdout.splitlines())}
    assert set(found) == set(expected)
    for name, (declared, message) in expected.items():
        memory, seconds, error = found[name]
        assert memory < (64 + declared) * 1e6, (name, memory)
        size = max((tmp_path / name).stat().st_size / 1e6, declared)
        assert seconds < max(1.0, size), (name, seconds)
        assert any(part in (error or "") for part in message.split("|")), (name, error)
