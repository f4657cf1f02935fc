"""What is shrunk looks the same, pixel by pixel, as far as 256 colours go."""

from __future__ import annotations

from base64 import b64encode

from playwright.sync_api import Page

from tests.browser.shrinking import shrink

PAGE = """
    <body style="margin: 0; background: #f8f9fb">
        <p style="font: 20px serif; color: #0b7175; margin: 20px">Three entries, 2,400.00 EUR</p>
        <div style="width: 300px; height: 60px; background: linear-gradient(#ffffff, #0b7175)"></div>
        <div style="width: 90px; height: 30px; background: #b91c1c; border: 3px solid black"></div>
"""
FURTHEST = """async pictures => {
    const [one, other] = await Promise.all(pictures.map(async picture => {
        const image = new Image();
        image.src = "data:image/png;base64," + picture;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
        canvas.drawImage(image, 0, 0);
        return canvas.getImageData(0, 0, image.width, image.height).data;
    }));
    if (one.length !== other.length) return -1;
    return one.reduce((most, value, at) => Math.max(most, Math.abs(value - other[at])), 0);
}"""


def test_a_shrunk_picture_looks_the_same(page: Page) -> None:
    page.set_content(PAGE)
    page.set_viewport_size({"width": 400, "height": 240})
    picture = page.screenshot()
    small = shrink(picture)
    assert len(small) < len(picture)
    furthest = page.evaluate(FURTHEST, [b64encode(each).decode() for each in (picture, small)])
    assert 0 <= furthest <= 8
