"""LangChain's own standard tests of a chat model."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import SecretStr
from tierwise import Router
from tierwise_langgraph import RoutedChatModel


class Routed(RoutedChatModel):
    """Made of keywords alone, as the standard tests make models."""

    def __init__(self, **fields: Any) -> None:
        router = Router.simple(small="ollama:small", large="openai:large")
        models = {"small": ChatOllama(model="small"), "large": ChatOpenAI(model="large", api_key=SecretStr("key"))}
        super().__init__(router, models=models)


class TestStandard(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Routed
