"""Draw a digit: a pad in the page, used as readers use it."""

import base64
import io
import re
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_labs import press

from mnist_lesson import load_digit
from tools.make_lab_weights import EXAMPLES, WEIGHTS, read

ONE = [[(140, 40), (140, 240)]]
SEVEN = [[(80, 60), (200, 60), (120, 230)]]
SMALL_SEVEN = [[(180, 190), (230, 190), (200, 260)]]


@pytest.fixture
def pad(lab):
    """The page with the pad, opened and cleared."""
    pad = Pad(lab("draw", below=3_000))
    pad.says("A real 5")
    press(pad.page, "Clear")
    pad.says("The pad is blank")
    return pad


class Pad:
    """What a reader does and sees."""

    def __init__(self, page):
        self.page = page
        self.canvas = page.get_by_label("Drawing pad")
        self.framed = page.get_by_label("centre and scale as MNIST did")

    def draw(self, strokes):
        """Draw with the mouse; strokes are in the pad's own 280 pixels."""
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        scale, mouse = box["width"] / 280, self.page.mouse
        for (x, y), *others in strokes:
            mouse.move(box["x"] + scale * x, box["y"] + scale * y)
            mouse.down()
            for x, y in others:
                mouse.move(box["x"] + scale * x, box["y"] + scale * y, steps=5)
            mouse.up()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def unfold(self):
        """Open what lies folded below the pad."""
        self.page.locator("summary", has_text="All ten probabilities").click()
        self.page.locator("[open] > .lab-draw-table").wait_for()

    def upload(self, content):
        file = {"name": "digit.png", "mimeType": "image/png", "buffer": content}
        self.page.set_input_files("input[type=file]", file)

    def paste(self, content, more=0, into="body"):
        """Paste a picture, with so many bytes more."""
        self.page.evaluate(
            """([base64, more, into]) => {
                const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
                const file = new File([bytes, new Uint8Array(more)], "7.png",
                    { type: "image/png" });
                const clipboardData = new DataTransfer();
                clipboardData.items.add(file);
                document.querySelector(into).dispatchEvent(
                    new ClipboardEvent("paste", { clipboardData, bubbles: true }));
            }""",
            [base64.b64encode(content).decode(), more, into],
        )

    def says(self, text):
        self.page.locator(".lab-status", has_text=text).wait_for(timeout=10_000)

    @property
    def answers(self):
        """What the three models read of all that was done; – where it is nothing."""
        self.page.wait_for_selector(".lab-draw-answers[aria-busy=false]")
        return self.page.locator(".lab-draw-answer").all_inner_texts()

    @property
    def preview(self):
        """The grey levels that the models get."""
        self.page.wait_for_selector(".lab-draw-answers[aria-busy=false]")
        data = self.page.evaluate(
            """() => [...document.querySelector(".lab-draw-preview").getContext("2d")
                .getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)"""
        )
        return np.array(data, np.uint8).reshape(28, 28)


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def picture(strokes, size=(640, 480), at=(200, 100)):
    image = Image.new("RGB", size, (240, 235, 220))
    for stroke in strokes:
        points = [(x + at[0], y + at[1]) for x, y in stroke]
        ImageDraw.Draw(image).line(points, fill=(30, 30, 90), width=12)
    return image


def test_it_opens_on_a_digit_that_divides_the_models(lab):
    """The first stroke, or another picture, takes its place; or it is cleared."""
    pad = Pad(lab("draw"))
    pad.says("A real 5, from MNIST's test digits. Softmax regression reads 6")
    assert pad.answers == ["6", "5", "5"]
    fives = [digit for digit in read(EXAMPLES)["digits"] if digit["label"] == 5]
    shown = base64.b64decode(fives[1]["image"])
    assert (pad.preview.ravel() == [*shown]).all()
    pad.draw(ONE)
    pad.says("LeNet reads 1")
    press(pad.page, "Undo")
    pad.says("The pad is blank")
    pad.page.reload()
    pad.says("A real 5")
    pad.unfold()
    pad.page.get_by_label("test digit").select_option("7")
    pad.says("LeNet reads 7")
    press(pad.page, "Undo")
    pad.says("The pad is blank")


def test_the_opening_digit_is_written_unless_motion_is_unwelcome(page, lab):
    """Ink only grows until the digit is whole; a stroke in between ends it."""
    ink = "document.querySelector('.lab-draw-preview').getContext('2d')" + (
        ".getImageData(0, 0, 28, 28).data.filter((v, n) => n % 4 === 0 && v).length"
    )
    lab("draw")
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    page.wait_for_selector(".lab-draw-pad")
    seen, end = [page.evaluate(ink)], time.monotonic() + 60
    while page.get_by_text("A real 5").count() == 0:
        assert time.monotonic() < end
        seen.append(page.evaluate(ink))
    whole = page.evaluate(ink)
    assert seen == sorted(seen) and len({n for n in seen if 0 < n < whole}) > 3
    page.reload()
    page.wait_for_selector(".lab-draw-pad")
    pad = Pad(page)
    pad.draw(ONE)
    pad.says("LeNet reads 1")
    page.wait_for_timeout(2_500)  # longer than the writing takes
    pad.says("LeNet reads 1")
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    page.wait_for_selector(".lab-draw-preview[aria-label*=rows]")
    assert page.evaluate(ink) == whole


def test_another_hard_one_is_one_that_softmax_regression_misreads(pad):
    labels = [digit["label"] for digit in read(EXAMPLES)["digits"]][10:]
    shown = []
    for _ in range(11):
        press(pad.page, "Another hard one")
        softmax, _, lenet = pad.answers
        shown.append(int(lenet))
        assert softmax != lenet
        pad.says(f"A real {lenet}, from MNIST's test digits. Softmax regression reads")
    assert sorted(shown[:10]) == sorted(labels) and shown[10] == shown[0]


def test_what_the_mouse_draws_is_read_and_taken_back(pad):
    assert "The pad is blank" in pad.page.inner_text(".lab-status")
    assert pad.answers == ["–"] * 3 and not pad.preview.any()
    for clear in "Undo", "Clear":
        press(pad.page, clear)
    assert pad.answers == ["–"] * 3
    pad.draw(ONE)
    pad.says("LeNet reads 1")
    one = pad.preview
    assert pad.answers[2] == "1"
    pad.draw([[(60, 60), (220, 60)]])
    assert (pad.preview != one).any()
    press(pad.page, "Undo")
    assert (pad.preview == one).all()
    pad.draw(SEVEN)
    for clear in "Clear", "Undo":
        press(pad.page, clear)
        pad.says("The pad is blank")
        assert pad.answers == ["–"] * 3


def test_what_looks_like_no_digit_is_said(pad):
    """In MNIST's frame: the detector has seen nothing else."""
    pad.draw([[(60, 220), (60, 60), (140, 150), (220, 60), (220, 220)]])
    pad.says("This looks like no digit. If it is one, softmax regression reads")
    press(pad.page, "Clear")
    pad.draw(SEVEN)
    pad.says(re.compile("^Softmax regression reads.*LeNet reads 7"))


def test_the_probabilities_of_all_digits(pad):
    pad.draw(SEVEN)
    pad.says("LeNet reads 7")
    assert pad.answers[2] == "7"
    pad.unfold()
    cells = pad.page.locator(".lab-draw-table tbody td")
    shares = [float(text.removesuffix("\u00a0%")) for text in cells.all_inner_texts()]
    shares = np.array(shares).reshape(10, 3)
    assert np.abs(shares.sum(0) - 100).max() < 0.6  # each is rounded to 0.1
    assert [str(n) for n in shares.argmax(0)] == pad.answers
    headings = pad.page.locator(".lab-draw-table thead th").all_inner_texts()
    for heading, (name, model) in zip(headings[1:], read(WEIGHTS).items(), strict=True):
        assert name in heading
        assert f"test accuracy {100 * model['accuracy']:.2f}\u00a0%" in heading
    press(pad.page, "Clear")
    assert pad.answers == ["–"] * 3


def test_a_phone_shows_it_on_the_first_screen(phone, book):
    page = phone(height=664)
    page.goto((book / "book" / "index.html").as_uri())
    last = page.get_by_role("button", name="Another hard one")
    last.wait_for()
    box = last.bounding_box()
    assert 0 <= box["y"] and box["y"] + box["height"] <= 664


@pytest.mark.parametrize("own", [True, False])
def test_it_leads_into_lenet_with_its_digit(browser, book, own):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((book / "book" / "index.html").as_uri())
    page.wait_for_selector(".lab-draw-pad")
    pad = Pad(page)
    pad.says("A real 5")
    link = page.locator(".lab-draw-sees a")
    page.wait_for_function("document.querySelector('.lab-draw-sees a').hash")
    opening = link.get_attribute("href")
    if own:
        pad.draw(SEVEN)
        pad.says("LeNet reads 7")
    else:
        press(page, "Another hard one")
        pad.says(re.compile("^A real 6"))
    share = page.locator(".lab-draw-answers span").nth(-2).inner_text()
    digit = f"LeNet reads {pad.answers[2]} ({share})"
    page.locator(f".lab-draw-sees a:not([href='{opening}'])").wait_for()
    link.click()
    page.wait_for_url("**/07_lenet.html#lenet=*")
    page.get_by_text(digit).wait_for()
    page.close()


def test_keys_alone_draw_a_one_and_take_it_back(lab):
    pad = Pad(lab("draw", below=3_000))
    pad.says("A real 5")
    pad.press("Tab")
    assert pad.canvas.evaluate("(canvas) => canvas === document.activeElement")
    pad.press(*["ArrowUp"] * 9, "Space", *["ArrowDown"] * 18, "Space", "ArrowRight")
    pad.says("Pen up, row 24, column 16 of 28")
    pad.says("LeNet reads 1")
    assert pad.page.evaluate("scrollY") == 0
    one = pad.preview
    pad.press("Space", *["ArrowRight"] * 5)
    pad.page.wait_for_selector(".lab-draw-answers[aria-busy=false]")
    assert (pad.preview != one).any()
    pad.press("Control+z")
    pad.page.wait_for_selector(".lab-draw-answers[aria-busy=false]")
    assert (pad.preview == one).all()
    pad.press("Escape")
    pad.says("The pad is blank")
    assert pad.answers == ["–"] * 3
    # Two arrows at once move the pen aslant.
    pad.page.keyboard.down("ArrowLeft")
    pad.press("ArrowUp")
    pad.page.keyboard.up("ArrowLeft")
    pad.says("Pen up, row 23, column 19")


def test_without_the_framing_a_small_digit_aside_is_misread(pad):
    pad.draw(SMALL_SEVEN)
    pad.says("LeNet reads 7")
    pad.unfold()
    assert max(np.ptp(places) for places in np.nonzero(pad.preview)) >= 19
    pad.framed.uncheck()
    assert pad.answers[2] != "7"
    rows, columns = np.nonzero(pad.preview)
    assert rows.min() >= 17 and columns.min() >= 16
    pad.framed.check()
    pad.says("LeNet reads 7")
    assert pad.answers[2] == "7"


def test_test_digits_come_as_they_are(pad):
    """With and without the framing: they are in MNIST's frame already."""
    digits = read(EXAMPLES)["digits"]
    assert len(digits) == 20
    pad.unfold()
    for n, framed in (3, True), (17, True), (17, False):
        pad.framed.set_checked(framed)
        pad.page.get_by_label("test digit").select_option(index=n + 1)
        expected = np.frombuffer(base64.b64decode(digits[n]["image"]), np.uint8)
        assert (pad.preview == expected.reshape(28, 28)).all()
        assert pad.answers[2] == str(digits[n]["label"])
    press(pad.page, "Clear")
    assert pad.answers == ["–"] * 3
    assert pad.page.get_by_label("test digit").input_value() == ""


def test_a_picture_is_framed_as_load_digit_frames_it(pad):
    """Uploaded, pasted, or turned by its camera."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn it by 90° clockwise
    turned = io.BytesIO()
    picture(SEVEN).rotate(90, expand=True).save(turned, "JPEG", exif=exif)
    expected = load_digit(picture(SEVEN)).astype(int)
    for give, content in [
        (pad.upload, png(picture(SEVEN))),
        (pad.paste, png(picture(SEVEN))),
        (pad.upload, turned.getvalue()),
    ]:
        give(content)
        pad.says("LeNet reads 7")
        if content != turned.getvalue():  # whose colours are not quite those
            assert np.abs(pad.preview - expected).max() <= 2
        press(pad.page, "Clear")
        pad.says("The pad is blank")
    pad.upload(png(Image.new("RGB", (300, 200), "white")))
    pad.says("The picture shows no digit")
    assert pad.answers == ["–"] * 3
    pad.unfold()
    pad.framed.uncheck()
    pad.says("The pad is blank")


def test_what_is_no_fit_picture_is_said_and_the_pad_goes_on(pad):
    pad.draw(ONE)
    pad.says("LeNet reads 1")
    pad.paste(b"", more=20_000_001)
    pad.says("has more than 20 MB")
    pad.paste(b"", more=20_000_000)
    pad.says("cannot be read as a picture")
    for content, sentence in [
        (b"This is a text.", "cannot be read as a picture"),
        (png(Image.new("1", (8000, 5001))), "has more than 40 million pixels"),
        (b"", "cannot be read as a picture"),
        (png(Image.new("L", (5, 5))), "is only 5x5 pixels"),
        (png(picture(SEVEN))[:1000], "cannot be read as a picture"),
    ]:
        pad.page.locator(".lab-draw-line").evaluate("(line) => line.replaceChildren()")
        pad.upload(content)
        pad.says(sentence)
        assert pad.answers[2] == "1"
    press(pad.page, "Clear")
    pad.draw(SEVEN)
    pad.says("LeNet reads 7")


def test_a_finger_draws_and_the_page_stays(phone, lab):
    page = lab("draw", below=3_000, page=phone(360, 640))
    pad = Pad(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box = pad.canvas.bounding_box()
    finger = page.context.new_cdp_session(page)

    def touch(kind, *points):
        given = {"type": kind, "touchPoints": points}
        finger.send("Input.dispatchTouchEvent", given)

    def swipe(x, y):
        for n in range(11):
            kind = "touchMove" if n else "touchStart"
            touch(kind, {"x": x, "y": y + 18 * (10 - n)})
        touch("touchEnd")

    swipe(box["x"] + 140, box["y"] + 40)
    pad.says("LeNet reads 1")
    assert page.evaluate("scrollY") == 0
    swipe(5, 300)  # beside the pad, the page scrolls
    page.wait_for_function("scrollY > 0")


def test_a_picture_that_comes_late_leaves_what_was_drawn(page, lab):
    """On a slow network, the models that read it take their time."""
    waiting = []
    page.route("**/weights.js*", lambda route: waiting.append(route))
    pad = Pad(lab("draw"))
    pad.upload(png(picture(SEVEN)))
    pad.says("the picture will follow")
    pad.draw(ONE)
    assert waiting  # it was asked for with the page
    waiting[0].continue_()
    pad.says("The picture came after your drawing: choose it again.")
    assert pad.answers[2] == "1"
