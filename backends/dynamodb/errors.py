"""What an error of DynamoDB says about the operation: the table of its codes.

Every step is one request. A refusal (HTTP 400) comes before any effect, all conditions of a request being checked first;
an internal error (500) says nothing of it. A failed condition is an answer and no error: callers see it as such.

Source: Amazon DynamoDB Developer Guide, error handling.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.driving.client import Indeterminate, NotApplied, Unclassified


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means."""

    definite: bool
    sentence: str


CODES = {
    "AccessDeniedException": Code(True, "this caller may not do so"),
    "IncompleteSignatureException": Code(True, "the request's signature is not complete"),
    "ItemCollectionSizeLimitExceededException": Code(True, "the collection of items is too large"),
    "LimitExceededException": Code(True, "too many operations on tables at a time"),
    "MissingAuthenticationTokenException": Code(True, "the request is not signed"),
    "ProvisionedThroughputExceededException": Code(True, "the table's throughput is used up"),
    "RequestLimitExceeded": Code(True, "the account's throughput is used up"),
    "ReplicatedWriteConflictException": Code(True, "another region is writing the item"),
    "ResourceInUseException": Code(True, "the table is being changed"),
    "ResourceNotFoundException": Code(True, "there is no such table"),
    "SerializationException": Code(True, "the request is not well-formed"),
    "ThrottlingException": Code(True, "too many requests"),
    "TransactionCanceledException": Code(True, "a condition of the transaction failed, or another one was in its way"),
    "TransactionConflictException": Code(True, "a transaction is writing the item"),
    "UnrecognizedClientException": Code(True, "the key is not known"),
    "ValidationException": Code(True, "the request is not valid"),
    "IdempotentParameterMismatchException": Code(False, "a token was used for another transaction"),
    "InternalServerError": Code(False, "an internal error of the server"),
    "ServiceUnavailable": Code(False, "the server is not available now"),
    "TransactionInProgressException": Code(False, "the transaction is in progress"),
}


def classify(code: str, status: int, message: str, node: str | None) -> NotApplied | Indeterminate:
    """Classify an error; an unknown code is Unclassified, a status of 500 and above never definite."""
    known = CODES.get(code.rpartition("#")[2])
    if known is None and status < 500:
        return Unclassified(f"error {code} (HTTP {status}): {message}", node)
    if known is not None and known.definite and status < 500:
        return NotApplied(f"{code}: {known.sentence} ({message})", node)
    return Indeterminate(f"{code} (HTTP {status}): {known.sentence if known else message}", node)
