"""The memory losses, DOIM also with either of its parts alone."""

from collections.abc import Callable
from functools import partial

from mmps.models import DOIMLoss, InstanceMatchingLoss, LOIMLoss, OIMLoss

LOSSES: dict[str, Callable[..., InstanceMatchingLoss]] = {
    'oim': OIMLoss,
    'loim': LOIMLoss,
    'doim': DOIMLoss,
    'hea': partial(DOIMLoss, smr=False),
    'smr': partial(DOIMLoss, hea=False),
}
