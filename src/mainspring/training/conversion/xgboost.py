"""XGBoost's trees from the JSON that it saves itself: compared and summed in single precision, as XGBoost does."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from mainspring.training.conversion.ensemble import Ensemble
from mainspring.training.conversion.graph import CannotConvert

LOGISTIC = frozenset({"binary:logistic", "reg:logistic"})
IDENTITY = frozenset({"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"})
SOFT = "multi:softprob"
EXPONENTIAL = frozenset({"count:poisson", "reg:gamma", "reg:tweedie"})


def xgboost_trees(estimator: Any) -> tuple[Ensemble, list[float], str]:
    """Return the trees of an ``XGBClassifier`` or ``XGBRegressor``, the margins that they add to, the last operator.

    With early stopping these are the trees up to the best one, as ``predict`` uses them.
    """
    booster = estimator.get_booster()
    best = getattr(booster, "best_iteration", None) if booster.attr("best_iteration") else None
    learner = json.loads(bytes((booster if best is None else booster[: best + 1]).save_raw("json")))["learner"]
    _refuse_kinds(estimator, learner)
    objective = learner["objective"]["name"]
    base = _base(learner["learner_model_param"]["base_score"])
    targets = max(1, int(learner["learner_model_param"]["num_class"]))
    ensemble = Ensemble("BRANCH_LT", double=False, targets=targets)
    model = learner["gradient_booster"]["model"]
    for number, (target, tree) in enumerate(zip(model["tree_info"], model["trees"], strict=True)):
        _add(ensemble, number, target, tree)
    if objective in LOGISTIC:
        return ensemble, [float(np.float32(-math.log(1 / base[0] - 1)))], "Sigmoid"
    if objective in EXPONENTIAL:
        return ensemble, [float(np.float32(math.log(base[0])))], "Exp"
    if objective in IDENTITY:
        return ensemble, base, "Identity"
    if objective == SOFT:
        return ensemble, base if len(base) == targets else base * targets, "Softmax"
    raise CannotConvert(f"the objective {objective} is not written as a graph yet")


def _refuse_kinds(estimator: Any, learner: dict[str, Any]) -> None:
    if learner["gradient_booster"]["name"] != "gbtree":
        raise CannotConvert(f"the booster {learner['gradient_booster']['name']} is not written as a graph yet")
    if int(learner["learner_model_param"]["num_target"]) > 1:
        raise CannotConvert("more than one target is not written as a graph yet")
    missing = getattr(estimator, "missing", math.nan)
    if missing is not None and not math.isnan(missing):
        raise CannotConvert(f"it takes {missing!r} for missing, which a graph cannot", remedy="leave missing at NaN")


def _base(text: str) -> list[float]:
    values = json.loads(text) if text.startswith("[") else [float(text)]
    return [float(np.float32(value)) for value in values]


def _add(ensemble: Ensemble, number: int, target: int, tree: dict[str, Any]) -> None:
    for id, (left, right) in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
        if left == -1:
            ensemble.leaf(number, id, tree["split_conditions"][id], target)
            continue
        if tree["split_type"][id]:
            raise CannotConvert("categorical splits are not written as a graph yet")
        ensemble.branch(
            number,
            id,
            tree["split_indices"][id],
            tree["split_conditions"][id],
            left=left,
            right=right,
            missing_left=bool(tree["default_left"][id]),
        )
