"""A plain implementation, query by query and box by box, of what mmps.evaluation computes fast."""

import numpy as np


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def average_precision(scores, correct):
    """Sum over distinct thresholds of precision times the gain in recall."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        passed = [c for s, c in zip(scores, correct, strict=True) if s >= threshold]
        new_recall = sum(passed) / sum(correct)
        area += (new_recall - recall) * sum(passed) / len(passed)
        recall = new_recall
    return area


def search(query, images, topk):
    """AP, hits and ranking of one query.

    Args:
        query: embedding.
        images: its gallery in order, of dicts with ``bboxes``, ``features``, ``index`` and, where
            the target is, ``target``.
        topk: the k of top-k.
    """
    similarity, label, index, num_targets, num_found = [], [], [], 0, 0
    for image in images:
        sims = image['features'] @ query
        order, labels = np.arange(len(sims)), np.zeros(len(sims), bool)
        target = image.get('target')
        if target is not None:
            num_targets += 1
            w, h = target[2] - target[0], target[3] - target[1]
            threshold = min(0.5, w * h / ((w + 10) * (h + 10)))
            order = np.argsort(sims, kind='stable')[::-1]
            for rank, det in enumerate(order):
                if iou(image['bboxes'][det], target) >= threshold:
                    labels[rank] = True
                    num_found += 1
                    break
        similarity.extend(sims[order])
        label.extend(labels)
        index.extend(image['index'][order])
    ranking = np.argsort(np.array(similarity), kind='stable')[::-1]
    ap = 0.0
    if num_found:
        ap = average_precision(similarity, label) * num_found / num_targets
    correct = [label[r] for r in ranking]
    return ap, [any(correct[:k]) for k in topk], [index[r] for r in ranking], correct


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
