"""The report as one HTML page that needs nothing else: styles and pictures are inside."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from pocketvision.doctor.anchors.reach import Ceiling
from pocketvision.doctor.anchors.summary import AnchorReport
from pocketvision.doctor.kinds import KINDS, Severity
from pocketvision.doctor.report.examination import Report
from pocketvision.doctor.report.pictures import picture_of_finding, picture_of_sample

PICTURES_A_KIND, EXAMPLES_A_KIND, MAX_PICTURES = 4, 8, 48
_MAX_BARS = 100
_WORDS: dict[Severity, str] = {"error": "Errors", "warning": "Warnings", "info": "Notes"}

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; max-width: 1060px;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ccc; }
h3 { font-size: 1em; margin: 1.6em 0 .3em; }
table { border-collapse: collapse; margin: .5em 0; }
td, th { padding: .15em .8em .15em 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.badge { color: #fff; border-radius: 3px; padding: .05em .45em; font-size: .8em; }
.error { background: #b3261e; } .warning { background: #8a5a00; } .info { background: #4a5568; }
.fix { color: #1b5e20; } .note { color: #555; }
ul { margin: .3em 0; padding-left: 1.2em; } li { overflow-wrap: anywhere; }
.pictures { display: flex; flex-wrap: wrap; gap: 10px; margin: .5em 0; }
figure { margin: 0; max-width: 640px; } figcaption { font-size: .75em; color: #555; max-width: 320px;
  overflow-wrap: anywhere; }
img { display: block; max-width: 100%; }
.bar { background: #0072b2; height: .8em; min-width: 1px; }
code { font-size: .85em; overflow-wrap: anywhere; }
"""


def report_html(report: Report) -> str:
    """The page."""
    title = f"{report.root.name}: {report.summary()}"
    parts = [_head(report), *_findings(report), *_samples(report), *_counts(report)]
    if report.anchors is not None:
        parts += _anchors(report.anchors)
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(report: Report) -> str:
    boxes = f", {report.num_boxes} boxes" if report.task == "detection" else ""
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items()) or "none"
    rows = "".join(
        f'<tr><td><span class="badge {severity}">{severity}</span></td>'
        f'<td><a href="#{kind}">{escape(KINDS[kind].title)}</a></td>'
        f'<td class="number">{report.findings.counts[kind]}</td></tr>'
        for severity in _WORDS
        for kind in report.findings.by_severity(severity)
    )
    return (
        f"<h1>{escape(str(report.root))}</h1>\n<p>{report.format}, {report.task}: {report.num_images} images"
        f"{boxes}. Images by split: {escape(splits)}.</p>\n<p><b>{report.summary()}.</b></p>\n"
        f"<table>{rows}</table>"
    )


def _findings(report: Report) -> Iterable[str]:
    left = MAX_PICTURES
    for severity, word in _WORDS.items():
        kinds = report.findings.by_severity(severity)
        if kinds:
            yield f"<h2>{word}</h2>"
        for kind in kinds:
            about, found = KINDS[kind], report.findings.kept[kind]
            count = report.findings.counts[kind]
            fix = f' <span class="fix">--fix: {escape(about.fix)}.</span>' if about.fix else ""
            yield f'<h3 id="{kind}">{escape(about.title)} ({count}){fix}</h3>'
            yield _list([finding.sentence for finding in found[:EXAMPLES_A_KIND]], count)
            figures: list[str] = []
            for finding in found:
                if len(figures) == min(PICTURES_A_KIND, left):
                    break
                picture = picture_of_finding(finding) if finding.images else None
                if picture is not None:
                    caption = " ".join((finding.images[0].rpartition("/")[2], finding.where))
                    figures.append(_figure(picture, caption))
            left -= len(figures)
            if figures:
                yield _pictures(figures)


def _list(sentences: list[str], count: int) -> str:
    more = f'<li class="note">... and {count - len(sentences)} more</li>' if count > len(sentences) else ""
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + more + "</ul>"


def _figure(picture: str, caption: str) -> str:
    return f'<figure><img src="{picture}" alt=""><figcaption>{escape(caption)}</figcaption></figure>'


def _pictures(figures: Iterable[str]) -> str:
    return '<div class="pictures">' + "".join(figures) + "</div>"


def _samples(report: Report) -> Iterable[str]:
    pictures = [(picture_of_sample(sample), sample.image) for sample in report.samples]
    figures = [
        _figure(picture, image.rpartition("/")[2]) for picture, image in pictures if picture is not None
    ]
    if figures:
        yield "<h2>Samples, as training reads them</h2>"
        yield _pictures(figures)


def _counts(report: Report) -> Iterable[str]:
    counts = report.total_counts.most_common()
    if counts:
        yield f"<h2>Classes: {report.unit}</h2>"
        yield _bars([(name, count) for name, count in counts[:_MAX_BARS]])
        if len(counts) > _MAX_BARS:
            yield f'<p class="note">... and {len(counts) - _MAX_BARS} classes more.</p>'
    if len(report.sides):
        yield "<h2>Box sizes: square root of the area, in pixels of the images</h2>"
        yield _bars(report.histogram())


def _bars(rows: list[tuple[str, int]]) -> str:
    highest = max((count for _, count in rows), default=0) or 1
    cells = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{count}</td><td style="width: 460px">'
        f'<div class="bar" style="width: {100 * count / highest:.1f}%"></div></td></tr>'
        for name, count in rows
    )
    return f"<table>{cells}</table>"


def _anchors(report: AnchorReport) -> Iterable[str]:
    yield f"<h2>Anchors at {_size(report.image_size)}</h2>"
    matched = "".join(
        f'<tr><td>{escape(row.name)}</td><td class="number">{row.num_boxes}</td>'
        f'<td class="number">{row.num_unmatched} ({row.num_unmatched / row.num_boxes:.1%})</td>'
        f'<td class="number">{row.num_lost}</td></tr>'
        for row in report.matched
    )
    columns = ("boxes to train on", "no anchor at IoU 0.5", "lost to another box with the same best anchor")
    yield f"<table><tr><th>anchors</th>{_heads(columns)}</tr>{matched}</table>"
    yield "<h3>Recall ceiling: share of boxes that some anchor overlaps by 0.5 or more</h3>"
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{_size(size)}</td>{_shares(reached)}</tr>"
        for name, size, reached in report.ceilings
    )
    suggested = "".join(
        f"<tr><td><b>suggested {number}</b></td><td>{_size(suggestion.image_size)}</td>"
        f"{_shares(suggestion.ceiling)}</tr>"
        for number, suggestion in enumerate(report.suggestions, start=1)
    )
    yield f"<table><tr><th>anchors</th><th>input</th>{_heads(Ceiling._fields)}</tr>{rows}{suggested}</table>"
    for number, suggestion in enumerate(report.suggestions, start=1):
        strides = ", ".join(map(str, suggestion.layout.strides))
        yield (
            f"<h3>Suggested {number}: {_size(suggestion.image_size)}, maps of stride {strides}</h3>"
            f"<p><code>anchors={escape(repr(suggestion.layout.anchors))}</code></p>"
        )


def _heads(names: Iterable[str]) -> str:
    return "".join(f'<th class="number">{name}</th>' for name in names)


def _shares(reached: Ceiling) -> str:
    texts = ("-" if share is None else f"{share:.3f}" for share in reached)
    return "".join(f'<td class="number">{text}</td>' for text in texts)


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
