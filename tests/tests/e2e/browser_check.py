#!/usr/bin/env python3
"""Opens verify.html from the disk in a headless Chromium without a network and says what it finds of each folder.

    browser_check.py PAGE JOBS HOME

JOBS is a JSON list of objects with folder, fingerprint, language and picture (a name, or nothing). Prints a JSON list
of verdicts. Nothing but Python's library, chromium and chromedriver (W3C WebDriver).
"""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.request

# Nothing listens there: what the page or the browser wanted of a network fails.
NO_NETWORK = ["--proxy-server=http://127.0.0.1:9", "--host-resolver-rules=MAP * ~NOTFOUND"]


def main(page, jobs, home):
    home = pathlib.Path(home).resolve()
    profile = home / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    log = home / "chromedriver.log"
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=open(log, "wb"), stderr=subprocess.STDOUT)
    base = None
    try:
        until = time.monotonic() + 60
        while base is None:
            found = re.search(rb"successfully on port (\d+)", log.read_bytes())
            if found:
                base = f"http://127.0.0.1:{int(found.group(1))}"
            elif time.monotonic() > until or driver.poll() is not None:
                raise SystemExit(f"chromedriver did not start: {log.read_text()}")
            else:
                time.sleep(0.1)
        return run(base, pathlib.Path(page).resolve().as_uri(), json.loads(pathlib.Path(jobs).read_text()), home, profile)
    finally:
        driver.terminate()
        driver.wait()
        shutil.rmtree(profile, ignore_errors=True)


def run(base, page, jobs, home, profile):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with opener.open(request, timeout=300) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.read().decode()}")

    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    arguments += ["--disable-component-update", "--disable-sync", f"--user-data-dir={profile}", "--window-size=1000,1400"]
    options = {"args": arguments + NO_NETWORK, "binary": shutil.which("chromium")}
    wanted = {"capabilities": {"alwaysMatch": {
        "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}}
    session = "/session/" + ask("POST", "/session", wanted)["sessionId"]

    def script(text, *args):
        return ask("POST", session + "/execute/sync", {"script": text, "args": list(args)})

    def element(css):
        found = ask("POST", session + "/element", {"using": "css selector", "value": css})
        return session + "/element/" + next(iter(found.values()))

    verdicts = []
    try:
        for job in jobs:
            ask("POST", session + "/url", {"url": page})
            ask("POST", element(f"#langs button[lang={job['language']}]") + "/click", {})
            ask("POST", element("#folder") + "/value", {"text": job["folder"]})
            if job["fingerprint"]:
                ask("POST", element("#print1") + "/value", {"text": job["fingerprint"]})
            ask("POST", element("#go") + "/click", {})
            until = time.monotonic() + 120
            while (verdict := script("return document.documentElement.dataset.verdict || null")) is None:
                if time.monotonic() > until:
                    raise SystemExit(f"no verdict on {job['folder']}")
                time.sleep(0.05)
            verdicts.append(verdict)
            if job["picture"]:
                height = script("return document.documentElement.scrollHeight")
                ask("POST", session + "/window/rect", {"width": 1000, "height": min(height + 160, 6000)})
                picture = base64.b64decode(ask("GET", session + "/screenshot"))
                (home / f"{job['picture']}.png").write_bytes(picture)
                said = script("return [...document.querySelectorAll('#said, #findings li')].map(e => e.textContent)")
                (home / f"{job['picture']}.txt").write_text("\n".join(said) + "\n")
        # A page that asked for anything would have been told off here.
        told = [line["message"] for line in ask("POST", session + "/se/log", {"type": "browser"})]
        refused = [line for line in told if "Content Security Policy" in line or "net::" in line or "Error" in line]
        if refused:
            raise SystemExit(f"the page wanted something of the browser that it may not have: {refused}")
    finally:
        ask("DELETE", session)
    return verdicts


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
