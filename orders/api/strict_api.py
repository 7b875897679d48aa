"""django-ninja's API with strict JSON, and with a description that says what errors are."""

from typing import Any

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser

from orders.api.problems import CONTENT_TYPE
from orders.api.strict_json import loads


class StrictJson(Parser):
    """JSON without NaN, without a key twice in one object, and nested no deeper than anything here takes."""

    def parse_body(self, request: HttpRequest) -> Any:
        return loads(request.body)

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        for name in data:
            if name not in list_fields and len(data.getlist(name)) > 1:
                # Which of them counts would be anybody's guess, and a proxy's may differ.
                raise HttpError(422, f"{name!r} is given more than once.")
        return super().parse_querydict(data, list_fields, request)


class StrictAPI(NinjaAPI):
    def __init__(self, **options: Any) -> None:
        super().__init__(parser=StrictJson(), **options)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The function's name: ninja's own holds the module's path, which changes when a file moves."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """As ninja makes it, but with each error under the content type that it really has."""
        schema = super().get_openapi_schema(**options)
        for path in schema["paths"].values():
            for operation in path.values():
                for status, response in operation["responses"].items():
                    if int(status) >= 400 and "content" in response:
                        response["content"] = {
                            CONTENT_TYPE: response["content"].pop("application/json")
                        }
        return schema
