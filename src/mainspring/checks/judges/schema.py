"""Does it take what the model declares, and give what its task says?"""

from __future__ import annotations

from mainspring.checks.result import Candidate, Finding
from mainspring.checks.spec import Schema
from mainspring.kernel.classes import class_texts
from mainspring.kernel.schema import Signature
from mainspring.registry.model import ModelSpec


def judge(check: Schema, candidate: Candidate) -> Finding:
    """Compare the version's signature with the declaration of now."""
    signature, spec = candidate.version.signature, candidate.spec
    if spec is None:
        return Finding("passed", "the model has no declaration to differ from", {"inputs": len(signature.inputs)})
    faults = []
    if signature.task != spec.task:
        faults.append(f"its task is {signature.task}, declared is {spec.task}")
    made, declared = {c.name: c.kind for c in signature.requested}, {c.name: c.kind for c in spec.columns}
    faults += [f"{name} is declared and not taken" for name in declared if name not in made]
    faults += [f"{name} is taken and not declared" for name in made if name not in declared]
    faults += [
        f"{name} is {made[name]}, declared is {declared[name]}"
        for name in made
        if name in declared and made[name] != declared[name]
    ]
    if spec.classes and signature.classes != spec.classes:
        faults.append(f"its classes are {_shown(signature)}, declared are {_shown(spec)}")
    known = {*made, *signature.features}
    faults += [
        f"the input {c.name} is neither asked for nor looked up" for c in signature.inputs if c.name not in known
    ]
    numbers = {"inputs": len(signature.inputs), "requested": len(made), "features": len(signature.features)}
    if faults:
        return Finding("failed", "; ".join(faults), numbers)
    return Finding("passed", "its inputs and answers are as declared", numbers)


def _shown(known: Signature | ModelSpec) -> str:
    return ", ".join(class_texts(known.classes))
