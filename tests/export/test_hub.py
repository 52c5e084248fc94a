"""Push and pull against a stand-in of the hub's HTTP interface; what fails is said in one line."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import ser
from ser.cli import main
from ser.errors import ConfigError
from ser.export.folder import export_folder
from ser.export.hub import limits_of, pull, push
from ser.train.model_folder import LicenceFacts, read_model_folder
from ser.workspace import Workspace

pytest.importorskip("huggingface_hub", reason="the package huggingface_hub is not installed")
TOKEN = "hf_good"


class Hub(ThreadingHTTPServer):
    """Repositories in memory: the files of each, and whether it is private; and the names that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.fetched: list[str] = []
        self.odd = False  # every POST is answered by an empty object

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repo: str) -> str:
        """The name of the newest commit: the hash of all files."""
        return hashlib.sha1(repr(sorted(self.files[repo].items())).encode()).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def as_json(self, content: Any) -> None:
        self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self.answer(401, b'{"error": "Invalid credentials"}', X_Error_Message="Invalid credentials")
        return False

    def do_POST(self) -> None:
        if self.server.odd:
            return self.as_json({})
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/api/validate-yaml":
            return self.as_json({"errors": [], "warnings": []})
        if not self.allowed():
            return None
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            if repo in self.server.files:
                return self.answer(409, b'{"error": "You already created this model repo"}')
            self.server.files[repo], self.server.private[repo] = (
                {},
                asked.get("private") or asked.get("visibility") == "private",
            )
            return self.as_json({"url": f"{self.server.address}/{repo}"})
        repo = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
            return self.as_json({"files": files})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[repo][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            commit = self.server.commit(repo)
            url = f"{self.server.address}/{repo}/commit/{commit}"
            return self.as_json({"commitUrl": url, "commitOid": commit, "success": True})
        return self.answer(500, f"not known: {self.path}".encode())

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        parts = path.strip("/").split("/")
        api = parts[0] == "api"
        repo = "/".join(parts[2:4] if api else parts[:2])
        if repo not in self.server.files:
            return self.answer(404, b"{}", X_Error_Code="RepoNotFound")
        commit, files = self.server.commit(repo), self.server.files[repo]
        rest = parts[4:] if api else parts[2:]
        if len(rest) > 1 and rest[1] not in ("main", commit):
            return self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
        if api and rest[:1] == ["tree"]:
            entries = [{"type": "file", "path": n, "size": len(c), "oid": _hash(c)} for n, c in files.items()]
            return self.as_json(entries)
        if api:
            return self.as_json({"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]})
        name = "/".join(rest[2:])
        self.server.fetched.append(name)
        content = files.get(name)
        if content is None:
            return self.answer(404, b"{}", X_Error_Code="EntryNotFound")
        return self.answer(200, content, ETag=f'"{_hash(content)}"', X_Repo_Commit=commit)

    do_HEAD = do_GET  # noqa: N815


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_is_pushed_is_pulled_and_answers_the_same(
    trained: Path, clip: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["--endpoint", hub.address]
    assert main(["push", "mfcc", "me/emotions", "--private", *common, "--workspace", str(trained)]) == 0
    out = capsys.readouterr().out
    assert f"pushed: {hub.address}/me/emotions/commit/" in out
    assert hub.private == {"me/emotions": True}
    names = set(hub.files["me/emotions"])
    assert {"README.md", "config.json"} < names
    assert len(names) == 5
    hub.files["me/emotions"]["README.md"] = b"of before"
    assert main(["push", "mfcc", "me/emotions", *common, "--workspace", str(trained)]) == 0, "an update"
    assert hub.files["me/emotions"]["README.md"] != b"of before"
    assert hub.private == {"me/emotions": True}
    hub.files["me/emotions"]["evil.py"] = b"raise SystemExit"
    assert main(["pull", "me/emotions", *common]) == 0
    assert "commit" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "emotions").iterdir()} == names
    heads = sorted((trained / "results" / "mfcc").glob("*.safetensors"))
    found, expected = (ser.Predictor(m).predict(clip)["p_anger"][0] for m in ("emotions", heads))
    assert found == pytest.approx(expected, abs=1e-12)
    assert main(["pull", "me/emotions", *common]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_nothing_is_sent_or_fetched_but_the_model(trained: Path, hub: Hub, tmp_path: Path) -> None:
    folder = export_folder("mfcc", Workspace(trained), tmp_path / "model").path
    (folder / "mine.safetensors").write_bytes(b"x")
    push(str(folder), "me/e", Workspace(trained), endpoint=hub.address)
    assert "mine.safetensors" not in hub.files["me/e"]
    hub.files["me/e"]["other.safetensors"] = b"x"
    hub.fetched.clear()
    pull("me/e", tmp_path / "e", endpoint=hub.address)
    assert set(hub.fetched) == {"config.json", "README.md", *(h.name for h in (tmp_path / "e").glob("*.safetensors"))}
    assert "other.safetensors" not in hub.fetched


def test_the_configuration_is_checked_before_anything_else_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.files["me/bert"] = {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"x"}
    with pytest.raises(ConfigError, match=r"me/bert holds no model of ser that this version can read"):
        pull("me/bert", tmp_path / "bert", endpoint=hub.address)
    assert set(hub.fetched) == {"config.json"}
    assert not (tmp_path / "bert").exists()


def test_errors_of_the_hub_are_one_line_each(trained: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, target = Workspace(trained), tmp_path / "x"
    with pytest.raises(ConfigError, match=r"there is no repository me/none.*HF_TOKEN"):
        pull("me/none", target, endpoint=hub.address)
    push("mfcc", "me/there", space, endpoint=hub.address)
    with pytest.raises(ConfigError, match="has no such revision"):
        pull("me/there", target, revision="v9", endpoint=hub.address)
    with pytest.raises(ConfigError, match=r"expected OWNER/NAME"):
        pull("there", target, endpoint=hub.address)
    del hub.files["me/there"]["config.json"]
    with pytest.raises(ConfigError, match="holds no model of ser"):
        pull("me/there", target, endpoint=hub.address)
    hub.odd = True
    with pytest.raises(ConfigError, match=r"answer about me/odd cannot be read.*KeyError.*--endpoint"):
        push("mfcc", "me/odd", space, endpoint=hub.address)
    hub.odd = False
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    for repo in ("me/new", "me/there"):
        with pytest.raises(ConfigError, match=rf"the hub refuses you at {repo}.*hf auth login") as caught:
            push("mfcc", repo, space, endpoint=hub.address)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be reached"):
        pull("me/there", target, endpoint="http://127.0.0.1:9")
    assert not target.exists()


def test_a_pulled_head_that_was_changed_is_refused(trained: Path, hub: Hub, tmp_path: Path) -> None:
    push("sklearn", "me/e", Workspace(trained), endpoint=hub.address)
    name = next(n for n in hub.files["me/e"] if n.endswith(".safetensors"))
    hub.files["me/e"][name] += b"x"
    with pytest.raises(ConfigError, match=r"is not the file that config\.json is of"):
        pull("me/e", tmp_path / "e", endpoint=hub.address)
    assert not (tmp_path / "e").exists()


def test_licences_that_ask_for_consent_stop_a_push(trained: Path, hub: Hub, tmp_path: Path) -> None:
    folder = export_folder("mfcc", Workspace(trained), tmp_path / "model").path
    path = folder / "config.json"
    content = json.loads(path.read_text())
    content["licences"] = [{"kind": "corpus", "name": "iemocap", "licence": "for research, on request (release form)"}]
    path.write_text(json.dumps(content))
    said: list[str] = []
    with pytest.raises(ConfigError, match=r"corpus iemocap.*given under an agreement.*--accept-licences"):
        push(str(folder), "me/e", Workspace(trained), endpoint=hub.address, say=said.append)
    assert hub.files == {}
    assert len(said) == 2
    push(str(folder), "me/e", Workspace(trained), endpoint=hub.address, accept=True)
    assert "config.json" in hub.files["me/e"]
    licences = [LicenceFacts(kind="encoder", name="w", licence="Apache-2.0")]
    config = read_model_folder(folder).config
    config.licences = licences
    assert list(limits_of(config)) == []
