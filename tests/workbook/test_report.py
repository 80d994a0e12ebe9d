from __future__ import annotations

import base64
import json
import re

import pytest

from labkit.workbook import records, report
from labkit.workbook.report import duration, mathml, without_outside

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()
MARKDOWN = r"""# What is $p_k$?

Inline $a < b$, a block $$\begin{aligned} a &= b \\ c &= \operatorname{softmax}(z)_k \end{aligned}$$ and

\begin{align}
\ell(z) &= -\log \sum_c p_c L_c
\end{align}

![ours](figure.png) ![theirs](https://example.org/far.png) <img src='http://example.org/raw.png'> [a link](https://example.org)

A price of \$5 and `code with $dollars$`.
"""


def outputs(**data):
    return [{"output_type": "display_data", "metadata": {}, "data": data}]


@pytest.fixture(scope="module")
def page(fake_run, cell, tmp_path_factory):
    """A report with everything in it that could ask for a network."""
    folder = fake_run(tmp_path_factory.mktemp("out"), "01_a/01_b", "abc", error="", commit="f00d" * 10 + "+",
                      about={"title": "Tags <b> & such"}, parameters={"dataset": "digits", "note": "<i>"})
    (folder / "figure.png").write_bytes(base64.b64decode(PNG))
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "a slider"}
    cells = [
        cell(MARKDOWN, kind="markdown"), cell("seeds: int = 3", ["parameters"]),
        cell("seeds = 4", ["injected-parameters"]),
        cell("plot()  # shown") | {"execution_count": 1, "outputs": outputs(**{"image/png": PNG, "text/plain": "f"})},
        cell("latex()") | {"outputs": outputs(**{"text/latex": [r"$$\frac{a}", r"{b}$$"], "text/plain": "f"})},
        cell("script()") | {"outputs": outputs(**{"application/javascript": "require(['https://cdn.example.org/x.js'])"})},
        cell("html()") | {"outputs": outputs(**{"text/html": [
            "<script src=\"https://cdn.example.org/plot.js\"></script>",
            "<link rel='stylesheet' href='//cdn.example.org/x.css'><table><tr><td>cell</td></tr></table>"]})},
        cell("slide()") | {"outputs": outputs(**widget)},
        cell("markdown()") | {"outputs": outputs(**{"text/markdown": "so $x^2$"})},
    ]
    spec = {"name": "python3", "language": "python", "display_name": "x"}
    state = {"application/vnd.jupyter.widget-state+json": {"state": {"m": {"state": {"url": "https://example.org"}}}}}
    (folder / "executed.ipynb").write_text(json.dumps({
        "nbformat": 4, "nbformat_minor": 5, "cells": cells, "metadata": {"kernelspec": spec, "widgets": state}}))
    return report.render(folder).read_text()


def test_nothing_on_the_page_asks_for_a_network(page):
    # the xmlns of MathML is a name, not an address to fetch
    asked = re.findall(r"<(?!a\b)(\w+)[^>]*?\b(?!xmlns)([\w-]+)\s*=\s*[\"']?((?:https?:)?//[^\"'>\s]+)", page)
    assert asked == []
    assert "<script" not in page and "@import" not in page and "<link" not in page
    assert '<a href="https://example.org">a link</a>' in page  # links stay
    assert page.count("left out: needs a network") == 4  # two images, a script, a style sheet: the reader is told


def test_every_image_is_embedded(page):
    sources = re.findall(r"<img[^>]*?\bsrc=[\"']([^\"']*)", page)
    assert len(sources) == 2 and all(source == f"data:image/png;base64,{PNG}" for source in sources)


def test_mathematics_is_mathml(page):
    assert page.count("<math") == 6 and "$$" not in page and r"\begin" not in page and r"\frac" not in page
    assert "$5" in page and "$dollars$" in page
    assert len(re.findall(r"<mtr>", page)) == 3  # the aligned lines are lines


def test_code_is_folded_and_only_what_a_person_wrote(page):
    assert page.count('<details class="code">') == 7 and "shown" in page
    assert "seeds: " not in page.split("<main>")[0]
    assert not re.search(r"seeds</span>\s*<span class=\"o\">=</span>", page)  # the injected cell is not repeated


def test_the_record_stands_on_top_and_is_escaped(page):
    top = page.split("<main>")[0]
    assert "<title>Tags &lt;b&gt; &amp; such</title>" in top
    for text in ("ok · 01_a/01_b", "f00df00df00d and uncommitted changes", "12.0 s", "python 3.11.7, labkit 0.1.0",
                 "<code>digits</code>", "&lt;i&gt;",
                 'name="viewport"', "prefers-color-scheme: dark"):
        assert text in top, text


def test_a_failed_run_shows_its_error_first(fake_run, tmp_path):
    folder = fake_run(tmp_path, "01_a/01_b", "abc.failed", status="failed", error="In [3]: ValueError: <no>")
    top = report.render(folder).read_text().split("<main>")[0]
    assert '<pre class="error">In [3]: ValueError: &lt;no&gt;</pre>' in top and "failed · 01_a/01_b" in top


def test_a_page_that_cannot_be_made_is_told_and_costs_nothing_else(fake_run, tmp_path, capsys):
    folder = fake_run(tmp_path, "01_a/01_b", "abc")
    (folder / "executed.ipynb").write_text("{")
    report.render_or_note(folder)
    assert "no report for" in capsys.readouterr().err and records.finished(folder)


@pytest.mark.parametrize("latex", [
    r"\mathbb{E}_{x \sim p}[\ell(x)]", r"\operatorname*{arg\,max}_k z_k", r"\mathrm{KL}(p \,\|\, q)", r"T^\top \hat p",
    r"\begin{cases} 1 & x > 0 \\ 0 & \text{otherwise} \end{cases}", r"\begin{pmatrix} a & b \end{pmatrix}", "1{,}797",
    r"\sum_{k=1}^{K} \tfrac{1}{K}", r"\boldsymbol{\theta}", r"\left( \frac{1}{2} \right)", r"\tilde{y} \mid y",
    r"\lVert w \rVert_2",
])
def test_the_mathematics_of_the_field_converts(latex):
    from xml.etree import ElementTree
    converted = mathml(latex)
    assert converted.startswith("<math") and "\\" not in converted
    ElementTree.fromstring(converted)  # well formed


@pytest.mark.parametrize("latex", [r"\left( x", r"\unheardof x < y", r"\frac{", r"\begin{tikzcd} a \end{tikzcd}"])
def test_what_does_not_convert_shows_its_source(latex):
    converted = mathml(latex, block=True)
    assert converted.startswith('<code class="latex">') and latex.replace("<", "&lt;") in converted


def test_outside_tags_become_links_and_inside_ones_stay():
    inside = '<img src="data:image/png;base64,AA//BB"><script>let a = 1 // 2</script><a href="https://x.org">x</a>'
    assert without_outside(inside) == inside
    assert without_outside("<iframe width=3 src='//x.org/y'></iframe>") == (
        '<a href="//x.org/y">iframe left out: needs a network</a>')


def test_durations_are_for_people():
    assert [duration(s) for s in (0.24, 59.9, 75, 3600 * 5 + 125)] == ["0.2 s", "59.9 s", "1 min 15 s", "5 h 2 min"]
