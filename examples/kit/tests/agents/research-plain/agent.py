"""A research agent without any framework: the stages one after the other."""

from tierwise_examples.research import Inquiry, Queries, Relevant, Report, Supported


def answer(inquiry: Inquiry) -> Report:
    run = inquiry.router.run
    queries = run(inquiry.rewrite_prompt(), output_schema=Queries, **inquiry.task("rewrite")).output
    passages = inquiry.search(queries)
    relevant = run(inquiry.filter_prompt(passages), output_schema=Relevant, **inquiry.task("filter")).output
    kept = inquiry.keep(passages, relevant)
    claims = inquiry.claims(run(inquiry.answer_prompt(kept), **inquiry.task("answer")).text, kept)
    checks = {
        claim.number: run(inquiry.check_prompt(claim), output_schema=Supported, **inquiry.task("check")).output
        for claim in inquiry.to_check(claims)
    }
    return inquiry.report(claims, checks)
