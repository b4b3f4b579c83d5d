"""Sequences of requests along the document's links: import, status, errors, cancel, undo, download, keys.

Started operations are run between the steps, now and then, so that what follows meets them waiting, running
out, finished, cancelled and undone.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings

from backend.tests.fuzz.document import load
from backend.tests.fuzz.tally import TALLY
from backend.tests.support.service import InProcess

LONG = settings.get_current_profile_name() == "long"  # in each process of xdist, too
SCENARIOS, STEPS = (500, 12) if LONG else (10, 10)
CARD = {"title": "t", "body": "b", "category": "c", "privacy_level": "IDEAS"}
# What every sequence finds there already, so that links from lists lead somewhere.
STARTS = (("/bulk/export", {}), ("/bulk/import", {"cards": [CARD, CARD, {}]}))


def test_no_sequence_of_requests_breaks_the_contract(service: InProcess) -> None:
    followed: dict[str, int] = {}

    class Sequences(load().as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.headers = service.new_user()  # what a sequence meets depends on itself alone
            for path, body in STARTS:
                assert service.http.post(path, json=body, headers=self.headers).status_code == 202
                service.run()
            self.accepted = 0

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": self.headers}

        def after_call(self, response: Any, case: Any) -> None:
            super().after_call(response, case)
            TALLY.case(f"after {case.operation.label}")
            label = f"{case.operation.label} {response.status_code}"
            followed[label] = followed.get(label, 0) + 1
            if response.status_code == 202:
                self.accepted += 1
                if self.accepted % 2:
                    service.run()

    Sequences.run(
        settings=settings(
            max_examples=SCENARIOS,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not LONG,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
    )
    assert service.violations() == []
    if LONG:  # a short one may be unlucky
        for reached in ("GET /bulk/status/{task_id} 200", "POST /bulk/operations/{task_id}/undo 202"):
            assert followed.get(reached), (reached, followed)


def test_every_link_leads_to_the_thing_that_the_answer_is_about(service: InProcess) -> None:
    """Each followed once by hand, from an export and from a key; nowhere is the thing unknown."""
    document = service.http.app.openapi()
    by_id = {
        operation["operationId"]: (method, path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    tried = []
    for path, body in (("/bulk/export", {}), ("/api/keys", {"name": "k"})):
        answer = service.http.post(path, json=body, headers=service.headers)
        service.run()
        links = document["paths"][path]["post"]["responses"][str(answer.status_code)]["links"]
        for name, link in links.items():
            method, to = by_id[link["operationId"]]
            for parameter, expression in link["parameters"].items():
                assert expression.startswith("$response.body#/")
                to = to.replace(f"{{{parameter}}}", answer.json()[expression.rpartition("/")[2]])
            told = service.http.request(method, to, headers=service.headers)
            assert told.status_code in (200, 201, 202, 204, 409), (name, told.text)
            tried.append(name)
    assert {"status", "errors", "results", "cancel", "retry", "undo", "download", "rotate"} <= set(tried)


def test_every_link_of_the_document_is_one_that_is_followed() -> None:
    """Schemathesis knows each of them as a transition; a misspelt expression would be an error here."""
    schema = load()
    links = sum(
        len(answer.get("links", ()))
        for item in schema.raw_schema["paths"].values()
        for operation in item.values()
        for answer in operation["responses"].values()
    )
    assert links > 60
    assert schema.statistic.transitions.total >= links
