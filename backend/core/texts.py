"""JSON texts one behind another in one block of bytes, as a caller's array has them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


class Texts:
    """Some JSON texts with a comma between each two, and nothing more than white space beside it.

    With brackets around it the block is an array of them, and a range of them is a range of bytes: none is
    copied for being cut out, counted or decoded together. Lines of a file have their line break in between:
    no array, and a decoder will say so.

    Args:
        data: the block.
        lengths: bytes of each text.
        gap: bytes from the end of one text to the beginning of the next.
    """

    __slots__ = ("_starts", "data", "gap", "lengths")

    def __init__(self, data: bytes | memoryview, lengths: Sequence[int], gap: int = 1) -> None:
        self.data, self.lengths, self.gap = data, lengths, gap
        self._starts: list[int] | None = None

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Texts:
        """These, put together."""
        return cls(b",".join(texts), list(map(len, texts)))

    def __eq__(self, other: object) -> bool:
        """Whether it holds the same texts, whatever lies between them."""
        return isinstance(other, Texts) and self.split() == other.split()

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.lengths)

    def cut(self, start: int, end: int) -> Texts:
        """The texts from one index up to another, in the same memory."""
        starts = self.starts()
        after = starts[end] - self.gap if end > start else starts[start]
        return Texts(memoryview(self.data)[starts[start] : after], self.lengths[start:end], self.gap)

    def block(self) -> bytes:
        """The block as bytes."""
        return bytes(self.data)  # no copy of what is bytes

    def text(self, index: int) -> bytes:
        """One of the texts."""
        return self.cut(index, index + 1).block()

    def split(self) -> list[bytes]:
        """Each text for itself."""
        data = self.block()
        return [data[at : at + size] for at, size in zip(self.starts(), self.lengths, strict=False)]

    def starts(self) -> list[int]:
        """Where each text begins; and where one after the last would."""
        if self._starts is None:
            gap = self.gap
            self._starts = list(accumulate([size + gap for size in self.lengths], initial=0))
        return self._starts
