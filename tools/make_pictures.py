"""Draw the pictures of handwritten digits that come with the package.

They are not photographs: nobody held a pen. This program moves a virtual pen along
paths that were written for this project, lays the ink on simulated paper, lights it,
and takes a picture of it with a simulated phone (perspective, blur, noise, JPEG). The
pictures are free of anyone else's rights, and running the program again draws the
same ones:

    python tools/make_pictures.py            # writes mnist_lesson/pictures/
    python tools/make_pictures.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# The pen's paths: for each digit its strokes, each a list of points (x, y) that a
# smooth curve passes through, in a box 1 high with y pointing down. A point given
# twice is a corner.
STROKES = {
    0: [[(0.40, 0.03), (0.17, 0.16), (0.07, 0.5), (0.16, 0.86), (0.36, 0.98),
         (0.56, 0.83), (0.63, 0.5), (0.55, 0.15), (0.38, 0.02), (0.29, 0.07)]],
    1: [[(0.12, 0.27), (0.25, 0.14), (0.36, 0.01), (0.36, 0.01), (0.34, 0.35),
         (0.31, 0.7), (0.29, 1.0)]],
    2: [[(0.08, 0.26), (0.17, 0.07), (0.38, 0.01), (0.57, 0.13), (0.56, 0.36),
         (0.38, 0.64), (0.06, 0.95), (0.06, 0.95), (0.3, 0.93), (0.66, 0.97)]],
    3: [[(0.1, 0.13), (0.28, 0.02), (0.5, 0.08), (0.53, 0.28), (0.42, 0.43),
         (0.24, 0.47), (0.24, 0.47), (0.47, 0.52), (0.6, 0.7), (0.5, 0.9),
         (0.27, 0.99), (0.04, 0.88)]],
    4: [[(0.34, 0.02), (0.22, 0.3), (0.05, 0.62), (0.05, 0.62), (0.3, 0.6),
         (0.68, 0.57)], [(0.51, 0.33), (0.48, 0.65), (0.44, 1.0)]],
    5: [[(0.2, 0.08), (0.16, 0.25), (0.12, 0.44), (0.12, 0.44), (0.33, 0.38),
         (0.54, 0.5), (0.56, 0.74), (0.4, 0.94), (0.18, 0.98), (0.03, 0.88)],
        [(0.21, 0.05), (0.4, 0.05), (0.62, 0.0)]],
    6: [[(0.47, 0.02), (0.24, 0.22), (0.09, 0.54), (0.12, 0.85), (0.32, 0.99),
         (0.53, 0.86), (0.54, 0.64), (0.37, 0.52), (0.19, 0.61), (0.11, 0.75)]],
    7: [[(0.04, 0.1), (0.04, 0.06), (0.3, 0.07), (0.6, 0.03), (0.6, 0.03),
         (0.46, 0.32), (0.33, 0.65), (0.26, 1.0)], [(0.2, 0.53), (0.52, 0.48)]],
    8: [[(0.5, 0.13), (0.33, 0.01), (0.14, 0.12), (0.19, 0.33), (0.4, 0.51),
         (0.54, 0.74), (0.43, 0.95), (0.2, 0.97), (0.08, 0.78), (0.22, 0.57),
         (0.44, 0.37), (0.52, 0.17), (0.47, 0.09)]],
    9: [[(0.54, 0.14), (0.34, 0.02), (0.13, 0.16), (0.12, 0.39), (0.3, 0.48),
         (0.5, 0.34), (0.55, 0.13), (0.55, 0.13), (0.52, 0.5), (0.46, 1.0)]],
}  # fmt: skip


def curve(points, steps=24):
    """Return a Catmull-Rom spline through `points`, shape (N, 2)."""
    p = np.array([points[0], *points, points[-1]], float)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2)
        + 0.5 * (3 * b - a - 3 * c + d) * t**3
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
        if (b != c).any()
    ]
    return np.concatenate([*parts, p[-1:]])


def write(digit, rng, *, height=300, pen=12.0, slant=0.0, wobble=0.012, pressure=0.25):
    """Write a digit with the virtual pen; return its ink, float (H, W) in [0, 1].

    `height` and `pen` (the line's width) are in pixels, `slant` in radians, `wobble`
    (how far the hand strays) in digit heights, `pressure` is how much the line's
    width varies along the stroke.
    """
    fine = 2  # drawn twice as large, then averaged: smooth edges
    margin = int(2 * pen) + 2
    size = (int(0.9 * height) + 2 * margin, height + 2 * margin)
    canvas = Image.new("L", (size[0] * fine, size[1] * fine))
    pencil = ImageDraw.Draw(canvas)
    for stroke in STROKES[digit]:
        points = np.array(stroke)
        points = points + rng.normal(0, wobble, points.shape) * (1, 1)
        corner = [i for i in range(1, len(stroke)) if stroke[i] == stroke[i - 1]]
        points[corner] = points[[i - 1 for i in corner]]
        path = curve(points, steps=40)
        path[:, 0] += slant * (0.5 - path[:, 1]) + 0.08
        t = np.linspace(0, 1, len(path))
        waves = np.sin(2 * np.pi * (t * rng.uniform(0.7, 2.0) + rng.uniform()))
        # The pen lands, presses and lifts: thinner ends, a slowly varying middle.
        ends = np.minimum(1, 0.65 + 6 * np.minimum(t, 1 - t))
        radius = pen / 2 * (1 + pressure * waves) * ends * fine
        for (x, y), r in zip((path * height + margin) * fine, radius, strict=True):
            pencil.ellipse((x - r, y - r, x + r, y + r), fill=255)
    return np.asarray(canvas.reduce(fine), float) / 255


def smooth_noise(shape, scale, rng):
    """Return noise of mean 0 and deviation 1 whose grains are `scale` pixels wide."""
    h, w = shape
    small = rng.normal(size=(int(h / scale) + 3, int(w / scale) + 3))
    noise = Image.fromarray(small.astype(np.float32)).resize((w, h), Image.BICUBIC)
    noise = np.asarray(noise)
    return (noise - noise.mean()) / (noise.std() + 1e-9)


def paper(shape, rng, *, rule=0, squares=False, strength=0.3, margin=False, grain=0.01):
    """Return paper, float (H, W, 3), 1 = white, with lines `rule` pixels apart."""
    h, w = shape
    sheet = np.ones((h, w, 3)) * (0.97, 0.965, 0.94)
    sheet *= (
        1
        + grain
        * (smooth_noise(shape, 1.5, rng) + smooth_noise(shape, 6, rng))[..., None]
    )
    if rule:
        lines = np.zeros(shape)
        y, x = np.mgrid[:h, :w]
        half = max(0.5, rule / 45)
        for axis, start in ((y, rng.uniform(0, rule)), (x, rng.uniform(0, rule))):
            away = np.abs((axis - start + rule / 2) % rule - rule / 2)
            lines = np.maximum(lines, np.clip(half + 0.5 - away, 0, 1))
            if not squares:
                break
        sheet *= 1 - strength * lines[..., None] * (1.0, 0.7, 0.4)
        if margin:
            away = np.abs(x - rng.uniform(0.1, 0.2) * w)
            red = np.clip(half + 0.5 - away, 0, 1)
            sheet *= 1 - strength * red[..., None] * (0.3, 1.0, 0.9)
    return sheet


def lay_ink(sheet, ink, at, colour, rng, *, strength=0.9, tooth=0.0):
    """Lay `ink` on the sheet with its upper left corner `at` (row, column).

    `tooth` is how much the paper's roughness shows in the line, as with a pencil.
    """
    full = np.zeros(sheet.shape[:2])
    top, left = at
    full[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    rough = 0.6 * smooth_noise(full.shape, 2, rng) + 0.4 * smooth_noise(
        full.shape, 25, rng
    )
    cover = full * np.clip(strength * (1 + tooth * rough), 0, 1)
    return sheet * (1 - cover[..., None] * (1 - np.array(colour)))


def light(shape, rng, *, slope=0.3, vignette=0.15, shadow=0.0, softness=0.05):
    """Return the light that falls on the paper, float (H, W), at most about 1."""
    h, w = shape
    y, x = np.mgrid[:h, :w]
    y, x = y / max(shape) - h / max(shape) / 2, x / max(shape) - w / max(shape) / 2
    a = rng.uniform(0, 2 * np.pi)
    lit = 1 - slope * (0.5 + np.cos(a) * x + np.sin(a) * y)
    lit *= 1 - vignette * 4 * (x**2 + y**2)
    if shadow:  # of the hand or the phone: everything beyond a wavering line
        b = rng.uniform(0, 2 * np.pi)
        beyond = np.cos(b) * x + np.sin(b) * y + 0.03 * np.sin(9 * x + 7 * y)
        far = beyond - rng.uniform(-0.2, 0.3)
        lit *= 1 - shadow / (1 + np.exp(-np.clip(far / softness, -30, 30) * 4))
    return lit


def photograph(scene, rng, *, tilt=0.0, blur=0.8, noise=0.012, exposure=0.92):
    """Take a picture of `scene`, float (H, W, 3): keystone, blur, sensor noise."""
    h, w, _ = scene.shape
    image = Image.fromarray((np.clip(scene * exposure, 0, 1) * 255).astype(np.uint8))
    if tilt:
        d = [tilt * rng.uniform(0, 1) * min(h, w) for _ in range(8)]
        corners = (d[0], d[1], d[2], h - d[3], w - d[4], h - d[5], w - d[6], d[7])
        image = image.transform((w, h), Image.Transform.QUAD, corners, Image.BICUBIC)
    image = image.filter(ImageFilter.GaussianBlur(blur))
    pixels = np.asarray(image, float) / 255
    noisy = pixels + noise * rng.normal(size=pixels.shape) * np.sqrt(0.3 + pixels)
    return Image.fromarray((np.clip(noisy, 0, 1) * 255).astype(np.uint8))


def three():
    """Pencil on plain paper beside a window, a shadow over one corner."""
    rng = np.random.default_rng(3)
    ink = write(3, rng, height=230, pen=8, slant=0.12)
    sheet = lay_ink(
        paper((520, 640), rng), ink, (110, 250), (0.25,) * 3, rng, strength=0.72,
        tooth=0.35,
    )  # fmt: skip
    lit = light(sheet.shape[:2], rng, slope=0.45, shadow=0.3, softness=0.12)
    return photograph(sheet * lit[..., None] * (1.0, 0.97, 0.9), rng, tilt=0.06)


def five():
    """Blue pen on ruled paper with a margin line, its bar not quite attached."""
    rng = np.random.default_rng(12)
    ink = write(5, rng, height=170, pen=7, slant=0.1, wobble=0.014)
    sheet = paper((600, 520), rng, rule=62, strength=0.35, margin=True)
    sheet = lay_ink(sheet, ink, (190, 210), (0.1, 0.16, 0.5), rng, tooth=0.08)
    lit = light(sheet.shape[:2], rng, slope=0.3, vignette=0.3)
    return photograph(sheet * lit[..., None], rng, tilt=0.05, blur=1.0)


def eight():
    """Black felt pen on squared paper, small in the picture."""
    rng = np.random.default_rng(8)
    ink = write(8, rng, height=120, pen=9, slant=0.15, pressure=0.15)
    sheet = paper((640, 480), rng, rule=34, squares=True, strength=0.25)
    sheet = lay_ink(sheet, ink, (330, 120), (0.1, 0.1, 0.12), rng, tooth=0.04)
    lit = light(sheet.shape[:2], rng, slope=0.25, shadow=0.35, softness=0.2)
    return photograph(sheet * lit[..., None], rng, tilt=0.06)


def seven():
    """Draw on a screen with a round brush: white background, no noise."""
    rng = np.random.default_rng(7)
    ink = write(7, rng, height=200, pen=20, slant=0.1, wobble=0.02, pressure=0.0)
    canvas = lay_ink(np.ones((320, 320, 3)), ink, (30, 20), (0.0,) * 3, rng, strength=1)
    return Image.fromarray((canvas * 255).astype(np.uint8)).convert("L")


def main(folder):
    """Write the four pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for draw in (three, five, eight):
        draw().save(folder / f"{draw.__name__}.jpg", quality=82, optimize=True)
    seven().save(folder / "seven.png", optimize=True)


if __name__ == "__main__":
    here = Path(__file__).parent.parent / "mnist_lesson" / "pictures"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
