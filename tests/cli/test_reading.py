"""How data are read belongs to a run: it is said, kept, and used again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import picture_folder, pixel_table

from gpucnn import data, keras
from gpucnn.training import SavedModel, checkpoint

Image = pytest.importorskip("PIL.Image")


def digits(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    train = data.load("digits").train
    assert train.labels is not None
    return train.images[:count, 0], train.labels[:count]


def train(run: Any, path: Any, *options: Any) -> Any:
    result = run("train", "--data", path, "--model", "softmax", "--epochs", 3, *options)
    assert result.code == 0, result.err
    return result


def test_it_is_said_and_kept(run: Any) -> None:
    images, labels = digits()
    said = (
        "200 rows of mine.csv: label column `label`, 10 classes 0-9, 784 pixels as 1x28x28, 10 %"
        " held out"
    )
    result = train(run, pixel_table("mine.csv", images, labels))
    assert f"data: {said}\n" in result.err
    _, description = checkpoint.load_weights(Path("runs/train-1/weights/last.safetensors"))
    assert description["read"] == said
    assert description["reading"] == {
        "label_was": "label",
        "image_shape": [1, 28, 28],
        "white": 255,
    }
    assert f"data: {said}" in run("summary", "runs/train-1").err
    assert "data" not in run("summary", "runs/train-1", "--quiet").err


def test_options_of_reading_are_kept_for_a_run_like_it(run: Any) -> None:
    np.savez("a.npz", x=digits()[0], y=digits()[1])
    train(run, "a.npz", "--transpose", "--convert", "mnist")
    config = Path("runs/train-1/config.toml").read_text()
    assert "transpose = true" in config
    assert run("train", "--config", "runs/train-1/config.toml").code == 0
    one, other = (Path(f"runs/train-{k}/weights/last.safetensors") for k in (1, 2))
    assert one.read_bytes() == other.read_bytes()


def test_pictures_of_digits_by_their_classes_alone_are_not_converted(run: Any) -> None:
    """Gray, 28x28 and called 0 to 9, but dark on light: what `evaluate` gives, `predict` gives."""
    images, labels = digits(400)
    path = picture_folder("dark", 255 - images, labels)
    train(run, path, "--epochs", 30, "--standardise")
    accuracy = run("evaluate", "runs/train-1", "--json").events[-1]["accuracy"]
    assert accuracy > 0.9
    files = sorted(path.rglob("*.png"))
    events = run("predict", "runs/train-1", *files, "--json").events
    right = [
        event["top"][0]["label"] == file.parent.name
        for event, file in zip(events, files, strict=True)
    ]
    assert np.mean(right) == accuracy


def test_convert_overrides_what_a_run_keeps(run: Any) -> None:
    images, _ = digits()
    run("train", "--data", "digits", "--epochs", 5)
    dark = 255 - np.kron(images[0], np.ones((4, 4), np.uint8))
    Image.fromarray(dark).save("seven.png")
    seen = {}
    for convert in ([], ["--convert", "mnist"], ["--convert", "none"]):
        name = convert[-1] if convert else "kept"
        result = run("predict", "runs/train-1", "seven.png", *convert, "--save-input", name)
        assert result.code == 0, result.err
        with Image.open(f"{name}/seven.input.png") as picture:
            seen[name] = np.asarray(picture)
    np.testing.assert_array_equal(seen["kept"], seen["mnist"])
    assert seen["mnist"][0, 0] == 0
    assert seen["none"][0, 0] == 255
    assert run("predict", "runs/train-1", "seven.png", "--convert", "invert").code == 2


def test_pictures_for_a_model_of_gray_arrays_are_refused(run: Any) -> None:
    """Whether such arrays are light on dark is not known: the answers might be calm and wrong."""
    images, labels = digits()
    train(run, pixel_table("mine.csv", images, labels))
    Image.fromarray(255 - images[0]).save("x.png")
    result = run("predict", "runs/train-1", "x.png")
    assert result.code == 4
    assert "--convert none" in result.err
    assert "--convert mnist" in result.err
    # It is said at the first picture: the last one could not be decoded.
    many = picture_folder("many", images[:3], ["a", "b", "b"])
    first, second, last = sorted(many.rglob("*.png"))
    last.write_bytes(b"no picture")
    Path("list.csv").write_text(f"filename,label\n{last},2\n{second},2\n{first},1\n")
    for args, named in (
        (["predict", "runs/train-1", "many"], first),
        (["evaluate", "runs/train-1", "--data", "many"], first),
        (["predict", "runs/train-1", "list.csv", "--skip-broken"], second),
    ):
        result = run(*args)
        assert f"a picture such as {named} becomes an image" in result.err
    assert "cannot be read as a picture" in run("predict", "runs/train-1", last).err
    for convert in ("none", "mnist"):
        assert run("predict", "runs/train-1", "x.png", "--convert", convert).code == 0
    train(run, "mine.csv", "--convert", "mnist")  # said when it was trained
    assert run("predict", "runs/train-2", "x.png").code == 0


def test_pictures_for_a_model_of_colored_arrays_are_scaled_and_that_is_said(run: Any) -> None:
    rng = np.random.default_rng(0)
    np.savez("c.npz", x=rng.integers(0, 256, (40, 16, 12, 3), np.uint8), y=np.arange(40) % 3)
    train(run, "c.npz")
    Image.fromarray(rng.integers(0, 256, (50, 40, 3), np.uint8)).save("a.png")
    result = run("predict", "runs/train-1", "a.png", "--save-input", "seen")
    assert result.code == 0
    assert "all of them scaled to 16x12" in result.err
    with Image.open("seen/a.input.png") as picture:
        assert picture.size == (12, 16)


def test_arrays_are_taken_as_they_are_or_not_at_all(run: Any) -> None:
    run("train", "--data", "digits", "--epochs", 1)
    for shape in ((30, 30), (200, 300), (28, 28, 3)):
        np.save("a.npy", np.full(shape, 9, np.uint8))
        result = run("predict", "runs/train-1", "a.npy")
        assert result.code == 4, shape
        assert "28" in result.err


def test_classes_are_matched_by_name(run: Any) -> None:
    """Folders whose names sort otherwise than those of the data of training."""
    images, labels = digits(400)
    words = np.array(["m", "z", "a", "q", "b", "y", "c", "x", "d", "w"])
    train(run, picture_folder("train", images, words[labels]), "--epochs", 20)
    whole = run("evaluate", "runs/train-1", "--json").events[-1]["accuracy"]
    assert whole > 0.9
    for chosen in ("zq", "aw", "ym"):
        picked = np.isin(words[labels], list(chosen))
        path = picture_folder(f"only-{chosen}", images[picked], words[labels][picked])
        *classes, _, end = run("evaluate", "runs/train-1", "--data", path, "--json").events
        assert end["accuracy"] > 0.8
        with_images = {score["label"] for score in classes if score["images"]}
        assert with_images == set(chosen)


def test_classes_that_the_model_does_not_know(run: Any) -> None:
    images, labels = digits()
    train(run, picture_folder("few", images[labels < 3], labels[labels < 3]))
    for name, path in (
        ("3, 4", picture_folder("more", images[labels < 5], labels[labels < 5])),
        ("3, 4", pixel_table("more.csv", images[labels < 5], labels[labels < 5])),
        ("cat", pixel_table("cats.csv", images[:3], ["cat", "1", "2"])),
    ):
        result = run("evaluate", "runs/train-1", "--data", path)
        assert result.code == 4, result.err
        assert f"classes that the model does not know: {name}" in result.err


def test_numbers_stand_for_the_classes_of_a_published_set(run: Any, tmp_path: Path) -> None:
    """A model whose classes have names knows the numbers that they have in its files."""
    rng = np.random.default_rng(0)
    records = b"".join(
        bytes([k % 10]) + rng.integers(0, 256, 3072, np.uint8).tobytes() for k in range(60)
    )
    Path("data_batch_1.bin").write_bytes(records)
    train(run, "data_batch_1.bin")
    array = np.frombuffer(records, np.uint8).reshape(60, 3073)
    images = array[:, 1:].reshape(60, 3, 32, 32)
    np.savez("same.npz", x=images, y=array[:, 0])
    for place, image in enumerate(images):
        of_class = Path("same", str(array[place, 0]))
        of_class.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(of_class / f"{place:03}.png")
    own = run("evaluate", "runs/train-1", "--json").events[-1]
    for other in ("same.npz", "same"):
        result = run("evaluate", "runs/train-1", "--data", other, "--json")
        assert "labels 0-9 are taken for airplane" in result.err
        assert result.events[-1]["accuracy"] == own["accuracy"]


def test_a_column_by_its_number(run: Any) -> None:
    """The column's name belongs to the run; a number, or a name that is given, is looked for."""
    images, labels = digits(300)
    file = pixel_table("two.csv", images, labels)
    header, *rows = file.read_text().splitlines()
    lines = [header.replace("label,", "label,truth,")]
    file.write_text("\n".join([*lines, *(f"{k % 7},{row}" for k, row in enumerate(rows))]) + "\n")
    train(run, file, "--label-column", 2, "--epochs", 10)
    _, description = checkpoint.load_weights(Path("runs/train-1/weights/last.safetensors"))
    assert description["class_names"] == list("0123456789")
    for options in ([], ["--data", file], ["--data", file, "--label-column", "truth"]):
        result = run("evaluate", "runs/train-1", *options, "--json")
        assert result.events[-1]["accuracy"] > 0.8
        assert "label column `truth`" in result.err
    wrong = run("evaluate", "runs/train-1", "--data", file, "--label-column", "label", "--json")
    assert wrong.events[-1]["accuracy"] < 0.3
    for name in ("nosuch", "0", "900"):
        result = run("evaluate", "runs/train-1", "--data", file, "--label-column", name)
        assert result.code == 4
        assert name in result.err


@pytest.mark.parametrize("dtype", [bool, np.float32, np.float64])
def test_black_and_white_is_not_almost_black(run: Any, dtype: Any) -> None:
    images, labels = digits()
    train(run, pixel_table("mine.csv", images, labels))
    black_and_white = images > 127
    for name, array in (("own", black_and_white.astype(dtype)), ("ref", 255 * black_and_white)):
        array = array if name == "own" else array.astype(np.uint8)
        np.savez(f"{name}.npz", x=array, y=labels)
        np.save(f"{name}.npy", array[0])
    given, expected = (
        (
            run("evaluate", "runs/train-1", "--data", f"{name}.npz", "--json").events[-1],
            run("predict", "runs/train-1", f"{name}.npy", "--json").events[-1]["top"],
        )
        for name in ("own", "ref")
    )
    assert given == expected


def test_swapped_rows_and_columns_do_not_stick_to_other_data(run: Any) -> None:
    """EMNIST's files are swapped, and a run on them takes other files as they are, or asks."""
    images, labels = digits()
    Path("em").mkdir()
    for kind, array in (("images-idx3", images.transpose(0, 2, 1)), ("labels-idx1", labels)):
        sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
        raw = array.astype(np.uint8).tobytes()
        path = Path(f"em/emnist-digits-train-{kind}-ubyte")
        path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + raw)
    train(run, "em", "--epochs", 10)
    pixel_table("upright.csv", images, labels)
    own = run("evaluate", "runs/train-1", "--json").events[-1]["accuracy"]
    assert own > 0.8
    asked = run("evaluate", "runs/train-1", "--data", "upright.csv")
    assert asked.code == 4
    assert "--no-transpose" in asked.err
    args = ["--data", "upright.csv", "--no-transpose", "--json"]
    assert run("evaluate", "runs/train-1", *args).events[-1]["accuracy"] == own


def test_numbers_are_no_letters(run: Any) -> None:
    """A model of the classes A, B, C is not asked for 1, 2, 3 without saying so."""
    images, labels = digits()
    train(run, pixel_table("letters.csv", images, np.array(list("ABCDEFGHIJ"))[labels]))
    result = run("evaluate", "runs/train-1", "--data", pixel_table("numbers.csv", images, labels))
    assert result.code == 4
    assert "classes that the model does not know: 0-9" in result.err


def test_names_of_digits_are_matched_as_they_are_written(run: Any) -> None:
    images, labels = digits()
    train(run, picture_folder("padded", images, [f"0{label}" for label in labels]))
    result = run("evaluate", "runs/train-1", "--data", picture_folder("plain", images, labels))
    assert result.code == 4
    assert "classes that the model does not know: 0-9" in result.err
    rows = pixel_table("padded.csv", images, [f"0{label}" for label in labels])
    own, other = (
        run("evaluate", "runs/train-1", *options, "--json").events[-1]["accuracy"]
        for options in ([], ["--data", rows])
    )
    assert own == other


def test_a_file_of_weights_says_itself_what_it_is(run: Any) -> None:
    """A config.toml that lies about is of no concern to weights outside a run."""
    train(run, pixel_table("mine.csv", *digits()))
    Path("w.safetensors").write_bytes(Path("runs/train-1/weights/last.safetensors").read_bytes())
    expected = run("evaluate", "w.safetensors", "--data", "mine.csv", "--json").events[-1]
    for text in ('title = "my site"', 'model = "mlp"\nloss = "mean_squared_error"', "]["):
        Path("config.toml").write_text(text)
        result = run("evaluate", "w.safetensors", "--data", "mine.csv", "--json")
        assert result.events[-1] == expected


def test_held_out_images_are_those_of_the_run(run: Any) -> None:
    images, labels = digits()
    file = pixel_table("mine.csv", images, labels)
    train(run, file, "--validation", 50)
    copy = pixel_table("copy.csv", images, labels)
    for own in ([], ["--data", file], ["--data", Path(file).absolute()], ["--data", copy]):
        result = run("evaluate", "runs/train-1", "--split", "validation", *own)
        assert "(50 images, " in result.out
    # Another table is not cut in two: nothing is known of it.
    other = pixel_table("other.csv", 255 - images, labels)
    result = run("evaluate", "runs/train-1", "--data", other, "--split", "validation")
    assert result.code == 4
    assert "has no validation set" in result.err
    assert "was trained on these" in run("evaluate", "runs/train-1", "--data", file).err
    pixel_table("mine.csv", 255 - images, labels)
    changed = run("evaluate", "runs/train-1", "--split", "validation")
    assert "the data have changed since" in changed.err


def test_a_file_of_weights_does_not_guess_where_its_data_are(run: Any) -> None:
    train(run, pixel_table("mine.csv", *digits()))
    Path("w.safetensors").write_bytes(Path("runs/train-1/weights/last.safetensors").read_bytes())
    result = run("evaluate", "w.safetensors")
    assert result.code == 2
    assert "--data" in result.err
    assert run("evaluate", "w.safetensors", "--data", "mine.csv").code == 0


@pytest.mark.parametrize(
    ("path", "split", "count"),
    [("whole.csv", "all", 200), ("parts", "test", 50), ("tables", "all", 150)],
)
def test_the_part_that_is_evaluated(run: Any, path: str, split: str, count: int) -> None:
    images, labels = digits()
    pixel_table("whole.csv", images, labels)
    for part, chosen in (("train", slice(150)), ("test", slice(150, None))):
        picture_folder(f"parts/{part}", images[chosen], labels[chosen])
    Path("tables").mkdir()
    pixel_table("tables/train.csv", images[:150], labels[:150])
    rows = pixel_table("tables/test.csv", images[150:], labels[150:]).read_text().splitlines()
    Path("tables/test.csv").write_text("\n".join(row.partition(",")[2] for row in rows))
    train(run, path)
    result = run("evaluate", "runs/train-1")
    assert result.out.startswith(f"{split} accuracy ")
    assert f"({count} images, " in result.out
    assert ("was trained on these images" in result.err) == (split == "all")


def test_the_report(run: Any) -> None:
    train(run, pixel_table("mine.csv", *digits()), "--epochs", 10)
    result = run("evaluate", "runs/train-1", "--data", "mine.csv", "--json")
    *classes, confusion, end = result.events
    assert [list(event) for event in classes] == [
        ["event", "label", "images", "precision", "recall", "f1"]
    ] * 10
    matrix = np.array(confusion["matrix"])
    assert matrix.sum() == 200
    assert np.trace(matrix) / 200 == pytest.approx(end["accuracy"])
    assert list(end) == ["event", "loss", "accuracy"]
    lines = run("evaluate", "runs/train-1", "--data", "mine.csv").out.splitlines()
    assert lines[1].split() == ["class", "images", "precision", "recall", "F1"]
    shown = [line.split() for line in lines[-10:]]
    assert [[int(cell) for cell in line[1:]] for line in shown] == matrix.tolist()


def test_the_report_of_many_classes(run: Any) -> None:
    rng = np.random.default_rng(0)
    np.savez("a.npz", x=rng.integers(0, 256, (80, 5, 5)), y=np.arange(80) % 40)
    train(run, "a.npz")
    text = run("evaluate", "runs/train-1").out
    assert "taken for" in text
    assert max(map(len, text.splitlines())) < 100


def test_predict_takes_a_table_and_writes_what_kaggle_takes(run: Any) -> None:
    images, labels = digits(30)
    train(run, pixel_table("train.csv", *digits()))
    names = ",".join(f"pixel{k}" for k in range(784))
    rows = [",".join(map(str, image.ravel())) for image in images]
    Path("test.csv").write_text("\n".join([names, *rows]))
    ids = [f"{k + 70},{row}" for k, row in enumerate(rows)]
    Path("with-ids.csv").write_text("\n".join([f"id,{names}", *ids]))
    result = run("predict", "runs/train-1", "test.csv", "--json", "--csv", "out.csv")
    assert result.code == 0, result.err
    answers = [event["top"][0]["label"] for event in result.events]
    lines = Path("out.csv").read_text().splitlines()
    assert lines == ["ImageId,Label", *(f"{k + 1},{label}" for k, label in enumerate(answers))]
    assert result.events[3]["file"] == "test.csv[3]"
    run("predict", "runs/train-1", "with-ids.csv", "--csv", "out.csv")
    lines = Path("out.csv").read_text().splitlines()
    assert lines == ["id,label", *(f"{k + 70},{label}" for k, label in enumerate(answers))]
    path = picture_folder("pictures", images, labels)
    run("predict", "runs/train-1", path, "--convert", "none", "--csv", "out.csv")
    lines = Path("out.csv").read_text().splitlines()
    assert lines[0] == "filename,label"
    assert sorted(lines[1:]) == sorted(f"{k}.png,{label}" for k, label in enumerate(answers))


def test_answers_have_the_names_and_ids_in_the_bytes_of_the_files(run: Any) -> None:
    images, _ = digits(6)
    train(run, pixel_table("train.csv", *digits()))
    Path("pictures").mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image).save(Path(os.fsdecode(b"pictures/%d\xfe.png" % k)))
    names = ",".join(f"pixel{k}" for k in range(784)).encode()
    rows = [b"%d\xe9," % k + ",".join(map(str, x.ravel())).encode() for k, x in enumerate(images)]
    Path("ids.csv").write_bytes(b"\n".join([b"id\xe9," + names, *rows]))
    for file, header, ending in (
        ("pictures", b"filename,label", b"\xfe.png"),
        ("ids.csv", b"id\xe9,label", b"\xe9"),
    ):
        result = run("predict", "runs/train-1", file, "--convert", "none", "--csv", "out.csv")
        assert result.code == 0, result.err
        first, *lines = Path("out.csv").read_bytes().splitlines()
        assert first == header
        assert [line.split(b",")[0] for line in lines] == [b"%d%s" % (k, ending) for k in range(6)]


def test_answers_to_rows_whose_ids_differ_in_kind(run: Any) -> None:
    images, _ = digits(6)
    train(run, pixel_table("train.csv", *digits()))
    names = ",".join(f"pixel{k}" for k in range(784))
    rows = [",".join(map(str, image.ravel())) for image in images]
    for name, header, first in (
        ("plain", None, 0), ("ids", "ImageId", 1), ("more", "ImageId", 90), ("other", "row_id", 50)
    ):  # fmt: skip
        lines = rows if header is None else [f"{first + k},{row}" for k, row in enumerate(rows)]
        head = names if header is None else f"{header},{names}"
        Path(f"{name}.csv").write_text("\n".join([head, *lines]))
    result = run("predict", "runs/train-1", "ids.csv", "more.csv", "--csv", "out.csv")
    assert result.code == 0, result.err
    lines = Path("out.csv").read_text().splitlines()
    assert lines[0] == "ImageId,Label"
    assert [line.split(",")[0] for line in lines[1:]] == [*map(str, (*range(1, 7), *range(90, 96)))]
    Image.fromarray(images[0]).save("one.png")
    Path("copy.csv").write_bytes(Path("ids.csv").read_bytes())
    Path("out.csv").unlink()
    for files in (("ids.csv", "plain.csv"), ("plain.csv", "ids.csv"), ("ids.csv", "other.csv"),
                  ("ids.csv", "copy.csv"), ("one.png", "ids.csv")):  # fmt: skip
        result = run("predict", "runs/train-1", *files, "--convert", "none", "--csv", "out.csv")
        assert result.code == 2
        assert "one FILE at a time" in result.err
        assert not Path("out.csv").exists()


def test_answers_to_pictures_that_a_table_lists(run: Any) -> None:
    """By the ids of the table, or else by the names as it writes them."""
    images, _ = digits(5)
    train(run, picture_folder("known", *digits(100)))
    Path("img").mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image).save(f"img/{k}.png")
    names = [f"img/{k}.png" for k in (3, 0, 4)]
    Path("named.csv").write_text("\n".join(["file", *names]))
    Path("ids.csv").write_text("\n".join(["id,file", *(f"a{k},{n}" for k, n in enumerate(names))]))
    for table_file, header, keys in (
        ("named.csv", "file,label", names), ("ids.csv", "id,label", ["a0", "a1", "a2"])
    ):  # fmt: skip
        result = run("predict", "runs/train-1", table_file, "--csv", "out.csv")
        assert result.code == 0, result.err
        lines = Path("out.csv").read_text().splitlines()
        assert lines[0] == header
        assert [line.split(",")[0] for line in lines[1:]] == keys


def test_row_numbers_without_a_header_are_ids(run: Any) -> None:
    images, labels = digits(30)
    numbers = range(500, 530)
    rows = [",".join(map(str, image.ravel())) for image in images]
    Path("own.csv").write_text(
        "\n".join(f"{n},{label},{row}" for n, label, row in zip(numbers, labels, rows, strict=True))
    )
    asked = run("train", "--data", "own.csv", "--epochs", 1)
    assert asked.code == 4
    assert "column 1 numbers the rows" in asked.err
    train(run, Path("own.csv"), "--label-column", 2)
    for args in (["evaluate", "runs/train-1"], ["predict", "runs/train-1", "own.csv"]):
        assert run(*args).code == 0
    Path("new.csv").write_text(
        "\n".join(f"{n},{row}" for n, row in zip(numbers, rows, strict=True))
    )
    run("predict", "runs/train-1", "new.csv", "--csv", "out.csv")
    lines = Path("out.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [*map(str, numbers)]


def test_answers_are_to_one_part(run: Any) -> None:
    images, labels = digits(60)
    train(run, pixel_table("train.csv", *digits()))
    np.savez("a.npz", x_train=images[:40], y_train=labels[:40], x_test=images[40:])
    result = run("predict", "runs/train-1", "a.npz")
    assert len(result.out.splitlines()) == 60
    assert "60 images of a.npz (40 train, 20 test)" in result.err
    result = run("predict", "runs/train-1", "a.npz", "--csv", "out.csv")
    assert result.code == 2
    assert "as in --split test" in result.err
    result = run("predict", "runs/train-1", "a.npz", "--csv", "out.csv", "--split", "test")
    assert result.code == 0
    assert len(result.out.splitlines()) == 20
    assert len(Path("out.csv").read_text().splitlines()) == 21
    result = run("predict", "runs/train-1", "train.csv", "--split", "test")
    assert result.code == 4
    assert "train.csv has no test set" in result.err


def test_a_model_that_keras_saved_is_no_run(run: Any) -> None:
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    model.build((1, 28, 28))
    model.save("m.safetensors")
    result = run("predict", "m.safetensors", "x.png")
    assert result.code == 4
    assert "gpucnn.keras.load_model" in result.err


def test_predict_takes_a_folder_without_classes(run: Any) -> None:
    images, labels = digits(20)
    run("train", "--data", "digits", "--epochs", 3)
    Path("flat").mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image).save(f"flat/{k:02}.png")
    (Path("flat") / ".DS_Store").write_bytes(b"\0")
    result = run("predict", "runs/train-1", "flat", "--json")
    assert [event["file"] for event in result.events] == [f"flat/{k:02}.png" for k in range(20)]
    right = [
        event["top"][0]["label"] == str(label)
        for event, label in zip(result.events, labels, strict=True)
    ]
    assert np.mean(right) > 0.6


def test_what_comes_before_a_broken_file_is_answered(run: Any) -> None:
    images, _ = digits(3)
    run("train", "--data", "digits", "--epochs", 1)
    for k in range(3):
        Image.fromarray(images[k]).save(f"{k}.png")
    Path("1.png").write_bytes(b"x")
    result = run("predict", "runs/train-1", "0.png", "1.png", "2.png", "--json")
    assert result.code == 4
    assert [event.get("file") for event in result.events[:-1]] == ["0.png"]
    assert "1.png" in result.events[-1]["message"]
    result = run("predict", "runs/train-1", "0.png", "1.png", "2.png", "--json", "--skip-broken")
    assert result.code == 0
    assert [event["file"] for event in result.events] == ["0.png", "2.png"]
    assert "left out: 1.png" in result.err


def test_the_best_weights_of_a_run_with_patience(run: Any) -> None:
    args = ["--data", "digits", "--validation", 100, "--patience", 3, "--epochs", 4]
    run("train", *args, "--model", "softmax", "--limit-batches", 3)
    run("train", *args[:4], "--epochs", 4, "--model", "softmax", "--limit-batches", 3)
    np.save("a.npy", digits(1)[0])
    for name, which in (("train-1", "best"), ("train-2", "last")):
        records = Path(f"runs/{name}/metrics.jsonl").read_text().splitlines()
        accuracies = [json.loads(line)["val_accuracy"] for line in records]
        epoch = accuracies.index(max(accuracies)) + 1 if which == "best" else len(accuracies)
        note = f"weights: runs/{name}/weights/{which}.safetensors, of epoch {epoch}\n"
        assert note in run("predict", f"runs/{name}", "a.npy").err
        assert f"{which}.safetensors" in run("evaluate", f"runs/{name}").out
        other = "last" if which == "best" else "best"
        assert f"{other}.safet" in run("predict", f"runs/{name}", "a.npy", "--weights", other).err


def test_a_name_of_two_lines_is_shown_on_one(run: Any) -> None:
    images, labels = digits()
    path = picture_folder("odd", images, np.array(["new\nline", "it's"])[labels % 2])
    train(run, path)
    assert "2 classes it's, new\\nline, 1x28x28" in run("summary", "runs/train-1").err
    result = run("predict", "runs/train-1", path, "--top", 2)
    assert len(result.out.splitlines()) == 200
    assert "new\\nline/" in result.out
    events = run("predict", "runs/train-1", path, "--json").events
    assert {event["top"][0]["label"] for event in events} <= {"new\nline", "it's"}
    assert len(run("evaluate", "runs/train-1").out.splitlines()) == 1 + 3 + 1 + 3


def test_a_folder_called_as_a_data_set_is(run: Any) -> None:
    """`--data digits` is the data set; what lies here is a path, and `predict` takes paths."""
    images, labels = digits(20)
    path = picture_folder("digits", images, labels)
    result = run("train", "--data", "digits", "--epochs", 1)
    assert "note: digits is the data set of that name; what lies here is ./digits" in result.err
    assert len(run("predict", "runs/train-1", path).out.splitlines()) == 20
    train(run, "./digits")
    assert "20 pictures of digits" in run("evaluate", "runs/train-2").err


def test_pythons_loader_reads_as_the_run_does(run: Any) -> None:
    images, labels = digits()
    path = picture_folder("dark", 255 - images, labels)
    train(run, path, "--convert", "mnist")
    saved = SavedModel.load("runs/train-1")
    dataset, split, text, _ = saved.dataset(str(path))
    assert split == "all"
    assert "converted as MNIST's images were" in text
    assert dataset.images[:, 0, 0, 0].max() == 0
    assert saved.evaluate(dataset) == {
        key: run("evaluate", "runs/train-1", "--json").events[-1][key]
        for key in ("loss", "accuracy")
    }
