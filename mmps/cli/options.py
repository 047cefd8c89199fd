"""Options that several commands share, so that they are named and explained alike."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Precision(str, Enum):
    """Precision of the network; embeddings and boxes are float32 in any case."""

    FLOAT32 = 'float32'
    FLOAT16 = 'float16'
    BFLOAT16 = 'bfloat16'


JsonOption = Annotated[
    bool, typer.Option('--json', help='Print one JSON document instead of tables.')
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        '--model',
        help='Config file of the model, or its name in model-index.yml; not needed where the '
        'weights hold their config, as those of a training run do.',
        show_default=False,
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option('--weights', help='Checkpoint of the model: a file or an address.'),
]
DeviceOption = Annotated[
    str | None,
    typer.Option('--device', help='Such as cpu or cuda:1; by default a GPU where there is one.'),
]
PrecisionOption = Annotated[
    Precision, typer.Option('--precision', help='Precision of the network.')
]
BatchSizeOption = Annotated[
    int, typer.Option('--batch-size', min=1, help='Images that go through the network together.')
]
GalleryArgument = Annotated[
    Path, typer.Argument(metavar='GALLERY', help='Folder of a gallery, made by `mmps index`.')
]
IndexOption = Annotated[
    str | None,
    typer.Option(
        '--index',
        metavar='http://HOST:PORT',
        help="Milvus server to search by; by default faiss, in the gallery's folder.",
        show_default=False,
    ),
]
