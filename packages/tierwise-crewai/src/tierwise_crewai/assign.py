"""A model for each agent of a crew: a table that a person reads, changes and applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Self, cast

from crewai import BaseLLM, Crew, Process
from crewai.agents.agent_builder.base_agent import BaseAgent
from tierwise import Decision, Receipt, Reply, Router, Task
from tierwise.errors import UnknownNameError
from tierwise.ledger.render.cells import money
from tierwise.ledger.render.columns import columns
from tierwise.policies import job_hint
from tierwise.task import task_fields
from tierwise.values import evolve

from tierwise_crewai.kickoffs import receipt_of
from tierwise_crewai.llm import RoutedLLM

__all__ = ["Assignment", "Costs", "Post", "assign_models"]

_HEADINGS = ("agent", "job", "stands on", "starts at", "because")


@dataclass(frozen=True, slots=True)
class Post:
    """A place in a crew that needs an LLM, and what it is taken to do."""

    name: str
    """The agent's role, or `manager`, `planner`, `tool calls`."""
    goal: str
    owner: Any
    """The agent or crew whose LLM it is."""
    slot: str
    """Where the owner keeps it."""
    job: str | None = None
    """Of every task, unless CrewAI itself says that a call plans."""
    stands_on: str = "no word that is known"
    opens: str | None = None
    """The job of its first step, where CrewAI itself says so."""
    tier: str | None = None
    """Set by hand: its calls start there, whatever the router's policy says."""

    @property
    def task(self) -> dict[str, Any]:
        """The fields of its tasks."""
        fields: dict[str, Any] = {} if self.job is None else {"job": self.job}
        if self.tier is not None:
            fields["decision"] = Decision(self.tier, rule="assigned", reason="set by hand")
        return fields


class Assignment:
    """Which LLM each agent of a crew will get. `print` it, change it with `set`, then `apply` it.

    After a kickoff `costs` says what each agent and each task cost.
    """

    def __init__(
        self,
        crew: Crew,
        router: Router,
        posts: Iterable[Post],
        *,
        models: Mapping[str, BaseLLM] | None = None,
        task: Mapping[str, Any] | None = None,
        on_reply: Callable[[Reply], None] | None = None,
    ) -> None:
        self.posts = tuple(posts)
        self._crew = crew
        self._router = router
        self._task = task_fields(task)
        self._llm = RoutedLLM(router, models=models, on_reply=on_reply)

    def __iter__(self) -> Iterator[Post]:
        return iter(self.posts)

    def set(self, name: str, *, job: str | None = None, tier: str | None = None) -> Self:
        """Overrides what was read off the description.

        Args:
            name: The agent's role, or `manager`, `planner`, `tool calls`.
            job: What it does, e.g. `summarize`: the router's policy decides by it.
            tier: Where all its calls start. No policy is asked then, no rule of steps either.

        Raises:
            UnknownNameError: There is no such place in the crew, or no such tier.
        """
        if name not in {post.name for post in self.posts}:
            raise UnknownNameError("agent", name, [post.name for post in self.posts], where="assignment")
        if tier is not None:
            self._router.fleet.tier(tier, where=f"assignment of {name!r}")
        changes: dict[str, Any] = {"stands_on": "set by hand"}
        changes |= {} if job is None else {"job": job}
        changes |= {} if tier is None else {"tier": tier}
        self.posts = tuple(evolve(post, **changes) if post.name == name else post for post in self.posts)
        return self

    def apply(self) -> Self:
        """Gives each a `RoutedLLM` of its own over the one router, in place of the LLM that it had."""
        for post in self.posts:
            llm = copy(self._llm)
            llm.task = {**post.task, **self._task}
            setattr(post.owner, post.slot, llm)
        return self

    def preview(self, post: Post) -> Decision:
        """Where its first step would start."""
        fields: dict[str, Any] = {"role": getattr(post.owner, "role", None), **post.task, **self._task}
        if post.opens is not None:
            fields["job"] = post.opens
        return self._router.decide(Task(post.goal, **fields))

    def costs(self, *results: Any) -> Costs:
        """What each agent and each task cost.

        Args:
            *results: The outputs of the kickoffs that are meant: of one that was kicked off twice, or for each of
                several inputs. Without any, the crew's last kickoff.

        Raises:
            ConfigError: A result is none of this process, or the router made no call in it.
            LedgerError: The router's ledger does not have the calls any more.
        """
        return Costs(receipt_of(self._router, *(results or (self._crew,))))

    def __str__(self) -> str:
        return columns([_HEADINGS, *map(self._line, self.posts)])

    def _line(self, post: Post) -> tuple[str, ...]:
        decision = self.preview(post)
        tier = "a model is asked" if decision.pending else decision.tier
        job = post.job or (f"{post.opens} at first" if post.opens else "none")
        return (post.name, job, post.stands_on, tier, f"{decision.rule}: {decision.reason}")


@dataclass(frozen=True, slots=True)
class Costs:
    """What kickoffs cost, by agent and by task: every call, drafts and judges too."""

    receipt: Receipt

    @property
    def agents(self) -> dict[str, Receipt]:
        """By the agent's role, as it was in the kickoff. Calls that no agent made are under the empty text."""
        return self.receipt.by("role")

    @property
    def tasks(self) -> dict[str, Receipt]:
        """By the task's name, or `task 2`; what was planned for all of them is under the empty text."""
        return self.receipt.by("node")

    def __str__(self) -> str:
        return columns(
            [
                ("", "calls", "tokens in", "tokens out", "USD"),
                *(_spent(name or "no agent", part) for name, part in self.agents.items()),
                ("", "", "", "", ""),
                *(_spent(name or "no task", part) for name, part in self.tasks.items()),
                ("", "", "", "", ""),
                _spent("all", self.receipt),
            ]
        )


def assign_models(
    crew: Crew,
    router: Router,
    *,
    models: Mapping[str, BaseLLM] | None = None,
    task: Mapping[str, Any] | None = None,
    on_reply: Callable[[Reply], None] | None = None,
) -> Assignment:
    """Proposes an LLM for each agent of a crew, its manager and its planner, by role, goal and tools.

    A word of the description gives the job (see `tierwise.policies.job_hint`), the router's policy the tier. The table
    says which word it was; where none is known the agent starts like any task that says nothing of itself.

    Args:
        crew: The crew. Nothing is changed before the assignment is applied.
        router: Decides which model answers, for all of them.
        models: See `RoutedLLM`.
        task: Fields of every task of the crew, e.g. `{"trust": "local"}`; they beat what is read off a description.
        on_reply: See `RoutedLLM`.

    Raises:
        UnknownNameError: A name of `models` stands for nothing in the fleet.
    """
    return Assignment(crew, router, _posts(crew), models=models, task=task, on_reply=on_reply)


def _posts(crew: Crew) -> Iterator[Post]:
    agents = list(crew.agents)
    agents += [t.agent for t in crew.tasks if t.agent is not None and all(t.agent is not a for a in agents)]
    for agent in agents:
        yield _post(agent, [task for task in crew.tasks if task.agent is agent])
        config = getattr(agent, "planning_config", None)
        if config is not None and config.llm is not None:
            yield Post(f"{agent.role}: planning", agent.goal, config, "llm", "plan", "planning_config.llm")
    if crew.process == Process.hierarchical:
        yield _manager(crew)
    if crew.planning:
        yield Post("planner", "Plan the tasks of the crew", crew, "planning_llm", "plan", "planning=True")
    for owner in (crew, *agents):
        if vars(owner).get("function_calling_llm"):
            name = "tool calls" if owner is crew else f"{cast('BaseAgent', owner).role}: tool calls"
            yield Post(name, "Call the tool", owner, "function_calling_llm", "tool", "function_calling_llm")


def _post(agent: BaseAgent, tasks: Sequence[Any]) -> Post:
    tools = [tool.name for holder in (agent, *tasks) for tool in holder.tools or ()]
    hint = job_hint(agent.role, goal=agent.goal, tools=tools)
    if hint is None:
        return Post(agent.role, agent.goal, agent, "llm")
    return Post(agent.role, agent.goal, agent, "llm", hint.job, str(hint))


def _manager(crew: Crew) -> Post:
    goal = "Hand out the work"
    manager = crew.manager_agent
    if manager is None:
        return Post("manager", goal, crew, "manager_llm", None, "Process.hierarchical", "plan")
    return Post("manager", manager.goal or goal, manager, "llm", None, "manager_agent", "plan")


def _spent(name: str, part: Receipt) -> tuple[str, ...]:
    usages = [row.usage for row in part.rows if row.usage is not None]
    tokens_in, tokens_out = (sum(getattr(u, f"{way}_tokens") or 0 for u in usages) for way in ("input", "output"))
    known = money(part.known_cost)
    usd = known if not part.unpriced else f"{known} and {part.unpriced} calls of unknown price"
    return (name, str(len(part.rows)), f"{tokens_in:,}", f"{tokens_out:,}", usd)
