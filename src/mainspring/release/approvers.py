"""Who may sign a release off: known people, by a role that the home's settings or their own key give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mainspring.kernel.errors import Refused
from mainspring.ledger.actor import Actor, actor_of
from mainspring.release.policy.approval import Approval
from mainspring.serving.keyring import APPROVES
from mainspring.serving.keys import Key


class Approvers:
    """Tells who may approve. ``roles`` are those of the settings; ``key_of`` finds a key that counts by its id.

    A name in ``roles`` is one of a key or of a user of this machine, and ``key:ann`` or ``user:ann`` of that alone.
    What a caller only says of itself is never looked at.
    """

    def __init__(self, roles: Mapping[str, Sequence[str]], key_of: Callable[[str], Key | None]) -> None:
        self._roles = roles
        self._key_of = key_of

    def check(self, approval: Approval, by: str) -> None:
        """Refuse whoever may not give this approval."""
        actor = actor_of(by)
        if not actor.how:
            raise Refused(
                "is not known to be anybody", field="by", value=by,
                remedy="ask by command on the home's machine, from the page, or with a key",
            )  # fmt: skip
        if approval.role and not self._has(actor, approval.role):
            raise self._lacking(actor, approval.role)

    def check_past(self, approval: Approval | None, by: str, *, remedy: str) -> None:
        """Refuse what would go past an approval that a model asks for, unless to somebody who could give it alone."""
        if approval is None:
            return
        if approval.not_starter:
            what = "asks that somebody else than whoever wants it approves it"
            raise Refused(what, field="approval", value=approval.role or None, remedy=remedy)
        try:
            self.check(approval, by)
        except Refused as refused:
            whose = f"by somebody with the role {approval.role}" if approval.role else "by a person"
            what = f"asks for approval {whose}: {refused.sentence()}"
            raise Refused(what, field="approval", remedy=remedy) from None

    def _has(self, actor: Actor, role: str) -> bool:
        kind = "key" if actor.how == "key" else "user"
        if any(name in (actor.name, f"{kind}:{actor.name}") for name in self._roles.get(role, ())):
            return True
        key = self._key_of(actor.key) if actor.key else None
        return key is not None and APPROVES + role in key.roles

    def _lacking(self, actor: Actor, role: str) -> Refused:
        if role not in self._roles:
            return Refused(
                "is nobody's role in this home", field="role", value=role,
                remedy=f'name who has it under [roles] in settings.toml, such as {role} = ["{actor.name}"], '
                f"or make a key with it: mainspring key create --role {APPROVES}{role}",
            )  # fmt: skip
        asked = " or ".join(self._roles[role]) or "somebody else"
        return Refused(f"has not the role {role}", field="by", value=actor.name, remedy=f"ask {asked}")


def covers(new: Approval | None, old: Approval | None) -> bool:
    """Tell whether whoever must approve by ``old`` must by ``new``, too."""
    if old is None:
        return True
    return new is not None and new.role == old.role and (new.not_starter or not old.not_starter)
