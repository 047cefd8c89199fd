"""The page in a real browser, which has no network but this machine."""

import json
import shutil
from pathlib import Path

import cv2
import pytest
from colored_people import GREEN, LIME, ORANGE, PLACES, RED, YELLOW, ColorModel, draw

pytest.importorskip('gradio')
pytest.importorskip('selenium')

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from test_server import free_port

from mmps.web.server import serving

CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason='needs chromium and chromedriver'
)

SECONDS = 30  # at most, for what takes one on a machine that is not busy


class Browser:
    """A user with a browser of their own."""

    def __init__(self, address: str, downloads: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in (
            '--headless=new',
            '--no-sandbox',
            '--disable-gpu',
            '--disable-dev-shm-usage',
            '--window-size=1500,1200',
            '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
        ):
            options.add_argument(argument)
        options.add_experimental_option('prefs', {'download.default_directory': str(downloads)})
        options.set_capability('goog:loggingPrefs', {'performance': 'ALL'})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.address, self.downloads = address, downloads
        self.driver.get(address)
        self.wait(lambda: self.find('#query input[type=file]'))

    def find(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition):
        ignored = (
            NoSuchElementException,
            StaleElementReferenceException,
            IndexError,
            StopIteration,
        )
        waiting = WebDriverWait(self.driver, SECONDS, 0.1, ignored_exceptions=ignored)
        return waiting.until(lambda _: condition())

    def wait_for_text(self, selector: str, text: str) -> None:
        self.wait(lambda: text in self.find(selector).text)

    def upload(self, path: Path) -> None:
        self.find('#query input[type=file]').send_keys(str(path))

    def click_scene(self, x: float, y: float) -> None:
        """Click a pixel of the scene that is shown."""
        image = self.wait(lambda: self.find('#query img'))
        self.wait(lambda: image.get_property('naturalWidth'))
        size = image.size
        shown = min(size['width'] / 400, size['height'] / 260)
        offset = [round((value - middle) * shown) for value, middle in ((x, 200), (y, 130))]
        assert abs(offset[0]) < size['width'] / 2
        ActionChains(self.driver).move_to_element_with_offset(image, *offset).click().perform()

    def click_text(self, selector: str, text: str) -> None:
        self.wait(lambda: next(e for e in self.all(selector) if text in e.text)).click()

    def color_of_result(self, place: int) -> list[int]:
        """Red, green and blue in the middle of a result's crop."""
        image = self.wait(lambda: self.all('#results img')[place])
        self.wait(lambda: image.get_property('complete') and image.get_property('naturalWidth'))
        return self.driver.execute_script(
            'const c = document.createElement("canvas"), i = arguments[0];'
            'c.width = i.naturalWidth; c.height = i.naturalHeight;'
            'const context = c.getContext("2d"); context.drawImage(i, 0, 0);'
            'return [...context.getImageData(c.width / 2, c.height / 2, 1, 1).data].slice(0, 3);',
            image,
        )

    def addresses(self) -> set[str]:
        """All that the page asked for, but for what is in the page itself."""
        messages = [json.loads(e['message'])['message'] for e in self.driver.get_log('performance')]
        asked = (m for m in messages if m['method'] == 'Network.requestWillBeSent')
        urls = {m['params']['request']['url'] for m in asked}
        return {url for url in urls if not url.startswith(('data:', 'blob:'))}


@pytest.fixture(scope='module')
def site(colored_gallery, colored_scenes, tmp_path_factory):
    built = tmp_path_factory.mktemp('built')
    roots = [colored_scenes['gate/0.png'].parents[1]]
    with serving(
        [colored_gallery], ColorModel(), port=free_port(), roots=roots, build_folder=built
    ) as address:
        yield address


@pytest.fixture(scope='module')
def make_browser(site, tmp_path_factory):
    browsers = []

    def make() -> Browser:
        browsers.append(Browser(site, tmp_path_factory.mktemp('downloads')))
        return browsers[-1]

    yield make
    for browser in browsers:
        browser.driver.quit()


@pytest.fixture(scope='module')
def browser(make_browser):
    return make_browser()


@pytest.fixture
def picture(tmp_path):
    """A picture that is not of the gallery, with a red person between others."""
    path = tmp_path / 'query.png'
    assert cv2.imwrite(str(path), draw(GREEN, RED, None))
    return path


def middle(place: int) -> tuple[float, float]:
    x1, y1, x2, y2 = PLACES[place]
    return (x1 + x2) / 2, (y1 + y2) / 2


def is_color(found, bgr) -> bool:
    return all(abs(a - b) < 30 for a, b in zip(found, bgr[::-1], strict=True))


def test_upload_click_see(browser, make_browser, picture):
    browser.wait_for_text('#facts', '9 people in 4 frames')
    browser.upload(picture)
    browser.wait_for_text('#hint', '2 people were detected')
    browser.click_scene(390, 10)  # beside everybody
    browser.wait_for_text('.toast-wrap', 'Nobody was detected there')
    browser.click_scene(*middle(1))
    browser.wait_for_text('#details', 'Result 1')
    for place in range(3):
        assert is_color(browser.color_of_result(place), RED), place
    assert not is_color(browser.color_of_result(3), RED)
    assert '1 · 1.000\nuncalibrated\n' in browser.all('#results .thumbnail-item')[0].text
    browser.all('#results .thumbnail-item')[3].click()
    browser.wait_for_text('#details', 'Result 4')
    assert browser.find('#scene img').is_displayed()

    # Somebody else sees nothing of it, and does not disturb it.
    other = make_browser()
    other.wait_for_text('#facts', '9 people in 4 frames')
    assert other.all('#query img') == []
    assert not [e for e in other.all('#results') if e.is_displayed()]
    other.upload(picture)
    other.wait_for_text('#hint', '2 people were detected')
    other.click_scene(*middle(0))
    other.wait_for_text('#details', 'Result 1')
    assert is_color(other.color_of_result(0), GREEN)
    assert is_color(browser.color_of_result(0), RED)
    assert 'Result 4' in browser.find('#details').text

    # A click later, each still has their own scene.
    browser.click_scene(*middle(0))
    browser.wait(lambda: is_color(browser.color_of_result(0), GREEN))
    for user in (browser, other):
        assert all(url.startswith(user.address) for url in user.addresses())


def test_filter_and_save(browser, picture):
    browser.driver.get(browser.address)
    browser.wait(lambda: browser.find('#query input[type=file]'))
    browser.upload(picture)
    browser.wait_for_text('#hint', '2 people were detected')
    browser.click_scene(*middle(1))
    browser.wait_for_text('#status', '9 of 9 people')
    browser.click_text('#filter button', 'Filter and group')
    browser.click_text('#group label', 'Best of each image')
    browser.wait_for_text('#status', '4 of 9 people')
    browser.find('#save-csv').click()
    [saved] = browser.wait(lambda: list(browser.downloads.glob('*.csv')))
    rows = saved.read_text().splitlines()
    assert len(rows) == 1 + 4
    assert rows[0].startswith('rank,row_id,similarity,')


def test_keep_and_pick_another(browser, make_browser, tmp_path):
    """Neither picture alone finds the yellow person first, both together do."""
    path = tmp_path / 'two.png'
    assert cv2.imwrite(str(path), draw(ORANGE, LIME, None))
    other = make_browser()
    for user in (browser, other):
        user.driver.get(user.address)
        user.wait(lambda user=user: user.find('#query input[type=file]'))
        user.upload(path)
        user.wait_for_text('#hint', '2 people were detected')
    browser.find('#keep').click()
    browser.wait_for_text('.toast-wrap', 'Choose a person in a picture first')
    browser.click_scene(*middle(0))
    browser.wait(lambda: is_color(browser.color_of_result(0), RED))
    browser.find('#keep').click()
    browser.wait_for_text('#kept', 'two.png')
    for user, color in ((browser, YELLOW), (other, GREEN)):  # the other one keeps nothing
        user.click_scene(*middle(1))
        user.wait(lambda user=user, color=color: is_color(user.color_of_result(0), color))
    assert 'by 2 pictures of one person' in browser.find('#status').text
    browser.find('#start-over').click()
    browser.wait(lambda: is_color(browser.color_of_result(0), GREEN))
    assert not [e for e in browser.all('#kept-crops') if e.is_displayed()]


def test_two_corners_in_a_frame_of_the_gallery(browser):
    browser.driver.get(browser.address)
    browser.wait_for_text('#facts', '9 people in 4 frames')
    browser.click_text('#take button', 'Take a picture of the gallery')
    browser.wait(lambda: browser.find('#source input').is_displayed())
    browser.find('#source input').click()
    browser.click_text('#source [role=option]', 'yard/3.png')
    browser.wait_for_text('#hint', '3 people were detected in 3.png')
    browser.click_text('#mode label', 'Mark someone by two corners')
    browser.wait_for_text('#hint', 'two opposite corners')
    x1, y1, x2, y2 = PLACES[0]
    browser.click_scene(x2, y1)
    browser.wait_for_text('#hint', 'opposite corner.')
    browser.click_scene(x1, y2)
    browser.wait_for_text('#details', 'Result 1')
    assert is_color(browser.color_of_result(0), GREEN)


def test_build_a_gallery(browser):
    browser.driver.get(browser.address)
    browser.wait_for_text('#facts', '9 people in 4 frames')
    browser.click_text('#build button', 'Build a gallery')
    browser.wait(lambda: browser.find('#folder input').is_displayed())
    browser.find('#folder input').click()
    browser.wait(
        lambda: [e for e in browser.all('#folder [role=option]') if e.text.endswith('/gate')]
    )[0].click()
    browser.find('#name textarea, #name input').send_keys('the gate')
    browser.find('#start').click()
    browser.wait_for_text('#states', 'the gate: done: 4 people in 2 frames')
    browser.wait_for_text('#facts', '4 people in 2 frames')
    assert browser.find('#gallery input').get_property('value') == 'the gate'
