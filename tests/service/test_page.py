"""The page in a browser: headless Chromium, driven by its debugging protocol, records from a microphone that plays a file."""

import itertools
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import soundfile

from ser.predict.predictor import Predictor

pytest.importorskip("fastapi", reason="the service needs pip install 'ser[serve]'")
uvicorn = pytest.importorskip("uvicorn", reason="the service needs pip install 'ser[serve]'")
client = pytest.importorskip("websockets.sync.client", reason="drives the browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

WAV = """
const header = new DataView(new ArrayBuffer(44));
const rate = 8000, bytes = 2 * SECONDS * rate;
[0x52494646, 36 + bytes, 0x57415645, 0x666d7420].forEach((word, k) => header.setUint32(4 * k, word, k === 1));
header.setUint32(16, 16, true); header.setUint16(20, 1, true); header.setUint16(22, 1, true);
header.setUint32(24, rate, true); header.setUint32(28, 2 * rate, true);
header.setUint16(32, 2, true); header.setUint16(34, 16, true);
header.setUint32(36, 0x64617461); header.setUint32(40, bytes, true);
const chosen = new DataTransfer();
const tone = Int16Array.from({ length: bytes / 2 }, (_, k) => LOUDNESS * Math.sin(k / 9));
chosen.items.add(new File([header, tone], "still.wav", { type: "audio/wav" }));
document.getElementById("file").files = chosen.files;
document.getElementById("file").dispatchEvent(new Event("change"));
"""  # a file is chosen: a tone, or silence


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address of a service in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the service starts")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(predictor: Predictor) -> Iterator[str]:
    from ser.service.application import application

    with serving(application({"mine": predictor, "other": predictor})) as address:
        yield address


def until(done: Callable[[], Any], what: str) -> Any:
    """Wait for something; the limit is generous, as the machine may be busy."""
    for _ in range(1200):
        found = done()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"not so after two minutes: {what}")


class Browser:
    """One page of a browser.

    Attributes:
        told: addresses that were asked for, and exceptions and messages of the page.
    """

    def __init__(self, socket: Any) -> None:
        self.socket, self.numbers = socket, itertools.count(1)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(60))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])
            if message["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(message["params"]))

    def run(self, script: str) -> Any:
        """The value of an expression in the page, as after a click of its user."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, name: str) -> str:
        return str(self.run(f"document.getElementById('{name}').textContent"))

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode={"Tab": 9}.get(key, 39))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    voice = 0.3 * np.sin(np.arange(48000 * 3) / 20) * (np.arange(48000 * 3) // 4800 % 2)
    soundfile.write(folder / "voice.wav", voice, 48000)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]
    options += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    options += [f"--use-file-for-fake-audio-capture={folder / 'voice.wav'}", f"--user-data-dir={folder / 'profile'}"]
    assert CHROMIUM is not None
    process = subprocess.Popen([CHROMIUM, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        place = folder / "profile" / "DevToolsActivePort"
        port = until(lambda: place.exists() and place.read_text().split("\n")[0], "the browser starts")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            (page,) = (p for p in json.loads(answer.read()) if p["type"] == "page")
        with client.connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def page(browser: Browser, address: str) -> Browser:
    browser.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    browser.asked.clear()
    browser.complaints.clear()
    browser.call("Page.navigate", url=address)
    until(lambda: browser.run("document.querySelectorAll('#model option').length === 2"), "the heads are listed")
    return browser


def fits(page: Browser) -> None:
    """Nothing is wider than a telephone."""
    assert page.run("document.documentElement.scrollWidth") == 390


def test_a_recording_gets_an_answer_and_a_timeline(page: Browser, address: str, predictor: Predictor) -> None:
    page.run("document.getElementById('record').click()")
    until(lambda: page.text("record-text").startswith("Stop, 2"), "it records")
    page.run("document.getElementById('record').click()")
    until(lambda: not page.run("document.getElementById('result').hidden"), "there is an answer")
    assert page.run("document.getElementById('error').hidden")
    best = page.text("answer").split(",")[0]
    assert best in predictor.classes
    assert page.run("document.querySelector('#bars .best').textContent").startswith(best)
    assert page.run("document.querySelectorAll('#bars li').length") == len(predictor.classes)
    rows = page.run("document.querySelectorAll('#table tbody tr').length")
    assert rows >= 3
    assert page.text("caption").startswith(f"{rows} windows of ")
    assert page.run("document.querySelectorAll('#plot path.line').length") == len(predictor.classes)
    assert page.run("document.querySelector('#plot path.wave') !== null")
    assert page.run("document.querySelector('#plot svg').getAttribute('aria-labelledby')") == "caption"
    before = page.text("readout")
    page.run("document.getElementById('moment').focus()")
    for _ in range(30):
        page.press("ArrowRight")
    until(lambda: page.text("readout") != before, "the moment moves by the keyboard")
    fits(page)
    assert {url for url in page.asked if not url.startswith((address, "blob:", "data:"))} == set()
    assert page.complaints == []


def test_a_head_on_a_class_and_dimensions_shows_both_and_who_speaks(page: Browser, address: str, predictor: Predictor) -> None:
    beside = """
        const fetched = window.fetch;
        window.fetch = async (path, more) => {
          const found = await (await fetched(path.replace("&diarize=true", ""), more)).json();
          window.paths = [...(window.paths ?? []), path];
          const mixed = {target: "mixed", dimensions: ["arousal"], scales: {arousal: [1, 7]}};
          for (const model of found.models ?? []) Object.assign(model, mixed);
          if (found.models) found.diarize = "yes";
          (found.rows ?? []).forEach((row, k) => { row.arousal = 4.5; if (row.start !== undefined) row.speaker = k ? 2 : 1; });
          return new Response(JSON.stringify(found));
        };
    """
    script = page.call("Page.addScriptToEvaluateOnNewDocument", source=beside)["identifier"]
    page.call("Page.navigate", url=f"{address}/?mixed")
    until(lambda: page.run("document.querySelectorAll('#model option').length === 2"), "the heads are listed")
    assert page.run("[...document.querySelectorAll('#speakers option')].map((one) => one.textContent)")[:3] == [
        "not told apart",
        "any number",
        "2",
    ]
    page.run("document.getElementById('speakers').value = '?'")
    page.run(WAV.replace("LOUDNESS", "9000").replace("SECONDS", "3"))
    until(lambda: not page.run("document.getElementById('result').hidden"), "there is a result")
    page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    asked = page.run("window.paths.filter((path) => path.startsWith('predict'))")
    assert ["diarize=true" in path for path in asked] == [False, True]
    assert page.run("[...document.querySelectorAll('#plot text')].map((one) => one.textContent)").count("sp. 2") == 1
    assert page.run("document.querySelectorAll('#plot rect.who').length") == 2
    assert page.run("document.querySelector('#table thead tr').textContent").startswith("from (s)to (s)speaker")
    assert ", speaker 1: " in page.text("readout")
    fits(page)
    assert page.text("answer").endswith("; arousal 4.50")
    bars = page.run("[...document.querySelectorAll('#bars li')].map((one) => one.textContent)")
    assert bars[-1] == "arousal4.50"
    assert len(bars) == len(predictor.classes) + 1
    width = page.run("document.querySelector('#bars li:last-child rect:last-child').getAttribute('width')")
    assert float(width) == pytest.approx(100 * 3.5 / 6)
    assert page.run("document.querySelector('#table thead tr').textContent").endswith("arousalnovelty")
    assert (
        page.run("[...document.querySelectorAll('#table tbody tr:first-child td')].map((one) => one.textContent)")[-2] == "4.50"
    )
    assert page.text("readout").endswith(", arousal 4.50")
    assert page.run("document.querySelectorAll('#plot path.line').length") == len(predictor.classes)
    assert page.complaints == []


def test_everything_is_reached_by_the_keyboard(page: Browser) -> None:
    reached = []
    for _ in range(8):
        page.press("Tab")
        reached.append(page.run("document.activeElement.id || document.activeElement.className"))
    assert [name for name in reached if name][:6] == ["skip", "theme", "model", "window", "record", "file"]
    fits(page)


def test_light_and_dark(page: Browser) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.run(colour)
    page.run("document.getElementById('theme').click()")
    assert page.run(colour) != before
    page.run("document.getElementById('theme').click()")
    assert page.run(colour) == before


def test_an_error_of_the_service_is_shown(page: Browser) -> None:
    page.run("""
        const chosen = new DataTransfer();
        chosen.items.add(new File(["no sound at all"], "<i>notes.wav"));
        document.getElementById("file").files = chosen.files;
        document.getElementById("file").dispatchEvent(new Event("change"));
    """)
    text = until(lambda: page.text("error"), "there is an error")
    assert text.startswith("<i>notes.wav cannot be decoded: it is a text file, not audio")
    assert page.run("document.querySelector('#error i') === null")
    assert page.run("document.getElementById('result').hidden")


def test_a_long_recording_of_silence_has_a_note_and_no_answer(page: Browser) -> None:
    page.run(WAV.replace("LOUDNESS", "0").replace("SECONDS", "61"))
    until(lambda: not page.run("document.getElementById('result').hidden"), "there is a result")
    assert page.text("answer") == "No answer"
    assert page.text("name") == "still.wav, 61.0 s"
    assert "nothing was heard but silence" in page.text("notes")
    assert page.run("document.querySelectorAll('#bars li').length") == 0
    assert page.run("document.getElementById('over-time').hidden")
    assert "NaN" not in page.run("document.body.innerText")
    assert page.complaints == []


def test_a_note_on_the_whole_and_on_its_windows_is_shown_once(page: Browser) -> None:
    page.run(WAV.replace("LOUDNESS", "9000").replace("SECONDS", "3"))
    until(lambda: not page.run("document.getElementById('result').hidden"), "there is a result")
    assert page.text("notes").count("a narrower band than those in training") == 1


def test_a_second_click_while_the_microphone_is_asked_for_starts_nothing(page: Browser) -> None:
    page.run("""
        const devices = navigator.mediaDevices;
        window.asked = 0;
        devices.getUserMedia = () => { window.asked++; return new Promise((_, refuse) => { window.refuse = refuse; }); };
        document.getElementById("record").click();
        document.getElementById("record").click();
    """)
    assert page.run("window.asked") == 1
    page.run("window.refuse(new DOMException('', 'NotAllowedError'))")
    until(lambda: page.text("error"), "the refusal is shown")
    page.run("document.getElementById('record').click()")
    assert page.run("window.asked") == 2


def test_a_token_is_asked_for(browser: Browser, predictor: Predictor) -> None:
    from ser.service.application import application
    from ser.service.limits import ServiceLimits

    with serving(application({"mine": predictor}, ServiceLimits(token="word"))) as address:
        browser.call("Page.navigate", url=address)
        until(lambda: browser.run("document.getElementById('lock')?.hidden === false"), "it asks for the token")
        for word, done in (("other", "error"), ("word", "source")):
            browser.run(f"document.getElementById('token').value = '{word}'")
            browser.run("document.querySelector('#lock button').click()")
            until(lambda name=done: not browser.run(f"document.getElementById('{name}').hidden"), f"{done} is shown")
        assert browser.run("document.getElementById('lock').hidden && document.getElementById('error').hidden")
