"""A person's word before a model is put to use."""

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import Field

from rnnlm.errors import ConfigError
from rnnlm.experiment import Promotion
from rnnlm.refs import ChallengeRef, ModelRef
from rnnlm.registry.aliases import keep_as_challenger, refuse, withdrawn

# A day: the next night's run finds none waiting. Who has not answered then is asked by that run.
WAITING_SECONDS = 24 * 3600


class Approval(RunInput):
    """Whether the new model becomes champion."""

    promote: bool = Field(
        False, description="Put the new model to use; else it stays challenger, and is not proposed again."
    )
    reason: str = Field("", description="Why, for those who ask later; it is kept with the model.")


def check_can_wait(promotion: Promotion) -> None:
    """Refuse to wait for a person where no worker could take the run up again.

    Raises:
        ConfigError: If approval is wanted and the run belongs to no deployment.
    """
    if promotion.approval and not deployment.id:
        raise ConfigError(
            "promotion.approval: only the run of a deployment can wait for a person",
            remedy="Start adapt from Prefect's UI (`rnnlm up`), or leave approval off.",
        )


def ask(challenger: ChallengeRef, present: ModelRef | None) -> None:
    """Suspend the run until a person has said whether a better model becomes champion; a refusal is remembered.

    The run ends here, and is taken up from its beginning by any worker when it is resumed: finished steps come from
    the cache, and this returns. Where people have decided before, nobody is asked.

    Args:
        challenger: The version, and why it is better.
        present: The champion that it was compared with; None if there is none.
    """
    model = challenger.model
    if not challenger.better or withdrawn(model) or (present is not None and present.version == model.version):
        return
    keep_as_challenger(model, f"a person is asked: {challenger.reason}")
    in_use = f"version {present.version}" if present else "none"
    said = f"**{model.name}, version {model.version}**, would become champion (now: {in_use}): {challenger.reason}."
    answer = suspend_flow_run(
        wait_for_input=Approval.with_initial_data(description=said),
        timeout=WAITING_SECONDS,
        key=f"approve-{model.version}",
    )
    if not answer.promote:
        refuse(model, answer.reason)
