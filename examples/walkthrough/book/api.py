"""A page for each module of minicnn: its public names, their signatures, and what their docstrings say."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from html import escape
from itertools import pairwise
from textwrap import dedent
from types import ModuleType
from typing import Any

from .pages import Page, paragraphs

__all__ = ["MODULES", "api_pages", "told"]

MODULES = ("minicnn", "minicnn.ops", "minicnn.nn", "minicnn.optim", "minicnn.models", "minicnn.data",
           "minicnn.training.step", "minicnn.training.trainer", "minicnn.training.scores", "minicnn.gradcheck",
           "minicnn.trace")  # fmt: skip
WIDTH = 112  # where lines of docstrings are broken; a line that could have been longer ends on purpose
Links = dict[str, str]


def names_of(module: ModuleType) -> dict[str, Any]:
    """Its public names."""
    return {name: getattr(module, name) for name in module.__all__}


def methods_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Its own and inherited ones, as far as they come from minicnn."""
    kinds = [one for one in kind.__mro__ if one.__module__.startswith("minicnn")]
    for name in dict.fromkeys(name for one in kinds for name in vars(one)):
        thing = inspect.getattr_static(kind, name)
        thing = thing.__func__ if isinstance(thing, staticmethod | classmethod) else thing
        if not name.startswith("_") and (inspect.isfunction(thing) or isinstance(thing, property)):
            yield name, thing


def file_of(module: str) -> str:
    return f"api-{module.rpartition('.')[2]}.html"


def links_to(modules: dict[str, ModuleType]) -> Links:
    """Where each name is explained, by all that it is called; a name that two modules give is that of the latter."""
    links: Links = {}
    for path, module in modules.items():
        links |= {path: file_of(path), path.removeprefix("minicnn."): file_of(path)}
        for name, thing in names_of(module).items():
            if inspect.ismodule(thing):
                continue
            at = f"{file_of(path)}#{name}"
            links |= dict.fromkeys((name, f"{path}.{name}", f"{path.removeprefix('minicnn.')}.{name}"), at)
            for method, _ in methods_of(thing) if inspect.isclass(thing) else ():
                links[f"{name}.{method}"] = f"{file_of(path)}#{name}.{method}"
    return links


def told(text: str, links: Links) -> str:
    """A docstring as HTML: paragraphs and code; lines that were broken on purpose stay so."""
    def code(match: re.Match[str]) -> str:
        inside, name = match[1], match[1].partition("(")[0].removeprefix("~")
        return f'<a href="{links[name]}"><code>{inside}</code></a>' if name in links else f"<code>{inside}</code>"

    parts = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = block.split("\n")
        set_off = all(line.startswith((" ", ">>>", "$ ")) for line in lines)
        if set_off and not re.search(r"``|[.;,]$", block, re.MULTILINE):
            parts.append(f"<pre>{escape(dedent(block), quote=False)}</pre>")
            continue
        lines = dedent(block).split("\n")
        joined = lines[0]
        for line, after in pairwise(lines):
            went_on = after.startswith(" ") if set_off else len(line) + 1 + len(after.split(" ")[0]) > WIDTH
            joined += (" " if went_on else "\n") + after.strip()
        html = re.sub(r"``(.+?)``", code, escape(joined, quote=False))
        parts.append(f'<p class="{"lines set-off" if set_off else "lines"}">{html}</p>')
    return "".join(parts)


def signature(thing: Callable[..., Any], name: str) -> str:
    """As Python says it, without the names of modules in its types."""
    try:
        found = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return escape(name)
    found = re.sub(r"\b(?:typing|collections\.abc|pathlib|numpy|minicnn)\.(?:\w+\.)*", "", found)
    found = re.sub(r"<(?:function|class|object)?\s*'?([\w.]+)[^>]*>", r"\1", found).replace("'", "")
    return f"<strong>{escape(name)}</strong>{escape(found)}"


def entry(level: int, anchor: str, name: str, thing: Any, links: Links) -> str:
    """A heading, the signature, what is told."""
    called = callable(thing) and not isinstance(thing, property)
    head = f'<h{level} id="{anchor}"><code>{escape(anchor)}</code></h{level}>'
    said = inspect.getdoc(thing) if called or isinstance(thing, property) or inspect.isclass(type(thing)) else None
    if not called and not isinstance(thing, property) and type(thing).__module__ == "builtins":
        said = None  # what Python says of its own kinds
    if called:
        head += f'<pre class="signature">{signature(thing, name)}</pre>'
    elif not isinstance(thing, property):
        shown = ", ".join(map(str, thing)) if isinstance(thing, dict) else str(thing)
        head += f'<pre class="signature"><strong>{escape(name)}</strong>: {escape(shown[:300])}</pre>'
    return head + (told(said, links) if said else "")


def module_page(path: str, module: ModuleType, links: Links) -> Page:
    parts = [f'<h1 id="{path}">{path}</h1>', told(module.__doc__ or "", links)]
    for name, thing in sorted(names_of(module).items(), key=lambda item: item[0].lower()):
        if inspect.ismodule(thing):
            parts.append(f'<p><a href="{file_of(thing.__name__)}"><code>{path}.{name}</code></a></p>')
            continue
        parts.append(entry(2, name, name, thing, links))
        parts += [entry(3, f"{name}.{method}", method, one, links)
                  for method, one in sorted(methods_of(thing))] if inspect.isclass(thing) else []  # fmt: skip
    body = f'<section class="api">{"".join(parts)}</section>'
    return Page(file_of(path), path, body, paragraphs(body))


def api_pages() -> list[Page]:
    modules = {path: importlib.import_module(path) for path in MODULES}
    links = links_to(modules)
    return [module_page(path, module, links) for path, module in modules.items()]
