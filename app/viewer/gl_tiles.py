"""Pictures with OpenGL 3.3: tiles live in two texture arrays, levels and colour table in the fragment shader.

Exact tiles (R32F, 256 px, computed by tiles.py as for the raster painter, so both show the same) are drawn one
texel to a pixel. Level tiles (R16F, 512 px and a gutter of one) stand in while the zoom changes. One draw call
per picture and kind: calls from Python are dear. A new contrast uploads nothing but the table.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np
from OpenGL import GL

from app.viewer.tiles import LEVEL_TILE, SCREEN_TILE, Box, TileSource
from core.images.colour import Look, colours

GUTTER = 1
_LEVEL_SIDE = LEVEL_TILE + 2 * GUTTER

_VERTEX = """#version 330 core
layout(location=0) in vec2 corner;
layout(location=1) in vec4 target;  // left, top, right, bottom in device pixels of the canvas
layout(location=2) in vec4 part;    // of the layer, in texels
layout(location=3) in float layer;
uniform vec2 canvas;
out vec2 texel;
flat out float page;
void main() {
    vec2 place = mix(target.xy, target.zw, corner);
    texel = mix(part.xy, part.zw, corner);
    page = layer;
    gl_Position = vec4(place.x / canvas.x * 2.0 - 1.0, 1.0 - place.y / canvas.y * 2.0, 0.0, 1.0);
}"""

# `zero` and `scale` as in core/images/contrast.positions: cutting off the fraction rounds.
_FRAGMENT = """#version 330 core
in vec2 texel;
flat in float page;
out vec4 colour;
uniform sampler2DArray tiles;
uniform sampler2D table;
uniform float zero;
uniform float scale;
uniform vec2 unit;      // stored value -> value: value = stored * unit.x + unit.y
uniform int smoothly;
void main() {
    float stored = smoothly == 1
        ? texture(tiles, vec3(texel / vec2(textureSize(tiles, 0).xy), page)).r
        : texelFetch(tiles, ivec3(ivec2(floor(texel)), int(page)), 0).r;
    float place = clamp((stored * unit.x + unit.y - zero) * scale, 0.0, 255.0);
    colour = texelFetch(table, ivec2(int(place), 0), 0);
}"""


class Layers:
    """A texture array whose layers hold the tiles used last."""

    def __init__(self, side: int, wanted: int, internal: Any, kind: Any) -> None:
        limit = int(GL.glGetIntegerv(GL.GL_MAX_ARRAY_TEXTURE_LAYERS))
        self.side, self.count, self._kind = side, max(1, min(wanted, limit)), kind
        self._layer_of: OrderedDict[Hashable, int] = OrderedDict()
        self._free = list(range(self.count))
        self.texture = GL.glGenTextures(1)
        GL.glBindTexture(GL.GL_TEXTURE_2D_ARRAY, self.texture)
        args = (GL.GL_TEXTURE_2D_ARRAY, 0, internal, side, side, self.count, 0, GL.GL_RED, kind, None)
        GL.glTexImage3D(*args)
        for name, value in (
            (GL.GL_TEXTURE_MIN_FILTER, GL.GL_LINEAR),
            (GL.GL_TEXTURE_MAG_FILTER, GL.GL_LINEAR),
            (GL.GL_TEXTURE_WRAP_S, GL.GL_CLAMP_TO_EDGE),
            (GL.GL_TEXTURE_WRAP_T, GL.GL_CLAMP_TO_EDGE),
            (GL.GL_TEXTURE_MAX_LEVEL, 0),
        ):
            GL.glTexParameteri(GL.GL_TEXTURE_2D_ARRAY, name, value)

    def get(self, key: Hashable) -> int | None:
        """The layer of a tile, now the most recently used; None when it is not here."""
        layer = self._layer_of.get(key)
        if layer is not None:
            self._layer_of.move_to_end(key)
        return layer

    def put(self, key: Hashable, values: np.ndarray, wanted: set[Hashable]) -> int | None:
        """Upload a tile over the oldest one; None when all layers are among the `wanted` of this frame."""
        if not self._free:
            oldest = next(iter(self._layer_of))
            if oldest in wanted:
                return None
            self._free.append(self._layer_of.pop(oldest))
        layer = self._layer_of[key] = self._free.pop()
        height, width = values.shape
        GL.glBindTexture(GL.GL_TEXTURE_2D_ARRAY, self.texture)
        GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 1)
        place = (0, 0, 0, layer, width, height, 1)
        GL.glTexSubImage3D(GL.GL_TEXTURE_2D_ARRAY, *place, GL.GL_RED, self._kind, np.ascontiguousarray(values))
        return layer

    def delete(self) -> None:
        """Give the memory back (the context must be current)."""
        GL.glDeleteTextures([self.texture])


class Program:
    """The shader, its quad and its buffer of instances."""

    def __init__(self) -> None:
        self._program = _link(_VERTEX, _FRAGMENT)
        names = ("canvas", "tiles", "table", "zero", "scale", "unit", "smoothly")
        self._uniform = {name: GL.glGetUniformLocation(self._program, name) for name in names}
        self._array = GL.glGenVertexArrays(1)
        GL.glBindVertexArray(self._array)
        quad = np.array([0, 0, 1, 0, 0, 1, 1, 1], np.float32)
        self._quad, self._instances = (int(name) for name in GL.glGenBuffers(2))
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, self._quad)
        GL.glBufferData(GL.GL_ARRAY_BUFFER, quad.nbytes, quad, GL.GL_STATIC_DRAW)
        GL.glEnableVertexAttribArray(0)
        GL.glVertexAttribPointer(0, 2, GL.GL_FLOAT, False, 0, None)
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, self._instances)
        for place, (size, offset) in enumerate(((4, 0), (4, 16), (1, 32)), 1):
            GL.glEnableVertexAttribArray(place)
            GL.glVertexAttribPointer(place, size, GL.GL_FLOAT, False, 36, GL.ctypes.c_void_p(offset))
            GL.glVertexAttribDivisor(place, 1)
        GL.glBindVertexArray(0)
        self._table = GL.glGenTextures(1)
        self._table_of: tuple[object, ...] = ()

    def begin(self, width: int, height: int) -> None:
        """Before the pictures of a frame; the canvas is width x height device pixels."""
        GL.glUseProgram(self._program)
        GL.glBindVertexArray(self._array)
        GL.glUniform2f(self._uniform["canvas"], width, height)
        GL.glUniform1i(self._uniform["tiles"], 0)
        GL.glUniform1i(self._uniform["table"], 1)

    def end(self) -> None:
        """After them: QPainter finds the state it expects."""
        GL.glBindVertexArray(0)
        GL.glUseProgram(0)
        GL.glActiveTexture(GL.GL_TEXTURE0)
        GL.glBindTexture(GL.GL_TEXTURE_2D_ARRAY, 0)
        GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 4)  # Qt uploads its letters so

    def draw(
        self, layers: Layers, look: Look, instances: list[list[float]], unit: tuple[float, float], smoothly: bool
    ) -> None:
        """Draw tiles; `instances`: left, top, right, bottom, part of the layer in texels (4), layer."""
        if not instances:
            return
        self._set_table(look)
        data = np.array(instances, np.float32)
        scale = np.float32(255.0 / (look.white - look.black))
        zero = np.float32(look.black) - np.float32(0.5) / scale
        GL.glUniform1f(self._uniform["zero"], float(zero))
        GL.glUniform1f(self._uniform["scale"], float(scale))
        GL.glUniform2f(self._uniform["unit"], *unit)
        GL.glUniform1i(self._uniform["smoothly"], int(smoothly))
        GL.glActiveTexture(GL.GL_TEXTURE0)
        GL.glBindTexture(GL.GL_TEXTURE_2D_ARRAY, layers.texture)
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, self._instances)
        GL.glBufferData(GL.GL_ARRAY_BUFFER, data.nbytes, data, GL.GL_STREAM_DRAW)
        GL.glDrawArraysInstanced(GL.GL_TRIANGLE_STRIP, 0, 4, len(instances))

    def _set_table(self, look: Look) -> None:
        GL.glActiveTexture(GL.GL_TEXTURE1)
        GL.glBindTexture(GL.GL_TEXTURE_2D, self._table)
        wanted = (look.lut, look.gamma, look.invert)
        if wanted != self._table_of:
            self._table_of = wanted
            packed = colours(*wanted)
            shifts = np.array([16, 8, 0, 24], np.uint32)  # 0xAARRGGBB -> R, G, B, A
            bytes_ = ((packed[:, None] >> shifts) & 0xFF).astype(np.uint8)
            GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 1)
            args = (GL.GL_TEXTURE_2D, 0, GL.GL_RGBA8, 256, 1, 0, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE, bytes_)
            GL.glTexImage2D(*args)
            for name in (GL.GL_TEXTURE_MIN_FILTER, GL.GL_TEXTURE_MAG_FILTER):
                GL.glTexParameteri(GL.GL_TEXTURE_2D, name, GL.GL_NEAREST)


def _link(vertex: str, fragment: str) -> int:
    program = int(GL.glCreateProgram() or 0)
    for kind, text in ((GL.GL_VERTEX_SHADER, vertex), (GL.GL_FRAGMENT_SHADER, fragment)):
        shader = GL.glCreateShader(kind)
        GL.glShaderSource(shader, text)
        GL.glCompileShader(shader)
        if not GL.glGetShaderiv(shader, GL.GL_COMPILE_STATUS):
            raise RuntimeError(f"shader: {GL.glGetShaderInfoLog(shader)!r}")
        GL.glAttachShader(program, shader)
    GL.glLinkProgram(program)
    if not GL.glGetProgramiv(program, GL.GL_LINK_STATUS):
        raise RuntimeError(f"shader program: {GL.glGetProgramInfoLog(program)!r}")
    return program


def screen_layers(device_pixels: int) -> Layers:
    """Room for exact tiles of a full view and its surroundings."""
    wanted = 3 * (device_pixels // SCREEN_TILE**2 + 16)
    return Layers(SCREEN_TILE, max(96, wanted), GL.GL_R32F, GL.GL_FLOAT)


def level_layers() -> Layers:
    """Room for level tiles: 0.5 MB each."""
    return Layers(_LEVEL_SIDE, 64, GL.GL_R16F, GL.GL_HALF_FLOAT)


def level_unit(source: TileSource) -> tuple[float, float]:
    """(half range, middle) of a picture: level tiles are stored in these units, where half precision is fine."""
    low, high = source.pyramid.grey_ranges[0]
    if source.minus is not None:
        other_low, other_high = source.minus.grey_ranges[0]
        low, high = low - other_high, high - other_low
    return (max((high - low) / 2, 1e-30), (high + low) / 2)


def level_values(source: TileSource, number: int, box: Box, unit: tuple[float, float]) -> np.ndarray:
    """A level tile with its gutter (the border repeats at the picture's edge), float16 in `unit`."""
    left, top, right, bottom = box
    ny, nx = source.level_shape(number)
    wide = (max(left - GUTTER, 0), max(top - GUTTER, 0), min(right + GUTTER, nx), min(bottom + GUTTER, ny))
    values = (source.level(number, wide) - np.float32(unit[1])) / np.float32(unit[0])
    missing = [
        (GUTTER - (top - wide[1]), GUTTER - (wide[3] - bottom)),
        (GUTTER - (left - wide[0]), GUTTER - (wide[2] - right)),
    ]
    if any(side for pair in missing for side in pair):
        values = np.pad(values, missing, mode="edge")
    return np.clip(values, -60000, 60000).astype(np.float16)
