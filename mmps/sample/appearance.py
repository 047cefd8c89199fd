"""What a person looks like: the traits that stay the same in every frame and camera."""

from dataclasses import dataclass

import numpy as np

RGB = tuple[int, int, int]

# Few colours, shared by everybody: one colour alone never tells who somebody is.
TOP_COLORS: tuple[RGB, ...] = (
    (226, 224, 218),  # white
    (38, 38, 44),  # black
    (128, 132, 138),  # grey
    (172, 40, 44),  # red
    (42, 66, 138),  # blue
    (50, 112, 70),  # green
    (214, 170, 60),  # mustard
    (134, 92, 60),  # brown
    (196, 116, 150),  # pink
    (112, 164, 198),  # light blue
)
BOTTOM_COLORS: tuple[RGB, ...] = (
    (34, 34, 40),  # black
    (44, 58, 96),  # indigo
    (104, 134, 172),  # light denim
    (178, 158, 116),  # khaki
    (112, 114, 118),  # grey
    (98, 66, 46),  # brown
    (212, 208, 198),  # off-white
    (84, 94, 58),  # olive
    (132, 44, 54),  # burgundy
)
BAG_COLORS: tuple[RGB, ...] = (
    (30, 30, 34),
    (150, 44, 40),
    (44, 62, 112),
    (150, 104, 62),
    (206, 190, 160),
    (62, 96, 66),
)
SHOE_COLORS: tuple[RGB, ...] = ((26, 26, 28), (232, 230, 226), (112, 76, 48), (150, 40, 44))
HAIR_COLORS: tuple[RGB, ...] = (
    (24, 20, 20),
    (58, 38, 26),
    (108, 72, 42),
    (190, 152, 96),
    (150, 148, 146),
)
SKIN_COLORS: tuple[RGB, ...] = (
    (240, 205, 180),
    (226, 182, 150),
    (196, 146, 110),
    (140, 96, 68),
    (92, 62, 46),
)

# Listed with their relative frequencies.
TOP_KINDS = {'tshirt': 5, 'longsleeve': 4, 'jacket': 4, 'coat': 3, 'hoodie': 3}
BOTTOM_KINDS = {'trousers': 5, 'jeans': 5, 'shorts': 3, 'skirt': 3}
TOP_PATTERNS = {
    'plain': 8,
    'hstripes': 3,
    'vstripes': 2,
    'checks': 2,
    'dots': 2,
    'blocks': 3,
    'band': 2,
    'logo': 3,
}
BOTTOM_PATTERNS = {'plain': 8, 'checks': 1, 'vstripes': 1, 'dots': 1}
HAIR_STYLES = {'short': 6, 'long': 4, 'ponytail': 2, 'bun': 2, 'bald': 1}
HATS = {'none': 10, 'cap': 2, 'beanie': 1}
BAGS = {'none': 5, 'backpack': 3, 'shoulderbag': 2, 'handbag': 2}


@dataclass(frozen=True)
class Garment:
    """A garment: its cut, its pattern and the two colours of the pattern (RGB, 0..255)."""

    kind: str
    pattern: str
    color: RGB
    second: RGB
    period: float
    """Length of one repeat of the pattern, in body heights."""


@dataclass(frozen=True)
class Appearance:
    """Everything that identifies a person. Lengths are factors of an average adult's."""

    stature: float
    girth: float
    shoulders: float
    legs: float
    skin: RGB
    hair_style: str
    hair_color: RGB
    hat: str
    hat_color: RGB
    top: Garment
    inner: RGB
    """The shirt that an open jacket or coat shows."""
    bottom: Garment
    shoes: RGB
    bag: str
    bag_color: RGB


def _pick(rng: np.random.Generator, weights: dict[str, int]) -> str:
    names = list(weights)
    share = np.array([weights[name] for name in names], dtype=float)
    return names[int(rng.choice(len(names), p=share / share.sum()))]


def _shade(rng: np.random.Generator, colors: tuple[RGB, ...], *, spread: float = 9.0) -> RGB:
    """One colour of the palette, as dyed in this one garment."""
    base = np.array(colors[int(rng.integers(len(colors)))], dtype=float)
    red, green, blue = np.clip(base + rng.normal(0, spread, 3), 8, 245).round().astype(int)
    return int(red), int(green), int(blue)


def _contrasting(rng: np.random.Generator, colors: tuple[RGB, ...], base: RGB) -> RGB:
    """Another colour of the palette that can be told from ``base`` from afar."""
    others = [c for c in colors if np.abs(np.subtract(c, base)).sum() > 150]
    return _shade(rng, tuple(others))


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """A random person; the same generator state always gives the same person."""
    top_color = _shade(rng, TOP_COLORS)
    bottom_kind = _pick(rng, BOTTOM_KINDS)
    denim = BOTTOM_COLORS[1:3]
    bottom_color = _shade(rng, denim if bottom_kind == 'jeans' else BOTTOM_COLORS)
    bottom_pattern = 'plain' if bottom_kind == 'jeans' else _pick(rng, BOTTOM_PATTERNS)
    top = Garment(
        kind=_pick(rng, TOP_KINDS),
        pattern=_pick(rng, TOP_PATTERNS),
        color=top_color,
        second=_contrasting(rng, TOP_COLORS, top_color),
        period=float(rng.uniform(0.06, 0.11)),
    )
    bottom = Garment(
        kind=bottom_kind,
        pattern=bottom_pattern,
        color=bottom_color,
        second=_contrasting(rng, BOTTOM_COLORS, bottom_color),
        period=float(rng.uniform(0.05, 0.09)),
    )
    return Appearance(
        stature=float(rng.uniform(0.86, 1.08)),
        girth=float(np.clip(rng.normal(1.08, 0.16), 0.82, 1.5)),
        shoulders=float(rng.uniform(0.9, 1.12)),
        legs=float(rng.uniform(0.94, 1.05)),
        skin=_shade(rng, SKIN_COLORS, spread=5.0),
        hair_style=_pick(rng, HAIR_STYLES),
        hair_color=_shade(rng, HAIR_COLORS, spread=5.0),
        hat=_pick(rng, HATS),
        hat_color=_shade(rng, BAG_COLORS),
        top=top,
        inner=_contrasting(rng, TOP_COLORS, top_color),
        bottom=bottom,
        shoes=_shade(rng, SHOE_COLORS, spread=5.0),
        bag=_pick(rng, BAGS),
        bag_color=_shade(rng, BAG_COLORS),
    )
