"""Files of events, which TensorBoard reads: numbers, histograms, pictures and a graph by step."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.graph import Graph
from gpucnn.training.pictures import png
from gpucnn.writing import storage_errors

_ENDING = ".gpucnn"  # of the names of our files
_BINS = 30  # of a histogram; TensorBoard draws as many


class EventFile:
    """A new file of events in a folder; events of earlier files from step `first` on are void.

    tensorboardX's SummaryWriter hands its events to a thread, and its `flush` does not wait for
    them. This class writes the file itself, so that an event is on the disk before the checkpoint
    of a later step. Each method writes to the disk before it returns.

    Args:
        folder: it is made if it does not exist.
        first: the first step of the events that will be written.

    Raises:
        StorageError: here or later, the file cannot be written.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        self.folder = folder
        with storage_errors(folder, ""):
            folder.mkdir(parents=True, exist_ok=True)
            # TensorBoard reads the files in the order of their names, which begin with the second.
            self._file = EventsWriter(str(folder / "events"), f".{time.time_ns()}{_ENDING}")
        self._write(first, {"session_log": SessionLog(status=SessionLog.START)})

    def scalars(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """Write the numbers "group/name" of a step, by name."""
        from tensorboardX.summary import scalar

        self.summaries(step, [scalar(f"{group}/{name}", value) for name, value in values.items()])

    def histograms(self, step: int, group: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the distributions "group/name" of the finite elements of arrays, by name."""
        from tensorboardX.summary import histogram

        finite = {name: array[np.isfinite(array)] for name, array in arrays.items()}
        self.summaries(
            step,
            [histogram(f"{group}/{name}", a, _BINS) for name, a in finite.items() if a.size],
        )

    def image(self, step: int, tag: str, pixels: NDArray[np.uint8]) -> None:
        """Write a picture, gray (H, W) or with red, green and blue (H, W, 3)."""
        from tensorboardX.proto.summary_pb2 import Summary

        height, width, *colors = pixels.shape
        image = Summary.Image(
            height=height,
            width=width,
            colorspace=3 if colors else 1,
            encoded_image_string=png(pixels),
        )
        self.summaries(step, [Summary(value=[Summary.Value(tag=tag, image=image)])])

    def graph(self, graph: Graph) -> None:
        """Write the layers of a network and how they connect, at step 0."""
        self._write(0, {"graph_def": _graph_def(graph)})

    def summaries(self, step: int, summaries: Iterable[Any]) -> None:
        """Write `Summary` objects of tensorboardX."""
        self._write(step, *({"summary": summary} for summary in summaries))

    def _write(self, step: int, *events: dict[str, Any]) -> None:
        from tensorboardX.proto.event_pb2 import Event

        with storage_errors(self.folder, ""):
            for event in events:
                self._file.write_event(Event(step=step, wall_time=time.time(), **event))
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with storage_errors(self.folder, ""):
            self._file.close()


def has_events(folder: Path) -> bool:
    """Whether an earlier training wrote a file here."""
    return any(folder.glob(f"*{_ENDING}"))


def remove_events(folder: Path) -> None:
    """Delete the files that an earlier training wrote here; those of other programs stay."""
    with storage_errors(folder, ""):
        for file in folder.glob(f"*{_ENDING}"):
            file.unlink(missing_ok=True)  # another training may begin here at the same time


def _graph_def(graph: Graph) -> bytes:
    """A graph as TensorFlow's GraphDef, in which a path "block.conv1" is a box in a box."""
    from tensorboardX.proto.attr_value_pb2 import AttrValue
    from tensorboardX.proto.graph_pb2 import GraphDef
    from tensorboardX.proto.node_def_pb2 import NodeDef

    names: list[str] = []
    nodes = []
    for node in graph.nodes:
        name = _free_name(node.name, names)
        texts = zip(("shape", "parameters"), node.details, strict=False)
        nodes.append(
            NodeDef(
                name=name,
                op=node.title,
                input=[names[source] for source in node.sources],
                attr={key: AttrValue(s=text.encode()) for key, text in texts},
            )
        )
        names.append(name)
    last = _free_name(graph.result, names)
    nodes.append(NodeDef(name=last, op="output", input=[names[-1]]))
    encoded: bytes = GraphDef(node=nodes).SerializeToString()
    return encoded


def _free_name(path: str, names: list[str]) -> str:
    """A name of a node that GraphDef allows and that is not among the names."""
    name = re.sub(r"[^\w./-]", "_", path, flags=re.ASCII).replace(".", "/").lstrip("/_-") or "node"
    free, number = name, 1
    while free in names:
        free, number = f"{name}_{number}", number + 1
    return free
