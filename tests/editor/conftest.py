"""Real editor tools from npm: Ajv with a YAML reader, and the language server behind YAML in most editors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "rules"
PACKAGES = {  # the newest that run on Node 20
    "yaml-language-server": "1.25.0",
    "ajv": "8.20.0",
    "ajv-formats": "3.0.1",
    "js-yaml": "5.5.0",
}


def _folder() -> Path:
    """Where the packages are: where ALERTD_EDITOR says, or in the user's cache, in a folder of these versions."""
    if named := os.environ.get("ALERTD_EDITOR"):
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "alertd" / f"editor-{'-'.join(PACKAGES.values())}"


@pytest.fixture(scope="session")
def node() -> str:
    """The program that runs the tools."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("needs node to run the tools of editors")
    return found


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the packages, fetched once if that is allowed."""
    modules = _folder() / "node_modules"
    if not all((modules / name).is_dir() for name in PACKAGES):
        if os.environ.get("CI") != "true" and os.environ.get("ALERTD_INSTALL_EDITOR") != "1":
            pytest.skip(
                "needs npm packages: set ALERTD_EDITOR to where they are, or ALERTD_INSTALL_EDITOR=1 to fetch them"
            )
        wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
        npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(_folder()), *wanted]
        subprocess.run(npm, check=True, capture_output=True, timeout=110)
    return modules


@pytest.fixture(scope="session")
def ajv(node: str, node_modules: Path) -> Callable[..., dict[str, list[str]]]:
    """What Ajv says of documents under a schema: for each name the messages, none where all is well."""

    def judge(schema: dict[str, Any], documents: dict[str, Any]) -> dict[str, list[str]]:
        asked = json.dumps({"schema": schema, "documents": documents})
        command = [node, str(HERE / "ajv.mjs"), str(node_modules)]
        answer = subprocess.run(command, check=False, input=asked, capture_output=True, text=True, timeout=60)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return judge


class Editor:
    """An editor that has rule files open: speaks the Language Server Protocol with yaml-language-server.

    A file is a text in the folder `rules/`, next to the schema that its first line names; it need not be on the disk.
    """

    def __init__(self, send: IO[bytes], receive: IO[bytes]) -> None:
        self._sending, self._receiving = send, receive
        self._asked = 0
        self._opened = 0
        self._ask("initialize", {"processId": None, "rootUri": RULES.as_uri(), "capabilities": _CAPABILITIES})
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": _SETTINGS})

    def problems(self, texts: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
        """What is underlined in files by their names: `message`, and in `range` where, counted from 0."""
        names = {self._open(text): name for name, text in texts.items()}
        found: dict[str, list[dict[str, Any]]] = {}
        while len(found) < len(names):
            message = self._next()
            told = message["params"] if message.get("method") == "textDocument/publishDiagnostics" else {}
            if told.get("uri") in names:
                found[names[told["uri"]]] = told["diagnostics"]
        return found

    def completions(self, text: str) -> dict[str, dict[str, Any]]:
        """What is offered where the text has `|`, by its label."""
        place = self._place(text)
        answer = self._ask("textDocument/completion", place)
        return {item["label"]: item for item in answer["items"]}

    def hover(self, text: str) -> str:
        """What is shown over the word where the text has `|`."""
        answer = self._ask("textDocument/hover", self._place(text))
        return str(answer["contents"]["value"]) if answer else ""

    def close(self) -> None:
        """Ask the server to end."""
        self._ask("shutdown", None)
        self._tell("exit", None)

    def _open(self, text: str) -> str:
        self._opened += 1
        uri = (RULES / f"unsaved-{self._opened}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def _place(self, text: str) -> dict[str, Any]:
        before, _, after = text.partition("|")
        lines = before.split("\n")
        uri = self._open(before + after)
        return {"textDocument": {"uri": uri}, "position": {"line": len(lines) - 1, "character": len(lines[-1])}}

    def _ask(self, method: str, params: Any) -> Any:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._asked and "method" not in message:
                assert "error" not in message, message["error"]
                return message["result"]

    def _tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._sending.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._sending.flush()

    def _next(self) -> dict[str, Any]:
        """The next message of the server; what it asks of an editor is answered on the way."""
        length = 0
        while line := self._receiving.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the language server ended"
        message: dict[str, Any] = json.loads(self._receiving.read(length))
        if "id" in message and "method" in message:
            asked = message["params"].get("items", []) if message["method"] == "workspace/configuration" else None
            result = None if asked is None else [_SETTINGS.get(item["section"], {}) for item in asked]
            self._send({"id": message["id"], "result": result})
        return message


_SETTINGS: dict[str, Any] = {
    "yaml": {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}},
}
_CAPABILITIES = {
    "textDocument": {
        "publishDiagnostics": {},
        "completion": {"completionItem": {"documentationFormat": ["markdown"], "snippetSupport": True}},
        "hover": {"contentFormat": ["markdown"]},
    },
    "workspace": {"configuration": True},
}


@pytest.fixture(scope="session")
def editor(node: str, node_modules: Path) -> Iterator[Editor]:
    """An editor with the YAML language server."""
    program = node_modules / "yaml-language-server" / "bin" / "yaml-language-server"
    command = [node, str(program), "--stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        opened = Editor(process.stdin, process.stdout)
        yield opened
        opened.close()
