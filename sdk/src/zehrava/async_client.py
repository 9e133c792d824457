"""The client for asyncio programs: the twin of `zehrava.client`; all that is not I/O is shared with it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ParamSpec, Self, TypeVar, Unpack

import httpx

from zehrava import answers, calls, guarding
from zehrava.calls import Call, Outcome
from zehrava.errors import ApiError, IntegrityError, WaitTimeout, ZehravaError, strange
from zehrava.refusals import unapproved
from zehrava.version import USER_AGENT
from zehrava.views import APPROVED, IntentView, PermitView, verify_permit
from zehrava.waiting import Waiting, finished, settled

P = ParamSpec("P")
R = TypeVar("R")


class AsyncPermit(PermitView):
    """The single-use right to carry an intent out. Report its outcome, whatever it is."""

    _gate: AsyncGate

    async def heartbeat(self) -> dict[str, Any]:
        """Say that the work goes on, so that the lease is prolonged; returns the portal's answer."""
        return await self._gate._send(calls.heartbeat(self.execution_id, self.token))

    async def report(self, outcome: Outcome, result: Any = None) -> AsyncIntent:
        """Say how it went, once: "succeeded" or "failed", with any JSON value as the result; returns the intent."""
        return await self._gate._report(self.execution_id, self.token, outcome, result)

    async def succeeded(self, result: Any = None) -> AsyncIntent:
        """Report that the action took effect."""
        return await self.report("succeeded", result)

    async def failed(self, result: Any = None) -> AsyncIntent:
        """Report that the action did not take effect."""
        return await self.report("failed", result)


class AsyncIntent(IntentView):
    """An intent as the portal last showed it; each method that asks the portal returns a new one."""

    _gate: AsyncGate

    async def refresh(self) -> AsyncIntent:
        """The intent as it is now."""
        return await self._gate.get(self.id)

    async def wait(self, timeout: float = 600) -> AsyncIntent:
        """Wait up to `timeout` seconds for a decision: until the status is no longer pending_approval.

        Outlives lost connections and failing servers. Raises WaitTimeout; the intent then stays as it is.
        """
        return self if settled(self) else await self._gate._wait(Waiting(self, timeout, settled, time.monotonic))

    async def wait_finished(self, timeout: float = 600) -> AsyncIntent:
        """Wait up to `timeout` seconds until nothing more happens: a terminal status, or indeterminate."""
        return self if finished(self) else await self._gate._wait(Waiting(self, timeout, finished, time.monotonic))

    async def cancel(self) -> AsyncIntent:
        """Call the intent off, while it has not begun to run."""
        return AsyncIntent.parse(await self._gate._send(calls.cancel(self.id)), self._gate)

    async def answer(self, question: str, text: str) -> AsyncIntent:
        """Answer the question of this id (see `questions`), once; nothing that was decided is re-opened by it.

        Raises Conflict where it is answered already.
        """
        return AsyncIntent.parse(await self._gate._send(calls.answer(self.id, question, text)), self._gate)

    async def claim(self) -> AsyncPermit:
        """Take the single-use right to carry the approved payload out.

        Raises Conflict where it is not approved, expired or claimed; Unreachable where the answer was lost: refresh,
        never claim blindly again; IntegrityError where the permit is not for what was approved.
        """
        permit = AsyncPermit.parse(await self._gate._send(calls.claim(self.id)), self._gate)
        try:
            verify_permit(self, permit)
        except IntegrityError as error:
            # Nothing ran, and that is known: say so, rather than leave a person to find out.
            with contextlib.suppress(ZehravaError):
                await permit.failed(guarding.failure(error))
            raise
        return permit

    async def report(self, permit: AsyncPermit | str, outcome: Outcome, result: Any = None) -> AsyncIntent:
        """Report the outcome of this intent's execution by a permit or its token; returns the intent as it is then."""
        if isinstance(permit, PermitView):
            return await self._gate._report(permit.execution_id, permit.token, outcome, result)
        execution = self.execution or (await self.refresh()).execution
        if execution is None:
            raise ValueError(f"Intent {self.id} has no execution to report on; claim it first.")
        return await self._gate._report(execution["id"], permit, outcome, result)


class AsyncGate:
    """A connection to a Zehrava portal, for one event loop.

    `base_url` is the portal's address, `api_key` the agent's key, `timeout` the seconds for one answer, `retries`
    how often a call that may safely be repeated is, `backoff` the first pause in seconds, doubled each time.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout: float = 10.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
        backoff: float = 0.2,
    ) -> None:
        self._door = calls.Door(base_url, api_key, USER_AGENT)
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._http = httpx.AsyncClient(transport=transport, follow_redirects=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._door.base_url!r})"

    async def aclose(self) -> None:
        """Close the connections; the gate cannot be used afterwards."""
        await self._http.aclose()

    async def propose(self, action: str, payload: Any = None, **options: Unpack[calls.ProposeOptions]) -> AsyncIntent:
        """Propose an action and return the intent, whatever policy said to it: look at its `status`.

        The options are those of `Gate.propose`. Raises StrictError for what is not JSON and ApiError for what the
        portal refuses.
        """
        return AsyncIntent.parse(await self._send(calls.propose(action, payload, **options)), self)

    async def evaluate(
        self, action: str, payload: Any = None, **options: Unpack[calls.ProposeOptions]
    ) -> dict[str, Any]:
        """What the portal would say if this were proposed now; nothing is stored and nobody is asked.

        Options as for `propose`, without `idempotency_key`. The answer has `verdict`, `requirement`, `expires_in`,
        `status` (which the intent would get), `limits`, and `trace`: every rule considered, with its operands. It
        promises nothing: what is in force or used of a limit may change before a proposal. Raises as `propose` does.
        """
        return await self._send(calls.evaluate(action, payload, **options))

    async def get(self, id: str, wait: int | None = None) -> AsyncIntent:
        """One intent; `wait` seconds the portal may hold the answer until the status changes."""
        return AsyncIntent.parse(await self._send(calls.get(id, wait)), self)

    async def intents(self, **filters: Any) -> AsyncIterator[AsyncIntent]:
        """This agent's intents, page by page as they are consumed; the filters are those of `Gate.intents`."""
        call: Call | None = calls.intents(filters)
        seen: set[str] = set()
        while call is not None:
            if call.query in seen:
                raise strange("the pages of intents lead in a circle")
            seen.add(call.query)
            page = await self._send(call)
            for raw in answers.results(page):
                yield AsyncIntent.parse(raw, self)
            call = calls.next_page(page)

    async def me(self) -> dict[str, Any]:
        """What the portal knows about this agent."""
        return await self._send(calls.me())

    def requires_approval(
        self,
        action: str,
        *,
        payload: Callable[..., Any] | None = None,
        summary: str | Callable[..., str] | None = None,
        timeout: float = 600,
        **propose_options: Any,
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Let an async function run only as approved, once, and report its outcome; see `Gate.requires_approval`."""

        def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
            guarding.refuse_kind(function, asynchronous=True)

            @functools.wraps(function)
            async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
                call = guarding.Guarded(function, payload, args, kwargs)
                text = guarding.summary_text(summary, args, kwargs)
                options: Any = {**propose_options, "summary": text, "execution_mode": "agent"}
                intent = await self.propose(action, call.payload, **options)
                intent = await self._await_approval(intent, timeout)
                return await self._run_once(intent, call, function)

            return guarded

        return decorate

    async def _await_approval(self, intent: AsyncIntent, timeout: float) -> AsyncIntent:
        try:
            intent = await intent.wait(timeout)
        except WaitTimeout:
            # No one is left to carry it out: take it off the reviewers' desk.
            with contextlib.suppress(ZehravaError):
                await intent.cancel()
            raise
        if intent.status != APPROVED:
            raise unapproved(intent)
        return intent

    async def _run_once(self, intent: AsyncIntent, call: guarding.Guarded, function: Callable[..., Awaitable[R]]) -> R:
        permit = await intent.claim()
        try:
            args, kwargs = call.approved_call(permit)
        except Exception as error:
            with contextlib.suppress(ZehravaError):
                await permit.failed(guarding.failure(error))
            raise
        # Not BaseException: a cancelled function may have had its effect. No report, so a person looks at it.
        try:
            async with _heartbeats(permit):
                returned = await function(*args, **kwargs)
        except Exception as error:
            try:
                await permit.failed(guarding.failure(error))
            except ZehravaError as unsaid:
                error.add_note(f"Zehrava could not be told of this failure: {unsaid}")
            raise
        try:
            await permit.succeeded(guarding.success(returned))
        except ZehravaError as error:
            raise guarding.unreported(intent, returned) from error
        return returned

    async def _report(self, execution_id: str, token: str, outcome: Outcome, result: Any) -> AsyncIntent:
        return AsyncIntent.parse(await self._send(calls.report(execution_id, token, outcome, result)), self)

    async def _wait(self, waiting: Waiting) -> AsyncIntent:
        while True:
            try:
                call = waiting.next_call()
                answer = await self._send(call, retries=0, timeout=waiting.time_for(self._timeout))
                intent = AsyncIntent.parse(answer, self)
            except ZehravaError as error:
                pause = waiting.pause_after(error)
            else:
                if waiting.done(intent):
                    return intent
                pause = waiting.pause_after_answer()
            if pause:
                await asyncio.sleep(pause)

    async def _send(self, call: Call, *, retries: int | None = None, timeout: float | None = None) -> dict[str, Any]:
        retries = self._retries if retries is None else retries
        timeout = self._timeout + call.hold if timeout is None else timeout
        for attempt in itertools.count():
            answer: answers.Answer
            try:
                answer = await self._http.request(**self._door.request(call), timeout=timeout)
            except httpx.RequestError as error:
                answer = error
            pause = answers.pause(call, answer, attempt=attempt, retries=retries, backoff=self._backoff)
            if pause is None:
                return answers.read(call, answer)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the loop ends by returning or raising")


@contextlib.asynccontextmanager
async def _heartbeats(permit: AsyncPermit) -> AsyncIterator[None]:
    """Keep the lease alive beside the running function."""

    async def run() -> None:
        while True:
            await asyncio.sleep(guarding.beat(permit))
            try:
                await permit.heartbeat()
            except ApiError:
                return  # the lease is gone; the report will say so
            except ZehravaError:
                continue

    task = asyncio.create_task(run(), name="zehrava-heartbeat")
    try:
        yield
    finally:
        task.cancel()
