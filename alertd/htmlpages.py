"""What all pages that alertd makes have in common: hostile text does no harm in them, and only one style counts."""

from __future__ import annotations

from base64 import b64encode
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import jinja2

from alertd.receivers import wording
from alertd.templating import number, percent


def environment(templates: Path, longest: int) -> jinja2.Environment:
    """Jinja2 over a folder of templates with a `style.css`; texts are at most `longest` characters, and escaped.

    Globals: `style` and `style_hash`. Filters: `percent`, `number`, `line`, `web_address`.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=partial(_harmless, longest),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "number": number, "line": wording.line, "web_address": wording.web_address}
    made.globals |= {"style": _style(templates), "style_hash": style_hash(templates)}
    return made


@cache
def style_hash(templates: Path) -> str:
    """The folder's style sheet as a source for `style-src` (Content Security Policy Level 3, W3C)."""
    return f"sha256-{b64encode(sha256(_style(templates).encode()).digest()).decode()}"


@cache
def _style(templates: Path) -> str:
    return templates.joinpath("style.css").read_text(encoding="utf-8")


def _harmless(longest: int, value: object) -> object:
    """Whatever a page shows, without controls and marks that turn text; autoescaping follows."""
    return wording.text(value, longest) if isinstance(value, str) and not hasattr(value, "__html__") else value
