import json

from mmps.data_tools import annotations_of, to_coco
from mmps.datasets import CocoPersonSearchDataset, CUHKSYSUDataset


def items(dataset) -> list[dict]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def test_cuhk_sysu_as_coco_gives_the_same_items(cuhk_sysu_root):
    for split, name in (('train', 'train'), ('gallery', 'test')):
        dataset = CUHKSYSUDataset(str(cuhk_sysu_root), split, serialize_data=False)
        content = to_coco(annotations_of(dataset))
        path = cuhk_sysu_root / f'{name}.json'
        path.write_text(json.dumps(content))
        converted = CocoPersonSearchDataset(
            str(cuhk_sysu_root), split, ann_file=path.name, serialize_data=False
        )
        numbers = [int(name.lstrip('p')) for name in dataset.metainfo['person_ids']]
        for ours, theirs in zip(items(converted), items(dataset), strict=True):
            assert ours['img_path'] == theirs['img_path']
            assert len(ours['instances']) == len(theirs['instances'])
            people = [*zip(ours['instances'], theirs['instances'], strict=True)]
            people += zip(ours.get('queries', ()), theirs.get('queries', ()), strict=True)
            for one, other in people:
                assert one['bbox'] == other['bbox']
                named = -1 if other['pid'] == -1 else numbers[other['pid']]
                person_ids = [*converted.metainfo['person_ids'], -1]
                assert person_ids[one['pid']] == named
