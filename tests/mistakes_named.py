"""How many mistakes of the bank the check names: `python tests/mistakes_named.py`; of the half kept back only how many.

A mistake is named if the first verdict has one of the names that a teacher would give, and says what belongs to it; or,
which is counted beside it, if any of those does that are printed.
"""

import argparse
import re
import sys
import time

import mistakes_kept_back
import mistakes_looked_at
import numpy as np

from minicnn import gradcheck

__all__ = ["named", "verdicts"]

LOOKED_AT, KEPT_BACK = mistakes_looked_at.MISTAKES, mistakes_kept_back.MISTAKES


def verdicts(mistake, **options):
    with np.errstate(all="ignore"):
        try:
            gradcheck(mistake.function, *mistake.inputs, backward=mistake.backward, **options)
        except AssertionError as error:
            return error.verdicts
    return []


def names(mistake, verdict):
    return verdict.name in mistake.names and all(re.search(w, verdict.text, re.IGNORECASE) for w in mistake.says)


def named(mistake, found):
    return bool(found) and names(mistake, found[0])


def main():
    parser = argparse.ArgumentParser(description="How many mistakes of the bank the check names.")
    parser.add_argument("--half", choices=["looked-at", "kept-back"], help="(default: both)")
    half = parser.parse_args().half
    for called, mistakes in (("looked-at", LOOKED_AT), ("kept-back", KEPT_BACK)):
        if half in (None, called):
            begun, first, among, unnamed = time.process_time(), 0, 0, []
            for mistake in mistakes:
                found = verdicts(mistake)
                first += named(mistake, found)
                among += any(names(mistake, verdict) for verdict in found)
                unnamed += [mistake.title] * (not named(mistake, found))
            seconds = time.process_time() - begun
            print(f"{called}: {first} of {len(mistakes)} named by the first verdict, {first / len(mistakes):.1%}; "
                  f"{among} by one of them; {seconds / len(mistakes):.2f} s of processor time each")  # fmt: skip
            if called == "looked-at":
                print(*(f"    not: {title}" for title in unnamed), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
