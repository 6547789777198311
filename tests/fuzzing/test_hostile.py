"""Each parser refuses what it cannot read by an error of gpucnn, and by nothing else."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import fuzz_files
import fuzz_parsers
import pytest
from fuzz_files import CORPUS
from fuzz_parsers import PARSERS
from hypothesis import given, settings
from hypothesis import strategies as st

_SHORT = 30  # bytes that are put into an input


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    """The files and threads of the parsers are gone after the tests."""
    yield
    fuzz_files.close()


@functools.cache
def corpus(name: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((CORPUS / name).iterdir())]


@pytest.mark.parametrize("name", PARSERS)
def test_the_corpus(name: str) -> None:
    """Among its files are inputs that showed a fault once."""
    assert max(map(len, corpus(name))) <= PARSERS[name].max_bytes
    refused = [len(fuzz_parsers.check(name, data)) for data in corpus(name)]
    assert max(refused) > 0
    assert min(refused) < len(PARSERS[name].reads)


@st.composite
def inputs(draw: st.DrawFn, name: str) -> bytes:
    """A file of the corpus with a few changes: bytes replaced, put in, left out or repeated."""
    data = draw(st.sampled_from(corpus(name)))
    tokens = st.sampled_from(PARSERS[name].tokens or (b"",))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + _SHORT)))
        new = draw(
            st.one_of(
                st.binary(max_size=4),
                tokens,
                st.just(data[start:end] * 2),
                st.sampled_from([b"9" * 20, b"9" * 400, b"9" * 5000]),
            )
        )
        data = data[:start] + new + data[end:]
    return data


@pytest.mark.parametrize("name", PARSERS)
def test_altered_inputs(name: str) -> None:
    _check_altered(name, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_more_altered_inputs(name: str) -> None:
    _check_altered(name, 400)


def _check_altered(name: str, count: int) -> None:
    @settings(max_examples=count)
    @given(data=inputs(name))
    def run(data: bytes) -> None:
        fuzz_parsers.check(name, data)

    run()


@pytest.mark.parametrize("digits", ["9" * 20, "9" * 400, "9" * 5000, "0" * 5000 + "1"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table", "label,p{},p1,p2,p3\n1,2,3,4,5\n"),
        ("table", "label,p{0}x1,p{0}x2,p2x1,p2x2\n1,2,3,4,5\n"),
        ("table", "label,p0,p1,p2,p3\n{},2,3,4,5\n1,1,1,1,1\n"),
        ("table", "id,p0,p1,p2,p3\n{},1,2,3,4\n"),
        ("table", "{},1,2,3\n{},1,2,3\n"),
        ("table", "{},1,0,1,2,3\n{},1,0,1,2,3\n"),
        ("configuration", "epochs = {}"),
        ("configuration", "learning_rate = {}.0"),
        ("configuration", 'image_shape = "{}x2"'),
        ("options", "seed={}"),
        ("options", "seed=0..{}"),
        ("options", "EPOCHS={}"),
        ("options", "{}x28"),
        ("metrics", '{{"epoch": 1, "loss": {}, "seconds": 1, "val_accuracy": null}}'),
        ("metrics", '{{"reason": "a", "date": "2020-01-01", "seconds": {}}}'),
        ("request", "[[0, 1], [2, {}]]"),
        ("description", "softmax\nimage_shape: [{}]"),
        ("description", "softmax\nscale: {}"),
        ("description", 'softmax\nclass_names: ["{}", "b"]'),
        ("description", "dense\nnetwork.layers.1.arguments.out_features: {}"),
        ("description", "conv\nnetwork.layers.0.arguments.padding: {}"),
        ("progress", "\ndescription.step: {}"),
        ("progress", "\nprogress.seconds: {}"),
        ("onnx", 'gemm\nproducerName: gpucnn\nmetadataProps: [{{"key": "scale", "value": "{}"}}]'),
        ("picture", "P2\n{} 1\n255\n0"),
    ],
)
def test_long_numbers(name: str, text: str, digits: str) -> None:
    """Python does not read more than 4,300 digits, and no float has 400."""
    fuzz_parsers.check(name, text.format(digits, digits).encode())


def test_checks_can_fail() -> None:
    """The promise is held against errors that break it."""
    from gpucnn.errors import DataError, GpucnnError

    def raising(error: Exception) -> fuzz_parsers.Parser:
        def read(data: bytes) -> None:
            raise error

        return fuzz_parsers.Parser((read,))

    long = "a b " * 100
    for error in (
        ValueError("x"),
        GpucnnError("of another kind", fix="x"),
        DataError("without a fix"),
        DataError(long, fix="x"),
        DataError("x", fix="many words " * 500),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PARSERS, "broken", raising(error))
            with pytest.raises((AssertionError, ValueError)):
                fuzz_parsers.check("broken", long.encode())
