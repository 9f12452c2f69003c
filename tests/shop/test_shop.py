"""The example shop as a customer and as a hostile page sees it, and what is left in stock and wallet."""

import concurrent.futures

import pytest
import requests

from support.shop import Shop
from support.wait import wait_until

MODES = ("tcc", "saga")
HAPPENED = {"tcc": ["hold", "take"], "saga": ["spend"], "xa": ["spend"]}


@pytest.fixture
def make_shop(keep, make_node, tmp_path):
    def make(preset="release", arguments=()):
        return Shop(keep, make_node, tmp_path, preset, arguments)

    return make


@pytest.fixture
def shop(make_shop):
    return make_shop().start()


def row(state, subject):
    return next(row for row in state["rows"] if row["id"] == subject)


@pytest.mark.parametrize("mode", MODES)
def test_an_order_moves_stock_and_money(shop, mode):
    answer = shop.order("one", mode=mode)
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/orders/one"
    assert answer.json()["status"] == "succeeded"
    assert answer.json()["amount"] == 7800
    assert shop.shop.get("/orders/one").json() == answer.json()
    assert shop.stock.movements("one") == HAPPENED[mode]
    assert shop.wallet.movements("one") == HAPPENED[mode]
    teapots = row(shop.stock.state(), "teapot")
    assert (teapots["held"], teapots["gone"]) == (0, 2)
    assert row(shop.wallet.state(), "anna")["gone"] == 7800


def test_an_order_by_xa_on_mariadb(make_shop, mariadb_url):
    shop = make_shop(arguments=["--database", mariadb_url]).start()
    assert shop.order("xa-one", mode="xa").json()["status"] == "succeeded"
    assert shop.stock.movements("xa-one") == ["spend"]
    assert shop.wallet.movements("xa-one") == ["spend"]
    assert shop.order("xa-poor", mode="xa", account="dora").json()["status"] == "failed"
    assert shop.stock.movements("xa-poor") == []
    assert row(shop.stock.state(), "teapot")["gone"] == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_repeated_order_is_the_same_order(shop, mode):
    first = shop.order("again", mode=mode)
    second = shop.order("again", mode=mode)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert shop.stock.movements("again") == HAPPENED[mode]
    assert shop.wallet.movements("again") == HAPPENED[mode]


def test_an_id_stands_for_one_order_only(shop):
    shop.order("mine")
    other = shop.order("mine", quantity=3)
    assert other.status_code == 409
    assert row(shop.stock.state(), "teapot")["gone"] == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("more, who", [({"item": "gold-cup", "quantity": 4}, "out of stock"),
                                       ({"account": "dora"}, "not enough money")])
def test_a_refused_order_leaves_nothing(shop, mode, more, who):
    answer = shop.order("refused", mode=mode, **more)
    assert answer.json()["status"] == "failed"
    assert who in answer.json()["reason"]
    for service in (shop.stock, shop.wallet):
        state = service.state()
        assert state["adds_up"]
        assert state["total"]["free"] == state["total"]["initial"]


@pytest.mark.parametrize("change, field", [({"quantity": 0}, "quantity"), ({"quantity": "2"}, "quantity"),
                                           ({"item": "moon"}, "item"), ({"account": ""}, "account"),
                                           ({"mode": "xa"}, "mode"), ({"mode": "magic"}, "mode"),
                                           ({"id": "a b"}, "id"), ({"id": "x" * 65}, "id"), ({"more": 1}, "more")])
def test_a_wrong_order_names_the_field(shop, change, field):
    body = {"id": "wrong", "item": "teapot", "quantity": 1, "account": "anna", "mode": "tcc", **change}
    answer = shop.shop.post("/orders", body)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert shop.shop.get("/orders/wrong").status_code == 404


def test_the_page_forbids_what_is_not_its_own(shop):
    for path in ("/", "/static/shop.js", "/orders/none"):
        headers = shop.shop.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert headers["X-Content-Type-Options"] == "nosniff"
    page = shop.shop.get("/").text
    assert "<script>" not in page and "style=" not in page and "onclick" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_text_from_outside_is_escaped(shop):
    name = "<img src=x onerror=alert(1)>\"'&"
    assert shop.order("hostile", account=name).json()["status"] == "failed"
    page = shop.shop.get("/").text
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&quot;" in page
    with requests.get(shop.shop.url + "/events", stream=True, timeout=10) as events:
        told = ""
        for line in events.iter_lines(decode_unicode=True):
            told += line + "\n"
            if "order-hostile" in told and "</article>" in told:
                break
    assert "<img" not in told and "&lt;img" in told


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
                                     {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}])
def test_another_sites_page_cannot_order_or_kill(shop, headers):
    assert shop.order("forged", headers=headers).status_code == 403
    assert shop.shop.post("/chaos", {}, headers=headers).status_code == 403
    assert shop.shop.get("/orders/forged").status_code == 404


def test_a_name_that_was_made_to_point_here_is_refused(shop):
    answer = requests.get(shop.shop.url + "/", headers={"Host": "evil.example"}, timeout=10)
    assert answer.status_code == 421


def test_the_shop_does_not_listen_beyond_loopback(make_shop):
    stack = make_shop()
    stack.shop.arguments += ["--listen", "0.0.0.0:0"]
    stack.shop.start(wait=False)
    assert stack.shop.wait_end() != 0
    assert "listen" in stack.shop.log_text()


@pytest.mark.parametrize("mode", MODES)
def test_an_order_outlives_the_shop(shop, mode):
    shop.wallet.pause()  # the order cannot end meanwhile
    with pytest.raises(requests.exceptions.RequestException):
        requests.post(shop.shop.url + "/orders", timeout=1,
                      json={"id": "orphan", "item": "teapot", "quantity": 1, "account": "anna", "mode": mode})
    shop.shop.kill()
    shop.wallet.resume()
    shop.shop.start()
    order = wait_until(lambda: (known := shop.shop.get("/orders/orphan").json())["status"] != "open" and known, 60,
                       "the order having ended")
    if order["status"] == "succeeded":
        assert shop.stock.movements("orphan") == HAPPENED[mode]
        assert shop.wallet.movements("orphan") == HAPPENED[mode]
    assert row(shop.stock.state(), "teapot")["gone"] == (order["status"] == "succeeded")
    for service in (shop.stock, shop.wallet):
        assert service.state()["adds_up"]
        assert service.state()["total"]["held"] == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("service", ("stock", "wallet"))
@pytest.mark.parametrize("point", ("barrier.before_commit", "barrier.after_commit"))
@pytest.mark.parametrize("commit", (1, 2))
def test_a_service_killed_around_its_commit(make_shop, mode, service, point, commit):
    """The first commit is a try or an action; the second a confirm, or the other order's."""
    shop = make_shop(preset="asan")
    victim = getattr(shop, service)
    for server in (shop.node, shop.stock, shop.wallet, shop.shop):
        server.start(environment={"TANDEM_CRASH_AT": f"{point}:{commit}"} if server is victim else None)
    with concurrent.futures.ThreadPoolExecutor() as customers:
        ending = [customers.submit(shop.order_until_it_ends, order_id, mode=mode) for order_id in ("first", "second")]
        assert victim.wait_end() == -9, "the crash point was not hit"
        victim.start()
        orders = [order.result() for order in ending]
    for order in orders:
        for part in (shop.stock, shop.wallet):
            movements = part.movements(order["id"])
            if order["status"] == "succeeded":
                assert movements == HAPPENED[mode]
            else:
                assert movements in ([], ["hold", "release"], ["spend", "give_back"])
    count = sum(order["status"] == "succeeded" for order in orders)
    for part, subject, amount in ((shop.stock, "teapot", 2), (shop.wallet, "anna", 7800)):
        state = part.state()
        assert state["adds_up"]
        assert (row(state, subject)["gone"], row(state, subject)["held"]) == (count * amount, 0)
