"""The names of spans, attributes, events and metrics.

`gen_ai.*`, `server.*` and `error.type` are OpenTelemetry's (the GenAI conventions have the status Development: they may
change, and then they change here). Routing has no convention, so its names are under `tierwise.*`.
"""

from __future__ import annotations

from collections.abc import Mapping

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION = "gen_ai.conversation.id"
OUTPUT_TYPE = "gen_ai.output.type"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_REASONING = "gen_ai.request.reasoning.level"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_FINISH = "gen_ai.response.finish_reasons"
RESPONSE_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TOKEN_MODALITY = "gen_ai.token.modality"  # noqa: S105 - tokens of text
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_STATUS = "http.response.status_code"
ERROR_TYPE = "error.type"

RUN_ID = "tierwise.run.id"
STATUS = "tierwise.status"
JOB = "tierwise.job"
ROLE = "tierwise.role"
NODE = "tierwise.node"
TRUST = "tierwise.trust"
DECISION_TIER = "tierwise.decision.tier"
DECISION_RULE = "tierwise.decision.rule"
DECISION_REASON = "tierwise.decision.reason"
DECISION_MODEL = "tierwise.decision.model"
DECISION_SCORE = "tierwise.decision.score"
"""Followed by the score's own name."""
DECISION_CANDIDATES = "tierwise.decision.candidates"
DECISION_ADJUSTED = "tierwise.decision.adjusted"
DECISION_DURATION = "tierwise.decision.duration"
ANSWER_TIER = "tierwise.answer.tier"
ANSWER_MODEL = "tierwise.answer.model"
CALLS = "tierwise.calls"
REFUSALS = "tierwise.refusals"
FALLBACKS = "tierwise.fallbacks"
ESCALATIONS = "tierwise.escalations"
COST = "tierwise.cost"
SAVING = "tierwise.saving"
SAVING_BASELINE = "tierwise.saving.baseline"

ATTEMPT_NUMBER = "tierwise.attempt.number"
ATTEMPT_TIER = "tierwise.attempt.tier"
ATTEMPT_PURPOSE = "tierwise.attempt.purpose"
ATTEMPT_REASON = "tierwise.attempt.reason"
ATTEMPT_COST = "tierwise.attempt.cost"
ATTEMPT_COST_SOURCE = "tierwise.attempt.cost.source"
ATTEMPT_ESTIMATED = "tierwise.attempt.usage.estimated"
ATTEMPT_ENDED = "tierwise.attempt.ended"
"""How a call ended that was not let come to its end: `aborted` by a gate, or `interrupted` with its consumer."""
ATTEMPT_VERDICT = "tierwise.attempt.verdict"
ATTEMPT_VERIFIER = "tierwise.attempt.verdict.verifier"
ATTEMPT_SCORE = "tierwise.attempt.verdict.score"
ATTEMPT_THRESHOLD = "tierwise.attempt.verdict.threshold"
ATTEMPT_CALIBRATED = "tierwise.attempt.verdict.calibrated"
ATTEMPT_EVIDENCE = "tierwise.attempt.verdict.evidence"

MOVE_SOURCE = "tierwise.move.source"
MOVE_TARGET = "tierwise.move.target"

STATE_LOSS = "tierwise.state_loss.mode"
"""`fail_open` or `fail_closed`."""

SPAN_RUN = "tierwise.run"
SPAN_CHECK = "tierwise.check"

EVENT_FALLBACK = "tierwise.fallback"
EVENT_ESCALATION = "tierwise.escalation"
EVENT_REFUSAL = "tierwise.refusal"
EVENT_STATE_LOSS = "tierwise.state_loss"

METRIC_DURATION = "gen_ai.client.inference.duration"
METRIC_FIRST_CHUNK = "gen_ai.client.inference.time_to_first_chunk"
METRIC_INPUT_TOKENS = "gen_ai.client.inference.usage.input_tokens"
METRIC_OUTPUT_TOKENS = "gen_ai.client.inference.usage.output_tokens"
METRIC_CACHE_READ_TOKENS = "gen_ai.client.inference.usage.cache_read.input_tokens"
METRIC_CACHE_WRITE_TOKENS = "gen_ai.client.inference.usage.cache_write.input_tokens"
METRIC_REASONING_TOKENS = "gen_ai.client.inference.usage.reasoning.output_tokens"
METRIC_RUN_DURATION = "tierwise.run.duration"
STATE_LOSSES = "tierwise.state_losses"

PROVIDERS: Mapping[str, str] = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google-gla": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "moonshotai": "moonshot_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "x-ai": "x_ai",
    "xai": "x_ai",
}
"""What OpenTelemetry calls the providers of which a model's id has another name; all others keep their own."""
