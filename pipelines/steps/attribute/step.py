"""Step 1 as one sentence: settle, credit, publish, count, forget, then take in what was read."""

from dataclasses import dataclass

import numpy as np

from pipelines.steps.attribute.actions import actions_of
from pipelines.steps.attribute.arrive import arrive
from pipelines.steps.attribute.credit import count_unplaced, credit
from pipelines.steps.attribute.forget import forget
from pipelines.steps.attribute.fourth_tier import credit_positives
from pipelines.steps.attribute.labels import publish
from pipelines.steps.attribute.memory import Memory, Outputs
from pipelines.steps.attribute.retract import withdraw
from pipelines.steps.attribute.revise import seal_revisions
from pipelines.steps.attribute.rules import Rules
from pipelines.steps.attribute.seal import seal_requests
from pipelines.steps.attribute.seal_pseudo import questions_of, seal_pseudo
from pipelines.steps.attribute.searchify import searchify
from pipelines.steps.attribute.settle import settle
from pipelines.steps.step import Tables
from schemas.spec import Spec


@dataclass(frozen=True)
class AttributeStep:
    """Events of a shard of users → sealed requests, revisions, settled actions.

    Events: `exposure`, `feedback` and `retraction`, as validated, with `_source` and
    `_position`, and `_stream` for the latter two. Outputs: `requests`, `revisions`, `actions`,
    `dead_letters`, `counts`. Rules 1, 2 and 4 to 8 of docs/labels.md.
    """

    spec: Spec
    name: str = "attribute"

    def advance(self, state: Tables, events: Tables, cut: int) -> tuple[Tables, Tables]:
        """See `Step.advance`."""
        rules, memory, outputs = Rules.of(self.spec), Memory.of(state), Outputs()
        if cut > memory.last_cut:
            memory = _evaluate(memory, cut, rules, outputs)
        memory = arrive(memory, events, rules, outputs)
        return memory.tables(), outputs.finish()


def _evaluate(memory: Memory, cut: int, rules: Rules, outputs: Outputs) -> Memory:
    settled = settle(memory, cut, rules, outputs)
    credited = credit(settled.memory, settled.fresh, rules)
    made = searchify(credited.memory, settled.fresh, cut, rules, outputs)
    memory, closed = credit_positives(made.memory, cut, rules)
    memory, refused = withdraw(memory, credited.withdrawals, rules)
    outputs.counts["closed"] += len(np.unique(np.append(credited.closed, closed))) + refused
    labels, revisions, credits = publish(memory, cut, rules)
    outputs.tables["requests"] = seal_requests(memory, labels, credits, cut, rules)
    if rules.searchifies:
        pseudo = seal_pseudo(memory, made, labels, credits, rules)
        outputs.tables |= questions_of(pseudo, outputs.tables["requests"], rules)
    outputs.tables["revisions"] = seal_revisions(memory, revisions, credits, rules)
    outputs.tables["actions"] = actions_of(settled, rules.spec)
    memory = count_unplaced(memory, cut, rules, outputs)
    return forget(memory, cut, rules, outputs)
