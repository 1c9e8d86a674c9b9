"""A streamed answer of LangChain's: piece by piece, and then as a whole."""

from __future__ import annotations

from typing import Any, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from tierwise.attempt import Chunk

from tierwise_langgraph.history import text_of, thoughts

__all__ = ["Pieces"]


class Pieces:
    """The pieces of one answer. Merging them is dear, so those that are text alone are joined as text.

    A piece is read by `vars`: an attribute of pydantic's objects takes ten times as long as an entry of a dictionary.
    """

    def __init__(self) -> None:
        self._all: list[ChatGenerationChunk] = []
        self._texts: list[str] = []
        """Those of the pieces whose content is a text: as many as pieces, if all of them are such."""
        self._more: list[ChatGenerationChunk] = []
        """The pieces that hold more than text."""

    def read(self, piece: ChatGenerationChunk) -> Chunk:
        """A piece as it came."""
        held = vars(piece)
        message: AIMessageChunk = held["message"]
        said = vars(message)
        text, thinking = said["content"], ""
        self._all.append(piece)
        if not isinstance(text, str):
            text, thinking = text_of(message), thoughts(message)
        else:
            self._texts.append(text)
            if held["generation_info"] or not _is_text_alone(said):
                self._more.append(piece)
                thinking = thoughts(message)
        return Chunk(text=text, thinking=thinking, visible=bool(text or said["tool_call_chunks"]), raw=piece)

    def merged(self) -> AIMessageChunk | None:
        """All pieces as one; `None` if there are none."""
        if not self._all:
            return None
        joined = len(self._texts) == len(self._all)
        kept = (self._more if joined else self._all) or self._all[:1]
        whole = kept[0] + kept[1:] if len(kept) > 1 else kept[0]
        first, message = cast("AIMessageChunk", self._all[0].message), cast("AIMessageChunk", whole.message)
        metadata = {**first.response_metadata, **(whole.generation_info or {}), **message.response_metadata}
        changes: dict[str, Any] = {"response_metadata": metadata, "id": first.id or message.id}
        if joined:
            changes["content"] = "".join(self._texts)
        return message.model_copy(update=changes)


def _is_text_alone(said: dict[str, Any]) -> bool:
    if said["tool_call_chunks"] or said["usage_metadata"] or said["additional_kwargs"] or said["name"] is not None:
        return False
    return said["response_metadata"].keys() <= {"model_provider"}
