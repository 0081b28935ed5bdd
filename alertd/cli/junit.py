"""The verdicts of rule tests as the XML that build servers read (JUnit's, as its readers agree on it)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from alertd.ruletest import Mismatch, Verdict

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold: https://www.w3.org/TR/xml/#charsets"""


def junit_xml(verdicts: Sequence[Verdict]) -> bytes:
    """A `testsuites` document in UTF-8: a suite for each file, a case for each test, a failure for each mismatch."""
    root = Element("testsuites", _totals(verdicts))
    for file, found in groupby(verdicts, key=lambda verdict: verdict.file):
        _suite(root, file, list(found))
    indent(root)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(root: Element, file: str, verdicts: Sequence[Verdict]) -> None:
    suite = SubElement(root, "testsuite", {"name": _text(file), "errors": "0", "skipped": "0", **_totals(verdicts)})
    for verdict in verdicts:
        named = {"name": _text(verdict.name), "classname": _text(file), "time": f"{verdict.seconds:.3f}"}
        case = SubElement(suite, "testcase", named)
        for mismatch in verdict.mismatches:
            message = {"message": _text(f"{mismatch.place}: {mismatch.what}"), "type": "mismatch"}
            SubElement(case, "failure", message).text = _text("\n".join(lines(mismatch)))


def lines(mismatch: Mismatch) -> Iterable[str]:
    """A mismatch in lines."""
    yield from (f"expected  {line}" for line in mismatch.expected)
    yield from (f"came      {line}" for line in mismatch.came)
    yield from (f"because   {line}" for line in mismatch.why)


def _totals(verdicts: Sequence[Verdict]) -> dict[str, str]:
    failures = sum(bool(verdict.mismatches) for verdict in verdicts)
    seconds = sum(verdict.seconds for verdict in verdicts)
    return {"tests": str(len(verdicts)), "failures": str(failures), "time": f"{seconds:.3f}"}


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
