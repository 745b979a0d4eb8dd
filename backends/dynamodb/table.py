"""Requests to the one table of a store: made by boto3, sent by our own transport, answered or classified.

Reads are consistent, always: `read` is the only way to one. A condition that fails is an answer, with the item that made it
fail, seen in the same step.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config
from botocore.exceptions import ClientError

from backends.dynamodb.errors import classify
from backends.dynamodb.transport import Body, Transport
from harness.driving.client import Unclassified

NAME = "holdwater"
CREATE: Mapping[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}

Item = dict[str, Any]

_making = threading.Lock()  # a boto3 session may be used by one thread at a time


@dataclass(frozen=True, slots=True)
class Refused:
    """A condition failed on this item; None = there was none."""

    item: Item | None


@cache
def _session() -> boto3.Session:
    """Make the one session: making one takes long."""
    return boto3.Session("holdwater", "holdwater", region_name="us-east-1")


def _client(transport: Transport) -> Any:
    """Make a client that sends nothing itself and tries nothing twice."""
    with _making:
        config = Config(retries={"mode": "standard", "total_max_attempts": 1}, parameter_validation=False, user_agent="holdwater")
        made = _session().client("dynamodb", endpoint_url="http://dynamodb.invalid", config=config)

    def send(request: Any, **_: Any) -> AWSResponse:
        body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")
        headers = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()}
        status, found, content = transport.exchange(request.method, "/", headers, body)
        return AWSResponse(request.url, status, HeadersDict(found), Body(content))

    made.meta.events.register("before-send.dynamodb", send)
    return made


class Table:
    """The table, over one connection. Not thread-safe."""

    def __init__(self, transport: Transport, name: str = NAME) -> None:
        self._transport, self._client, self._name = transport, _client(transport), name

    @property
    def node(self) -> str | None:
        return self._transport.node

    def begin(self, within_s: float | None = None) -> None:
        """Set the deadline of the operation that begins."""
        self._transport.begin(within_s)

    def close(self) -> None:
        self._transport.close()

    def read(self, pk: str, sk: str) -> Item | None:
        """Give an item, None if there is none."""
        found: Item | None = self._ask("get_item", Key=key(pk, sk), ConsistentRead=True).get("Item")
        return found

    def pages(self, operation: str, **request: Any) -> Iterator[Item]:
        """Give the items of a Query or Scan, page by page, each a request within a deadline of its own."""
        start: Item | None = None
        while True:
            if start is not None:
                request["ExclusiveStartKey"] = start
            page = self._ask(operation, ConsistentRead=True, **request)
            yield from page["Items"]
            start = page.get("LastEvaluatedKey")
            if start is None:
                return
            self.begin()

    def write(self, operation: str, condition: str | None = None, **request: Any) -> Item | Refused:
        """Write one item if the condition holds of it; give the attributes asked for by ReturnValues."""
        if condition is not None:
            request |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        answer: Item | Refused = self._ask(operation, **request)
        return answer if isinstance(answer, Refused) else answer.get("Attributes", {})

    def create(self) -> None:
        """Make the table, if it is not there."""
        if not self._is_there():
            self._ask("create_table", **CREATE)

    def drop(self) -> None:
        """Remove the table, if it is there."""
        if self._is_there():
            self._ask("delete_table")

    def _is_there(self) -> bool:
        start: dict[str, str] = {}
        while True:
            page = self._answered("list_tables", **start)
            if self._name in page["TableNames"]:
                return True
            if "LastEvaluatedTableName" not in page:
                return False
            start = {"ExclusiveStartTableName": page["LastEvaluatedTableName"]}

    def _ask(self, operation: str, **request: Any) -> Any:
        return self._answered(operation, TableName=self._name, **request)

    def _answered(self, operation: str, **request: Any) -> Any:
        try:
            answer = getattr(self._client, operation)(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalCheckFailedException":
                return Refused(error.response.get("Item"))
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise classify(code, status, error.response["Error"].get("Message", ""), self._transport.asked) from error
        if answer["ResponseMetadata"]["RetryAttempts"] != 0:
            raise Unclassified(f"{operation} was tried more than once", self._transport.asked)
        return answer


def key(pk: str, sk: str) -> Item:
    """Give the primary key of an item."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}
