"""Several inputs at once, along lines through all of them: most are right, and one difference shows it of many."""

from __future__ import annotations

from collections.abc import Sequence

from . import judge
from .look import Look
from .said import Said
from .thresholds import CERTAIN, FINE

__all__ = ["not_right_together"]


def not_right_together(look: Look, said: Sequence[Said]) -> list[Said]:
    """The inputs that are to be looked at by themselves: all but those of which one difference, along a line through
    several, shows as much as one along a line through each. Of what is wrong, or lies at kinks, both halves are tried.
    """
    rough = CERTAIN * look.d.noise / look.settings.step
    many = [s for s in said if not s.nothing and rough < FINE * s.size] if not look.settings.thorough else []
    right = {s.x.name for s in halves(look, many)}
    return [s for s in said if s.x.name not in right]


def halves(look: Look, said: Sequence[Said]) -> Sequence[Said]:
    """Those that are right: all, or those of one half; where neither is, none are tried any more."""
    if len(said) < 2 or is_right(look, said):
        return said if len(said) > 1 else []
    first, second = said[: len(said) // 2], said[len(said) // 2 :]
    left, right = is_right(look, first), is_right(look, second)
    if left == right:
        return said if left else []  # both: the line through all has met kinks
    return [*(first if left else second), *halves(look, second if left else first)]


def is_right(look: Look, said: Sequence[Said]) -> bool:
    """By one difference along a random line on which each input counts as much as that with the smallest gradient."""
    d, least = look.d, min(s.size for s in said)
    line = [(s.x, look.random.standard_normal(s.x.start.shape) * (s.x.size * least / s.size)) for s in said]
    ways = [way for _, way in line]
    slope = d.slope(line, look.settings.step)
    off = abs(slope.value - sum(float((s.g * way).sum()) for s, way in zip(said, ways, strict=True)))
    allowed = slope.rounding + judge.rounding_along([s.own for s in said], ways, least)
    if not off <= max(allowed, look.settings.tolerance * least) or allowed > FINE * least:
        return False
    look.report.error = max(look.report.error, off / least)
    look.report.resolution = max(look.report.resolution, allowed / least)
    return True
