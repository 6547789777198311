"""The page: complete, self-contained, valid, and with every foreign text escaped."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selection import slow_except

from gpucnn import backend, data, models, plots
from gpucnn.errors import DataError, UsageError
from gpucnn.inspection import inspect
from gpucnn.nn import Dense, Flatten, Sequential
from gpucnn.quoting import quoted
from gpucnn.reports import markup, report, save_pictures
from gpucnn.reports.examined import Examined, Sources
from gpucnn.reports.pictures import show_report
from gpucnn.reports.sections import SECTIONS
from gpucnn.training import Run, SavedModel, TrainConfig, fit, save_run

pytest.importorskip("matplotlib")

SVG = '<svg width="72pt" height="36pt"></svg>'
ALONE = ["results", "curves", *(section.name for section in SECTIONS)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are made, and not drawn; test_browser.py draws them."""
    monkeypatch.setattr(plots.Picture, "svg", lambda picture: SVG)
    monkeypatch.setattr(plots, "show_feature_maps", lambda model, image: plots.Picture(1, 1))


def made(*runs: Run, **options: Any) -> tuple[str, list[str]]:
    """The page, and the titles of the sections that are missing."""
    missing: list[str] = []

    def progress(title: str, error: Exception | None) -> None:
        if error is not None:
            missing.append(title)

    return report(runs, progress=progress, **options), missing


@pytest.fixture(scope="module")
def alone(runs: tuple[Run, Run]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots.Picture, "svg", lambda picture: SVG)
        return report(runs[0])


@pytest.fixture(scope="module")
def both(runs: tuple[Run, Run]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots.Picture, "svg", lambda picture: SVG)
        return report(runs)


def test_all_sections_are_there(alone: str, page: Any) -> None:
    found = page(alone)
    assert [section["id"] for section in found.all("section")] == ALONE
    links = [link["href"] for link in found.all("a")]
    assert links == [f"#{name}" for name in ALONE]
    assert len(found.all("img")) == 7
    assert "Not here" not in alone


def test_nothing_comes_from_elsewhere(both: str, page: Any) -> None:
    found = page(both)
    for image in found.all("img"):
        assert image["src"].startswith("data:image/svg+xml;base64,")
        assert base64.b64decode(image["src"].partition(",")[2]).decode() == SVG
        assert image["alt"]
        assert (image["width"], image["height"]) == ("96", "48")
    assert not found.all("script")
    assert not [a for _, a in found.elements for key in a if key.startswith("on")]
    assert "http" not in both.replace("http-equiv", "")
    (policy,) = [m["content"] for m in found.all("meta") if m.get("http-equiv")]
    assert "default-src 'none'" in policy
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    labels = {a["aria-labelledby"] for a in found.all("section")}
    assert labels <= set(ids)


def test_foreign_texts_are_escaped(both: str, page: Any) -> None:
    found = page(both)
    assert not found.all("i")
    assert not found.all("b")
    texts = set(found.texts)
    assert {"run & <i>two", '<b>&"cat\'s"</b>', "\U0001f600", "x" * 40, "a<i>b.npz"} <= texts
    assert "train-1 and run & <i>two" in texts


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\u200f", "\ufeff", "\u2028", "\x1b", "\x9b"]
)
def test_characters_that_are_not_seen_are_shown(character: str) -> None:
    shown = markup.paragraph(f"<a{character}b>")
    assert character not in shown
    assert shown == f"<p>&lt;a{quoted(character)}b&gt;</p>"
    assert "\u200d" in markup.table(["\u0627\u200d\u0628"], [])  # letters stay as they are


def test_a_hostile_outcome(copy: Run) -> None:
    outcome = {"reason": "div\u202e", "seconds": 1, "date": "2026-11-29", "message": "a\u2067b"}
    (copy.path / "outcome.json").write_text(json.dumps(outcome))
    text, _ = made(copy)
    assert "\u202e" not in text
    assert "div\\u202e" in text
    assert "\u2067" not in text


def test_results_and_scores_are_those_of_evaluate(
    runs: tuple[Run, Run], alone: str, page: Any
) -> None:
    found = page(alone)
    saved = SavedModel.load(runs[0].path)
    expected = saved.report(saved.dataset())
    record = runs[0].records()[-1]
    assert f"{record['test_accuracy']:.2%}" in found.texts
    assert f"{record['test_loss']:.4f}" in found.texts
    for label, images, *numbers in expected.scores:
        start = [k for k, text in enumerate(found.texts) if text == label]
        row = [f"{images:,}", *("-" if n is None else f"{n:.2%}" for n in numbers)]
        assert any(found.texts[k + 1 : k + 5] == row for k in start)


def test_warnings_of_the_inspection(runs: tuple[Run, Run], both: str, page: Any) -> None:
    """The second run, with a learning rate of 1e-30, has learned nothing."""
    texts = page(both).texts
    findings = inspect(runs[1].path).findings
    assert findings
    for each in findings:
        assert {f"{each.message}.", f"Cause: {each.cause}", f"Fix: {each.cure}"} <= set(texts)


def test_two_runs_are_side_by_side(both: str, page: Any) -> None:
    found = page(both)
    assert [section["id"] for section in found.all("section")] == [
        "results", "differences", *ALONE[1:]
    ]  # fmt: skip
    texts = found.texts
    start = texts.index("option")
    rows = texts[start : texts.index("Learning curves", start)]
    assert rows[rows.index("model") :][:3] == ["model", "softmax", "lenet"]
    assert rows[rows.index("epochs") :][:3] == ["epochs", "2", "1"]
    assert "batch_size" not in rows  # it is equal


def test_equal_runs_say_so(copy: Run, runs: tuple[Run, Run]) -> None:
    other = Run.open(shutil.copytree(copy.path, copy.path.with_name("train-2")))
    assert "All options are equal." in report([copy, other])


def test_runs_of_one_name_are_told_apart(copy: Run, runs: tuple[Run, Run], page: Any) -> None:
    found = page(report([copy, runs[0]]))
    headings = {str(copy.path), str(runs[0].path)}
    assert headings <= set(found.texts)
    assert "train-1" not in found.texts


def remove(name: str) -> Callable[[Run], None]:
    return lambda run: (run.path / name).unlink()


def cut(name: str) -> Callable[[Run], None]:
    return lambda run: (run.path / name).write_bytes((run.path / name).read_bytes()[:100])


WITH_ANSWERS = {
    "Confusion matrix", "Scores of each class", "Most confused classes", "Most wrong images",
    "Images as the network sees them", "Feature maps",
}  # fmt: skip
OF_THE_MODEL = WITH_ANSWERS | {"Data", "Model", "Filters", "Health"}


DAMAGES = [
    (remove("metrics.jsonl"), {"Learning curves"}),
    (remove("environment.json"), {"Environment"}),
    (remove("weights/last.safetensors"), OF_THE_MODEL),
    (cut("weights/last.safetensors"), OF_THE_MODEL),
    (cut("config.toml"), OF_THE_MODEL | {"Options"}),
    (remove("outcome.json"), set()),
]


@pytest.mark.parametrize("case", slow_except(DAMAGES, DAMAGES[0], DAMAGES[4]))
def test_a_damaged_run_still_has_a_page(copy: Run, page: Any, case: Any) -> None:
    damage, lost = case
    damage(copy)
    text, missing = made(copy)
    assert set(missing) == lost
    found = page(text)
    assert [section["id"] for section in found.all("section")] == ALONE
    reasons = [text for text in found.texts if text.startswith("Not here: ")]
    assert len(reasons) <= len(lost)
    assert bool(reasons) == bool(lost)


def test_data_that_moved(runs: tuple[Run, Run], tmp_path: Path) -> None:
    run = runs[1]
    here = Path(run.config().data)
    there = tmp_path / "moved.npz"
    here.rename(there)
    try:
        text, missing = made(run)
        assert set(missing) == WITH_ANSWERS
        assert "--data PATH" in text
        assert "The data cannot be read now" in text
        assert made(run, data=str(there))[1] == []
    finally:
        there.rename(here)


def test_without_matplotlib_the_tables_are_there(
    copy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text, missing = made(copy)
    assert "Scores of each class" not in missing
    assert set(missing) >= {"Learning curves", "Confusion matrix", "Filters"}
    assert "pip install &quot;gpucnn[plot]&quot;" in text


def test_a_model_without_errors(copy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    images = data.load("digits").test.images

    def perfect(model: SavedModel, dataset: data.Dataset, *_: Any) -> Any:
        from gpucnn.training.evaluation import Judged

        part = getattr(dataset, "dataset", dataset)
        outputs = 9 * np.eye(10, dtype=np.float32)[part.labels]
        return Judged(part, [outputs], "softmax_cross_entropy", {"loss": 0.1, "accuracy": 1.0})

    monkeypatch.setattr(SavedModel, "judge", perfect)
    text, missing = made(copy)
    assert missing == []
    assert text.count(f"No answer is wrong: all {len(images)} are right.") == 2


def test_runs_that_cannot_be_reported_on(runs: tuple[Run, Run], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="twice"):
        report([runs[0], runs[0].path / "."])
    with pytest.raises(UsageError, match="no run"):
        report([])
    with pytest.raises(DataError, match="no run in"):
        report(tmp_path)


@pytest.mark.slow
def test_pictures_of_a_run(copy: Run) -> None:
    saved = SavedModel.load(copy.path)
    found = save_pictures(copy, copy.records(), saved.report(saved.dataset()))
    assert [file.name for file in found] == ["curves.png", "confusion.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in found)
    assert [file.name for file in save_pictures(copy, copy.records())] == ["curves.png"]
    assert not (copy.path / "confusion.png").exists()


def test_the_matrix_of_many_classes_is_not_drawn(
    copy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = SavedModel.load(copy.path)
    (copy.path / "confusion.png").write_bytes(b"of other weights")
    found = saved.report(saved.dataset())
    monkeypatch.setattr("gpucnn.reports.pictures.LARGEST", len(saved.class_names) - 1)
    files = save_pictures(copy, copy.records(), found)
    assert [file.name for file in files] == ["curves.png"]
    assert not (copy.path / "confusion.png").exists()
    with pytest.raises(UsageError, match="matrix of 10 classes is not drawn") as error:
        show_report(found, "test set")
    assert error.value.cause == "it has more than 9"


def test_images_have_short_names(runs: tuple[Run, Run], both: str, page: Any) -> None:
    texts = page(both).texts
    names = [text for text in texts if text.startswith(("test[", "validation["))]
    assert {name.partition("[")[0] for name in names} == {"test", "validation"}
    assert not [text for text in texts if text.startswith("/") and text.endswith("]")]


def test_a_run_that_tested_on_its_training_images(tmp_path: Path) -> None:
    config = TrainConfig(
        data="digits", model="softmax", epochs=1, batch_size=32, overfit_batches=2, device="cpu",
        runs_dir=str(tmp_path),
    )  # fmt: skip
    run = Run.create(config, backend.get("cpu"))
    history = fit(models.get("softmax"), data.load("digits"), config, run=run)
    view = Examined(run, Sources())
    assert len(view.judged.dataset) == 64
    assert view.report.accuracy == pytest.approx(history.test["accuracy"])
    text, missing = made(run)
    assert missing == []
    assert "This page evaluates the training images: 64 images." in text
    assert ">train[" in text
    assert ">test[" not in text


def test_a_run_of_one_output(tmp_path: Path, page: Any) -> None:
    network = Sequential([Flatten(), Dense(1, name="only")]).build((1, 28, 28))
    images = data.load("digits").test.images[:20, 0]
    np.savez(tmp_path / "mine.npz", x=images, y=np.zeros(20, int))
    config = TrainConfig(loss="binary_cross_entropy", device="cpu")
    run = save_run(network, tmp_path / "run", config=config)
    view = Examined(run, Sources(data=str(tmp_path / "mine.npz")))
    outputs = network(images[:, None] / np.float32(255)).numpy()[:, 0]
    assert 0 < (outputs > 0).sum() < 20
    assert view.outputs.answers.tolist() == (outputs > 0).astype(int).tolist()
    assert view.report.accuracy == np.mean(outputs <= 0)
    worst = view.outputs.wrong[0]
    assert worst == outputs.argmax()
    text, missing = made(run, data=str(tmp_path / "mine.npz"))
    assert missing == ["Learning curves"]
    chance = 1 / (1 + np.exp(-outputs[worst]))
    start = page(text).texts.index(f"all[{worst}]")
    assert page(text).texts[start + 1 : start + 4] == ["0", "1", f"{chance:.1%}"]


def test_the_command_to_train_again(runs: tuple[Run, Run], alone: str, tmp_path: Path) -> None:
    assert f"Train it again: gpucnn train --config {runs[0].path}/config.toml<" in alone
    network = Sequential([Flatten(), Dense(3)]).build((1, 4, 4))
    in_python = save_run(network, tmp_path / "in-python")
    assert "Train it again" not in made(in_python)[0]  # no option names its network
    (tmp_path / "net.py").write_text(
        "from gpucnn import models\ndef build(image_shape, classes):\n"
        "    return models.get('softmax', classes)\n"
    )
    of_code = save_run(
        models.get("softmax").build((1, 28, 28)), tmp_path / "code", code=f"{tmp_path}/net.py:build"
    )
    again = f"Train it again: gpucnn train --config {of_code.path}/config.toml --trust-code<"
    assert again in made(of_code)[0]


def test_the_test_is_that_of_the_last_epoch(runs: tuple[Run, Run], alone: str, page: Any) -> None:
    """The rest of the page may be of the best weights."""
    texts = page(alone).texts
    place = texts.index("test accuracy, last epoch")
    assert texts[place + 1] == f"{runs[0].records()[-1]['test_accuracy']:.2%}"
