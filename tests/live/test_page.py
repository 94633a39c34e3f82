"""The page in a real browser, on a real cluster."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys

SCREENSHOT = Path(__file__).parents[2] / ".cache" / "page.png"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--window-size=1200,900",
    "--no-proxy-server",
)


@pytest.fixture(scope="module")
def browser():
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        pytest.skip("not installed: chromium, chromium-driver")
    profile = tempfile.mkdtemp(prefix="hf-browser-")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


class Page:
    def __init__(self, browser, cluster):
        self.browser = browser
        self.cluster = cluster

    def open(self):
        self.browser.get(json.loads(self.cluster.holdfast("page", "-o", "json").stdout)["url"])

    def has_arrived(self, again):
        """Whether the page is there. If it did not arrive at all `again` is called, as browsers do unless driven."""
        if not self.texts("#connection"):
            again()
            return False
        return True

    def shows(self, lanes):
        return self.has_arrived(self.open_anew) and len(self.lanes()) == lanes

    def open_anew(self):
        """Where it is already, the token alone would open nothing."""
        self.browser.get("about:blank")
        self.open()

    def texts(self, selector):
        """Of all at one moment: the page may make them anew at any time."""
        script = "return [...document.querySelectorAll(arguments[0])].map(found => found.innerText.trim());"
        return self.browser.execute_script(script, selector)

    def lanes(self):
        """For each lane: its name, and the revisions and states of its bars."""
        script = """
        return [...document.querySelectorAll(".lane")].map(lane => [
            lane.querySelector(".name").textContent,
            [...lane.querySelectorAll(".life")].map(life => [
                life.querySelector(".revision").textContent,
                [...life.querySelectorAll(".segment")].map(one => one.classList[1]),
            ]),
        ]);"""
        return self.browser.execute_script(script)

    def until(self, what, holds, within_s=120):
        deadline = time.monotonic() + within_s
        while not (found := holds()):
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}: {self.picture()}"
            time.sleep(0.2)
        return found

    def picture(self):
        """What there is, for a failed assertion."""
        return self.lanes(), self.texts("#connection"), self.texts("#refusal"), self.complaints()

    def complaints(self):
        """What the console has shown since the last look, but for what every pod that starts does to a browser."""
        messages = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        return [message for message in messages if "ERR_NETWORK_CHANGED" not in message]

    def blocking(self, *patterns):
        self.browser.execute_cdp_cmd("Network.enable", {})
        self.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": list(patterns)})


@pytest.fixture(scope="module")
def page(browser, cluster, statefulset):
    cluster.kubectl("apply", "-f", "-", manifest=json.dumps(statefulset("web", 3)))
    cluster.kubectl("rollout", "status", "sts/web", "--timeout=90s")
    made = Page(browser, cluster)
    made.open()
    made.until("three lanes", lambda: made.shows(3) and all(is_ready(lives) for _, lives in made.lanes()))
    return made


def is_ready(lives):
    """Whether the last bar of a lane, if there is one yet, ends so."""
    return bool(lives) and lives[-1][1][-1:] == ["ready"]


def states(lives):
    return [each for _, each in lives]


def test_a_rolling_update_is_seen_as_three_lanes_in_order_each_with_an_old_and_a_new_pod(page):
    assert [name for name, _ in page.lanes()] == ["web-0", "web-1", "web-2"]
    page.cluster.kubectl("rollout", "restart", "sts/web")
    page.cluster.kubectl("rollout", "status", "sts/web", "--timeout=120s")
    page.until("two bars in each", lambda: all(len(lives) == 2 for _, lives in page.lanes()))
    page.until("ready", lambda: all(is_ready(lives) for _, lives in page.lanes()))
    assert [name for name, _ in page.lanes()] == ["web-0", "web-1", "web-2"]
    for _, (old, new) in page.lanes():
        assert old[0] != new[0], "each bar names its revision"
        assert old[1][-1] == "going"
        assert new[1][0] == "pending"
    SCREENSHOT.parent.mkdir(exist_ok=True)
    assert page.browser.save_screenshot(str(SCREENSHOT))
    assert page.complaints() == []


def test_claims_and_volumes_stand_under_their_ordinal(page):
    claims = page.texts(".claims li")
    assert [claim.split(":")[0] for claim in claims] == ["data-web-0", "data-web-1", "data-web-2"]
    assert all(" Bound, " in claim and " on pvc-" in claim for claim in claims)


def test_the_form_for_the_token_is_not_in_the_way(page):
    assert not page.browser.find_element(By.ID, "login").is_displayed()


def test_it_is_used_with_the_keyboard_and_spoken(page):
    page.browser.execute_script("document.querySelector('.life').focus()")

    def focused():
        return page.browser.switch_to.active_element.get_attribute("aria-label")

    assert focused().startswith("web-0, revision web-")
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert focused().startswith("web-1, revision web-")
    page.until("details", lambda: "default/web-1" in page.texts("#details")[0])
    unnamed = page.browser.execute_script(
        "return [...document.querySelectorAll('button, select, input')].filter(one => !one.closest('[hidden]') &&"
        " !one.ariaLabel && !one.labels?.length && !one.textContent.trim()).length"
    )
    assert unnamed == 0


def test_what_happens_shows_at_once_and_a_daemon_that_comes_back_is_found_again(page):
    page.cluster.kubectl("scale", "sts/web", "--replicas=2")
    page.until("web-2 leaves", lambda: (lane := page.lanes()[-1])[0] == "web-1" or lane[1][-1][1][-1] == "going")
    page.cluster.kill("daemon")
    page.until("away", lambda: "does not answer" in page.texts("#connection")[0])
    page.cluster.holdfast("up", "--no-merge")
    page.until("back", lambda: page.texts("#connection")[0] == "live")
    page.cluster.kubectl("scale", "sts/web", "--replicas=3")
    page.until("web-2 again", lambda: (lane := page.lanes()[-1])[0] == "web-2" and is_ready(lane[1]))
    page.complaints()


@pytest.mark.parametrize("part", ["page.js", "lives.js", "page.css"])
def test_a_part_that_did_not_arrive_is_asked_for_again(page, part):
    """Browsers drop what they are loading when the machine's network changes, as it does whenever a pod starts."""
    page.blocking(f"*/{part}")
    page.open_anew()
    time.sleep(1)
    page.blocking()
    styles = "return document.styleSheets.length"
    page.until("shown", lambda: page.shows(3) and page.browser.execute_script(styles) == 1)
    page.complaints()


def test_nothing_is_shown_to_who_has_no_token_and_the_token_stays_in_no_address(page):
    assert "token" not in page.browser.current_url
    page.browser.execute_script("sessionStorage.setItem('token', 'wrong')")
    page.browser.refresh()
    refused = lambda: page.has_arrived(page.browser.refresh) and "Unauthorized" in page.texts("#refusal")[0]  # noqa: E731
    page.until("asked", refused)
    assert page.texts("section") == []
    page.open()
    page.browser.refresh()
    page.until("shown", lambda: page.shows(3))
