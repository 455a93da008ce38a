"""Whose call a run is.

Owns the caller as functions of the app see them, the app's rule for `ctx.user_id`, what
`ctx.set_user_id` said, and the session that it belongs to. Never verifies anything. One invariant:
whoever asks about the caller is on record as having done so, since the result is then that caller's
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyconvex.functions import FunctionCallError
from pyconvex.functions.component import UserIdRule
from pyconvex.identity import Admin, Identity, User
from pyconvex.identity.session import is_session_id
from pyconvex.values import codec


class Person:
    """The caller of one run; components see nobody, so they have none."""

    def __init__(self, who: Identity, rule: UserIdRule | None, session_id: str = "") -> None:
        self.observed = False
        #: Counts what changes whose run the report says it was.
        self.changes = 0
        #: Whether it is an administrator's, perhaps in a user's name.
        self.is_admin = isinstance(who, Admin)
        acting = who.acting_as if isinstance(who, Admin) else who
        self._user = acting if isinstance(acting, User) else None
        self._rule = rule
        #: Known once it was asked for or set.
        self._known = False
        self._user_id: str | None = None
        #: What `ctx.session_id` gives.
        self.session_id: str | None = session_id or None

    @property
    def attributes(self) -> Mapping[str, Any] | None:
        """What `ctx.auth.get_user_identity()` gives."""
        self._look()
        return _attributes(self._user) if self._user is not None else None

    @property
    def user_id(self) -> str | None:
        """What `ctx.user_id` gives."""
        if not self._known:
            self._look()
            self._user_id, self._known = self._from_identity(), True
        return self._user_id

    def set_user_id(self, user_id: str | None) -> None:
        """What `ctx.user_id` gives from now on."""
        if user_id is not None and not isinstance(user_id, str):
            raise TypeError(f"a user id is text or None, not {user_id!r}")
        self._user_id, self._known = user_id, True
        self.changes += 1

    def set_session_id(self, session_id: str | None) -> None:
        """What `ctx.session_id` gives from now on."""
        if session_id is not None and not is_session_id(session_id):
            raise ValueError(
                "a session id is 1 to 200 printable characters without spaces, or None"
            )
        self.session_id = session_id
        self.changes += 1

    def known(self, *, personal: bool) -> str | None:
        """The same as `on_record` as far as that is known without asking the app's rule."""
        if self._known or not (personal or self.observed):
            return self._user_id
        return self._user.person if self._user is not None and self._rule is None else None

    def on_record(self, *, personal: bool) -> str | None:
        """Whose run the report says it was: whom the function named, or the caller of one that is
        `personal`. Not looking: a rule that fails has told its function so, if that asked.
        """
        if self._known or not personal:
            return self._user_id
        try:
            return self._from_identity()
        except Exception:
            return None

    def _look(self) -> None:
        self.observed = True
        self.changes += 1

    def _from_identity(self) -> str | None:
        if self._user is None:
            return None
        if self._rule is None:
            return self._user.person
        user_id = self._rule(_attributes(self._user))
        if user_id is not None and not isinstance(user_id, str):
            raise TypeError(
                f"the user_id function of define_app must return text or None, not {user_id!r}"
            )
        return user_id


class SeesPerson:
    """What a function call's context asks about the caller; in components there is nobody."""

    def __init__(self, person: Person, component: str) -> None:
        self._component = component
        self._person = None if component else person

    @property
    def user_id(self) -> str | None:
        return None if self._person is None else self._person.user_id

    @property
    def identity_attributes(self) -> Mapping[str, Any] | None:
        return None if self._person is None else self._person.attributes

    def set_user_id(self, user_id: str | None) -> None:
        if self._person is None:
            raise _nobody_in(self._component, "user id")
        self._person.set_user_id(user_id)

    @property
    def session_id(self) -> str | None:
        return None if self._person is None else self._person.session_id

    def set_session_id(self, session_id: str | None) -> None:
        if self._person is None:
            raise _nobody_in(self._component, "session id")
        self._person.set_session_id(session_id)


def _nobody_in(component: str, what: str) -> FunctionCallError:
    return FunctionCallError(
        f"Component '{component}' can't set the {what}: components don't see who calls. Take the "
        "id as an argument."
    )


def _attributes(user: User) -> Mapping[str, Any]:
    attributes = codec.decode(user.attributes)
    assert isinstance(attributes, dict)
    return attributes
