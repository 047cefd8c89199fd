import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from footage import RATE, draw, make_image, make_video, number_in

from mmps.gallery import SourceEnd, UnreadableError, find_sources
from mmps.gallery.sources import Frame, read_image
from mmps.gallery.videos import Sampling, read_frame, read_video

NEEDS_PYAV = pytest.mark.skipif(not importlib.util.find_spec('av'), reason='PyAV is not installed')
DECODERS = ['opencv', pytest.param('pyav', marks=NEEDS_PYAV)]


def read(path: Path, *, every=None, fps=None, todo=None, decoder='auto'):
    *frames, end = read_video(
        str(path), Sampling(every, fps), todo or (lambda number: True), decoder=decoder
    )
    assert all(isinstance(frame, Frame) for frame in frames)
    assert isinstance(end, SourceEnd)
    for frame in frames:
        assert number_in(frame.image) == frame.number
    return frames, end


@pytest.mark.parametrize('suffix', ['.mp4', '.avi'])
@pytest.mark.parametrize('decoder', DECODERS)
def test_frames_of_a_sample(tmp_path: Path, decoder: str, suffix: str) -> None:
    video = make_video(tmp_path / f'v{suffix}')
    frames, end = read(video, every=7, decoder=decoder)
    assert [frame.number for frame in frames] == [0, 7, 14, 21, 28, 35]
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(0, 36, 7) / RATE)
    assert end == SourceEnd(frames=40, size=video.stat().st_size)
    assert (frames[0].announced, frames[-1].part) == (40, 0.9)
    assert abs(frames[1].image.astype(int) - draw(7)).mean() < 5


@pytest.mark.parametrize('decoder', DECODERS)
@pytest.mark.parametrize(('fps', 'numbers'), [
    (10, range(40)),
    (25, range(40)),  # more than there are
    (4, [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28, 30, 33, 35, 38]),
    (0.5, [0, 20]),
])  # fmt: skip
def test_frames_a_second(tmp_path: Path, decoder: str, fps: float, numbers: range) -> None:
    frames, _ = read(make_video(tmp_path / 'v.mp4'), fps=fps, decoder=decoder)
    assert [frame.number for frame in frames] == [*numbers]


@pytest.mark.parametrize('decoder', DECODERS)
def test_only_what_is_asked_for_is_read(tmp_path: Path, decoder: str) -> None:
    asked = []

    def todo(number: int) -> bool:
        asked.append(number)
        return number in (15, 20, 35)

    frames, end = read(make_video(tmp_path / 'v.mp4'), every=5, todo=todo, decoder=decoder)
    assert [frame.number for frame in frames] == [15, 20, 35]
    assert asked == [*range(0, 40, 5)]
    assert end.frames == 40


@pytest.mark.parametrize('decoder', DECODERS)
def test_a_video_that_breaks_off_gives_what_there_is(tmp_path: Path, decoder: str) -> None:
    video = make_video(tmp_path / 'v.avi')
    content = video.read_bytes()
    video.write_bytes(content[: len(content) * 6 // 10])
    frames, end = read(video, every=1, decoder=decoder)
    # PyAV counts the frame, too, in the middle of which the file ends.
    assert [frame.number for frame in frames] == [*range(end.frames - (decoder == 'pyav'))]
    assert 15 < end.frames < 30
    assert end.problem == f'{video}: breaks off after {end.frames} of 40 frames'


@pytest.mark.parametrize('decoder', DECODERS)
@pytest.mark.parametrize('content', ['', 'not a video', 'no index'])
def test_what_is_no_video_is_refused(tmp_path: Path, decoder: str, content: str) -> None:
    video = make_video(tmp_path / 'v.mp4')
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2] if content == 'no index' else content.encode())
    with pytest.raises(UnreadableError, match=r'v\.mp4: '):
        read(video, every=1, decoder=decoder)


@NEEDS_PYAV
def test_pyav_has_exact_times_and_starts_at_key_frames(tmp_path: Path) -> None:
    """A video of changing frame rate whose frames are stored in another order than shown."""
    import av

    video = tmp_path / 'v.mkv'
    ticks = np.cumsum([0, *(50, 100, 300) * 13])  # ms
    with av.open(video, 'w') as container:
        try:
            stream = container.add_stream('libx264', rate=20)
        except av.error.FFmpegError:
            pytest.skip('this PyAV cannot write H.264')
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 96, 64, 'yuv420p', 8
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(draw(number), format='bgr24')
            frame.pts, frame.time_base = int(tick), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

    frames, _ = read(video, every=1, decoder='pyav')
    np.testing.assert_allclose([frame.time for frame in frames], ticks / 1000)
    frames, _ = read(video, fps=1, decoder='pyav')
    expected = [0, *(int(np.argmax(ticks >= 1000 * second)) for second in range(1, 6))]
    assert [frame.number for frame in frames] == expected
    for number in (0, 1, 7, 8, 9, 31, 39):
        frames, _ = read(video, every=1, todo=lambda n, number=number: n == number, decoder='pyav')
        assert [frame.number for frame in frames] == [number]


@NEEDS_PYAV
@pytest.mark.parametrize('quarter', [1, 2, 3])
def test_turned_videos_are_turned_back_alike(tmp_path: Path, quarter: int) -> None:
    video = make_video(tmp_path / 'v.mp4', frames=3)
    one, zero, minus = b'\0\1\0\0', b'\0' * 4, b'\xff\xff\0\0'
    a, b = {1: (zero, one), 2: (minus, zero), 3: (zero, minus)}[quarter]
    c = minus if b == one else one if b == minus else zero
    upright = one + zero * 3 + one
    turned = a + b + zero + c + a
    content = video.read_bytes()
    at = content.index(upright, content.index(b'tkhd'))
    video.write_bytes(content[:at] + turned + content[at + len(turned) :])
    [*_, by_opencv, _] = read_video(str(video), Sampling(every=1), bool, decoder='opencv')
    [*_, by_pyav, _] = read_video(str(video), Sampling(every=1), bool, decoder='pyav')
    assert by_opencv.image.shape == ((64, 96, 3) if quarter == 2 else (96, 64, 3))
    assert abs(by_opencv.image.astype(int) - by_pyav.image).mean() < 3


@pytest.mark.parametrize('pyav', [False, pytest.param(True, marks=NEEDS_PYAV)])
def test_one_frame(tmp_path: Path, pyav: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not pyav:
        monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    video = make_video(tmp_path / 'v.mp4')
    assert [number_in(read_frame(str(video), n)) for n in (0, 1, 13, 39)] == [0, 1, 13, 39]
    with pytest.raises(UnreadableError, match='its frame 40 cannot be read'):
        read_frame(str(video), 40)


@pytest.mark.parametrize(('arguments', 'message'), [
    ({}, 'one of every and fps'),
    ({'every': 2, 'fps': 1}, 'one of every and fps'),
    ({'every': 0}, 'at least 1'),
    ({'fps': 0}, 'more than 0'),
    ({'fps': float('nan')}, 'more than 0'),
])  # fmt: skip
def test_samplings_that_make_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**arguments)


def test_sources_are_found_by_the_ends_of_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ('b.JPG', 'a.png', 'deep/er/c.MP4', 'notes.txt'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    expected = [str(tmp_path / name) for name in ('a.png', 'b.JPG', 'deep/er/c.MP4')]
    assert find_sources(['.']) == expected
    assert find_sources(['deep/../a.png', tmp_path / 'a.png']) == expected[:1]
    with pytest.raises(FileNotFoundError, match=r'there is no x\.jpg'):
        find_sources(['x.jpg'])
    with pytest.raises(ValueError, match=r'notes.txt: neither image .* nor video'):
        find_sources(['notes.txt'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty: no images or videos'):
        find_sources(['empty'])


def test_folders_are_searched_once_however_many_links_lead_to_them(tmp_path: Path) -> None:
    for name in ('in/real/a.png', 'elsewhere/b.png', 'elsewhere/deep/c.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'in' / 'real' / 'circle').symlink_to(tmp_path / 'in')
    assert find_sources([tmp_path / 'in']) == [str(tmp_path / 'in' / 'real' / 'a.png')]
    (tmp_path / 'in' / 'again').symlink_to(tmp_path / 'in' / 'real')
    (tmp_path / 'in' / 'more').symlink_to(tmp_path / 'elsewhere' / 'deep')
    (tmp_path / 'in' / 'real' / 'most').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere' / 'back').symlink_to(tmp_path / 'in' / 'real')
    (tmp_path / 'link').symlink_to(tmp_path / 'in')
    found = ['more/c.png', 'real/a.png', 'real/most/b.png']
    assert find_sources([tmp_path / 'in']) == [str(tmp_path / 'in' / name) for name in found]
    assert find_sources([tmp_path / 'link']) == [str(tmp_path / 'link' / name) for name in found]


@pytest.mark.parametrize(('tags', 'time'), [
    ({36867: '2026:03:01 12:00:00', 36881: '+02:00'}, 1772359200.0),
    ({36867: '2026:03:01 12:00:00', 36881: '+00:00', 37521: '250'}, 1772366400.25),
    ({36867: '0000:00:00 00:00:00'}, float('nan')),
    ({36867: '    :  :     :  :  '}, float('nan')),
    ({}, float('nan')),
])  # fmt: skip
def test_time_of_an_image_is_that_of_its_exif(tmp_path: Path, tags: dict, time: float) -> None:
    import PIL.Image

    image = PIL.Image.fromarray(draw(5))
    exif = image.getexif()
    exif.get_ifd(0x8769).update(tags)
    image.save(tmp_path / 'a.jpg', exif=exif)
    frame = read_image(str(tmp_path / 'a.jpg'))
    np.testing.assert_equal(frame.time, time)
    assert (frame.number, frame.part, number_in(frame.image)) == (0, 1.0, 5)


@pytest.mark.parametrize('content', ['cut', 'text', 'empty'])
def test_images_that_cannot_be_read_are_refused(tmp_path: Path, content: str) -> None:
    image = make_image(tmp_path / 'a.jpg')
    whole = image.read_bytes()
    image.write_bytes({'cut': whole[: len(whole) // 2], 'text': b'text', 'empty': b''}[content])
    with pytest.raises(UnreadableError, match=r'a\.jpg: not a readable image'):
        read_image(str(image))
