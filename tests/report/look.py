#!/usr/bin/env python3
"""Opens pages in headless Chromium as a person would: phone and desk, light and dark; with scripts of its own only.

look.py FOLDER PAGE.html...: screenshots go into FOLDER. Fails on anything that the browser complains about, on a request for
another file, on a script that ran, and on a page that is wider than the screen. Needs nothing but Python and Chromium.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SCREENS = [(390, 844, True), (1280, 900, False)]
SCHEMES = ["light", "dark"]

# Elements that stick out of the page to the right, where nothing around them scrolls.
WIDTH = """(() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const out = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest('.scroll') && !e.closest('.bands')).map(e => e.tagName + '.' + e.className);
  return JSON.stringify({ wide, out: out.slice(0, 5), ran: window.ran === undefined ? 'no' : 'yes',
    scripts: document.scripts.length, text: document.body.innerText.length });
})()"""


class Browser:
    """Chromium over a pair of pipes: one JSON message each, ended by a zero byte."""

    def __init__(self, program, folder):
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()

        def pipes():
            # Chromium reads from 3 and writes to 4; high numbers first, so that neither is overwritten.
            reads, writes = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        words = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--remote-debugging-pipe", "--user-data-dir=" + folder, "about:blank"]
        self.process = subprocess.Popen(words, preexec_fn=pipes, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.rest, self.number, self.events = b"", 0, []

    def receive(self):
        while b"\0" not in self.rest:
            read = os.read(self.into, 1 << 16)
            if not read:
                sys.exit("the browser ended")
            self.rest += read
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            message = self.receive()
            if message.get("id") == self.number:
                if "error" in message:
                    sys.exit(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def wait_for(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())


def complaints(events, page):
    for event in events:
        method, params = event.get("method"), event.get("params", {})
        if method == "Log.entryAdded":
            yield params["entry"]["text"]
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
            yield f"{method}: {json.dumps(params)[:200]}"
        elif method == "Network.requestWillBeSent" and params["request"]["url"] != page:
            yield f"asks for {params['request']['url'][:120]}"


def look(browser, path, folder, width, height, is_phone, scheme):
    page = path.resolve().as_uri()
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Log", "Runtime", "Network"):
        browser.call(domain + ".enable", session)
    browser.call("Emulation.setDeviceMetricsOverride", session, width=width, height=height,
                 deviceScaleFactor=1, mobile=is_phone)
    browser.call("Emulation.setEmulatedMedia", session, features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.events.clear()
    browser.call("Page.navigate", session, url=page)
    browser.wait_for("Page.loadEventFired")
    seen = json.loads(browser.call("Runtime.evaluate", session, expression=WIDTH)["result"]["value"])
    wrong = list(complaints(browser.events, page))
    if seen["wide"] > 0 or seen["out"]:
        wrong.append(f"is {seen['wide']} px wider than the screen: {', '.join(seen['out'])}")
    if seen["ran"] != "no" or seen["scripts"]:
        wrong.append("has a script")
    if seen["text"] < 200:
        wrong.append("shows hardly any text")
    shot = browser.call("Page.captureScreenshot", session, captureBeyondViewport=True)
    name = folder / f"{path.stem}-{width}-{scheme}.png"
    name.write_bytes(base64.b64decode(shot["data"]))
    browser.call("Target.closeTarget", targetId=target)
    return [f"{path.name} at {width} px, {scheme}: {text}" for text in wrong]


def main():
    folder, pages = pathlib.Path(sys.argv[1]), [pathlib.Path(page) for page in sys.argv[2:]]
    folder.mkdir(parents=True, exist_ok=True)
    program = os.environ.get("CHROMIUM", "chromium")
    wrong = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        for page in pages:
            for width, height, is_phone in SCREENS:
                for scheme in SCHEMES:
                    wrong += look(browser, page, folder, width, height, is_phone, scheme)
        browser.process.terminate()
        browser.process.wait()
    print("\n".join(wrong) if wrong else f"{len(pages)} pages are well at {len(SCREENS)} widths, light and dark")
    sys.exit(1 if wrong or not pages else 0)


main()
