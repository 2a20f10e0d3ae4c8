"""The pad: fingers, palms and pens, any keyboard, and files that are dropped on it."""

# ruff: noqa: F811 (a fixture is imported, and is an argument)

import base64

import pytest
from test_lab_draw import ONE, SEVEN, pad, picture, png  # noqa: F401
from test_labs import FRAMES


class Hand:
    """A finger, and a pen, on a screen that takes both."""

    def __init__(self, pad):
        self.page = pad.page
        self.driver = self.page.context.new_cdp_session(self.page)
        self.box = pad.canvas.bounding_box()

    def touch(self, kind, *places):
        """Touch, move or lift: all fingers that are down, in the pad's 280 pixels."""
        points = [
            {"x": self.box["x"] + x, "y": self.box["y"] + y, "id": n}
            for n, (x, y) in enumerate(places)
        ]
        touch = {"type": f"touch{kind}", "touchPoints": points}
        self.driver.send("Input.dispatchTouchEvent", touch)

    def pen(self, kind, x, y):
        event = {"type": f"mouse{kind}", "pointerType": "pen", "clickCount": 1,
                 "button": "none" if kind == "Moved" else "left",
                 "buttons": int(kind != "Released"),
                 "x": self.box["x"] + x, "y": self.box["y"] + y}  # fmt: skip
        self.driver.send("Input.dispatchMouseEvent", event)


INK = """() => {
    const { data } = document.querySelector(".lab-draw-pad").getContext("2d")
        .getImageData(0, 0, 280, 280);
    return data.filter((level, n) => n % 4 === 0 && level < 128).length;
}"""
PALM = (250, 265)


@pytest.mark.parametrize("palm", ["none", "rests", "lifts", "is taken back"])
def test_a_pen_writes_where_a_palm_rests(pad, palm):
    hand = Hand(pad)
    if palm != "none":
        hand.touch("Start", PALM)
    hand.pen("Pressed", 140, 40)
    for y in range(50, 245, 10):
        hand.pen("Moved", 140, y)
        if palm == "rests":
            hand.touch("Move", (PALM[0] + y % 3, PALM[1]))
        elif y == 100 and palm != "none":
            hand.touch("End" if palm == "lifts" else "Cancel")
    hand.pen("Released", 140, 240)
    pad.says("LeNet reads 1")
    assert pad.page.evaluate(INK) == pytest.approx(200 * 22 + 380, rel=0.02)


def test_a_finger_draws_beside_one_that_holds_the_screen(pad):
    """And a second one on the pad does not."""
    hand, thumb = Hand(pad), (-20, 140)
    hand.touch("Start", thumb)
    hand.touch("Start", thumb, (140, 40))
    for y in range(50, 245, 10):
        hand.touch("Move", thumb, (140, y))
    hand.touch("Start", thumb, (140, 240), (250, 250))
    hand.touch("Move", thumb, (140, 240), (30, 250))
    hand.touch("End")
    pad.says("LeNet reads 1")
    assert pad.page.evaluate(INK) == pytest.approx(200 * 22 + 380, rel=0.02)


def test_a_palm_that_is_taken_back_leaves_no_dot(pad):
    hand = Hand(pad)
    hand.touch("Start", PALM)
    pad.page.wait_for_function(f"({INK})() > 0")
    hand.touch("Cancel")
    pad.page.wait_for_function(f"({INK})() === 0")


@pytest.mark.parametrize(
    ("key", "code"), [("z", "KeyZ"), ("Z", "KeyZ"), ("я", "KeyZ"), ("z", "KeyY")]
)
def test_undo_by_key_on_any_keyboard(pad, key, code):
    """With CapsLock, in Cyrillic, where Z and Y have changed places; but no redo."""
    pad.draw(ONE)
    pad.says("LeNet reads 1")
    press = """(canvas, [key, code, shiftKey]) => canvas.dispatchEvent(
        new KeyboardEvent("keydown", { key, code, shiftKey, ctrlKey: true }))"""
    pad.canvas.evaluate(press, [key, code, True])
    pad.canvas.evaluate(press, ["y", "KeyY", False])
    pad.page.evaluate(FRAMES, 2)  # it is drawn once a frame
    assert pad.page.evaluate(INK) > 0
    pad.canvas.evaluate(press, [key, code, False])
    pad.says("The pad is blank")


def test_a_picture_may_be_dropped_on_the_pad(pad):
    refused = pad.canvas.evaluate(
        """(canvas, base64) => {
            const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], "7.png", { type: "image/png" }));
            const all = { dataTransfer, bubbles: true, cancelable: true };
            return ["dragover", "drop"].map((kind) =>
                canvas.dispatchEvent(new DragEvent(kind, all)));
        }""",
        base64.b64encode(png(picture(SEVEN))).decode(),
    )
    assert refused == [False, False]  # else the browser would open it
    pad.says("LeNet reads 7")


def test_what_is_pasted_into_a_field_is_not_for_the_pad(pad):
    pad.draw(ONE)
    pad.says("LeNet reads 1")
    pad.page.evaluate("document.body.append(document.createElement('textarea'))")
    pad.paste(png(picture(SEVEN)), into="textarea")
    pad.page.wait_for_timeout(500)
    assert pad.answers[2] == "1"


def test_a_key_that_is_held_puts_the_pen_down_once(pad):
    pad.canvas.focus()
    pad.press(*["ArrowUp"] * 9)
    for _ in range(4):
        pad.page.keyboard.down("Space")
    pad.page.keyboard.up("Space")
    pad.press(*["ArrowDown"] * 18)
    pad.says("Pen down, row 24, column 15 of 28")
    pad.says("LeNet reads 1")


def test_a_menu_does_not_take_the_pen_away(pad):
    """As a long press or a second button opens it; a move with no button ends it."""
    box, mouse = pad.canvas.bounding_box(), pad.page.mouse
    mouse.move(box["x"] + 50, box["y"] + 50)
    opens = "(pad) => pad.dispatchEvent(new Event('contextmenu', { cancelable: true }))"
    assert pad.canvas.evaluate(opens)
    mouse.down()
    assert not pad.canvas.evaluate(opens)
    pad.canvas.evaluate(
        """(pad) => pad.dispatchEvent(new PointerEvent("pointermove",
            { pointerId: 1, buttons: 0, clientX: 0, clientY: 0 }))"""
    )
    assert pad.canvas.evaluate("(pad) => !pad.hasPointerCapture(1)")
    mouse.up()
