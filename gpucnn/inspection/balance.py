"""Classes with far fewer training images than others, or with none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gpucnn.data.labels import listing
from gpucnn.inspection.evidence import Check, Evidence
from gpucnn.inspection.finding import Finding, Threshold
from gpucnn.quoting import on_one_line

IMBALANCE = Threshold(
    10.0,
    "times as many images in the largest class as in the smallest",
    "ours; Buda, Maki and Mazurowski 2018 measure the effect of such ratios",
)
NONE = Threshold(1.0, "classes without training images", "a class cannot be learned without images")
ONLY = Threshold(1.0, "class with training images", "one class cannot be told from others")


def find(evidence: Evidence) -> Iterator[Finding]:
    """Findings on the number of training images of each class."""
    assert evidence.labels is not None
    names = evidence.class_names
    counts = np.bincount(evidence.labels, minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if len(names) > 1 and np.count_nonzero(counts) == 1:
        only = on_one_line(names[int(counts.argmax())])
        yield Finding(
            "one-class-only",
            None,
            1.0,
            ONLY,
            f"all {len(evidence.labels):,} training images have the label {only}",
            "the labels were read or prepared wrongly; there is nothing to tell apart",
            "look at images with their labels: data.load(...).train.show(slice(12))",
        )
        return
    if empty:
        yield Finding(
            "class-without-images",
            None,
            float(len(empty)),
            NONE,
            f"{len(empty)} of {len(names)} classes {'has' if len(empty) == 1 else 'have'} no"
            f" training image: {listing(empty)}",
            "the list of classes names more than the training images are labeled with",
            "add images of each class, or name fewer classes",
        )
    by_size = [int(k) for k in np.argsort(counts, kind="stable") if counts[k]]
    least, most = (by_size[0], by_size[-1]) if by_size else (0, 0)
    ratio = float(counts[most] / max(counts[least], 1))
    if ratio > IMBALANCE.value:
        yield Finding(
            "class-imbalance",
            None,
            ratio,
            IMBALANCE,
            f"class {on_one_line(names[most])} has {counts[most]:,} training images,"
            f" class {on_one_line(names[least])} {counts[least]:,}: {ratio:.0f} times as many",
            "the mean loss is that of the large classes, so that small ones are answered too"
            " seldom",
            "add images of the small classes; or in gpucnn.keras fit(class_weight={...})",
        )


CHECK = Check("class balance", ("labels",), find)
