"""Small files of what Chromium shows: PNG with a palette, and an animation."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

EXACT, COVERING = 48, 80  # colours of a palette
POINTER = ((0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12))


def keep(png: bytes, path: Path) -> int:
    """Write the picture with a palette, which flat pages do not suffer from; its size in bytes."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    small = picture.quantize(palette=_palette(picture), dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    return path.stat().st_size


def _palette(picture: Image.Image) -> Image.Image:
    """The colours that fill the page, exactly; and by coverage those of small places, such as a green dot."""
    counted = picture.getcolors(picture.width * picture.height) or []
    most = [colour for _count, colour in sorted(counted, reverse=True)[:EXACT]]
    rest = picture.quantize(COVERING, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    exact = [value for colour in most if isinstance(colour, tuple) for value in colour]
    palette = Image.new("P", (1, 1))
    palette.putpalette((exact + rest)[: 3 * 256])
    return palette


@dataclass
class Frame:
    """Pictures side by side, for so many milliseconds; where the pointer stands, if it is to be seen."""

    pngs: tuple[bytes, ...]
    ms: int
    pointer: tuple[int, int] | None = None


def animate(frames: list[Frame], path: Path, *, gap: int = 16) -> int:
    """Write a GIF of the frames; its size in bytes."""
    pictures = [_beside(frame, gap) for frame in frames]
    # One palette for all, taken from the whole: or colours would flicker between the frames.
    whole = Image.new("RGB", (pictures[0].width, sum(each.height for each in pictures)))
    for number, picture in enumerate(pictures):
        whole.paste(picture, (0, number * picture.height))
    palette = whole.quantize(128)
    first, *rest = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
    first.save(
        path, save_all=True, append_images=rest, duration=[frame.ms for frame in frames], loop=0, optimize=True,
        disposal=1,
    )  # fmt: skip
    return path.stat().st_size


def _beside(frame: Frame, gap: int) -> Image.Image:
    parts = [Image.open(BytesIO(png)).convert("RGB") for png in frame.pngs]
    width = sum(part.width for part in parts) + gap * (len(parts) + 1)
    canvas = Image.new("RGB", (width, max(part.height for part in parts) + 2 * gap), "#d5d9e2")
    at = gap
    for part in parts:
        canvas.paste(part, (at, gap))
        at += part.width + gap
    if frame.pointer:
        x, y = frame.pointer
        shape = [(x + gap + dx, y + gap + dy) for dx, dy in POINTER]
        ImageDraw.Draw(canvas).polygon(shape, fill="#000000", outline="#ffffff")
    return canvas
