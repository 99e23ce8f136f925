"""What is planted in place is what the functions that live do from then on, or else it is refused."""

from importlib.util import module_from_spec, spec_from_file_location

import pytest
from planted_in_place import changes, fits, living, swap

MODULE = """
import functools

class Thing:
    size = 3
    def method(self, x):
        return x + self.size

    @property
    def twice(self):
        return 2 * self.size

    @staticmethod
    @functools.cache
    def kept(x):
        return x + 4

def never_kept():
    class Local:
        size = 1
    return Local

def doubled(function):
    @functools.wraps(function)
    def twice(x):
        return 2 * function(x)
    return twice

@doubled
def decorated(x):
    return x + 1

def plain(x, y=1):
    \"\"\"Words.\"\"\"
    return x + y

def adder(a, b):
    return lambda x: x + a + 0 * b

two = [lambda x: x + 1, lambda x: x + 2]
alive = adder(10, 100)
taken = plain
squares = [i ** 2 for i in range(3)]
"""
SWAPPED = [  # what is written, what instead, and what is computed then, which gives
    ("return x + y", "return x - y", "taken(5)", 4),
    ('"""Words."""', '"""Other\n    words."""', "plain(5)", 6),
    ("return x + self.size", "return x - self.size", "Thing().method(5)", 2),
    ("return 2 * self.size", "return 3 * self.size", "Thing().twice", 9),
    ("return x + 4", "return x + 5", "Thing.kept(1)", 6),
    ("return x + 1\n\ndef", "return x + 3\n\ndef", "decorated(1)", 8),
    ("return 2 * function(x)", "y = function(x)\n        return 3 * y", "decorated(1)", 6),
    ("x + a + 0 * b", "x - a - 0 * b", "alive(1)", -9),
    ("x + a + 0 * b", "x + a + 2 * b", "adder(1, 2)(3)", 8),
    ("lambda x: x + 1, lambda x: x + 2", "lambda x: x + 1, lambda x: x + 7", "two[1](0) - two[0](0)", 6),
]
REFUSED = [
    ("squares = [", "squares = 2 * [", "<module> itself changes"),
    ("i ** 2", "i ** 3", "no <listcomp> lives|<module> itself changes"),
    ("y=1", "y=2", "<module> itself changes"),
    ("size = 3", "size = 4", "Thing itself changes"),
    ("size = 1", "size = 2", "Local itself changes"),
    ("@doubled\n", "", "<module> itself changes"),
    ("return x + y", "return (lambda: x + y)()", "plain has other functions in it"),
    ("x + a + 0 * b", "x + a", "would need variables from around it"),
    ("x + a + 0 * b", "x + a + 0 * a", "would need variables from around it"),
]


@pytest.fixture
def module(tmp_path):
    (tmp_path / "planted_here.py").write_text(MODULE, encoding="utf-8")
    spec = spec_from_file_location("planted_here", tmp_path / "planted_here.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def planted(module, old, new):
    assert MODULE.count(old) == 1
    swap(module.__file__, MODULE.replace(old, new), living())


@pytest.mark.parametrize(("old", "new", "what", "value"), SWAPPED)
def test_functions_that_live_do_what_is_planted(module, old, new, what, value):
    planted(module, old, new)
    assert eval(what, vars(module)) == value


@pytest.mark.parametrize(("old", "new", "why"), REFUSED)
def test_what_functions_alone_do_not_hold_is_refused(module, old, new, why):
    with pytest.raises(ValueError, match=why):
        planted(module, old, new)
    assert not fits(module.__file__, MODULE.replace(old, new)) or why.startswith(("would", "no "))


def test_a_function_that_nobody_holds_is_refused(module):
    del module.taken, module.plain
    with pytest.raises(ValueError, match="no plain lives"):
        planted(module, "return x + y", "return x - y")


def test_words_and_lines_are_no_change(module):  # unless they move a class, which since Python 3.13 knows its line
    text = MODULE.replace("alive = adder(10, 100)", "# words\n\nalive = adder(10, 100)  # and words")
    assert changes(module.__file__, text) == []
