import math
from datetime import datetime

import pytest

from mmps.times import describe_time, parse_time


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [
        ('35', 35),
        ('0:35.25', 35.25),
        ('2:03', 123),
        ('1:02:03', 3723),
        ('1970-01-02T00:00:00+00:00', 86400),
        ('2026-11-21 12:03:04Z', 1795262584),
    ],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


def test_a_date_without_a_zone_is_of_here() -> None:
    assert parse_time('2026-11-21') == datetime(2026, 11, 21).timestamp()


@pytest.mark.parametrize('text', ['', 'noon', '1:2:3:4', '2026-13-01', '-5', 'inf', '1::2'])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is no time: write 2026-11-21"):
        parse_time(text)


def test_times_are_written_as_they_are_read() -> None:
    date = datetime(2026, 11, 21, 12, 3, 4, 250000).timestamp()
    assert describe_time(date) == '2026-11-21 12:03:04.250'
    assert describe_time(3723.0) == '1:02:03'
    assert describe_time(35.25) == '0:00:35.250'
    assert describe_time(math.nan) == ''
    for seconds in (date, 3723.0, 35.25):
        assert parse_time(describe_time(seconds)) == seconds
