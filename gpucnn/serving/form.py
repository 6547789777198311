"""The files in a form, as a browser or `curl -F` sends it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gpucnn.serving.problem import RequestError

_LONGEST_NAME = 100  # characters
_MOST_PARTS = 1024  # of a form: files and other fields
_MOST_HEADERS = 8  # of a part
_LONGEST_HEADER = 4096  # bytes


class _Parts:
    """Collects the parts of a form that are files; its methods on_... are those of the parser."""

    def __init__(self) -> None:
        self.files: list[tuple[bytes, str]] = []
        self.is_whole = False
        self._parts = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._field, self._value, self._content = b"", b"", bytearray()

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise FormParserError(f"it has more than {_MOST_PARTS:,} parts")
        self._headers, self._content = [], bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers.append((self._field.lower(), self._value))
        if len(self._headers) > _MOST_HEADERS or len(self._field + self._value) > _LONGEST_HEADER:
            raise FormParserError(
                f"a part may have {_MOST_HEADERS} headers of {_LONGEST_HEADER:,} bytes"
            )
        self._field = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def on_part_end(self) -> None:
        _, options = parse_options_header(dict(self._headers).get(b"content-disposition"))
        name = options.get(b"filename")
        if name is not None:
            text = name.decode(errors="replace")[:_LONGEST_NAME] or "the upload"
            self.files.append((bytes(self._content), text))

    def on_end(self) -> None:
        self.is_whole = True


def files(content_type: str, body: bytearray, most: int) -> list[tuple[bytes, str]]:
    """The contents and names of the files in a form, which are at most so many.

    Raises:
        RequestError: it has none or more, or it is no form.
    """
    _, options = parse_options_header(content_type[:_LONGEST_HEADER])
    parts = _Parts()
    cause = "it ends early"
    try:
        callbacks: Any = {n: getattr(parts, n) for n in dir(parts) if n.startswith("on_")}
        parser = MultipartParser(options.get(b"boundary", b""), callbacks)
        parser.write(bytes(body))
        parser.finalize()
    except FormParserError as error:
        parts.is_whole, cause = False, str(error)
    if not parts.is_whole:
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            "the form cannot be read",
            cause=cause,
            fix="send it as a browser or curl -F does",
        )
    if not 1 <= len(parts.files) <= most:
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"the form has {len(parts.files) or 'no'} files",
            cause=f"one to {most} pictures are answered at once",
            fix="send a picture, as in curl -F file=@digit.png",
        )
    return parts.files
