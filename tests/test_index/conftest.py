from collections.abc import Iterator

import pytest


@pytest.fixture(scope='session')
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Milvus on a free port of this machine only."""
    pytest.importorskip('pymilvus')
    serving = pytest.importorskip('milvus_lite.adapter.grpc.server')
    folder = str(tmp_path_factory.mktemp('milvus') / 'data')
    server, database, port = serving.start_server_in_thread(folder, host='127.0.0.1', port=0)
    yield f'http://127.0.0.1:{port}'
    server.stop(grace=0).wait()
    database.close()
