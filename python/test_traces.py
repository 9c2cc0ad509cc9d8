"""Exports of `trace` are read by OpenTelemetry's own messages, strictly.

    test_traces.py LOADBEARING

Jaeger, collectors and others read OTLP JSON into these protobuf messages: a field that they do not
have, a number where a string belongs, or an id of the wrong length is refused here as there.
"""

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).resolve().parent.parent
TOPOLOGY = "tests/topologies/pressure.toml"
IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def as_protobuf_has_it(value):
    """Ids are hexadecimal in OTLP JSON and base64 in protobuf's: the one difference between them."""
    if isinstance(value, list):
        return [as_protobuf_has_it(one) for one in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, one in value.items():
        if key in IDS:
            raw = bytes.fromhex(one)
            assert len(raw) == IDS[key] and any(raw), f"{key}: {one}"
            out[key] = base64.b64encode(raw).decode()
        else:
            out[key] = as_protobuf_has_it(one)
    return out


def read(data):
    return ParseDict(as_protobuf_has_it(data), ExportTraceServiceRequest())


def check(request):
    spans = {}
    for resource in request.resource_spans:
        names = [it.value.string_value for it in resource.resource.attributes if it.key == "service.name"]
        assert len(names) == 1 and names[0], "every resource says its service"
        for span in (one for scope in resource.scope_spans for one in scope.spans):
            assert span.name and span.span_id not in spans, span
            spans[span.span_id] = span
    traces = {span.trace_id for span in spans.values()}
    failed = 0
    for span in spans.values():
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
        failed += span.status.code == 2
        assert span.status.code != 2 or span.status.message, f"no reason: {span}"
        if span.parent_span_id:
            parent = spans[span.parent_span_id]
            assert parent.trace_id == span.trace_id, span
            assert parent.start_time_unix_nano <= span.start_time_unix_nano, span
            assert span.end_time_unix_nano <= parent.end_time_unix_nano, span
    return len(traces), len(spans), failed


def main():
    program = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "otlp.json"
        command = [program, "trace", TOPOLOGY, "--failed", "--count", "5", "--quiet", "--otlp", file]
        subprocess.run(command, cwd=ROOT, check=True)
        data = json.loads(file.read_text())
    traces, spans, failed = check(read(data))
    assert traces == 5 and failed >= 5, (traces, failed)
    # A check that cannot fail is none.
    planted = json.loads(json.dumps(data))
    planted["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["start_time"] = "1"
    try:
        read(planted)
    except ParseError:
        print(f"{traces} traces of {spans} spans are read by OpenTelemetry's messages; {failed} spans failed")
        return
    raise AssertionError("a field that does not exist was accepted")


main()
