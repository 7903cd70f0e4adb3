"""Look at the built documentation in a browser: no page may be wider than its window, and pictures of all are kept.

    python .ci/browse.py site shots [page ...]

Needs a headless Chromium or Chrome on the path, and nothing else.
"""

import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

WIDTHS = {400: 6000, 1280: 4000}  # and how much of the page a picture shows
# Loads every page in a frame of a given width and writes what sticks out of it into its own document.
PROBE = """<!doctype html><body><script>
const pages = PAGES, width = WIDTH, out = [];
(async () => {
  for (const page of pages) {
    const frame = document.createElement("iframe");
    frame.style.cssText = `width:${width}px;height:900px;border:0`;
    frame.src = "/" + page;
    document.body.append(frame);
    await new Promise(done => frame.onload = done);
    const inside = frame.contentDocument.documentElement;
    if (inside.scrollWidth > width) out.push([page, inside.scrollWidth]);
    for (const image of frame.contentDocument.images)
      if (image.complete && !image.naturalWidth && image.loading !== "lazy") out.push([page, image.src]);
    frame.remove();
  }
  document.body.textContent = "RESULT" + JSON.stringify(out) + "END";
})();
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the folder without a line for every file."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def chromium(*arguments: str) -> str:
    """Run the browser once and return what it printed."""
    name = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=60000"]
    # Where there is no network, what a browser asks of its maker would hold it up for minutes.
    flags += ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:  # one in use would be waited for
        command = [name, *flags, f"--user-data-dir={profile}", *arguments]
        # Not its errors: a process that it leaves behind holds them open.
        kept, left = subprocess.PIPE, subprocess.DEVNULL
        return subprocess.run(command, stdout=kept, stderr=left, text=True, check=True, timeout=300).stdout


def main(site: Path, shots: Path, chosen: list[str]) -> int:
    """Probe all pages, take the pictures, and return the number of faults."""
    pages = sorted(path.relative_to(site).parent.as_posix() + "/" for path in site.rglob("index.html"))
    pages = [page for page in pages if not chosen or page in chosen]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    shots.mkdir(parents=True, exist_ok=True)
    faults = 0
    for width, height in WIDTHS.items():
        probe = PROBE.replace("PAGES", json.dumps(pages)).replace("WIDTH", str(width))
        (site / "probe.html").write_text(probe)
        found = re.search(r"RESULT(.*)END", chromium("--dump-dom", f"{address}/probe.html"))
        (site / "probe.html").unlink()
        result = json.loads(found[1]) if found else [["?", "the probe did not finish"]]
        faults += len(result)
        for page, what in result:
            print(f"{page} at {width} px: {what}")
        for page in pages:
            for scheme in ("light", "dark"):
                name = f"{page.strip('/').replace('/', '_') or 'index'}_{width}_{scheme}.png"
                dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
                chromium(*dark, f"--window-size={width},{height}", f"--screenshot={shots / name}", f"{address}/{page}")
    print(f"{len(pages)} pages, {faults} faults")
    return faults


if __name__ == "__main__":
    sys.exit(bool(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])))
