"""A plain implementation, query by query and box by box, of what mmps.evaluation computes fast."""

from itertools import groupby

import numpy as np


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0


def average_precision(scores, correct):
    """Sum over distinct thresholds of precision times the gain in recall."""
    area, passed, right = 0.0, 0, 0
    pairs = sorted(zip(scores, correct, strict=True), key=lambda pair: -pair[0])
    for _, group in groupby(pairs, key=lambda pair: pair[0]):
        new = [is_right for _, is_right in group]
        passed += len(new)
        right += sum(new)
        area += sum(new) * right / passed
    return area / right


def search(query, gallery, topk, *, strict=False, iou_thr=0.5, num_to_find=None, rerank=None):
    """AP, hits and ranking of one query.

    Args:
        query: embedding.
        gallery: the images in order, dicts with ``index`` (the numbers of the detections),
            ``bboxes``, ``features``, ``targets`` (boxes of the person) and ``is_reranked``.
        topk: the k of top-k.
        strict: one-to-one matching with all targets, instead of the published matching.
        iou_thr: IoU of a match.
        num_to_find: what AP is divided by; None: what there is to find.
        rerank: called with the numbers and the similarities of all detections that are reranked.
    """
    similarities = [np.asarray(image['features'] @ query, np.float32) for image in gallery]
    if rerank is not None:
        _rerank_all(rerank, gallery, similarities)

    ranked_similarity, label, index, to_find, found = [], [], [], 0, 0
    for image, similarity in zip(gallery, similarities, strict=True):
        seen = similarity > -np.inf
        similarity, dets = similarity[seen], np.flatnonzero(seen)
        order = np.arange(len(dets))
        labels = [False] * len(dets)
        if image['targets']:
            boxes = image['bboxes'][dets]
            if strict:
                right = one_to_one(similarity, boxes, image['targets'], iou_thr)
                to_find += len(image['targets'])
            else:
                right = most_similar(similarity, boxes, image['targets'][0], iou_thr)
                to_find += 1
            order = np.argsort(similarity, kind='stable')[::-1]
            labels = [det in right for det in order]
            found += len(right)
        ranked_similarity.extend(similarity[order])
        label.extend(labels)
        index.extend(image['index'][dets[order]])
    ranking = np.argsort(np.array(ranked_similarity, np.float32))[::-1]
    ap = 0.0
    if found:
        ap = average_precision(ranked_similarity, label) * found / (num_to_find or to_find)
    correct = [label[r] for r in ranking]
    return {
        'ap': ap,
        'hits': [any(correct[:k]) for k in topk],
        'num_targets': to_find if num_to_find is None else num_to_find,
        'num_found': found,
        'ranking': [index[r] for r in ranking],
        'similarity': [ranked_similarity[r] for r in ranking],
        'correct': correct,
    }


def most_similar(similarity, boxes, target, iou_thr):
    """The published matching: of the detections that overlap the target the most similar one."""
    w, h = target[2] - target[0], target[3] - target[1]
    threshold = min(iou_thr, w * h / ((w + 10) * (h + 10)))
    for det in np.argsort(similarity, kind='stable')[::-1]:
        if iou(boxes[det], target) >= threshold:
            return {det}
    return set()


def one_to_one(similarity, boxes, targets, iou_thr):
    """COCO's matching: detections by falling similarity, each takes the best target left."""
    left, right = dict(enumerate(targets)), set()
    for det in np.argsort(-similarity, kind='stable'):
        overlaps = [(iou(boxes[det], box), number) for number, box in left.items()]
        best, number = max(overlaps, default=(0, None))
        if number is not None and best >= iou_thr:
            right.add(det)
            del left[number]
    return right


def _rerank_all(rerank, gallery, similarities):
    """Hand over the similarities of all images that are reranked, and put back what comes out."""
    chosen = [n for n, image in enumerate(gallery) if image['is_reranked']]
    if not chosen:
        return
    joined = np.concatenate([similarities[n] for n in chosen])
    rerank(np.concatenate([gallery[n]['index'] for n in chosen]), joined)
    ends = np.cumsum([len(similarities[n]) for n in chosen])
    for n, part in zip(chosen, np.split(joined, ends[:-1]), strict=True):
        similarities[n] = part


def detection(images, *, score_thr, iou_thr):
    """Recall and AP over images, dicts with ``bboxes``, ``scores`` and ``gt``."""
    scores, correct, num_gt = [], [], 0
    for image in images:
        keep = image['scores'] >= score_thr
        dets, gts = image['bboxes'][keep], image['gt']
        table = np.array([[iou(g, d) for d in dets] for g in gts], np.float32)
        table = table.reshape(len(gts), len(dets))
        for d in range(len(dets)):
            scores.append(image['scores'][keep][d])
            hit = False
            if len(gts):
                g = table[:, d].argmax()
                hit = table[g, d] >= iou_thr and table[g].argmax() == d
            correct.append(bool(hit))
        num_gt += len(gts)
    recall = sum(correct) / num_gt
    return recall, average_precision(scores, correct) * recall if any(correct) else 0.0
