"""Flags evaluated here, in every kind of function.

Owns the calls that read the component's stored definitions. Never asks PostHog. One invariant: a
call that reads one flag depends on that flag alone; only the calls that read all depend on all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

from posthog_convex.client.arguments import (
    About,
    Ctx,
    OneFlag,
    apart,
    group_keys,
    question,
)
from posthog_convex.client.binding import Binding
from posthog_convex.client.results import FlagResult, FlagsAndPayloads, FlagState, explanation
from posthog_convex.events import Exposure

D = TypeVar("D")
_LEAVE_OUT: Any = object()


class LocalFlagCalls(Binding):
    """Local flags; see `About` and `OneFlag` for the keyword arguments that all share.

    Reading one flag is an exposure (`$feature_flag_called`), which experiments count: it is sent
    once for each person, flag and value, from queries too, unless `send_feature_flag_events` is
    False for the client or the call. Reading many flags at once, or a payload, is none.
    """

    @overload
    async def get_feature_flag(
        self, ctx: Ctx, key: str, **about: Unpack[OneFlag]
    ) -> bool | str | None: ...
    @overload
    async def get_feature_flag(
        self, ctx: Ctx, key: str, *, default: D, **about: Unpack[OneFlag]
    ) -> bool | str | D: ...
    async def get_feature_flag(
        self, ctx: Ctx, key: str, *, default: Any = None, **about: Unpack[OneFlag]
    ) -> Any:
        """The flag's value for a person: True or the variant's key when it matches, False when off.

        `default` stands in when there is no value: the flag is unknown, definitions are not loaded,
        or there is no verdict here because it depends on what was not passed; a warning says which,
        once. A query that reads a flag runs again when that flag changes.

            match await posthog.get_feature_flag(ctx, "discount-campaign"): ...
        """
        found = await self._evaluate(ctx, "get_feature_flag", key, about)
        return found["value"] if self._has_verdict(ctx, found) else default

    @overload
    async def is_feature_enabled(
        self, ctx: Ctx, key: str, **about: Unpack[OneFlag]
    ) -> bool | None: ...
    @overload
    async def is_feature_enabled(
        self, ctx: Ctx, key: str, *, default: D, **about: Unpack[OneFlag]
    ) -> bool | D: ...
    async def is_feature_enabled(
        self, ctx: Ctx, key: str, *, default: Any = None, **about: Unpack[OneFlag]
    ) -> Any:
        """Whether the flag matches a person, as True or any variant; as `get_feature_flag` else."""
        found = await self._evaluate(ctx, "is_feature_enabled", key, about)
        return found["value"] is not False if self._has_verdict(ctx, found) else default

    async def get_feature_flag_payload(
        self,
        ctx: Ctx,
        key: str,
        *,
        match_value: bool | str | None = None,
        default: Any = None,
        **about: Unpack[OneFlag],
    ) -> Any:
        """The decoded payload of the flag's value for a person; None when that value has none.

        `default` stands in when there is no value, so another `default` than None tells the two
        apart. With `match_value`, a value that is already known, nothing is evaluated and nobody
        need be known: the answer is the payload of that value. As in PostHog's SDKs a payload is no
        exposure, unless `send_feature_flag_events` is True.
        """
        if match_value is None:
            about["send_feature_flag_events"] = bool(about.get("send_feature_flag_events"))
            found = await self._evaluate(ctx, "get_feature_flag_payload", key, about)
        else:
            arguments = {"key": key, "value": match_value}
            found = await ctx.run_query(self._component.flags.payload, arguments)
        return FlagResult.of(found).payload if self._has_verdict(ctx, found) else default

    async def get_feature_flag_result(
        self, ctx: Ctx, key: str, **about: Unpack[OneFlag]
    ) -> FlagResult:
        """The flag's value and payload for a person, and how it came to it; never a default.

        result = await posthog.get_feature_flag_result(ctx, "discount-campaign")
        if result.state is FlagState.NO_VERDICT: ...
        """
        found = await self._evaluate(ctx, "get_feature_flag_result", key, about)
        self._has_verdict(ctx, found)
        return FlagResult.of(found)

    @overload
    async def get_all_flags(
        self, ctx: Ctx, *, flag_keys: Sequence[str] | None = None, **about: Unpack[About]
    ) -> dict[str, bool | str]: ...
    @overload
    async def get_all_flags(
        self,
        ctx: Ctx,
        *,
        flag_keys: Sequence[str] | None = None,
        default: D,
        **about: Unpack[About],
    ) -> dict[str, bool | str | D]: ...
    async def get_all_flags(
        self,
        ctx: Ctx,
        *,
        flag_keys: Sequence[str] | None = None,
        default: Any = _LEAVE_OUT,
        **about: Unpack[About],
    ) -> dict[str, Any]:
        """The values of all flags for a person, or of `flag_keys`.

        A flag without a value is left out, or has `default` where one is given. A query that reads
        all flags runs again when any flag changes, so name `flag_keys` where you know them.
        """
        found = await self._evaluate_all(ctx, "get_all_flags", flag_keys, about)
        values = {each.key: each.value if each.has_verdict else default for each in found}
        return {key: value for key, value in values.items() if value is not _LEAVE_OUT}

    async def get_all_flags_and_payloads(
        self, ctx: Ctx, *, flag_keys: Sequence[str] | None = None, **about: Unpack[About]
    ) -> FlagsAndPayloads:
        """The values and payloads of all flags for a person, or of `flag_keys`.

        Flags without a value are left out. As `get_all_flags` else.
        """
        found = await self._evaluate_all(ctx, "get_all_flags_and_payloads", flag_keys, about)
        return FlagsAndPayloads(
            {each.key: each.value for each in found if each.value is not None},
            {each.key: each.payload for each in found if each.payload is not None},
        )

    async def _evaluate(self, ctx: Ctx, call: str, key: str, asked: OneFlag) -> Mapping[str, Any]:
        about, wanted = apart(asked)
        person = await self._needed_person(ctx, call, about.get("distinct_id"))
        arguments = {"key": key, **question(person, about)}
        found: Mapping[str, Any] = await ctx.run_query(self._component.flags.evaluate, arguments)
        if found["value"] is not None and (self._sends_exposures if wanted is None else wanted):
            self._expose_local(ctx, person, about, found)
        return found

    def _expose_local(self, ctx: Ctx, person: str, about: About, found: Mapping[str, Any]) -> None:
        result = FlagResult.of(found)
        assert result.value is not None
        self._expose(
            ctx,
            Exposure(
                distinct_id=person,
                flag=result.key,
                value=result.value,
                groups=group_keys(about),
            ),
            locally=True,
            reason="Evaluated locally",
            payload=result.payload,
            id=result.id,
            version=result.version,
        )

    async def _evaluate_all(
        self, ctx: Ctx, call: str, flag_keys: Sequence[str] | None, about: About
    ) -> list[FlagResult]:
        person = await self._needed_person(ctx, call, about.get("distinct_id"))
        return await self._evaluate_for(ctx, person, flag_keys, about)

    async def _evaluate_for(
        self, ctx: Ctx, person: str, flag_keys: Sequence[str] | None, about: About
    ) -> list[FlagResult]:
        arguments: dict[str, Any] = {"keys": None if flag_keys is None else list(flag_keys)}
        arguments |= question(person, about)
        found = await ctx.run_query(self._component.flags.evaluate_all, arguments)
        if found["state"] != "loaded":
            text = explanation(found["state"], None, found["detail"])
            self._warn_once(ctx, ("all", found["state"]), text)
        else:
            self._warn_of_undecided(ctx, found["flags"])
        return [FlagResult.of(each) for each in found["flags"]]

    def _warn_of_undecided(self, ctx: Ctx, found: Sequence[Mapping[str, Any]]) -> None:
        """One line for all flags without a verdict that were not warned about before."""
        undecided = [each for each in found if each["value"] is None]
        new = [each for each in undecided if _subject(each) not in self._warned]
        if not new:
            return
        for each in new:
            self._warned.add(_subject(each))
        texts = [explanation(each["state"], each["key"], each["detail"]) for each in new[:3]]
        more = f" So it is with {len(new) - 3} more flags." if len(new) > 3 else ""
        ctx.log("warn", "\n".join(texts) + more)

    def _has_verdict(self, ctx: Ctx, found: Mapping[str, Any]) -> bool:
        """Whether there is a value; if not, why is logged, once a version of the flag."""
        if found["state"] in (FlagState.MATCH, FlagState.OFF):
            return True
        text = explanation(found["state"], found["key"], found["detail"])
        self._warn_once(ctx, _subject(found), text)
        return False


def _subject(found: Mapping[str, Any]) -> tuple[str | None, ...]:
    """What a warning is about: this version of the flag, and why it has no value."""
    return (found["key"], found["hash"], found["state"], found["reason"])
