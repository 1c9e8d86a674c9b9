"""A coding agent without any framework: it plans and patches, and does not look around."""

from tierwise_examples.coding import Plan, Repair


class GaveUp(Exception):
    """As a framework would."""


FAILURES = (GaveUp,)


def fix(repair: Repair) -> None:
    plan: Plan = repair.router.run(repair.plan_prompt(), output_schema=Plan, **repair.task("plan")).output
    if plan.cause == "none":
        raise GaveUp("the plan names no cause")
    repair.take(repair.router.run(repair.patch_prompt(plan), **repair.task("patch")).text)
