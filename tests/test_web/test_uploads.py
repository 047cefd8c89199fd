import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from mmps.web import uploads
from mmps.web.uploads import decode_upload


@pytest.mark.parametrize('kind', ['png', 'bmp', 'webp', 'jpg'])
def test_formats(tmp_path, kind):
    picture = PIL.Image.new('RGB', (30, 20), (250, 100, 0))
    picture.save(tmp_path / f'a.{kind}')
    (tmp_path / f'a.{kind}').rename(tmp_path / 'upload')  # the name does not matter
    decoded = decode_upload(tmp_path / 'upload')
    assert decoded.shape == (20, 30, 3)
    np.testing.assert_allclose(decoded.reshape(-1, 3).mean(axis=0), (0, 100, 250), atol=4)


def test_upright_and_without_alpha(tmp_path):
    picture = PIL.Image.new('RGB', (30, 20))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left of the file is the top
    picture.save(tmp_path / 'a.png', exif=exif)
    decoded = decode_upload(tmp_path / 'a.png')
    assert decoded.shape == (30, 20, 3)
    assert decoded[0, 19].tolist() == [255, 255, 255]
    PIL.Image.new('RGBA', (4, 5), (1, 2, 3, 128)).save(tmp_path / 'b.png')
    assert decode_upload(tmp_path / 'b.png').shape == (5, 4, 3)


def test_refused(tmp_path, monkeypatch):
    path = tmp_path / 'a.jpg'
    for content in (b'', b'\x80\x04N.', b'<svg xmlns="http://www.w3.org/2000/svg"/>', b'%PDF-1.4'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r'Not a picture that can be read \(JPEG, PNG'):
            decode_upload(path)
    PIL.Image.new('RGB', (64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match='Not a picture'):
        decode_upload(path)
    PIL.Image.new('RGB', (9, 9)).save(path, format='TIFF')  # not among those that are taken
    with pytest.raises(ValueError, match='Not a picture'):
        decode_upload(path)
    PIL.Image.new('RGB', (9, 9)).save(path)
    monkeypatch.setattr(uploads, 'MAX_BYTES', 100)
    with pytest.raises(ValueError, match='The picture has more than'):
        decode_upload(path)


def test_bombs_are_not_unpacked(tmp_path):
    """A small file that claims 100,000 x 100,000 pixels."""
    size = struct.pack('>II5B', 100_000, 100_000, 8, 2, 0, 0, 0)

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', check)

    path = tmp_path / 'a.png'
    parts = [chunk(b'IHDR', size), chunk(b'IDAT', zlib.compress(b'0')), chunk(b'IEND', b'')]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))
    with pytest.raises(ValueError, match=r'pixels|Not a picture'):
        decode_upload(path)
    size = struct.pack('>II5B', 8_000, 8_000, 8, 2, 0, 0, 0)
    parts[0] = chunk(b'IHDR', size)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(parts))
    with pytest.raises(ValueError, match='has 8000 x 8000 pixels, at most 50 million'):
        decode_upload(path)
