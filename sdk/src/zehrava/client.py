"""The client for programs that block: `Gate`, and the `Intent` and `Permit` it hands out."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
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


class Permit(PermitView):
    """The single-use right to carry an intent out. Report its outcome, whatever it is."""

    _gate: Gate

    def heartbeat(self) -> dict[str, Any]:
        """Say that the work goes on, so that the lease is prolonged; returns the portal's answer."""
        return self._gate._send(calls.heartbeat(self.execution_id, self.token))

    def report(self, outcome: Outcome, result: Any = None) -> Intent:
        """Say how it went, once: "succeeded" or "failed", with any JSON value as the result; returns the intent."""
        return self._gate._report(self.execution_id, self.token, outcome, result)

    def succeeded(self, result: Any = None) -> Intent:
        """Report that the action took effect."""
        return self.report("succeeded", result)

    def failed(self, result: Any = None) -> Intent:
        """Report that the action did not take effect."""
        return self.report("failed", result)


class Intent(IntentView):
    """An intent as the portal last showed it; each method that asks the portal returns a new one."""

    _gate: Gate

    def refresh(self) -> Intent:
        """The intent as it is now."""
        return self._gate.get(self.id)

    def wait(self, timeout: float = 600) -> Intent:
        """Wait up to `timeout` seconds for a decision: until the status is no longer pending_approval.

        Outlives lost connections and failing servers. Raises WaitTimeout; the intent then stays as it is.
        """
        return self if settled(self) else self._gate._wait(Waiting(self, timeout, settled, time.monotonic))

    def wait_finished(self, timeout: float = 600) -> Intent:
        """Wait up to `timeout` seconds until nothing more happens: a terminal status, or indeterminate."""
        return self if finished(self) else self._gate._wait(Waiting(self, timeout, finished, time.monotonic))

    def cancel(self) -> Intent:
        """Call the intent off, while it has not begun to run."""
        return Intent.parse(self._gate._send(calls.cancel(self.id)), self._gate)

    def answer(self, question: str, text: str) -> Intent:
        """Answer the question of this id (see `questions`), once; nothing that was decided is re-opened by it.

        Raises Conflict where it is answered already.
        """
        return Intent.parse(self._gate._send(calls.answer(self.id, question, text)), self._gate)

    def claim(self) -> Permit:
        """Take the single-use right to carry the approved payload out.

        Raises Conflict where it is not approved, expired or claimed; Unreachable where the answer was lost: refresh,
        never claim blindly again; IntegrityError where the permit is not for what was approved.
        """
        permit = Permit.parse(self._gate._send(calls.claim(self.id)), self._gate)
        try:
            verify_permit(self, permit)
        except IntegrityError as error:
            # Nothing ran, and that is known: say so, rather than leave a person to find out.
            with contextlib.suppress(ZehravaError):
                permit.failed(guarding.failure(error))
            raise
        return permit

    def report(self, permit: Permit | str, outcome: Outcome, result: Any = None) -> Intent:
        """Report the outcome of this intent's execution by a permit or its token; returns the intent as it is then."""
        if isinstance(permit, PermitView):
            return self._gate._report(permit.execution_id, permit.token, outcome, result)
        execution = self.execution or self.refresh().execution
        if execution is None:
            raise ValueError(f"Intent {self.id} has no execution to report on; claim it first.")
        return self._gate._report(execution["id"], permit, outcome, result)


class Gate:
    """A connection to a Zehrava portal; safe to share between threads.

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
        transport: httpx.BaseTransport | None = None,
        backoff: float = 0.2,
    ) -> None:
        self._door = calls.Door(base_url, api_key, USER_AGENT)
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._http = httpx.Client(transport=transport, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._door.base_url!r})"

    def close(self) -> None:
        """Close the connections; the gate cannot be used afterwards."""
        self._http.close()

    def propose(self, action: str, payload: Any = None, **options: Unpack[calls.ProposeOptions]) -> Intent:
        """Propose an action and return the intent, whatever policy said to it: look at its `status`.

        Options: `summary`, `context` {}, `target`, `tags` [], `records`, `value` {amount, currency}, `on_behalf_of`,
        `expires_in` ("15m" or seconds), `supersedes` (an intent or its id), `execution_mode` ("portal" or "agent"),
        `policy`, `idempotency_key` (made where it is not given, and the same through all retries). Raises StrictError
        for what is not JSON and ApiError for what the portal refuses.
        """
        return Intent.parse(self._send(calls.propose(action, payload, **options)), self)

    def evaluate(self, action: str, payload: Any = None, **options: Unpack[calls.ProposeOptions]) -> dict[str, Any]:
        """What the portal would say if this were proposed now; nothing is stored and nobody is asked.

        Options as for `propose`, without `idempotency_key`. The answer has `verdict`, `requirement`, `expires_in`,
        `status` (which the intent would get), `limits`, and `trace`: every rule considered, with its operands. It
        promises nothing: what is in force or used of a limit may change before a proposal. Raises as `propose` does.
        """
        return self._send(calls.evaluate(action, payload, **options))

    def get(self, id: str, wait: int | None = None) -> Intent:
        """One intent; `wait` seconds the portal may hold the answer until the status changes."""
        return Intent.parse(self._send(calls.get(id, wait)), self)

    def intents(self, **filters: Any) -> Iterator[Intent]:
        """This agent's intents, newest first, page by page as they are consumed.

        Filters: `status`, `action`, `agent`, `created_after`, `created_before` (aware datetimes), `risk`.
        """
        call: Call | None = calls.intents(filters)
        seen: set[str] = set()
        while call is not None:
            if call.query in seen:
                raise strange("the pages of intents lead in a circle")
            seen.add(call.query)
            page = self._send(call)
            for raw in answers.results(page):
                yield Intent.parse(raw, self)
            call = calls.next_page(page)

    def me(self) -> dict[str, Any]:
        """What the portal knows about this agent."""
        return self._send(calls.me())

    def requires_approval(
        self,
        action: str,
        *,
        payload: Callable[..., Any] | None = None,
        summary: str | Callable[..., str] | None = None,
        timeout: float = 600,
        **propose_options: Any,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Let a function run only as approved, once, and report its outcome.

        `payload` and a callable `summary` are called with the function's arguments; without `payload`, the arguments
        by name are proposed. `timeout` are the seconds to wait for a decision; then the intent is cancelled. Approved
        with changes, the function gets the changed arguments, or IntegrityError is raised where they do not fit.
        Raises Blocked, Rejected, Expired, Cancelled, WaitTimeout, Unreachable or ApiError, and then nothing ran;
        Indeterminate where it ran and the report was lost.
        """

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            guarding.refuse_kind(function, asynchronous=False)

            @functools.wraps(function)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
                call = guarding.Guarded(function, payload, args, kwargs)
                text = guarding.summary_text(summary, args, kwargs)
                options: Any = {**propose_options, "summary": text, "execution_mode": "agent"}
                intent = self.propose(action, call.payload, **options)
                intent = self._await_approval(intent, timeout)
                return self._run_once(intent, call, function)

            return guarded

        return decorate

    def _await_approval(self, intent: Intent, timeout: float) -> Intent:
        try:
            intent = intent.wait(timeout)
        except WaitTimeout:
            # No one is left to carry it out: take it off the reviewers' desk.
            with contextlib.suppress(ZehravaError):
                intent.cancel()
            raise
        if intent.status != APPROVED:
            raise unapproved(intent)
        return intent

    def _run_once(self, intent: Intent, call: guarding.Guarded, function: Callable[..., R]) -> R:
        permit = intent.claim()
        try:
            args, kwargs = call.approved_call(permit)
        except Exception as error:
            with contextlib.suppress(ZehravaError):
                permit.failed(guarding.failure(error))
            raise
        # Not BaseException: an interrupted function may have had its effect. No report, so a person looks at it.
        try:
            with _heartbeats(permit):
                returned = function(*args, **kwargs)
        except Exception as error:
            try:
                permit.failed(guarding.failure(error))
            except ZehravaError as unsaid:
                error.add_note(f"Zehrava could not be told of this failure: {unsaid}")
            raise
        try:
            permit.succeeded(guarding.success(returned))
        except ZehravaError as error:
            raise guarding.unreported(intent, returned) from error
        return returned

    def _report(self, execution_id: str, token: str, outcome: Outcome, result: Any) -> Intent:
        return Intent.parse(self._send(calls.report(execution_id, token, outcome, result)), self)

    def _wait(self, waiting: Waiting) -> Intent:
        while True:
            try:
                call = waiting.next_call()
                answer = self._send(call, retries=0, timeout=waiting.time_for(self._timeout))
                intent = Intent.parse(answer, self)
            except ZehravaError as error:
                pause = waiting.pause_after(error)
            else:
                if waiting.done(intent):
                    return intent
                pause = waiting.pause_after_answer()
            if pause:
                time.sleep(pause)

    def _send(self, call: Call, *, retries: int | None = None, timeout: float | None = None) -> dict[str, Any]:
        retries = self._retries if retries is None else retries
        timeout = self._timeout + call.hold if timeout is None else timeout
        for attempt in itertools.count():
            answer: answers.Answer
            try:
                answer = self._http.request(**self._door.request(call), timeout=timeout)
            except httpx.RequestError as error:
                answer = error
            pause = answers.pause(call, answer, attempt=attempt, retries=retries, backoff=self._backoff)
            if pause is None:
                return answers.read(call, answer)
            time.sleep(pause)
        raise AssertionError("unreachable: the loop ends by returning or raising")


@contextlib.contextmanager
def _heartbeats(permit: Permit) -> Iterator[None]:
    """Keep the lease alive beside the running function."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(guarding.beat(permit)):
            try:
                permit.heartbeat()
            except ApiError:
                return  # the lease is gone; the report will say so
            except ZehravaError:
                continue

    thread = threading.Thread(target=run, name="zehrava-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
