"""The moving picture of the loop, from frames that the scenes left."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH = 900
COLOURS = 240
BAR = 34  # pixels below the picture, for the caption
FRAMES = (
    ("paint", "1. Annotate: paint masks for some images", 2500),
    ("train_1", "2. Train: the outlines are what the model predicts so far", 1500),
    ("train_2", "2. Train: the outlines are what the model predicts so far", 1500),
    ("train_3", "2. Train: the outlines are what the model predicts so far", 1500),
    ("train_4", "2. Train: how good it is on images that were held out", 2500),
    ("predict", "3. Predict: outlines over an image without a mask", 2500),
    ("attention", "3. Predict: the areas that the model looks at", 2000),
    ("accept", "4. Accept objects with Shift-click, correct the others", 2500),
    ("tune", "5. Fine-tune on the corrected masks: did it get better?", 3500),
)


def write_loop(frames: Path, out: Path) -> None:
    """Write a GIF of all frames in a folder.

    Raises
    ------
    FileNotFoundError
        A frame is missing.
    """
    pictures = [_captioned(Image.open(frames / f"{name}.png").convert("RGB"), text) for name, text, _ in FRAMES]
    palette = _palette(pictures)
    shown = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    times = [time for _, _, time in FRAMES]
    shown[0].save(out, save_all=True, append_images=shown[1:], duration=times, loop=0, optimize=True)


def _captioned(picture: Image.Image, text: str) -> Image.Image:
    height = round(picture.height * WIDTH / picture.width)
    whole = Image.new("RGB", (WIDTH, height + BAR), "white")
    whole.paste(picture.resize((WIDTH, height), Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(whole)
    draw.text((WIDTH / 2, height + BAR / 2), text, fill="black", font=ImageFont.load_default(19), anchor="mm")
    return whole


def _palette(pictures: list[Image.Image]) -> Image.Image:
    """Return one palette for all frames, so that what stays the same stays the same colour."""
    sheet = Image.new("RGB", (WIDTH, pictures[0].height * len(pictures)))
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (0, number * picture.height))
    return sheet.quantize(COLOURS)
