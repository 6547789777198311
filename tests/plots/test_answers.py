"""The confusion matrix, and the images that are answered wrong."""

from __future__ import annotations

import itertools
import string
from typing import Any

import numpy as np
import pytest
from selection import slow_except

from gpucnn import plots
from gpucnn.errors import DtypeError, ShapeError, UsageError
from gpucnn.plots import show_confused, show_confusion, show_most_wrong, show_samples

pytest.importorskip("matplotlib")


def texts(picture: plots.Picture) -> list[str]:
    return [text.get_text() for text in picture.axes[0].texts]


def names(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_cells_have_counts_and_shares() -> None:
    picture = show_confusion([[9, 1], [0, 4]], ["cat", "dog"], "a $title_")
    axes = picture.axes[0]
    found = {text.get_position(): text.get_text() for text in axes.texts}
    assert found == {(0, 0): "9\n90.0%", (1, 0): "1\n10.0%", (1, 1): "4\n100.0%"}
    assert (names(axes.xaxis), names(axes.yaxis)) == (["cat", "dog"], ["cat", "dog"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("answer", "true class")
    assert axes.images[0].get_array().tolist() == [[0.9, 0.1], [0, 1]]


def test_numbers_are_readable_on_their_cells() -> None:
    def brightness(color: Any) -> float:
        from matplotlib.colors import to_rgb

        return float(np.dot(to_rgb(color), (0.3, 0.6, 0.1)))

    counts = np.array([[100 - k if i == j else k for j in range(2)] for i, k in ((0, 1), (1, 45))])
    axes = show_confusion(counts).axes[0]
    (image,) = axes.images
    for text in axes.texts:
        j, i = map(int, text.get_position())
        cell = brightness(image.cmap(image.norm(image.get_array()[i, j]))[:3])
        assert abs(cell - brightness(text.get_color())) > 0.4


@pytest.mark.parametrize("K", slow_except([2, 10, 26, 62], 10, 62))
def test_each_class_has_its_name_and_no_text_leaves_its_cell(K: int) -> None:
    rng = np.random.default_rng(K)
    counts = np.diag(rng.integers(100, 1000, K)) + (rng.random((K, K)) < 0.1) * 7
    letters = list(string.digits + string.ascii_letters)[:K]
    picture = show_confusion(counts, letters)
    picture.draw_without_rendering()  # the layout gives cells and texts their places
    axes = picture.axes[0]
    assert names(axes.xaxis) == names(axes.yaxis) == letters
    assert len(axes.texts) == np.count_nonzero(counts)
    cell = axes.transData.transform((1, 0))[0] - axes.transData.transform((0, 0))[0]
    for text in axes.texts:
        box = text.get_window_extent()
        assert max(box.width, box.height) <= cell
    labels = [label.get_window_extent() for label in axes.xaxis.get_ticklabels()]
    assert all(one.x1 <= other.x0 for one, other in itertools.pairwise(labels))


def test_classes_that_do_not_occur_are_left_out() -> None:
    counts = np.zeros((5, 5), np.int64)
    counts[1, 1], counts[1, 3] = 4, 2
    axes = show_confusion(counts, list("abcde")).axes[0]
    assert names(axes.xaxis) == ["b", "d"]


def test_very_many_classes_and_odd_names() -> None:
    assert len(texts(show_confusion(np.eye(100, dtype=int)))) == 0
    odd = ["<script>alert(1)</script>", "a\nb", "$x_1^2$", "\N{GRINNING FACE}", "\u65e5\u672c"]
    assert show_confusion(np.eye(5, dtype=int), odd).png()  # without a warning


@pytest.mark.parametrize(
    ("matrix", "given", "error"),
    [
        ([[1, 2]], None, ShapeError),
        ([[0.5, 0.5], [0, 1]], None, ShapeError),
        ([[1, -1], [0, 1]], None, ShapeError),
        ([[1, 0], [0, 1]], ["one"], ShapeError),
        ([[0, 0], [0, 0]], None, UsageError),
        (np.zeros((0, 0), int), None, UsageError),
    ],
)
def test_what_is_no_confusion_matrix(matrix: Any, given: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="show_confusion"):
        show_confusion(matrix, given)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (12, 1, 6, 5), dtype=np.uint8)


LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
ANSWERS = np.array([0, 1, 1, 2, 1, 1, 1, 2, 2, 2, 2, 0])


def shown(picture: plots.Picture) -> list[np.ndarray]:
    """The first color of the images, in the order in which they were drawn."""
    return [np.asarray(image.get_array())[..., 0] for image in picture.axes[0].images]


def test_pairs_are_in_the_order_of_their_frequency(images: np.ndarray) -> None:
    picture = show_confused(images, LABELS, ANSWERS, ["cat", "dog", "eel"])
    assert texts(picture) == [
        "cat taken for dog\n2 images", "cat taken for eel\n1 image", "dog taken for eel\n1 image",
        "eel taken for cat\n1 image",
    ]  # fmt: skip
    expected = images[[1, 2, 3, 7, 11], 0] / 255
    assert np.array_equal(shown(picture), expected)


def test_the_most_wrong_images_come_first(images: np.ndarray) -> None:
    chances = np.full((12, 3), 0.05)
    chances[np.arange(12), ANSWERS] = 0.9
    chances[3, 0] = 0.001  # the highest loss of the wrong ones
    chances[0, 0] = 0.4  # right
    picture = show_most_wrong(images, LABELS, chances, ["cat", "dog", "eel"])
    assert np.array_equal(shown(picture)[0], images[3, 0] / 255)
    assert texts(picture)[0] == "class cat\nanswer eel\n90.0%, loss 6.91"
    assert len(texts(picture)) == (LABELS != ANSWERS).sum()
    losses = np.zeros(12)
    losses[7] = 1.5
    picture = show_most_wrong(images, LABELS, chances, losses=losses)
    assert texts(picture)[0] == "class 1\nanswer 2\n90.0%, loss 1.50"


def test_pictures_beside_the_inputs_of_the_network(rng: np.random.Generator) -> None:
    given = [rng.integers(0, 256, (9, 30, 3), dtype=np.uint8), rng.random((4, 4))]
    seen = rng.integers(0, 256, (2, 1, 6, 6), dtype=np.uint8)
    picture = show_samples(seen, given, ["seven", "eight"])
    assert texts(picture) == [
        "seven\ngiven 30x9", "\nseen 6x6", "eight\ngiven 4x4", "\nseen 6x6"
    ]  # fmt: skip
    drawn = picture.axes[0].images
    assert [image.get_array().shape for image in drawn] == [
        (9, 30, 3), (6, 6, 3), (4, 4, 3), (6, 6, 3)
    ]  # fmt: skip
    left, right, bottom, top = drawn[0].get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(30 / 9)


def test_no_wrong_answer(images: np.ndarray) -> None:
    with pytest.raises(UsageError, match="no answer is wrong"):
        show_confused(images, LABELS, LABELS)
    with pytest.raises(UsageError, match="no answer is wrong"):
        show_most_wrong(images, LABELS, np.eye(3)[LABELS])


@pytest.mark.parametrize(
    "change",
    [
        {"labels": LABELS[:3]},
        {"answers": ANSWERS[:, None]},
        {"labels": LABELS / 2},
        {"answers": ANSWERS - 1},
        {"images": np.zeros((12, 4, 4, 4))},
        {"images": np.zeros((4, 4))},
        {"class_names": ["one"]},
    ],
)
def test_what_does_not_fit_is_refused(images: np.ndarray, change: dict[str, Any]) -> None:
    given = {"images": images, "labels": LABELS, "answers": ANSWERS} | change
    with pytest.raises(ShapeError, match="show_confused"):
        show_confused(**given)


def test_probabilities_of_other_images(images: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="probabilities"):
        show_most_wrong(images, LABELS, np.ones(12))
    with pytest.raises(ShapeError, match="label 2"):
        show_most_wrong(images, LABELS, np.ones((12, 2)))
    with pytest.raises(ShapeError, match="losses"):
        show_most_wrong(images, LABELS, np.eye(3)[ANSWERS], losses=[1.0])
    with pytest.raises(DtypeError):
        show_most_wrong(images, LABELS, [["a", "b"]] * 12)
    with pytest.raises(ShapeError, match="show_samples"):
        show_samples(images, [images[0]])
    with pytest.raises(ShapeError, match="one inputs"):
        show_samples(images[0, 0])


def test_inputs_alone(images: np.ndarray) -> None:
    picture = show_samples(np.concatenate([images, images]), titles=list("abcdefghijkl" * 2))
    assert np.array_equal(shown(picture), images[:, 0] / 255)
    assert texts(picture) == list("abcdefghijkl")


def test_an_svg_follows_the_color_scheme() -> None:
    picture = show_confusion([[9, 1], [0, 4]])
    svg = picture.svg()
    assert svg.startswith("<svg ")
    assert "@media (prefers-color-scheme:dark)" in svg
    assert "#000000" not in svg.split("</style>", 1)[1]
    assert svg == show_confusion([[9, 1], [0, 4]]).svg()
