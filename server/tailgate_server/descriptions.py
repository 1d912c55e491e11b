"""What the server says of a model: metadata and configuration messages. Pure functions."""

from __future__ import annotations

from tailgate.pb import inference_pb2 as pb
from tailgate_server.signature import DATATYPES, INPUT, OUTPUT, VERSION, Signature

PLATFORM = "pytorch"


def model_metadata(signature: Signature) -> pb.ModelMetadataResponse:
    """Names, datatypes and shapes, the batch's -1 included."""
    response = pb.ModelMetadataResponse(name=signature.name, versions=[VERSION], platform=PLATFORM)
    response.inputs.add(name=INPUT, datatype=DATATYPES[0], shape=(-1, *signature.image_shape))
    response.outputs.add(name=OUTPUT, datatype="FP32", shape=(-1, signature.classes))
    return response


def model_config(signature: Signature, *, on_gpu: bool) -> pb.ModelConfig:
    """How the model is served, dimensions without the batch; parameters hold what a client needs to preprocess."""
    preprocessing = signature.preprocessing
    parameters = {
        "architecture": signature.architecture,
        "accepted_datatypes": ",".join(DATATYPES),
        "resize_size": str(preprocessing.resize_size),
        "crop_size": str(preprocessing.crop_size),
        "interpolation": preprocessing.interpolation,
    }
    kind = pb.ModelInstanceGroup.KIND_GPU if on_gpu else pb.ModelInstanceGroup.KIND_CPU
    return pb.ModelConfig(
        name=signature.name,
        platform=PLATFORM,
        backend=PLATFORM,
        max_batch_size=signature.max_batch,
        input=[
            pb.ModelInput(
                name=INPUT, data_type=pb.TYPE_UINT8, format=pb.ModelInput.FORMAT_NCHW, dims=signature.image_shape
            )
        ],
        output=[pb.ModelOutput(name=OUTPUT, data_type=pb.TYPE_FP32, dims=(signature.classes,))],
        instance_group=[pb.ModelInstanceGroup(name=signature.name, count=1, kind=kind)],
        dynamic_batching=pb.ModelDynamicBatching(max_queue_delay_microseconds=round(signature.max_queue_delay_s * 1e6)),
        parameters={key: pb.ModelParameter(string_value=value) for key, value in parameters.items()},
    )
