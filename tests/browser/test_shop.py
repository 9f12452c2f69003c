"""The shop's page in Chromium, as a person uses it. Screenshots are left in build/screenshots."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright

from support.process import ROOT, free_port
from support.shop import ShopProgram

SCREENSHOTS = ROOT / "build" / "screenshots"
CHAOS_LIMIT_MS = 90_000


@pytest.fixture
def shop(keep, tmp_path):
    """The shop with the node, stock and wallet as its children."""
    node, stock, wallet = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    program = ShopProgram("shop", tmp_path, node, arguments=["--supervise", "--stock", stock, "--wallet", wallet,
                                                             "--chaos-orders", "60", "--chaos-kills", "5"])
    yield keep(program).start()
    assert program.stop() == 0


@pytest.fixture
def page(shop):
    """The shop's page, wide; fails the test when the console tells of an error."""
    complaints = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 900})
        page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(shop.url)
        expect(page.locator("#live")).to_have_text("live")
        yield page
        browser.close()
    assert not complaints, complaints


def picture(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def order(page, item, mode="tcc", account="anna", quantity=2):
    page.locator(f".item:has(input[value={item}])").click()
    page.locator(f".mode:has(input[value={mode}])").click()
    page.locator("select[name=account]").select_option(account)
    page.locator("input[name=quantity]").fill(str(quantity))
    page.get_by_role("button", name="Order", exact=True).click()


@pytest.mark.parametrize("mode, steps", [
    ("tcc", ["node begun", "stock try", "wallet try", "node decided: confirm", "stock confirmed", "wallet confirmed",
             "node succeeded"]),
    ("saga", ["node begun", "stock done", "wallet done", "node succeeded"]),
])
def test_an_order_is_followed_live(page, mode, steps):
    order(page, "teapot", mode)
    card = page.locator(".card").first
    expect(card).to_contain_text("2 × Teapot")
    expect(card.locator(".status")).to_have_text("succeeded")
    expect(page.locator("#told")).to_contain_text("Ordered")
    for step in steps:
        expect(card.locator(".steps")).to_contain_text(re.compile(re.escape(step).replace(r"\ ", r"\s+")))
    expect(page.locator(".counts")).to_contain_text("1 succeeded")
    expect(page.locator(".sum.good")).to_have_count(2)
    picture(page, f"order-{mode}")


def test_a_refused_order_says_why(page):
    order(page, "gold-cup", quantity=4)
    card = page.locator(".card").first
    expect(card.locator(".status")).to_have_text("failed")
    expect(card.locator(".reason")).to_have_text("out of stock")
    expect(page.locator("#told")).to_contain_text("Not ordered")


def test_a_mode_that_this_database_lacks_cannot_be_chosen(page):
    expect(page.locator("input[value=xa]")).to_be_disabled()


def test_orders_and_kills_add_up(page):
    button = page.get_by_role("button", name="Place 60 orders and kill things")
    button.click()
    expect(page.locator("#chaos")).to_have_class("running")
    expect(page.locator("#chaos .verdict")).to_have_text("60 orders, 5 kills, 0 lost, 0 doubled: stock and money add up",
                                                         timeout=CHAOS_LIMIT_MS)
    expect(page.locator("#chaos")).to_have_class("good")
    expect(page.locator(".sum.good")).to_have_count(2)
    expect(page.locator(".process.up")).to_have_count(3)
    expect(page.locator(".card")).to_have_count(60)
    picture(page, "chaos")


def test_a_narrow_screen_shows_everything(page):
    order(page, "darjeeling")
    expect(page.locator(".card .status").first).to_have_text("succeeded")
    page.set_viewport_size({"width": 390, "height": 844})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"the page is {width} px wide and has to be scrolled sideways"
    picture(page, "narrow")
