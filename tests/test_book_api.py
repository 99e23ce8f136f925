"""The pages for public names: every one is there, with what its docstring says, and no link leads nowhere."""

import importlib
import inspect
import re
from html import escape

import pytest
from test_walkthrough import FOLDER

pytestmark = pytest.mark.processor


@pytest.fixture(scope="module")
def api():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import book.api as api

        yield api


@pytest.fixture(scope="module")
def pages(api):
    return {page.title: page for page in api.api_pages()}


def words(html):
    """Letters and digits alone."""
    text = re.sub("<[^>]+>", "", html).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return re.sub(r"[\s`]+", "", text)


def test_every_public_name_is_there_with_its_docstring(api, pages):
    assert [*pages] == [*api.MODULES]
    for path, page in pages.items():
        module, text = importlib.import_module(path), words(page.body)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing):
                assert f'href="{api.file_of(thing.__name__)}"' in page.body
                continue
            assert f'<h2 id="{name}">' in page.body, name
            if inspect.isclass(thing) or inspect.isroutine(thing):
                assert words(escape(inspect.getdoc(thing) or "", quote=False)) in text, name
            for method, one in vars(thing).items() if inspect.isclass(thing) else ():
                if inspect.isfunction(one) and not method.startswith("_"):
                    assert f'<h3 id="{name}.{method}">' in page.body
    assert 'id="Tensor.backward"' in pages["minicnn"].body and 'id="gradcheck"' in pages["minicnn"].body
    assert " object at 0x" not in "".join(page.body for page in pages.values())


def test_links_lead_to_names(pages):
    files = {page.file: page.body for page in pages.values()}
    links = [link for body in files.values() for link in re.findall(r'href="([^"]+)"', body)]
    assert len(links) > 40
    for link in links:
        file, _, anchor = link.partition("#")
        assert not anchor or f'id="{anchor}"' in files[file], link
    assert '<a href="api-ops.html#max_pool2d"><code>max_pool2d</code></a>' in pages["minicnn.ops"].body


def test_what_a_docstring_says_keeps_its_layout(api):
    long = "a" * 60 + " " + "b" * 48
    html = api.told(f"""{long}
    goes on, with ``x < y`` and ``conv2d(x)``.
    y = x² · w
    x: (N, C)

        >>> 1 < 2
        True

    Only
        for ``this``, which
            goes on;
        or that.

        once;
        twice.
    """, {"conv2d": "there#conv2d"})
    assert f"<p class=\"lines\">{long} goes on, with <code>x &lt; y</code>" in html
    assert '<a href="there#conv2d"><code>conv2d(x)</code></a>.\ny = x² · w\nx: (N, C)</p>' in html
    assert "<pre>&gt;&gt;&gt; 1 &lt; 2\nTrue</pre>" in html
    assert '<p class="lines set-off">once;\ntwice.</p>' in html


def test_signatures_are_said_without_modules(api, pages):
    def of(x: "minicnn.engine.tensor.Tensor", *, to: "collections.abc.Callable | None" = None) -> None:  # noqa: F821
        pass

    said = "<strong>of</strong>(x: Tensor, *, to: Callable | None = None) -&gt; None"
    assert api.signature(of, "of") == said
    shown = [said for page in pages.values() for said in re.findall(r'"signature">(.*?)</pre>', page.body, re.DOTALL)]
    assert len(shown) > 100
    assert not [said for said in shown if re.search(r"\b(typing|minicnn|numpy)\.|<(function|class)", said)]
