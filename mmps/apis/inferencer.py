"""From images to persons with embeddings, by MMEngine's inferencer."""

import copy
import math
import os
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.visualization import Visualizer
from rich.progress import track
from torch import nn

from mmps.datasets.person_search_dataset import PersonSearchDataset
from mmps.engine.hooks import ChannelsLastHook
from mmps.gallery import Gallery
from mmps.index import Filters, GalleryIndex, open_index, search_gallery
from mmps.index.search import Group
from mmps.models import PersonSearchDetector

from .images import Image, check_boxes, list_images, make_pipeline, test_steps
from .model_source import Model, Weights, find_model, origin_of
from .persons import Persons
from .ranking import Ranking, rank_persons
from .weights import fingerprint, load_weights

PRECISIONS = ('float32', 'float16', 'bfloat16')


class PersonSearchInferencer(DetInferencer):
    """Finds and embeds persons on images, as the evaluation does with the same config and weights.

    It is MMDetection's ``DetInferencer`` for person search: ``inferencer(images)`` works as with
    that one, its predictions carry embeddings. :meth:`detect` and :meth:`embed` give arrays.

    Args:
        model: config file, config, or name of a model in ``model-index.yml``. Not needed where
            the weights hold their config, as those of a training run do. Configs are Python code
            that is run: use those, and weights, of people you trust.
        weights: checkpoint file or address. Without any, those that ``model-index.yml`` names for
            the model; without those too, random ones, with a warning.
        device: such as 'cpu' or 'cuda:1'; by default a GPU where there is one.
        precision: of the network: 'float32', 'float16' or 'bfloat16'. Boxes, scores and
            embeddings are float32 in any case.
        score_thr: persons of a lower score are left out, as the published evaluation leaves them
            out of the search.
        show_progress: draw a progress bar in ``inferencer(images)``, and in :meth:`detect` and
            :meth:`search` where there is more than one batch of images.

    Attributes:
        model_id: 32 hexadecimal digits, the same for models that embed a box of an image alike:
            embeddings of different ids must not be compared.
        embed_dim: size D of an embedding.
        origin: ``model`` and ``weights`` as given, files with their whole paths: to build it again.

    Raises:
        FileNotFoundError: there is no such config or checkpoint file.
        ValueError: an argument is wrong, or model and weights do not go together.
    """

    def __init__(
        self,
        model: Model | None = None,
        weights: Weights | None = None,
        *,
        device: str | None = None,
        precision: str = 'float32',
        score_thr: float = 0.5,
        show_progress: bool = True,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f'precision is one of {", ".join(PRECISIONS)}, not {precision!r}')
        if device is not None and device.startswith('cuda') and not torch.cuda.is_available():
            raise ValueError(f'device {device}: PyTorch sees no GPU here')
        self.precision = precision
        self.score_thr = score_thr
        self.origin = origin_of(model, weights)
        config, file = find_model(model, weights)
        super().__init__(model=config, weights=file, device=device, show_progress=show_progress)
        self.model: PersonSearchDetector = revert_sync_batchnorm(self.model)
        if self._device.type == 'cpu' or precision != 'float32':
            # Of SeqNet, OIMNet++ and the sample's SeqXt a CPU does 1.1 to 1.7 times as much.
            ChannelsLastHook().prepare(self.model)

    @property
    def embed_dim(self) -> int:
        """Size D of an embedding."""
        return int(self.model.roi_head.embedding_head.dim)

    @cached_property
    def model_id(self) -> str:
        """32 hexadecimal digits that name what the model computes.

        Raises:
            ValueError: its weights are random, and others the next time.
        """
        if self._random:
            raise ValueError(
                f'no weights: give those of {self.origin["model"]}; random ones are of no use for '
                'galleries'
            )
        return fingerprint(self.model, self.cfg.model, test_steps(self.cfg))

    def detect(self, images: Sequence[Image] | Image, *, batch_size: int = 1) -> list[Persons]:
        """Find and embed the persons of images.

        Args:
            images: paths, folders, addresses, BGR arrays (H, W, 3), or one of them.
            batch_size: images that go through the network together.

        Returns:
            One entry an image.

        Raises:
            ValueError: an image cannot be read; the message names it.
        """
        inputs = self._inputs_to_list(images)
        batches = self.preprocess(inputs, batch_size=batch_size)
        number = math.ceil(len(inputs) / batch_size)
        if self.show_progress and number > 1:  # who goes batch by batch has a bar of their own
            batches = track(batches, description='Inference', total=number)
        found: list[Persons] = []
        for _, batch in batches:
            found += [Persons.from_instances(s.pred_instances) for s in self.forward(batch)]
        return found

    @torch.no_grad()
    def embed(self, image: Image, bboxes: Any) -> np.ndarray:
        """Embed given boxes, such as those of a query, without detecting anybody.

        Args:
            image: path, address, or BGR array (H, W, 3).
            bboxes: x1, y1, x2, y2 in pixels of the image, (N, 4), or (4,) for one.

        Returns:
            Embeddings of norm 1, (N, D) float32.

        Raises:
            ValueError: the image cannot be read, or a box is none or lies outside of it.
        """
        [path_or_array] = list_images(image)
        batch = self.collate_fn([self.pipeline(path_or_array)])
        size = batch['data_samples'][0].ori_shape
        boxes = torch.from_numpy(check_boxes(bboxes, size))
        with self._autocast():
            batch = self.model.data_preprocessor(batch, False)
            [instances] = self.model.predict_with_given_boxes(
                batch['inputs'], batch['data_samples'], [boxes.to(batch['inputs'].device)]
            )
        embeddings: np.ndarray = instances.embeddings.to('cpu', torch.float32).numpy()
        return embeddings

    def search(
        self,
        image: Image,
        bbox: Any,
        gallery: Gallery | Image | Sequence[Image],
        *,
        topk: int = 20,
        filters: Filters | None = None,
        group: Group | None = None,
        index: GalleryIndex | None = None,
        batch_size: int = 1,
    ) -> Ranking:
        """Search for a person in a gallery, or on images that are looked through now.

        Args:
            image: the query's image: path, address, or BGR array (H, W, 3).
            bbox: the person in it: x1, y1, x2, y2 in pixels, (4,); or several boxes of the same
                person, (Q, 4).
            gallery: made by ``mmps index`` with this model; or images as for :meth:`detect`.
            topk: how many results.
            filters: what in the gallery counts; None for all.
            group: 'track' or 'image': of each only the best; None for all persons.
            index: of the gallery, where it is open already.
            batch_size: of images, how many go through the network together.

        Returns:
            The most similar first. Of images ``source`` is the path, or 'image 0' and so on of
            arrays.

        Raises:
            ValueError: the gallery is of another model, or an image or box is bad.
        """
        embeddings = self.embed(image, bbox)
        if isinstance(gallery, Gallery):
            self.check_gallery(gallery)
            return Ranking(
                search_gallery(
                    gallery,
                    open_index(gallery) if index is None else index,
                    embeddings,
                    topk=topk,
                    filters=filters,
                    group=group,
                )
            )
        if filters is not None or group is not None or index is not None:
            raise ValueError('filters, group and index go with a gallery, not with images')
        images = list_images(gallery)
        names = [i if isinstance(i, str) else f'image {n}' for n, i in enumerate(images)]
        return rank_persons(
            embeddings, names, self.detect(images, batch_size=batch_size), topk=topk
        )

    def check_gallery(self, gallery: Gallery) -> None:
        """Check that a gallery is of this model.

        Raises:
            ValueError: it is of another one, whose embeddings mean something else.
        """
        if gallery.model_id != self.model_id:
            raise ValueError(
                f'{gallery.root} was made with another model (id {gallery.model_id}) than this '
                f'one (id {self.model_id}): give the config and weights it was made with, or make '
                'a gallery with these'
            )

    def __call__(
        self,
        inputs: Image | Sequence[Image],
        batch_size: int = 1,
        *,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        return_datasamples: bool = False,
        out_dir: str | os.PathLike[str] = '',
    ) -> dict[str, Any]:
        """Find and embed the persons of images; draw them if asked.

        Args:
            inputs: as for :meth:`detect`.
            batch_size: images that go through the network together.
            return_vis: return the images with the persons drawn, too.
            show: show them in a window.
            wait_time: for so many seconds; 0: until a key is pressed.
            return_datasamples: return ``DetDataSample`` instead of dicts.
            out_dir: write images to its folder ``vis`` and dicts, as JSON, to its ``preds``.

        Returns:
            ``predictions``: for each image a dict of lists, ``bboxes``, ``scores`` and
            ``embeddings``, with its ``img_path`` (None of an array), as JSON can hold it.
            ``visualization``: RGB arrays, if asked for.
        """
        results: dict[str, Any] = super().__call__(
            inputs,
            batch_size,
            return_vis=return_vis,
            show=show,
            wait_time=wait_time,
            pred_score_thr=0.0,  # what is left is drawn
            return_datasamples=return_datasamples,
            no_save_pred=return_datasamples,
            out_dir=os.fspath(out_dir),
        )
        return results

    def forward(self, inputs: dict[str, Any], **kwargs: Any) -> list[DetDataSample]:
        """Run the network on a batch, and leave out persons of low scores."""
        with self._autocast():
            samples: list[DetDataSample] = super().forward(inputs, **kwargs)
        for sample in samples:
            persons = sample.pred_instances
            sample.pred_instances = persons[persons.scores >= self.score_thr]
        return samples

    def visualize(
        self, inputs: Sequence[str | np.ndarray], preds: list[DetDataSample], **kwargs: Any
    ) -> list[np.ndarray] | None:
        """Draw predictions by the visualizer of the config; see ``DetInferencer``."""
        # MMDetection draws on arrays as if they were RGB, and reads them as BGR.
        rgb = [i[..., ::-1] if isinstance(i, np.ndarray) else i for i in inputs]
        drawn: list[np.ndarray] | None = super().visualize(rgb, preds, **kwargs)
        return drawn

    def pred2dict(self, data_sample: DetDataSample, pred_out_dir: str = '') -> dict[str, Any]:
        """A prediction as JSON can hold it; see ``DetInferencer``."""
        from mmengine import dump

        persons = Persons.from_instances(data_sample.pred_instances)
        path = data_sample.get('img_path')
        result = {
            'img_path': path,
            'bboxes': persons.bboxes.tolist(),
            'scores': persons.scores.tolist(),
            'embeddings': persons.embeddings.tolist(),
        }
        if pred_out_dir:
            name = f'{self.num_predicted_imgs:08d}' if path is None else os.path.basename(path)
            self.num_predicted_imgs += 1
            dump(result, os.path.join(pred_out_dir, 'preds', f'{name}.json'))
        return result

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _autocast(self) -> torch.autocast:
        enabled = self.precision != 'float32'
        return torch.autocast(
            self._device.type,
            dtype=getattr(torch, self.precision) if enabled else None,
            enabled=enabled,
        )

    def _inputs_to_list(self, inputs: Image | Sequence[Image]) -> list[str | np.ndarray]:
        return list_images(inputs)

    def _init_pipeline(self, cfg: Any) -> Compose:
        return make_pipeline(test_steps(cfg))

    def _init_collate(self, cfg: Any) -> Callable[..., Any]:
        return pseudo_collate

    def _init_visualizer(self, cfg: Any) -> Visualizer:
        settings = copy.deepcopy(cfg.get('visualizer', {'type': 'mmps.PersonSearchVisualizer'}))
        settings.pop('vis_backends', None)  # pictures are returned, shown or written to out_dir
        return super()._init_visualizer(Config({'visualizer': settings}))

    def _load_weights_to_model(
        self, model: nn.Module, checkpoint: dict[str, Any] | None, cfg: Any
    ) -> None:
        if not isinstance(model, PersonSearchDetector):
            raise ValueError(
                f'model.type: {type(model).__name__} is no mmps.PersonSearchDetector, hence it '
                'gives no embeddings'
            )
        self._random = checkpoint is None
        if checkpoint is None:
            warnings.warn(
                'no weights were given: those of the model are random, and so are its results',
                stacklevel=2,
            )
        else:
            load_weights(model, checkpoint)
        model.dataset_meta = dict(PersonSearchDataset.METAINFO)
