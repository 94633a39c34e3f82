"""From the bytes of a query to the bytes of its answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine

from . import message, quick
from .forward import Forwarder
from .message import Question
from .records import Answer, Zone

log = logging.getLogger(__name__)

LONGEST_ALIAS_CHAIN = 8
TCP_LIMIT = 65535


class Resolver:
    """The zone's own names from memory, others through the forwarder."""

    def __init__(self, zone: Zone, is_synced: Callable[[], bool], forwarder: Forwarder) -> None:
        self._zone = zone
        self._is_synced = is_synced
        self._forwarder = forwarder

    def answer(self, data: bytes, *, is_udp: bool) -> bytes | Awaitable[bytes] | None:
        """The answer, the promise of one, or None where none is due. Whatever the bytes, nothing is raised."""
        if (reply := self._at_once(data, is_udp)) is not None:
            return reply
        question = message.parse(data)
        if not isinstance(question, Question):
            return question
        try:
            return self._answer(question, data, is_udp)
        except Exception:
            log.exception("query failed name=%s type=%s", ".".join(question.name), question.type)
            return message.refuse(question, message.SERVFAIL)

    def _at_once(self, data: bytes, is_udp: bool) -> bytes | None:
        """The answer to a plain question for addresses in the zone; None for all others."""
        query = quick.parse(data)
        if query is None or not self._zone.contains(query.name) or not self._is_synced():
            return None
        limit = query.limit if is_udp else TCP_LIMIT
        answer = self._zone.answer(query.name, query.type, quick.most(query, limit))
        reply = quick.encode(query, data, answer, self._zone.domain)
        return reply if reply is not None and len(reply) <= limit else None

    def _answer(self, question: Question, data: bytes, is_udp: bool) -> bytes | Awaitable[bytes]:
        is_own = self._zone.contains(question.name)
        is_reverse = question.name[-1:] == ("arpa",)
        if (is_own or is_reverse) and not self._is_synced():
            return message.refuse(question, message.SERVFAIL)  # an early "no" would be remembered (D65)
        limit = message.udp_limit(question) if is_udp else TCP_LIMIT
        if is_own:
            return self._own(question, limit)
        if is_reverse and (answer := self._zone.reverse(question.name, question.type)):
            return message.encode(question, answer, self._zone.domain, limit)
        if not self._forwarder.has_upstreams:
            return message.refuse(question, message.NXDOMAIN)  # never silence (R103)
        return self._guarded(self._forward(question, data, is_udp), question)

    def _own(self, question: Question, limit: int) -> bytes | Awaitable[bytes]:
        answer = self._follow(self._zone.answer(question.name, question.type), question.type)
        outside = answer.records[-1] if answer.records and answer.records[-1].type == "CNAME" else None
        if outside is None or question.type not in ("A", "AAAA") or not self._forwarder.has_upstreams:
            return message.encode(question, answer, self._zone.domain, limit)
        return self._guarded(self._complete(question, answer, limit), question)

    async def _guarded(self, promise: Coroutine[object, object, bytes], question: Question) -> bytes:
        try:
            return await promise
        except Exception:
            log.exception("query failed name=%s type=%s", ".".join(question.name), question.type)
            return message.refuse(question, message.SERVFAIL)

    def _follow(self, answer: Answer, type: str) -> Answer:
        """Appends what an alias within the zone leads to."""
        records = list(answer.records)
        for _ in range(LONGEST_ALIAS_CHAIN):
            if type == "CNAME" or not records or records[-1].type != "CNAME":
                break
            (target,) = records[-1].data
            if not self._zone.contains(target):
                break
            found = self._zone.answer(target, type).records
            if not found:
                break
            records += found
        return Answer(answer.exists, records, answer.additional)

    async def _complete(self, question: Question, answer: Answer, limit: int) -> bytes:
        """An alias to the outside, with the addresses of its target (D57)."""
        (target,) = answer.records[-1].data
        asked = message.query(target, question.type, 0)
        reply = await self._forwarder.ask(asked, is_udp=True)
        extra = message.answers_of(reply) if reply is not None else []
        return message.encode(question, answer, self._zone.domain, limit, extra)

    async def _forward(self, question: Question, data: bytes, is_udp: bool) -> bytes:
        reply = await self._forwarder.ask(data, is_udp=is_udp)
        return reply if reply is not None else message.refuse(question, message.SERVFAIL)
