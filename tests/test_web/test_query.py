import numpy as np
import pytest
from colored_people import BLUE, PLACES, RED, ColorModel, draw

from mmps.web.pictures import CHOSEN_COLOR, PERSON_COLOR, box_of_corners, draw_people, person_at
from mmps.web.query import Query

SHOWN = 960 / 400  # scenes are 400 pixels wide, pictures at least 960


def make_query(scene):
    [persons] = ColorModel().detect([scene])
    return Query(scene, 'test', persons)


def shown(x, y):
    return x * SHOWN, y * SHOWN


def test_person_at():
    bboxes = np.array([(0, 0, 100, 200), (40, 40, 60, 90), (300, 0, 400, 200)], np.float32)
    assert person_at(bboxes, (10, 10)) == 0
    assert person_at(bboxes, (50, 50)) == 1, 'the smaller one'
    assert person_at(bboxes, (300, 200)) == 2
    assert person_at(bboxes, (200, 100)) is None
    assert person_at(bboxes[:0], (10, 10)) is None


def test_box_of_corners():
    for first, second in [((10, 80), (50, 20)), ((50, 20), (10, 80)), ((10, 20), (50, 80))]:
        assert box_of_corners(first, second).tolist() == [10, 20, 50, 80]
    with pytest.raises(ValueError, match='less than 8 pixels apart'):
        box_of_corners((10, 10), (50, 17))


def test_click():
    query = make_query(draw(RED, None, BLUE))
    assert query.bbox is None
    chosen = query.click(shown(310, 100))
    assert chosen.bbox.tolist() == list(PLACES[2])
    np.testing.assert_array_equal(chosen.embedding, query.persons.embeddings[1:])
    assert query.bbox is None, 'a query never changes'
    with pytest.raises(ValueError, match='Nobody was detected there'):
        chosen.click(shown(200, 100))


def test_two_corners():
    query = make_query(draw(None, None, None))
    assert len(query.persons) == 0
    seen = []

    def embed(scene, bboxes):
        seen.append(bboxes.tolist())
        return np.array([[1, 0, 0, 0]], np.float32)

    first = query.mark(shown(30, 40), embed=embed)
    assert (first.corner, first.bbox, seen) == (pytest.approx((30, 40)), None, [])
    second = first.mark(shown(10, 90), embed=embed)
    assert second.bbox.tolist() == [10, 40, 30, 90]
    assert seen == [[[10, 40, 30, 90]]]
    assert second.embedding.tolist() == [[1, 0, 0, 0]]
    again = second.mark(shown(5, 5), embed=embed)
    assert (again.corner, again.bbox, again.embedding) == (pytest.approx((5, 5)), None, None)


def test_large_scenes_are_shown_smaller():
    scene = np.repeat(np.repeat(draw(RED, None, BLUE), 8, axis=0), 8, axis=1)  # 3200 wide
    query = make_query(scene)
    assert query.picture().shape == (1040, 1600, 3)
    chosen = query.click((310 * 4, 100 * 4))
    assert chosen.bbox.tolist() == [8 * value for value in PLACES[2]]
    marked = query.mark((0, 0), embed=ColorModel().embed).mark((50, 100), embed=ColorModel().embed)
    assert marked.bbox.tolist() == [0, 0, 100, 200]


def test_pictures():
    scene = draw(RED, None, BLUE)
    query = make_query(scene)
    picture = query.picture()
    assert picture.shape == (624, 960, 3)
    assert picture[336, 168].tolist() == list(RED[::-1]), 'RGB'
    assert picture[144, 168].tolist() == list(PERSON_COLOR)
    assert query.click((168, 336)).picture()[144, 168].tolist() == list(CHOSEN_COLOR)
    corner = draw_people(scene, np.zeros((0, 4)), corner=(200, 120))
    assert corner[120, 200].tolist() == list(CHOSEN_COLOR)
    assert scene[60, 70].tolist() == list(RED), 'the scene is left as it is'
