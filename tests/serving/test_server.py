"""The server: real requests on the loopback interface, and the answers of the library."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving_client import (
    DRAWING,
    DRAWINGS,
    IMAGES,
    Client,
    expected,
    form,
    picture,
    probabilities,
    served,
    trained,
)

from gpucnn.data import Dataset, Reading, Splits
from gpucnn.data.image import Upload
from gpucnn.errors import DivergedError
from gpucnn.training import SavedModel


def transparent(drawing: Any) -> Image.Image:
    ink = np.zeros((*drawing.shape, 4), np.uint8)
    ink[..., 3] = 255 - drawing
    return Image.fromarray(ink)


def upright(drawing: Any) -> bytes:
    """A photograph that is stored lying on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(np.rot90(drawing), "JPEG", exif=exif)


PICTURES = {
    "gray.png": picture(DRAWINGS[2], "PNG"),
    "color.jpg": picture(np.stack([DRAWINGS[3]] * 3, axis=2), "JPEG", quality=80),
    "transparent.png": picture(transparent(DRAWINGS[4]), "PNG"),
    "chalk.bmp": picture(255 - DRAWINGS[5], "BMP"),
    "drawing.webp": picture(Image.fromarray(DRAWINGS[6]).convert("RGB"), "WEBP"),
    "drawing.gif": picture(DRAWINGS[7], "GIF"),
    "drawing.tif": picture(DRAWINGS[8], "TIFF"),
    "drawing.pgm": picture(DRAWINGS[9], "PPM"),
    "photo.jpg": upright(DRAWINGS[1]),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_gets_the_answer_of_predict(
    client: Client, digits: SavedModel, tmp_path: Path, name: str
) -> None:
    """Bit for bit, however it is sent."""
    (tmp_path / name).write_bytes(PICTURES[name])
    images = digits.find(tmp_path / name, labeled=False).images
    kind = "image/jpeg" if name.endswith("jpg") else "image/png"  # which is not looked at
    assert probabilities(client.predict(PICTURES[name], kind)) == expected(digits, images)
    assert probabilities(client.predict(*form((name, PICTURES[name])))) == expected(digits, images)
    if name.endswith("png"):
        url = "data:image/png;base64," + base64.b64encode(PICTURES[name]).decode()
        assert probabilities(client.predict({"canvas": url})) == expected(digits, images)


def test_several_pictures_in_a_form(client: Client, digits: SavedModel, tmp_path: Path) -> None:
    files = [(f"{n % 2}.png", picture(DRAWINGS[n], "PNG")) for n in range(5)]  # equal names
    found = [digits.find(_written(tmp_path, content)).images for _, content in files]
    answer = client.predict(*form(*files))
    assert probabilities(answer) == expected(digits, np.concatenate(found))


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "one.png"
    path.write_bytes(content)
    return path


def test_notes_stand_beside_their_picture(client: Client) -> None:
    two = np.concatenate([DRAWINGS[2], DRAWINGS[3]], axis=1)
    files = [("one", picture(DRAWINGS[1], "PNG")), ("two", picture(two, "PNG"))]
    answers = client.predict(*form(*files)).json["predictions"]
    assert answers[0]["notes"] == []
    assert "several digits" in answers[1]["notes"][0]


IMAGE = IMAGES[0]  # (1, 28, 28)
SPELLINGS = {
    "rows": IMAGE[0].tolist(),
    "channels first": IMAGE.tolist(),
    "channels last": IMAGE[0, :, :, None].tolist(),
    "a row": IMAGE.reshape(-1).tolist(),
    "a batch of one": IMAGE[None].tolist(),
    "floats": (IMAGE[0] / 255).tolist(),
    "whole floats": IMAGE[0].astype(float).tolist(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_array_of_one_image(client: Client, digits: SavedModel, spelling: str) -> None:
    answer = client.predict(SPELLINGS[spelling])
    assert probabilities(answer) == expected(digits, IMAGES[:1])


SHAPES = [(28, 28), (1, 28, 28), (28, 28, 1), (784,)]


@pytest.mark.parametrize(("count", "shape"), [(256, (28, 28)), *itertools.product((2, 28), SHAPES)])
def test_an_array_of_many_images(
    client: Client, digits: SavedModel, count: int, shape: tuple[int, ...]
) -> None:
    body = IMAGES[:count].reshape(count, *shape).tolist()
    assert probabilities(client.predict(body)) == expected(digits, IMAGES[:count])


DARK = (IMAGE // 128).tolist()  # zeros and ones
KINDS: dict[str, tuple[Any, str]] = {
    "zeros and ones": (DARK, "zeros and ones as black and white"),
    "booleans": ((IMAGE > 99).tolist(), "true as 255"),
    "floats": ((IMAGES[1] / 255).tolist(), "0 to 1 as 0 to 255"),
    "zeros and ones as floats": ((IMAGE // 128).astype(float).tolist(), "0 to 1 as 0 to 255"),
    "whole floats": (IMAGES[2].astype(float).tolist(), ""),
    "whole numbers": (IMAGES[3].tolist(), ""),
}


def test_how_an_image_is_read_depends_on_it_alone(
    untaught: Callable[..., SavedModel],
) -> None:
    saved = untaught((1, 28, 28), ["no", "yes"])
    alone = {}
    with served(saved, batch_size=1) as client:
        for kind, (image, note) in KINDS.items():
            (alone[kind],) = client.predict(image).json["predictions"]
            assert " ".join(alone[kind]["notes"]) == note
        for kinds in (list(KINDS), list(KINDS)[::-1], ["zeros and ones", "whole numbers"]):
            answer = client.predict([KINDS[kind][0] for kind in kinds]).json["predictions"]
            for kind, found in zip(kinds, answer, strict=True):
                assert found["notes"] == alone[kind]["notes"]
                for name, share in found["probabilities"].items():  # a batch has other last bits
                    assert share == pytest.approx(alone[kind]["probabilities"][name], abs=1e-4)


def test_an_error_names_the_image(client: Client) -> None:
    for body, message in (
        (np.full((28, 28), 300), "the array holds 300"),
        (np.stack([IMAGES[0, 0], np.full((28, 28), 9.5)]), "image 1 of the array holds 9.5"),
    ):
        error = client.predict(body.tolist()).error
        assert error["message"] == message
    assert error["fix"] == "round the pixels, as in numpy.rint(x)"


def test_the_layers_of_an_image(client: Client, digits: SavedModel) -> None:
    answer = client.predict(picture(DRAWINGS[7], "PNG"), "image/png", "?layers=1").json
    seen = Image.open(io.BytesIO(base64.b64decode(answer["input"].partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(seen), pen_input(digits, DRAWINGS[7]))
    assert [layer["name"] for layer in answer["layers"]] == [
        "conv1 (Conv2d, relu)", "conv2 (Conv2d, relu)"
    ]  # fmt: skip
    assert [layer["shape"] for layer in answer["layers"]] == [[6, 28, 28], [16, 10, 10]]
    first = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(answer["layers"][0]["maps"][0].partition(",")[2])))
    )
    assert first.shape == (28, 28, 3)
    assert (first[..., 0] >= first[..., 2]).all()  # after a ReLU nothing is blue


def pen_input(saved: SavedModel, drawing: Any) -> Any:
    upload = Upload(picture(drawing, "PNG"), "drawing")
    return saved.read_picture(upload).images[0, 0]


# ---- many requests ---------------------------------------------------------------------------


def test_requests_at_the_same_time_get_their_own_answers(
    client: Client, digits: SavedModel
) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda image: client.predict(image.tolist()), IMAGES[:64]))
    found = np.array([[p[name] for name in digits.class_names]
                      for answer in answers for p in probabilities(answer)])  # fmt: skip
    # The bits of a product depend on the number of rows; LeNet's longest sum has 400 terms.
    np.testing.assert_allclose(found, digits.predict(IMAGES[:64]), atol=400 * 2**-23)


def test_a_batch_size_of_1_gives_the_same_bits_at_any_load(digits: SavedModel) -> None:
    with served(digits, batch_size=1) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda image: client.predict(image.tolist()), IMAGES[:64]))
    for answer, image in zip(answers, IMAGES, strict=False):
        assert probabilities(answer) == expected(digits, image[None])


# ---- other models ----------------------------------------------------------------------------


def test_a_model_of_colors(untaught: Callable[..., SavedModel], tmp_path: Path) -> None:
    names = ["a b", "<script>", "日本", "x" * 200]
    saved = untaught((3, 8, 6), names, Reading(image_shape=(3, 8, 6), convert="none"))
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    (tmp_path / "p.png").write_bytes(content := picture(pixels, "PNG"))
    images = saved.find(tmp_path / "p.png").images
    with served(saved) as client:
        answer = client.predict(content, "image/png", "?layers=1")
        assert probabilities(answer) == expected(saved, images)
        assert answer.json["layers"] == []
        for array in (images[0], images[0].transpose(1, 2, 0), images):
            assert probabilities(client.predict(array.tolist())) == expected(saved, images)
        page = client("/").body.decode()
        assert '"way": "picture"' in page
        assert "\\u003cscript>" in page
        assert client("/health").json["classes"] == names


def test_a_model_of_gray_arrays_takes_no_pictures(untaught: Callable[..., SavedModel]) -> None:
    saved = untaught((1, 8, 8), ["no", "yes"], Reading(image_shape=(1, 8, 8)))
    with served(saved) as client:
        answer = client.predict(DRAWING, "image/png")
        assert answer.status == 400
        assert "--convert" in answer.error["fix"]
        assert '"way": "none"' in client("/").body.decode()
        assert client.predict([[0] * 8] * 8).status == 200
    with served(saved, reading=Reading(convert="none")) as client:
        assert client.predict(DRAWING, "image/png").status == 200
        assert '"way": "picture"' in client("/").body.decode()


def test_a_model_of_floats(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    part = Dataset("rows", rows, np.arange(20) % 2, 2, ["low", "high"])
    saved = trained(tmp_path, "softmax", Splits(part))
    with served(saved) as client:
        answer = client.predict(rows[:3].tolist())
        assert probabilities(answer) == expected(saved, rows[:3])
        assert probabilities(client.predict([1, 2, 3, 4, -5])) == expected(
            saved, np.float32([[1, 2, 3, 4, -5]])
        )
        assert client.predict([[1, 2]]).status == 400
        assert client.predict([1e999, 2, 3, 4, 5]).status == 400
        assert client.predict([3e38, -3e38, 3e38, 3e38, 3e38]).status in (200, 422)
        assert client.predict(DRAWING, "image/png").status == 400
        assert '"way": "none"' in client("/").body.decode()


def test_62_classes_and_one_channel(untaught: Callable[..., SavedModel]) -> None:
    names = [chr(33 + n) for n in range(62)]
    saved = untaught((1, 28, 28), names, Reading(convert="mnist"))
    with served(saved) as client:
        (found,) = probabilities(client.predict(DRAWING, "image/png"))
        assert sorted(found) == sorted(names)


def test_outputs_that_are_not_finite(digits: SavedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: Any, **__: Any) -> None:
        raise DivergedError("what the model says of the images is not finite", fix="train again")

    with served(digits) as client:
        monkeypatch.setattr(SavedModel, "classify", diverge)
        answer = client.predict(IMAGES[0].tolist())
    assert answer.status == 422
    assert answer.error["kind"] == "diverged"


def test_a_bug_is_no_traceback_for_the_client(
    digits: SavedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(digits) as client:
        monkeypatch.setattr(SavedModel, "classify", lambda *_, **__: 1 / 0)
        answer = client.predict(IMAGES[0].tolist())
    assert answer.status == 500
    assert "bug" in answer.error["cause"]
    assert "ZeroDivisionError" not in answer.body.decode()
    assert "ZeroDivisionError" in caplog.text  # on stderr of the server
