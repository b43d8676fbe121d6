"""The shape of a STAR file, found in one pass over its bytes: blocks, columns, and where every value of a row lies.

What starfile misreads without a word is refused here with its line. Values are not interpreted: see star.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from core.errors import InputError, JobStopped
from core.io.star_text import checked_parts

MOST_ROWS = 1 << 14  # handed on at once: a tenth of a second at most between two looks at a stop
_MOST_STRAY_LINES = 100_000  # text of that many lines before any block is no STAR file
_QUOTES, _HASH = b"\"'", ord("#")
_VALUE = re.compile(rb'[ \t\r]*(?:(#.*)|("(?:[^"]|"")*")(?=[ \t\r]|$)|([^\s"#][^\s#]*)(?=[ \t\r]|$))')

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]


@dataclass
class Block:
    """One `data_` block: the columns of its loop, or its single values as (name, value as written)."""

    name: str
    line: int
    columns: list[str] = field(default_factory=list)
    singles: list[tuple[str, bytes]] = field(default_factory=list)
    is_loop: bool = False
    in_header: bool = False


@dataclass
class Rows:
    """Rows of a loop: value (i, j) is `text[starts[i, j]:stops[i, j]]`, quote marks included; `lines` count from 1."""

    block: Block
    text: np.ndarray  # uint8
    starts: np.ndarray
    stops: np.ndarray
    lines: np.ndarray


def scan(path: Path, progress: Progress | None = None, cancelled: Cancelled | None = None) -> Iterator[Block | Rows]:
    """Blocks as they begin (their columns are known with their first rows) and rows, MOST_ROWS at most at a time.

    `progress(bytes done, bytes in all)` comes between parts; a yes of `cancelled()` raises JobStopped.
    Raises InputError, with the number of the line, for whatever is not a well-formed table.
    """
    state = _Scan(path)
    for text, done, total in checked_parts(path):
        if cancelled is not None and cancelled():
            raise JobStopped("Reading was cancelled.")
        if progress is not None:
            progress(done, total)
        for found in state.take(text):
            if cancelled is not None and cancelled():
                raise JobStopped("Reading was cancelled.")
            yield found
    if state.block is None:
        raise no_table(path)


def no_table(path: Path) -> InputError:
    """What to say about a file that is no STAR file."""
    return InputError(f"{path} holds no STAR table.", "Choose a STAR file with a particle table.", path)


class _Scan:
    """Walks over the lines of one part after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.block: Block | None = None
        self._names: set[str] = set()
        self._first_stray: tuple[int, str] | None = None  # text before the first block: of a STAR file, or of prose
        self._line = 1  # number of the first line of the next part

    def take(self, text: bytes) -> Iterator[Block | Rows]:
        """All lines of `text`, which ends with a line end."""
        grid = _Grid(text)
        done = 0
        for index in grid.structural:
            block = self.block
            if block is not None and block.in_header and grid.filled[done:index].any():
                block.in_header = False
            kind = self._kind(grid, index)
            if kind == "row":
                continue
            yield from self._rows(grid, done, index)
            done = index + 1
            if kind == "data":
                yield self._begin(index, grid.line(index).split()[0].decode()[5:])
            elif kind == "loop":
                self._loop(index)
            elif self.block is not None:
                self._name(self.block, grid, index)
        yield from self._rows(grid, done, len(grid))
        self._line += len(grid)

    def fail(self, index: int, message: str, hint: str) -> NoReturn:
        raise InputError(f"{self.path}, line {self._line + index}: {message}", hint, self.path)

    def _kind(self, grid: _Grid, index: int) -> str:
        """What a line is that begins like a block, a loop or a column: it may be a row all the same."""
        block = self.block
        words = grid.line(index).split()
        first, alone = words[0], len(words) == 1 or words[1].startswith(b"#")
        if first.startswith(b"data_") and (alone or block is None or not block.columns):
            return "data"
        if first == b"loop_" and alone:
            return "loop"
        if block is None or not first.startswith(b"_"):
            return "row"
        if not block.is_loop or (alone and block.in_header):
            return "name"
        if alone and len(words) > 1:
            self.fail(index, f"the column {_shown(first)} stands among the rows.", "Move it to the other columns.")
        block.in_header = False
        return "row"

    def _loop(self, index: int) -> None:
        block = self.block
        if block is None:
            self.fail(index, "loop_ stands before the first data_ line.", "Write data_ above it.")
        if block.is_loop or block.singles:
            self.fail(index, "a second table begins inside its data_ block.", "Write a data_ line above it.")
        block.is_loop = block.in_header = True

    def _begin(self, index: int, name: str) -> Block:
        if self._first_stray is not None:
            line, text = self._first_stray
            self.fail(line - self._line, f"'{text}' stands before the first data_ line.", "Delete that line.")
        if name in self._names:
            self.fail(index, f"a second table is named data_{name[:60]}.", "Keep one, or rename the other.")
        self._names.add(name)
        self.block = Block(name, self._line + index)
        return self.block

    def _name(self, block: Block, grid: _Grid, index: int) -> None:
        """A column of a loop, or a single value."""
        values = self._values(grid, index)
        words = [grid.line(index)[a:b] for a, b in values]
        name = words[0].decode()[1:]
        if name in block.columns or any(name == other for other, _ in block.singles):
            self.fail(index, f"the column _{name[:60]} is there twice.", "Keep one of the two columns.")
        if block.is_loop:
            block.columns.append(name)
        elif len(words) == 1:
            self.fail(
                index,
                f"the table data_{block.name[:60]} has no loop_ line above its columns.",
                "Write a line with loop_ above the first column.",
            )
        elif len(words) > 2:
            self.fail(index, f"{_shown(words[0])} has {len(words) - 1} values.", "A value with blanks needs quotes.")
        else:
            block.singles.append((name, words[1]))

    def _rows(self, grid: _Grid, first: int, last: int) -> Iterator[Rows]:
        """The lines first ... last - 1, which are rows, comments or blank."""
        index = first + np.flatnonzero(grid.filled[first:last])
        if not index.size:
            return
        block = self.block
        if block is None:
            self._first_stray = self._first_stray or (
                self._line + int(index[0]),
                _shown(grid.line(int(index[0])).strip()),
            )
            if self._line > _MOST_STRAY_LINES:
                raise no_table(self.path)
            return
        if not block.columns:
            self._stray(grid, block, int(index[0]))
        block.in_header = False
        width = len(block.columns)
        for begin in range(0, index.size, MOST_ROWS):
            part = index[begin : begin + MOST_ROWS]
            odd = np.flatnonzero(grid.marked[part])
            ragged = grid.counts[part] != width
            ragged[odd] = False
            values: dict[int, list[tuple[int, int]]] = {}
            wrong = np.flatnonzero(ragged)
            for i in odd:  # in the order of the file: the first bad line is told
                if wrong.size and i > wrong[0]:
                    break
                values[int(i)] = found = self._values(grid, int(part[i]))
                self._check_width(int(part[i]), len(found), width)
            if wrong.size:
                self._check_width(int(part[wrong[0]]), int(grid.counts[part[wrong[0]]]), width)
            yield self._assemble(grid, part, values)

    def _assemble(self, grid: _Grid, part: np.ndarray, values: dict[int, list[tuple[int, int]]]) -> Rows:
        assert self.block is not None
        at = grid.first_value[part][:, None] + np.arange(len(self.block.columns))
        if values:  # their counts differ: what is looked up for these lines is replaced
            at = np.minimum(at, len(grid.starts) - 1)
        starts, stops = grid.starts[at], grid.stops[at]
        for i, found in values.items():
            offset = int(grid.begins[part[i]])
            starts[i], stops[i] = [offset + a for a, _ in found], [offset + b for _, b in found]
        return Rows(self.block, grid.bytes, starts, stops, part + self._line)

    def _check_width(self, index: int, count: int, width: int) -> None:
        if count == width:
            return
        values, columns = f"{count} value{'s' * (count != 1)}", f"{width} column{'s' * (width != 1)}"
        hint = "A value with blanks needs quote marks." if count > width else "Write the missing value, or delete it."
        self.fail(index, f"this row has {values}, but its table has {columns}.", hint)

    def _stray(self, grid: _Grid, block: Block, index: int) -> NoReturn:
        words = grid.line(index).strip()
        if block.is_loop:
            self.fail(index, "this row follows a loop_ line without columns.", "Write the columns below loop_.")
        self.fail(
            index, f"'{_shown(words)}' belongs to no table.", "Delete it, or write a loop_ line above the columns."
        )

    def _values(self, grid: _Grid, index: int) -> list[tuple[int, int]]:
        """Where the values of one line lie in it, as starfile's parser sees quotes and comments."""
        text = grid.line(index).replace(b"'", b'"')
        found, place = [], 0
        while text[place:].strip():
            match = _VALUE.match(text, place)
            if match is None:
                rest = _shown(grid.line(index)[place:].strip())
                word = rest.split(" ")[0]
                if word[:1] not in "\"'" and "#" in word:
                    self.fail(index, f"the # in '{word}' would cut it off.", "Put quote marks around the value.")
                self.fail(index, f"a quote mark is not closed: {rest}", "Close it before the end of the line.")
            if match.group(1) is not None:
                break
            if match.group(3) is not None and b"'" in grid.line(index)[match.start(3) : match.end(3)]:
                word = _shown(grid.line(index)[match.start(3) : match.end(3)])
                self.fail(index, f"the apostrophe in {word} would be read as a quote mark.", "Rename the file.")
            found.append(match.span(match.lastindex or 0))
            place = match.end()
        return found


def _shown(text: bytes) -> str:
    """A part of a line for a message."""
    return text.decode("utf-8", "replace")[:60]


class _Grid:
    """Lines of a text and their values, where neither quotes nor comments are in the way."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.bytes = np.frombuffer(text, np.uint8)
        filled = np.empty(len(text) + 1, bool)
        filled[0] = False
        np.greater(self.bytes, 32, out=filled[1:])
        edges = np.flatnonzero(filled[1:] != filled[:-1])
        self.starts, self.stops = edges[0::2], edges[1::2]  # the text ends with a line end: they are pairs
        ends = np.flatnonzero(self.bytes == 10)
        self.begins = np.concatenate([[0], ends[:-1] + 1])
        self._ends = ends
        bounds = np.concatenate([[0], np.searchsorted(self.starts, ends)])
        self.counts = np.diff(bounds)  # values of each line
        self.first_value = bounds[:-1]
        heads = np.zeros(len(ends), np.uint8)
        some = np.flatnonzero(self.counts)
        heads[some] = self.bytes[self.starts[self.first_value[some]]]
        self.filled = (self.counts > 0) & (heads != _HASH)
        self.marked = np.zeros(len(ends), bool)  # lines with a quote mark or a comment
        if b"#" in text or any(bytes([quote]) in text for quote in _QUOTES):
            marks = np.flatnonzero((self.bytes == _HASH) | (self.bytes == _QUOTES[0]) | (self.bytes == _QUOTES[1]))
            self.marked[np.searchsorted(ends, marks)] = True
        maybe = np.flatnonzero((heads == ord("_")) | (heads == ord("d")) | (heads == ord("l")))
        self.structural = [i for i in map(int, maybe) if self._head(i).startswith((b"_", b"data_", b"loop_"))]

    def __len__(self) -> int:
        return len(self._ends)

    def _head(self, index: int) -> bytes:
        start = int(self.starts[self.first_value[index]])
        return self._text[start : start + 5]

    def line(self, index: int) -> bytes:
        """The bytes of one line, without its end."""
        return self._text[self.begins[index] : self._ends[index]]
