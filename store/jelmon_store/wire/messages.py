"""The messages of remote write as protobuf classes, declared here instead of generated.

They are shadows of the published schemas: where decoding is hot or must keep every bit, a field is `bytes` or
`fixed64` instead of a message or `double`, which is the same on the wire. Proto2 syntax gives presence to every field
and accepts repeated numbers packed and unpacked.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "fixed64": _Field.TYPE_FIXED64,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "sint32": _Field.TYPE_SINT32,
    "sint64": _Field.TYPE_SINT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}
_PACKAGE = "jelmon.store.wire"
_SCHEMA = {
    "Label": "bytes name = 1; bytes value = 2",
    # value: the bits of the double, so that the payload of a NaN (a stale marker) survives
    "Sample": "fixed64 value = 1; int64 timestamp = 2; int64 start_timestamp = 3",
    "BucketSpan": "sint32 offset = 1; uint32 length = 2",
    "Histogram": "uint64 count_int = 1; double count_float = 2; double sum = 3; sint32 schema = 4; "
    "double zero_threshold = 5; uint64 zero_count_int = 6; double zero_count_float = 7; "
    "repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9; "
    "repeated double negative_counts = 10; repeated BucketSpan positive_spans = 11; "
    "repeated sint64 positive_deltas = 12; repeated double positive_counts = 13; int32 reset_hint = 14; "
    "int64 timestamp = 15; repeated double custom_values = 16; int64 start_timestamp = 17",
    # the same with the bits of doubles, for reading
    "HistogramBits": "uint64 count_int = 1; fixed64 count_float = 2; fixed64 sum = 3; sint32 schema = 4; "
    "fixed64 zero_threshold = 5; uint64 zero_count_int = 6; fixed64 zero_count_float = 7; "
    "repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9; "
    "repeated fixed64 negative_counts = 10; repeated BucketSpan positive_spans = 11; "
    "repeated sint64 positive_deltas = 12; repeated fixed64 positive_counts = 13; int32 reset_hint = 14; "
    "repeated double custom_values = 16",
    # --- 1.0 ---
    "WriteRequest": "repeated bytes timeseries = 1; repeated bytes metadata = 3",
    "MetricMetadata": "int32 type = 1; bytes metric_family_name = 2; bytes help = 4; bytes unit = 5",
    "TimeSeries": "repeated bytes labels = 1; repeated Sample samples = 2; repeated Exemplar exemplars = 3; "
    "repeated bytes histograms = 4",
    "Exemplar": "repeated Label labels = 1; fixed64 value = 2; int64 timestamp = 3",
    # --- 2.0 ---
    "Request": "repeated bytes symbols = 4; repeated bytes timeseries = 5",
    # created_timestamp: of rc.3, which rc.4 moved into samples and histograms
    "TimeSeriesV2": "repeated uint32 labels_refs = 1; repeated Sample samples = 2; repeated bytes histograms = 3; "
    "repeated ExemplarV2 exemplars = 4; MetadataV2 metadata = 5; int64 created_timestamp = 6",
    "ExemplarV2": "repeated uint32 labels_refs = 1; fixed64 value = 2; int64 timestamp = 3",
    "MetadataV2": "int32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4",
}


def _declare() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="jelmon_store_wire.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for declaration in fields.split("; "):
            words = declaration.split()
            repeated = words[0] == "repeated"
            kind, field, _, number = words[1:] if repeated else words
            message.field.add(
                name=field,
                number=int(number),
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
                type=_TYPES.get(kind, _Field.TYPE_MESSAGE),
                type_name=None if kind in _TYPES else f".{_PACKAGE}.{kind}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _SCHEMA}


_classes = _declare()
BucketSpan = _classes["BucketSpan"]
Exemplar = _classes["Exemplar"]
ExemplarV2 = _classes["ExemplarV2"]
Histogram = _classes["Histogram"]
HistogramBits = _classes["HistogramBits"]
Label = _classes["Label"]
MetadataV2 = _classes["MetadataV2"]
MetricMetadata = _classes["MetricMetadata"]
Request = _classes["Request"]
Sample = _classes["Sample"]
TimeSeries = _classes["TimeSeries"]
TimeSeriesV2 = _classes["TimeSeriesV2"]
WriteRequest = _classes["WriteRequest"]

# An entry of two bytes becomes an object of 16 to 60: without these limits a message of 32 MB could take a gigabyte.
MAX_ENTRIES = 500_000
MAX_SERIES_BYTES = 4 * 1024 * 1024
