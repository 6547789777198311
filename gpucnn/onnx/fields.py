"""Counting the fields of a file in the form of protobuf, before the package onnx parses it.

A field of two bytes may become an object of 200. The numbers of an array are not counted: they take
the memory that its shape says.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # the forms of a field
_SIZES = {_FIXED64: 8, _FIXED32: 4}  # bytes
#: Types of a field as protobuf numbers them: those whose numbers have a fixed size, and others.
_WIDTHS = {1: 8, 2: 4, 6: 8, 7: 4, 15: 4, 16: 8}  # bytes; a varint has at least one
_TEXT, _MESSAGE, _BYTE_STRING = 9, 11, 12


def count_fields(content: bytes, kind: Any, most: int) -> int:
    """The fields of a message and of those in it; no longer exact where they are more than `most`.

    A number in a list counts as a field.

    Args:
        content: the message.
        kind: its descriptor in protobuf.

    Raises:
        ValueError: it is cut short, or no message.
    """
    count, messages = 0, [(0, len(content), kind)]
    while messages:
        at, end, kind = messages.pop()
        inside, widths = _members(kind)
        while at < end and count <= most:
            key, at = _varint(content, at)
            number, form = key >> 3, key & 7
            count += 1
            if form == _VARINT:
                _, at = _varint(content, at)
            elif form == _BYTES:
                size, at = _varint(content, at)
                if number in inside:
                    messages.append((at, at + size, inside[number]))
                elif number in widths:
                    count += size // widths[number]
                at += size
            elif form in _SIZES:
                at += _SIZES[form]
            else:
                raise ValueError(f"a field has the form {form}")
            if at > end:
                raise ValueError("a field is longer than what it is in")
    return count


@cache
def _members(kind: Any) -> tuple[dict[int, Any], dict[int, int]]:
    """The numbers of the fields that are messages, with their kinds; and of lists, with widths."""
    inside = {field.number: field.message_type for field in kind.fields if field.type == _MESSAGE}
    lists = {
        field.number: _WIDTHS.get(field.type, 1)
        for field in kind.fields
        if field.type not in (_TEXT, _MESSAGE, _BYTE_STRING)
        and not (kind.name == "TensorProto" and field.name.endswith("_data"))
    }
    return inside, lists


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of one to ten bytes, and the place after it."""
    value = 0
    for shift, byte in enumerate(content[at : at + 10]):
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value, at + shift + 1
    raise ValueError("a number has no end")
