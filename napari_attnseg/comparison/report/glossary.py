"""The terms of a report, each explained in a line for whoever was not there."""

from __future__ import annotations

from napari_attnseg.comparison.results import Results


def terms(results: Results) -> list[tuple[str, str]]:
    """Return the terms that a report of these results uses, with their explanations."""
    trained = any(run.curve for model in results.models for run in model.runs)
    gates = any("attention" in (model.model or model.label) for model in results.models)
    several = " Of several classes, the mean of those that occur in the image." if results.has_classes else ""
    found = [
        ("Accuracy", "The share of all pixels that are right; high even for an empty prediction if objects are small."),
        (
            "F1 (Dice)",
            "Twice the overlap of annotation and prediction, divided by the sum of their areas: 1 is perfect, 0 is no "
            f"overlap. Where nothing is annotated and nothing predicted it counts as 1.{several}",
        ),
        ("Jaccard (IoU)", "The overlap divided by the area that either covers; lower than F1 unless both are 0 or 1."),
        ("Recall", "The share of what was annotated that was found."),
        ("Precision", "The share of what was predicted that was annotated."),
        (
            "Confusion matrix",
            "For each annotated class, what its pixels were taken for; a perfect model has 100 % on the diagonal.",
        ),
    ]
    if not results.has_classes:
        meaning = (
            "F1 as if all images, with several folds those of all folds, were one: large objects count more than small "
            "ones, and an image without objects counts only by what is wrongly found in it."
        )
        found.insert(2, ("F1 of all pixels", meaning))
    if trained:
        found += [
            ("Held out", "Kept away from the training, to measure the model on images that it has not seen."),
            ("Epoch", "A round of training, after which the held-out images are scored."),
            ("Seed", "The number that all random choices of a training start from; another seed, another result."),
            ("Loss", "What the training makes small: a measure of the error that a network can follow downhill."),
        ]
    found += [
        ("Parameters", "The numbers that a network learns."),
        (
            "Wilcoxon signed-rank test",
            "Asks whether one model does better than another on the same images more often, and by more, than chance.",
        ),
        (
            "p",
            "How often chance alone would give a difference at least as clear as this one, were the models equally "
            "good; below 0.05 is commonly called significant.",
        ),
    ]
    if len(results.models) > 2:
        found.append(("Holm", "A correction of p for testing several pairs, one of which may stand out by chance."))
    pair_by_pair = " Each pair of models has its own, without Holm's correction." if len(results.models) > 2 else ""
    found.append(
        (
            "95 % interval",
            "The typical differences that these scores do not speak against: asked about any of them in place of 0, "
            "the signed-rank test does not rule it out at 0.05 (the interval of Hodges and Lehmann). Fewer than six "
            f"scores that differ are too few for one.{pair_by_pair}",
        )
    )
    if gates:
        found.append(("Attention gate", "A part of the network that decides where detail of the image is passed on."))
    return found
